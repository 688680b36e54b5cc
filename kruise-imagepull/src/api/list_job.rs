//! `ImageListPullJob`: one ImagePullJob for each image of a list.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{LabelSelector, Time};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use kube_derive::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::job::{ImagePullJobNodeSelector, ImagePullJobPullPolicy, ImagePullJobSpec};
use super::policy::{CompletionPolicy, ImagePullPolicy, SandboxConfig};

/// The images, and the template of their jobs.
#[derive(CustomResource, Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[kube(
    group = "apps.kruise.io",
    version = "v1alpha1",
    kind = "ImageListPullJob",
    plural = "imagelistpulljobs",
    singular = "imagelistpulljob",
    namespaced,
    status = "ImageListPullJobStatus",
    derive = "PartialEq",
    derive = "Default",
    doc = "Pulls several images on the selected nodes: one ImagePullJob for each.",
    crates(kube_core = "kube_core"),
    printcolumn = r#"{"name":"TOTAL","type":"integer","jsonPath":".status.desired","description":"Number of images"}"#,
    printcolumn = r#"{"name":"SUCCEEDED","type":"integer","jsonPath":".status.succeeded","description":"Number of images that are on all their nodes"}"#,
    printcolumn = r#"{"name":"COMPLETED","type":"integer","jsonPath":".status.completed","description":"Number of images whose nodes have all ended"}"#,
    printcolumn = r#"{"name":"AGE","type":"date","jsonPath":".metadata.creationTimestamp","description":"Time since the creation of this object"}"#,
    printcolumn = r#"{"name":"FAILED","type":"string","priority":1,"jsonPath":".status.failedImageStatuses[*].name","description":"Images that some nodes failed to pull"}"#
)]
#[serde(rename_all = "camelCase")]
pub struct ImageListPullJobSpec {
    /// Image references, at most 255, each once.
    pub images: Vec<String>,
    /// Names of pull secrets in the namespace of the job.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub pull_secrets: Vec<String>,
    /// Nodes to pull on; absent or empty selects every node that has a NodeImage.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub selector: Option<ImagePullJobNodeSelector>,
    /// Pods in the namespace of the job: their nodes are the ones to pull on. Excludes `selector`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pod_selector: Option<LabelSelector>,
    /// Nodes that pull one image at the same time, a number or a number as text; default 1, 0 pauses. No percentages.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parallelism: Option<IntOrString>,
    /// Time and number of tries of the pull of one image on one node.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pull_policy: Option<ImagePullJobPullPolicy>,
    /// When the jobs of the images, and this one, are done; default `{type: Always}`.
    #[serde(default)]
    pub completion_policy: CompletionPolicy,
    /// What the container runtime is told of the pods that the images are for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sandbox_config: Option<SandboxConfig>,
    /// `IfNotPresent` (default) or `Always`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image_pull_policy: Option<ImagePullPolicy>,
}

impl ImageListPullJobSpec {
    /// Returns the job of one image.
    pub fn job_of(&self, image: &str) -> ImagePullJobSpec {
        ImagePullJobSpec {
            image: image.to_owned(),
            pull_secrets: self.pull_secrets.clone(),
            selector: self.selector.clone(),
            pod_selector: self.pod_selector.clone(),
            parallelism: self.parallelism.clone(),
            pull_policy: self.pull_policy.clone(),
            completion_policy: self.completion_policy.clone(),
            sandbox_config: self.sandbox_config.clone(),
            image_pull_policy: self.image_pull_policy.clone(),
        }
    }
}

/// How far the list is. All numbers count images.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ImageListPullJobStatus {
    /// When the list was first seen; never changes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub start_time: Option<Time>,
    /// When the list was done; set once, only with `Always`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub completion_time: Option<Time>,
    /// Images in the list.
    #[serde(default)]
    pub desired: i32,
    /// Images that some node is pulling.
    #[serde(default)]
    pub active: i32,
    /// Images whose nodes have all ended.
    #[serde(default)]
    pub completed: i32,
    /// Images that are on all their nodes.
    #[serde(default)]
    pub succeeded: i32,
    /// Images that some nodes failed to pull.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub failed_image_statuses: Vec<FailedImageStatus>,
}

/// An image that some nodes failed to pull.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct FailedImageStatus {
    /// Name of the job of the image.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub image_pull_job: String,
    /// The image.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub name: String,
    /// What happened.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub message: String,
}
