//! Settings of a controller.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::runtime::{ConfigError, QueueConfig};

/// Settings of a [`Controller`](super::Controller).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase", deny_unknown_fields)]
#[non_exhaustive]
pub struct RunnerConfig {
    /// Reconciles that may run at once. Default 3.
    pub workers: usize,
    /// A reconcile that takes longer is dropped and counted as failed. Default 5 minutes.
    pub reconcile_timeout: Duration,
    /// How long running reconciles may go on after a cancellation, before they are dropped. Default 10 s.
    pub drain_timeout: Duration,
    /// The queue. Its name is replaced by the controller's.
    pub queue: QueueConfig,
}

impl Default for RunnerConfig {
    fn default() -> Self {
        Self {
            workers: 3,
            reconcile_timeout: Duration::from_secs(300),
            drain_timeout: Duration::from_secs(10),
            queue: QueueConfig::default(),
        }
    }
}

impl RunnerConfig {
    /// The most workers that [`RunnerConfig::validate`] lets pass.
    pub const MAX_WORKERS: usize = 10_000;

    /// Checks the fields.
    ///
    /// # Errors
    /// Names the field that cannot be used.
    pub fn validate(&self) -> Result<(), ConfigError> {
        if self.workers == 0 || self.workers > Self::MAX_WORKERS {
            return Err(ConfigError::new(
                "workers",
                format!("must be from 1 to {}", Self::MAX_WORKERS),
            ));
        }
        if self.reconcile_timeout.is_zero() {
            return Err(ConfigError::new("reconcileTimeout", "must be above zero"));
        }
        self.queue.validate().map_err(|error| error.inside("queue"))
    }
}
