//! `kruise-own-puller IMAGE...`: sees to it that this node has the images, by the first of its runtimes that answers.

use std::{error::Error, process::ExitCode};

use kruise_cri::{ClientConfig, Endpoint, Runtime};
use kruise_own_puller::{Done, keep};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<ExitCode, Box<dyn Error>> {
    let runtime = Runtime::new(Endpoint::candidates("/run".as_ref()), ClientConfig::default())?;
    let all = keep(&runtime, &std::env::args().skip(1).collect::<Vec<_>>()).await;
    all.iter().for_each(|(image, done)| println!("{image}: {done:?}"));
    let failed = all.iter().any(|(_, done)| matches!(done, Done::Failed(_)));
    Ok(ExitCode::from(u8::from(failed)))
}
