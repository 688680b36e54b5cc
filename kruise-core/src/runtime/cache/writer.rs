//! The one who writes a cache: turns lists and events into deltas.

use std::fmt;
use std::sync::Arc;

use parking_lot::MutexGuard;

use super::store::Written;
use super::{Cache, Delta, Feed, Registered};
use crate::runtime::{Cached, ObjectKey};

/// Writes a [`Cache`]. Each cache has one; dropping it tells those who wait that nothing more will come.
pub struct CacheWriter<T: Cached> {
    cache: Cache<T>,
}

impl<T: Cached> fmt::Debug for CacheWriter<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CacheWriter").field("cache", &self.cache).finish()
    }
}

impl<T: Cached> Drop for CacheWriter<T> {
    fn drop(&mut self) {
        self.cache.0.upstream.waiters.stop();
    }
}

impl<T: Cached> CacheWriter<T> {
    pub(super) fn new(cache: Cache<T>) -> Self {
        Self { cache }
    }

    /// Adds or updates an object, as a watch event does. An object with the uid and the (non-empty) resourceVersion of
    /// the one that is held changes nothing.
    pub fn apply(&self, object: T) {
        self.write(Arc::new(object), false);
    }

    /// Removes an object, as a watch event does. Returns what was held.
    pub fn delete(&self, key: &ObjectKey) -> Option<Arc<T>> {
        let mut feed = self.cache.0.feed.lock();
        let last = self.cache.0.store.remove(key)?;
        self.tell(
            &mut feed,
            &Delta::Deleted {
                last: last.clone(),
                tombstone: false,
            },
        );
        Some(last)
    }

    /// Replaces the content, as a new list does: what it lacks is told as tombstones.
    pub fn relist(&self, objects: impl IntoIterator<Item = T>) {
        self.list_started();
        for object in objects {
            self.listed(object);
        }
        self.list_done();
    }

    /// A list begins. An unfinished one before it is void.
    pub(super) fn list_started(&self) {
        self.cache.0.feed.lock().list += 1;
        self.cache.0.upstream.waiters.list_started();
    }

    /// The list shows an object.
    pub(super) fn listed(&self, object: T) {
        let initial = !self.cache.is_synced();
        self.write(Arc::new(object), initial);
    }

    /// The list shows an object that cannot be decoded: its last good state stays.
    pub(super) fn listed_undecodable(&self, key: &ObjectKey) {
        let feed = self.cache.0.feed.lock();
        self.cache.0.store.touch(key, feed.list);
    }

    /// The list is complete: what it has not shown is gone.
    pub(super) fn list_done(&self) {
        let list = self.cache.0.feed.lock().list;
        for key in self.cache.0.store.unseen(list) {
            let mut feed = self.cache.0.feed.lock();
            if let Some(last) = self.cache.0.store.remove(&key) {
                self.tell(
                    &mut feed,
                    &Delta::Deleted {
                        last,
                        tombstone: true,
                    },
                );
            }
        }
        self.cache.0.upstream.waiters.list_done();
        self.cache.0.upstream.synced.send_replace(true);
    }

    /// The watch shows an object's deletion, with its last state.
    pub(super) fn deleted(&self, last: T) {
        let mut feed = self.cache.0.feed.lock();
        let key = last.key();
        // Nothing is held, or another object of that name which is newer.
        let held = self.cache.get(&key).filter(|held| held.uid() == last.uid());
        if held.is_some() {
            self.cache.0.store.remove(&key);
            let last = Arc::new(last);
            self.tell(
                &mut feed,
                &Delta::Deleted {
                    last,
                    tombstone: false,
                },
            );
        } else {
            self.cache.0.upstream.waiters.seen(last.resource_version());
        }
    }

    fn write(&self, new: Arc<T>, initial: bool) {
        let mut feed = self.cache.0.feed.lock();
        match self.cache.0.store.write(&new, feed.list) {
            Written::Unchanged => self.cache.0.upstream.waiters.seen(new.resource_version()),
            Written::Added => self.tell(&mut feed, &Delta::Added { new, initial }),
            Written::Updated { old } => self.tell(&mut feed, &Delta::Updated { old, new }),
            Written::Replaced { old } => {
                self.tell(
                    &mut feed,
                    &Delta::Deleted {
                        last: old,
                        tombstone: true,
                    },
                );
                self.tell(&mut feed, &Delta::Added { new, initial: false });
            }
        }
    }

    /// Tells everybody of a delta that the store holds already.
    fn tell(&self, feed: &mut MutexGuard<'_, Feed<T>>, delta: &Delta<T>) {
        self.cache.publish(feed, delta);
        // Last, so that who waits for a version finds its handlers' work done.
        if !matches!(delta, Delta::Deleted { tombstone: true, .. }) {
            let version = delta.object().resource_version();
            self.cache.0.upstream.waiters.seen(version);
        }
    }
}

impl<T: Cached> Cache<T> {
    /// Calls the handlers with a delta that the store holds already.
    pub(super) fn publish(&self, feed: &mut MutexGuard<'_, Feed<T>>, delta: &Delta<T>) {
        let inner = &self.0;
        if let Some(metrics) = &inner.metrics {
            match delta {
                Delta::Added { .. } => metrics.added.inc(),
                Delta::Updated { .. } => metrics.updated.inc(),
                Delta::Deleted { tombstone: false, .. } => metrics.deleted.inc(),
                Delta::Deleted { tombstone: true, .. } => metrics.tombstone.inc(),
            };
            metrics
                .objects
                .set(i64::try_from(inner.store.len()).unwrap_or(i64::MAX));
        }
        feed.handlers.retain(Registered::is_alive);
        for registered in &feed.handlers {
            self.call(&registered.handler, delta);
        }
    }
}
