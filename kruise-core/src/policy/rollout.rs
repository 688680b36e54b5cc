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
    /// What becomes of each member, by position. What is the same for all of them stands below.
    marks: Vec<Mark<O>>,
    /// How many stay at the old revision.
    kept: usize,
    /// How many may be unavailable, and how many are, those that are updated now among them.
    limit: usize,
    down: usize,
}

/// A verdict without its numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mark<O> {
    Updated,
    Free,
    Counted,
    Obstacle(O),
    NotSelected,
    Paused,
    Partition,
    Budget,
}

impl<O> Plan<O> {
    /// Positions of the members that are updated now, in order.
    pub fn updates(&self) -> &[u32] {
        self.order.get(..self.count).unwrap_or(&self.order)
    }

    /// Takes back what was to be updated now, for this reason.
    pub fn hold_back(&mut self, obstacle: O)
    where
        O: Clone,
    {
        for at in self.order.get(..self.count).unwrap_or_default() {
            if let Some(mark) = self.marks.get_mut(*at as usize) {
                *mark = Mark::Obstacle(obstacle.clone());
            }
        }
        self.count = 0;
    }
}

impl<O: Clone> Plan<O> {
    /// What becomes of the member at a position.
    pub fn verdict(&self, at: u32) -> Option<Verdict<O>> {
        self.marks.get(at as usize).map(|mark| self.read(mark))
    }

    /// What becomes of each member, by position.
    pub fn verdicts(&self) -> impl ExactSizeIterator<Item = Verdict<O>> {
        self.marks.iter().map(|mark| self.read(mark))
    }

    fn read(&self, mark: &Mark<O>) -> Verdict<O> {
        match mark {
            Mark::Updated => Verdict::Updated,
            Mark::Free => Verdict::Update(Reason::NotAvailable),
            Mark::Counted => Verdict::Update(Reason::WithinBudget),
            Mark::Obstacle(obstacle) => Verdict::Wait(Hold::Obstacle(obstacle.clone())),
            Mark::NotSelected => Verdict::Wait(Hold::NotSelected),
            Mark::Paused => Verdict::Wait(Hold::Paused),
            Mark::Partition => Verdict::Wait(Hold::Partition { kept: self.kept }),
            Mark::Budget => Verdict::Wait(Hold::Budget {
                limit: self.limit,
                down: self.down,
            }),
        }
    }
}

impl Rollout<'_> {
    /// Returns what to do with each of `members`: all of the set, updated ones too. Those of equal rank go in the
    /// order of the slice. O(n log n).
    ///
    /// Members beyond position `u32::MAX` are not planned for.
    pub fn plan<M: Member>(&self, members: &[M]) -> Plan<M::Obstacle> {
        let mut marked = self.marks(members);
        let positions = (0..=u32::MAX).zip(&marked.marks);
        let mut order = Vec::with_capacity(marked.waiting);
        order.extend(positions.filter(|(_, mark)| mark.may_move()).map(|(at, _)| at));
        rank::sort(members, &mut order);
        marked.order = order;
        self.finish(members, marked)
    }

    /// The same for members whose default order is known: `ranked` are their positions by rank, and nobody is asked for
    /// one. A member that is missing there is not updated.
    pub fn plan_ranked<M: Member>(&self, members: &[M], ranked: &[u32]) -> Plan<M::Obstacle> {
        let mut marked = self.marks(members);
        let may_move = |at: &u32| marked.marks.get(*at as usize).is_some_and(Mark::may_move);
        let mut order = Vec::with_capacity(marked.waiting);
        order.extend(ranked.iter().copied().filter(may_move));
        marked.order = order;
        self.finish(members, marked)
    }

    /// What becomes of each member if the budget is used up, who counts as unavailable, and how many may be updated.
    fn marks<M: Member>(&self, members: &[M]) -> Marked<M::Obstacle> {
        let mut budget = self.budget;
        let mut waiting = 0;
        let mark = |(member, _): (&M, u32)| {
            let updated = member.is_updated();
            budget.observe(updated, member.is_available());
            if updated {
                return Mark::Updated;
            }
            if let Some(obstacle) = member.obstacle() {
                return Mark::Obstacle(obstacle);
            }
            if self.selector.is_some_and(|selector| !selector.matches(member)) {
                return Mark::NotSelected;
            }
            waiting += 1;
            // What it is unless it is taken.
            if self.paused {
                Mark::Paused
            } else {
                Mark::Partition
            }
        };
        let marks = members.iter().zip(0..=u32::MAX).map(mark).collect();
        Marked {
            marks,
            budget,
            waiting,
            order: Vec::new(),
        }
    }

    /// Goes on from the default order.
    fn finish<M: Member>(&self, members: &[M], marked: Marked<M::Obstacle>) -> Plan<M::Obstacle> {
        let Marked {
            mut marks,
            mut budget,
            mut order,
            ..
        } = marked;
        if let Some(priority) = self.priority {
            priority.sort(members, &mut order);
        }
        if let Some(scatter) = self.scatter {
            scatter.sort_with(members, &mut order, M::tie_break);
        }
        let count = if self.paused {
            0
        } else {
            let quota = quota(order.len(), self.partition);
            let moving = order.get(..quota).unwrap_or_default();
            take(members, moving, &mut budget, &mut marks)
        };
        Plan {
            order,
            count,
            marks,
            kept: self.partition,
            limit: budget.limit(),
            down: budget.down(),
        }
    }
}

/// Members with their marks, before any is taken.
struct Marked<O> {
    marks: Vec<Mark<O>>,
    budget: Budget,
    /// How many may be updated.
    waiting: usize,
    order: Vec<u32>,
}

impl<O> Mark<O> {
    #[inline]
    fn may_move(&self) -> bool {
        matches!(self, Self::Paused | Self::Partition)
    }
}

/// Walks those that are to move until the budget refuses one; returns how many it took.
fn take<M: Member>(
    members: &[M],
    moving: &[u32],
    budget: &mut Budget,
    marks: &mut [Mark<M::Obstacle>],
) -> usize {
    let mut taken = 0;
    let mut stopped = false;
    for &at in moving {
        let at = at as usize;
        let (Some(member), Some(mark)) = (members.get(at), marks.get_mut(at)) else {
            continue;
        };
        let grant = if stopped {
            None
        } else {
            budget.take(member.is_available())
        };
        *mark = match grant {
            Some(Grant::Free) => Mark::Free,
            Some(Grant::Counted) => Mark::Counted,
            None => Mark::Budget,
        };
        match grant {
            Some(_) => taken += 1,
            None => stopped = true,
        }
    }
    taken
}
