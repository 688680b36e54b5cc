//! How fast one client may ask.

use std::num::NonZeroU32;
use std::time::{Duration, Instant};

use governor::clock::Clock;
use governor::middleware::NoOpMiddleware;
use governor::state::{InMemoryState, NotKeyed};
use governor::{Quota, RateLimiter};
use tokio::sync::Semaphore;

/// Tells governor the time of tokio, which tests can pause.
#[derive(Clone, Debug)]
struct TokioClock;

impl Clock for TokioClock {
    type Instant = Instant;

    fn now(&self) -> Instant {
        tokio::time::Instant::now().into_std()
    }
}

/// A token bucket whose waiters are served in the order of their arrival.
#[derive(Debug)]
pub(super) struct Limiter {
    bucket: RateLimiter<NotKeyed, InMemoryState, TokioClock, NoOpMiddleware<Instant>>,
    /// Held by the one who waits for the next token; the others queue for it.
    turn: Semaphore,
}

impl Limiter {
    pub(super) fn new(qps: NonZeroU32, burst: NonZeroU32) -> Self {
        let quota = Quota::per_second(qps).allow_burst(burst);
        Self {
            bucket: RateLimiter::direct_with_clock(quota, TokioClock),
            turn: Semaphore::new(1),
        }
    }

    /// Takes a token, and tells how long that took. Cancel safe: no token is lost.
    pub(super) async fn acquire(&self) -> Duration {
        let start = tokio::time::Instant::now();
        // Never closed, so that this is always a permit.
        let _turn = self.turn.acquire().await;
        while let Err(early) = self.bucket.check() {
            let wait = early.wait_time_from(TokioClock.now());
            // The timer counts in milliseconds, so it may be early by less than one.
            tokio::time::sleep(wait.max(Duration::from_millis(1))).await;
        }
        start.elapsed()
    }
}
