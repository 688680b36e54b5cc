//! Settings of the controller of lists.

use std::time::Duration;

use kruise_core::runtime::{ConfigError, RunnerConfig};
use serde::{Deserialize, Serialize};

/// Settings of the controller of lists.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase", deny_unknown_fields)]
#[non_exhaustive]
pub struct ListConfig {
    /// Workers, queue and timeouts. Default: 3 workers.
    pub runner: RunnerConfig,
    /// Jobs that are created at the same time. The first goes alone, then 2, 4 and so on up to this number, and none after one
    /// that fails. Default 16.
    pub max_batch: usize,
    /// How soon a list looks again whether its writes have come back through the watch. Default 5 s.
    pub settle_retry: Duration,
}

impl Default for ListConfig {
    fn default() -> Self {
        Self {
            runner: RunnerConfig::default(),
            max_batch: 16,
            settle_retry: Duration::from_secs(5),
        }
    }
}

impl ListConfig {
    /// Checks the fields.
    ///
    /// # Errors
    /// Names the field that can not be used.
    pub fn validate(&self) -> Result<(), ConfigError> {
        self.runner.validate().map_err(|error| error.inside("runner"))?;
        if self.max_batch == 0 {
            return Err(ConfigError::new("maxBatch", "must be above zero"));
        }
        if self.settle_retry.is_zero() {
            return Err(ConfigError::new("settleRetry", "must be above zero"));
        }
        Ok(())
    }
}
