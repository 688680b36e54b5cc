//! A work queue of keys: each at most once, most urgent first, with delays and per-key backoff.
//!
//! The rules:
//! * A key is in the queue at most once. Added again, it takes the highest of the priorities and the earliest of the
//!   times.
//! * The highest priority is handed out first; inside a priority, what became ready first. After
//!   [`QueueConfig::fairness`] keys in a row that overtook an older one, the oldest is handed out, so that low
//!   priorities are never starved.
//! * A key is never handed out twice at once. Added while it is being worked on, it is handed out again after that.
//! * A failed key ([`Verdict::Retry`]) comes back after a delay that doubles with each failure; `Done` and `After`
//!   forget the failures. Adding a key that waits for its delay hands it out at once, and leaves the count alone.
//! * Memory is held for keys that are ready, delayed or being worked on, and for nothing else. It is bounded by the
//!   number of keys, which are the objects of the cluster.

mod config;
mod lane;
mod state;
#[cfg(test)]
mod tests;

use std::fmt;
use std::hash::Hash;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio::time::Instant;

pub use config::{Add, Priority, QueueConfig, Verdict};
use state::{Slot, State, later};

use crate::runtime::metrics::{QueueMetrics, RuntimeMetrics};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Open,
    /// Hands out what is ready, takes nothing new.
    Draining,
    Closed,
}

struct Guarded<K> {
    state: State<K>,
    phase: Phase,
    /// The one waiter that sleeps until a delayed key is due, by number, and when that is. The others sleep without a
    /// timer.
    keeper: Option<(u64, Instant)>,
    next_keeper: u64,
}

struct Shared<K> {
    state: Mutex<Guarded<K>>,
    /// Told when a key becomes ready or a nearer due time appears. One waiter suffices: whoever is woken passes the
    /// word on while there is more to do.
    work: Notify,
    /// Told when nothing is being worked on any more while draining.
    idle: Notify,
    metrics: Option<QueueMetrics>,
}

/// A handle to a work queue; clones share it. See the module for the rules.
///
/// Works inside and outside of a tokio runtime, except for [`WorkQueue::next`] which needs its timer.
pub struct WorkQueue<K>(Arc<Shared<K>>);

impl<K> Clone for WorkQueue<K> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<K> fmt::Debug for WorkQueue<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WorkQueue").finish_non_exhaustive()
    }
}

impl<K: Eq + Hash + Clone> WorkQueue<K> {
    /// An empty queue. Settings that do not pass [`QueueConfig::validate`] are bent to the nearest that do.
    pub fn new(config: QueueConfig) -> Self {
        Self::build(config, None)
    }

    fn build(config: QueueConfig, metrics: Option<QueueMetrics>) -> Self {
        Self(Arc::new(Shared {
            state: Mutex::new(Guarded {
                state: State::new(config),
                phase: Phase::Open,
                keeper: None,
                next_keeper: 0,
            }),
            work: Notify::new(),
            idle: Notify::new(),
            metrics,
        }))
    }

    /// Adds a key with priority NORMAL, to be handed out as soon as a worker is free.
    pub fn add(&self, key: K) {
        self.add_with(key, Add::default());
    }

    /// Adds a key. Without effect after a shut-down.
    pub fn add_with(&self, key: K, options: Add) {
        let now = Instant::now();
        let due = options.after.map_or(now, |after| later(now, after));
        {
            let mut guard = self.0.state.lock();
            if guard.phase != Phase::Open {
                return;
            }
            guard.state.add(key, options.priority, due, now);
            self.note_depth(&guard.state);
        }
        if let Some(metrics) = &self.0.metrics {
            metrics.adds.inc();
        }
        self.0.work.notify_one();
    }

    /// The next key to work on, when there is one; `None` after a shut-down.
    ///
    /// Any number of workers may wait. Cancel safe: a future that is dropped takes nothing with it, and the wake-up it
    /// may have got is passed on.
    pub async fn next(&self) -> Option<Lease<K>> {
        let mut keeper = None;
        loop {
            // Registered before looking, so that an add between looking and waiting is not missed.
            let mut woken = std::pin::pin!(self.0.work.notified());
            woken.as_mut().enable();
            match self.try_next(&mut keeper) {
                Next::Work(lease) => return Some(lease),
                Next::Closed => return None,
                Next::Wait => {}
            }
            match &keeper {
                Some(Keeper { due, .. }) => {
                    let _ = tokio::time::timeout_at(*due, woken).await;
                }
                None => woken.await,
            }
        }
    }

    fn try_next<'a>(&'a self, keeper: &mut Option<Keeper<'a, K>>) -> Next<K> {
        // Whoever looks for itself needs nobody to be told. Outside of the lock, which it takes itself.
        if let Some(keeper) = keeper.take() {
            keeper.resign();
        }
        let now = Instant::now();
        let mut guard = self.0.state.lock();
        let guarded = &mut *guard;
        if guarded.phase == Phase::Closed {
            return Next::Closed;
        }
        let Some(taken) = guarded.state.take(now) else {
            if guarded.phase != Phase::Open {
                return Next::Closed;
            }
            if let Some(due) = guarded.state.next_due()
                && guarded.keeper.is_none_or(|(_, kept)| due < kept)
            {
                let id = guarded.next_keeper;
                guarded.next_keeper += 1;
                guarded.keeper = Some((id, due));
                *keeper = Some(Keeper {
                    shared: &self.0,
                    id,
                    due,
                });
            }
            return Next::Wait;
        };
        self.note_depth(&guarded.state);
        let more = guarded.state.ready() > 0 || guarded.state.delayed() > 0;
        drop(guard);
        if more {
            self.0.work.notify_one();
        }
        if let Some(metrics) = &self.0.metrics {
            metrics.latency.observe(taken.waited.as_secs_f64());
        }
        Next::Work(Lease {
            queue: self.clone(),
            slot: taken.slot,
            key: taken.key,
            priority: taken.priority,
            failures: taken.failures,
            started: now,
            finished: false,
        })
    }

    fn finish(&self, slot: Slot, verdict: Verdict, started: Instant) {
        let now = Instant::now();
        let idle = {
            let mut guard = self.0.state.lock();
            let open = guard.phase == Phase::Open;
            guard.state.finish(slot, verdict, open, now);
            self.note_depth(&guard.state);
            !open && guard.state.running() == 0
        };
        if let Some(metrics) = &self.0.metrics {
            metrics
                .work
                .observe(now.saturating_duration_since(started).as_secs_f64());
            if matches!(verdict, Verdict::Retry | Verdict::RetryAfter(_)) {
                metrics.retries.inc();
            }
        }
        self.0.work.notify_one();
        if idle {
            self.0.idle.notify_waiters();
        }
    }

    /// Stops the queue: forgets what waits, ends every [`WorkQueue::next`], refuses new keys. Keys that are being
    /// worked on are forgotten when they finish.
    pub fn shut_down(&self) {
        {
            let mut guard = self.0.state.lock();
            guard.state.clear();
            guard.phase = Phase::Closed;
            self.note_depth(&guard.state);
        }
        self.0.work.notify_waiters();
        self.0.work.notify_one();
        self.0.idle.notify_waiters();
    }

    /// Stops the queue without dropping what is ready: refuses new keys, forgets the delayed ones, and returns when
    /// the workers have finished all that was ready. Then every [`WorkQueue::next`] ends.
    ///
    /// Cancel safe: dropped, the queue goes on draining.
    pub async fn shut_down_and_drain(&self) {
        {
            let mut guard = self.0.state.lock();
            if guard.phase == Phase::Open {
                guard.state.promote(Instant::now());
                guard.state.clear_delayed();
                guard.phase = Phase::Draining;
            }
        }
        loop {
            let mut idle = std::pin::pin!(self.0.idle.notified());
            idle.as_mut().enable();
            // Those that wait for work find none and end; those that find some pass the word on.
            self.0.work.notify_waiters();
            {
                let guard = self.0.state.lock();
                if guard.phase == Phase::Closed || (guard.state.ready() == 0 && guard.state.running() == 0) {
                    break;
                }
            }
            idle.await;
        }
        self.shut_down();
    }

    /// Keys that may be handed out now.
    pub fn len(&self) -> usize {
        self.settled(|state| state.ready())
    }

    /// Whether no key may be handed out now.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Keys that wait for their time.
    pub fn delayed(&self) -> usize {
        self.settled(|state| state.delayed())
    }

    /// Keys that are being worked on.
    pub fn running(&self) -> usize {
        self.settled(|state| state.running())
    }

    /// How long the oldest ready key has waited; `None` when none is ready.
    pub fn oldest_age(&self) -> Option<Duration> {
        let now = Instant::now();
        self.settled(|state| state.oldest_ready())
            .map(|since| now.saturating_duration_since(since))
    }

    fn settled<V>(&self, read: impl FnOnce(&State<K>) -> V) -> V {
        let mut guard = self.0.state.lock();
        guard.state.promote(Instant::now());
        read(&guard.state)
    }

    fn note_depth(&self, state: &State<K>) {
        if let Some(metrics) = &self.0.metrics {
            metrics
                .depth
                .set(i64::try_from(state.ready()).unwrap_or(i64::MAX));
            metrics
                .delayed
                .set(i64::try_from(state.delayed()).unwrap_or(i64::MAX));
        }
    }
}

impl<K: Eq + Hash + Clone + Send + 'static> WorkQueue<K> {
    /// An empty queue that reports to `metrics` under `config.name`.
    pub fn with_metrics(config: QueueConfig, metrics: &RuntimeMetrics) -> Self {
        let name = config.name.clone();
        let queue = Self::build(config, Some(metrics.queue(&name)));
        let weak = Arc::downgrade(&queue.0);
        metrics.queue_age(&name, move || {
            let queue = Self(weak.upgrade()?);
            Some(queue.oldest_age().unwrap_or_default().as_secs_f64())
        });
        queue
    }
}

enum Next<K: Eq + Hash + Clone> {
    Work(Lease<K>),
    Wait,
    Closed,
}

/// Held by the waiter that knows when the next key is due. When its wait is dropped, another waiter must learn of that.
struct Keeper<'a, K: Eq + Hash + Clone> {
    shared: &'a Shared<K>,
    id: u64,
    due: Instant,
}

impl<K: Eq + Hash + Clone> Keeper<'_, K> {
    /// Gives the office up because the holder looks for itself now.
    fn resign(mut self) {
        self.leave();
    }

    /// Whether it still was the keeper, and there is something to keep.
    fn leave(&mut self) -> bool {
        let mut guard = self.shared.state.lock();
        let kept = guard.keeper.is_some_and(|(id, _)| id == self.id);
        if kept {
            guard.keeper = None;
        }
        kept && (guard.state.delayed() > 0 || guard.state.ready() > 0)
    }
}

impl<K: Eq + Hash + Clone> Drop for Keeper<'_, K> {
    fn drop(&mut self) {
        if self.leave() {
            self.shared.work.notify_one();
        }
    }
}

/// A key that is being worked on; nobody else gets it until this ends.
///
/// Dropped without [`Lease::finish`] (the worker was cancelled or panicked), it counts as [`Verdict::Retry`].
#[must_use = "dropping a lease retries its key"]
pub struct Lease<K: Eq + Hash + Clone> {
    queue: WorkQueue<K>,
    slot: Slot,
    key: K,
    priority: Priority,
    failures: u32,
    started: Instant,
    finished: bool,
}

impl<K: Eq + Hash + Clone> Lease<K> {
    /// What to work on.
    pub fn key(&self) -> &K {
        &self.key
    }

    /// How urgent it was when it was handed out.
    pub fn priority(&self) -> Priority {
        self.priority
    }

    /// How often in a row it has failed before.
    pub fn failures(&self) -> u32 {
        self.failures
    }

    /// Ends the work.
    pub fn finish(mut self, verdict: Verdict) {
        self.finished = true;
        self.queue.finish(self.slot, verdict, self.started);
    }
}

impl<K: Eq + Hash + Clone> Drop for Lease<K> {
    fn drop(&mut self) {
        if !self.finished {
            self.queue.finish(self.slot, Verdict::Retry, self.started);
        }
    }
}

impl<K: Eq + Hash + Clone + fmt::Debug> fmt::Debug for Lease<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Lease")
            .field("key", &self.key)
            .field("priority", &self.priority)
            .field("failures", &self.failures)
            .finish_non_exhaustive()
    }
}
