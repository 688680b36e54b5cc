//! How often something is done for one job while its nodes come and go.

use std::collections::HashMap;
use std::time::Duration;

use kruise_core::runtime::ObjectKey;
use parking_lot::Mutex;
use tokio::time::Instant;

/// Remembers until when it is not done again, for as long as that matters.
#[derive(Debug, Default)]
pub(super) struct Pace {
    not_before: Mutex<HashMap<ObjectKey, Instant>>,
}

impl Pace {
    /// Returns how long to wait before it is done for this job again, `None` if it may be now.
    pub(super) fn wait(&self, job: &ObjectKey) -> Option<Duration> {
        let at = *self.not_before.lock().get(job)?;
        at.checked_duration_since(Instant::now())
            .filter(|wait| !wait.is_zero())
    }

    /// It was done, and shall not be again for this long.
    pub(super) fn did(&self, job: &ObjectKey, rest: Duration) {
        let now = Instant::now();
        let mut not_before = self.not_before.lock();
        not_before.retain(|_, at| *at > now);
        if !rest.is_zero() {
            not_before.insert(job.clone(), now + rest);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn it_is_done_once_in_its_time_and_nothing_is_kept_longer() {
        let (pace, rest) = (Pace::default(), Duration::from_secs(1));
        let [a, b] = ["a", "b"].map(|name| ObjectKey::new("team", name));
        assert_eq!(pace.wait(&a), None);
        pace.did(&a, rest);
        tokio::time::advance(Duration::from_millis(400)).await;
        assert_eq!(pace.wait(&a), Some(Duration::from_millis(600)));
        tokio::time::advance(Duration::from_millis(600)).await;
        assert_eq!(pace.wait(&a), None);
        pace.did(&b, rest);
        assert_eq!(pace.not_before.lock().len(), 1);
    }
}
