//! `NodeImage`: the pull tasks of one node and their results; one object per Node, of the same name and labels.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::ObjectReference;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube_derive::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::policy::{ImagePullPolicy, SandboxConfig};

/// Pull tasks of one node.
#[derive(CustomResource, Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[kube(
    group = "apps.kruise.io",
    version = "v1alpha1",
    kind = "NodeImage",
    plural = "nodeimages",
    singular = "nodeimage",
    status = "NodeImageStatus",
    derive = "PartialEq",
    derive = "Default",
    doc = "Pull tasks of one node, written by jobs and users, and their results, written by the agent of the node.",
    crates(kube_core = "kube_core"),
    printcolumn = r#"{"name":"DESIRED","type":"integer","jsonPath":".status.desired","description":"Number of all tasks of this node"}"#,
    printcolumn = r#"{"name":"PULLING","type":"integer","jsonPath":".status.pulling","description":"Number of tasks that are pulling"}"#,
    printcolumn = r#"{"name":"SUCCEED","type":"integer","jsonPath":".status.succeeded","description":"Number of tasks that succeeded"}"#,
    printcolumn = r#"{"name":"FAILED","type":"integer","jsonPath":".status.failed","description":"Number of tasks that failed"}"#,
    printcolumn = r#"{"name":"AGE","type":"date","jsonPath":".metadata.creationTimestamp","description":"Time since the creation of this object"}"#,
    printcolumn = r#"{"name":"WAITING","type":"integer","priority":1,"jsonPath":".status.waiting","description":"Number of tasks that wait for others of this node"}"#
)]
#[serde(rename_all = "camelCase")]
pub struct NodeImageSpec {
    /// Tasks by familiar image name (`nginx`, `ghcr.io/a/b`). At most 256.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub images: BTreeMap<String, ImageSpec>,
}

/// Tasks of one image name.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ImageSpec {
    /// Secrets that all tags of this image may use.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub pull_secrets: Vec<SecretReference>,
    /// What the container runtime is told of the pods that the image is for; the last job that says something wins.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sandbox_config: Option<SandboxConfig>,
    /// The tasks, sorted by tag.
    pub tags: Vec<ImageTagSpec>,
}

/// Names one Secret.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SecretReference {
    /// Namespace of the Secret.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub namespace: String,
    /// Name of the Secret.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub name: String,
}

/// One task: pull one tag or digest.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ImageTagSpec {
    /// Tag, or whole digest such as `sha256:…`.
    pub tag: String,
    /// Start of the response and deadline clocks of this round.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub created_at: Option<Time>,
    /// Round of the task: raising it makes the node pull again.
    #[serde(default, skip_serializing_if = "is_zero")]
    #[schemars(range(min = 0))]
    pub version: i64,
    /// Limits of the task.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pull_policy: Option<ImageTagPullPolicy>,
    /// Who wants it; a task none of whose job owners exists any more is removed.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub owner_references: Vec<ObjectReference>,
    /// `IfNotPresent` accepts an image that is on the node; every other value asks the registry.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image_pull_policy: Option<ImagePullPolicy>,
}

/// Limits of one task.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ImageTagPullPolicy {
    /// Seconds one attempt may take; default 600.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeout_seconds: Option<i32>,
    /// Attempts after the first one; default 3, which a negative number means too.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub backoff_limit: Option<i32>,
    /// Seconds after the end of the task at which it is removed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ttl_seconds_after_finished: Option<i32>,
    /// Seconds all attempts together may take; no limit when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub active_deadline_seconds: Option<i64>,
}

/// Results of one node.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct NodeImageStatus {
    /// Tasks in the spec.
    #[serde(default)]
    pub desired: i32,
    /// Tasks that succeeded.
    #[serde(default)]
    pub succeeded: i32,
    /// Tasks that failed.
    #[serde(default)]
    pub failed: i32,
    /// Tasks that are pulling.
    #[serde(default)]
    pub pulling: i32,
    /// Tasks queued behind other pulls of the node.
    #[serde(default, skip_serializing_if = "is_zero_i32")]
    pub waiting: i32,
    /// Results by image name.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub image_statuses: BTreeMap<String, ImageStatus>,
}

/// Results of one image name.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ImageStatus {
    /// One result per tag, sorted by tag.
    pub tags: Vec<ImageTagStatus>,
}

/// Result of one task. It counts only if `tag` and `version` are those of the spec.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ImageTagStatus {
    /// Tag of the task.
    pub tag: String,
    /// Where the task is: `Waiting`, `Pulling`, `Succeeded` or `Failed`.
    pub phase: PullPhase,
    /// 0 to 100; may go back when an attempt is repeated.
    #[serde(default, skip_serializing_if = "is_zero_i32")]
    pub progress: i32,
    /// When the work began.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub start_time: Option<Time>,
    /// When the work ended; a result is final exactly if this is set.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub completion_time: Option<Time>,
    /// Round of the task that this is the result of.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub version: i64,
    /// `<image name>@<id in the runtime>` of a pulled image.
    #[serde(default, rename = "imageID", skip_serializing_if = "String::is_empty")]
    pub image_id: String,
    /// Last error, or what the task waits for.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub message: String,
}

impl ImageTagStatus {
    /// Returns whether this result is final.
    pub fn is_terminal(&self) -> bool {
        self.completion_time.is_some()
    }
}

/// Where one task is.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "String", into = "String")]
#[non_exhaustive]
pub enum PullPhase {
    /// Queued on the node behind other pulls.
    #[default]
    Waiting,
    /// Being pulled.
    Pulling,
    /// The image is on the node.
    Succeeded,
    /// The node gave up.
    Failed,
    /// A phase of another implementation; counts as unfinished.
    Other(String),
}

impl From<String> for PullPhase {
    fn from(text: String) -> Self {
        match text.as_str() {
            "Waiting" => Self::Waiting,
            "Pulling" => Self::Pulling,
            "Succeeded" => Self::Succeeded,
            "Failed" => Self::Failed,
            _ => Self::Other(text),
        }
    }
}

impl From<PullPhase> for String {
    fn from(value: PullPhase) -> Self {
        match value {
            PullPhase::Waiting => "Waiting".to_owned(),
            PullPhase::Pulling => "Pulling".to_owned(),
            PullPhase::Succeeded => "Succeeded".to_owned(),
            PullPhase::Failed => "Failed".to_owned(),
            PullPhase::Other(text) => text,
        }
    }
}

impl JsonSchema for PullPhase {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "PullPhase".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({ "type": "string" })
    }
}

impl NodeImage {
    /// Returns the task of `tag` of `image`.
    pub fn task(&self, image: &str, tag: &str) -> Option<&ImageTagSpec> {
        self.spec
            .images
            .get(image)?
            .tags
            .iter()
            .find(|task| task.tag == tag)
    }

    /// Returns the last reported result of `tag` of `image`, of whatever version.
    pub fn result(&self, image: &str, tag: &str) -> Option<&ImageTagStatus> {
        let status = self.status.as_ref()?;
        status
            .image_statuses
            .get(image)?
            .tags
            .iter()
            .find(|result| result.tag == tag)
    }

    /// Returns the number of tasks in the spec.
    pub fn task_count(&self) -> usize {
        self.spec.images.values().map(|image| image.tags.len()).sum()
    }
}

fn is_zero(value: &i64) -> bool {
    *value == 0
}

fn is_zero_i32(value: &i32) -> bool {
    *value == 0
}
