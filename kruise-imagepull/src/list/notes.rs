//! The Events of a list.

use kube_core::Resource as _;

use crate::api::{ImageListPullJob, ImageListPullJobStatus};
use crate::events::{
    Note, REASON_CREATE_FAILED, REASON_IMAGES_FAILED, REASON_INVALID_LIST, REASON_LIST_COMPLETED,
};

/// Returns what is worth telling about the step from the stored status to `new`: each image that began to fail, the end,
/// and that the list can not be acted on.
pub(super) fn of_status(list: &ImageListPullJob, new: &ImageListPullJobStatus, invalid: bool) -> Vec<Note> {
    let absent = ImageListPullJobStatus::default();
    let old = list.status.as_ref().unwrap_or(&absent);
    let known = |image: &str| {
        old.failed_image_statuses
            .iter()
            .any(|failed| failed.name == image)
    };
    let failures: Vec<String> = new
        .failed_image_statuses
        .iter()
        .filter(|failed| !known(&failed.name))
        .map(|failed| match failed.name.as_str() {
            "" => failed.message.clone(),
            image => format!("{image}: {}", failed.message),
        })
        .collect();
    let mut notes = Vec::new();
    if !failures.is_empty() {
        let reason = if invalid {
            REASON_INVALID_LIST
        } else {
            REASON_IMAGES_FAILED
        };
        notes.push(note(list, true, reason, failures.join("; ")));
    }
    if new.completion_time.is_some() && old.completion_time.is_none() {
        let message = format!(
            "{} of {} images are on all their nodes",
            new.succeeded, new.desired
        );
        notes.push(note(
            list,
            new.succeeded < new.desired,
            REASON_LIST_COMPLETED,
            message,
        ));
    }
    notes
}

/// Returns the note about jobs that could not be created.
pub(super) fn of_refusal(list: &ImageListPullJob, left: usize, why: &str) -> Note {
    note(
        list,
        true,
        REASON_CREATE_FAILED,
        format!("{left} jobs could not be created: {why}"),
    )
}

fn note(list: &ImageListPullJob, warning: bool, reason: &'static str, message: String) -> Note {
    Note {
        about: list.object_ref(&()),
        warning,
        reason,
        message,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::FailedImageStatus;
    use crate::fixtures::time;

    #[test]
    fn an_image_that_fails_and_the_end_are_told_once() {
        let mut list = ImageListPullJob::default();
        let failed = FailedImageStatus {
            image_pull_job: "l-b".into(),
            name: "nginx".into(),
            message: "1 of 2 nodes failed".into(),
        };
        let mut status = ImageListPullJobStatus {
            desired: 2,
            failed_image_statuses: vec![failed],
            ..Default::default()
        };
        let told = |list: &ImageListPullJob, status: &ImageListPullJobStatus| -> Vec<(bool, String)> {
            let notes = of_status(list, status, false);
            notes
                .into_iter()
                .map(|note| (note.warning, format!("{} {}", note.reason, note.message)))
                .collect()
        };
        assert_eq!(
            told(&list, &status),
            [(true, "ImagesFailed nginx: 1 of 2 nodes failed".to_owned())]
        );
        list.status = Some(status.clone());
        assert_eq!(told(&list, &status), []);
        status.completion_time = Some(time(0));
        status.succeeded = 1;
        let end = "ImageListPullJobCompleted 1 of 2 images are on all their nodes";
        assert_eq!(told(&list, &status), [(true, end.to_owned())]);
    }
}
