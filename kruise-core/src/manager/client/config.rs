//! Settings of the API client.

use std::time::Duration;

use http::HeaderValue;
use serde::{Deserialize, Serialize};

use crate::api::names;
use crate::runtime::ConfigError;

/// Settings of a [`ClientFactory`](super::ClientFactory).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase", deny_unknown_fields)]
#[non_exhaustive]
pub struct ClientConfig {
    /// The user agent; each client adds `/<controller>`. Default `kruise-manager`.
    pub user_agent: String,
    /// Requests a second that each client may make in the long run. Default 30.
    pub qps: u32,
    /// Requests that each client may make at once after a pause. Default 50.
    pub burst: u32,
    /// What happens to requests that fail.
    pub retry: RetryConfig,
}

/// When requests that failed are sent again. See [`ClientFactory`](super::ClientFactory) for which.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase", deny_unknown_fields)]
#[non_exhaustive]
pub struct RetryConfig {
    /// How often a request is sent again; 0 for never. Default 5.
    pub max_retries: u32,
    /// A request is not sent again later than this after its first time. Default 30 s.
    pub total_time: Duration,
    /// Delay before the first retry, when the server does not say; each further one doubles it, and up to a half is
    /// added at random. Default 100 ms.
    pub backoff_base: Duration,
    /// The longest delay that is not the server's own. Default 5 s.
    pub backoff_max: Duration,
}

impl Default for ClientConfig {
    fn default() -> Self {
        Self {
            user_agent: names::MANAGER.to_owned(),
            qps: 30,
            burst: 50,
            retry: RetryConfig::default(),
        }
    }
}

impl Default for RetryConfig {
    fn default() -> Self {
        Self {
            max_retries: 5,
            total_time: Duration::from_secs(30),
            backoff_base: Duration::from_millis(100),
            backoff_max: Duration::from_secs(5),
        }
    }
}

impl ClientConfig {
    /// Checks the fields.
    ///
    /// # Errors
    /// Names the field that cannot be used.
    pub fn validate(&self) -> Result<(), ConfigError> {
        if self.user_agent.is_empty() || HeaderValue::from_str(&self.user_agent).is_err() {
            return Err(ConfigError::new("userAgent", "must be a non-empty header value"));
        }
        if self.qps == 0 {
            return Err(ConfigError::new("qps", "must be above zero"));
        }
        if self.burst == 0 {
            return Err(ConfigError::new("burst", "must be above zero"));
        }
        if self.retry.backoff_base.is_zero() {
            return Err(ConfigError::new("retry.backoffBase", "must be above zero"));
        }
        if self.retry.backoff_max < self.retry.backoff_base {
            return Err(ConfigError::new(
                "retry.backoffMax",
                "must not be below retry.backoffBase",
            ));
        }
        Ok(())
    }
}
