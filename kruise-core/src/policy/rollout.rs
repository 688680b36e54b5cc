//! The engines put together: a verdict with its reason for every member.

use std::fmt;

use super::budget::{Budget, Grant};
use super::member::Member;
use super::partition::quota;
use super::priority::Priority;
use super::rank;
use super::scatter::Scatter;
use super::select::Selector;

/// How a rollout is to go, all values scaled and compiled.
///
/// See [the module](super) for an example. For a SidecarSet: `partition` and the budget scaled by the matched pods.
/// For a CloneSet: `partition` such that the [move](super::partition::of_replicas) is left.
#[derive(Clone, Debug, Default)]
pub struct Rollout<'r> {
    /// Nothing is updated.
    pub paused: bool,
    /// The members that may be updated; all of them without one.
    pub selector: Option<&'r Selector>,
    /// How the default order is changed first.
    pub priority: Option<&'r Priority>,
    /// How equal members are then kept apart.
    pub scatter: Option<&'r Scatter>,
    /// How many of those that wait stay as they are: the last ones in order.
    pub partition: usize,
    /// How many may be unavailable.
    pub budget: Budget,
}

/// Why a member may be updated now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// It is not available, so that updating it costs nothing.
    NotAvailable,
    /// It is one of those that may become unavailable.
    WithinBudget,
}

/// Why a member has to wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hold<O> {
    /// What the controller knows against it.
    Obstacle(O),
    /// The selector of the strategy does not select it.
    NotSelected,
    /// The rollout is paused.
    Paused,
    /// It is among those that stay at the old revision.
    Partition {
        /// How many stay.
        kept: usize,
    },
    /// So many are unavailable that no more may be.
    Budget {
        /// How many may be.
        limit: usize,
        /// How many count as unavailable, those that are updated now among them.
        down: usize,
    },
}

/// What becomes of a member, and why.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict<O> {
    /// It is at the target revision.
    Updated,
    /// It is to be updated now.
    Update(Reason),
    /// It is not.
    Wait(Hold<O>),
}

impl<O: fmt::Display> fmt::Display for Verdict<O> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Updated => f.write_str("is updated"),
            Self::Update(Reason::NotAvailable) => f.write_str("updates: is not available anyway"),
            Self::Update(Reason::WithinBudget) => f.write_str("updates: within maxUnavailable"),
            Self::Wait(Hold::Obstacle(obstacle)) => write!(f, "waits: {obstacle}"),
            Self::Wait(Hold::NotSelected) => f.write_str("waits: not selected by the strategy"),
            Self::Wait(Hold::Paused) => f.write_str("waits: the rollout is paused"),
            Self::Wait(Hold::Partition { kept }) => write!(f, "waits: the partition keeps {kept}"),
            Self::Wait(Hold::Budget { down, limit }) if down > limit => {
                write!(f, "waits: {down} unavailable, more than the {limit} that may be")
            }
            Self::Wait(Hold::Budget { down, .. }) => {
                write!(f, "waits: {down} unavailable, as many as may be")
            }
        }
    }
}

/// What a rollout does now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan<O> {
    /// Positions of the members that wait and may be updated, in the order of the rollout.
    pub order: Vec<u32>,
    /// How many of them, from the front, are updated now.
    pub count: usize,
    /// What becomes of each member, by position.
    pub verdicts: Vec<Verdict<O>>,
}

impl<O> Plan<O> {
    /// Positions of the members that are updated now, in order.
    pub fn updates(&self) -> &[u32] {
        self.order.get(..self.count).unwrap_or(&self.order)
    }
}

impl Rollout<'_> {
    /// Returns what to do with each of `members`: all of the set, updated ones too. Those of equal rank go in the
    /// order of the slice. O(n log n).
    ///
    /// Members beyond position `u32::MAX` are not planned for.
    pub fn plan<M: Member>(&self, members: &[M]) -> Plan<M::Obstacle> {
        let mut budget = self.budget;
        let mut order = Vec::new();
        let mut verdicts = Vec::with_capacity(members.len());
        for (member, at) in members.iter().zip(0..=u32::MAX) {
            let updated = member.is_updated();
            budget.observe(updated, member.is_available());
            verdicts.push(if updated {
                Verdict::Updated
            } else if let Some(obstacle) = member.obstacle() {
                Verdict::Wait(Hold::Obstacle(obstacle))
            } else if self.selector.is_some_and(|selector| !selector.matches(member)) {
                Verdict::Wait(Hold::NotSelected)
            } else {
                order.push(at);
                // What it is unless it is taken below.
                Verdict::Wait(if self.paused {
                    Hold::Paused
                } else {
                    Hold::Partition { kept: self.partition }
                })
            });
        }
        rank::sort(members, &mut order);
        if let Some(priority) = self.priority {
            priority.sort(members, &mut order);
        }
        if let Some(scatter) = self.scatter {
            scatter.sort(members, &mut order);
        }
        let count = if self.paused {
            0
        } else {
            let quota = quota(order.len(), self.partition);
            let moving = order.get(..quota).unwrap_or_default();
            take(members, moving, &mut budget, &mut verdicts)
        };
        Plan {
            order,
            count,
            verdicts,
        }
    }
}

/// Walks those that are to move until the budget refuses one; returns how many it took.
fn take<M: Member>(
    members: &[M],
    moving: &[u32],
    budget: &mut Budget,
    verdicts: &mut [Verdict<M::Obstacle>],
) -> usize {
    let mut taken = 0;
    let mut stopped = false;
    for &at in moving {
        let at = at as usize;
        let (Some(member), Some(verdict)) = (members.get(at), verdicts.get_mut(at)) else {
            continue;
        };
        let grant = if stopped {
            None
        } else {
            budget.take(member.is_available())
        };
        *verdict = match grant {
            Some(Grant::Free) => Verdict::Update(Reason::NotAvailable),
            Some(Grant::Counted) => Verdict::Update(Reason::WithinBudget),
            None => Verdict::Wait(Hold::Budget {
                limit: budget.limit(),
                down: budget.down(),
            }),
        };
        match grant {
            Some(_) => taken += 1,
            None => stopped = true,
        }
    }
    taken
}
