//! Secondary indexes: from a value of any type to the objects that have it.

use std::collections::hash_map::RandomState;
use std::fmt;
use std::hash::Hash;
use std::sync::Arc;

use hashbrown::HashMap;
use parking_lot::RwLock;

use crate::runtime::{Cached, ObjectKey};

/// A typed handle to an index of a [`Cache`](super::Cache), made by [`Cache::index`](super::Cache::index) and used
/// with [`Cache::by_index`](super::Cache::by_index). Clones share the index.
pub struct Index<T, V>(Arc<Postings<T, V>>);

impl<T, V> Clone for Index<T, V> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<T, V> fmt::Debug for Index<T, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Index").finish_non_exhaustive()
    }
}

type Values<T, V> = dyn Fn(&T) -> Vec<V> + Send + Sync;

/// The objects that have one value. Most values of most indexes belong to one object, which needs no map.
enum Posting<T> {
    One(ObjectKey, Arc<T>),
    Many(HashMap<ObjectKey, Arc<T>, RandomState>),
}

struct Postings<T, V> {
    values: Box<Values<T, V>>,
    by_value: RwLock<HashMap<V, Posting<T>, RandomState>>,
}

/// What the store must be able to tell an index.
pub(super) trait AnyIndex<T>: Send + Sync {
    /// Moves an object from where `old` stood to where `new` stands. Readers see it in one place or the other.
    fn replace(&self, key: &ObjectKey, old: Option<&Arc<T>>, new: Option<&Arc<T>>);
}

impl<T: Cached, V: Eq + Hash + Send + Sync + 'static> Index<T, V> {
    pub(super) fn new(values: impl Fn(&T) -> Vec<V> + Send + Sync + 'static) -> Self {
        Self(Arc::new(Postings {
            values: Box::new(values),
            by_value: RwLock::default(),
        }))
    }

    pub(super) fn erased(&self) -> Arc<dyn AnyIndex<T>> {
        self.0.clone()
    }

    pub(super) fn get(&self, value: &V) -> Vec<Arc<T>> {
        match self.0.by_value.read().get(value) {
            None => Vec::new(),
            Some(Posting::One(_, object)) => vec![object.clone()],
            Some(Posting::Many(objects)) => objects.values().cloned().collect(),
        }
    }

    pub(super) fn count(&self, value: &V) -> usize {
        match self.0.by_value.read().get(value) {
            None => 0,
            Some(Posting::One(..)) => 1,
            Some(Posting::Many(objects)) => objects.len(),
        }
    }
}

impl<T: Cached, V: Eq + Hash + Send + Sync> AnyIndex<T> for Postings<T, V> {
    fn replace(&self, key: &ObjectKey, old: Option<&Arc<T>>, new: Option<&Arc<T>>) {
        let before = old.map(|object| (self.values)(object)).unwrap_or_default();
        let after = new.map(|object| (self.values)(object)).unwrap_or_default();
        let mut by_value = self.by_value.write();
        for value in before.into_iter().filter(|value| !after.contains(value)) {
            remove(&mut by_value, value, key);
        }
        if let Some(object) = new {
            for value in after {
                insert(&mut by_value, value, key, object);
            }
        }
    }
}

fn insert<T, V: Eq + Hash>(
    by_value: &mut HashMap<V, Posting<T>, RandomState>,
    value: V,
    key: &ObjectKey,
    object: &Arc<T>,
) {
    match by_value.entry(value) {
        hashbrown::hash_map::Entry::Vacant(slot) => {
            slot.insert(Posting::One(key.clone(), object.clone()));
        }
        hashbrown::hash_map::Entry::Occupied(mut slot) => match slot.get_mut() {
            Posting::One(held, one) if held == key => *one = object.clone(),
            Posting::One(held, one) => {
                let mut many = HashMap::default();
                many.insert(held.clone(), one.clone());
                many.insert(key.clone(), object.clone());
                *slot.get_mut() = Posting::Many(many);
            }
            Posting::Many(many) => {
                many.insert(key.clone(), object.clone());
            }
        },
    }
}

fn remove<T, V: Eq + Hash>(by_value: &mut HashMap<V, Posting<T>, RandomState>, value: V, key: &ObjectKey) {
    let hashbrown::hash_map::Entry::Occupied(mut slot) = by_value.entry(value) else {
        return;
    };
    let empty = match slot.get_mut() {
        Posting::One(held, _) => held == key,
        Posting::Many(many) => {
            many.remove(key);
            many.is_empty()
        }
    };
    if empty {
        slot.remove();
    }
}
