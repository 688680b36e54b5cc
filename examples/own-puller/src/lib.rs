//! Keeps a list of images on this node: what is missing is pulled, a few images at a time, as long as trying again can help.

use std::time::Duration;

use futures::StreamExt;
use kruise_cri::{Error, ImageService, PullRequest, Reference, Retry};
use tokio::time::Instant;

/// Pulls at the same time.
const AT_ONCE: usize = 3;
/// Attempts for one image.
const ATTEMPTS: u32 = 5;
/// How long a runtime that is away is waited for, each time it goes away.
const LONGEST_ABSENCE: Duration = Duration::from_secs(600);
/// Pause between two looks whether it is back.
const LOOK_AGAIN: Duration = Duration::from_secs(2);

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

/// Returns what became of each image, in the order in which they were done.
pub async fn keep(runtime: &impl ImageService, images: &[String]) -> Vec<(String, Done)> {
    futures::stream::iter(images)
        .map(|image| async move { (image.clone(), keep_one(runtime, image).await) })
        .buffer_unordered(AT_ONCE)
        .collect()
        .await
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
    let mut failed = 0;
    let mut away_since = None;
    loop {
        let request = PullRequest {
            image: full.clone(),
            timeout: Some(Duration::from_secs(600)),
            ..PullRequest::default()
        };
        let error = match runtime.pull_image(request).await {
            Ok(_) => return Done::Pulled,
            Err(error) => error,
        };
        let pause = if error.retry() == Retry::WhenRuntimeReturns {
            // A restart of the runtime is waited for, and costs no attempt.
            let since = *away_since.get_or_insert_with(Instant::now);
            Some(LOOK_AGAIN).filter(|_| since.elapsed() < LONGEST_ABSENCE)
        } else {
            away_since = None;
            failed += 1;
            pause(&error, failed)
        };
        match pause {
            Some(pause) => tokio::time::sleep(pause).await,
            None => return Done::Failed(error.to_string()),
        }
    }
}

/// How long to wait after this many failed attempts, `None` if there is no other. The error knows whether it can help.
fn pause(error: &Error, failed: u32) -> Option<Duration> {
    let doubling = Duration::from_secs(1 << failed.min(5));
    match error.retry() {
        Retry::Never | Retry::OtherCredentials => None,
        _ if failed >= ATTEMPTS => None,
        Retry::BackoffAtLeast(least) => Some(doubling.max(least)),
        _ => Some(doubling),
    }
}
