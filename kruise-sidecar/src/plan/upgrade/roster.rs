//! The matched pods of a set, with what a plan must know of each in one row.

use std::collections::HashMap;
use std::sync::Arc;

use kruise_core::api::int_or_percent::Mode;
use kruise_core::policy::{Labels, Member, PodRank, PodStanding};
use kruise_core::runtime::{Cached, ObjectKey};

use super::decision::Obstacle;
use super::plan::{Facts, Known, UpgradePlan, plan_members};
use crate::plan::{SidecarPod, Target};

/// A column is made anew when it knows this many more values than there are rows.
const SPARE_VALUES: usize = 1024;

/// The matched pods of a set, kept while they come, change and go: about 120 bytes for each, and four for each label that
/// the strategy looks at. A plan reads them one after another, where the pods themselves lie all over the memory; with ten
/// thousand pods and more that is most of the time.
///
/// It holds for one state of the set: make another one when the set changes. Positions in a plan are those of
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
    places: HashMap<ObjectKey, u32>,
    /// One for each of the target's label keys.
    columns: Vec<Column>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Row {
    key: ObjectKey,
    standing: PodStanding,
    facts: Facts,
}

/// The values of one label: which value each row has.
#[derive(Clone, Debug, Default)]
struct Column {
    /// Positions in `values`; [`ABSENT`] for rows without the label.
    rows: Vec<u32>,
    values: Vec<Arc<str>>,
    ids: HashMap<Arc<str>, u32>,
}

const ABSENT: u32 = u32::MAX;

impl Roster {
    /// An empty roster for a state of a set.
    pub fn new(target: Arc<Target>) -> Self {
        let columns = target.label_keys.iter().map(|_| Column::default()).collect();
        Self {
            target,
            rows: Vec::new(),
            places: HashMap::new(),
            columns,
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
        let row = self.row(pod);
        let at = self.places.get(&row.key).map(|at| *at as usize);
        at.and_then(|at| self.rows.get(at)) == Some(&row)
    }

    /// Leaves a pod out until it is [put](Self::put) again, if it is not updated: an API server does not take its patch.
    pub fn refuse(&mut self, key: &ObjectKey) {
        let at = self.places.get(key).map(|at| *at as usize);
        if let Some(row) = at.and_then(|at| self.rows.get_mut(at))
            && row.facts.obstacle.is_none()
            && !row.facts.updated
        {
            row.facts.obstacle = Some(Obstacle::Refused);
        }
    }

    fn row(&self, pod: &SidecarPod) -> Row {
        Row {
            key: pod.key(),
            standing: pod.standing,
            facts: Facts::of(&self.target, pod),
        }
    }

    /// Takes in a matched pod, or what became of one: [`membership`](super::membership) holds for it. Returns whether that
    /// may change a plan.
    pub fn put(&mut self, pod: &SidecarPod) -> bool {
        let row = self.row(pod);
        let next = self.rows.len();
        let at = *self
            .places
            .entry(row.key.clone())
            .or_insert(u32::try_from(next).unwrap_or(u32::MAX)) as usize;
        let mut changed = true;
        match self.rows.get_mut(at) {
            Some(held) => {
                changed = *held != row;
                *held = row;
            }
            None => self.rows.push(row),
        }
        let rows = self.rows.len();
        for (column, key) in self.columns.iter_mut().zip(&self.target.label_keys) {
            changed |= column.put(at, pod.label(key));
            column.compact(rows);
        }
        changed
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
        for column in &mut self.columns {
            if place < column.rows.len() {
                column.rows.swap_remove(place);
            }
        }
        // What was the last row is here now.
        if let Some(moved) = self.rows.get(place)
            && let Some(held) = self.places.get_mut(&moved.key)
        {
            *held = at;
        }
        true
    }

    /// Plans as [`plan_upgrade`](super::plan_upgrade) does for the same pods.
    pub fn plan(&self, mode: Mode) -> UpgradePlan {
        let members = (0..).zip(&self.rows).map(|(at, row)| Entry {
            row,
            roster: self,
            at,
        });
        plan_members(&self.target, members.collect(), mode)
    }
}

impl Column {
    /// Sets the value of a row, and returns whether it is another one.
    fn put(&mut self, at: usize, value: Option<&str>) -> bool {
        let id = value.map_or(ABSENT, |value| self.id(value));
        match self.rows.get_mut(at) {
            Some(held) => std::mem::replace(held, id) != id,
            None => {
                self.rows.push(id);
                true
            }
        }
    }

    fn id(&mut self, value: &str) -> u32 {
        if let Some(id) = self.ids.get(value) {
            return *id;
        }
        let id = u32::try_from(self.values.len()).unwrap_or(ABSENT);
        let value: Arc<str> = value.into();
        self.values.push(value.clone());
        self.ids.insert(value, id);
        id
    }

    /// Forgets values that no row has any more, once there are many.
    fn compact(&mut self, rows: usize) {
        if self.values.len() <= rows + SPARE_VALUES {
            return;
        }
        let old = std::mem::take(self);
        for (at, id) in old.rows.iter().enumerate() {
            self.put(at, old.values.get(*id as usize).map(|value| &**value));
        }
    }

    fn value(&self, at: u32) -> Option<&str> {
        let id = *self.rows.get(at as usize)?;
        self.values.get(id as usize).map(|value| &**value)
    }
}

/// A row as the engines see it.
struct Entry<'r> {
    row: &'r Row,
    roster: &'r Roster,
    at: u32,
}

impl Labels for Entry<'_> {
    fn label(&self, key: &str) -> Option<&str> {
        let mut keys = self.roster.target.label_keys.iter();
        let column = keys.position(|held| **held == *key)?;
        self.roster.columns.get(column)?.value(self.at)
    }

    fn label_near(&self, key: &str, hint: &mut usize) -> Option<&str> {
        let keys = &self.roster.target.label_keys;
        if keys.get(*hint).is_none_or(|held| **held != *key) {
            *hint = keys.iter().position(|held| **held == *key)?;
        }
        self.roster.columns.get(*hint)?.value(self.at)
    }
}

impl Member for Entry<'_> {
    type Rank<'a>
        = PodRank<'a>
    where
        Self: 'a;
    type Obstacle = Obstacle;

    fn rank(&self) -> PodRank<'_> {
        PodRank::new(self.row.standing, &self.row.key)
    }

    fn is_updated(&self) -> bool {
        self.row.facts.updated
    }

    fn is_available(&self) -> bool {
        self.row.facts.available
    }

    fn obstacle(&self) -> Option<Obstacle> {
        self.row.facts.obstacle
    }
}

impl Known for Entry<'_> {
    fn facts(&self) -> &Facts {
        &self.row.facts
    }

    fn key(&self) -> &ObjectKey {
        &self.row.key
    }

    fn at(&self) -> u32 {
        self.at
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_is_one_line_of_the_processors_cache() {
        assert_eq!(std::mem::size_of::<Row>(), 64);
    }

    #[test]
    fn values_that_no_row_has_are_forgotten() {
        let mut column = Column::default();
        for number in 0..5 * SPARE_VALUES {
            column.put(0, Some(&format!("v{number}")));
            column.compact(1);
        }
        assert!(column.values.len() <= SPARE_VALUES + 1);
        assert_eq!(column.value(0), Some(&*format!("v{}", 5 * SPARE_VALUES - 1)));
    }
}
