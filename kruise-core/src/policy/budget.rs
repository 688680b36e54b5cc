//! How many members may be unavailable at once.

use crate::api::int_or_percent::{IntOrPercent, Mode, Quantity};

/// Which members count as unavailable before the first one is taken.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Counting {
    /// Updated ones that are not available; old ones that are down count for nothing and are free. SidecarSet.
    #[default]
    Updated,
    /// All that are not available; old ones that are down are free. CloneSet of release 0.8.
    All,
    /// All that are not available, and beside it the updated ones: an old member that is down is taken without regard
    /// to the first count, but no more are ever under way to the new revision than the limit, so that a broken
    /// revision can not eat what is down already. CloneSet since release 1.1.
    AllAndUpdated,
}

/// Why a member may be taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Grant {
    /// It is not available, so that taking it costs nothing.
    Free,
    /// It is one of those that may become unavailable.
    Counted,
}

/// A number of members that may be unavailable at once, and how many are.
///
/// ```
/// use kruise_core::policy::budget::{Budget, Grant};
///
/// let mut budget = Budget::new(2);
/// budget.observe(true, false);                     // an updated member is not available yet
/// assert_eq!(budget.take(false), Some(Grant::Free));
/// assert_eq!(budget.take(true), Some(Grant::Counted));
/// assert_eq!(budget.take(true), None);             // two are unavailable now
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Budget {
    limit: usize,
    counting: Counting,
    /// Unavailable now, taken ones included.
    down: usize,
    /// With [`Counting::AllAndUpdated`]: under way to the target revision, taken ones included.
    under_way: usize,
}

impl Default for Budget {
    /// The default of a SidecarSet: one at a time.
    fn default() -> Self {
        Self::new(1)
    }
}

impl Budget {
    /// At most `limit` unavailable at once, counted as a SidecarSet does.
    pub const fn new(limit: usize) -> Self {
        Self::counting(limit, Counting::Updated)
    }

    /// At most `limit` unavailable at once.
    ///
    /// A workload that has more members than it should may lose the surplus too: its limit is the scaled
    /// maxUnavailable plus members minus replicas.
    pub const fn counting(limit: usize, counting: Counting) -> Self {
        Self {
            limit,
            counting,
            down: 0,
            under_way: 0,
        }
    }

    /// The budget of `members` of which `min_available` must stay available, a percentage rounded up.
    pub fn keeping_available(min_available: IntOrPercent, members: usize) -> Self {
        let rule = Quantity::PodUnavailableBudgetMinAvailable.rule(Mode::Current);
        let kept = rule.scale(Some(min_available), members);
        Self::counting(members.saturating_sub(kept), Counting::All)
    }

    /// Counts so many members as unavailable, besides those that are [observed](Self::observe).
    pub fn charge(&mut self, members: usize) {
        self.down = self.down.saturating_add(members);
    }

    /// Counts a member that is there. All are to be counted before the first [`take`](Self::take).
    #[inline]
    pub fn observe(&mut self, is_updated: bool, is_available: bool) {
        if is_available {
            return;
        }
        if is_updated || self.counting != Counting::Updated {
            self.down += 1;
        }
        if is_updated && self.counting == Counting::AllAndUpdated {
            self.under_way += 1;
        }
    }

    /// Takes one more member if that may be; what it costs is gone then. After a refusal of one that is available,
    /// another that is not may still be granted: whether to go on is for the caller, and OpenKruise stops.
    #[inline]
    pub fn take(&mut self, is_available: bool) -> Option<Grant> {
        let both = self.counting == Counting::AllAndUpdated;
        if (both && self.under_way >= self.limit) || (is_available && self.down >= self.limit) {
            return None;
        }
        if both {
            self.under_way += 1;
        }
        if is_available {
            self.down += 1;
            return Some(Grant::Counted);
        }
        Some(Grant::Free)
    }

    /// How many may be unavailable.
    pub fn limit(&self) -> usize {
        self.limit
    }

    /// How many of those that count are unavailable, with those that were taken.
    pub fn down(&self) -> usize {
        self.down
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_must_stay_available_is_rounded_up() {
        assert_eq!(Budget::keeping_available(IntOrPercent::percent(61), 5).limit(), 1);
        assert_eq!(Budget::keeping_available(IntOrPercent::percent(60), 5).limit(), 2);
        assert_eq!(Budget::keeping_available(IntOrPercent::int(7), 5).limit(), 0);
        assert_eq!(Budget::keeping_available(IntOrPercent::int(0), 5).limit(), 5);
    }

    #[test]
    fn what_is_charged_is_not_there_to_be_taken() {
        let mut budget = Budget::new(3);
        budget.charge(2);
        assert_eq!(budget.take(true), Some(Grant::Counted));
        assert_eq!((budget.take(true), budget.down()), (None, 3));
    }

    #[test]
    fn a_broken_revision_does_not_eat_members_that_are_down() {
        // C25: two broken new ones, four old ones down, two may be.
        for (counting, taken) in [
            (Counting::All, 4),
            (Counting::AllAndUpdated, 0),
            (Counting::Updated, 4),
        ] {
            let mut budget = Budget::counting(2, counting);
            (0..2).for_each(|_| budget.observe(true, false));
            (0..4).for_each(|_| budget.observe(false, false));
            let granted = (0..4).filter(|_| budget.take(false).is_some()).count();
            assert_eq!(granted, taken, "{counting:?}");
        }
    }

    fn member() -> impl Strategy<Value = (bool, bool)> {
        (any::<bool>(), any::<bool>())
    }

    proptest! {
        /// However many are asked for: never more than the limit unavailable, but for what was so before.
        #[test]
        fn the_limit_is_never_passed(
            limit in 0..20_usize,
            there in prop::collection::vec(member(), 0..30),
            asked in prop::collection::vec(any::<bool>(), 0..60),
        ) {
            for counting in [Counting::Updated, Counting::All, Counting::AllAndUpdated] {
                let mut budget = Budget::counting(limit, counting);
                for &(updated, available) in &there {
                    budget.observe(updated, available);
                }
                let before = budget.down();
                let mut taken = 0;
                let mut cost = 0;
                for &available in &asked {
                    match budget.take(available) {
                        Some(Grant::Counted) => { prop_assert!(available); taken += 1; cost += 1; }
                        Some(Grant::Free) => { prop_assert!(!available); taken += 1; }
                        None => {}
                    }
                }
                prop_assert_eq!(budget.down(), before + cost);
                prop_assert!(budget.down() <= limit.max(before));
                if counting == Counting::AllAndUpdated {
                    prop_assert!(taken <= limit);
                } else {
                    prop_assert!(taken >= asked.iter().filter(|available| !**available).count());
                }
            }
        }
    }
}
