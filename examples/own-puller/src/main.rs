//! `kruise-own-puller IMAGE...`: sees to it that this node has the images.

use std::path::Path;
use std::process::ExitCode;

use kruise_cri::{ClientConfig, Endpoint, Runtime};
use kruise_own_puller::{Done, keep};

#[tokio::main(flavor = "current_thread")]
async fn main() -> anyhow::Result<ExitCode> {
    let images: Vec<String> = std::env::args().skip(1).collect();
    // The first of containerd, CRI-O and cri-dockerd that answers; waited for when it was away.
    let runtime = Runtime::new(Endpoint::candidates(Path::new("/run")), ClientConfig::default())?;
    let mut code = ExitCode::SUCCESS;
    for (image, done) in keep(&runtime, &images).await {
        if let Done::Failed(_) = done {
            code = ExitCode::FAILURE;
        }
        println!("{image}: {done:?}");
    }
    Ok(code)
}
