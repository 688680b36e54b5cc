//! Randomness for delays, so that replicas do not march in step.

use std::hash::{BuildHasher, RandomState};
use std::time::Duration;

/// 64 bits that differ with each call. Not for secrets.
pub(super) fn random() -> u64 {
    // Each state has its own keys, which start from the randomness of the system.
    RandomState::new().hash_one(0)
}

/// `base` and up to `factor` times as much on top.
pub(super) fn jitter(base: Duration, factor: f64) -> Duration {
    let share = random() as f64 / u64::MAX as f64;
    let added = base.as_secs_f64() * factor * share;
    base.saturating_add(Duration::try_from_secs_f64(added).unwrap_or(Duration::ZERO))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn jitter_only_adds_and_stays_within_its_factor() {
        let base = Duration::from_secs(2);
        let all: Vec<_> = (0..200).map(|_| jitter(base, 1.2)).collect();
        assert!(all.iter().all(|d| *d >= base && *d <= base * 22 / 10));
        assert!(all.iter().any(|d| *d != all[0]));
    }
}
