//! What is ready at one priority, in the order in which it became so.

use std::collections::{BTreeMap, VecDeque};

use super::state::Slot;

/// Keys come in the order of their numbers, but for those whose priority was raised while they waited: these keep their
/// number and are held apart. An entry whose key was raised out of this lane stays behind, and is left out when it is met.
#[derive(Debug, Default)]
pub(super) struct Lane {
    queue: VecDeque<(u64, Slot)>,
    raised: BTreeMap<u64, Slot>,
}

impl Lane {
    /// Appends a key with a number larger than all before.
    pub(super) fn push(&mut self, seq: u64, slot: Slot) {
        self.queue.push_back((seq, slot));
    }

    /// Adds a key that became ready before, in another lane.
    pub(super) fn raise(&mut self, seq: u64, slot: Slot) {
        self.raised.insert(seq, slot);
    }

    /// Takes such a key out again; false if it is in the queue.
    pub(super) fn unraise(&mut self, seq: u64) -> bool {
        self.raised.remove(&seq).is_some()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.queue.is_empty() && self.raised.is_empty()
    }

    /// Drops entries at the front that are not here any more; how many.
    pub(super) fn clean(&mut self, is_here: impl Fn(Slot, u64) -> bool) -> usize {
        let before = self.queue.len();
        while self
            .queue
            .front()
            .is_some_and(|(seq, slot)| !is_here(*slot, *seq))
        {
            self.queue.pop_front();
        }
        before - self.queue.len()
    }

    /// Drops all entries that are not here any more.
    pub(super) fn retain(&mut self, is_here: impl Fn(Slot, u64) -> bool) {
        self.queue.retain(|(seq, slot)| is_here(*slot, *seq));
    }

    /// The first, of a lane that is clean.
    pub(super) fn front(&self) -> Option<(u64, Slot)> {
        let raised = self.raised.first_key_value().map(|(seq, slot)| (*seq, *slot));
        match (self.queue.front().copied(), raised) {
            (Some(queued), Some(raised)) => Some(queued.min(raised)),
            (one, other) => one.or(other),
        }
    }

    /// The first that is here, of a lane that may not be clean.
    pub(super) fn first(&self, is_here: impl Fn(Slot, u64) -> bool) -> Option<(u64, Slot)> {
        let queued = self
            .queue
            .iter()
            .copied()
            .find(|(seq, slot)| is_here(*slot, *seq));
        let raised = self.raised.first_key_value().map(|(seq, slot)| (*seq, *slot));
        queued.into_iter().chain(raised).min()
    }

    /// Removes the first, whose number this is.
    pub(super) fn pop(&mut self, seq: u64) {
        if self.queue.front().is_some_and(|(front, _)| *front == seq) {
            self.queue.pop_front();
        } else {
            self.raised.remove(&seq);
        }
    }
}
