//! What a controller has written and not yet seen: it waits for that before it decides again, so that a cache that
//! lags behind never makes it act twice.
//!
//! Expectations belong to an owner (the uid of the object that is reconciled). Each one ends by the first of these:
//! * its observation: the creation, the deletion, or the update at its version or later;
//! * the deletion of the object that it waits for, seen by the watch or only by a relist;
//! * the deletion of its owner, [`Expectations::forget`], or a withdrawal because the call failed;
//! * its age: after [`ExpectationsConfig::max_age`] it is given up, counted and logged. A lost event delays a
//!   controller by that time at most, and for ever never.
//!
//! Whoever leaves expectations open asks to be called again ([`Outcome::RequeueAfter`](super::Outcome::RequeueAfter)): what was
//! created may be deleted before any list shows it, and then no change ever wakes the owner.

mod ledger;
#[cfg(test)]
mod tests;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use ledger::{Ledger, What};
use parking_lot::{Mutex, RwLock};
use prometheus_client::metrics::counter::Counter;
use serde::{Deserialize, Serialize};
use tokio::time::Instant;

use super::metrics::RuntimeMetrics;
use super::{Cache, Cached, ConfigError, Delta, ObjectKey, version_at_least};

/// Settings of [`Expectations`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase", deny_unknown_fields)]
#[non_exhaustive]
pub struct ExpectationsConfig {
    /// Name, the label `name` of its metrics. Default `expectations`.
    pub name: String,
    /// An expectation that has not been met for this long is given up. Default 5 minutes.
    pub max_age: Duration,
}

impl Default for ExpectationsConfig {
    fn default() -> Self {
        Self {
            name: "expectations".to_owned(),
            max_age: Duration::from_secs(300),
        }
    }
}

impl ExpectationsConfig {
    /// Checks the fields.
    ///
    /// # Errors
    /// Names the field that cannot be used.
    pub fn validate(&self) -> Result<(), ConfigError> {
        if self.max_age.is_zero() {
            return Err(ConfigError::new("maxAge", "must be above zero"));
        }
        Ok(())
    }
}

/// Whether an owner's expectations are met.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub enum Expected {
    /// All of them, or there were none: decide.
    Satisfied,
    /// Some are not: do nothing that depends on them.
    Waiting {
        /// How many.
        pending: usize,
        /// The age of the oldest.
        oldest: Duration,
        /// After this time the oldest is given up: look again then, if nothing happens before.
        retry_after: Duration,
    },
}

impl Expected {
    /// Whether there is nothing to wait for.
    pub fn is_satisfied(&self) -> bool {
        matches!(self, Self::Satisfied)
    }
}

/// Finds an object's version in a cache.
trait Held: Send + Sync {
    /// The version held for the uid; `None` when none is; `Err` when the cache is not synced and cannot tell.
    fn version(&self, uid: &str) -> Result<Option<String>, ()>;
}

impl<T: Cached> Held for Cache<T> {
    fn version(&self, uid: &str) -> Result<Option<String>, ()> {
        if !self.is_synced() {
            return Err(());
        }
        Ok(self
            .get_by_uid(uid)
            .map(|object| object.resource_version().to_owned()))
    }
}

struct Inner {
    config: ExpectationsConfig,
    ledger: Mutex<Ledger>,
    caches: RwLock<Vec<Box<dyn Held>>>,
    expired: Option<Counter>,
}

/// A handle to the expectations of one controller; clones share them.
#[derive(Clone)]
pub struct Expectations(Arc<Inner>);

impl fmt::Debug for Expectations {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Expectations")
            .field("config", &self.0.config)
            .finish_non_exhaustive()
    }
}

impl Default for Expectations {
    fn default() -> Self {
        Self::new(ExpectationsConfig::default())
    }
}

impl Expectations {
    /// No expectations yet. A `max_age` below one second counts as one second.
    pub fn new(config: ExpectationsConfig) -> Self {
        Self::build(config, None)
    }

    /// No expectations yet; the age of the oldest and the number of those given up are reported to `metrics`.
    pub fn with_metrics(config: ExpectationsConfig, metrics: &RuntimeMetrics) -> Self {
        let name = config.name.clone();
        let this = Self::build(config, Some(metrics.expectations_expired(&name)));
        let weak = Arc::downgrade(&this.0);
        metrics.expectations_age(&name, move || {
            let this = Self(weak.upgrade()?);
            Some(this.oldest_age().unwrap_or_default().as_secs_f64())
        });
        this
    }

    fn build(mut config: ExpectationsConfig, expired: Option<Counter>) -> Self {
        // Without any age nothing would ever be waited for.
        config.max_age = config.max_age.max(Duration::from_secs(1));
        Self(Arc::new(Inner {
            config,
            ledger: Mutex::default(),
            caches: RwLock::default(),
            expired,
        }))
    }

    /// Meets expectations from the deltas of this cache, for the life of the cache, and looks there when a new one is
    /// set, since its event may have come before.
    ///
    /// Call it before the handler that adds the owner's key to a queue, so that the reconcile finds the expectation met.
    pub fn observe_cache<T: Cached>(&self, cache: &Cache<T>) {
        self.0.caches.write().push(Box::new(cache.clone()));
        let weak = Arc::downgrade(&self.0);
        cache.on_delta(move |delta| {
            if let Some(inner) = weak.upgrade() {
                Self(inner).observe(delta);
            }
        });
    }

    /// Expects the creation of an object by its name. Set it before the call, withdraw it when the call fails.
    pub fn expect_creation(&self, owner_uid: &str, key: &ObjectKey) {
        self.ledger()
            .expect(owner_uid, What::Creation(key.clone()), Instant::now());
    }

    /// Expects the deletion of an object. Set it before the call, withdraw it when the call fails.
    pub fn expect_deletion(&self, owner_uid: &str, uid: &str) {
        self.ledger()
            .expect(owner_uid, What::Deletion(uid.into()), Instant::now());
    }

    /// Expects to see the object at this version or a later one. Set it when the answer to the call gives the version.
    ///
    /// When a cache that is observed holds that version already, or no such object any more, there is nothing to wait
    /// for; so it is for objects that were in the cache, and [`Expectations::expect_creation`] is for new ones.
    pub fn expect_update(&self, owner_uid: &str, uid: &str, resource_version: &str) {
        let what = What::Update(uid.into(), resource_version.into());
        self.ledger().expect(owner_uid, what, Instant::now());
        // After it is set, so that an event between looking and setting is not missed.
        let mut known = None;
        for cache in self.0.caches.read().iter() {
            match cache.version(uid) {
                Ok(Some(version)) => return self.observed_version(uid, &version),
                Ok(None) => known = known.or(Some(true)),
                Err(()) => known = Some(false),
            }
        }
        if known == Some(true) {
            self.observed_deletion(uid);
        }
    }

    /// The creation was refused: nothing is to be expected of it.
    pub fn withdraw_creation(&self, owner_uid: &str, key: &ObjectKey) {
        self.ledger().withdraw(owner_uid, &What::Creation(key.clone()));
    }

    /// The deletion was refused, or the object was gone: nothing is to be expected of it.
    pub fn withdraw_deletion(&self, owner_uid: &str, uid: &str) {
        self.ledger().withdraw(owner_uid, &What::Deletion(uid.into()));
    }

    /// Meets what this delta meets. Observed caches do this by themselves.
    pub fn observe<T: Cached>(&self, delta: &Delta<T>) {
        match delta {
            Delta::Added { new, .. } => {
                self.observed_creation(&new.key());
                self.observed_version(new.uid(), new.resource_version());
            }
            Delta::Updated { new, .. } => self.observed_version(new.uid(), new.resource_version()),
            Delta::Deleted { last, .. } => {
                // Says nothing of a creation under the same name: that is another object, which may come yet.
                self.observed_deletion(last.uid());
                self.forget(last.uid());
            }
        }
    }

    /// An object of this name exists.
    pub fn observed_creation(&self, key: &ObjectKey) {
        self.ledger().created(key);
    }

    /// The object has been seen at this version.
    pub fn observed_version(&self, uid: &str, resource_version: &str) {
        self.ledger()
            .seen(uid, |expected| version_at_least(resource_version, expected));
    }

    /// The object is gone, or (where that is enough for the controller) is being deleted. Nothing more is expected of
    /// it.
    pub fn observed_deletion(&self, uid: &str) {
        self.ledger().gone(uid);
    }

    /// The owner is gone: nothing is expected for it any more.
    pub fn forget(&self, owner_uid: &str) {
        self.ledger().forget(owner_uid);
    }

    /// Whether all expectations of the owner are met. Gives up those that are too old.
    pub fn check(&self, owner_uid: &str) -> Expected {
        let now = Instant::now();
        let ledger = self.ledger();
        let Some((pending, since)) = ledger.pending(owner_uid) else {
            return Expected::Satisfied;
        };
        let oldest = now.saturating_duration_since(since);
        Expected::Waiting {
            pending,
            oldest,
            retry_after: self.0.config.max_age.saturating_sub(oldest),
        }
    }

    /// The age of the oldest expectation that is not met.
    pub fn oldest_age(&self) -> Option<Duration> {
        self.ledger().oldest().map(|since| since.elapsed())
    }

    /// How many expectations are not met.
    pub fn len(&self) -> usize {
        self.ledger().len()
    }

    /// Whether all expectations of all owners are met.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The ledger without what is too old: every use gives that up, so memory is bounded by the writes of `max_age`.
    fn ledger(&self) -> parking_lot::MutexGuard<'_, Ledger> {
        let mut ledger = self.0.ledger.lock();
        while let Some((owner, what, age)) = ledger.give_up(Instant::now(), self.0.config.max_age) {
            if let Some(expired) = &self.0.expired {
                expired.inc();
            }
            tracing::warn!(
                expectations = %self.0.config.name,
                owner = %owner,
                expected = %what,
                age_seconds = age.as_secs(),
                "expectation given up, its event seems lost"
            );
        }
        ledger
    }
}
