//! How often something is done for one job while its nodes come and go.

use std::collections::HashMap;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::Instant;

/// Remembers when it was done, for as long as that matters.
#[derive(Debug)]
pub(super) struct Pace {
    interval: Duration,
    done: Mutex<HashMap<String, Instant>>,
}

impl Pace {
    pub(super) fn new(interval: Duration) -> Self {
        Self {
            interval,
            done: Mutex::default(),
        }
    }

    /// Returns how long to wait before it is done for this job again, `None` if it may be now.
    pub(super) fn wait(&self, job_uid: &str) -> Option<Duration> {
        let since = self.done.lock().get(job_uid)?.elapsed();
        self.interval.checked_sub(since).filter(|wait| !wait.is_zero())
    }

    pub(super) fn did(&self, job_uid: &str) {
        let mut done = self.done.lock();
        done.retain(|_, at| at.elapsed() < self.interval);
        done.insert(job_uid.to_owned(), Instant::now());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn one_write_in_an_interval_and_nothing_is_kept_longer() {
        let pace = Pace::new(Duration::from_secs(1));
        assert_eq!(pace.wait("a"), None);
        pace.did("a");
        tokio::time::advance(Duration::from_millis(400)).await;
        assert_eq!(pace.wait("a"), Some(Duration::from_millis(600)));
        tokio::time::advance(Duration::from_millis(600)).await;
        assert_eq!(pace.wait("a"), None);
        pace.did("b");
        assert_eq!(pace.done.lock().len(), 1);
    }
}
