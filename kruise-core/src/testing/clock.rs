//! A wall clock that tests set by hand.

use jiff::{SignedDuration, Timestamp};
use parking_lot::Mutex;

use crate::runtime::Clock;

/// A [`Clock`] that moves only when told to. Share it as `Arc<FakeClock>`.
#[derive(Debug)]
pub struct FakeClock(Mutex<Timestamp>);

impl FakeClock {
    /// A clock that stands at `now`.
    pub fn new(now: Timestamp) -> Self {
        Self(Mutex::new(now))
    }

    /// Moves the clock forward. Saturates at the largest timestamp.
    pub fn advance(&self, by: std::time::Duration) {
        let mut now = self.0.lock();
        *now = SignedDuration::try_from(by)
            .ok()
            .and_then(|by| now.checked_add(by).ok())
            .unwrap_or(Timestamp::MAX);
    }

    /// Sets the clock, backwards too.
    pub fn set(&self, now: Timestamp) {
        *self.0.lock() = now;
    }
}

impl Default for FakeClock {
    /// A clock that stands at 2001-09-09T01:46:40Z.
    fn default() -> Self {
        Self::new(Timestamp::constant(1_000_000_000, 0))
    }
}

impl Clock for FakeClock {
    fn now(&self) -> Timestamp {
        *self.0.lock()
    }
}

/// A [`Clock`] that goes with `tokio::time`, and so jumps with it where that is paused.
#[derive(Debug)]
pub struct TokioClock {
    start: Timestamp,
    made: tokio::time::Instant,
}

impl TokioClock {
    /// A clock that shows `start` now. Where time is paused, must be called inside a tokio runtime.
    pub fn new(start: Timestamp) -> Self {
        let made = tokio::time::Instant::now();
        Self { start, made }
    }
}

impl Default for TokioClock {
    fn default() -> Self {
        Self::new(FakeClock::default().now())
    }
}

impl Clock for TokioClock {
    fn now(&self) -> Timestamp {
        SignedDuration::try_from(self.made.elapsed())
            .ok()
            .and_then(|passed| self.start.checked_add(passed).ok())
            .unwrap_or(Timestamp::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn the_clock_moves_only_when_told_to() {
        let clock = FakeClock::default();
        let start = clock.now();
        assert_eq!(clock.now(), start);
        clock.advance(Duration::from_millis(1500));
        assert_eq!(
            clock.now().duration_since(start),
            SignedDuration::from_millis(1500)
        );
        clock.set(start);
        assert_eq!(clock.now(), start);
    }

    #[tokio::test(start_paused = true)]
    async fn a_clock_of_tokio_jumps_with_paused_time() {
        let clock = TokioClock::default();
        let start = clock.now();
        tokio::time::sleep(Duration::from_secs(3600)).await;
        assert_eq!(clock.now().duration_since(start), SignedDuration::from_hours(1));
    }

    #[test]
    fn the_clock_stops_at_the_end_of_time() {
        let clock = FakeClock::default();
        clock.advance(Duration::MAX);
        assert_eq!(clock.now(), Timestamp::MAX);
    }
}
