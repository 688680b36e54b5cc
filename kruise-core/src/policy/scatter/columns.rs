//! The labels that terms ask for, as small numbers: one column for each key, one entry for each object.

use std::collections::HashMap;

use crate::api::strategy::ScatterTerm;
use crate::policy::Labels;
use crate::policy::scatter::WILDCARD;

/// A value that no term asks for.
const OTHER: u32 = u32::MAX;

/// Up to this many values, comparing each is faster than hashing.
const FEW: usize = 8;

pub(super) struct Columns<'a> {
    columns: Vec<Column<'a>>,
    terms: Vec<Term>,
}

/// A value of a column.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Term {
    column: usize,
    value: u32,
}

struct Column<'a> {
    key: &'a str,
    /// Whether every value that occurs gets a number.
    every: bool,
    values: Vec<&'a str>,
    numbers: HashMap<&'a str, u32, ahash::RandomState>,
    /// The number of each object's value.
    of: Vec<u32>,
    /// How many objects have the value of that number.
    totals: Vec<usize>,
    /// The values that occur as labels, in the order in which they do; kept for wildcards only.
    occurring: Vec<u32>,
    met: Vec<bool>,
}

/// How many of the waiting objects have each value.
pub(super) struct Counts(Vec<Vec<usize>>);

impl Counts {
    pub(super) fn of(&self, term: Term) -> usize {
        self.0
            .get(term.column)
            .and_then(|counts| counts.get(term.value as usize))
            .copied()
            .unwrap_or(0)
    }
}

impl<'a> Columns<'a> {
    pub(super) fn read<L: Labels>(terms: &'a [ScatterTerm], wildcards: bool, all: &'a [L]) -> Self {
        let mut columns: Vec<Column<'a>> = Vec::new();
        for term in terms {
            let column = match columns.iter().position(|column| column.key == term.key) {
                Some(known) => known,
                None => {
                    columns.push(Column::new(&term.key));
                    columns.len() - 1
                }
            };
            let Some(column) = columns.get_mut(column) else {
                continue;
            };
            if wildcards && term.value == WILDCARD {
                column.every = true;
            } else {
                column.number(&term.value);
            }
        }
        for column in &mut columns {
            column.of.reserve_exact(all.len());
        }
        // Object by object, so that each comes into the processor's cache once.
        for object in all {
            for column in &mut columns {
                column.push(object);
            }
        }
        for column in &mut columns {
            column.sum_up();
        }
        let mut this = Self {
            columns,
            terms: Vec::new(),
        };
        this.terms = this.in_order(terms, wildcards);
        this
    }

    /// The terms as listed, wildcards replaced by what occurs, each once.
    fn in_order(&self, listed: &[ScatterTerm], wildcards: bool) -> Vec<Term> {
        let mut terms = Vec::new();
        let mut seen: Vec<Vec<bool>> = self
            .columns
            .iter()
            .map(|column| vec![false; column.values.len()])
            .collect();
        for term in listed {
            let Some(at) = self.columns.iter().position(|column| column.key == term.key) else {
                continue;
            };
            let (Some(column), Some(seen)) = (self.columns.get(at), seen.get_mut(at)) else {
                continue;
            };
            let mut add = |value: u32| {
                if let Some(seen) = seen.get_mut(value as usize).filter(|seen| !**seen) {
                    *seen = true;
                    terms.push(Term { column: at, value });
                }
            };
            if wildcards && term.value == WILDCARD {
                column.occurring.iter().copied().for_each(&mut add);
            } else if let Some(value) = column.find(&term.value) {
                add(value);
            }
        }
        terms
    }

    pub(super) fn terms(&self) -> Vec<Term> {
        self.terms.clone()
    }

    pub(super) fn total(&self, term: Term) -> usize {
        self.columns
            .get(term.column)
            .and_then(|column| column.totals.get(term.value as usize))
            .copied()
            .unwrap_or(0)
    }

    /// Whether the object has the label.
    #[inline]
    pub(super) fn has(&self, index: u32, term: Term) -> bool {
        self.columns
            .get(term.column)
            .and_then(|column| column.of.get(index as usize))
            == Some(&term.value)
    }

    pub(super) fn count(&self, waiting: &[u32]) -> Counts {
        let of_column = |column: &Column<'_>| {
            let mut counts = vec![0; column.values.len()];
            for index in waiting {
                let value = column.of.get(*index as usize).copied().unwrap_or(OTHER);
                if let Some(count) = counts.get_mut(value as usize) {
                    *count += 1;
                }
            }
            counts
        };
        Counts(self.columns.iter().map(of_column).collect())
    }
}

impl<'a> Column<'a> {
    fn new(key: &'a str) -> Self {
        let (values, of, totals) = (Vec::new(), Vec::new(), Vec::new());
        let (occurring, met) = (Vec::new(), Vec::new());
        Self {
            key,
            every: false,
            values,
            numbers: HashMap::default(),
            of,
            totals,
            occurring,
            met,
        }
    }

    fn find(&self, value: &str) -> Option<u32> {
        if self.values.len() <= FEW {
            let at = self.values.iter().position(|known| *known == value)?;
            return u32::try_from(at).ok();
        }
        self.numbers.get(value).copied()
    }

    /// The number of a value, a new one if need be.
    fn number(&mut self, value: &'a str) -> u32 {
        if let Some(known) = self.find(value) {
            return known;
        }
        let number = u32::try_from(self.values.len()).unwrap_or(OTHER);
        self.values.push(value);
        if self.values.len() == FEW + 1 {
            self.numbers = (0..)
                .zip(&self.values)
                .map(|(number, value)| (*value, number))
                .collect();
        } else if self.values.len() > FEW {
            self.numbers.insert(value, number);
        }
        number
    }

    fn push<L: Labels>(&mut self, object: &'a L) {
        let value = match object.label(self.key) {
            Some(label) if self.every => self.meet(label),
            label => self.find(label.unwrap_or("")).unwrap_or(OTHER),
        };
        self.of.push(value);
    }

    fn sum_up(&mut self) {
        self.totals = vec![0; self.values.len()];
        for value in &self.of {
            if let Some(total) = self.totals.get_mut(*value as usize) {
                *total += 1;
            }
        }
    }

    /// The number of a value that an object has.
    fn meet(&mut self, label: &'a str) -> u32 {
        let number = self.number(label);
        self.met.resize(self.values.len(), false);
        if let Some(met) = self.met.get_mut(number as usize).filter(|met| !**met) {
            *met = true;
            self.occurring.push(number);
        }
        number
    }
}
