//! What happens to a NodeImage: created and deleted with its Node, labels mirrored, tasks dropped when nobody wants
//! them or their time is over, tasks failed that nobody answers for.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::Timestamp;
use json_patch::Patch;
use k8s_openapi::api::core::v1::ObjectReference;
use kruise_core::api::names::FAKE_NODE_IMAGE;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::time::{left, pick, seconds_since, sooner};
use crate::api::{ImageTagStatus, NodeImage};

mod spec;
mod status;
#[cfg(test)]
mod tests;

/// Message of a task that no agent answered for in time.
pub const MESSAGE_NO_RESPONSE: &str = "node has not responded for a long time";
/// Message of a task that ran into its `activeDeadlineSeconds`.
pub const MESSAGE_DEADLINE: &str = "pulling exceeds the activeDeadlineSeconds";

/// Waiting times of the NodeImage controller.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase", deny_unknown_fields)]
#[non_exhaustive]
pub struct NodeImagePlanConfig {
    /// How long a Node has to be Ready before it gets a NodeImage, so that its agent is up when tasks come
    /// (kruise#791). Default 30 s.
    pub creation_delay: Duration,
    /// How long an agent may take to say anything about a task. Default 10 min.
    pub response_timeout: Duration,
    /// How long a task may stay queued on a node. Default 24 h.
    pub waiting_timeout: Duration,
    /// How old a task must be before a missing owner removes it; covers watches that run apart. Default 5 s.
    pub owner_grace: Duration,
}

impl Default for NodeImagePlanConfig {
    fn default() -> Self {
        Self {
            creation_delay: Duration::from_secs(30),
            response_timeout: Duration::from_secs(600),
            waiting_timeout: Duration::from_secs(24 * 3600),
            owner_grace: Duration::from_secs(5),
        }
    }
}

/// What the planner needs to know of a Node.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NodeFacts {
    /// Labels of the Node.
    pub labels: BTreeMap<String, String>,
    /// Since when the condition `Ready` is `True`; `None` if it is not.
    pub ready_since: Option<Timestamp>,
    /// The Node is being deleted.
    pub deleting: bool,
}

/// What is known of an owner of a task.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OwnerState {
    /// No object of this name and uid exists.
    Gone,
    /// A job that ends and has not ended: its tasks are kept whatever their age.
    Running,
    /// Exists, and does not keep results alive: a job that ended, or one that never ends and wants its daily round.
    Settled,
}

/// A task that is failed on behalf of its node.
#[derive(Clone, Debug, PartialEq)]
pub struct FailedTask {
    /// Image name.
    pub image: String,
    /// Tag or digest.
    pub tag: String,
    /// Why, as in the status.
    pub message: &'static str,
    /// Whom to tell.
    pub owners: Vec<ObjectReference>,
}

/// One write to a NodeImage.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum NodeImageAction {
    /// Create it with these labels and without tasks.
    Create {
        /// Labels of the Node.
        labels: BTreeMap<String, String>,
    },
    /// Delete it: its Node is gone.
    Delete,
    /// Merge patch of `metadata.labels`.
    Labels(Value),
    /// JSON patch of the spec, guarded by the generation.
    Spec(Patch),
    /// Merge patch of the status subresource, guarded by the resourceVersion, and the tasks it fails.
    Status {
        /// The patch.
        patch: Value,
        /// Tasks that are failed by it.
        failed: Vec<FailedTask>,
    },
}

/// What to do with a NodeImage now.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct NodeImagePlan {
    /// Writes, in order. What depends on their outcome is planned in the next round.
    pub actions: Vec<NodeImageAction>,
    /// Look again after this time even if nothing happens.
    pub requeue_after: Option<Duration>,
}

/// Returns what to do with the NodeImage of one node.
///
/// `owner` is asked for the state of owners that are ImagePullJobs; other owners are kept. `seed` spreads short waits.
/// O(tasks × owners).
pub fn plan_node_image(
    name: &str,
    node: Option<&NodeFacts>,
    node_image: Option<&NodeImage>,
    owner: impl Fn(&ObjectReference) -> OwnerState,
    now: Timestamp,
    config: &NodeImagePlanConfig,
    seed: u64,
) -> NodeImagePlan {
    let node = node.filter(|node| !node.deleting);
    let Some(node_image) = node_image else {
        return node
            .map(|node| plan_creation(node, now, config))
            .unwrap_or_default();
    };
    if node_image.metadata.deletion_timestamp.is_some() {
        return NodeImagePlan::default();
    }
    let labels = node_image.metadata.labels.as_ref();
    if node.is_none() && !labels.is_some_and(|labels| labels.contains_key(FAKE_NODE_IMAGE)) {
        return NodeImagePlan {
            actions: vec![NodeImageAction::Delete],
            requeue_after: None,
        };
    }
    let mut plan = NodeImagePlan::default();
    if let Some(patch) = node.and_then(|node| label_patch(labels, &node.labels)) {
        plan.actions.push(NodeImageAction::Labels(patch));
    }
    let spec_round = spec::maintain_spec(node_image, owner, now, config);
    plan.requeue_after = spec_round.requeue_after;
    match spec_round.patch {
        // The rest is looked at when this write comes back.
        Some(patch) if plan.actions.is_empty() => plan.actions.push(NodeImageAction::Spec(patch)),
        Some(_) => plan.requeue_after = Some(Duration::ZERO),
        None => {
            let (action, requeue_after) = status::maintain_status(node_image, now, config);
            plan.requeue_after = sooner(plan.requeue_after, requeue_after);
            plan.actions.extend(action.filter(|_| plan.actions.is_empty()));
        }
    }
    plan.requeue_after = plan.requeue_after.map(|wait| spread(wait, name, seed));
    plan
}

/// Returns whether an update can change what [`plan_node_image`] says: everything but the progress of pulls.
pub fn matters(old: &NodeImage, new: &NodeImage) -> bool {
    let facts = |node: &NodeImage| {
        let results = node.status.iter().flat_map(|status| &status.image_statuses);
        let results = results.flat_map(|(image, results)| {
            let fact = |r: &ImageTagStatus| {
                (
                    image.clone(),
                    r.tag.clone(),
                    r.version,
                    r.start_time.clone(),
                    r.completion_time.clone(),
                )
            };
            results.tags.iter().map(fact).collect::<Vec<_>>()
        });
        results.collect::<Vec<_>>()
    };
    old.spec != new.spec
        || old.metadata.labels != new.metadata.labels
        || old.metadata.deletion_timestamp != new.metadata.deletion_timestamp
        || facts(old) != facts(new)
}

/// Returns whether Nodes with these labels are left alone: there is no machine to pull on.
pub fn is_virtual(labels: &BTreeMap<String, String>) -> bool {
    labels.get("type").is_some_and(|value| value == "virtual-kubelet")
}

fn plan_creation(node: &NodeFacts, now: Timestamp, config: &NodeImagePlanConfig) -> NodeImagePlan {
    let Some(ready_since) = node.ready_since.filter(|_| !is_virtual(&node.labels)) else {
        return NodeImagePlan::default();
    };
    let delay = i64::try_from(config.creation_delay.as_secs()).unwrap_or(i64::MAX);
    match left(delay, seconds_since(&ready_since.into(), now)) {
        Some(wait) => NodeImagePlan {
            actions: Vec::new(),
            requeue_after: Some(wait),
        },
        None => NodeImagePlan {
            actions: vec![NodeImageAction::Create {
                labels: node.labels.clone(),
            }],
            requeue_after: None,
        },
    }
}

/// Waits below 3 s become 3 to 5 s, so that tasks that end together are handled together.
fn spread(wait: Duration, name: &str, seed: u64) -> Duration {
    if wait.is_zero() || wait >= Duration::from_secs(3) {
        return wait;
    }
    Duration::from_millis(3000 + pick(seed, name, 2000))
}

fn label_patch(old: Option<&BTreeMap<String, String>>, new: &BTreeMap<String, String>) -> Option<Value> {
    let empty = BTreeMap::new();
    let old = old.unwrap_or(&empty);
    let mut changed: BTreeMap<&str, Value> = BTreeMap::new();
    for (key, value) in new.iter().filter(|(key, value)| old.get(*key) != Some(*value)) {
        changed.insert(key, json!(value));
    }
    let gone = old
        .keys()
        .filter(|key| !new.contains_key(*key) && *key != FAKE_NODE_IMAGE);
    changed.extend(gone.map(|key| (key.as_str(), Value::Null)));
    (!changed.is_empty()).then(|| json!({ "metadata": { "labels": changed } }))
}
