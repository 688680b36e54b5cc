//! A map that forgets what has not been used for the longest time.

use std::collections::{BTreeMap, HashMap};
use std::hash::Hash;

/// Holds at most so many entries.
#[derive(Debug)]
pub(super) struct Recent<K, V> {
    capacity: usize,
    entries: HashMap<K, (V, u64)>,
    by_use: BTreeMap<u64, K>,
    uses: u64,
}

impl<K: Eq + Hash + Clone, V> Recent<K, V> {
    pub(super) fn new(capacity: usize) -> Self {
        Self {
            capacity: capacity.max(1),
            entries: HashMap::new(),
            by_use: BTreeMap::new(),
            uses: 0,
        }
    }

    /// The entry of `key`, made by `make` if there is none. Counts as a use. Takes O(log n).
    pub(super) fn entry(&mut self, key: &K, make: impl FnOnce() -> V) -> &mut V {
        if !self.entries.contains_key(key)
            && self.entries.len() >= self.capacity
            && let Some((_, oldest)) = self.by_use.pop_first()
        {
            self.entries.remove(&oldest);
        }
        self.uses += 1;
        let (value, used) = self.entries.entry(key.clone()).or_insert_with(|| (make(), 0));
        self.by_use.remove(used);
        *used = self.uses;
        self.by_use.insert(self.uses, key.clone());
        value
    }

    #[cfg(test)]
    fn keys(&self) -> Vec<K> {
        self.by_use.values().cloned().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn the_least_recently_used_entry_is_forgotten(
            capacity in 1usize..5,
            uses in proptest::collection::vec(0u8..8, 0..60),
        ) {
            let mut recent = Recent::new(capacity);
            let mut model: Vec<(u8, u32)> = Vec::new();
            for key in uses {
                *recent.entry(&key, || 0u32) += 1;
                let count = model.iter().position(|(k, _)| *k == key).map_or(0, |at| model.remove(at).1);
                model.push((key, count + 1));
                if model.len() > capacity { model.remove(0); }
                prop_assert_eq!(recent.keys(), model.iter().map(|(k, _)| *k).collect::<Vec<_>>());
                let count = *recent.entry(&key, || 0);
                prop_assert_eq!(count, model.last().unwrap().1);
            }
        }
    }
}
