//! Answers of one plugin, for as long as they hold.

use std::collections::HashMap;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::Instant;

use super::protocol::CacheKey;
use crate::plan::keyring::Keyring;

/// Longest time an answer is kept, whatever it says.
const LONGEST: Duration = Duration::from_secs(7 * 24 * 3600);

/// Bounded; clones nothing but what it returns.
pub(super) struct Cache {
    limit: usize,
    answers: Mutex<HashMap<String, (Instant, Keyring)>>,
}

impl Cache {
    pub(super) fn new(limit: usize) -> Self {
        Self {
            limit,
            answers: Mutex::default(),
        }
    }

    /// Returns an answer that holds for `repository`, the most specific first.
    pub(super) fn get(&self, repository: &str) -> Option<Keyring> {
        let now = Instant::now();
        let answers = self.answers.lock();
        [CacheKey::Image, CacheKey::Registry, CacheKey::Global]
            .into_iter()
            .filter_map(|kind| answers.get(&key(kind, repository)))
            .find(|(until, _)| *until > now)
            .map(|(_, keyring)| keyring.clone())
    }

    /// Keeps an answer for `lifetime`; not at all if that is 0.
    pub(super) fn put(&self, repository: &str, kind: CacheKey, lifetime: Duration, keyring: &Keyring) {
        if lifetime.is_zero() || self.limit == 0 {
            return;
        }
        let now = Instant::now();
        let mut answers = self.answers.lock();
        let key = key(kind, repository);
        answers.remove(&key);
        if answers.len() >= self.limit {
            answers.retain(|_, (until, _)| *until > now);
        }
        if answers.len() >= self.limit {
            let first = answers
                .iter()
                .min_by_key(|(_, (until, _))| *until)
                .map(|(key, _)| key.clone());
            first.and_then(|first| answers.remove(&first));
        }
        answers.insert(key, (now + lifetime.min(LONGEST), keyring.clone()));
    }
}

fn key(kind: CacheKey, repository: &str) -> String {
    match kind {
        CacheKey::Image => format!("image {repository}"),
        CacheKey::Registry => {
            let host = repository.split_once('/').map_or(repository, |(host, _)| host);
            format!("registry {host}")
        }
        CacheKey::Global => "global".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn an_answer_holds_for_its_image_its_registry_or_all() {
        for (kind, held) in [
            (CacheKey::Image, [true, false, false]),
            (CacheKey::Registry, [true, true, false]),
            (CacheKey::Global, [true, true, true]),
        ] {
            let cache = Cache::new(4);
            cache.put("r.io:1/a", kind, Duration::from_secs(9), &Keyring::default());
            let found = ["r.io:1/a", "r.io:1/b", "r.io/a"].map(|repository| cache.get(repository).is_some());
            assert_eq!(found, held, "{kind:?}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn an_answer_holds_as_long_as_it_says_and_no_longer() {
        let cache = Cache::new(4);
        cache.put(
            "r.io/a",
            CacheKey::Image,
            Duration::from_secs(9),
            &Keyring::default(),
        );
        cache.put("r.io/b", CacheKey::Image, Duration::ZERO, &Keyring::default());
        assert!(cache.get("r.io/a").is_some() && cache.get("r.io/b").is_none());
        tokio::time::advance(Duration::from_secs(9)).await;
        assert!(cache.get("r.io/a").is_none());
    }

    #[tokio::test(start_paused = true)]
    async fn the_answer_that_ends_first_makes_room() {
        let cache = Cache::new(2);
        for (repository, seconds) in [("a", 9), ("b", 5), ("c", 7)] {
            cache.put(
                repository,
                CacheKey::Image,
                Duration::from_secs(seconds),
                &Keyring::default(),
            );
        }
        let found = ["a", "b", "c"].map(|repository| cache.get(repository).is_some());
        assert_eq!(found, [true, false, true]);
    }
}
