//! The book-keeping of a work queue, without locks, time or tasks: every call is told the time.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::hash::Hash;
use std::time::Duration;

use hashbrown::HashTable;
use tokio::time::Instant;

use super::config::{Priority, QueueConfig, Verdict};
use super::lane::Lane;

/// Where a key's item lies.
pub(super) type Slot = u32;

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
struct Item<K> {
    key: K,
    hash: u64,
    priority: Priority,
    failures: u32,
    place: Place,
}

/// What is handed out.
#[derive(Debug)]
pub(super) struct Taken<K> {
    pub(super) slot: Slot,
    pub(super) key: K,
    pub(super) priority: Priority,
    pub(super) failures: u32,
    /// How long it was ready.
    pub(super) waited: Duration,
}

/// All keys and their places. A key is hashed once, when it is added; from then on it is known by its slot. Taking from a
/// lane costs O(1), raising a priority and waiting for a time O(log n). A key without a place is forgotten.
#[derive(Debug)]
pub(super) struct State<K> {
    slots: Vec<Option<Item<K>>>,
    free: Vec<Slot>,
    index: HashTable<Slot>,
    hasher: ahash::RandomState,
    /// What is ready, by priority.
    lanes: BTreeMap<Reverse<Priority>, Lane>,
    ready: usize,
    /// Entries of lanes whose key has been moved to another one.
    stale: usize,
    delayed: BTreeMap<(Instant, u64), Slot>,
    running: usize,
    next_seq: u64,
    overtakes: u32,
    pub(super) config: QueueConfig,
}

/// Slots that are kept for the next keys when all are gone.
const SPARE: usize = 1024;

impl<K: Eq + Hash + Clone> State<K> {
    pub(super) fn new(config: QueueConfig) -> Self {
        Self {
            slots: Vec::new(),
            free: Vec::new(),
            index: HashTable::new(),
            hasher: ahash::RandomState::default(),
            lanes: BTreeMap::new(),
            ready: 0,
            stale: 0,
            delayed: BTreeMap::new(),
            running: 0,
            next_seq: 0,
            overtakes: 0,
            config,
        }
    }

    pub(super) fn ready(&self) -> usize {
        self.ready
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
        self.index.len()
    }

    /// When the next delayed key becomes ready.
    pub(super) fn next_due(&self) -> Option<Instant> {
        self.delayed.first_key_value().map(|((due, _), _)| *due)
    }

    /// Since when the key that has waited longest is ready.
    pub(super) fn oldest_ready(&self) -> Option<Instant> {
        let fronts = self.lanes.iter().filter_map(|(Reverse(priority), lane)| {
            lane.first(|slot, seq| is_at(&self.slots, slot, seq, *priority))
        });
        let (_, slot) = fronts.min()?;
        match self.item(slot)?.place {
            Place::Ready { since, .. } => Some(since),
            _ => None,
        }
    }

    /// Adds a key, or moves it forward: the highest priority and the earliest time count.
    pub(super) fn add(&mut self, key: K, priority: Priority, due: Instant, now: Instant) {
        let hash = self.hasher.hash_one(&key);
        let slots = &self.slots;
        let is_key = |slot: &Slot| item_of(slots, *slot).is_some_and(|item| item.key == key);
        let Some(&slot) = self.index.find(hash, is_key) else {
            self.insert(key, hash, priority, due, now);
            return;
        };
        let Some(item) = item_mut(&mut self.slots, slot) else {
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
                    let (seq, old) = (*seq, item.priority);
                    item.priority = priority;
                    self.raise(slot, seq, old, priority);
                }
            }
            Place::Delayed { due: old_due, seq } => {
                item.priority = item.priority.max(priority);
                if due < *old_due {
                    let at = (*old_due, *seq);
                    self.delayed.remove(&at);
                    self.place(slot, due, now);
                }
            }
        }
    }

    fn insert(&mut self, key: K, hash: u64, priority: Priority, due: Instant, now: Instant) {
        let place = Place::Running { again: None };
        let item = Some(Item {
            key,
            hash,
            priority,
            failures: 0,
            place,
        });
        let slot = match self.free.pop() {
            Some(slot) => slot,
            None => {
                // More keys than that are not to be had in one cluster.
                let Ok(slot) = Slot::try_from(self.slots.len()) else {
                    return;
                };
                self.slots.push(None);
                slot
            }
        };
        if let Some(place) = self.slots.get_mut(slot as usize) {
            *place = item;
        }
        let slots = &self.slots;
        self.index.insert_unique(hash, slot, |slot| {
            item_of(slots, *slot).map_or(0, |item| item.hash)
        });
        self.place(slot, due, now);
    }

    /// Moves a key that is ready to the lane of a higher priority, where it keeps its number.
    fn raise(&mut self, slot: Slot, seq: u64, old: Priority, new: Priority) {
        if self
            .lanes
            .get_mut(&Reverse(old))
            .is_none_or(|lane| !lane.unraise(seq))
        {
            self.stale += 1;
        }
        self.lanes.entry(Reverse(new)).or_default().raise(seq, slot);
        if self.stale > self.ready + SPARE {
            self.stale = 0;
            let slots = &self.slots;
            for (Reverse(priority), lane) in &mut self.lanes {
                lane.retain(|slot, seq| is_at(slots, slot, seq, *priority));
            }
        }
    }

    /// Writes a key that stands nowhere into a lane or `delayed`.
    fn place(&mut self, slot: Slot, due: Instant, now: Instant) {
        let seq = self.next_seq;
        self.next_seq += 1;
        let Some(item) = item_mut(&mut self.slots, slot) else {
            return;
        };
        if due <= now {
            item.place = Place::Ready {
                seq,
                since: due.min(now),
            };
            self.lanes
                .entry(Reverse(item.priority))
                .or_default()
                .push(seq, slot);
            self.ready += 1;
        } else {
            item.place = Place::Delayed { due, seq };
            self.delayed.insert((due, seq), slot);
        }
    }

    /// Makes ready what is due, in the order in which it fell due.
    pub(super) fn promote(&mut self, now: Instant) {
        while let Some(entry) = self.delayed.first_entry() {
            let due = entry.key().0;
            if due > now {
                return;
            }
            let slot = entry.remove();
            self.place(slot, due, now);
        }
    }

    /// Hands out the next key, if one is ready.
    ///
    /// The highest priority first, and inside a priority the one that became ready first; but after
    /// `config.fairness` keys in a row that overtook an older one, the oldest.
    pub(super) fn take(&mut self, now: Instant) -> Option<Taken<K>> {
        self.promote(now);
        let (slots, stale) = (&self.slots, &mut self.stale);
        // Without what was moved elsewhere; and without lanes that have nothing left.
        self.lanes.retain(|Reverse(priority), lane| {
            *stale = stale.saturating_sub(lane.clean(|slot, seq| is_at(slots, slot, seq, *priority)));
            !lane.is_empty()
        });
        let mut fronts = self
            .lanes
            .iter()
            .filter_map(|(Reverse(priority), lane)| Some((lane.front()?, *priority)));
        let top = fronts.next()?;
        let oldest = fronts.chain([top]).min_by_key(|((seq, _), _)| *seq)?;
        let ((seq, slot), priority) = if oldest.0 == top.0 {
            self.overtakes = 0;
            top
        } else if self.config.fairness > 0 && self.overtakes >= self.config.fairness {
            self.overtakes = 0;
            oldest
        } else {
            self.overtakes = self.overtakes.saturating_add(1);
            top
        };
        self.lanes.get_mut(&Reverse(priority))?.pop(seq);
        self.ready -= 1;
        let item = item_mut(&mut self.slots, slot)?;
        let waited = match item.place {
            Place::Ready { since, .. } => now.saturating_duration_since(since),
            _ => Duration::ZERO,
        };
        item.place = Place::Running { again: None };
        self.running += 1;
        Some(Taken {
            slot,
            key: item.key.clone(),
            priority,
            failures: item.failures,
            waited,
        })
    }

    /// Takes a handed-out key back. With `keep` false it is forgotten whatever the verdict.
    pub(super) fn finish(&mut self, slot: Slot, verdict: Verdict, keep: bool, now: Instant) {
        let seq = self.next_seq;
        let Some(item) = item_mut(&mut self.slots, slot) else {
            return;
        };
        let Place::Running { again } = item.place else {
            return; // not handed out: nothing to take back
        };
        self.running -= 1;
        let failed = item.failures.saturating_add(1);
        let (failures, delay) = match verdict {
            Verdict::Done => (0, None),
            Verdict::After(delay) => (0, Some(delay)),
            Verdict::Retry => (failed, Some(self.config.backoff(failed, seq))),
            Verdict::RetryAfter(delay) => (failed, Some(delay)),
        };
        // What the verdict asks for keeps the priority that the key had.
        let own = delay.map(|delay| Again {
            priority: item.priority,
            due: later(now, delay),
        });
        let next = match (own, again) {
            (Some(own), Some(again)) => Some(Again {
                priority: own.priority.max(again.priority),
                due: own.due.min(again.due),
            }),
            (one, other) => one.or(other),
        };
        match next.filter(|_| keep) {
            None => self.forget(slot),
            Some(next) => {
                (item.priority, item.failures) = (next.priority, failures);
                self.place(slot, next.due, now);
            }
        }
    }

    /// Forgets all keys that are not being worked on.
    pub(super) fn clear(&mut self) {
        self.lanes.clear();
        self.delayed.clear();
        (self.ready, self.stale) = (0, 0);
        for slot in 0..Slot::try_from(self.slots.len()).unwrap_or(Slot::MAX) {
            if self
                .item(slot)
                .is_some_and(|item| !matches!(item.place, Place::Running { .. }))
            {
                self.forget(slot);
            }
        }
    }

    /// Forgets all keys that are not ready and not being worked on.
    pub(super) fn clear_delayed(&mut self) {
        for slot in std::mem::take(&mut self.delayed).into_values() {
            self.forget(slot);
        }
    }

    fn forget(&mut self, slot: Slot) {
        let Some(item) = self.slots.get_mut(slot as usize).and_then(Option::take) else {
            return;
        };
        if let Ok(entry) = self.index.find_entry(item.hash, |other| *other == slot) {
            entry.remove();
        }
        self.free.push(slot);
        if self.index.is_empty() && self.slots.len() > SPARE {
            // A burst is over: what it needed is given back.
            (self.slots, self.free, self.index) = (Vec::new(), Vec::new(), HashTable::new());
        }
    }

    fn item(&self, slot: Slot) -> Option<&Item<K>> {
        item_of(&self.slots, slot)
    }
}

fn item_of<K>(slots: &[Option<Item<K>>], slot: Slot) -> Option<&Item<K>> {
    slots.get(slot as usize)?.as_ref()
}

fn item_mut<K>(slots: &mut [Option<Item<K>>], slot: Slot) -> Option<&mut Item<K>> {
    slots.get_mut(slot as usize)?.as_mut()
}

/// Whether the entry of a lane still is where the key stands.
fn is_at<K>(slots: &[Option<Item<K>>], slot: Slot, seq: u64, priority: Priority) -> bool {
    item_of(slots, slot).is_some_and(|item| {
        item.priority == priority && matches!(item.place, Place::Ready { seq: held, .. } if held == seq)
    })
}

/// `now + delay`, or about thirty years from now when that is beyond what can be counted.
pub(super) fn later(now: Instant, delay: Duration) -> Instant {
    const FAR: Duration = Duration::from_secs(86_400 * 365 * 30);
    now.checked_add(delay.min(FAR)).unwrap_or(now)
}
