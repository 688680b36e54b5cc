//! Which members carry which terms: the only place where labels are read.

use std::cmp::{Ordering, Reverse};

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
    /// Position of its term: as declared, then, for those of a `*`, by the first member that has it. `None` while no term
    /// asks for it.
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
    pub(super) fn of<M: Labels>(
        keys: &[KeyTerms],
        members: &[M],
        waiting: &[u32],
        compare: impl Fn(&M, &M) -> Ordering,
    ) -> Self {
        let compare = |one: u32, other: u32| {
            let found = |at: u32| members.get(at as usize);
            let by_member = found(one)
                .zip(found(other))
                .map(|(one, other)| compare(one, other));
            by_member.unwrap_or(Ordering::Equal).then(one.cmp(&other))
        };
        let mut values = Vec::new();
        let mut readers: Vec<Reader<'_>> = keys.iter().map(|key| Reader::new(key, &mut values)).collect();
        let mut columns: Vec<Vec<u32>> = keys.iter().map(|_| Vec::with_capacity(members.len())).collect();
        // All keys of a member at once, while it is at hand.
        for (at, member) in (0..).zip(members) {
            for (reader, column) in readers.iter_mut().zip(&mut columns) {
                column.push(reader.read(member, at, &mut values, &compare));
            }
        }
        for any in keys.iter().filter_map(|key| key.any) {
            number_occurrences(&mut values, any, &compare);
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

/// Replaces, in the values that the `*` declared at `any` stands for, the first members that have them by their order.
fn number_occurrences(values: &mut [Value], any: u32, compare: &impl Fn(u32, u32) -> Ordering) {
    let mut firsts: Vec<&mut (u32, u32)> = values
        .iter_mut()
        .filter_map(|value| value.position.as_mut().filter(|(term, _)| *term == any))
        .collect();
    firsts.sort_unstable_by(|(_, one), (_, other)| compare(*one, *other));
    for (occurrence, (_, first)) in (0..).zip(firsts) {
        *first = occurrence;
    }
}

/// Reads one label of every member, numbers its values, and counts the members that have them.
struct Reader<'m> {
    key: &'m KeyTerms,
    table: Table<'m>,
    /// The empty value: that of members without the label, whether or not a term asks for it.
    empty: u32,
    /// For values that members have numbered themselves, the numbers here; [`UNKNOWN`] before the first member.
    numbered: Vec<u32>,
    hint: usize,
}

/// A value that was not read yet.
const UNKNOWN: u32 = u32::MAX - 1;

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
            numbered: Vec::new(),
            hint: 0,
        }
    }

    fn read<M: Labels>(
        &mut self,
        member: &'m M,
        at: u32,
        values: &mut Vec<Value>,
        compare: &impl Fn(u32, u32) -> Ordering,
    ) -> u32 {
        let number = member.label_number(&self.key.key, &mut self.hint);
        let number = number.map(|number| number as usize);
        let known = number.and_then(|number| self.numbered.get(number).copied());
        let known = known.filter(|known| *known != UNKNOWN);
        let value = known.or_else(|| {
            let label = member.label_near(&self.key.key, &mut self.hint)?;
            let value = self.value(label, values);
            self.remember(number, value);
            Some(value)
        });
        let held = values.get_mut(value.unwrap_or(self.empty) as usize);
        if let Some(held) = held {
            held.all += 1;
            // Members without the label do not bring the empty value about.
            if let Some(any) = self.key.any.filter(|_| value.is_some()) {
                held.occurs(any, at, compare);
            }
        }
        value.unwrap_or(self.empty)
    }

    fn remember(&mut self, number: Option<usize>, value: u32) {
        let Some(number) = number else { return };
        if self.numbered.len() <= number {
            self.numbered.resize(number + 1, UNKNOWN);
        }
        if let Some(known) = self.numbered.get_mut(number) {
            *known = value;
        }
    }

    /// The number of a value, a new one if a `*` asks for all.
    fn value(&mut self, label: &'m str, values: &mut Vec<Value>) -> u32 {
        self.table.get(label).unwrap_or_else(|| {
            if self.key.any.is_none() {
                return NO_VALUE;
            }
            let value = number(values, None);
            self.table.insert(label, value);
            value
        })
    }
}

impl Value {
    /// A member at `at` has it, and a `*` declared at `any` stands for it.
    #[inline]
    fn occurs(&mut self, any: u32, at: u32, compare: &impl Fn(u32, u32) -> Ordering) {
        let first = match self.position {
            Some((term, first)) if term == any => compare(at, first).is_lt(),
            Some((term, _)) => any < term,
            None => true,
        };
        if first {
            self.position = Some((any, at));
        }
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
