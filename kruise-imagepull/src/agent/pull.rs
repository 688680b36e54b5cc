//! One attempt: credentials, one call to the runtime for each, and what is told meanwhile.

use std::time::Duration;

use kruise_cri::{Credentials, Error as CriError, ErrorKind, FilesystemUsage, PullRequest, Retry};
use tokio::time::Instant;

use super::worker::{Teller, WorkerContext};
use crate::plan::agent::PullTask;
use crate::plan::agent::retry::FailureKind;

/// Message of a task that waits for its runtime; the cause follows.
const MESSAGE_RUNTIME_AWAY: &str = "runtime unavailable";

/// Longest message that goes into a status, in bytes.
const MAX_MESSAGE: usize = 1024;

/// Why an attempt failed.
pub(super) struct Failure {
    pub(super) kind: FailureKind,
    /// The shortest wait before another attempt.
    pub(super) least: Duration,
    pub(super) message: String,
}

impl Failure {
    /// A failure after which the usual wait is enough.
    pub(super) fn new(kind: FailureKind, message: String) -> Self {
        Self {
            kind,
            least: Duration::ZERO,
            message,
        }
    }
}

impl From<CriError> for Failure {
    fn from(error: CriError) -> Self {
        let kind = kind(&error);
        let message = match kind {
            FailureKind::RuntimeAway if error.message.is_empty() => MESSAGE_RUNTIME_AWAY.to_owned(),
            FailureKind::RuntimeAway => format!("{MESSAGE_RUNTIME_AWAY}: {}", error.message),
            _ => error.to_string(),
        };
        let least = match error.retry() {
            Retry::BackoffAtLeast(least) => least,
            _ => Duration::ZERO,
        };
        Self {
            kind,
            least,
            message: bounded(message),
        }
    }
}

fn kind(error: &CriError) -> FailureKind {
    match (error.kind, error.retry()) {
        (ErrorKind::Deadline, _) => FailureKind::TimedOut,
        (ErrorKind::NoSpace, _) => FailureKind::NoSpace,
        (ErrorKind::RateLimited, _) => FailureKind::Throttled,
        (ErrorKind::RegistryUnavailable, _) => FailureKind::RegistryAway,
        (_, Retry::Never) => FailureKind::Permanent,
        (_, Retry::OtherCredentials) => FailureKind::Denied,
        (_, Retry::WhenRuntimeReturns) => FailureKind::RuntimeAway,
        _ => FailureKind::Transient,
    }
}

/// Pulls the image and returns its id. `filesystems` are those of images, as they were just before.
pub(super) async fn pull(
    context: &WorkerContext,
    task: &PullTask,
    teller: &Teller,
    filesystems: &[FilesystemUsage],
    deadline: Instant,
) -> Result<String, Failure> {
    let image = task.reference.full();
    let known = context
        .credentials
        .of(&task.secrets, &task.reference.name())
        .await
        .into_iter()
        .map(|credential| {
            Some(Credentials {
                username: credential.username,
                password: credential.password,
            })
        });
    // What the agent says of itself wins over what a job says.
    let mut annotations = task.sandbox.annotations.clone();
    annotations.extend(context.config.pull_annotations.clone());
    let mut denied = None;
    // Anonymous last: an image that everybody may pull is pulled in spite of credentials that expired.
    for credentials in known.chain([None]) {
        let request = PullRequest {
            image: image.clone(),
            credentials,
            labels: task.sandbox.labels.clone(),
            annotations: annotations.clone(),
            timeout: Some(deadline.saturating_duration_since(Instant::now())),
        };
        match context
            .activity
            .watched(context, teller, filesystems, request)
            .await
        {
            Ok(reference) => {
                // The answer names the image by id or by digest, as the runtime likes; the status always by id.
                let found = context.images.image_status(&image).await.ok().flatten();
                context
                    .metrics
                    .pulled(found.as_ref().map_or(0, |found| found.size));
                return Ok(found.map_or(reference, |found| found.id));
            }
            Err(error) if error.retry() == Retry::OtherCredentials => denied = denied.or(Some(error)),
            Err(error) => return Err(error.into()),
        }
    }
    Err(denied.map_or_else(
        || Failure::new(FailureKind::Denied, "access denied by the registry".to_owned()),
        Failure::from,
    ))
}

fn bounded(mut message: String) -> String {
    if message.len() > MAX_MESSAGE {
        let end = (0..=MAX_MESSAGE)
            .rev()
            .find(|end| message.is_char_boundary(*end))
            .unwrap_or(0);
        message.truncate(end);
    }
    message
}
