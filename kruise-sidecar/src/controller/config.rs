//! Settings of the controller.

use std::time::Duration;

use kruise_core::api::int_or_percent::Mode;
use kruise_core::api::names::SYSTEM_NAMESPACE;
use kruise_core::runtime::{ConfigError, RunnerConfig};
use serde::{Deserialize, Serialize};

use crate::api::HashForm;

/// No time is longer, so that a clock can be asked for the end of it.
const LONGEST: Duration = Duration::from_secs(365 * 24 * 3600);

/// Settings of the controller of SidecarSets.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase", deny_unknown_fields)]
#[non_exhaustive]
pub struct SidecarSetConfig {
    /// Workers, queue and timeouts. Default: 3 workers.
    pub runner: RunnerConfig,
    /// How percentages are rounded. Default: as OpenKruise does today.
    pub mode: Mode,
    /// Form of the hashes of sets that admission has not seen. Default: that of OpenKruise since 1.7.
    pub hash_form: HashForm,
    /// Namespace of the revisions of sets. Default `kruise-system`.
    pub revision_namespace: String,
    /// Pods of one set that are written at the same time. Default 16.
    pub concurrent_writes: usize,
    /// Pods of one set that are written before it is looked at again. Default 256.
    pub writes_per_round: usize,
    /// How long a change of a pod waits for others before its sets are looked at. Default 100 ms.
    pub pod_debounce: Duration,
    /// The same for a set with many pods, for each pod. With the default of 10 µs, a set of 100,000 is looked at once in a
    /// second.
    pub pod_debounce_per_pod: Duration,
    /// The longest that follows from it. Default 2 s.
    pub max_pod_debounce: Duration,
    /// Writes of the status of one set that only tell counts are at least this far apart; its end is told at once.
    /// Default 1 s; zero writes each change.
    pub status_interval: Duration,
    /// How soon a set is looked at again after pods that somebody else changed in the same moment. Default 500 ms.
    pub conflict_retry: Duration,
    /// How soon is looked again whether what was written has come back through the watch. Default 1 s.
    pub settle_retry: Duration,
    /// How long a worker waits for caches to come to where the server is. Default 5 s.
    pub confirm_timeout: Duration,
    /// When what was written has not come back for this long, the pods of the set are asked for before the next upgrade.
    /// Default 60 s.
    pub confirm_after: Duration,
    /// How long a pod whose upgrade the server refuses is left alone, unless it changes. Default 5 min.
    pub refused_retry: Duration,
}

impl Default for SidecarSetConfig {
    fn default() -> Self {
        Self {
            runner: RunnerConfig::default(),
            mode: Mode::default(),
            hash_form: HashForm::default(),
            revision_namespace: SYSTEM_NAMESPACE.to_owned(),
            concurrent_writes: 16,
            writes_per_round: 256,
            pod_debounce: Duration::from_millis(100),
            pod_debounce_per_pod: Duration::from_micros(10),
            max_pod_debounce: Duration::from_secs(2),
            status_interval: Duration::from_secs(1),
            conflict_retry: Duration::from_millis(500),
            settle_retry: Duration::from_secs(1),
            confirm_timeout: Duration::from_secs(5),
            confirm_after: Duration::from_secs(60),
            refused_retry: Duration::from_secs(300),
        }
    }
}

impl SidecarSetConfig {
    /// How long a change of one of so many pods waits.
    pub(super) fn debounce(&self, pods: usize) -> Duration {
        let pods = u32::try_from(pods).unwrap_or(u32::MAX);
        let debounce = self.pod_debounce_per_pod.saturating_mul(pods);
        debounce.min(self.max_pod_debounce).max(self.pod_debounce)
    }

    /// Checks the fields.
    ///
    /// # Errors
    /// Names the field that can not be used.
    pub fn validate(&self) -> Result<(), ConfigError> {
        self.runner.validate().map_err(|error| error.inside("runner"))?;
        if self.revision_namespace.is_empty() {
            return Err(ConfigError::new("revisionNamespace", "must not be empty"));
        }
        for (field, count) in [
            ("concurrentWrites", self.concurrent_writes),
            ("writesPerRound", self.writes_per_round),
        ] {
            if count == 0 {
                return Err(ConfigError::new(field, "must be above zero"));
            }
        }
        for (field, time) in [
            ("podDebounce", self.pod_debounce),
            ("podDebouncePerPod", self.pod_debounce_per_pod),
            ("maxPodDebounce", self.max_pod_debounce),
            ("statusInterval", self.status_interval),
            ("conflictRetry", self.conflict_retry),
            ("settleRetry", self.settle_retry),
            ("confirmTimeout", self.confirm_timeout),
            ("confirmAfter", self.confirm_after),
            ("refusedRetry", self.refused_retry),
        ] {
            if time > LONGEST {
                return Err(ConfigError::new(field, "must be at most a year"));
            }
        }
        for (field, time) in [
            ("conflictRetry", self.conflict_retry),
            ("settleRetry", self.settle_retry),
            ("confirmTimeout", self.confirm_timeout),
            ("confirmAfter", self.confirm_after),
            ("refusedRetry", self.refused_retry),
        ] {
            if time.is_zero() {
                return Err(ConfigError::new(field, "must be above zero"));
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_set_of_many_pods_is_looked_at_less_often() {
        let config = SidecarSetConfig::default();
        for (pods, millis) in [(1, 100), (10_000, 100), (100_000, 1000), (10_000_000, 2000)] {
            assert_eq!(config.debounce(pods), Duration::from_millis(millis), "{pods}");
        }
    }

    #[test]
    fn what_can_not_be_used_is_named() {
        let mut config = SidecarSetConfig::default();
        assert!(config.validate().is_ok());
        config.writes_per_round = 0;
        let error = config.validate().expect_err("no writes");
        assert!(error.to_string().contains("writesPerRound"), "{error}");
        config = SidecarSetConfig::default();
        config.refused_retry = Duration::MAX;
        let error = config.validate().expect_err("no clock goes that far");
        assert!(error.to_string().contains("refusedRetry"), "{error}");
    }
}
