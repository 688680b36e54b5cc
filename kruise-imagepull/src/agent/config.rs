//! Settings of the agent.

use std::collections::BTreeMap;
use std::time::Duration;

use kruise_core::runtime::ConfigError;
use serde::{Deserialize, Serialize};

/// Value of [`AgentConfig::max_pulls`] that means no limit.
pub const UNLIMITED: i32 = -1;

/// Settings of the agent.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase", deny_unknown_fields)]
#[non_exhaustive]
pub struct AgentConfig {
    /// Pulls at the same time; further tasks wait. [`UNLIMITED`] (-1) is how OpenKruise behaves by default. Default 5.
    pub max_pulls: i32,
    /// Status writes per second that only tell progress, in the long run. New phases are written at once. Default 0.5.
    pub progress_writes_per_second: f64,
    /// Such writes that may come at once. Default 5.
    pub progress_write_burst: u32,
    /// Longest time one status write may take. Default 10 s.
    pub write_timeout: Duration,
    /// Wait after a status write that failed; doubles up to `max_write_backoff`. Default 500 ms.
    pub min_write_backoff: Duration,
    /// Longest wait after a status write that failed. Default 50 s, less than managers wait for an answer.
    pub max_write_backoff: Duration,
    /// Annotations that runtimes get with each pull. Default `apps.kruise.io/pulling-image-by: kruise-daemon`.
    pub pull_annotations: BTreeMap<String, String>,
    /// Spreads waits of different nodes; give each node its own. Default 0.
    pub seed: u64,
}

impl Default for AgentConfig {
    fn default() -> Self {
        Self {
            max_pulls: 5,
            progress_writes_per_second: 0.5,
            progress_write_burst: 5,
            write_timeout: Duration::from_secs(10),
            min_write_backoff: Duration::from_millis(500),
            max_write_backoff: Duration::from_secs(50),
            pull_annotations: BTreeMap::from([(
                "apps.kruise.io/pulling-image-by".to_owned(),
                "kruise-daemon".to_owned(),
            )]),
            seed: 0,
        }
    }
}

impl AgentConfig {
    /// Checks the fields.
    ///
    /// # Errors
    /// Names the field that can not be used.
    pub fn validate(&self) -> Result<(), ConfigError> {
        if self.max_pulls != UNLIMITED && self.max_pulls < 1 {
            return Err(ConfigError::new(
                "maxPulls",
                "must be above zero, or -1 for no limit",
            ));
        }
        if !(self.progress_writes_per_second.is_finite() && self.progress_writes_per_second > 0.0) {
            return Err(ConfigError::new("progressWritesPerSecond", "must be above zero"));
        }
        if self.progress_write_burst == 0 {
            return Err(ConfigError::new("progressWriteBurst", "must be above zero"));
        }
        for (field, value) in [
            ("writeTimeout", self.write_timeout),
            ("minWriteBackoff", self.min_write_backoff),
        ] {
            if value.is_zero() {
                return Err(ConfigError::new(field, "must be above zero"));
            }
        }
        if self.max_write_backoff < self.min_write_backoff {
            return Err(ConfigError::new(
                "maxWriteBackoff",
                "must not be below minWriteBackoff",
            ));
        }
        Ok(())
    }

    /// Returns the limit of pulls, `None` for none.
    pub(super) fn pull_limit(&self) -> Option<usize> {
        usize::try_from(self.max_pulls).ok()
    }
}
