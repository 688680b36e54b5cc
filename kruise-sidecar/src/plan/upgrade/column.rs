//! The values of one label.

use std::collections::HashMap;
use std::sync::Arc;

/// A column is made anew when it knows this many more values than there are rows.
const SPARE_VALUES: usize = 1024;

const ABSENT: u32 = u32::MAX;

/// The values of one label: which value each row has.
#[derive(Clone, Debug, Default)]
pub(super) struct Column {
    /// Positions in `values`; [`ABSENT`] for rows without the label.
    rows: Vec<u32>,
    values: Vec<Arc<str>>,
    ids: HashMap<Arc<str>, u32>,
}

impl Column {
    /// For so many rows, all without the label.
    pub(super) fn of(rows: usize) -> Self {
        Self {
            rows: vec![ABSENT; rows],
            ..Self::default()
        }
    }

    /// Sets the value of a row, or of the row after the last, and returns whether it is another one.
    pub(super) fn put(&mut self, at: usize, value: Option<&str>) -> bool {
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

    /// Puts the last row in the place of one.
    pub(super) fn swap_remove(&mut self, at: usize) {
        if at < self.rows.len() {
            self.rows.swap_remove(at);
        }
    }

    /// Forgets values that no row has any more, once there are many.
    pub(super) fn compact(&mut self, rows: usize) {
        if self.values.len() <= rows + SPARE_VALUES {
            return;
        }
        let old = std::mem::take(self);
        for (at, id) in old.rows.iter().enumerate() {
            self.put(at, old.values.get(*id as usize).map(|value| &**value));
        }
    }

    /// The number of the value of a row.
    #[inline]
    pub(super) fn number(&self, at: u32) -> Option<u32> {
        self.rows.get(at as usize).copied().filter(|id| *id != ABSENT)
    }

    /// The value of a row.
    #[inline]
    pub(super) fn value(&self, at: u32) -> Option<&str> {
        let id = self.number(at)?;
        self.values.get(id as usize).map(|value| &**value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
