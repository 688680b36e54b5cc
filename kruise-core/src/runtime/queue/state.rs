//! The book-keeping of a work queue, without locks, time or tasks: every call is told the time.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};
use std::hash::Hash;
use std::time::Duration;

use hashbrown::HashMap;
use tokio::time::Instant;

use super::config::{Priority, QueueConfig, Verdict};

/// Where a key stands.
#[derive(Clone, Copy, Debug)]
enum Place {
    /// May be handed out. `seq` is its number in the order of becoming ready.
    Ready { seq: u64, since: Instant },
    /// Becomes ready later.
    Delayed { due: Instant, seq: u64 },
    /// Handed out; `again` if it was added meanwhile.
    Running { again: Option<Again> },
}

/// An add that came while the key was being worked on.
#[derive(Clone, Copy, Debug)]
struct Again {
    priority: Priority,
    due: Instant,
}

#[derive(Debug)]
struct Item {
    priority: Priority,
    failures: u32,
    place: Place,
}

/// What is handed out.
#[derive(Debug)]
pub(super) struct Taken<K> {
    pub(super) key: K,
    pub(super) priority: Priority,
    pub(super) failures: u32,
    /// How long it was ready.
    pub(super) waited: Duration,
}

/// All keys and their places. Each operation costs O(log n); a key without a place is forgotten.
#[derive(Debug)]
pub(super) struct State<K> {
    items: HashMap<K, Item>,
    ready: BTreeSet<(Reverse<Priority>, u64)>,
    ready_by_seq: BTreeMap<u64, (K, Priority)>,
    delayed: BTreeMap<(Instant, u64), K>,
    running: usize,
    next_seq: u64,
    overtakes: u32,
    pub(super) config: QueueConfig,
}

impl<K: Eq + Hash + Clone> State<K> {
    pub(super) fn new(config: QueueConfig) -> Self {
        Self {
            items: HashMap::new(),
            ready: BTreeSet::new(),
            ready_by_seq: BTreeMap::new(),
            delayed: BTreeMap::new(),
            running: 0,
            next_seq: 0,
            overtakes: 0,
            config,
        }
    }

    pub(super) fn ready(&self) -> usize {
        self.ready.len()
    }

    pub(super) fn delayed(&self) -> usize {
        self.delayed.len()
    }

    pub(super) fn running(&self) -> usize {
        self.running
    }

    /// Keys of which anything is remembered.
    #[cfg(test)]
    pub(super) fn known(&self) -> usize {
        self.items.len()
    }

    /// When the next delayed key becomes ready.
    pub(super) fn next_due(&self) -> Option<Instant> {
        self.delayed.first_key_value().map(|((due, _), _)| *due)
    }

    /// Since when the key that has waited longest is ready.
    pub(super) fn oldest_ready(&self) -> Option<Instant> {
        let (key, _) = self.ready_by_seq.first_key_value()?.1;
        match self.items.get(key)?.place {
            Place::Ready { since, .. } => Some(since),
            _ => None,
        }
    }

    /// Adds a key, or moves it forward: the highest priority and the earliest time count.
    pub(super) fn add(&mut self, key: K, priority: Priority, due: Instant, now: Instant) {
        let Some(item) = self.items.get_mut(&key) else {
            self.place(key, priority, 0, due, now);
            return;
        };
        match &mut item.place {
            Place::Running { again } => {
                *again = Some(again.map_or(Again { priority, due }, |old| Again {
                    priority: old.priority.max(priority),
                    due: old.due.min(due),
                }));
            }
            Place::Ready { seq, .. } => {
                if priority > item.priority {
                    let seq = *seq;
                    self.ready.remove(&(Reverse(item.priority), seq));
                    item.priority = priority;
                    self.ready.insert((Reverse(priority), seq));
                    if let Some((_, listed)) = self.ready_by_seq.get_mut(&seq) {
                        *listed = priority;
                    }
                }
            }
            Place::Delayed { due: old_due, seq } => {
                item.priority = item.priority.max(priority);
                if due < *old_due {
                    let at = (*old_due, *seq);
                    let (priority, failures) = (item.priority, item.failures);
                    self.delayed.remove(&at);
                    self.place(key, priority, failures, due, now);
                }
            }
        }
    }

    /// Writes a key that has no place into `ready` or `delayed`.
    fn place(&mut self, key: K, priority: Priority, failures: u32, due: Instant, now: Instant) {
        let seq = self.next_seq;
        self.next_seq += 1;
        let place = if due <= now {
            self.ready.insert((Reverse(priority), seq));
            self.ready_by_seq.insert(seq, (key.clone(), priority));
            Place::Ready {
                seq,
                since: due.min(now),
            }
        } else {
            self.delayed.insert((due, seq), key.clone());
            Place::Delayed { due, seq }
        };
        self.items.insert(
            key,
            Item {
                priority,
                failures,
                place,
            },
        );
    }

    /// Makes ready what is due, in the order in which it fell due.
    pub(super) fn promote(&mut self, now: Instant) {
        while let Some(entry) = self.delayed.first_entry() {
            let due = entry.key().0;
            if due > now {
                return;
            }
            let key = entry.remove();
            if let Some(item) = self.items.get(&key) {
                let (priority, failures) = (item.priority, item.failures);
                self.place(key, priority, failures, due, now);
            }
        }
    }

    /// Hands out the next key, if one is ready.
    ///
    /// The highest priority first, and inside a priority the one that became ready first; but after
    /// `config.fairness` keys in a row that overtook an older one, the oldest.
    pub(super) fn take(&mut self, now: Instant) -> Option<Taken<K>> {
        self.promote(now);
        let &(Reverse(top), top_seq) = self.ready.first()?;
        let (&oldest_seq, &(_, oldest_priority)) = self.ready_by_seq.first_key_value()?;
        let (priority, seq) = if oldest_seq == top_seq {
            self.overtakes = 0;
            (top, top_seq)
        } else if self.config.fairness > 0 && self.overtakes >= self.config.fairness {
            self.overtakes = 0;
            (oldest_priority, oldest_seq)
        } else {
            self.overtakes = self.overtakes.saturating_add(1);
            (top, top_seq)
        };
        self.ready.remove(&(Reverse(priority), seq));
        let (key, _) = self.ready_by_seq.remove(&seq)?;
        let item = self.items.get_mut(&key)?;
        let waited = match item.place {
            Place::Ready { since, .. } => now.saturating_duration_since(since),
            _ => Duration::ZERO,
        };
        item.place = Place::Running { again: None };
        self.running += 1;
        Some(Taken {
            key,
            priority,
            failures: item.failures,
            waited,
        })
    }

    /// Takes a handed-out key back. With `keep` false it is forgotten whatever the verdict.
    pub(super) fn finish(&mut self, key: &K, verdict: Verdict, keep: bool, now: Instant) {
        let Some((key, item)) = self.items.remove_entry(key) else {
            return;
        };
        let Place::Running { again } = item.place else {
            // Not handed out: nothing to take back.
            self.items.insert(key, item);
            return;
        };
        self.running -= 1;
        if !keep {
            return;
        }
        let failed = item.failures.saturating_add(1);
        let (failures, delay) = match verdict {
            Verdict::Done => (0, None),
            Verdict::After(delay) => (0, Some(delay)),
            Verdict::Retry => (failed, Some(self.config.backoff(failed, self.next_seq))),
            Verdict::RetryAfter(delay) => (failed, Some(delay)),
        };
        // What the verdict asks for keeps the priority that the key had.
        let own = delay.map(|delay| Again {
            priority: item.priority,
            due: later(now, delay),
        });
        let next = match (own, again) {
            (Some(own), Some(again)) => Again {
                priority: own.priority.max(again.priority),
                due: own.due.min(again.due),
            },
            (Some(next), None) | (None, Some(next)) => next,
            (None, None) => return,
        };
        self.place(key, next.priority, failures, next.due, now);
    }

    /// Forgets all keys that are not being worked on.
    pub(super) fn clear(&mut self) {
        self.ready.clear();
        self.ready_by_seq.clear();
        self.clear_delayed();
        self.items
            .retain(|_, item| matches!(item.place, Place::Running { .. }));
    }

    /// Forgets all keys that are not ready and not being worked on.
    pub(super) fn clear_delayed(&mut self) {
        for key in std::mem::take(&mut self.delayed).into_values() {
            self.items.remove(&key);
        }
    }
}

/// `now + delay`, or about thirty years from now when that is beyond what can be counted.
pub(super) fn later(now: Instant, delay: Duration) -> Instant {
    const FAR: Duration = Duration::from_secs(86_400 * 365 * 30);
    now.checked_add(delay.min(FAR)).unwrap_or(now)
}
