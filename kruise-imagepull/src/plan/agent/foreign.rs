//! Which results of others end a task that the agent is still working on.
//!
//! | message of the failure | believed if |
//! | --- | --- |
//! | `pulling exceeds the activeDeadlineSeconds` | the task has such a deadline, and it is over |
//! | `node has not responded for a long time`, and the object never showed our start | the task is a minute old, the shortest silence that any manager punishes |
//! | the same, and the object has shown our start | there is no deadline, and the longest time that our attempts may take is over |
//! | anything else, success included | never |
//!
//! Managers wait longer than that in all three cases, so that whatever an honest manager says is believed and the two never
//! fight over a status.

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use crate::api::{ImageTagSpec, ImageTagStatus, PullPhase};
use crate::plan::nodeimage::{MESSAGE_DEADLINE, MESSAGE_NO_RESPONSE};
use crate::plan::time::{seconds_since, task_time_limit};

/// Seconds of silence that OpenKruise 0.8 allows, the shortest of all versions.
const SHORTEST_SILENCE: i64 = 60;

/// Returns whether `result`, a final one of the current version, is a failure that a manager may have written by now.
/// `started` is when our worker began, if the object has shown that.
pub(super) fn is_of_the_manager(
    result: &ImageTagStatus,
    task: &ImageTagSpec,
    started: Option<&Time>,
    now: Timestamp,
) -> bool {
    // A task without this time is never judged.
    let Some(created_at) = task.created_at.as_ref() else {
        return false;
    };
    if result.phase != PullPhase::Failed {
        return false;
    }
    let policy = task.pull_policy.as_ref();
    let deadline = policy.and_then(|policy| policy.active_deadline_seconds);
    let over = |since: &Time, limit: i64| seconds_since(since, now) >= limit;
    match (result.message.as_str(), started) {
        (MESSAGE_DEADLINE, _) => deadline.is_some_and(|deadline| over(created_at, deadline)),
        (MESSAGE_NO_RESPONSE, None) => over(created_at, SHORTEST_SILENCE),
        (MESSAGE_NO_RESPONSE, Some(started)) => {
            deadline.is_none() && over(started.max(created_at), task_time_limit(policy))
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixtures::{at, result, task, time};

    fn believed(message: &str, deadline: Option<i64>, started: Option<i64>, now: i64) -> bool {
        let mut spec = task("1", 0, &["j"]);
        if let Some(policy) = &mut spec.pull_policy {
            policy.active_deadline_seconds = deadline;
        }
        let failure = ImageTagStatus {
            message: message.to_owned(),
            ..result("1", 0, PullPhase::Failed)
        };
        let started = started.map(time);
        is_of_the_manager(&failure, &spec, started.as_ref(), at(now))
    }

    #[test]
    fn a_deadline_is_believed_once_it_is_over() {
        assert!(believed(MESSAGE_DEADLINE, Some(30), Some(1), 30));
        assert!(!believed(MESSAGE_DEADLINE, Some(30), Some(1), 29));
        assert!(!believed(MESSAGE_DEADLINE, None, Some(1), 9999), "there is none");
    }

    #[test]
    fn silence_is_believed_only_of_a_task_that_can_have_looked_silent() {
        assert!(believed(MESSAGE_NO_RESPONSE, None, None, 60));
        assert!(!believed(MESSAGE_NO_RESPONSE, None, None, 59));
        // Four attempts of ten minutes, and the waits between them.
        assert!(!believed(MESSAGE_NO_RESPONSE, None, Some(0), 2663));
        assert!(believed(MESSAGE_NO_RESPONSE, None, Some(0), 2664));
        assert!(!believed(MESSAGE_NO_RESPONSE, Some(10), Some(0), 9999));
    }

    #[test]
    fn no_other_end_is_believed() {
        assert!(!believed("", None, None, 9999));
        assert!(!believed("access denied by the registry", None, None, 9999));
        let success = ImageTagStatus {
            message: MESSAGE_NO_RESPONSE.to_owned(),
            ..result("1", 0, PullPhase::Succeeded)
        };
        assert!(!is_of_the_manager(&success, &task("1", 0, &[]), None, at(9999)));
    }
}
