//! Settings of leader election.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::api::names;
use crate::runtime::ConfigError;

/// A process waits at least `retry_period` and at most this many times as much on top between its attempts to take
/// the Lease.
pub(super) const JITTER: f64 = 1.2;

/// Settings of a [`LeaderElection`](super::LeaderElection). All candidates must have the same.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase", deny_unknown_fields)]
#[non_exhaustive]
pub struct ElectionConfig {
    /// Namespace of the Lease. Default `kruise-system`.
    pub namespace: String,
    /// Name of the Lease. Default `kruise-manager`.
    pub name: String,
    /// Whose Lease it is, for people: the name of the Pod, say. A random suffix makes it unique. Default
    /// `kruise-manager`.
    pub identity: String,
    /// How long a Lease holds after it was renewed, in whole seconds. Default 15 s.
    pub lease_duration: Duration,
    /// A holder that could not renew for this long gives up. Default 10 s.
    pub renew_deadline: Duration,
    /// Time between renewals, and least time between attempts to take the Lease. Default 2 s.
    pub retry_period: Duration,
    /// How long before the Lease can pass on its holder's work is dropped if it has not ended. Default 1 s.
    pub stop_margin: Duration,
    /// How long giving the Lease back may take; it expires by itself anyway. Default 3 s.
    pub release_timeout: Duration,
}

impl Default for ElectionConfig {
    fn default() -> Self {
        Self {
            namespace: names::SYSTEM_NAMESPACE.to_owned(),
            name: names::MANAGER.to_owned(),
            identity: names::MANAGER.to_owned(),
            lease_duration: Duration::from_secs(15),
            renew_deadline: Duration::from_secs(10),
            retry_period: Duration::from_secs(2),
            stop_margin: Duration::from_secs(1),
            release_timeout: Duration::from_secs(3),
        }
    }
}

impl ElectionConfig {
    /// Checks the fields.
    ///
    /// # Errors
    /// Names the field that cannot be used.
    pub fn validate(&self) -> Result<(), ConfigError> {
        for (field, value) in [
            ("namespace", &self.namespace),
            ("name", &self.name),
            ("identity", &self.identity),
        ] {
            if value.is_empty() {
                return Err(ConfigError::new(field, "must not be empty"));
            }
        }
        let seconds = self.lease_duration.as_secs();
        if self.lease_duration.subsec_nanos() != 0 || seconds == 0 || i32::try_from(seconds).is_err() {
            return Err(ConfigError::new(
                "leaseDuration",
                "must be whole seconds, above zero, and fit 31 bits",
            ));
        }
        if self.retry_period.is_zero() {
            return Err(ConfigError::new("retryPeriod", "must be above zero"));
        }
        if self.release_timeout.is_zero() {
            return Err(ConfigError::new("releaseTimeout", "must be above zero"));
        }
        if self.renew_deadline.saturating_add(self.stop_margin) >= self.lease_duration {
            return Err(ConfigError::new(
                "leaseDuration",
                "must be above renewDeadline and stopMargin together",
            ));
        }
        if self.renew_deadline.as_secs_f64() <= self.retry_period.as_secs_f64() * JITTER {
            return Err(ConfigError::new(
                "renewDeadline",
                "must be above 1.2 times retryPeriod",
            ));
        }
        Ok(())
    }
}
