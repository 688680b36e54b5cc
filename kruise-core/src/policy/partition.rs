//! How many members stay at the old revision.
//!
//! The value of the field is rounded by [`Rule`](crate::api::int_or_percent::Rule); here is what it leads to.

/// Which way, and by how many, members are to move between revisions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Move {
    /// Nothing moves.
    None,
    /// So many old ones go to the update revision; never 0.
    Forward(usize),
    /// So many new ones go back to the current revision, since the partition was raised; never 0.
    Back(usize),
}

/// Returns how many of `waiting` members are updated if `partition` of them stay: the SidecarSet's rule, and that of
/// everything that looks at what waits rather than at the whole.
///
/// ```
/// use kruise_core::policy::partition::quota;
/// assert_eq!(quota(10, 8), 2);
/// assert_eq!(quota(3, 5), 0);
/// ```
pub fn quota(waiting: usize, partition: usize) -> usize {
    waiting.saturating_sub(partition)
}

/// Returns how many members will be updated in the end, of `replicas`: what a status shows as expected.
pub fn expected_updated(replicas: usize, partition: usize) -> usize {
    replicas.saturating_sub(partition)
}

/// Returns the move of a workload that has `old` and `new` members, should have `replicas`, and keeps `partition` of
/// them old: the CloneSet's rule.
///
/// The nearer of two goals decides, so many old ones and so many new ones; the difference is left to scaling. Without
/// `may_go_back` (OpenKruise's gate `CloneSetPartitionRollback`), raising the partition moves nothing.
/// ```
/// use kruise_core::policy::partition::{Move, of_replicas};
/// assert_eq!(of_replicas(5, 0, 5, 3, false), Move::Forward(2));
/// assert_eq!(of_replicas(0, 5, 5, 3, false), Move::None);
/// assert_eq!(of_replicas(0, 5, 5, 3, true), Move::Back(3));
/// ```
pub fn of_replicas(old: usize, new: usize, replicas: usize, partition: usize, may_go_back: bool) -> Move {
    let expected_new = expected_updated(replicas, partition);
    // Each goal: whether it asks for forward, and by how many.
    let mut by_old = (old >= partition, old.abs_diff(partition));
    let mut by_new = (new <= expected_new, new.abs_diff(expected_new));
    if !may_go_back {
        for goal in [&mut by_old, &mut by_new] {
            if !goal.0 {
                *goal = (true, 0);
            }
        }
    }
    match if by_old.1 <= by_new.1 { by_old } else { by_new } {
        (_, 0) => Move::None,
        (true, count) => Move::Forward(count),
        (false, count) => Move::Back(count),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// `updateNum` as the specification writes it.
    fn literal(old: i64, new: i64, replicas: i64, partition: i64, may_go_back: bool) -> i64 {
        let (mut by_old, mut by_new) = (old - partition, new - (replicas - partition));
        if !may_go_back {
            by_old = by_old.max(0);
            by_new = by_new.min(0);
        }
        if by_old.abs() <= by_new.abs() {
            by_old
        } else {
            -by_new
        }
    }

    #[test]
    fn clone_set_examples_move_as_specified() {
        // C2, C17, C37, C42, C43, L7, L9, C16 with the partition of today.
        assert_eq!(of_replicas(5, 0, 5, 3, false), Move::Forward(2));
        assert_eq!(of_replicas(2, 0, 2, 1, false), Move::Forward(1));
        assert_eq!(of_replicas(10, 0, 10, 2, false), Move::Forward(8));
        assert_eq!(of_replicas(4, 2, 6, 2, false), Move::Forward(2));
        assert_eq!(of_replicas(2, 3, 5, 4, false), Move::None);
        assert_eq!(of_replicas(0, 5, 5, 3, true), Move::Back(3));
        assert_eq!(of_replicas(0, 5, 5, 3, false), Move::None);
        assert_eq!(of_replicas(3, 0, 3, 2, false), Move::Forward(1));
    }

    #[test]
    fn expected_updated_never_goes_below_zero() {
        assert_eq!(expected_updated(5, 3), 2);
        assert_eq!(expected_updated(3, 5), 0);
    }

    proptest! {
        #[test]
        fn moves_are_those_of_the_specification(
            old in 0..30_usize, new in 0..30_usize, replicas in 0..30_usize, partition in 0..30_usize, back: bool,
        ) {
            // The partition of a CloneSet is bounded by its replicas.
            let partition = partition.min(replicas);
            let signed = match of_replicas(old, new, replicas, partition, back) {
                Move::None => 0,
                Move::Forward(count) => count as i64,
                Move::Back(count) => -(count as i64),
            };
            prop_assert_eq!(signed, literal(old as i64, new as i64, replicas as i64, partition as i64, back));
        }

        #[test]
        fn a_forward_move_never_goes_below_the_partition(
            old in 0..30_usize, new in 0..30_usize, replicas in 0..30_usize, partition in 0..30_usize,
        ) {
            let partition = partition.min(replicas);
            if let Move::Forward(count) = of_replicas(old, new, replicas, partition, false) {
                prop_assert!(old - count >= partition);
            }
        }
    }
}
