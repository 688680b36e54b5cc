//! What changed in a cache.

use std::sync::Arc;

use crate::runtime::{Cached, ObjectKey};

/// One change of one object, told after the cache holds the new state.
#[derive(Debug)]
#[non_exhaustive]
pub enum Delta<T> {
    /// The cache did not hold the object before.
    Added {
        /// The object.
        new: Arc<T>,
        /// It is part of the first list, or of the replay to a handler that came late: nothing has happened to it now.
        initial: bool,
    },
    /// The object changed. Never told for an object that a relist found unchanged.
    Updated {
        /// As it was held before.
        old: Arc<T>,
        /// As it is held now; the same uid as `old`.
        new: Arc<T>,
    },
    /// The object is gone.
    Deleted {
        /// The last state that is known; of a tombstone it may be old.
        last: Arc<T>,
        /// The deletion was not seen, only that the object was missing in a later list, or was replaced by another of
        /// the same name.
        tombstone: bool,
    },
}

impl<T> Clone for Delta<T> {
    fn clone(&self) -> Self {
        match self {
            Self::Added { new, initial } => Self::Added {
                new: new.clone(),
                initial: *initial,
            },
            Self::Updated { old, new } => Self::Updated {
                old: old.clone(),
                new: new.clone(),
            },
            Self::Deleted { last, tombstone } => Self::Deleted {
                last: last.clone(),
                tombstone: *tombstone,
            },
        }
    }
}

impl<T> Delta<T> {
    /// The newest known state of the object.
    pub fn object(&self) -> &Arc<T> {
        match self {
            Self::Added { new, .. } | Self::Updated { new, .. } => new,
            Self::Deleted { last, .. } => last,
        }
    }

    /// Whether it is part of the first list or of a replay.
    pub fn is_initial(&self) -> bool {
        matches!(self, Self::Added { initial: true, .. })
    }

    /// Whether the object is gone.
    pub fn is_deleted(&self) -> bool {
        matches!(self, Self::Deleted { .. })
    }
}

impl<T: Cached> Delta<T> {
    /// The key of the object.
    pub fn key(&self) -> ObjectKey {
        self.object().key()
    }
}
