//! `SidecarSet` of `v1beta1`: without `namespace`, and with `customVersion` where `v1alpha1` has a label.

use k8s_openapi::api::core::v1::LocalObjectReference;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use kube_derive::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::container::{SidecarContainer, Volume};
use super::sidecarset::SidecarSetStatus;
use super::strategy::{InjectionStrategy, PatchPodMetadata, UpdateStrategy};
use super::words::or_default;

/// Which pods get which containers, and how those are upgraded.
#[derive(CustomResource, Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[kube(
    group = "apps.kruise.io",
    version = "v1beta1",
    kind = "SidecarSet",
    plural = "sidecarsets",
    singular = "sidecarset",
    status = "SidecarSetStatus",
    derive = "PartialEq",
    derive = "Default",
    doc = "Injects containers into pods and upgrades them in place.",
    crates(kube_core = "kube_core"),
    printcolumn = r#"{"name":"MATCHED","type":"integer","jsonPath":".status.matchedPods","description":"The number of pods matched."}"#,
    printcolumn = r#"{"name":"UPDATED","type":"integer","jsonPath":".status.updatedPods","description":"The number of pods matched and updated."}"#,
    printcolumn = r#"{"name":"READY","type":"integer","jsonPath":".status.readyPods","description":"The number of pods matched and ready."}"#,
    printcolumn = r#"{"name":"AGE","type":"date","jsonPath":".metadata.creationTimestamp","description":"Time since the creation of this set."}"#
)]
#[serde(rename_all = "camelCase")]
pub struct SidecarSetSpec {
    /// Labels of the pods. Required and not empty: without it nothing is matched.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub selector: Option<LabelSelector>,
    /// Labels of the namespaces of the pods; all namespaces when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub namespace_selector: Option<LabelSelector>,
    /// Init containers, injected when a pod is created.
    #[serde(
        default,
        deserialize_with = "or_default",
        skip_serializing_if = "Vec::is_empty"
    )]
    pub init_containers: Vec<SidecarContainer>,
    /// Containers, injected when a pod is created and upgraded while it runs.
    #[serde(
        default,
        deserialize_with = "or_default",
        skip_serializing_if = "Vec::is_empty"
    )]
    pub containers: Vec<SidecarContainer>,
    /// Volumes that the containers may mount; only those that they do mount are added to a pod.
    #[serde(
        default,
        deserialize_with = "or_default",
        skip_serializing_if = "Vec::is_empty"
    )]
    pub volumes: Vec<Volume>,
    /// How pods that run are upgraded.
    #[serde(default, deserialize_with = "or_default")]
    pub update_strategy: UpdateStrategy,
    /// What new pods get.
    #[serde(default, deserialize_with = "or_default")]
    pub injection_strategy: InjectionStrategy,
    /// Pull secrets that pods get.
    #[serde(
        default,
        deserialize_with = "or_default",
        skip_serializing_if = "Vec::is_empty"
    )]
    pub image_pull_secrets: Vec<LocalObjectReference>,
    /// How many revisions are kept; 10 when absent, at least 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revision_history_limit: Option<i32>,
    /// Annotations that pods get.
    #[serde(
        default,
        deserialize_with = "or_default",
        skip_serializing_if = "Vec::is_empty"
    )]
    pub patch_pod_metadata: Vec<PatchPodMetadata>,
    /// A version that the user gives this state of the set.
    #[serde(
        default,
        deserialize_with = "or_default",
        skip_serializing_if = "String::is_empty"
    )]
    pub custom_version: String,
}
