//! Putting a controller together.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt;
use futures::future::BoxFuture;

use super::run::Controller;
use super::{Reconciler, RunnerConfig};
use crate::runtime::metrics::RuntimeMetrics;
use crate::runtime::{Add, Cache, Cached, Delta, ObjectKey, Priority, Subscription, WorkQueue};

/// Registers a watch when the queue is there.
type Attach = Box<dyn FnOnce(&WorkQueue<ObjectKey>) -> Attached + Send>;

/// A watch that feeds the queue.
pub(super) struct Attached {
    pub(super) subscription: Subscription,
    pub(super) synced: BoxFuture<'static, ()>,
}

/// Puts a [`Controller`] together; made by [`Controller::builder`].
pub struct ControllerBuilder<R: Reconciler> {
    name: String,
    cache: Cache<R::Object>,
    reconciler: R,
    config: RunnerConfig,
    changed: Option<Changed<R::Object>>,
    watches: Vec<Attach>,
    metrics: Option<RuntimeMetrics>,
}

type Changed<T> = Box<dyn Fn(&T, &T) -> bool + Send + Sync>;

impl<R: Reconciler> fmt::Debug for ControllerBuilder<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ControllerBuilder")
            .field("name", &self.name)
            .field("config", &self.config)
            .finish_non_exhaustive()
    }
}

impl<R: Reconciler> ControllerBuilder<R> {
    pub(super) fn new(name: String, cache: Cache<R::Object>, reconciler: R) -> Self {
        Self {
            name,
            cache,
            reconciler,
            config: RunnerConfig::default(),
            changed: None,
            watches: Vec::new(),
            metrics: None,
        }
    }

    /// Settings other than the default. What does not pass [`RunnerConfig::validate`] is bent to the nearest that does.
    #[must_use]
    pub fn config(mut self, config: RunnerConfig) -> Self {
        self.config = config;
        self
    }

    /// Which updates of the object itself matter, as `(old, new)`; the others make no reconcile. Additions and
    /// deletions always matter. Default: all updates.
    #[must_use]
    pub fn changed(
        mut self,
        changed: impl Fn(&R::Object, &R::Object) -> bool + Send + Sync + 'static,
    ) -> Self {
        self.changed = Some(Box::new(changed));
        self
    }

    /// Also reconciles when objects of another cache change: `map` calls its second argument with each key to
    /// reconcile. It is called inline by the watch, so it must be quick; it may look things up by index.
    ///
    /// An update should name the keys of the old and of the new state.
    #[must_use]
    pub fn watches<U: Cached>(
        mut self,
        cache: &Cache<U>,
        map: impl Fn(&Delta<U>, &mut dyn FnMut(ObjectKey)) + Send + Sync + 'static,
    ) -> Self {
        let cache = cache.clone();
        self.watches
            .push(Box::new(move |queue| attach(&cache, queue, map)));
        self
    }

    /// Reports to these metrics.
    #[must_use]
    pub fn metrics(mut self, metrics: &RuntimeMetrics) -> Self {
        self.metrics = Some(metrics.clone());
        self
    }

    /// The controller. Its queue fills from now on.
    pub fn build(self) -> Controller<R> {
        let mut config = self.config;
        config.workers = config.workers.clamp(1, RunnerConfig::MAX_WORKERS);
        config.reconcile_timeout = config.reconcile_timeout.max(Duration::from_millis(1));
        config.queue.name.clone_from(&self.name);
        let queue = match &self.metrics {
            Some(metrics) => WorkQueue::with_metrics(config.queue.clone(), metrics),
            None => WorkQueue::new(config.queue.clone()),
        };
        let changed = self.changed;
        let own = attach(&self.cache, &queue, move |delta, enqueue| {
            if let (Delta::Updated { old, new }, Some(changed)) = (delta, &changed)
                && !changed(old, new)
            {
                return;
            }
            enqueue(delta.key());
        });
        let mut attached = vec![own];
        attached.extend(self.watches.into_iter().map(|attach| attach(&queue)));
        let metrics = self.metrics.map(|metrics| metrics.controller(&self.name));
        Controller::new(
            self.name,
            self.cache,
            Arc::new(self.reconciler),
            config,
            queue,
            attached,
            metrics,
        )
    }
}

/// Adds to the queue what `map` makes of deltas: the first list at priority LOW, changes at NORMAL.
fn attach<U: Cached>(
    cache: &Cache<U>,
    queue: &WorkQueue<ObjectKey>,
    map: impl Fn(&Delta<U>, &mut dyn FnMut(ObjectKey)) + Send + Sync + 'static,
) -> Attached {
    let target = queue.clone();
    let subscription = cache.subscribe(move |delta| {
        let priority = if delta.is_initial() {
            Priority::LOW
        } else {
            Priority::NORMAL
        };
        map(delta, &mut |key| {
            target.add_with(
                key,
                Add {
                    priority,
                    after: None,
                },
            )
        });
    });
    let cache = cache.clone();
    Attached {
        subscription,
        synced: async move { cache.synced().await }.boxed(),
    }
}
