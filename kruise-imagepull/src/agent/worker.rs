//! One task with its attempts, from the first look at the node to success or surrender.

use std::sync::Arc;
use std::time::Duration;

use kruise_core::runtime::Clock;
use kruise_cri::{FilesystemUsage, ImageService, Retry};
use tokio::sync::mpsc;
use tokio::time::Instant;

use super::AgentConfig;
use super::activity::Activity;
use super::credentials::CredentialSources;
use super::disk::DiskGuard;
use super::metrics::AgentMetrics;
use super::pull::{Failure, pull};
use crate::plan::agent::retry::{Budget, FailureKind, Step};
use crate::plan::agent::{PullOutcome, PullTask, RunId};
use crate::plan::pick;

/// What workers share.
#[derive(Clone)]
pub(super) struct WorkerContext {
    pub(super) images: Arc<dyn ImageService>,
    pub(super) credentials: CredentialSources,
    pub(super) disk: DiskGuard,
    pub(super) activity: Activity,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) metrics: AgentMetrics,
    pub(super) config: Arc<AgentConfig>,
}

/// What a worker says to the actor.
#[derive(Debug)]
pub(super) enum Said {
    /// What the worker does or waits for.
    Is {
        run: RunId,
        message: String,
    },
    Ended {
        run: RunId,
        outcome: PullOutcome,
    },
}

/// Tells the actor what the worker of one run does.
#[derive(Clone)]
pub(super) struct Teller {
    pub(super) run: RunId,
    pub(super) said: mpsc::Sender<Said>,
}

impl Teller {
    /// The actor is gone only when it is shutting down, and then nobody wants to know.
    pub(super) async fn is(&self, message: String) {
        let _ = self
            .said
            .send(Said::Is {
                run: self.run,
                message,
            })
            .await;
    }
}

/// Works on `task` until it succeeds or its budget is spent. Dropping the future stops it, in sleeps too, and cancels the
/// call to the runtime.
pub(super) async fn work(context: WorkerContext, task: Arc<PullTask>, teller: Teller) {
    let started = Instant::now();
    let registry = task.reference.domain();
    let outcome = match attempts(&context, &task, &teller, started).await {
        Ok(image_id) => PullOutcome::Succeeded { image_id },
        Err(message) => PullOutcome::Failed { message },
    };
    let succeeded = matches!(outcome, PullOutcome::Succeeded { .. });
    context.metrics.ended(succeeded, registry, started.elapsed());
    let _ = teller
        .said
        .send(Said::Ended {
            run: teller.run,
            outcome,
        })
        .await;
}

/// Returns the id of the image, or why there is none.
async fn attempts(
    context: &WorkerContext,
    task: &PullTask,
    teller: &Teller,
    started: Instant,
) -> Result<String, String> {
    let mut budget = Budget::new(&task.policy, context.config.seed);
    let mut spread = Some(spread(context, task)).filter(|wait| !wait.is_zero());
    let mut step = budget.first(Duration::ZERO);
    let mut number = 1;
    // The last message only told what the task waited for.
    let mut waited = false;
    loop {
        let (after, timeout) = match step {
            Step::GiveUp(message) => return Err(message),
            Step::Attempt { after, timeout } => (after, timeout),
        };
        tokio::time::sleep(after).await;
        let failure = match limited(timeout, look(context, task)).await {
            Ok(Look::Present(id)) => return Ok(id),
            Ok(Look::Absent(filesystems)) => {
                if let Some(wait) = spread.take() {
                    let wait = budget.left(started.elapsed()).map_or(wait, |left| wait.min(left));
                    teller
                        .is(format!(
                            "starts within {} s, to spare the registry",
                            wait.as_secs() + 1
                        ))
                        .await;
                    waited = true;
                    tokio::time::sleep(wait).await;
                    // The image may have come by another way in the meantime, so this begins with a look again.
                    step = budget.first(started.elapsed());
                    continue;
                }
                if waited {
                    waited = false;
                    teller.is(String::new()).await;
                }
                let deadline = Instant::now() + timeout;
                match limited(timeout, pull(context, task, teller, &filesystems, deadline)).await {
                    Ok(id) => return Ok(id),
                    Err(failure) => failure,
                }
            }
            Err(failure) => failure,
        };
        context
            .metrics
            .attempt_failed(failure.kind.as_str(), task.reference.domain());
        tracing::debug!(
            image = %task.reference,
            kind = failure.kind.as_str(),
            error = %failure.message,
            "attempt to pull failed"
        );
        step = budget.failed(failure.kind, failure.least, &failure.message, started.elapsed());
        if matches!(step, Step::Attempt { .. }) {
            waited = matches!(failure.kind, FailureKind::RuntimeAway | FailureKind::LowDisk);
            let message = if waited {
                failure.message
            } else {
                let said = format!("attempt {number} of {}: {}", budget.attempts(), failure.message);
                number += 1;
                said
            };
            teller.is(message).await;
        }
    }
}

/// Returns how long to wait before the first attempt, so that nodes that were told at the same time do not ask the registry
/// at the same time.
fn spread(context: &WorkerContext, task: &PullTask) -> Duration {
    let Some(created_at) = task.created_at else {
        return Duration::ZERO;
    };
    let jitter = context.config.start_jitter;
    let bound = u64::try_from(jitter.as_millis()).unwrap_or(u64::MAX);
    let drawn = Duration::from_millis(pick(context.config.seed, created_at.as_second(), bound));
    // Clocks differ; a task of the future waits no longer than one of now.
    let age = context.clock.now().duration_since(created_at);
    drawn.saturating_sub(Duration::try_from(age).unwrap_or(Duration::ZERO))
}

enum Look {
    Present(String),
    /// With the filesystems of images, if they are known.
    Absent(Vec<FilesystemUsage>),
}

/// Looks whether the image is there, and whether there is space for it if not.
async fn look(context: &WorkerContext, task: &PullTask) -> Result<Look, Failure> {
    let image = task.reference.full();
    if task.accept_present {
        match context.images.image_status(&image).await {
            Ok(Some(found)) => return Ok(Look::Present(found.id)),
            Ok(None) => {}
            Err(error) if error.retry() == Retry::WhenRuntimeReturns => return Err(error.into()),
            // A runtime that can not tell may still be able to pull.
            Err(error) => tracing::debug!(image, %error, "presence of the image is not known"),
        }
    }
    let filesystems = match context.images.image_fs_info().await {
        Ok(filesystems) => filesystems,
        Err(error) => {
            tracing::debug!(%error, "filesystems of images are not known");
            Vec::new()
        }
    };
    match context.disk.refusal(&filesystems).await {
        Some(message) => Err(Failure::new(FailureKind::LowDisk, message)),
        None => Ok(Look::Absent(filesystems)),
    }
}

async fn limited<T>(timeout: Duration, work: impl Future<Output = Result<T, Failure>>) -> Result<T, Failure> {
    match tokio::time::timeout(timeout, work).await {
        Ok(result) => result,
        Err(_) => Err(Failure::new(
            FailureKind::TimedOut,
            format!("the pull was canceled after {} s", timeout.as_secs()),
        )),
    }
}
