//! Arithmetic on whole seconds of wall-clock time, and numbers drawn from a seed.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kruise_cri::Retry;

use crate::api::{DEFAULT_BACKOFF_LIMIT, DEFAULT_TIMEOUT_SECONDS, ImageTagPullPolicy};

/// Returns `now` without the part below a second, the precision that objects store.
pub(crate) fn whole_seconds(now: Timestamp) -> Timestamp {
    Timestamp::from_second(now.as_second()).unwrap_or(now)
}

/// Returns the stored form of `now`.
pub(crate) fn stamp(now: Timestamp) -> Time {
    Time(whole_seconds(now))
}

/// Returns the seconds since `since`, 0 when it lies ahead: the clocks of nodes and managers differ a little.
pub(crate) fn seconds_since(since: &Time, now: Timestamp) -> i64 {
    now.as_second().saturating_sub(since.0.as_second()).max(0)
}

/// Returns what is left of `limit` seconds, `None` when nothing is.
pub(crate) fn left(limit_seconds: i64, elapsed_seconds: i64) -> Option<Duration> {
    let left = limit_seconds.saturating_sub(elapsed_seconds);
    u64::try_from(left)
        .ok()
        .filter(|left| *left > 0)
        .map(Duration::from_secs)
}

/// Returns the shorter of two waits.
pub(crate) fn sooner(a: Option<Duration>, b: Option<Duration>) -> Option<Duration> {
    match (a, b) {
        (Some(a), Some(b)) => Some(a.min(b)),
        (a, b) => a.or(b),
    }
}

/// Returns a number in `0..bound` that depends on nothing but `seed` and `what`. 0 when `bound` is 0.
pub fn pick(seed: u64, what: impl Hash, bound: u64) -> u64 {
    // DefaultHasher::new is keyed with constants, so equal input gives equal numbers in one build of the program,
    // which is all that jitter needs.
    let mut hasher = DefaultHasher::new();
    seed.hash(&mut hasher);
    what.hash(&mut hasher);
    hasher.finish().checked_rem(bound).unwrap_or(0)
}

/// Returns the seconds one attempt may take.
pub(crate) fn timeout_seconds(value: Option<i32>) -> i64 {
    i64::from(
        value
            .filter(|seconds| *seconds > 0)
            .unwrap_or(DEFAULT_TIMEOUT_SECONDS),
    )
}

/// Returns the number of attempts after the first one.
pub(crate) fn backoff_limit(value: Option<i32>) -> u32 {
    let limit = value.filter(|limit| *limit >= 0).unwrap_or(DEFAULT_BACKOFF_LIMIT);
    u32::try_from(limit).unwrap_or(0)
}

/// The longest wait between two attempts, with its jitter of up to a tenth.
pub(crate) const LONGEST_WAIT: Duration = Duration::from_secs(Retry::LONGEST.as_secs() * 11 / 10);

/// Returns the wait after attempt `attempt` (counted from 0), unless the failure asks for more: 1, 2, 4, 8, 16, then 30 s.
pub(crate) fn backoff(attempt: u32) -> Duration {
    Duration::from_secs(1_u64.checked_shl(attempt.min(5)).unwrap_or(30).min(30))
}

/// Returns the longest time in seconds that a task with these limits works, all attempts and waits together.
pub fn task_time_limit(policy: Option<&ImageTagPullPolicy>) -> i64 {
    let attempts = i64::from(backoff_limit(policy.and_then(|policy| policy.backoff_limit))) + 1;
    let timeout = timeout_seconds(policy.and_then(|policy| policy.timeout_seconds));
    let wait = i64::try_from(LONGEST_WAIT.as_secs()).unwrap_or(i64::MAX);
    let all = attempts.saturating_mul(timeout.saturating_add(wait));
    match policy.and_then(|policy| policy.active_deadline_seconds) {
        Some(deadline) => all.min(deadline.max(0)),
        None => all,
    }
}
