//! The default order, kept from one plan to the next.

use std::cmp::Ordering;

use super::Member;
use super::rank;

/// The default order of a list of members that is planned again and again, while few of them change in between: only those
/// are sorted anew.
///
/// ```
/// use kruise_core::policy::{Labels, Member, Ranking};
///
/// struct Task(u32);
///
/// impl Labels for Task {
///     fn label(&self, _: &str) -> Option<&str> { None }
/// }
///
/// impl Member for Task {
///     type Rank<'a> = u32;
///     type Obstacle = std::convert::Infallible;
///     fn rank(&self) -> u32 { self.0 }
///     fn is_updated(&self) -> bool { false }
///     fn is_available(&self) -> bool { true }
/// }
///
/// let mut tasks = vec![Task(5), Task(3), Task(4)];
/// let mut ranking = Ranking::default();
/// (0..3).for_each(|at| ranking.change(at));
/// assert_eq!(ranking.refresh(&tasks), [1, 2, 0]);
/// tasks[1] = Task(9);
/// ranking.change(1);
/// assert_eq!(ranking.refresh(&tasks), [2, 0, 1]);
/// ```
#[derive(Clone, Debug, Default)]
pub struct Ranking {
    ranked: Vec<u32>,
    /// Positions to be sorted anew, each once.
    changed: Vec<u32>,
    /// By position, whether it is among them.
    is_changed: Vec<bool>,
}

impl Ranking {
    /// Notes that the member at a position is a new one, another one, or of another rank. A position that is gone because
    /// the list got shorter need not be told.
    pub fn change(&mut self, at: u32) {
        let place = at as usize;
        if place >= self.is_changed.len() {
            self.is_changed.resize(place + 1, false);
        }
        if let Some(is_changed) = self.is_changed.get_mut(place).filter(|held| !**held) {
            *is_changed = true;
            self.changed.push(at);
        }
    }

    /// Returns the positions of `members` by rank; of equal ones, the first goes first. O(n + c log n) for c changes.
    pub fn refresh<M: Member>(&mut self, members: &[M]) -> &[u32] {
        let is_there = |at: u32| (at as usize) < members.len();
        if self.changed.is_empty() && self.ranked.len() == members.len() {
            return &self.ranked;
        }
        let is_changed = |at: u32| self.is_changed.get(at as usize) == Some(&true);
        self.ranked.retain(|at| is_there(*at) && !is_changed(*at));
        self.changed.retain(|at| is_there(*at));
        self.changed.sort_unstable();
        rank::sort(members, &mut self.changed);
        let mut merged = Vec::with_capacity(members.len());
        let mut rest = self.ranked.as_slice();
        for at in &self.changed {
            let before = |held: &u32| rank::compare(members, *held, *at).then(held.cmp(at)) == Ordering::Less;
            let (first, later) = rest.split_at(rest.partition_point(before));
            merged.extend_from_slice(first);
            merged.push(*at);
            rest = later;
        }
        merged.extend_from_slice(rest);
        self.ranked = merged;
        self.changed.clear();
        self.is_changed.clear();
        &self.ranked
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::policy::Labels;

    #[derive(Debug)]
    struct Numbered(u8);

    impl Labels for Numbered {
        fn label(&self, _: &str) -> Option<&str> {
            None
        }
    }

    impl Member for Numbered {
        type Rank<'a> = u8;
        type Obstacle = std::convert::Infallible;

        fn rank(&self) -> u8 {
            self.0
        }

        fn rank_prefix(&self) -> u128 {
            u128::from(self.0 / 3) << 100
        }

        fn is_updated(&self) -> bool {
            false
        }

        fn is_available(&self) -> bool {
            true
        }
    }

    #[derive(Clone, Debug)]
    enum Change {
        Push(u8),
        Set(prop::sample::Index, u8),
        Remove(prop::sample::Index),
        Refresh,
    }

    fn change() -> impl Strategy<Value = Change> {
        prop_oneof![
            4 => (0..12_u8).prop_map(Change::Push),
            2 => (any::<prop::sample::Index>(), 0..12_u8).prop_map(|(at, to)| Change::Set(at, to)),
            2 => any::<prop::sample::Index>().prop_map(Change::Remove),
            2 => Just(Change::Refresh),
        ]
    }

    proptest! {
        /// Whatever comes, changes and goes, the last one taking the place of one that goes.
        #[test]
        fn a_ranking_is_what_a_sort_makes(changes in prop::collection::vec(change(), 0..60)) {
            let mut members: Vec<Numbered> = Vec::new();
            let mut ranking = Ranking::default();
            for change in changes.into_iter().chain([Change::Refresh]) {
                match change {
                    Change::Push(rank) => {
                        ranking.change(members.len() as u32);
                        members.push(Numbered(rank));
                    }
                    Change::Set(at, rank) if !members.is_empty() => {
                        let at = at.index(members.len());
                        members[at] = Numbered(rank);
                        ranking.change(at as u32);
                    }
                    Change::Remove(at) if !members.is_empty() => {
                        let at = at.index(members.len());
                        members.swap_remove(at);
                        ranking.change(at as u32);
                    }
                    Change::Refresh => {
                        let mut expected: Vec<u32> = (0..members.len() as u32).collect();
                        expected.sort_by_key(|at| members[*at as usize].0);
                        prop_assert_eq!(ranking.refresh(&members), expected);
                    }
                    Change::Set(..) | Change::Remove(_) => {}
                }
            }
        }
    }
}
