//! Objects, the one revision that counts all writes, and the window of changes that watches and snapshots read.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use serde_json::{Value, json};

use super::json::metadata;

/// Plural and group, as `clonesets.apps.kruise.io`.
pub(crate) type Resource = Arc<str>;

/// Namespace (empty for cluster-scoped objects) and name.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Key {
    pub(crate) namespace: String,
    pub(crate) name: String,
}

impl Key {
    pub(crate) fn new(namespace: &str, name: &str) -> Self {
        Self {
            namespace: namespace.to_owned(),
            name: name.to_owned(),
        }
    }
}

/// One write. A creation has no `old`, a deletion has as `new` nothing and as `old` the last state.
#[derive(Clone, Debug)]
pub(crate) struct Change {
    pub(crate) revision: u64,
    pub(crate) resource: Resource,
    pub(crate) key: Key,
    pub(crate) old: Option<Arc<Value>>,
    pub(crate) new: Option<Arc<Value>>,
}

pub(crate) type Objects = BTreeMap<Key, Arc<Value>>;

/// The revision asked for is no longer kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Compacted;

#[derive(Debug)]
pub(crate) struct Store {
    revision: u64,
    /// States after this revision can be told; it included.
    compacted: u64,
    window: usize,
    objects: BTreeMap<Resource, Objects>,
    history: VecDeque<Change>,
}

impl Store {
    /// Keeps the last `window` changes.
    pub(crate) fn new(window: usize) -> Self {
        Self {
            revision: 1,
            compacted: 1,
            window,
            objects: BTreeMap::new(),
            history: VecDeque::new(),
        }
    }

    pub(crate) fn revision(&self) -> u64 {
        self.revision
    }

    pub(crate) fn compacted(&self) -> u64 {
        self.compacted
    }

    pub(crate) fn get(&self, resource: &str, key: &Key) -> Option<&Arc<Value>> {
        self.objects.get(resource)?.get(key)
    }

    /// In the order of namespace, then name.
    pub(crate) fn list(&self, resource: &str) -> impl Iterator<Item = (&Key, &Arc<Value>)> {
        self.objects.get(resource).into_iter().flatten()
    }

    pub(crate) fn resources(&self) -> impl Iterator<Item = &Resource> {
        self.objects.keys()
    }

    /// Creates or replaces; sets the resourceVersion.
    pub(crate) fn put(&mut self, resource: &Resource, key: Key, mut value: Value) -> Arc<Value> {
        self.revision += 1;
        metadata(&mut value).insert("resourceVersion".to_owned(), json!(self.revision.to_string()));
        let value = Arc::new(value);
        let objects = self.objects.entry(resource.clone()).or_default();
        let old = objects.insert(key.clone(), value.clone());
        self.remember(resource, key, old, Some(value.clone()));
        value
    }

    /// Removes; the result carries the resourceVersion of the removal.
    pub(crate) fn remove(&mut self, resource: &Resource, key: &Key) -> Option<Arc<Value>> {
        let old = self.objects.get_mut(resource)?.remove(key)?;
        self.revision += 1;
        let last = Arc::new(with_revision(&old, self.revision));
        self.remember(resource, key.clone(), Some(old), None);
        Some(last)
    }

    fn remember(&mut self, resource: &Resource, key: Key, old: Option<Arc<Value>>, new: Option<Arc<Value>>) {
        self.history.push_back(Change {
            revision: self.revision,
            resource: resource.clone(),
            key,
            old,
            new,
        });
        while self.history.len() > self.window {
            if let Some(gone) = self.history.pop_front() {
                self.compacted = gone.revision;
            }
        }
    }

    /// Forgets all changes up to now, as etcd does every five minutes.
    pub(crate) fn compact(&mut self) {
        self.history.clear();
        self.compacted = self.revision;
    }

    /// The objects as they were at a revision.
    pub(crate) fn snapshot(&self, resource: &str, revision: u64) -> Result<Objects, Compacted> {
        if revision < self.compacted {
            return Err(Compacted);
        }
        let mut objects = self.objects.get(resource).cloned().unwrap_or_default();
        for change in self.history.iter().rev() {
            if change.revision <= revision {
                break;
            }
            if &*change.resource != resource {
                continue;
            }
            match &change.old {
                Some(old) => objects.insert(change.key.clone(), old.clone()),
                None => objects.remove(&change.key),
            };
        }
        Ok(objects)
    }

    /// What changed after a revision, in order.
    pub(crate) fn changes_after(
        &self,
        resource: &str,
        revision: u64,
    ) -> Result<impl Iterator<Item = &Change>, Compacted> {
        if revision < self.compacted {
            return Err(Compacted);
        }
        let from = self.history.partition_point(|change| change.revision <= revision);
        Ok(self
            .history
            .range(from..)
            .filter(move |change| &*change.resource == resource))
    }
}

/// A copy with another resourceVersion.
pub(crate) fn with_revision(value: &Value, revision: u64) -> Value {
    let mut value = value.clone();
    metadata(&mut value).insert("resourceVersion".to_owned(), json!(revision.to_string()));
    value
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn every_kept_revision_can_be_told_as_it_was(
            writes in proptest::collection::vec((0_u8..4, proptest::bool::weighted(0.3)), 0..40),
            window in 1_usize..50,
        ) {
            let resource: Resource = "pods".into();
            let mut store = Store::new(window);
            let mut states = vec![(store.revision(), Objects::new())];
            for (name, delete) in writes {
                let key = Key::new("ns", &name.to_string());
                if delete {
                    store.remove(&resource, &key);
                } else {
                    store.put(&resource, key, json!({}));
                }
                states.push((store.revision(), store.snapshot("pods", store.revision()).unwrap()));
            }
            for (revision, objects) in states {
                match store.snapshot("pods", revision) {
                    Ok(told) => prop_assert_eq!(told, objects),
                    Err(Compacted) => prop_assert!(store.history.len() == window),
                }
                // A snapshot and the changes after it give the present.
                if let Ok(mut told) = store.snapshot("pods", revision) {
                    for change in store.changes_after("pods", revision).unwrap() {
                        match &change.new {
                            Some(new) => told.insert(change.key.clone(), new.clone()),
                            None => told.remove(&change.key),
                        };
                    }
                    prop_assert_eq!(told, store.snapshot("pods", store.revision()).unwrap());
                }
            }
        }
    }
}
