//! Wall-clock time as a value that is passed in.

use std::fmt::Debug;

use jiff::Timestamp;

/// Tells the time of day, for timestamps that are stored in objects and for certificates.
///
/// Durations (delays, timeouts, ages) never come from here but from `tokio::time`, which does not jump.
///
/// ```
/// use jiff::Timestamp;
/// use kruise_core::runtime::Clock;
///
/// #[derive(Debug)]
/// struct NewYear;
///
/// impl Clock for NewYear {
///     fn now(&self) -> Timestamp { "2030-01-01T00:00:00Z".parse().unwrap_or_default() }
/// }
/// assert_eq!(NewYear.now().as_second(), 1_893_456_000);
/// ```
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
