//! How often the status of one job is written while its nodes come and go.

use std::collections::HashMap;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::Instant;

/// Remembers when statuses were written, for as long as that matters.
#[derive(Debug)]
pub(super) struct StatusPace {
    interval: Duration,
    written: Mutex<HashMap<String, Instant>>,
}

impl StatusPace {
    pub(super) fn new(interval: Duration) -> Self {
        Self {
            interval,
            written: Mutex::default(),
        }
    }

    /// Returns how long to wait before the status of this job is written again, `None` if it may be now.
    pub(super) fn wait(&self, job_uid: &str) -> Option<Duration> {
        let since = self.written.lock().get(job_uid)?.elapsed();
        self.interval.checked_sub(since).filter(|wait| !wait.is_zero())
    }

    pub(super) fn wrote(&self, job_uid: &str) {
        let mut written = self.written.lock();
        written.retain(|_, at| at.elapsed() < self.interval);
        written.insert(job_uid.to_owned(), Instant::now());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn one_write_in_an_interval_and_nothing_is_kept_longer() {
        let pace = StatusPace::new(Duration::from_secs(1));
        assert_eq!(pace.wait("a"), None);
        pace.wrote("a");
        tokio::time::advance(Duration::from_millis(400)).await;
        assert_eq!(pace.wait("a"), Some(Duration::from_millis(600)));
        tokio::time::advance(Duration::from_millis(600)).await;
        assert_eq!(pace.wait("a"), None);
        pace.wrote("b");
        assert_eq!(pace.written.lock().len(), 1);
    }
}
