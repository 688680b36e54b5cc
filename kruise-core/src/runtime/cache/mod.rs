//! A cache of one kind of object: fed by one watch, read by everybody.
//!
//! ```text
//!   API server ──watch──▶ CacheDriver ──write──▶ Cache ◀──read── reconcilers, planners, explain
//!                                        │
//!                                        └─delta─▶ handlers ──key──▶ work queues
//! ```
//! * Objects are decoded one by one: what cannot be decoded is reported and skipped, and the last good state of that
//!   object is kept.
//! * managedFields and the last-applied annotation are dropped before an object is stored; a projection keeps less.
//! * A relist writes key by key: unchanged objects (by uid and resourceVersion) keep their `Arc` and make no delta,
//!   and what the list did not show is told as a tombstone. Readers wait for the write of one key at most.

mod activity;
mod adapters;
mod builder;
mod delta;
mod derive;
mod index;
mod lenient;
mod store;
#[cfg(test)]
mod tests;
mod wait;
mod watch;
mod writer;

use std::fmt;
use std::hash::Hash;
use std::panic::AssertUnwindSafe;
use std::sync::{Arc, Weak};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::watch as signal;
use tokio::time::Instant;

pub use builder::{CacheBuilder, CacheConfig, ListStrategy};
pub use delta::Delta;
pub use index::Index;
pub use lenient::Undecodable;
use store::Store;
pub use wait::WaitError;
use wait::Waiters;
pub use watch::CacheDriver;
pub use writer::CacheWriter;

use super::metrics::{CacheMetrics, RuntimeMetrics};
use super::tasks::panic_message;
use super::{Cached, ObjectKey, version_at_least};

type Handler<T> = Arc<dyn Fn(&Delta<T>) + Send + Sync>;

struct Registered<T> {
    handler: Handler<T>,
    /// Whose drop ends the registration; `None` for one that lasts as long as the cache.
    owner: Option<Weak<()>>,
}

impl<T> Registered<T> {
    fn is_alive(&self) -> bool {
        self.owner.as_ref().is_none_or(|owner| owner.strong_count() > 0)
    }
}

/// What is written under one lock, so that handlers see each change once and in order.
struct Feed<T> {
    handlers: Vec<Registered<T>>,
    /// The number of the last list that was started.
    list: u64,
}

struct Inner<T> {
    name: String,
    store: Store<T>,
    feed: Mutex<Feed<T>>,
    upstream: Arc<Upstream>,
    metrics: Option<CacheMetrics>,
}

/// How far a watch has come; caches that are derived from one another share it.
#[derive(Default)]
struct Upstream {
    synced: signal::Sender<bool>,
    waiters: Waiters,
    last_event: Mutex<Option<Instant>>,
}

/// A read handle to a cache; clones share it. Reads never wait for the network.
pub struct Cache<T>(Arc<Inner<T>>);

impl<T> Clone for Cache<T> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<T> fmt::Debug for Cache<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Cache")
            .field("name", &self.0.name)
            .finish_non_exhaustive()
    }
}

/// Keeps a delta handler registered; dropping it ends the registration.
#[derive(Debug)]
#[must_use = "dropping it ends the registration"]
pub struct Subscription {
    _owner: Arc<()>,
}

impl<T: Cached> Cache<T> {
    fn new(name: &str, metrics: Option<&RuntimeMetrics>) -> Self {
        Self::under(Arc::default(), name, metrics)
    }

    fn under(upstream: Arc<Upstream>, name: &str, metrics: Option<&RuntimeMetrics>) -> Self {
        let cache = Self(Arc::new(Inner {
            name: name.to_owned(),
            store: Store::new(),
            feed: Mutex::new(Feed {
                handlers: Vec::new(),
                list: 0,
            }),
            upstream,
            metrics: metrics.map(|metrics| metrics.cache(name)),
        }));
        if let Some(metrics) = metrics {
            let weak = Arc::downgrade(&cache.0);
            metrics.cache_age(name, move || {
                let cache = Self(weak.upgrade()?);
                Some(cache.last_event_age().unwrap_or_default().as_secs_f64())
            });
        }
        cache
    }

    /// A cache without a watch, which holds `objects` and counts as synced, and what writes to it. For tests, benches
    /// and explanations.
    pub fn offline(objects: impl IntoIterator<Item = T>) -> (Self, CacheWriter<T>) {
        let cache = Self::new("offline", None);
        let writer = CacheWriter::new(cache.clone());
        writer.relist(objects);
        (cache, writer)
    }

    /// The name given to the builder, or the plural of the kind.
    pub fn name(&self) -> &str {
        &self.0.name
    }

    /// The object of this key.
    pub fn get(&self, key: &ObjectKey) -> Option<Arc<T>> {
        self.0.store.get(key)
    }

    /// The object of this uid.
    pub fn get_by_uid(&self, uid: &str) -> Option<Arc<T>> {
        self.0.store.get_by_uid(uid)
    }

    /// All objects, in no order. Costs one reference count each.
    pub fn list(&self) -> Vec<Arc<T>> {
        self.0.store.list()
    }

    /// How many objects there are.
    pub fn len(&self) -> usize {
        self.0.store.len()
    }

    /// Whether there are no objects.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Declares a secondary index: `values` tells the values under which an object is found. Objects that are held
    /// already are indexed at once.
    ///
    /// `values` must give the same for the same object, must not panic and must not use this cache.
    /// Declare each index once and keep the handle; the index lives as long as the cache.
    pub fn index<V, I>(&self, values: impl Fn(&T) -> I + Send + Sync + 'static) -> Index<T, V>
    where
        V: Eq + Hash + Send + Sync + 'static,
        I: IntoIterator<Item = V>,
    {
        let index = Index::new(move |object: &T| values(object).into_iter().collect());
        let _feed = self.0.feed.lock();
        self.0.store.add_index(index.erased());
        index
    }

    /// The objects with this value, in no order. The index must have been made by this cache.
    pub fn by_index<V>(&self, index: &Index<T, V>, value: &V) -> Vec<Arc<T>>
    where
        V: Eq + Hash + Send + Sync + 'static,
    {
        index.get(value)
    }

    /// How many objects have this value. The index must have been made by this cache.
    pub fn count_by_index<V>(&self, index: &Index<T, V>, value: &V) -> usize
    where
        V: Eq + Hash + Send + Sync + 'static,
    {
        index.count(value)
    }

    /// Registers a handler for the life of the cache. It is called with every delta, in order, after the cache holds
    /// the new state; first with all that is held now, as `Added { initial: true }`.
    ///
    /// The driver waits for handlers, so they must be quick and must not block: they turn a delta into keys and add
    /// those to a queue. A handler may read this cache, but must not register handlers or indexes on it. One that
    /// panics is logged, counted, and called again with the next delta.
    pub fn on_delta(&self, handler: impl Fn(&Delta<T>) + Send + Sync + 'static) {
        self.register(Arc::new(handler), None);
    }

    /// Like [`Cache::on_delta`], until the subscription is dropped.
    pub fn subscribe(&self, handler: impl Fn(&Delta<T>) + Send + Sync + 'static) -> Subscription {
        let owner = Arc::new(());
        self.register(Arc::new(handler), Some(Arc::downgrade(&owner)));
        Subscription { _owner: owner }
    }

    fn register(&self, handler: Handler<T>, owner: Option<Weak<()>>) {
        let mut feed = self.0.feed.lock();
        for new in self.0.store.list() {
            self.call(&handler, &Delta::Added { new, initial: true });
        }
        feed.handlers.retain(Registered::is_alive);
        feed.handlers.push(Registered { handler, owner });
    }

    fn call(&self, handler: &Handler<T>, delta: &Delta<T>) {
        let called = std::panic::catch_unwind(AssertUnwindSafe(|| handler(delta)));
        if let Err(panic) = called {
            if let Some(metrics) = &self.0.metrics {
                metrics.handler_panics.inc();
            }
            let panic = panic_message(&*panic);
            tracing::error!(cache = %self.0.name, object = %delta.key(), panic, "delta handler panicked");
        }
    }

    /// Returns when the first list is complete. Never, when the driver stops before that: wait beside a cancellation.
    /// Cancel safe.
    pub async fn synced(&self) {
        // The sender lives in what `self` holds, so this cannot fail.
        let _ = self
            .0
            .upstream
            .synced
            .subscribe()
            .wait_for(|synced| *synced)
            .await;
    }

    /// Whether the first list is complete.
    pub fn is_synced(&self) -> bool {
        *self.0.upstream.synced.borrow()
    }

    /// Waits until the cache holds the effect of a write to the object `uid` that returned `resource_version`, so that
    /// the next read sees it; or something newer, or the object's deletion. Woken by the event itself. Cancel safe.
    ///
    /// The write must have been made to an object that this cache watches.
    ///
    /// # Errors
    /// [`WaitError::Timeout`] when it was not seen in time, [`WaitError::Stopped`] when the driver has ended.
    pub async fn wait_for(
        &self,
        uid: &str,
        resource_version: &str,
        timeout: Duration,
    ) -> Result<(), WaitError> {
        // Before looking, so that a write between looking and waiting is not missed.
        let waiting = self.0.upstream.waiters.register(resource_version);
        let held = self.get_by_uid(uid);
        if held.is_some_and(|object| version_at_least(object.resource_version(), resource_version)) {
            return Ok(());
        }
        let Some(mut waiting) = waiting? else {
            return Ok(());
        };
        match tokio::time::timeout(timeout, &mut waiting.told).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(_)) => Err(WaitError::Stopped),
            Err(_) => Err(WaitError::Timeout),
        }
    }

    /// How long ago the server was last heard of: by an event, an answer, or a bookmark. A healthy server is heard of
    /// at least once in [`CacheConfig::watch_timeout`]. `None` before the first time, and for offline caches.
    pub fn last_event_age(&self) -> Option<Duration> {
        self.0.upstream.last_event.lock().map(|at| at.elapsed())
    }

    /// Whether the cache is synced and has heard of its server within `max_age`; for readiness probes. Offline caches
    /// are always ready.
    pub fn is_ready(&self, max_age: Duration) -> bool {
        self.is_synced() && self.last_event_age().is_none_or(|age| age <= max_age)
    }
}
