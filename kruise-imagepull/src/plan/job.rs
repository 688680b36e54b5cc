//! What an ImagePullJob does now.
//!
//! [`plan_job`] is a function of the job, the NodeImages and the time alone. It counts a node as active from the moment
//! its NodeImage carries the task of the job until the result of exactly that version is in, whatever else the status
//! says, so never more than `parallelism` nodes are active (kruise#1271, kruise#2208).

use std::fmt;
use std::time::Duration;

use jiff::Timestamp;
use kube_core::Resource as _;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::dispatch::{Dispatch, JobTask};
use super::select::NodeSelection;
use super::time::{left, seconds_since, sooner, stamp};
use crate::api::{
    ImageKey, ImagePullJob, ImagePullJobStatus, MAX_IMAGES_PER_NODE, NodeImage, PullPhase, SecretReference,
    ValidationError, parse_parallelism, validate_job,
};

mod reasons;
#[cfg(test)]
mod tests;

/// `status.message` of a job all of whose nodes have ended.
pub const MESSAGE_COMPLETED: &str = "job has completed";
/// `status.message` of a job that ended at its deadline.
pub const MESSAGE_DEADLINE: &str = "job exceeds activeDeadlineSeconds";
/// `status.message` of a running job that selects no node.
pub const MESSAGE_NO_PROGRESS: &str = "job is running, no progress";

/// What the planner may be told beside the job.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase", deny_unknown_fields)]
#[non_exhaustive]
pub struct JobPlanConfig {
    /// Added to the life of the results of a job that ends, so that the job is read before they go. Default 300 s.
    pub ttl_margin: Duration,
    /// How soon a job looks again at a node that is full. Default 60 s.
    pub full_node_retry: Duration,
}

impl Default for JobPlanConfig {
    fn default() -> Self {
        Self {
            ttl_margin: Duration::from_secs(300),
            full_node_retry: Duration::from_secs(60),
        }
    }
}

/// What a job needs to know beside itself and the NodeImages. The default is right for a job without `podSelector` and
/// `pullSecrets`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct JobContext {
    /// The nodes of the pods that `podSelector` selects, see [`pod_nodes`](super::select::pod_nodes).
    pub pod_nodes: Vec<String>,
    /// The pull secrets as nodes can read them, see [`secrets`](super::secrets).
    pub secrets: Vec<SecretReference>,
    /// What is amiss, for the message of the job.
    pub troubles: Vec<String>,
    /// What is amiss keeps the job from handing out its task.
    pub blocked: bool,
}

/// What a job has to do now.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct JobPlan<'a> {
    /// The job is done and its time is over: delete it, and do nothing else.
    pub delete: bool,
    /// The task that is handed out.
    pub task: Option<JobTask>,
    /// Nodes to hand the task to, in this order. Each write stands for itself.
    pub dispatch: Vec<NodeDispatch<'a>>,
    /// The status as it should be. Write it if [`status_differs`] says so.
    pub status: Option<ImagePullJobStatus>,
    /// Look again after this time even if nothing happens.
    pub requeue_after: Option<Duration>,
    /// What is wrong with a job that admission should have refused; nothing is dispatched then.
    pub invalid: Vec<ValidationError>,
    /// Why each selected node is treated as it is, in the order of dispatch.
    pub decisions: Vec<Decision<'a>>,
}

/// The write that hands the task to one node.
#[derive(Clone, Debug, PartialEq)]
pub struct NodeDispatch<'a> {
    /// The NodeImage the patch was computed from.
    pub node_image: &'a NodeImage,
    /// JSON patch guarded by a `test`; a refusal only means that the node has to be looked at again.
    pub patch: json_patch::Patch,
}

/// The verdict on one node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Decision<'a> {
    /// Name of the node.
    pub node: &'a str,
    /// What was decided and why.
    pub verdict: Verdict,
}

/// What was decided about a node, and why.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Verdict {
    /// The result of the current version is `Succeeded`.
    Succeeded,
    /// The result of the current version is `Failed`.
    Failed,
    /// The node has the task and no final result of its version.
    Active,
    /// The node gets the task now.
    Dispatch,
    /// Enough nodes are active.
    NoSlot,
    /// `parallelism` is 0.
    Paused,
    /// The node holds as many images as it may.
    NodeFull,
    /// The job can not hand out tasks now.
    Blocked,
    /// The job ended before the node had its turn or an answer.
    TooLate,
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Succeeded => "succeeded: the image is on the node",
            Self::Failed => "failed: the node gave up",
            Self::Active => "active: waiting for the result of the node",
            Self::Dispatch => "dispatch: a slot is free",
            Self::NoSlot => "waits: as many nodes as parallelism allows are active",
            Self::Paused => "waits: parallelism is 0",
            Self::NodeFull => "waits: the NodeImage holds as many images as it may",
            Self::Blocked => "waits: the job says what is amiss",
            Self::TooLate => "failed: the job ended first",
        })
    }
}

/// Returns what `job` has to do.
///
/// `nodes` may hold more NodeImages than the job selects. `seed` only spreads the life of results. O(n log n) in the
/// number of nodes; allocates only the list of decisions and what is dispatched.
pub fn plan_job<'a>(
    job: &ImagePullJob,
    nodes: impl IntoIterator<Item = &'a NodeImage>,
    context: &JobContext,
    now: Timestamp,
    config: &JobPlanConfig,
    seed: u64,
) -> JobPlan<'a> {
    let meta = job.meta();
    if meta.deletion_timestamp.is_some() {
        return JobPlan::default();
    }
    if let Some(plan) = plan_finished(job, now) {
        return plan;
    }
    let invalid: Vec<_> = validate_job(job)
        .into_iter()
        .filter(|error| error.kind.stops_planning())
        .collect();
    let parsed = (
        ImageKey::parse(&job.spec.image),
        NodeSelection::of(&job.spec, &context.pod_nodes),
        parse_parallelism(job.spec.parallelism.as_ref()),
    );
    let (true, (Ok(key), Ok(selection), Ok(parallelism))) = (invalid.is_empty(), parsed) else {
        return plan_invalid(job, invalid, now);
    };

    let margin = i64::try_from(config.ttl_margin.as_secs()).unwrap_or(i64::MAX);
    let task = JobTask::new(job, key, context.secrets.clone(), margin);
    let mut selected: Vec<(usize, &str, &NodeImage)> = nodes
        .into_iter()
        .filter(|node| selection.selects_node_image(node))
        .filter_map(|node| {
            let name = node.metadata.name.as_deref()?;
            Some((selection.position(name), name, node))
        })
        .collect();
    selected.sort_unstable_by_key(|(position, name, _)| (*position, *name));

    let mut decisions: Vec<Decision<'a>> = selected
        .iter()
        .map(|(_, node, image)| Decision {
            node,
            verdict: observe(&task, image).unwrap_or(Verdict::NoSlot),
        })
        .collect();
    let mut tally = Tally::of(&decisions);
    let start_time = job
        .status
        .as_ref()
        .and_then(|status| status.start_time.clone())
        .unwrap_or_else(|| stamp(now));
    let completion = &job.spec.completion_policy;
    let deadline = completion
        .active_deadline_seconds
        .filter(|_| !completion.is_never());
    let time_left = deadline.map(|deadline| left(deadline.max(0), seconds_since(&start_time, now)));

    let mut plan = JobPlan::default();
    let mut status = ImagePullJobStatus {
        start_time: Some(start_time),
        ..ImagePullJobStatus::default()
    };
    // With what is amiss, no nodes may mean that they are not known.
    let unknown = context.blocked && tally.desired == 0;
    if !completion.is_never() && tally.unfinished() == 0 && !unknown {
        status.completion_time = Some(stamp(now));
        status.message = MESSAGE_COMPLETED.to_owned();
    } else if time_left == Some(None) {
        for decision in &mut decisions {
            if matches!(decision.verdict, Verdict::Active | Verdict::NoSlot) {
                decision.verdict = Verdict::TooLate;
            }
        }
        tally = Tally::of(&decisions);
        status.completion_time = Some(stamp(now));
        status.message = MESSAGE_DEADLINE.to_owned();
    } else {
        if let Some(Some(time_left)) = time_left {
            plan.requeue_after = Some(time_left.max(Duration::from_secs(1)));
        }
        if context.blocked {
            let waiting = decisions.iter_mut().filter(|d| d.verdict == Verdict::NoSlot);
            waiting.for_each(|decision| decision.verdict = Verdict::Blocked);
        }
        plan.dispatch = fill_slots(&mut decisions, &selected, parallelism, tally.active, |node| {
            task.dispatch(node, now, seed)
        });
        let full = decisions
            .iter()
            .filter(|d| d.verdict == Verdict::NodeFull)
            .count();
        if full > 0 {
            plan.requeue_after = sooner(plan.requeue_after, Some(config.full_node_retry));
        }
        status.message = tally.message(full, &context.troubles);
    }
    status.desired = count(tally.desired);
    status.active = count(tally.active);
    status.succeeded = count(tally.succeeded);
    status.failed = count(tally.failed);
    let failed = decisions.iter().filter(|decision| decision.verdict.is_failure());
    status.failed_nodes = failed.map(|decision| decision.node.to_owned()).collect();
    status.failed_nodes.sort_unstable();
    if tally.failed > 0 {
        let nodes = decisions
            .iter()
            .zip(&selected)
            .map(|(decision, (_, _, node))| (decision, *node));
        status.failed_reasons = reasons::group(nodes, task.key());
    }
    plan.status = Some(status);
    plan.decisions = decisions;
    plan.task = Some(task);
    plan
}

/// Returns whether the new status has to be written. `failedReasons` alone is no reason to: they change only together
/// with `failedNodes`, and a server with OpenKruise's definition drops them.
pub fn status_differs(old: Option<&ImagePullJobStatus>, new: &ImagePullJobStatus) -> bool {
    old.is_none_or(|old| {
        let comparable = ImagePullJobStatus {
            failed_reasons: old.failed_reasons.clone(),
            ..new.clone()
        };
        *old != comparable
    })
}

/// Returns the merge patch (`{"status": {…}}`) of the fields that differ, guarded by the resourceVersion of `job`.
pub fn status_patch(job: &ImagePullJob, new: &ImagePullJobStatus) -> Value {
    let fields = |status: &ImagePullJobStatus| match json!(status) {
        Value::Object(fields) => fields,
        _ => Map::new(),
    };
    let old = job.status.as_ref().map(fields).unwrap_or_default();
    let new = fields(new);
    let mut changed: Map<String, Value> = old
        .keys()
        .filter(|name| !new.contains_key(*name))
        .map(|name| (name.clone(), Value::Null))
        .collect();
    changed.extend(
        new.into_iter()
            .filter(|(name, value)| old.get(name) != Some(value)),
    );
    json!({ "metadata": { "resourceVersion": job.metadata.resource_version }, "status": changed })
}

impl Verdict {
    fn is_failure(self) -> bool {
        matches!(self, Self::Failed | Self::TooLate)
    }
}

fn plan_finished<'a>(job: &ImagePullJob, now: Timestamp) -> Option<JobPlan<'a>> {
    let completion_time = job.status.as_ref()?.completion_time.as_ref()?;
    let mut plan = JobPlan::default();
    if let Some(ttl) = job.spec.completion_policy.ttl_seconds_after_finished {
        plan.requeue_after = left(i64::from(ttl), seconds_since(completion_time, now));
        plan.delete = plan.requeue_after.is_none();
    }
    Some(plan)
}

fn plan_invalid<'a>(job: &ImagePullJob, invalid: Vec<ValidationError>, now: Timestamp) -> JobPlan<'a> {
    let mut status = job.status.clone().unwrap_or_default();
    status.start_time.get_or_insert_with(|| stamp(now));
    status.message = match invalid.first() {
        Some(error) => format!("job is not valid: {error}"),
        None => "job is not valid".to_owned(),
    };
    JobPlan {
        status: Some(status),
        invalid,
        ..JobPlan::default()
    }
}

/// Returns what the NodeImage says about the task, `None` if it does not carry the task of this job.
fn observe(task: &JobTask, node: &NodeImage) -> Option<Verdict> {
    let key = task.key();
    let spec = node.task(&key.name, &key.tag).filter(|spec| task.owns(spec))?;
    let result = node
        .result(&key.name, &key.tag)
        .filter(|result| result.version == spec.version);
    Some(match result.map(|result| &result.phase) {
        Some(PullPhase::Succeeded) => Verdict::Succeeded,
        Some(PullPhase::Failed) => Verdict::Failed,
        _ => Verdict::Active,
    })
}

/// Gives the free slots to the nodes that wait, in order.
fn fill_slots<'a>(
    decisions: &mut [Decision<'a>],
    selected: &[(usize, &'a str, &'a NodeImage)],
    parallelism: u32,
    active: usize,
    dispatch: impl Fn(&NodeImage) -> Dispatch,
) -> Vec<NodeDispatch<'a>> {
    let mut slots = usize::try_from(parallelism)
        .unwrap_or(usize::MAX)
        .saturating_sub(active);
    let mut dispatches = Vec::new();
    for (decision, (_, _, node_image)) in decisions.iter_mut().zip(selected) {
        if decision.verdict != Verdict::NoSlot {
            continue;
        }
        if parallelism == 0 {
            decision.verdict = Verdict::Paused;
        } else if slots > 0 {
            match dispatch(node_image) {
                Dispatch::Patch(patch) => {
                    dispatches.push(NodeDispatch { node_image, patch });
                    decision.verdict = Verdict::Dispatch;
                    slots -= 1;
                }
                Dispatch::NodeFull => decision.verdict = Verdict::NodeFull,
                Dispatch::AlreadyThere => decision.verdict = Verdict::Active,
            }
        }
    }
    dispatches
}

#[derive(Clone, Copy, Default)]
struct Tally {
    desired: usize,
    active: usize,
    succeeded: usize,
    failed: usize,
}

impl Tally {
    fn of(decisions: &[Decision<'_>]) -> Self {
        let mut tally = Self {
            desired: decisions.len(),
            ..Self::default()
        };
        for decision in decisions {
            match decision.verdict {
                Verdict::Active => tally.active += 1,
                Verdict::Succeeded => tally.succeeded += 1,
                verdict if verdict.is_failure() => tally.failed += 1,
                _ => {}
            }
        }
        tally
    }

    fn unfinished(&self) -> usize {
        self.desired.saturating_sub(self.succeeded + self.failed)
    }

    /// Returns how far the job is, and what keeps it.
    fn message(&self, full: usize, troubles: &[String]) -> String {
        let mut message = match self.desired {
            0 => MESSAGE_NO_PROGRESS.to_owned(),
            desired => {
                // Tenths of a percent, so that the last digit is the same on every machine.
                let tenths = (2000 * (self.succeeded + self.failed) + desired) / (2 * desired);
                format!("job is running, progress {}.{}%", tenths / 10, tenths % 10)
            }
        };
        let full =
            (full > 0).then(|| format!("{full} nodes wait: each holds {MAX_IMAGES_PER_NODE} images already"));
        for trouble in full.iter().chain(troubles) {
            message.push_str("; ");
            message.push_str(trouble);
        }
        message
    }
}

fn count(number: usize) -> i32 {
    i32::try_from(number).unwrap_or(i32::MAX)
}
