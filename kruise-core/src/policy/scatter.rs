//! `scatterStrategy`: objects with a label are spread over the order of an update.
//!
//! For one term the objects that wait are divided into those with the label and the others. Both keep their order; they are
//! dealt out in turns, in the proportion of their numbers, the first with the label early and the last one at the very end.
//! If fewer of the others wait than their share of *all* objects (some were updated before), the proportion is that of all
//! objects, so that a later pass goes on with the pattern of an earlier one. Several terms are applied one after the other,
//! the one with most waiting objects first.
//!
//! Each label is read once for each object; after that, only small numbers are compared. Time is
//! O(objects × keys + terms × waiting), memory one number for each object and key, and nothing is allocated for an object.

mod columns;
mod spread;

use super::Labels;
use crate::api::strategy::ScatterTerm;
use columns::Columns;
use spread::Spread;

/// The value that stands for every value that occurs.
pub const WILDCARD: &str = "*";

/// Terms to scatter by.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Scatter {
    terms: Vec<ScatterTerm>,
    wildcards: bool,
}

impl Scatter {
    /// Terms as they are written, for CloneSets.
    pub fn new(terms: &[ScatterTerm]) -> Self {
        Self {
            terms: terms.to_vec(),
            wildcards: false,
        }
    }

    /// Terms of which those with the value `*` stand for every value that the label has in the objects, in the order in which
    /// these occur, for SidecarSets. Terms that come up twice count once.
    pub fn with_wildcards(terms: &[ScatterTerm]) -> Self {
        Self {
            terms: terms.to_vec(),
            wildcards: true,
        }
    }

    /// Changes the order of `waiting`, indices into `all`; indices out of range are moved to the end. A missing label counts as
    /// an empty value.
    pub fn sort<L: Labels>(&self, all: &[L], waiting: &mut [u32]) {
        if self.terms.is_empty() || waiting.len() < 2 {
            return;
        }
        let columns = Columns::read(&self.terms, self.wildcards, all);
        let mut terms = columns.terms();
        if terms.len() > 1 {
            let counts = columns.count(waiting);
            terms.retain(|term| counts.of(*term) > 0);
            // Stable: ties keep the order of the list.
            terms.sort_by_key(|term| std::cmp::Reverse(counts.of(*term)));
            // One object alone is never moved.
            terms.retain(|term| counts.of(*term) > 1);
        }
        let mut spread = Spread::new(waiting.len());
        for term in terms {
            let with = columns.total(term);
            spread.apply(waiting, |index| columns.has(index, term), with, all.len() - with);
        }
    }
}

#[cfg(test)]
#[path = "scatter_tests.rs"]
mod tests;
