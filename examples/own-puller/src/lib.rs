//! Keeps a list of images on this node: what is missing is pulled, a few images at a time, as long as trying again can help.

use std::time::Duration;

use futures::StreamExt;
use kruise_cri::{Error, ImageService, PullRequest, Reference, Retry};

/// Attempts for one image.
const ATTEMPTS: u32 = 5;

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
    let each = images
        .iter()
        .map(async |image| (image.clone(), keep_one(runtime, image).await));
    futures::stream::iter(each).buffer_unordered(3).collect().await
}

async fn keep_one(runtime: &impl ImageService, image: &str) -> Done {
    // "nginx" is "docker.io/library/nginx:latest", to every runtime alike.
    let full = match Reference::parse(image) {
        Ok(reference) => reference.full(),
        Err(error) => return Done::Failed(error.to_string()),
    };
    if let Ok(Some(_)) = runtime.image_status(&full).await {
        return Done::Present;
    }
    let mut attempt = 0;
    loop {
        attempt += 1;
        let request = PullRequest {
            image: full.clone(),
            timeout: Some(Duration::from_secs(600)),
            ..PullRequest::default()
        };
        match runtime.pull_image(request).await {
            Ok(_) => return Done::Pulled,
            Err(error) => match pause(&error, attempt) {
                Some(pause) => tokio::time::sleep(pause).await,
                None => return Done::Failed(error.to_string()),
            },
        }
    }
}

/// How long to wait before the next attempt, `None` if there is none. The error knows whether it can help.
fn pause(error: &Error, attempt: u32) -> Option<Duration> {
    let doubling = Duration::from_secs(1 << attempt.min(5));
    match error.retry() {
        Retry::Never | Retry::OtherCredentials => None,
        // A restart of the runtime is waited for, and costs no attempt.
        Retry::WhenRuntimeReturns => Some(Duration::from_secs(2)),
        _ if attempt >= ATTEMPTS => None,
        Retry::BackoffAtLeast(least) => Some(doubling.max(least)),
        _ => Some(doubling),
    }
}
