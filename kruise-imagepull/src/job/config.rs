//! Settings of the job controller.

use std::time::Duration;

use kruise_core::runtime::{ConfigError, RunnerConfig};
use serde::{Deserialize, Serialize};

use crate::api::DAEMON_CONFIG_NAMESPACE;
use crate::plan::job::JobPlanConfig;

/// Settings of the job controller.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase", deny_unknown_fields)]
#[non_exhaustive]
pub struct JobConfig {
    /// Workers, queue and timeouts. Default: 3 workers.
    pub runner: RunnerConfig,
    /// What the planner may be told.
    pub plan: JobPlanConfig,
    /// Requests to NodeImages under way at the same time, for all jobs together. Default 16.
    pub concurrent_writes: usize,
    /// Nodes that a job hands its task to before it counts again. Default 256.
    pub writes_per_round: usize,
    /// How long a node waits for the tasks of further jobs before it is written. Default 100 ms.
    pub batch_window: Duration,
    /// How soon a job hands out tasks again after nodes whose NodeImage was changed by somebody else in the same moment.
    /// Doubles with each round in which the server refuses or fails, up to `max_write_backoff`. Default 500 ms.
    pub conflict_retry: Duration,
    /// Longest wait of a job whose writes fail. Default 2 min.
    pub max_write_backoff: Duration,
    /// Plans of one job are at least this far apart, however many of its nodes change. Default 100 ms.
    pub plan_interval: Duration,
    /// The same for a job over many nodes, for each node: a plan looks at all of them. With the default of 1 ms, a job over
    /// 1,000 nodes plans once a second, and takes the same share of a processor as one over 100.
    pub plan_interval_per_node: Duration,
    /// The longest that follows from it. Default 5 s.
    pub max_plan_interval: Duration,
    /// How soon a job looks again whether its writes have come back through the watch. Default 5 s.
    pub settle_retry: Duration,
    /// Status writes of one job that only tell counts are at least this far apart. The first status, the end and
    /// errors are written at once. Default 1 s; zero writes each change.
    pub status_interval: Duration,
    /// Namespace for copies of pull secrets, the only one whose Secrets nodes may read. Default `kruise-daemon-config`.
    pub daemon_namespace: String,
    /// How old what is known of a pull secret may be before it is read again. Default 60 s.
    pub secret_max_age: Duration,
    /// How often running jobs look whether their pull secrets have changed, and how soon they try again when they can not
    /// hand out tasks. Default 60 s.
    pub secret_refresh: Duration,
    /// Spreads the life of results. Equal seeds give equal numbers. Default 0.
    pub seed: u64,
}

impl Default for JobConfig {
    fn default() -> Self {
        Self {
            runner: RunnerConfig::default(),
            plan: JobPlanConfig::default(),
            concurrent_writes: 16,
            writes_per_round: 256,
            batch_window: Duration::from_millis(100),
            conflict_retry: Duration::from_millis(500),
            max_write_backoff: Duration::from_secs(120),
            plan_interval: Duration::from_millis(100),
            plan_interval_per_node: Duration::from_millis(1),
            max_plan_interval: Duration::from_secs(5),
            settle_retry: Duration::from_secs(5),
            status_interval: Duration::from_secs(1),
            daemon_namespace: DAEMON_CONFIG_NAMESPACE.to_owned(),
            secret_max_age: Duration::from_secs(60),
            secret_refresh: Duration::from_secs(60),
            seed: 0,
        }
    }
}

impl JobConfig {
    /// Returns how long a job over so many nodes rests after a plan.
    pub(super) fn plan_rest(&self, nodes: usize) -> Duration {
        let nodes = u32::try_from(nodes).unwrap_or(u32::MAX);
        let rest = self.plan_interval_per_node.saturating_mul(nodes);
        rest.min(self.max_plan_interval).max(self.plan_interval)
    }

    /// Checks the fields.
    ///
    /// # Errors
    /// Names the field that can not be used.
    pub fn validate(&self) -> Result<(), ConfigError> {
        self.runner.validate().map_err(|error| error.inside("runner"))?;
        if self.concurrent_writes == 0 {
            return Err(ConfigError::new("concurrentWrites", "must be above zero"));
        }
        if self.writes_per_round == 0 {
            return Err(ConfigError::new("writesPerRound", "must be above zero"));
        }
        if self.conflict_retry.is_zero() {
            return Err(ConfigError::new("conflictRetry", "must be above zero"));
        }
        if self.max_write_backoff < self.conflict_retry {
            return Err(ConfigError::new(
                "maxWriteBackoff",
                "must not be below conflictRetry",
            ));
        }
        if self.daemon_namespace.is_empty() {
            return Err(ConfigError::new("daemonNamespace", "must not be empty"));
        }
        if self.secret_refresh.is_zero() {
            return Err(ConfigError::new("secretRefresh", "must be above zero"));
        }
        if self.settle_retry.is_zero() {
            return Err(ConfigError::new("settleRetry", "must be above zero"));
        }
        Ok(())
    }
}
