//! Limits of a client.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// Longest time that any limit may be, and any call may take.
pub(crate) const LONGEST: Duration = Duration::from_secs(366 * 24 * 3600);

/// Limits of a client. All finite.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase", deny_unknown_fields)]
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
    /// How long a runtime that went away together with its socket is waited for, before another endpoint may take its place.
    /// While the socket is there, it is waited for without end. Default 5 min.
    pub switch_after: Duration,
    /// How often the endpoints in front of the one in use are looked at again. Default 1 min.
    pub recheck_interval: Duration,
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
            switch_after: Duration::from_secs(300),
            recheck_interval: Duration::from_secs(60),
        }
    }
}

/// A limit that makes no sense.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{field} {problem}")]
#[non_exhaustive]
pub struct ClientConfigError {
    /// The field of [`ClientConfig`], as it is written in files.
    pub field: &'static str,
    /// What it must be.
    pub problem: &'static str,
}

impl ClientConfig {
    /// Checks every limit.
    ///
    /// # Errors
    /// Names the first field that is zero or longer than a year, or a pair that contradicts itself.
    pub fn validate(&self) -> Result<(), ClientConfigError> {
        let refused = |field, problem| Err(ClientConfigError { field, problem });
        for (field, duration) in [
            ("connectTimeout", self.connect_timeout),
            ("callTimeout", self.call_timeout),
            ("listTimeout", self.list_timeout),
            ("pullTimeout", self.pull_timeout),
            ("minBackoff", self.min_backoff),
            ("maxBackoff", self.max_backoff),
            ("switchAfter", self.switch_after),
            ("recheckInterval", self.recheck_interval),
        ] {
            if duration.is_zero() {
                return refused(field, "must be above zero");
            }
            if duration > LONGEST {
                return refused(field, "must not be above a year");
            }
        }
        if self.max_message_bytes == 0 {
            return refused("maxMessageBytes", "must be above zero");
        }
        if self.max_backoff < self.min_backoff {
            return refused("maxBackoff", "must not be below minBackoff");
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_that_make_no_sense_are_refused_by_name() {
        let refused = |change: fn(&mut ClientConfig)| {
            let mut config = ClientConfig::default();
            change(&mut config);
            config.validate().err().map(|error| error.to_string())
        };
        assert_eq!(refused(|_| {}), None);
        for (error, text) in [
            (
                refused(|config| config.list_timeout = Duration::ZERO),
                "listTimeout must be above zero",
            ),
            (
                refused(|config| config.max_message_bytes = 0),
                "maxMessageBytes must be above zero",
            ),
            (
                refused(|config| config.call_timeout = Duration::MAX),
                "callTimeout must not be above a year",
            ),
            (
                refused(|config| config.min_backoff = Duration::from_secs(4)),
                "maxBackoff must not be below minBackoff",
            ),
        ] {
            assert_eq!(error.as_deref(), Some(text));
        }
    }

    #[test]
    fn limits_are_read_from_files_and_a_misspelled_one_is_refused() {
        let config: ClientConfig = serde_json::from_str(r#"{"maxMessageBytes": 5}"#).unwrap();
        assert_eq!(
            config,
            ClientConfig {
                max_message_bytes: 5,
                ..Default::default()
            }
        );
        assert!(serde_json::from_str::<ClientConfig>(r#"{"maxMessagesBytes": 5}"#).is_err());
    }
}
