//! What can be set on a work queue, and the words of its interface.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::runtime::ConfigError;
use crate::runtime::config::shortened;

/// How urgent a key is: higher is served first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Priority(pub i32);

impl Priority {
    /// The initial list and resyncs: nothing has changed, so it can wait.
    pub const LOW: Self = Self(-100);
    /// A real change.
    pub const NORMAL: Self = Self(0);
    /// Somebody waits for it.
    pub const HIGH: Self = Self(100);
}

/// How to add a key.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Add {
    /// How urgent the key is; the highest of several adds counts.
    pub priority: Priority,
    /// Not before this time from now; the earliest of several adds counts. `None` is now.
    pub after: Option<Duration>,
}

/// What is to become of a key that was worked on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Verdict {
    /// Nothing more to do. Forgets the failures of the key.
    Done,
    /// All is well, look again after this time. Forgets the failures of the key.
    After(Duration),
    /// It failed: hand it out again after a delay that doubles with each failure.
    Retry,
    /// It failed: hand it out again after this time. Counts as a failure.
    RetryAfter(Duration),
}

/// Settings of a [`WorkQueue`](super::WorkQueue).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase", deny_unknown_fields)]
#[non_exhaustive]
pub struct QueueConfig {
    /// Name, the label `name` of its metrics. Default `queue`.
    pub name: String,
    /// Delay after the first failure of a key; each further one doubles it. Default 5 ms.
    pub backoff_base: Duration,
    /// The longest delay between failures of a key. Default 1000 s.
    pub backoff_max: Duration,
    /// Part of the delay, from 0 to 1, that is taken off at random so that keys that failed together do not come back
    /// together. The same seed gives the same delays. Default 0: exact delays.
    pub backoff_jitter: f64,
    /// Seed of the jitter. Default 0.
    pub seed: u64,
    /// After this many keys in a row that overtook one that had waited longer, the one that has waited longest is
    /// next whatever its priority. So priority LOW gets at least one turn in `fairness + 1`. Default 15; 0 lets
    /// higher priorities starve lower ones.
    pub fairness: u32,
}

impl Default for QueueConfig {
    fn default() -> Self {
        Self {
            name: "queue".to_owned(),
            backoff_base: Duration::from_millis(5),
            backoff_max: Duration::from_secs(1000),
            backoff_jitter: 0.0,
            seed: 0,
            fairness: 15,
        }
    }
}

impl QueueConfig {
    /// The default settings under a name.
    pub fn named(name: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            ..Self::default()
        }
    }

    /// Checks the fields against each other.
    ///
    /// # Errors
    /// Names the field that cannot be used.
    pub fn validate(&self) -> Result<(), ConfigError> {
        if self.backoff_base.is_zero() {
            return Err(ConfigError::new("backoffBase", "must be above zero"));
        }
        if self.backoff_max < self.backoff_base {
            return Err(ConfigError::new("backoffMax", "must not be below backoffBase"));
        }
        if !(0.0..=1.0).contains(&self.backoff_jitter) {
            return Err(ConfigError::new("backoffJitter", "must be from 0 to 1"));
        }
        Ok(())
    }

    /// The delay after a key's failure number `failures` (from 1). `draw` makes the jitter differ.
    pub(super) fn backoff(&self, failures: u32, draw: u64) -> Duration {
        let doublings = failures.saturating_sub(1).min(63);
        let exact = u32::try_from(1_u64 << doublings.min(31))
            .ok()
            .and_then(|factor| self.backoff_base.checked_mul(factor))
            .filter(|_| doublings <= 31)
            .map_or(self.backoff_max, |delay| delay.min(self.backoff_max));
        shortened(exact, self.backoff_jitter, self.seed ^ draw)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn backoff_doubles_from_five_milliseconds_to_a_thousand_seconds() {
        let config = QueueConfig::default();
        let delays: Vec<_> = (1..=4).map(|n| config.backoff(n, 0).as_millis()).collect();
        assert_eq!(delays, [5, 10, 20, 40]);
        assert_eq!(config.backoff(18, 0), Duration::from_millis(5 << 17));
        assert_eq!(config.backoff(19, 0), Duration::from_secs(1000));
        for failures in [33, 64, 65, u32::MAX] {
            assert_eq!(config.backoff(failures, 0), Duration::from_secs(1000));
        }
    }

    #[test]
    fn jitter_shortens_delays_by_at_most_its_share_and_repeats_with_the_seed() {
        let config = QueueConfig {
            backoff_jitter: 0.25,
            seed: 7,
            ..QueueConfig::default()
        };
        let delays: Vec<_> = (0..100).map(|draw| config.backoff(10, draw)).collect();
        let exact = QueueConfig::default().backoff(10, 0);
        assert!(delays.iter().all(|d| *d <= exact && *d >= exact.mul_f64(0.75)));
        assert!(delays.iter().any(|d| *d != delays[0]));
        assert_eq!(
            delays,
            (0..100).map(|draw| config.backoff(10, draw)).collect::<Vec<_>>()
        );
    }

    #[test]
    fn validation_names_the_field_in_error() {
        let bad = QueueConfig {
            backoff_max: Duration::ZERO,
            ..QueueConfig::default()
        };
        assert_eq!(bad.validate().unwrap_err().field(), "backoffMax");
        let bad = QueueConfig {
            backoff_jitter: f64::NAN,
            ..QueueConfig::default()
        };
        assert_eq!(bad.validate().unwrap_err().field(), "backoffJitter");
        assert!(QueueConfig::default().validate().is_ok());
    }
}
