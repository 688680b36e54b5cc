//! The expectations themselves, found by owner, by what they wait for, and by age.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use crate::runtime::ObjectKey;

/// What is waited for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum What {
    Creation(ObjectKey),
    Deletion(Arc<str>),
    /// Uid and version.
    Update(Arc<str>, Arc<str>),
}

impl fmt::Display for What {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Creation(key) => write!(f, "creation of {key}"),
            Self::Deletion(uid) => write!(f, "deletion of uid {uid}"),
            Self::Update(uid, version) => write!(f, "uid {uid} at version {version}"),
        }
    }
}

/// The event that can meet it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Target {
    Name(ObjectKey),
    Uid(Arc<str>),
}

impl What {
    fn target(&self) -> Target {
        match self {
            Self::Creation(key) => Target::Name(key.clone()),
            Self::Deletion(uid) | Self::Update(uid, _) => Target::Uid(uid.clone()),
        }
    }

    /// Whether both wait for the same sort of event of the same object, so that the newer takes the older's place.
    fn is_same(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Update(uid, _), Self::Update(other, _)) => uid == other,
            _ => self == other,
        }
    }
}

/// Number of an expectation, growing with time.
type Id = u64;

#[derive(Debug)]
struct Entry {
    owner: Arc<str>,
    what: What,
    since: Instant,
}

#[derive(Debug, Default)]
pub(super) struct Ledger {
    /// By number, which is by age.
    entries: BTreeMap<Id, Entry>,
    by_owner: HashMap<Arc<str>, HashSet<Id>>,
    by_target: HashMap<Target, HashSet<Id>>,
    next: Id,
}

impl Ledger {
    pub(super) fn expect(&mut self, owner: &str, what: What, now: Instant) {
        let owner: Arc<str> = owner.into();
        self.withdraw(&owner, &what);
        let id = self.next;
        self.next += 1;
        self.by_owner.entry(owner.clone()).or_default().insert(id);
        self.by_target.entry(what.target()).or_default().insert(id);
        self.entries.insert(
            id,
            Entry {
                owner,
                what,
                since: now,
            },
        );
    }

    pub(super) fn withdraw(&mut self, owner: &str, what: &What) {
        self.end(&what.target(), |entry| {
            &*entry.owner == owner && entry.what.is_same(what)
        });
    }

    pub(super) fn created(&mut self, key: &ObjectKey) {
        self.end(&Target::Name(key.clone()), |_| true);
    }

    /// Meets updates of the object whose expected version passes `met`.
    pub(super) fn seen(&mut self, uid: &str, met: impl Fn(&str) -> bool) {
        self.end(&Target::Uid(uid.into()), |entry| match &entry.what {
            What::Update(_, version) => met(version),
            _ => false,
        });
    }

    pub(super) fn gone(&mut self, uid: &str) {
        self.end(&Target::Uid(uid.into()), |_| true);
    }

    pub(super) fn forget(&mut self, owner: &str) {
        for id in self.by_owner.get(owner).cloned().unwrap_or_default() {
            self.remove(id);
        }
    }

    /// How many the owner has, and since when the oldest.
    pub(super) fn pending(&self, owner: &str) -> Option<(usize, Instant)> {
        let ids = self.by_owner.get(owner)?;
        let oldest = self.entries.get(ids.iter().min()?)?;
        Some((ids.len(), oldest.since))
    }

    pub(super) fn oldest(&self) -> Option<Instant> {
        self.entries.first_key_value().map(|(_, entry)| entry.since)
    }

    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }

    /// Removes the oldest if it has reached `max_age`.
    pub(super) fn give_up(&mut self, now: Instant, max_age: Duration) -> Option<(Arc<str>, What, Duration)> {
        let (&id, entry) = self.entries.first_key_value()?;
        let age = now.saturating_duration_since(entry.since);
        if age < max_age {
            return None;
        }
        let entry = self.remove(id)?;
        Some((entry.owner, entry.what, age))
    }

    fn end(&mut self, target: &Target, ends: impl Fn(&Entry) -> bool) {
        let Some(ids) = self.by_target.get(target) else {
            return;
        };
        let ended: Vec<Id> = ids
            .iter()
            .copied()
            .filter(|id| self.entries.get(id).is_some_and(&ends))
            .collect();
        for id in ended {
            self.remove(id);
        }
    }

    fn remove(&mut self, id: Id) -> Option<Entry> {
        let entry = self.entries.remove(&id)?;
        if let Some(ids) = self.by_owner.get_mut(&entry.owner) {
            ids.remove(&id);
            if ids.is_empty() {
                self.by_owner.remove(&entry.owner);
            }
        }
        let target = entry.what.target();
        if let Some(ids) = self.by_target.get_mut(&target) {
            ids.remove(&id);
            if ids.is_empty() {
                self.by_target.remove(&target);
            }
        }
        Some(entry)
    }
}
