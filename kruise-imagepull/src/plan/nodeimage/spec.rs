//! Tasks that nobody wants any more, or whose time is over.

use std::time::Duration;

use jiff::Timestamp;
use json_patch::Patch;
use k8s_openapi::api::core::v1::ObjectReference;
use kruise_core::api::names::GROUP;

use super::{NodeImagePlanConfig, OwnerState};
use crate::api::{ImageTagSpec, ImageTagStatus, JOB_KIND, NodeImage};
use crate::plan::dispatch::Ops;
use crate::plan::time::{left, seconds_since, sooner};

/// What to write, and when to look again.
pub(super) struct SpecRound {
    pub(super) patch: Option<Patch>,
    pub(super) requeue_after: Option<Duration>,
}

enum TaskFate {
    Keep(Option<Duration>),
    Drop,
    /// Indices of owner references to take out, ascending.
    DropOwners(Vec<usize>, Option<Duration>),
}

pub(super) fn maintain_spec(
    node_image: &NodeImage,
    owner: impl Fn(&ObjectReference) -> OwnerState,
    now: Timestamp,
    config: &NodeImagePlanConfig,
) -> SpecRound {
    let mut ops = Ops::guarded(node_image);
    let mut requeue_after = None;
    for (image_name, image) in &node_image.spec.images {
        let base = ["spec", "images", image_name.as_str()];
        let fates: Vec<TaskFate> = image
            .tags
            .iter()
            .map(|task| {
                task_fate(
                    task,
                    node_image.result(image_name, &task.tag),
                    &owner,
                    now,
                    config,
                )
            })
            .collect();
        if fates.iter().all(|fate| matches!(fate, TaskFate::Drop)) {
            ops.remove(&base);
            continue;
        }
        // From the back, so that indices stay true while entries go.
        for (index, fate) in fates.into_iter().enumerate().rev() {
            let index = index.to_string();
            let task = [&base[..], &["tags", &index]].concat();
            match fate {
                TaskFate::Keep(wait) => requeue_after = sooner(requeue_after, wait),
                TaskFate::Drop => ops.remove(&task),
                TaskFate::DropOwners(owners, wait) => {
                    requeue_after = sooner(requeue_after, wait);
                    for owner in owners.into_iter().rev() {
                        ops.remove(&[&task[..], &["ownerReferences", &owner.to_string()]].concat());
                    }
                }
            }
        }
    }
    SpecRound {
        patch: ops.into_patch(),
        requeue_after,
    }
}

fn task_fate(
    task: &ImageTagSpec,
    result: Option<&ImageTagStatus>,
    owner: impl Fn(&ObjectReference) -> OwnerState,
    now: Timestamp,
    config: &NodeImagePlanConfig,
) -> TaskFate {
    let Some(created_at) = &task.created_at else {
        return TaskFate::Drop;
    };
    let mut wait = None;
    let mut gone = Vec::new();
    let mut running = false;
    for (index, reference) in task.owner_references.iter().enumerate() {
        let state = if is_job(reference) {
            owner(reference)
        } else {
            OwnerState::Settled
        };
        match state {
            OwnerState::Gone => gone.push(index),
            OwnerState::Running => running = true,
            OwnerState::Settled => {}
        }
    }
    if !gone.is_empty() {
        let grace = i64::try_from(config.owner_grace.as_secs()).unwrap_or(i64::MAX);
        wait = left(grace, seconds_since(created_at, now));
        if wait.is_some() {
            gone.clear();
        } else if gone.len() == task.owner_references.len() {
            return TaskFate::Drop;
        }
    }
    // A result that a running job counts on is never dropped: the job would hand the task out again, and with enough
    // nodes it would never end (kruise#1517).
    if !running {
        let ttl = task
            .pull_policy
            .as_ref()
            .and_then(|policy| policy.ttl_seconds_after_finished);
        let ended = result
            .filter(|result| result.version == task.version)
            .and_then(|r| r.completion_time.as_ref());
        if let (Some(ttl), Some(ended)) = (ttl, ended) {
            match left(i64::from(ttl), seconds_since(ended, now)) {
                None => return TaskFate::Drop,
                some => wait = sooner(wait, some),
            }
        }
    }
    if gone.is_empty() {
        TaskFate::Keep(wait)
    } else {
        TaskFate::DropOwners(gone, wait)
    }
}

fn is_job(reference: &ObjectReference) -> bool {
    let group = reference
        .api_version
        .as_deref()
        .and_then(|version| version.split_once('/'))
        .map(|(group, _)| group);
    reference.kind.as_deref() == Some(JOB_KIND) && group == Some(GROUP)
}
