//! Wall-clock time as a value that is passed in.

use std::fmt::Debug;

use jiff::Timestamp;

/// Tells the time of day, for timestamps that are stored in objects and for certificates.
///
/// Durations (delays, timeouts, ages) never come from here but from `tokio::time`, which does not jump.
pub trait Clock: Send + Sync + Debug {
    /// The time now.
    fn now(&self) -> Timestamp;
}

/// The clock of the operating system.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> Timestamp {
        Timestamp::now()
    }
}
