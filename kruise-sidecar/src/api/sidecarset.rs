//! `SidecarSet` of `v1alpha1`.

use k8s_openapi::api::core::v1::LocalObjectReference;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use kube_derive::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::container::{SidecarContainer, Volume};
use super::names::{SIDECARSET_CUSTOM_VERSION, SIDECARSET_HASH, SIDECARSET_HASH_WITHOUT_IMAGE};
use super::strategy::{InjectionStrategy, PatchPodMetadata, UpdateStrategy};
use super::words::or_default;

/// Which pods get which containers, and how those are upgraded.
#[derive(CustomResource, Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[kube(
    group = "apps.kruise.io",
    version = "v1alpha1",
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
    /// The namespace of the pods; all namespaces when empty.
    #[serde(
        default,
        deserialize_with = "or_default",
        skip_serializing_if = "String::is_empty"
    )]
    pub namespace: String,
    /// Labels of the namespaces of the pods; all namespaces when absent. Excludes `namespace`.
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
}

/// How far the set is. Counted before the upgrades of the same round.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SidecarSetStatus {
    /// The generation of the set that was counted for.
    #[serde(default, skip_serializing_if = "is_zero_i64")]
    pub observed_generation: i64,
    /// Pods that have the containers.
    pub matched_pods: i32,
    /// Those of them that are at the latest state of the set.
    pub updated_pods: i32,
    /// Those of them that are ready, with containers that run what the spec says.
    pub ready_pods: i32,
    /// Those that are both.
    #[serde(default, skip_serializing_if = "is_zero_i32")]
    pub updated_ready_pods: i32,
    /// Name of the ControllerRevision of the latest state.
    #[serde(
        default,
        deserialize_with = "or_default",
        skip_serializing_if = "String::is_empty"
    )]
    pub latest_revision: String,
    /// How often the name of a revision was taken.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub collision_count: Option<i32>,
}

impl SidecarSet {
    /// The name; empty for one that no server could have sent.
    pub fn name(&self) -> &str {
        self.metadata.name.as_deref().unwrap_or_default()
    }

    /// The hash of its containers that admission wrote; `None` if none did.
    pub fn hash(&self) -> Option<&str> {
        self.annotation(SIDECARSET_HASH)
    }

    /// The hash without images that admission wrote; `None` if none did.
    pub fn hash_without_image(&self) -> Option<&str> {
        self.annotation(SIDECARSET_HASH_WITHOUT_IMAGE)
    }

    /// The version that its user gave it.
    pub fn custom_version(&self) -> Option<&str> {
        let labels = self.metadata.labels.as_ref()?;
        labels.get(SIDECARSET_CUSTOM_VERSION).map(String::as_str)
    }

    fn annotation(&self, key: &str) -> Option<&str> {
        let annotations = self.metadata.annotations.as_ref()?;
        annotations
            .get(key)
            .map(String::as_str)
            .filter(|text| !text.is_empty())
    }
}

fn is_zero_i64(value: &i64) -> bool {
    *value == 0
}

fn is_zero_i32(value: &i32) -> bool {
    *value == 0
}
