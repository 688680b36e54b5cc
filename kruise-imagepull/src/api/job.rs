//! `ImagePullJob`: pull one image on many nodes, a few at a time.

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{LabelSelector, LabelSelectorRequirement, Time};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use kube_derive::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::policy::{CompletionPolicy, ImagePullPolicy, SandboxConfig};

/// At most this many entries in `status.failedReasons`.
pub const MAX_FAILED_REASONS: usize = 10;

/// What to pull, where, how many nodes at once, and when the job is done.
#[derive(CustomResource, Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[kube(
    group = "apps.kruise.io",
    version = "v1alpha1",
    kind = "ImagePullJob",
    plural = "imagepulljobs",
    singular = "imagepulljob",
    namespaced,
    status = "ImagePullJobStatus",
    derive = "PartialEq",
    derive = "Default",
    doc = "Pulls one image on the selected nodes, a few nodes at a time.",
    crates(kube_core = "kube_core"),
    printcolumn = r#"{"name":"TOTAL","type":"integer","jsonPath":".status.desired","description":"Number of all nodes matched by this job"}"#,
    printcolumn = r#"{"name":"ACTIVE","type":"integer","jsonPath":".status.active","description":"Number of nodes that are pulling now"}"#,
    printcolumn = r#"{"name":"SUCCEED","type":"integer","jsonPath":".status.succeeded","description":"Number of nodes that have the image"}"#,
    printcolumn = r#"{"name":"FAILED","type":"integer","jsonPath":".status.failed","description":"Number of nodes that gave up"}"#,
    printcolumn = r#"{"name":"AGE","type":"date","jsonPath":".metadata.creationTimestamp","description":"Time since the creation of this job"}"#,
    printcolumn = r#"{"name":"MESSAGE","type":"string","jsonPath":".status.message","description":"Summary of the state of the job"}"#,
    printcolumn = r#"{"name":"IMAGE","type":"string","priority":1,"jsonPath":".spec.image","description":"What is pulled"}"#,
    printcolumn = r#"{"name":"REASON","type":"string","priority":1,"jsonPath":".status.failedReasons[0].message","description":"Most frequent reason for which nodes failed"}"#
)]
#[serde(rename_all = "camelCase")]
pub struct ImagePullJobSpec {
    /// Image reference: `name`, `name:tag` or `name@digest`. A tag beside a digest is ignored.
    pub image: String,
    /// Names of pull secrets in the namespace of the job.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub pull_secrets: Vec<String>,
    /// Nodes to pull on; absent or empty selects every node that has a NodeImage.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub selector: Option<ImagePullJobNodeSelector>,
    /// Pods in the namespace of the job: their nodes are the ones to pull on. Excludes `selector`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pod_selector: Option<LabelSelector>,
    /// Nodes that pull at the same time, a number or a number as text; default 1, 0 pauses the job. No percentages.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parallelism: Option<IntOrString>,
    /// Time and number of tries of the pull on each node.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pull_policy: Option<ImagePullJobPullPolicy>,
    /// When the job is done; default `{type: Always}`.
    #[serde(default)]
    pub completion_policy: CompletionPolicy,
    /// What the container runtime is told of the pods that the image is for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sandbox_config: Option<SandboxConfig>,
    /// `IfNotPresent` (default) or `Always`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image_pull_policy: Option<ImagePullPolicy>,
}

/// Which nodes: either `names`, or labels of the NodeImages (which mirror those of the Nodes).
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ImagePullJobNodeSelector {
    /// Node names. An empty list selects nothing; names without a NodeImage are skipped. Excludes the label fields.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub names: Option<Vec<String>>,
    /// Labels that must be equal.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub match_labels: BTreeMap<String, String>,
    /// Label expressions that must all hold.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub match_expressions: Vec<LabelSelectorRequirement>,
}

/// Time and number of tries of the pull on one node.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ImagePullJobPullPolicy {
    /// Seconds one attempt may take; default 600.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeout_seconds: Option<i32>,
    /// Attempts after the first one; default 3, which a negative number means too.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub backoff_limit: Option<i32>,
}

/// How far the job is.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ImagePullJobStatus {
    /// When the job was first seen; never changes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub start_time: Option<Time>,
    /// When the job was done; set once, only with `Always`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub completion_time: Option<Time>,
    /// Nodes selected now.
    #[serde(default)]
    pub desired: i32,
    /// Nodes that were told to pull and have not ended.
    #[serde(default)]
    pub active: i32,
    /// Nodes that ended with the image.
    #[serde(default)]
    pub succeeded: i32,
    /// Nodes that gave up.
    #[serde(default)]
    pub failed: i32,
    /// Summary for people.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub message: String,
    /// Names of the nodes that gave up, sorted.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub failed_nodes: Vec<String>,
    /// Why nodes failed, most frequent first, at most 10 entries.
    // Not a field of OpenKruise: its definition drops it, and its clients do not see it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub failed_reasons: Vec<FailedReason>,
}

/// One reason for which nodes of a job failed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct FailedReason {
    /// What the node said, cut to 256 bytes.
    pub message: String,
    /// How many nodes said it.
    pub nodes: i32,
    /// The first of them by name.
    pub example_node: String,
}
