//! Which members carry which terms: the only place where labels are read.

use std::cmp::Reverse;

use ahash::AHashMap;

use super::KeyTerms;
use super::pattern::{Counts, Pattern};
use crate::policy::Labels;

/// With so many values of a key or fewer, looking at each is quicker than hashing.
const FEW_VALUES: usize = 8;

/// The values that members have, numbered over all keys, and the number of each member's value for each key.
pub(super) struct Classes {
    values: Vec<Value>,
    /// For each key, the value of each member, or [`NO_VALUE`].
    columns: Vec<Vec<u32>>,
}

/// A member without a value that any term asks for.
const NO_VALUE: u32 = u32::MAX;

#[derive(Clone, Copy)]
struct Value {
    /// Position of its term: as declared, then by first occurrence. `None` while no term asks for it.
    position: Option<(u32, u32)>,
    /// Members that have it.
    all: usize,
    /// Members that have it and wait.
    waiting: usize,
}

/// A term that changes something.
#[derive(Clone, Copy, Debug)]
pub(super) struct Term {
    /// The number of its value.
    pub(super) value: u32,
    /// Its place among terms that as many members carry.
    position: (u32, u32),
    /// How many waiting members carry it.
    pub(super) marked: usize,
    /// What it does to them.
    pub(super) pattern: Pattern,
}

impl Classes {
    pub(super) fn of<M: Labels>(keys: &[KeyTerms], members: &[M], waiting: &[u32]) -> Self {
        let mut values = Vec::new();
        let mut readers: Vec<Reader<'_>> = keys.iter().map(|key| Reader::new(key, &mut values)).collect();
        let mut columns: Vec<Vec<u32>> = keys.iter().map(|_| Vec::with_capacity(members.len())).collect();
        // All keys of a member at once, while it is at hand.
        for member in members {
            for (reader, column) in readers.iter_mut().zip(&mut columns) {
                column.push(reader.read(member, &mut values));
            }
        }
        for column in &columns {
            for &at in waiting {
                let value = at_or(column, at).and_then(|value| values.get_mut(value as usize));
                if let Some(value) = value {
                    value.waiting += 1;
                }
            }
        }
        Self { values, columns }
    }

    /// The terms that change the order of so many waiting members, in the order in which they are applied: those
    /// that most carry first, then as declared.
    pub(super) fn terms(&self, waiting: usize) -> Vec<Term> {
        let members = self.columns.first().map_or(0, Vec::len);
        let counts = |marked: usize, of: usize| Counts {
            marked,
            rest: of.saturating_sub(marked),
        };
        let term = |(number, value): (u32, &Value)| {
            let position = value.position?;
            let pattern = Pattern::of(counts(value.waiting, waiting), counts(value.all, members))?;
            Some(Term {
                value: number,
                position,
                marked: value.waiting,
                pattern,
            })
        };
        let mut terms: Vec<Term> = (0..).zip(&self.values).filter_map(term).collect();
        terms.sort_unstable_by_key(|term| (Reverse(term.marked), term.position));
        terms
    }

    /// How many values there are.
    pub(super) fn len(&self) -> usize {
        self.values.len()
    }

    /// The values of a member, by key.
    pub(super) fn of_member(&self, at: u32) -> impl Iterator<Item = u32> {
        self.columns.iter().filter_map(move |column| at_or(column, at))
    }

    /// For each key, the value of each member; [`u32::MAX`] for none that a term asks for.
    pub(super) fn columns(&self) -> &[Vec<u32>] {
        &self.columns
    }
}

fn at_or(column: &[u32], at: u32) -> Option<u32> {
    column
        .get(at as usize)
        .copied()
        .filter(|value| *value != NO_VALUE)
}

fn number(values: &mut Vec<Value>, position: Option<(u32, u32)>) -> u32 {
    values.push(Value {
        position,
        all: 0,
        waiting: 0,
    });
    (values.len() - 1) as u32
}

/// Reads one label of every member, numbers its values, and counts the members that have them.
struct Reader<'m> {
    key: &'m KeyTerms,
    table: Table<'m>,
    /// The empty value: that of members without the label, whether or not a term asks for it.
    empty: u32,
    /// How many values the `*` has found.
    occurrences: u32,
    hint: usize,
}

impl<'m> Reader<'m> {
    fn new(key: &'m KeyTerms, values: &mut Vec<Value>) -> Self {
        let mut table = Table::default();
        let declared = key.values.iter().find(|(value, _)| value.is_empty());
        let empty = number(values, declared.map(|(_, position)| (*position, 0)));
        table.insert("", empty);
        for (value, position) in key.values.iter().filter(|(value, _)| !value.is_empty()) {
            table.insert(value, number(values, Some((*position, 0))));
        }
        Self {
            key,
            table,
            empty,
            occurrences: 0,
            hint: 0,
        }
    }

    fn read(&mut self, member: &'m impl Labels, values: &mut Vec<Value>) -> u32 {
        let value = match (member.label_near(&self.key.key, &mut self.hint), self.key.any) {
            (None, _) => self.empty,
            (Some(label), None) => match self.table.get(label) {
                Some(value) => value,
                None => return NO_VALUE,
            },
            (Some(label), Some(any)) => self.occurs(label, any, values),
        };
        if let Some(held) = values.get_mut(value as usize) {
            held.all += 1;
        }
        value
    }

    /// The number of a value that `*`, declared at `any`, stands for.
    fn occurs(&mut self, label: &'m str, any: u32, values: &mut Vec<Value>) -> u32 {
        let value = self.table.get(label).unwrap_or_else(|| {
            let value = number(values, None);
            self.table.insert(label, value);
            value
        });
        if let Some(held) = values.get_mut(value as usize)
            && held
                .position
                .is_none_or(|position| (any, self.occurrences) < position)
        {
            held.position = Some((any, self.occurrences));
            self.occurrences += 1;
        }
        value
    }
}

/// Numbers of values: a list while there are few, a map beside it when there are more.
#[derive(Default)]
struct Table<'v> {
    list: Vec<(&'v str, u32)>,
    map: AHashMap<&'v str, u32>,
}

impl<'v> Table<'v> {
    fn get(&self, value: &str) -> Option<u32> {
        if self.list.len() <= FEW_VALUES {
            let found = self.list.iter().find(|(held, _)| *held == value);
            return found.map(|(_, number)| *number);
        }
        self.map.get(value).copied()
    }

    fn insert(&mut self, value: &'v str, number: u32) {
        self.list.push((value, number));
        if self.list.len() > FEW_VALUES {
            let missing = self.map.len();
            self.map.extend(self.list.iter().skip(missing).copied());
        }
    }
}
