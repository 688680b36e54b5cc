//! Settings of a manager.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::runtime::ConfigError;

/// Settings of a [`Manager`](super::Manager). The three times of stopping follow each other: together, and with
/// `ElectionConfig::release_timeout`, they are the longest time between the cancellation and the end of the manager: 30 s
/// by default, like the grace period of a Pod.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase", deny_unknown_fields)]
#[non_exhaustive]
pub struct ManagerConfig {
    /// How long caches may take for their first list. Default 2 minutes.
    pub cache_sync_timeout: Duration,
    /// A cache that has not heard of its server for so long is not ready. Must be above the time of a watch
    /// (`CacheConfig::watch_timeout`). Default 10 minutes.
    pub cache_max_age: Duration,
    /// How long controllers and servers may take to end; then they are dropped. Should be above
    /// `RunnerConfig::drain_timeout`. Default 20 s.
    pub drain_timeout: Duration,
    /// How long caches may take to end; then they are dropped. Default 2 s.
    pub cache_stop_timeout: Duration,
    /// How long the event writer may take to end; then it is dropped. Should be above `EventConfig::flush_timeout`.
    /// Default 5 s.
    pub flush_timeout: Duration,
}

impl Default for ManagerConfig {
    fn default() -> Self {
        Self {
            cache_sync_timeout: Duration::from_secs(120),
            cache_max_age: Duration::from_secs(600),
            drain_timeout: Duration::from_secs(20),
            cache_stop_timeout: Duration::from_secs(2),
            flush_timeout: Duration::from_secs(5),
        }
    }
}

impl ManagerConfig {
    /// Checks the fields.
    ///
    /// # Errors
    /// Names the field that cannot be used.
    pub fn validate(&self) -> Result<(), ConfigError> {
        if self.cache_sync_timeout.is_zero() {
            return Err(ConfigError::new("cacheSyncTimeout", "must be above zero"));
        }
        if self.cache_max_age.is_zero() {
            return Err(ConfigError::new("cacheMaxAge", "must be above zero"));
        }
        Ok(())
    }
}
