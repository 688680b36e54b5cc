//! Settings of the agent.

use std::collections::BTreeMap;
use std::time::Duration;

use kruise_core::runtime::ConfigError;
use serde::{Deserialize, Serialize};

use super::disk::DiskLimits;

/// Value of [`AgentConfig::max_pulls`] that means no limit.
pub const UNLIMITED: i32 = -1;

/// Longest [`AgentConfig::start_jitter`].
const MAX_START_JITTER: Duration = Duration::from_secs(300);

/// Settings of the agent.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase", deny_unknown_fields)]
#[non_exhaustive]
pub struct AgentConfig {
    /// Pulls at the same time; further tasks wait. [`UNLIMITED`] (-1) is how OpenKruise behaves by default. Default 5.
    pub max_pulls: i32,
    /// Pulls from one registry host at the same time; further tasks wait. Default [`UNLIMITED`].
    pub max_pulls_per_registry: i32,
    /// A pull starts up to this long after its task was made, each node at another moment. Images that are there already do
    /// not wait. At most 5 min, less than managers wait beyond the limits of a task. Default 0.
    pub start_jitter: Duration,
    /// How much of the disk has to be free for a pull to begin.
    pub disk: DiskLimits,
    /// How often a pull that runs alone tells by how much the disk has filled; 0 is never. Default 30 s.
    pub progress_interval: Duration,
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
            max_pulls_per_registry: UNLIMITED,
            start_jitter: Duration::ZERO,
            disk: DiskLimits::default(),
            progress_interval: Duration::from_secs(30),
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
        for (field, value) in [
            ("maxPulls", self.max_pulls),
            ("maxPullsPerRegistry", self.max_pulls_per_registry),
        ] {
            if value != UNLIMITED && value < 1 {
                return Err(ConfigError::new(field, "must be above zero, or -1 for no limit"));
            }
        }
        if self.start_jitter > MAX_START_JITTER {
            return Err(ConfigError::new("startJitter", "must not be above 5 minutes"));
        }
        if self.disk.min_free_percent > 99 {
            return Err(ConfigError::new("disk.minFreePercent", "must not be above 99"));
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

    /// Returns the limits of pulls in all and per registry, `None` for none.
    pub(super) fn pull_limits(&self) -> (Option<usize>, Option<usize>) {
        (
            usize::try_from(self.max_pulls).ok(),
            usize::try_from(self.max_pulls_per_registry).ok(),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_that_can_not_be_used_are_refused_by_name() {
        let refused = |change: fn(&mut AgentConfig)| {
            let mut config = AgentConfig::default();
            change(&mut config);
            config
                .validate()
                .err()
                .map(|error| error.to_string())
                .unwrap_or_default()
        };
        assert_eq!(refused(|_| {}), "");
        assert!(refused(|config| config.max_pulls = 0).contains("maxPulls"));
        assert!(refused(|config| config.max_pulls_per_registry = -2).contains("maxPullsPerRegistry"));
        assert!(refused(|config| config.start_jitter = Duration::from_secs(301)).contains("startJitter"));
        assert!(refused(|config| config.disk.min_free_percent = 100).contains("disk.minFreePercent"));
    }
}
