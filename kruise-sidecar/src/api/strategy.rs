//! How pods that run are upgraded, and what new ones get.

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use kruise_core::policy::{ScatterTerm, UpdatePriorityStrategy};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::words::{InjectRevisionPolicy, PatchPolicy, UpdateStrategyType, is_false, non_empty, or_default};

/// How pods that run are upgraded.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct UpdateStrategy {
    /// Whether they are: `RollingUpdate` (default) or `NotUpdate`.
    #[serde(
        default,
        rename = "type",
        deserialize_with = "non_empty",
        skip_serializing_if = "Option::is_none"
    )]
    pub type_: Option<UpdateStrategyType>,
    /// Stops upgrades; new pods are still injected.
    #[serde(default, skip_serializing_if = "is_false")]
    pub paused: bool,
    /// Which of the pods may be upgraded; all when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub selector: Option<LabelSelector>,
    /// How many of the pods stay as they are, a number or a percentage of the matched pods; 0 when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub partition: Option<IntOrString>,
    /// How many upgraded pods may be unavailable at once, a number or a percentage of the matched pods; 1 when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_unavailable: Option<IntOrString>,
    /// Which pods go first because of their labels.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub priority_strategy: Option<UpdatePriorityStrategy>,
    /// Labels whose pods are kept apart in the order.
    #[serde(
        default,
        deserialize_with = "or_default",
        skip_serializing_if = "Vec::is_empty"
    )]
    pub scatter_strategy: Vec<ScatterTerm>,
}

impl UpdateStrategy {
    /// The type with its default.
    pub fn effective_type(&self) -> &UpdateStrategyType {
        self.type_.as_ref().unwrap_or(&UpdateStrategyType::RollingUpdate)
    }

    /// Whether pods that run are upgraded at all. As in OpenKruise, all but `NotUpdate` says so.
    pub fn updates(&self) -> bool {
        *self.effective_type() != UpdateStrategyType::NotUpdate
    }
}

/// What new pods get.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct InjectionStrategy {
    /// New pods are not injected.
    #[serde(default, skip_serializing_if = "is_false")]
    pub paused: bool,
    /// New pods get what the set had at some time; what it has now when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revision: Option<InjectRevision>,
}

/// A revision to inject. The name wins over the version.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct InjectRevision {
    /// Name of a ControllerRevision.
    #[serde(
        default,
        deserialize_with = "non_empty",
        skip_serializing_if = "Option::is_none"
    )]
    pub revision_name: Option<String>,
    /// A version that a user gave; of several revisions with it the last.
    #[serde(
        default,
        deserialize_with = "non_empty",
        skip_serializing_if = "Option::is_none"
    )]
    pub custom_version: Option<String>,
    /// Which pods get it: `Always` (default) all, `Partial` those that the strategy does not select.
    #[serde(
        default,
        deserialize_with = "non_empty",
        skip_serializing_if = "Option::is_none"
    )]
    pub policy: Option<InjectRevisionPolicy>,
}

/// Annotations that pods get.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PatchPodMetadata {
    /// Keys and values.
    #[serde(
        default,
        deserialize_with = "or_default",
        skip_serializing_if = "BTreeMap::is_empty"
    )]
    pub annotations: BTreeMap<String, String>,
    /// What becomes of those that the pod has already: `Retain` (default), `Overwrite` or `MergePatchJson`.
    #[serde(
        default,
        deserialize_with = "non_empty",
        skip_serializing_if = "Option::is_none"
    )]
    pub patch_policy: Option<PatchPolicy>,
}
