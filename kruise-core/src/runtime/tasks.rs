//! The one place that spawns tasks: every task has an owner, a name and a way to stop it.

use std::borrow::Cow;
use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::time::Duration;

use futures::FutureExt;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::Instrument;

/// Owns spawned tasks. Dropping it drops their futures at their next await point.
///
/// Must be used inside a tokio runtime. A task that panics is logged and counted ([`Tasks::panics`]), and harms no
/// other. Finished tasks leave nothing behind, so one `Tasks` may spawn any number over its life.
#[derive(Debug, Default)]
pub struct Tasks {
    tracker: TaskTracker,
    /// Asks tasks to end; they hold children of it.
    cancel: CancellationToken,
    /// Makes tasks end.
    kill: CancellationToken,
    panics: std::sync::Arc<std::sync::atomic::AtomicUsize>,
}

impl Tasks {
    /// An owner without tasks.
    pub fn new() -> Self {
        Self::default()
    }

    /// Starts a task. Without effect after [`Tasks::shutdown`].
    #[allow(
        clippy::disallowed_methods,
        reason = "this is the place that all others are told to use"
    )]
    pub fn spawn(
        &self,
        name: impl Into<Cow<'static, str>>,
        future: impl Future<Output = ()> + Send + 'static,
    ) {
        if self.kill.is_cancelled() || self.tracker.is_closed() {
            return;
        }
        let name = name.into();
        let span = tracing::debug_span!("task", name = %name);
        let panics = self.panics.clone();
        let kill = self.kill.clone();
        let guarded = async move {
            let caught = AssertUnwindSafe(kill.run_until_cancelled_owned(future))
                .catch_unwind()
                .await;
            if let Err(panic) = caught {
                panics.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
                tracing::error!(task = %name, panic = panic_message(&*panic), "task panicked");
            }
        };
        tokio::spawn(self.tracker.track_future(guarded.instrument(span)));
    }

    /// A token that is cancelled when the owner shuts down or is dropped. Tasks should end soon after.
    pub fn token(&self) -> CancellationToken {
        self.cancel.child_token()
    }

    /// Tasks that have not ended.
    pub fn len(&self) -> usize {
        self.tracker.len()
    }

    /// Whether all tasks have ended.
    pub fn is_empty(&self) -> bool {
        self.tracker.is_empty()
    }

    /// Tasks that ended by a panic.
    pub fn panics(&self) -> usize {
        self.panics.load(std::sync::atomic::Ordering::Relaxed)
    }

    /// Cancels [`Tasks::token`], waits up to `grace` for the tasks to end, then drops those that have not.
    ///
    /// Returns when all are gone: whether all of them ended by themselves. Dropping the returned future drops the
    /// tasks.
    pub async fn shutdown(self, grace: Duration) -> bool {
        self.cancel.cancel();
        self.tracker.close();
        let ended = tokio::time::timeout(grace, self.tracker.wait()).await.is_ok();
        self.kill.cancel();
        self.tracker.wait().await;
        ended
    }
}

impl Drop for Tasks {
    fn drop(&mut self) {
        self.cancel.cancel();
        self.kill.cancel();
        self.tracker.close();
    }
}

/// The text of a panic, as far as it has one.
pub(crate) fn panic_message(panic: &(dyn std::any::Any + Send)) -> &str {
    panic
        .downcast_ref::<&'static str>()
        .copied()
        .or_else(|| panic.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("no message")
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicBool, Ordering};

    /// Tells of its own drop.
    struct Flag(Arc<AtomicBool>);

    impl Drop for Flag {
        fn drop(&mut self) {
            self.0.store(true, Ordering::SeqCst);
        }
    }

    #[tokio::test]
    async fn dropping_the_owner_drops_its_tasks() {
        let dropped = Arc::new(AtomicBool::new(false));
        let (gone, wait) = tokio::sync::oneshot::channel::<()>();
        let tasks = Tasks::new();
        let flag = Flag(dropped.clone());
        tasks.spawn("stuck", async move {
            let _held = (flag, gone);
            std::future::pending::<()>().await;
        });
        drop(tasks);
        assert!(wait.await.is_err());
        assert!(dropped.load(Ordering::SeqCst));
    }

    #[tokio::test(start_paused = true)]
    async fn shutdown_waits_for_tasks_that_heed_the_token() {
        let tasks = Tasks::new();
        let token = tasks.token();
        let done = Arc::new(AtomicBool::new(false));
        let flag = done.clone();
        tasks.spawn("polite", async move {
            token.cancelled().await;
            tokio::time::sleep(Duration::from_secs(1)).await;
            flag.store(true, Ordering::SeqCst);
        });
        assert!(tasks.shutdown(Duration::from_secs(5)).await);
        assert!(done.load(Ordering::SeqCst));
    }

    #[tokio::test(start_paused = true)]
    async fn shutdown_drops_tasks_that_outlast_the_grace() {
        let tasks = Tasks::new();
        tasks.spawn("stuck", std::future::pending());
        assert!(!tasks.shutdown(Duration::from_secs(5)).await);
    }

    #[tokio::test]
    async fn a_panic_is_counted_and_harms_no_other_task() {
        let tasks = Tasks::new();
        let (send, wait) = tokio::sync::oneshot::channel();
        tasks.spawn("bad", async { panic!("oh no") });
        tasks.spawn("good", async move {
            let _ = send.send(7);
        });
        assert_eq!(wait.await, Ok(7));
        while !tasks.is_empty() {
            tokio::task::yield_now().await;
        }
        assert_eq!(tasks.panics(), 1);
    }
}
