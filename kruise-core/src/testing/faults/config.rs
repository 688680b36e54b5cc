//! How much goes wrong.

use std::time::Duration;

use crate::runtime::ConfigError;

/// Shares of requests (0.0 to 1.0) that meet each fault, and the sizes of faults. At most one of the faults of requests
/// strikes a request; being slow may come on top.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct FaultConfig {
    /// Updates and patches that conflict, though nobody else wrote.
    pub conflict: f64,
    /// Requests that are refused with 429 and `Retry-After: 1`.
    pub too_many: f64,
    /// Requests that fail with 500 and are not carried out.
    pub error_before: f64,
    /// Writes that are carried out and answered with 500.
    pub error_after: f64,
    /// Requests whose connection breaks before they are carried out.
    pub reset_before: f64,
    /// Writes that are carried out, and then the connection breaks.
    pub reset_after: f64,
    /// Requests that take up to `slowest`, in part before and in part after they are carried out.
    pub slow: f64,
    /// The longest that a slow request takes, and an event of a watch is late.
    pub slowest: Duration,
    /// Reads that allow it (`resourceVersion=0`) and are answered from the past.
    pub stale: f64,
    /// How many writes ago that is at most.
    pub stale_by: u64,
    /// Events of watches after which the connection breaks, so that the watch has to be resumed.
    pub watch_cut: f64,
    /// Events that are lost; the watch then ends with 410, so that its client has to list again.
    pub watch_lost: f64,
    /// Events that are late by up to `slowest`, with all after them.
    pub watch_late: f64,
    /// Events that come twice.
    pub watch_twice: f64,
}

impl FaultConfig {
    /// Nothing goes wrong.
    pub fn none() -> Self {
        Self {
            conflict: 0.0,
            too_many: 0.0,
            error_before: 0.0,
            error_after: 0.0,
            reset_before: 0.0,
            reset_after: 0.0,
            slow: 0.0,
            slowest: Duration::from_secs(5),
            stale: 0.0,
            stale_by: 0,
            watch_cut: 0.0,
            watch_lost: 0.0,
            watch_late: 0.0,
            watch_twice: 0.0,
        }
    }

    /// Every kind of fault with the same share.
    pub fn all(share: f64) -> Self {
        Self {
            conflict: share,
            too_many: share,
            error_before: share,
            error_after: share,
            reset_before: share,
            reset_after: share,
            slow: share,
            stale: share,
            stale_by: 20,
            watch_cut: share,
            watch_lost: share,
            watch_late: share,
            watch_twice: share,
            ..Self::none()
        }
    }

    /// Checks the fields.
    ///
    /// # Errors
    /// Names the field that cannot be used.
    pub fn validate(&self) -> Result<(), ConfigError> {
        let shares = [
            ("conflict", self.conflict),
            ("too_many", self.too_many),
            ("error_before", self.error_before),
            ("error_after", self.error_after),
            ("reset_before", self.reset_before),
            ("reset_after", self.reset_after),
            ("slow", self.slow),
            ("stale", self.stale),
            ("watch_cut", self.watch_cut),
            ("watch_lost", self.watch_lost),
            ("watch_late", self.watch_late),
            ("watch_twice", self.watch_twice),
        ];
        match shares.iter().find(|(_, share)| !(0.0..=1.0).contains(share)) {
            Some((field, _)) => Err(ConfigError::new(*field, "must be from 0.0 to 1.0")),
            None => Ok(()),
        }
    }
}

impl Default for FaultConfig {
    /// Every kind of fault with a share of 0.03.
    fn default() -> Self {
        Self::all(0.03)
    }
}
