//! The matched pods of a set, with what a plan must know of each in one row.

use std::borrow::Borrow;
use std::cmp::Ordering;
use std::collections::HashMap;
use std::sync::Arc;

use kruise_core::api::int_or_percent::Mode;
use kruise_core::policy::{Labels, Member, PodRank, PodStanding, Ranking};
use kruise_core::runtime::{Cached, ObjectKey};

use super::column::Column;
use super::decision::Obstacle;
use super::plan::{Facts, Known, UpgradePlan, plan_members};
use crate::plan::{SidecarPod, Target};

/// The matched pods of a set, kept while they come, change and go: about 120 bytes for each, and four for each label that
/// the strategy looks at. A plan reads them one after another, where the pods themselves lie all over the memory, and their
/// order is kept from one plan to the next; with ten thousand pods and more that is most of the time.
///
/// It holds for one state of the set: [`refill`](Self::refill) it when the set changes. Positions in a plan are those of
/// [`key`](Self::key), until the next change.
///
/// ```
/// use kruise_core::api::int_or_percent::Mode;
/// use kruise_sidecar::api::{HashForm, SidecarSet};
/// use kruise_sidecar::plan::{SidecarPod, Target, upgrade::Roster};
/// use std::sync::Arc;
///
/// let set: SidecarSet = serde_json::from_str(
///     r#"{"apiVersion": "apps.kruise.io/v1alpha1", "kind": "SidecarSet", "metadata": {"name": "logs"},
///         "spec": {"selector": {"matchLabels": {"app": "web"}}, "containers": [{"name": "logs", "image": "logs:1"}]}}"#,
/// )?;
/// let mut roster = Roster::new(Arc::new(Target::compile(&set, HashForm::default())));
/// let pod: SidecarPod = serde_json::from_str(r#"{"metadata": {"name": "p", "namespace": "shop"}}"#)?;
/// roster.put(&pod);
/// assert_eq!(roster.plan(Mode::Current).counts.matched, 1);
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Roster {
    target: Arc<Target>,
    rows: Vec<Row>,
    /// Beside the rows, since a plan reads all of them.
    marks: Vec<Mark>,
    places: HashMap<ObjectKey, u32>,
    /// One for each of the target's label keys.
    columns: Vec<Column>,
    ranking: Ranking,
}

/// Who a pod is, and where it stands in the default order.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Row {
    key: ObjectKey,
    standing: PodStanding,
}

/// What is known of a pod.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Mark {
    facts: Facts,
    /// The API server does not take its patch. That is not what the pod says, so it is not among the facts.
    refused: bool,
    /// It was put for an earlier state of the set.
    earlier: bool,
}

impl Roster {
    /// An empty roster for a state of a set.
    pub fn new(target: Arc<Target>) -> Self {
        let columns = target.label_keys.iter().map(|_| Column::default()).collect();
        Self {
            target,
            rows: Vec::new(),
            marks: Vec::new(),
            places: HashMap::new(),
            columns,
            ranking: Ranking::default(),
        }
    }

    /// The state of the set that it is for.
    pub fn target(&self) -> &Arc<Target> {
        &self.target
    }

    /// How many pods it has.
    pub fn len(&self) -> usize {
        self.rows.len()
    }

    /// Whether it has none.
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// The pod at a position.
    pub fn key(&self, at: u32) -> Option<&ObjectKey> {
        self.rows.get(at as usize).map(|row| &row.key)
    }

    /// Whether it holds a pod as it is here, so that a plan that was made of it is right for this state of the pod.
    pub fn holds(&self, pod: &SidecarPod) -> bool {
        let at = self.places.get(&pod.key()).map(|at| *at as usize);
        let held = at.and_then(|at| self.rows.get(at).zip(self.marks.get(at)));
        held.is_some_and(|(row, mark)| {
            row.standing == pod.standing && mark.facts == Facts::of(&self.target, pod)
        })
    }

    /// Leaves a pod alone until it is [put](Self::put) again: an API server does not take its patch.
    pub fn refuse(&mut self, key: &ObjectKey) {
        let at = self.places.get(key).map(|at| *at as usize);
        if let Some(mark) = at.and_then(|at| self.marks.get_mut(at)) {
            mark.refused = true;
        }
    }

    /// Takes in a matched pod, or what became of one: [`membership`](super::membership) holds for it. Returns whether that
    /// may change a plan.
    pub fn put(&mut self, pod: &SidecarPod) -> bool {
        let row = Row {
            key: pod.key(),
            standing: pod.standing,
        };
        let mark = Mark {
            facts: Facts::of(&self.target, pod),
            refused: false,
            earlier: false,
        };
        let next = u32::try_from(self.rows.len()).unwrap_or(u32::MAX);
        let at = *self.places.entry(row.key.clone()).or_insert(next);
        let place = at as usize;
        let mut changed = true;
        match self.rows.get_mut(place).zip(self.marks.get_mut(place)) {
            Some((held, held_mark)) => {
                let moved = *held != row;
                changed = moved || *held_mark != mark;
                (*held, *held_mark) = (row, mark);
                if moved {
                    self.ranking.change(at);
                }
            }
            None => {
                self.rows.push(row);
                self.marks.push(mark);
                self.ranking.change(at);
            }
        }
        let rows = self.rows.len();
        for (column, key) in self.columns.iter_mut().zip(&self.target.label_keys) {
            changed |= column.put(place, pod.label(key));
            column.compact(rows);
        }
        changed
    }

    /// Goes on to another state of the set, whose matched pods these are. As with a new roster, but the order of pods that it
    /// had already is kept, so that the next plan need not sort them.
    pub fn refill<P: Borrow<SidecarPod>>(&mut self, target: Arc<Target>, pods: impl IntoIterator<Item = P>) {
        self.columns = target
            .label_keys
            .iter()
            .map(|_| Column::of(self.rows.len()))
            .collect();
        self.target = target;
        self.marks.iter_mut().for_each(|mark| mark.earlier = true);
        for pod in pods {
            self.put(pod.borrow());
        }
        let rows = self.rows.iter().zip(&self.marks);
        let gone = rows.filter(|(_, mark)| mark.earlier);
        let gone: Vec<ObjectKey> = gone.map(|(row, _)| row.key.clone()).collect();
        for key in gone {
            self.remove(&key);
        }
    }

    /// Forgets a pod that is gone, or matched no more. Returns whether it had it.
    pub fn remove(&mut self, key: &ObjectKey) -> bool {
        let Some(at) = self.places.remove(key) else {
            return false;
        };
        let place = at as usize;
        if place >= self.rows.len() {
            return false;
        }
        self.rows.swap_remove(place);
        self.marks.swap_remove(place);
        for column in &mut self.columns {
            column.swap_remove(place);
        }
        // What was the last row is here now.
        if let Some(moved) = self.rows.get(place)
            && let Some(held) = self.places.get_mut(&moved.key)
        {
            *held = at;
            self.ranking.change(at);
        }
        true
    }

    /// Plans as [`plan_upgrade`](super::plan_upgrade) does for the same pods. Only pods whose rank has changed since the
    /// last plan are sorted.
    pub fn plan(&mut self, mode: Mode) -> UpgradePlan {
        let mut ranking = std::mem::take(&mut self.ranking);
        let roster = &*self;
        let members = (0..).zip(&self.marks).map(|(at, mark)| Entry {
            mark: *mark,
            at,
            roster,
        });
        let members: Vec<Entry<'_>> = members.collect();
        let ranked = ranking.refresh(&members);
        let plan = plan_members(&self.target, &members, Some(ranked), mode);
        self.ranking = ranking;
        plan
    }

    fn row(&self, at: u32) -> Option<&Row> {
        self.rows.get(at as usize)
    }

    /// The values of the label with a key.
    #[inline]
    fn column(&self, key: &str, hint: &mut usize) -> Option<&Column> {
        let keys = &self.target.label_keys;
        if keys.get(*hint).is_none_or(|held| **held != *key) {
            *hint = keys.iter().position(|held| **held == *key)?;
        }
        self.columns.get(*hint)
    }
}

/// A row as the engines see it.
struct Entry<'r> {
    mark: Mark,
    at: u32,
    roster: &'r Roster,
}

impl Labels for Entry<'_> {
    #[inline]
    fn label(&self, key: &str) -> Option<&str> {
        self.label_near(key, &mut 0)
    }

    #[inline]
    fn label_near(&self, key: &str, hint: &mut usize) -> Option<&str> {
        self.roster.column(key, hint)?.value(self.at)
    }

    #[inline]
    fn label_number(&self, key: &str, hint: &mut usize) -> Option<u32> {
        self.roster.column(key, hint)?.number(self.at)
    }
}

impl Member for Entry<'_> {
    type Rank<'a>
        = Option<PodRank<'a>>
    where
        Self: 'a;
    type Obstacle = Obstacle;

    #[inline]
    fn rank(&self) -> Option<PodRank<'_>> {
        let row = self.roster.row(self.at)?;
        Some(PodRank::new(row.standing, &row.key))
    }

    #[inline]
    fn rank_prefix(&self) -> u128 {
        let row = self.roster.row(self.at);
        row.map_or(0, |row| row.standing.prefix())
    }

    fn tie_break(&self, other: &Self) -> Ordering {
        self.key().cmp(&other.key())
    }

    #[inline]
    fn is_updated(&self) -> bool {
        self.mark.facts.updated
    }

    #[inline]
    fn is_available(&self) -> bool {
        self.mark.facts.available
    }

    #[inline]
    fn obstacle(&self) -> Option<Obstacle> {
        let refused = self.mark.refused.then_some(Obstacle::Refused);
        self.mark.facts.obstacle.or(refused)
    }
}

impl Known for Entry<'_> {
    fn facts(&self) -> &Facts {
        &self.mark.facts
    }

    fn key(&self) -> Option<&ObjectKey> {
        self.roster.key(self.at)
    }

    fn is_refused(&self) -> bool {
        self.mark.refused
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_plan_reads_of_each_pod_is_a_few_bytes() {
        assert!(std::mem::size_of::<Mark>() <= 8);
        assert!(std::mem::size_of::<Row>() <= 64);
    }
}
