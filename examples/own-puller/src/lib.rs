//! Keeps a list of images on this node: what is missing is pulled, a few images at a time, as long as trying again can help.

use std::time::Duration;

use futures::StreamExt;
use kruise_cri::{Error, ImageService, PullRequest, Reference, Retry};

/// Attempts for one image.
const ATTEMPTS: u32 = 5;
/// Looks whether a runtime that is away is back, and the pause between two of them.
const LOOKS: (u32, Duration) = (300, Duration::from_secs(2));

/// What became of one image.
#[derive(Debug)]
pub enum Done {
    /// It was there.
    Present,
    /// It was pulled.
    Pulled,
    /// It is not there, and why.
    Failed(String),
}

/// Returns what became of each image, in the order in which they were done. Three are pulled at the same time.
pub async fn keep(runtime: &impl ImageService, images: &[String]) -> Vec<(String, Done)> {
    let one = async |image: &String| {
        let failed = |error: Error| Done::Failed(error.to_string());
        (
            image.clone(),
            keep_one(runtime, image).await.unwrap_or_else(failed),
        )
    };
    let all = futures::stream::iter(images.iter().map(one));
    all.buffer_unordered(3).collect().await
}

async fn keep_one(runtime: &impl ImageService, image: &str) -> Result<Done, Error> {
    // "nginx" is "docker.io/library/nginx:latest", to every runtime alike.
    let image = Reference::parse(image)?.full();
    if let Ok(Some(_)) = runtime.image_status(&image).await {
        return Ok(Done::Present);
    }
    let request = PullRequest {
        image,
        timeout: Some(Duration::from_secs(600)),
        ..Default::default()
    };
    let (mut failures, mut looks) = (0, 0);
    while let Err(error) = runtime.pull_image(request.clone()).await {
        let pause = Duration::from_secs(1 << failures.min(5));
        let (pause, tries, most) = match error.retry() {
            Retry::Never | Retry::OtherCredentials => return Err(error),
            // A restart of the runtime costs no attempt.
            Retry::WhenRuntimeReturns => (LOOKS.1, &mut looks, LOOKS.0),
            Retry::BackoffAtLeast(least) => (pause.max(least), &mut failures, ATTEMPTS),
            _ => (pause, &mut failures, ATTEMPTS),
        };
        *tries += 1;
        if *tries >= most {
            return Err(error);
        }
        tokio::time::sleep(pause).await;
    }
    Ok(Done::Pulled)
}
