//! Settings of what keeps the webhook configurations.

use std::time::Duration;

use super::announce::Target;
use crate::runtime::ConfigError;

/// Settings of a [`ConfigurationWriter`](super::ConfigurationWriter).
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct WriterConfig {
    /// How the API server reaches the server.
    pub target: Target,
    /// How the API server reaches the converters, if not by `target`. A program that reads objects which need converting
    /// before it is ready wants a Service with `publishNotReadyAddresses` here: through one that has only ready endpoints,
    /// the first replica could not be reached, and would never become ready. Default: none.
    pub conversion_target: Option<Target>,
    /// Name of the configuration of mutators. Default: `kruise-mutating-webhook-configuration`.
    pub mutating_name: String,
    /// Name of the configuration of validators. Default: `kruise-validating-webhook-configuration`.
    pub validating_name: String,
    /// How often to look after a success. Default: 60 s; at least 1 s. After a failure: 1 s, then twice as long each
    /// time up to this.
    pub interval: Duration,
    /// How long the self-check may take. Default: 5 s; at least 1 ms.
    pub check_timeout: Duration,
}

impl WriterConfig {
    /// The defaults for this target.
    pub fn new(target: Target) -> Self {
        Self {
            target,
            conversion_target: None,
            mutating_name: "kruise-mutating-webhook-configuration".to_owned(),
            validating_name: "kruise-validating-webhook-configuration".to_owned(),
            interval: Duration::from_secs(60),
            check_timeout: Duration::from_secs(5),
        }
    }

    /// Where converters are reached: `conversion_target`, or `target` if there is none.
    pub fn converter(&self) -> &Target {
        self.conversion_target.as_ref().unwrap_or(&self.target)
    }

    /// Every way in which the server is reached.
    pub(super) fn targets(&self) -> impl Iterator<Item = &Target> {
        [&self.target].into_iter().chain(&self.conversion_target)
    }

    /// Checks that every setting can be used; the error names the one that cannot.
    pub fn validate(&self) -> Result<(), ConfigError> {
        for target in self.targets() {
            target.validate()?;
        }
        for (field, name) in [
            ("mutating_name", &self.mutating_name),
            ("validating_name", &self.validating_name),
        ] {
            if name.is_empty() {
                return Err(ConfigError::new(field, "must not be empty"));
            }
        }
        if self.interval < Duration::from_secs(1) {
            return Err(ConfigError::new("interval", "must be at least 1 s"));
        }
        if self.check_timeout < Duration::from_millis(1) {
            return Err(ConfigError::new("check_timeout", "must be at least 1 ms"));
        }
        Ok(())
    }
}
