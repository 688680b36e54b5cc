//! A token bucket on tokio's clock.

use std::time::Duration;

use tokio::time::Instant;

/// Allows `rate` per second in the long run, `burst` at once.
#[derive(Debug)]
pub(super) struct Limiter {
    rate: f64,
    burst: f64,
    tokens: f64,
    at: Instant,
}

impl Limiter {
    pub(super) fn new(rate: f64, burst: u32) -> Self {
        Self {
            rate,
            burst: burst.into(),
            tokens: burst.into(),
            at: Instant::now(),
        }
    }

    /// Takes a token, or returns how long to wait for one.
    pub(super) fn take(&mut self) -> Result<(), Duration> {
        self.refill();
        if self.tokens >= 1.0 {
            self.tokens -= 1.0;
            return Ok(());
        }
        // A little more than needed, so that rounding does not ask for another wait of nothing.
        Err(Duration::from_secs_f64((1.0 - self.tokens) / self.rate) + Duration::from_millis(1))
    }

    /// Takes a token if there is one. For what is not held back but counts.
    pub(super) fn take_if_any(&mut self) {
        self.refill();
        self.tokens = (self.tokens - 1.0).max(0.0);
    }

    fn refill(&mut self) {
        let now = Instant::now();
        let earned = (now - self.at).as_secs_f64() * self.rate;
        self.tokens = (self.tokens + earned).min(self.burst);
        self.at = now;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn ten_writes_in_ten_seconds_at_half_a_write_a_second_and_a_burst_of_five() {
        let mut limiter = Limiter::new(0.5, 5);
        let mut taken = 0;
        for _ in 0..20 {
            taken += usize::from(limiter.take().is_ok());
            tokio::time::advance(Duration::from_millis(500)).await;
        }
        assert!((9..=10).contains(&taken), "{taken}");
    }

    #[tokio::test(start_paused = true)]
    async fn who_waits_as_told_gets_a_token() {
        let mut limiter = Limiter::new(0.5, 1);
        assert_eq!(limiter.take(), Ok(()));
        let wait = limiter.take().expect_err("the bucket is empty");
        tokio::time::advance(wait).await;
        assert_eq!(limiter.take(), Ok(()));
    }
}
