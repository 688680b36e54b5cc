//! One pull with its attempts, from the first look at the node to success or surrender.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use kruise_cri::{Credentials, Error as CriError, ErrorKind, ImageService, PullRequest, Retry};
use tokio::sync::mpsc;
use tokio::time::Instant;

use super::metrics::AgentMetrics;
use super::secrets::{SecretSource, credentials};
use crate::plan::agent::retry::{Budget, FailureKind, Step};
use crate::plan::agent::{PullOutcome, PullTask, RunId};

/// Message of a task that waits for its runtime.
pub(crate) const MESSAGE_RUNTIME_AWAY: &str = "runtime unavailable";

/// Longest message that goes into a status, in bytes.
const MAX_MESSAGE: usize = 1024;

/// What workers share.
#[derive(Clone)]
pub(super) struct WorkerContext {
    pub(super) images: Arc<dyn ImageService>,
    pub(super) secrets: Arc<dyn SecretSource>,
    pub(super) annotations: BTreeMap<String, String>,
    pub(super) metrics: AgentMetrics,
    pub(super) seed: u64,
}

/// What a worker says to the actor.
#[derive(Debug)]
pub(super) enum Said {
    Waits { run: RunId, message: String },
    Ended { run: RunId, outcome: PullOutcome },
}

/// Works on `task` until it succeeds or its budget is spent. Dropping the future stops it, in sleeps too, and cancels the
/// call to the runtime.
pub(super) async fn work(context: WorkerContext, run: RunId, task: Arc<PullTask>, said: mpsc::Sender<Said>) {
    let started = Instant::now();
    let registry = task.reference.domain();
    let mut budget = Budget::new(&task.policy, context.seed);
    let mut step = budget.first(Duration::ZERO);
    let outcome = loop {
        let (after, timeout) = match step {
            Step::GiveUp(message) => break PullOutcome::Failed { message },
            Step::Attempt { after, timeout } => (after, timeout),
        };
        tokio::time::sleep(after).await;
        match attempt(&context, &task, timeout).await {
            Ok(image_id) => break PullOutcome::Succeeded { image_id },
            Err(failure) => {
                context.metrics.attempt_failed(failure.kind.as_str(), registry);
                tracing::debug!(
                    image = %task.reference,
                    kind = failure.kind.as_str(),
                    error = %failure.message,
                    "attempt to pull failed"
                );
                step = budget.failed(failure.kind, &failure.message, started.elapsed());
                if matches!(step, Step::Attempt { .. }) {
                    let _ = said
                        .send(Said::Waits {
                            run,
                            message: failure.message,
                        })
                        .await;
                }
            }
        }
    };
    let succeeded = matches!(outcome, PullOutcome::Succeeded { .. });
    context.metrics.ended(succeeded, registry, started.elapsed());
    // The actor is gone only when it is shutting down, and then nobody wants to know.
    let _ = said.send(Said::Ended { run, outcome }).await;
}

struct Failure {
    kind: FailureKind,
    message: String,
}

impl From<CriError> for Failure {
    fn from(error: CriError) -> Self {
        let kind = kind(&error);
        let message = match kind {
            FailureKind::RuntimeAway => MESSAGE_RUNTIME_AWAY.to_owned(),
            _ => bounded(error.to_string()),
        };
        Self { kind, message }
    }
}

fn kind(error: &CriError) -> FailureKind {
    match (error.kind, error.retry()) {
        (ErrorKind::Deadline, _) => FailureKind::TimedOut,
        (ErrorKind::NoSpace, _) => FailureKind::NoSpace,
        (ErrorKind::RateLimited, _) => FailureKind::Throttled,
        (_, Retry::Never) => FailureKind::Permanent,
        (_, Retry::OtherCredentials) => FailureKind::Denied,
        (_, Retry::WhenRuntimeReturns) => FailureKind::RuntimeAway,
        (_, Retry::BackoffAtLeast(_)) => FailureKind::Throttled,
        _ => FailureKind::Transient,
    }
}

async fn attempt(context: &WorkerContext, task: &PullTask, timeout: Duration) -> Result<String, Failure> {
    let deadline = Instant::now() + timeout;
    match tokio::time::timeout_at(deadline, pull(context, task, deadline)).await {
        Ok(result) => result,
        Err(_) => Err(Failure {
            kind: FailureKind::TimedOut,
            message: format!("the pull was canceled after {} s", timeout.as_secs()),
        }),
    }
}

/// Returns the id of the image, pulled or found.
async fn pull(context: &WorkerContext, task: &PullTask, deadline: Instant) -> Result<String, Failure> {
    let image = task.reference.full();
    if task.accept_present {
        match context.images.image_status(&image).await {
            Ok(Some(found)) => return Ok(found.id),
            Ok(None) => {}
            Err(error) if error.retry() == Retry::WhenRuntimeReturns => return Err(error.into()),
            // A runtime that can not tell may still be able to pull.
            Err(error) => tracing::debug!(image, %error, "presence of the image is not known"),
        }
    }
    let known = credentials(&context.secrets, &task.secrets, &task.reference.name()).await;
    let known = known.into_iter().map(|credential| {
        Some(Credentials {
            username: credential.username,
            password: credential.password,
        })
    });
    // What the agent says of itself wins over what a job says.
    let mut annotations = task.sandbox.annotations.clone();
    annotations.extend(context.annotations.clone());
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
        match context.images.pull_image(request).await {
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
        || Failure {
            kind: FailureKind::Denied,
            message: "access denied by the registry".to_owned(),
        },
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
