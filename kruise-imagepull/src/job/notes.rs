//! The Events of a job.

use kube_core::Resource as _;

use crate::api::{ImagePullJob, ImagePullJobStatus};
use crate::events::{
    Note, REASON_DISPATCH_REFUSED, REASON_INVALID_JOB, REASON_JOB_COMPLETED, REASON_JOB_TROUBLE,
    REASON_NODES_FAILED,
};

/// Returns what is worth telling about the step from the stored status to `new`: that nodes began to fail, the end,
/// and that the job can not be acted on.
pub(super) fn of_status(job: &ImagePullJob, new: &ImagePullJobStatus, invalid: bool) -> Vec<Note> {
    let absent = ImagePullJobStatus::default();
    let old = job.status.as_ref().unwrap_or(&absent);
    let mut notes = Vec::new();
    let mut add = |warning, reason, message| {
        notes.push(Note {
            about: job.object_ref(&()),
            warning,
            reason,
            message,
        });
    };
    if invalid && old.message != new.message {
        add(true, REASON_INVALID_JOB, new.message.clone());
        return notes;
    }
    let completed = new.completion_time.is_some() && old.completion_time.is_none();
    if new.failed > 0 && (old.failed == 0 || completed) {
        add(true, REASON_NODES_FAILED, failures(new));
    }
    if completed {
        let told = match new.desired {
            0 => "it selects no node".to_owned(),
            desired => format!("{} of {desired} nodes have the image", new.succeeded),
        };
        let message = format!("{}: {told}", new.message);
        add(new.failed > 0 || new.desired == 0, REASON_JOB_COMPLETED, message);
    }
    notes
}

/// Returns notes about what is newly amiss.
pub(super) fn of_troubles(job: &ImagePullJob, troubles: &[String]) -> Vec<Note> {
    let told = job.status.as_ref().map_or("", |status| &status.message);
    let new = troubles.iter().filter(|trouble| !told.contains(trouble.as_str()));
    let note = |trouble: &String| Note {
        about: job.object_ref(&()),
        warning: true,
        reason: REASON_JOB_TROUBLE,
        message: trouble.clone(),
    };
    new.map(note).collect()
}

/// Returns the note about nodes that the server does not let the controller write to.
pub(super) fn of_refusal(job: &ImagePullJob, failures: usize, why: &str) -> Note {
    let message = format!("the task could not be handed to {failures} nodes: {why}");
    Note {
        about: job.object_ref(&()),
        warning: true,
        reason: REASON_DISPATCH_REFUSED,
        message,
    }
}

fn failures(status: &ImagePullJobStatus) -> String {
    let reasons: Vec<_> = status
        .failed_reasons
        .iter()
        .map(|reason| match reason.nodes {
            1 => format!("{} on node {}", reason.message, reason.example_node),
            nodes => format!(
                "{} on {nodes} nodes, {} for one",
                reason.message, reason.example_node
            ),
        })
        .collect();
    format!(
        "{} of {} nodes failed: {}",
        status.failed,
        status.desired,
        reasons.join("; ")
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::FailedReason;
    use crate::fixtures::{job, time};

    fn failed(nodes: i32) -> ImagePullJobStatus {
        let reason = FailedReason {
            message: "no such image".into(),
            nodes,
            example_node: "a".into(),
        };
        ImagePullJobStatus {
            desired: 3,
            failed: nodes,
            failed_reasons: vec![reason],
            ..Default::default()
        }
    }

    fn reasons(notes: &[Note]) -> Vec<&str> {
        notes.iter().map(|note| note.reason).collect()
    }

    #[test]
    fn the_first_failure_is_told_and_further_ones_are_not() {
        let mut job = job("j", "nginx");
        let notes = of_status(&job, &failed(1), false);
        assert_eq!(reasons(&notes), [REASON_NODES_FAILED]);
        assert_eq!(notes[0].message, "1 of 3 nodes failed: no such image on node a");
        assert_eq!(notes[0].about.name.as_deref(), Some("j"));
        job.status = Some(failed(1));
        assert_eq!(of_status(&job, &failed(2), false), []);
    }

    #[test]
    fn the_end_is_told_with_the_reasons() {
        let mut job = job("j", "nginx");
        job.status = Some(failed(1));
        let done = ImagePullJobStatus {
            completion_time: Some(time(0)),
            ..failed(2)
        };
        assert_eq!(
            reasons(&of_status(&job, &done, false)),
            [REASON_NODES_FAILED, REASON_JOB_COMPLETED]
        );
    }

    #[test]
    fn a_job_that_selects_no_node_ends_with_a_warning() {
        let done = ImagePullJobStatus {
            completion_time: Some(time(0)),
            message: "job has completed".into(),
            ..Default::default()
        };
        let notes = of_status(&job("j", "nginx"), &done, false);
        assert_eq!(reasons(&notes), [REASON_JOB_COMPLETED]);
        assert!(notes[0].warning);
        assert_eq!(notes[0].message, "job has completed: it selects no node");
    }

    #[test]
    fn an_invalid_job_is_told_once() {
        let mut job = job("j", "nginx");
        let status = ImagePullJobStatus {
            message: "job is not valid: why".into(),
            ..Default::default()
        };
        assert_eq!(reasons(&of_status(&job, &status, true)), [REASON_INVALID_JOB]);
        job.status = Some(status.clone());
        assert_eq!(of_status(&job, &status, true), []);
    }
}
