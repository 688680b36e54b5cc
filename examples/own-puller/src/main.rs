//! `kruise-own-puller IMAGE...`: sees to it that this node has the images, by the first of its runtimes that answers.

use kruise_cri::{Endpoint, Runtime};

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let images: Vec<String> = std::env::args().skip(1).collect();
    let runtime = Runtime::new(Endpoint::candidates("/run".as_ref()), Default::default());
    for (image, done) in kruise_own_puller::keep(&runtime, &images).await {
        println!("{image}: {done:?}");
    }
}
