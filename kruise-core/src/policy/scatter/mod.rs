//! `scatterStrategy`: members that carry the same label are kept apart in the order of a rollout.
//!
//! Terms are applied one after another, that which most waiting members carry first, each on the result of the one
//! before. A term takes its members out of the order and puts them back at even distances among the others: the
//! first one early, the last one at the very end. Counts alone decide where they go, which is what makes it quick:
//! labels are looked up once per member and key, and each of the first terms is then one sweep over numbers.
//! Later terms have few members each, and only those are moved.

mod classes;
mod moves;
mod pattern;
mod sweep;

use std::cmp::Ordering;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Labels;
use classes::Classes;
use moves::Sequence;
use sweep::{SWEEPS, Sweep};

/// The value that stands for each value of a label.
pub const ANY_VALUE: &str = "*";

/// One term of the field `scatterStrategy`, as it is written.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ScatterTerm {
    /// Key of a label.
    pub key: String,
    /// Value of the label; `*` stands for one term for each value that occurs.
    pub value: String,
}

impl ScatterTerm {
    /// A term.
    pub fn new(key: impl Into<String>, value: impl Into<String>) -> Self {
        Self {
            key: key.into(),
            value: value.into(),
        }
    }
}

/// A compiled `scatterStrategy`.
///
/// ```
/// use kruise_core::policy::{Scatter, ScatterTerm};
/// use std::collections::BTreeMap;
///
/// let zones = ["a", "a", "a", "b", "b", "b"];
/// let members = zones.map(|zone| BTreeMap::from([("zone".to_owned(), zone.to_owned())]));
/// let mut order = [0, 1, 2, 3, 4, 5];
/// Scatter::compile(&[ScatterTerm::new("zone", "a")]).sort(&members, &mut order);
/// assert_eq!(order, [0, 3, 4, 1, 5, 2]);
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Scatter {
    keys: Vec<KeyTerms>,
}

/// The terms of one key.
#[derive(Clone, Debug, PartialEq, Eq)]
struct KeyTerms {
    key: Box<str>,
    /// Values and their positions among the terms as declared.
    values: Vec<(Box<str>, u32)>,
    /// The position of `*`.
    any: Option<u32>,
}

impl Scatter {
    /// Compiles terms. Repeated ones count once.
    pub fn compile(terms: &[ScatterTerm]) -> Self {
        let mut keys: Vec<KeyTerms> = Vec::new();
        for (position, term) in (0..).zip(terms) {
            let known = keys.iter().position(|held| *held.key == *term.key);
            let at = known.unwrap_or_else(|| {
                keys.push(KeyTerms {
                    key: term.key.as_str().into(),
                    values: Vec::new(),
                    any: None,
                });
                keys.len() - 1
            });
            let Some(held) = keys.get_mut(at) else { continue };
            if term.value == ANY_VALUE {
                held.any.get_or_insert(position);
            } else if !held.values.iter().any(|(value, _)| **value == *term.value) {
                held.values.push((term.value.as_str().into(), position));
            }
        }
        Self { keys }
    }

    /// Returns whether there are no terms, so that nothing is sorted.
    pub fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }

    /// Sorts `waiting`, positions of `members`; `members` are all of the set, also those that do not wait, since a
    /// rollout half done is continued as it was begun. Of values that a `*` stands for, that of the first member comes
    /// first.
    ///
    /// A member without a label counts as one with the empty value. For n members and k terms: n look-ups for each
    /// key, and O(n·min(k, 32) + n·√n) steps on numbers. Allocates a few buffers, and nothing per member.
    pub fn sort<M: Labels>(&self, members: &[M], waiting: &mut [u32]) {
        self.sort_with(members, waiting, |_, _| Ordering::Equal);
    }

    /// The same; which member is the first is what `compare` says, and their order in the slice only where it says nothing.
    /// It is asked only if there is a `*`.
    pub fn sort_with<M: Labels>(
        &self,
        members: &[M],
        waiting: &mut [u32],
        compare: impl Fn(&M, &M) -> Ordering,
    ) {
        if self.keys.is_empty() || waiting.len() < 2 {
            return;
        }
        let classes = Classes::of(&self.keys, members, waiting, compare);
        let terms = classes.terms(waiting.len());
        if terms.is_empty() {
            return;
        }
        let (many, few) = terms.split_at(terms.len().min(SWEEPS));
        Sweep::new(&classes, many, waiting).run(waiting);
        if !few.is_empty() {
            Sequence::new(waiting.len()).run(&classes, few, waiting);
        }
    }
}
