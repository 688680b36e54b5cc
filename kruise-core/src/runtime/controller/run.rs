//! The workers of a controller.

use std::fmt;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt;
use futures::future::{BoxFuture, join_all};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tracing::Instrument;

use super::builder::{Attached, ControllerBuilder};
use super::{Outcome, ReconcileError, Reconciler, Retry, RunnerConfig};
use crate::runtime::metrics::ControllerMetrics;
use crate::runtime::tasks::panic_message;
use crate::runtime::{Cache, Lease, ObjectKey, RunError, Runnable, Tasks, Verdict, WorkQueue};

/// How often in a row [`Retry::Now`] is taken at its word.
const RETRIES_AT_ONCE: u32 = 3;

/// A reconciler with its queue and its workers. Starts nothing until it runs; does not feed its caches.
pub struct Controller<R: Reconciler> {
    name: String,
    queue: WorkQueue<ObjectKey>,
    attached: Vec<Attached>,
    worker: Arc<Worker<R>>,
}

/// What every worker needs.
struct Worker<R: Reconciler> {
    name: String,
    cache: Cache<R::Object>,
    reconciler: Arc<R>,
    config: RunnerConfig,
    metrics: Option<ControllerMetrics>,
}

impl<R: Reconciler> fmt::Debug for Controller<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Controller")
            .field("name", &self.name)
            .field("config", &self.worker.config)
            .finish_non_exhaustive()
    }
}

impl<R: Reconciler> Controller<R> {
    /// Starts to put a controller together. Its `name` is that of its queue, metrics and spans.
    pub fn builder(name: impl Into<String>, cache: Cache<R::Object>, reconciler: R) -> ControllerBuilder<R> {
        ControllerBuilder::new(name.into(), cache, reconciler)
    }

    pub(super) fn new(
        name: String,
        cache: Cache<R::Object>,
        reconciler: Arc<R>,
        config: RunnerConfig,
        queue: WorkQueue<ObjectKey>,
        attached: Vec<Attached>,
        metrics: Option<ControllerMetrics>,
    ) -> Self {
        if let Some(metrics) = &metrics {
            metrics
                .workers
                .set(i64::try_from(config.workers).unwrap_or(i64::MAX));
        }
        let worker = Arc::new(Worker {
            name: name.clone(),
            cache,
            reconciler,
            config,
            metrics,
        });
        Self {
            name,
            queue,
            attached,
            worker,
        }
    }

    /// The queue, to add keys from elsewhere: timers, channels, other systems.
    pub fn queue(&self) -> WorkQueue<ObjectKey> {
        self.queue.clone()
    }

    /// Runs until cancelled: waits for all its caches to be synced, then reconciles.
    ///
    /// After the cancellation no new reconcile begins, those that run have `drain_timeout` to end, and then are
    /// dropped. Dropping the future drops them at once. Afterwards the queue takes nothing any more.
    pub async fn run(self, cancel: CancellationToken) {
        let Self {
            name,
            queue,
            attached,
            worker,
        } = self;
        let (_subscriptions, synced): (Vec<_>, Vec<_>) = attached
            .into_iter()
            .map(|attached| (attached.subscription, attached.synced))
            .unzip();
        let _closed = CloseOnDrop(queue.clone());
        if cancel.run_until_cancelled(join_all(synced)).await.is_none() {
            return;
        }
        tracing::info!(controller = %name, workers = worker.config.workers, "controller started");
        let tasks = Tasks::new();
        for number in 0..worker.config.workers {
            let work = Arc::clone(&worker).work(queue.clone(), cancel.clone());
            tasks.spawn(format!("{name}/{number}"), work);
        }
        cancel.cancelled().await;
        if !tasks.shutdown(worker.config.drain_timeout).await {
            tracing::warn!(controller = %name, "reconciles dropped that did not end in time");
        }
        tracing::info!(controller = %name, "controller stopped");
    }
}

impl<R: Reconciler> Runnable for Controller<R> {
    fn name(&self) -> &str {
        &self.name
    }

    fn run(self: Box<Self>, cancel: CancellationToken) -> BoxFuture<'static, Result<(), RunError>> {
        Controller::run(*self, cancel).map(Ok).boxed()
    }
}

/// Ends the queue with the run, however that ends.
struct CloseOnDrop(WorkQueue<ObjectKey>);

impl Drop for CloseOnDrop {
    fn drop(&mut self) {
        self.0.shut_down();
    }
}

impl<R: Reconciler> Worker<R> {
    async fn work(self: Arc<Self>, queue: WorkQueue<ObjectKey>, cancel: CancellationToken) {
        while let Some(Some(lease)) = cancel.run_until_cancelled(queue.next()).await {
            let span = tracing::info_span!("reconcile", controller = %self.name, object = %lease.key());
            self.reconcile(lease).instrument(span).await;
        }
    }

    async fn reconcile(&self, lease: Lease<ObjectKey>) {
        let _active = self.metrics.as_ref().map(Active::new);
        let started = Instant::now();
        let key = lease.key().clone();
        // In an async block, so that a panic before the first await point is caught too.
        let reconciled = AssertUnwindSafe(async {
            let object = self.cache.get(&key);
            self.reconciler.reconcile(key, object).await
        })
        .catch_unwind();
        let ended = tokio::time::timeout(self.config.reconcile_timeout, reconciled).await;
        let (result, verdict) = match ended {
            Ok(Ok(Ok(Outcome::Done))) => ("success", Verdict::Done),
            Ok(Ok(Ok(Outcome::RequeueAfter(delay)))) => ("requeue_after", Verdict::After(delay)),
            Ok(Ok(Err(error))) => failed(&error, lease.failures()),
            Ok(Err(panic)) => {
                tracing::error!(panic = panic_message(&*panic), "reconcile panicked");
                ("panic", Verdict::Retry)
            }
            Err(_) => {
                tracing::warn!(timeout = ?self.config.reconcile_timeout, "reconcile took too long, dropped");
                ("timeout", Verdict::Retry)
            }
        };
        if let Some(metrics) = &self.metrics {
            metrics.count(result);
            metrics.time.observe(started.elapsed().as_secs_f64());
        }
        tracing::debug!(result, "reconciled");
        lease.finish(verdict);
    }
}

fn failed(error: &impl ReconcileError, failures: u32) -> (&'static str, Verdict) {
    let retry = error.retry();
    tracing::warn!(error = %crate::runtime::Causes(error), ?retry, failures, "reconcile failed");
    match retry {
        Retry::Now if failures < RETRIES_AT_ONCE => ("error", Verdict::RetryAfter(Duration::ZERO)),
        Retry::Now | Retry::Backoff => ("error", Verdict::Retry),
        Retry::After(delay) => ("error", Verdict::RetryAfter(delay)),
        Retry::Never => ("terminal_error", Verdict::Done),
    }
}

/// Counts a running reconcile, also when it is dropped.
struct Active<'a>(&'a ControllerMetrics);

impl<'a> Active<'a> {
    fn new(metrics: &'a ControllerMetrics) -> Self {
        metrics.active.inc();
        Self(metrics)
    }
}

impl Drop for Active<'_> {
    fn drop(&mut self) {
        self.0.active.dec();
    }
}
