//! Tasks that nobody answers for.

use std::collections::HashMap;
use std::time::Duration;

use jiff::Timestamp;
use serde_json::json;

use super::{FailedTask, MESSAGE_DEADLINE, MESSAGE_NO_RESPONSE, NodeImageAction, NodeImagePlanConfig};
use crate::api::{ImageTagSpec, ImageTagStatus, NodeImage, NodeImageStatus, PullPhase};
use crate::plan::status_patch::{recount, status_merge_patch};
use crate::plan::time::{left, seconds_since, sooner, stamp, task_time_limit};

pub(super) fn maintain_status(
    node_image: &NodeImage,
    now: Timestamp,
    config: &NodeImagePlanConfig,
) -> (Option<NodeImageAction>, Option<Duration>) {
    let mut requeue_after = None;
    let mut failed = Vec::new();
    let mut failures: HashMap<(&str, &str), &'static str> = HashMap::new();
    for (image, tasks) in &node_image.spec.images {
        for task in &tasks.tags {
            match silence(task, node_image.result(image, &task.tag), now, config) {
                Silence::None => {}
                Silence::Wait(wait) => requeue_after = sooner(requeue_after, Some(wait)),
                Silence::Over(message) => {
                    failures.insert((image, &task.tag), message);
                    failed.push(FailedTask {
                        image: image.clone(),
                        tag: task.tag.clone(),
                        message,
                        owners: task.owner_references.clone(),
                    });
                }
            }
        }
    }
    if failed.is_empty() {
        return (None, requeue_after);
    }
    let old = node_image.status.as_ref();
    let status = status_with_failures(node_image, &failures, now);
    let action = status_merge_patch(old, &status).map(|mut patch| {
        if let (Some(object), Some(version)) = (patch.as_object_mut(), &node_image.metadata.resource_version)
        {
            object.insert("metadata".to_owned(), json!({ "resourceVersion": version }));
        }
        NodeImageAction::Status { patch, failed }
    });
    (action, requeue_after)
}

/// Returns the status in which the given tasks have failed, entries without a task are gone, and the counters fit.
fn status_with_failures(
    node_image: &NodeImage,
    failures: &HashMap<(&str, &str), &'static str>,
    now: Timestamp,
) -> NodeImageStatus {
    let mut status = NodeImageStatus::default();
    for (image, tasks) in &node_image.spec.images {
        for task in &tasks.tags {
            let old = node_image.result(image, &task.tag);
            let entry = match failures.get(&(image.as_str(), task.tag.as_str())) {
                Some(message) => Some(ImageTagStatus {
                    tag: task.tag.clone(),
                    phase: PullPhase::Failed,
                    start_time: old
                        .filter(|old| old.version == task.version)
                        .and_then(|old| old.start_time.clone()),
                    completion_time: Some(stamp(now)),
                    version: task.version,
                    message: (*message).to_owned(),
                    ..ImageTagStatus::default()
                }),
                None => old.cloned(),
            };
            if let Some(entry) = entry {
                status
                    .image_statuses
                    .entry(image.clone())
                    .or_default()
                    .tags
                    .push(entry);
            }
        }
    }
    for image in status.image_statuses.values_mut() {
        image.tags.sort_by(|a, b| a.tag.cmp(&b.tag));
    }
    recount(node_image, &mut status);
    status
}

enum Silence {
    /// Ended, or not to be judged.
    None,
    Wait(Duration),
    Over(&'static str),
}

fn silence(
    task: &ImageTagSpec,
    result: Option<&ImageTagStatus>,
    now: Timestamp,
    config: &NodeImagePlanConfig,
) -> Silence {
    let Some(created_at) = &task.created_at else {
        return Silence::None;
    };
    let response = i64::try_from(config.response_timeout.as_secs()).unwrap_or(i64::MAX);
    let policy = task.pull_policy.as_ref();
    let (since, limit, message) = match result.filter(|result| result.version == task.version) {
        Some(result) if result.is_terminal() => return Silence::None,
        None => (created_at, response, MESSAGE_NO_RESPONSE),
        Some(result) => match (
            policy.and_then(|policy| policy.active_deadline_seconds),
            &result.start_time,
        ) {
            (Some(deadline), _) => (
                created_at,
                deadline.max(0).saturating_add(response),
                MESSAGE_DEADLINE,
            ),
            // Without a deadline an agent that died in the middle of a pull would keep its job open for ever.
            (None, Some(started)) => (
                started.max(created_at),
                task_time_limit(policy).saturating_add(response),
                MESSAGE_NO_RESPONSE,
            ),
            (None, None) => {
                let waiting = i64::try_from(config.waiting_timeout.as_secs()).unwrap_or(i64::MAX);
                (created_at, waiting, MESSAGE_NO_RESPONSE)
            }
        },
    };
    match left(limit, seconds_since(since, now)) {
        Some(wait) => Silence::Wait(wait),
        None => Silence::Over(message),
    }
}
