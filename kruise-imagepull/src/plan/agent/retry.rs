//! When a worker tries again, and when it gives up.

use std::time::Duration;

use kruise_cri::Retry;

use crate::api::ImageTagPullPolicy;
use crate::plan::nodeimage::MESSAGE_DEADLINE;
use crate::plan::time::{LONGEST_WAIT, backoff, backoff_limit, pick, task_time_limit, timeout_seconds};

/// Kinds of failure of one attempt, by what helps against them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum FailureKind {
    /// May pass by itself: connection resets, server errors.
    Transient,
    /// The attempt took longer than it may.
    TimedOut,
    /// The registry cannot be reached, or fails.
    RegistryAway,
    /// The registry asks for fewer requests.
    Throttled,
    /// The disk of the node is full.
    NoSpace,
    /// The disk of the node is too full to begin a pull. Costs no attempt, but time.
    LowDisk,
    /// The runtime does not answer. Costs no attempt.
    RuntimeAway,
    /// The registry refuses all credentials there are.
    Denied,
    /// Repeating can not help: no such image, no such platform, bad signature, bad reference.
    Permanent,
}

impl FailureKind {
    /// Returns the name of the kind as metrics carry it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Transient => "transient",
            Self::TimedOut => "timeout",
            Self::RegistryAway => "registry_away",
            Self::Throttled => "throttled",
            Self::NoSpace => "no_space",
            Self::LowDisk => "low_disk",
            Self::RuntimeAway => "runtime_away",
            Self::Denied => "denied",
            Self::Permanent => "permanent",
        }
    }
}

/// Time after which a worker looks again whether there is space.
const LOOK_FOR_SPACE: Duration = Duration::from_secs(30);

/// Milliseconds over which the attempts after a throttled one are spread.
const THROTTLED_SPREAD: u64 = 15_000;

/// What a worker does next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// Sleep, then make an attempt that may take this long.
    Attempt {
        /// How long to sleep first.
        after: Duration,
        /// How long the attempt may take.
        timeout: Duration,
    },
    /// Give up with this message.
    GiveUp(String),
}

/// The budget of one task: attempts, time of each, time of all.
#[derive(Clone, Debug)]
pub struct Budget {
    attempts_left: u32,
    /// Attempts that failed so far.
    failures: u32,
    /// Times in a row that the runtime was away.
    away: u32,
    timeout: Duration,
    deadline: Option<Duration>,
    /// All attempts with the longest waits between them: how long a task waits for space.
    longest: Duration,
    seed: u64,
    last_error: Option<String>,
}

impl Budget {
    /// Makes the budget of a task with these limits. `seed` spreads the waits of different nodes.
    pub fn new(policy: &ImageTagPullPolicy, seed: u64) -> Self {
        let seconds = |seconds: i64| Duration::from_secs(u64::try_from(seconds).unwrap_or(0));
        Self {
            attempts_left: backoff_limit(policy.backoff_limit).saturating_add(1),
            failures: 0,
            away: 0,
            timeout: seconds(timeout_seconds(policy.timeout_seconds)),
            deadline: policy.active_deadline_seconds.map(seconds),
            longest: seconds(task_time_limit(Some(policy))),
            seed,
            last_error: None,
        }
    }

    /// Returns the first step, `elapsed` after the start of the task.
    pub fn first(&self, elapsed: Duration) -> Step {
        self.attempt(Duration::ZERO, elapsed)
    }

    /// Returns how many attempts there are in all.
    pub fn attempts(&self) -> u32 {
        self.attempts_left.saturating_add(self.failures)
    }

    /// Returns what is left of the time of the task, `None` if it has no limit.
    pub fn left(&self, elapsed: Duration) -> Option<Duration> {
        self.deadline.map(|deadline| deadline.saturating_sub(elapsed))
    }

    /// Returns the step after a failed attempt. `least` is the shortest wait before the next one, up to [`Retry::LONGEST`];
    /// `message` goes into the status when this was the last one.
    pub fn failed(&mut self, kind: FailureKind, least: Duration, message: &str, elapsed: Duration) -> Step {
        if kind == FailureKind::RuntimeAway {
            let wait = self.jittered(backoff(self.away));
            self.away = self.away.saturating_add(1);
            return self.attempt(wait, elapsed);
        }
        self.away = 0;
        if kind == FailureKind::LowDisk {
            let wait = self.jittered(LOOK_FOR_SPACE);
            self.last_error = Some(message.to_owned());
            if self.deadline.is_none() && elapsed.saturating_add(wait) > self.longest {
                return Step::GiveUp(message.to_owned());
            }
            return self.attempt(wait, elapsed);
        }
        self.last_error = Some(message.to_owned());
        self.attempts_left = self.attempts_left.saturating_sub(1);
        if matches!(kind, FailureKind::Denied | FailureKind::Permanent) || self.attempts_left == 0 {
            return Step::GiveUp(message.to_owned());
        }
        let wait = backoff(self.failures).max(least.min(Retry::LONGEST));
        self.failures = self.failures.saturating_add(1);
        let mut wait = self.jittered(wait);
        if kind == FailureKind::Throttled {
            // Registries that throttle see many nodes at once.
            wait += Duration::from_millis(self.draw(THROTTLED_SPREAD));
        }
        let wait = wait.min(LONGEST_WAIT);
        self.attempt(wait, elapsed)
    }

    fn attempt(&self, after: Duration, elapsed: Duration) -> Step {
        let Some(deadline) = self.deadline else {
            return Step::Attempt {
                after,
                timeout: self.timeout,
            };
        };
        let left = deadline.saturating_sub(elapsed.saturating_add(after));
        if left.is_zero() {
            return Step::GiveUp(match &self.last_error {
                Some(error) => format!("{MESSAGE_DEADLINE}; last error: {error}"),
                None => MESSAGE_DEADLINE.to_owned(),
            });
        }
        Step::Attempt {
            after,
            timeout: self.timeout.min(left),
        }
    }

    /// Adds up to a tenth.
    fn jittered(&self, wait: Duration) -> Duration {
        let tenth = u64::try_from(wait.as_millis() / 10).unwrap_or(u64::MAX);
        wait.saturating_add(Duration::from_millis(self.draw(tenth)))
    }

    fn draw(&self, bound: u64) -> u64 {
        pick(self.seed, (self.failures, self.away), bound)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn budget(backoff: i32, timeout: i32, deadline: Option<i64>) -> Budget {
        let policy = ImageTagPullPolicy {
            timeout_seconds: Some(timeout),
            backoff_limit: Some(backoff),
            active_deadline_seconds: deadline,
            ttl_seconds_after_finished: None,
        };
        Budget::new(&policy, 7)
    }

    fn waits(budget: &mut Budget, kind: FailureKind) -> Vec<u64> {
        let mut waits = Vec::new();
        let mut elapsed = Duration::ZERO;
        let least = match kind {
            FailureKind::RegistryAway => Retry::REGISTRY_UNAVAILABLE,
            FailureKind::Throttled => Retry::RATE_LIMITED,
            FailureKind::NoSpace => Retry::NO_SPACE,
            _ => Duration::ZERO,
        };
        while let Step::Attempt { after, .. } = budget.failed(kind, least, "why", elapsed) {
            elapsed += after;
            waits.push(after.as_secs());
            if waits.len() > 20 {
                break;
            }
        }
        waits
    }

    #[test]
    fn a_task_is_tried_once_more_than_its_backoff_limit() {
        assert_eq!(waits(&mut budget(2, 600, None), FailureKind::Transient), [1, 2]);
        assert_eq!(waits(&mut budget(0, 600, None), FailureKind::Transient), [0; 0]);
    }

    #[test]
    fn waits_double_from_one_second_to_thirty() {
        let waits = waits(&mut budget(7, 600, None), FailureKind::Transient);
        let expected = [1, 2, 4, 8, 16, 30, 30];
        assert_eq!(waits.len(), expected.len());
        for (wait, expected) in waits.iter().zip(expected) {
            assert!(
                (expected..=expected + expected / 10).contains(wait),
                "{wait} {expected}"
            );
        }
    }

    #[test]
    fn a_negative_backoff_limit_means_the_default() {
        assert_eq!(waits(&mut budget(-1, 600, None), FailureKind::Transient).len(), 3);
    }

    #[test]
    fn what_repeating_can_not_help_ends_at_once() {
        for kind in [FailureKind::Permanent, FailureKind::Denied] {
            let step = budget(5, 600, None).failed(kind, Duration::ZERO, "no such image", Duration::ZERO);
            assert_eq!(step, Step::GiveUp("no such image".into()));
        }
    }

    #[test]
    fn registries_in_trouble_and_full_disks_are_given_the_time_that_the_error_asks_for() {
        for (kind, shortest, longest) in [
            (FailureKind::RegistryAway, 10, 33),
            (FailureKind::Throttled, 30, 48),
            (FailureKind::NoSpace, 60, 66),
        ] {
            let waits = waits(&mut budget(7, 600, None), kind);
            assert!(
                waits.iter().all(|wait| (shortest..=longest).contains(wait)),
                "{kind:?} {waits:?}"
            );
        }
    }

    #[test]
    fn no_wait_is_longer_than_the_limit_of_a_task_counts_with() {
        for kind in [FailureKind::Transient, FailureKind::Throttled] {
            let step = budget(3, 600, None).failed(kind, Duration::MAX, "why", Duration::ZERO);
            assert!(
                matches!(step, Step::Attempt { after, .. } if after <= LONGEST_WAIT),
                "{step:?}"
            );
        }
    }

    #[test]
    fn a_runtime_that_is_away_costs_no_attempt() {
        assert_eq!(
            waits(&mut budget(0, 600, None), FailureKind::RuntimeAway).len(),
            21
        );
    }

    #[test]
    fn a_task_waits_for_space_as_long_as_its_attempts_may_take_and_costs_none_of_them() {
        let mut budget = budget(1, 60, None);
        let waits: u64 = waits(&mut budget.clone(), FailureKind::LowDisk).iter().sum();
        assert!(
            (220..=252).contains(&waits),
            "two attempts of 60 s with waits of 66 s: {waits}"
        );
        budget.failed(FailureKind::LowDisk, Duration::ZERO, "low", Duration::ZERO);
        assert_eq!(budget.attempts(), 2);
        let step = budget.failed(
            FailureKind::LowDisk,
            Duration::ZERO,
            "low",
            Duration::from_secs(251),
        );
        assert_eq!(step, Step::GiveUp("low".into()));
    }

    #[test]
    fn a_deadline_ends_the_wait_for_space_and_tells_what_was_waited_for() {
        let step = budget(3, 600, Some(60)).failed(
            FailureKind::LowDisk,
            Duration::ZERO,
            "low",
            Duration::from_secs(40),
        );
        assert!(matches!(step, Step::GiveUp(message) if message.ends_with("last error: low")));
    }

    #[test]
    fn an_attempt_is_cut_at_the_deadline_of_the_task() {
        let mut budget = budget(3, 600, Some(30));
        let first = budget.first(Duration::ZERO);
        assert_eq!(
            first,
            Step::Attempt {
                after: Duration::ZERO,
                timeout: Duration::from_secs(30)
            }
        );
        let next = budget.failed(
            FailureKind::TimedOut,
            Duration::ZERO,
            "timed out",
            Duration::from_secs(30),
        );
        assert!(matches!(next, Step::GiveUp(message) if message.starts_with(MESSAGE_DEADLINE)));
    }
}
