//! Settings of events.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::runtime::ConfigError;

/// Settings of an [`EventRecorder`](super::EventRecorder). The defaults are client-go's, as far as it has them.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase", deny_unknown_fields)]
#[non_exhaustive]
pub struct EventConfig {
    /// Events that wait to be sent; more are dropped. Default 1000.
    pub queue: usize,
    /// Events that one source may publish about one object at once. Default 25.
    pub burst: u32,
    /// Time after which one more is allowed. Default 5 minutes.
    pub refill: Duration,
    /// Events about one object that differ only in their message, before further ones become one. Default 10.
    pub similar: usize,
    /// Time without another after which similar ones are told apart again. Default 10 minutes.
    pub similar_window: Duration,
    /// Events, groups of similar ones, and objects that are remembered (of each so many). Default 4096.
    pub memory: usize,
    /// How often an Event is sent before it is given up. Default 3.
    pub attempts: u32,
    /// Time between these. Default 2 s.
    pub retry_delay: Duration,
    /// How long sending one Event once may take. Default 10 s.
    pub timeout: Duration,
    /// How long the writer goes on after its cancellation, to send what waits. Default 4 s.
    pub flush_timeout: Duration,
}

impl Default for EventConfig {
    fn default() -> Self {
        Self {
            queue: 1000,
            burst: 25,
            refill: Duration::from_secs(300),
            similar: 10,
            similar_window: Duration::from_secs(600),
            memory: 4096,
            attempts: 3,
            retry_delay: Duration::from_secs(2),
            timeout: Duration::from_secs(10),
            flush_timeout: Duration::from_secs(4),
        }
    }
}

impl EventConfig {
    /// Checks the fields.
    ///
    /// # Errors
    /// Names the field that cannot be used.
    pub fn validate(&self) -> Result<(), ConfigError> {
        let above_zero = [
            ("queue", self.queue > 0),
            ("burst", self.burst > 0),
            ("refill", !self.refill.is_zero()),
            ("similar", self.similar > 0),
            ("memory", self.memory > 0),
            ("attempts", self.attempts > 0),
            ("timeout", !self.timeout.is_zero()),
        ];
        match above_zero.into_iter().find(|(_, fits)| !fits) {
            Some((field, _)) => Err(ConfigError::new(field, "must be above zero")),
            None if self.queue > tokio::sync::Semaphore::MAX_PERMITS => {
                Err(ConfigError::new("queue", "is too large"))
            }
            None => Ok(()),
        }
    }
}
