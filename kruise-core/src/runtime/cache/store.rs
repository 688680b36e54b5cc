//! What a cache holds, and how a change is written into it.

use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;
use std::sync::Arc;

use hashbrown::{HashMap, HashTable};
use parking_lot::RwLock;

use super::index::AnyIndex;
use crate::runtime::{Cached, ObjectKey};

struct Entry<T> {
    object: Arc<T>,
    /// The number of the list that has last seen it.
    list: u64,
}

struct Maps<T> {
    by_key: HashMap<ObjectKey, Entry<T>, RandomState>,
    by_uid: HashTable<Arc<T>>,
}

/// What writing an object did.
pub(super) enum Written<T> {
    /// The same uid and version were held: the old `Arc` stays.
    Unchanged,
    Added,
    Updated {
        old: Arc<T>,
    },
    /// Another object of the same name was held.
    Replaced {
        old: Arc<T>,
    },
}

/// The objects by key and by uid. Only the driver of the cache writes; the lock is held for one key at a time.
pub(super) struct Store<T> {
    maps: RwLock<Maps<T>>,
    indexes: RwLock<Vec<Arc<dyn AnyIndex<T>>>>,
    hasher: RandomState,
}

impl<T: Cached> Store<T> {
    pub(super) fn new() -> Self {
        Self {
            maps: RwLock::new(Maps {
                by_key: HashMap::default(),
                by_uid: HashTable::new(),
            }),
            indexes: RwLock::default(),
            hasher: RandomState::new(),
        }
    }

    pub(super) fn get(&self, key: &ObjectKey) -> Option<Arc<T>> {
        self.maps.read().by_key.get(key).map(|entry| entry.object.clone())
    }

    pub(super) fn get_by_uid(&self, uid: &str) -> Option<Arc<T>> {
        let hash = self.hasher.hash_one(uid);
        self.maps
            .read()
            .by_uid
            .find(hash, |object| object.uid() == uid)
            .cloned()
    }

    pub(super) fn list(&self) -> Vec<Arc<T>> {
        self.maps
            .read()
            .by_key
            .values()
            .map(|entry| entry.object.clone())
            .collect()
    }

    pub(super) fn len(&self) -> usize {
        self.maps.read().by_key.len()
    }

    /// Adds an index of what is held now and of all that comes. Must not run beside a write.
    pub(super) fn add_index(&self, index: Arc<dyn AnyIndex<T>>) {
        for (key, entry) in &self.maps.read().by_key {
            index.replace(key, None, Some(&entry.object));
        }
        self.indexes.write().push(index);
    }

    /// Writes an object that list number `list` (or a watch event after it) has shown.
    pub(super) fn write(&self, object: &Arc<T>, list: u64) -> Written<T> {
        let key = object.key();
        let written = {
            let mut maps = self.maps.write();
            let maps = &mut *maps;
            let written = match maps.by_key.get_mut(&key) {
                Some(entry) => {
                    entry.list = list;
                    let same_uid = entry.object.uid() == object.uid();
                    if same_uid && same_version(&*entry.object, &**object) {
                        return Written::Unchanged;
                    }
                    let old = std::mem::replace(&mut entry.object, object.clone());
                    if same_uid {
                        Written::Updated { old }
                    } else {
                        Written::Replaced { old }
                    }
                }
                None => {
                    maps.by_key.insert(
                        key.clone(),
                        Entry {
                            object: object.clone(),
                            list,
                        },
                    );
                    Written::Added
                }
            };
            if let Written::Updated { old } | Written::Replaced { old } = &written {
                self.remove_uid(&mut maps.by_uid, old);
            }
            let hash = self.hasher.hash_one(object.uid());
            // Objects made by hand may lack a uid: those are found by key alone.
            if !object.uid().is_empty() {
                maps.by_uid
                    .insert_unique(hash, object.clone(), |held| self.hasher.hash_one(held.uid()));
            }
            written
        };
        let old = match &written {
            Written::Updated { old } | Written::Replaced { old } => Some(old),
            Written::Added | Written::Unchanged => None,
        };
        self.tell_indexes(&key, old, Some(object));
        written
    }

    /// Notes that list number `list` has shown the key, although not what it holds.
    pub(super) fn touch(&self, key: &ObjectKey, list: u64) {
        if let Some(entry) = self.maps.write().by_key.get_mut(key) {
            entry.list = list;
        }
    }

    pub(super) fn remove(&self, key: &ObjectKey) -> Option<Arc<T>> {
        let old = {
            let mut maps = self.maps.write();
            let old = maps.by_key.remove(key)?.object;
            self.remove_uid(&mut maps.by_uid, &old);
            old
        };
        self.tell_indexes(key, Some(&old), None);
        Some(old)
    }

    /// The keys that list number `list` has not shown.
    pub(super) fn unseen(&self, list: u64) -> Vec<ObjectKey> {
        let maps = self.maps.read();
        maps.by_key
            .iter()
            .filter(|(_, entry)| entry.list != list)
            .map(|(key, _)| key.clone())
            .collect()
    }

    fn remove_uid(&self, by_uid: &mut HashTable<Arc<T>>, old: &Arc<T>) {
        let hash = self.hasher.hash_one(old.uid());
        if let Ok(slot) = by_uid.find_entry(hash, |held| Arc::ptr_eq(held, old)) {
            slot.remove();
        }
    }

    fn tell_indexes(&self, key: &ObjectKey, old: Option<&Arc<T>>, new: Option<&Arc<T>>) {
        for index in self.indexes.read().iter() {
            index.replace(key, old, new);
        }
    }
}

/// Without a version (objects made by hand) nothing is known to be unchanged.
fn same_version<T: Cached>(held: &T, new: &T) -> bool {
    !new.resource_version().is_empty() && held.resource_version() == new.resource_version()
}
