//! Limits of a client.

use std::time::Duration;

/// Limits of a client. All finite.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ClientConfig {
    /// For one connection to the socket. Default 5 s.
    pub connect_timeout: Duration,
    /// For calls that should be quick. Default 30 s.
    pub call_timeout: Duration,
    /// For calls over all images, sandboxes or containers. Default 2 min.
    pub list_timeout: Duration,
    /// For a pull that sets no time of its own. Default 10 min.
    pub pull_timeout: Duration,
    /// Largest answer. Default 16 MiB, as the kubelet's; gRPC's own 4 MiB is too small for lists on large nodes.
    pub max_message_bytes: usize,
    /// Pause after the first failed search for a runtime; doubles up to `max_backoff`. Default 100 ms.
    pub min_backoff: Duration,
    /// Longest pause between two searches. Default 3 s.
    pub max_backoff: Duration,
}

impl Default for ClientConfig {
    fn default() -> Self {
        Self {
            connect_timeout: Duration::from_secs(5),
            call_timeout: Duration::from_secs(30),
            list_timeout: Duration::from_secs(120),
            pull_timeout: Duration::from_secs(600),
            max_message_bytes: 16 * 1024 * 1024,
            min_backoff: Duration::from_millis(100),
            max_backoff: Duration::from_secs(3),
        }
    }
}

/// A limit that makes no sense.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{field} must be greater than zero")]
pub struct ClientConfigError {
    /// The field of [`ClientConfig`].
    pub field: &'static str,
}

impl ClientConfig {
    /// Checks every limit.
    ///
    /// # Errors
    /// Names the first field that is zero.
    pub fn validate(&self) -> Result<(), ClientConfigError> {
        let durations = [
            ("connect_timeout", self.connect_timeout),
            ("call_timeout", self.call_timeout),
            ("list_timeout", self.list_timeout),
            ("pull_timeout", self.pull_timeout),
            ("min_backoff", self.min_backoff),
            ("max_backoff", self.max_backoff),
        ];
        if let Some((field, _)) = durations.into_iter().find(|(_, duration)| duration.is_zero()) {
            return Err(ClientConfigError { field });
        }
        if self.max_message_bytes == 0 {
            return Err(ClientConfigError {
                field: "max_message_bytes",
            });
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_limit_of_zero_is_named() {
        assert_eq!(ClientConfig::default().validate(), Ok(()));
        let config = ClientConfig {
            list_timeout: Duration::ZERO,
            ..Default::default()
        };
        assert_eq!(
            config.validate().unwrap_err().to_string(),
            "list_timeout must be greater than zero"
        );
    }
}
