//! How far a waiting list may be followed now: `maxUnavailable`.

use std::fmt;

use super::partition;

/// How many objects may be unavailable, and how many are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Budget {
    limit: i64,
    unavailable: i64,
    /// Objects of the new revision that are unavailable, if those are limited too.
    unavailable_new: Option<i64>,
}

impl Budget {
    /// A limit, and how many objects count against it already.
    pub fn new(limit: i64, unavailable: usize) -> Self {
        Self {
            limit,
            unavailable: count(unavailable),
            unavailable_new: None,
        }
    }

    /// Counts every object taken, available or not, together with those of the new revision that are unavailable, against the
    /// same limit. So a broken new revision stops even where all old objects are broken too (CloneSet since v1.1).
    #[must_use]
    pub fn guarded(mut self, unavailable_new: usize) -> Self {
        self.unavailable_new = Some(count(unavailable_new));
        self
    }

    /// Takes one object, or says why not. After a refusal all that follow are to be refused.
    pub fn take(&mut self, available: bool) -> Verdict {
        let refused = |unavailable| Verdict::Wait {
            unavailable,
            limit: self.limit,
        };
        if let Some(new) = self.unavailable_new.filter(|new| *new >= self.limit) {
            return refused(new);
        }
        if available && self.unavailable >= self.limit {
            return refused(self.unavailable);
        }
        self.unavailable_new = self.unavailable_new.map(|new| new + 1);
        if !available {
            return Verdict::UpdateUnavailable;
        }
        self.unavailable += 1;
        Verdict::Update { limit: self.limit }
    }
}

fn count(objects: usize) -> i64 {
    i64::try_from(objects).unwrap_or(i64::MAX)
}

/// What happens to one object of a waiting list, and why.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Verdict {
    /// Updated now; it is available and counts against the limit.
    Update {
        /// The limit.
        limit: i64,
    },
    /// Updated now; it is unavailable already, so nothing gets worse.
    UpdateUnavailable,
    /// Not now: the limit is reached.
    Wait {
        /// How many are unavailable.
        unavailable: i64,
        /// The limit.
        limit: i64,
    },
    /// Not now: an object before it has to wait, and the order is kept.
    WaitInOrder,
    /// Stays at the old revision.
    Keep {
        /// How many do.
        partition: i64,
    },
}

impl Verdict {
    /// Whether the object is updated now.
    pub fn is_update(self) -> bool {
        matches!(self, Self::Update { .. } | Self::UpdateUnavailable)
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Update { limit } => write!(f, "update: within the limit of {limit} unavailable"),
            Self::UpdateUnavailable => f.write_str("update: it is unavailable anyway"),
            Self::Wait { unavailable, limit } => {
                write!(f, "wait: {unavailable} are unavailable, the limit is {limit}")
            }
            Self::WaitInOrder => f.write_str("wait: one before it waits"),
            Self::Keep { partition } => write!(f, "keep: the partition keeps {partition}"),
        }
    }
}

/// A verdict on one object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Decision {
    /// Index of the object.
    pub index: u32,
    /// What happens to it.
    pub verdict: Verdict,
}

/// Decides on every object of an ordered waiting list: the last `keep` stay, the others are taken in order until the budget is
/// used up. What is updated is always a prefix of the list.
///
/// `available` tells of an index whether that object is available now. O(n).
pub fn plan(
    waiting: &[u32],
    keep: i64,
    mut budget: Budget,
    available: impl Fn(u32) -> bool,
) -> Vec<Decision> {
    let (candidates, kept) = partition::split(waiting, keep);
    let mut decisions = Vec::with_capacity(waiting.len());
    let mut stopped = false;
    for &index in candidates {
        let verdict = if stopped {
            Verdict::WaitInOrder
        } else {
            budget.take(available(index))
        };
        stopped |= !verdict.is_update();
        decisions.push(Decision { index, verdict });
    }
    decisions.extend(kept.iter().map(|&index| Decision {
        index,
        verdict: Verdict::Keep { partition: keep },
    }));
    decisions
}

#[cfg(test)]
#[path = "budget_tests.rs"]
mod tests;
