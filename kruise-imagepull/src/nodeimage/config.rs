//! Settings of the NodeImage controller.

use std::time::Duration;

use kruise_core::runtime::{ConfigError, RunnerConfig};
use serde::{Deserialize, Serialize};

use crate::plan::nodeimage::NodeImagePlanConfig;

/// Settings of the NodeImage controller.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase", deny_unknown_fields)]
#[non_exhaustive]
pub struct NodeImageConfig {
    /// Workers, queue and timeouts. Default: 3 workers.
    pub runner: RunnerConfig,
    /// Delays and timeouts of the planner.
    pub plan: NodeImagePlanConfig,
    /// How soon a NodeImage is looked at again that somebody else changed in the same moment. Default 500 ms.
    pub conflict_retry: Duration,
    /// Spreads short waits. Default 0.
    pub seed: u64,
}

impl Default for NodeImageConfig {
    fn default() -> Self {
        Self {
            runner: RunnerConfig::default(),
            plan: NodeImagePlanConfig::default(),
            conflict_retry: Duration::from_millis(500),
            seed: 0,
        }
    }
}

impl NodeImageConfig {
    /// Checks the fields.
    ///
    /// # Errors
    /// Names the field that can not be used.
    pub fn validate(&self) -> Result<(), ConfigError> {
        self.runner.validate().map_err(|error| error.inside("runner"))?;
        if self.plan.response_timeout.is_zero() {
            return Err(ConfigError::new("plan.responseTimeout", "must be above zero"));
        }
        if self.conflict_retry.is_zero() {
            return Err(ConfigError::new("conflictRetry", "must be above zero"));
        }
        Ok(())
    }
}
