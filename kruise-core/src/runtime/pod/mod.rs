//! The pod as controllers see it: what they read, and nothing else.

mod decode;
mod str_map;
#[cfg(test)]
mod tests;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::Pod;
use serde::{Deserialize, Serialize};

pub use str_map::StrMap;

use super::{Cached, ObjectKey};

/// A pod reduced to what controllers of workloads and sidecars read: about 2 kB where the typed pod takes 60.
///
/// Made by [`CacheBuilder::decode`](super::CacheBuilder::decode), which skips the rest while it reads the server's
/// JSON, so that it is never built. Everything in it is read-only by nature: write by patches.
#[derive(Clone, Debug, PartialEq)]
pub struct SlimPod {
    /// Namespace and name.
    pub key: ObjectKey,
    /// `metadata.uid`.
    pub uid: Box<str>,
    /// `metadata.resourceVersion`.
    pub resource_version: Box<str>,
    /// `metadata.generation`; 0 where the server keeps none.
    pub generation: i64,
    /// `metadata.creationTimestamp`.
    pub creation_timestamp: Option<Timestamp>,
    /// `metadata.deletionTimestamp`: set while the pod is being deleted.
    pub deletion_timestamp: Option<Timestamp>,
    /// `metadata.labels`, sorted by key.
    pub labels: StrMap,
    /// Those of `metadata.annotations` that are read: see [`SlimPod::keeps_annotation`]. Sorted by key.
    pub annotations: StrMap,
    /// `metadata.ownerReferences`.
    pub owners: Box<[Owner]>,
    /// `spec.nodeName`; `None` until the pod is scheduled.
    pub node_name: Option<Box<str>>,
    /// `spec.readinessGates[].conditionType`.
    pub readiness_gates: Box<[Box<str>]>,
    /// `spec.initContainers`.
    pub init_containers: Box<[SlimContainer]>,
    /// `spec.containers`.
    pub containers: Box<[SlimContainer]>,
    /// `status.phase`.
    pub phase: Phase,
    /// `status.podIP`.
    pub pod_ip: Option<Box<str>>,
    /// `status.conditions`.
    pub conditions: Box<[SlimCondition]>,
    /// `status.initContainerStatuses`.
    pub init_container_statuses: Box<[SlimContainerStatus]>,
    /// `status.containerStatuses`.
    pub container_statuses: Box<[SlimContainerStatus]>,
}

/// An `ownerReference`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Owner {
    /// Group and version, as `apps.kruise.io/v1alpha1`.
    pub api_version: Box<str>,
    /// Kind.
    pub kind: Box<str>,
    /// Name.
    pub name: Box<str>,
    /// Uid.
    pub uid: Box<str>,
    /// Whether this owner is the managing controller.
    #[serde(default)]
    pub controller: bool,
}

/// A container of the spec.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SlimContainer {
    /// Name.
    pub name: Box<str>,
    /// Image reference; empty where the spec has none.
    #[serde(default)]
    pub image: Box<str>,
    /// Whether it is an init container that is restarted for ever, a native sidecar.
    #[serde(default, rename = "restartPolicy", deserialize_with = "decode::is_always")]
    pub restarts_always: bool,
}

/// A condition of the status.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SlimCondition {
    /// Type, as `Ready`.
    pub r#type: Box<str>,
    /// Whether its status is `True`, `False` or something else.
    pub status: ConditionStatus,
    /// When the status last changed.
    #[serde(default, deserialize_with = "decode::timestamp")]
    pub last_transition_time: Option<Timestamp>,
}

/// Status of a condition.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum ConditionStatus {
    /// It holds.
    True,
    /// It does not.
    False,
    /// Nobody knows.
    #[default]
    #[serde(other)]
    Unknown,
}

/// `status.phase` of a pod.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Phase {
    /// Not all containers were started yet.
    Pending,
    /// Bound to a node, all containers created.
    Running,
    /// All containers ended well.
    Succeeded,
    /// All containers ended, one of them badly.
    Failed,
    /// The node does not answer, or the server says something new.
    #[default]
    #[serde(other)]
    Unknown,
}

/// The status of a container.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SlimContainerStatus {
    /// Name.
    pub name: Box<str>,
    /// Image as the node names it.
    #[serde(default)]
    pub image: Box<str>,
    /// Id of the image that runs; empty before it runs.
    #[serde(default, rename = "imageID")]
    pub image_id: Box<str>,
    /// Id of the container that runs, changed by every restart; `None` before it runs.
    #[serde(default, rename = "containerID")]
    pub container_id: Option<Box<str>>,
    /// Whether it passes its readiness probe.
    #[serde(default)]
    pub ready: bool,
    /// How often it was restarted.
    #[serde(default)]
    pub restart_count: i32,
    /// Whether it passed its start-up probe; `None` where the node does not say.
    #[serde(default)]
    pub started: Option<bool>,
    /// `state.running.startedAt`; `None` while it does not run.
    #[serde(default, rename = "state", deserialize_with = "decode::running_since")]
    pub running_since: Option<Timestamp>,
}

impl SlimPod {
    /// Whether an annotation of this key is kept: all whose key holds `kruise.io/` (`apps.kruise.io/…`,
    /// `lifecycle.apps.kruise.io/…`), and the deletion cost of Kubernetes.
    pub fn keeps_annotation(key: &str) -> bool {
        key.contains("kruise.io/") || key == "controller.kubernetes.io/pod-deletion-cost"
    }

    /// The same pod from its typed form, for tests and explanations.
    ///
    /// # Errors
    /// When the pod has no name, say, so that no server could have sent it.
    pub fn from_pod(pod: &Pod) -> Result<Self, serde_json::Error> {
        serde_json::from_value(serde_json::to_value(pod)?)
    }

    /// The owner that manages it, if any.
    pub fn controller_owner(&self) -> Option<&Owner> {
        self.owners.iter().find(|owner| owner.controller)
    }

    /// The condition of this type.
    pub fn condition(&self, r#type: &str) -> Option<&SlimCondition> {
        self.conditions
            .iter()
            .find(|condition| &*condition.r#type == r#type)
    }

    /// Whether its `Ready` condition holds.
    pub fn is_ready(&self) -> bool {
        self.condition("Ready")
            .is_some_and(|ready| ready.status == ConditionStatus::True)
    }

    /// Whether it is being deleted.
    pub fn is_terminating(&self) -> bool {
        self.deletion_timestamp.is_some()
    }

    /// The status of a container or init container.
    pub fn container_status(&self, name: &str) -> Option<&SlimContainerStatus> {
        let all = self
            .container_statuses
            .iter()
            .chain(&self.init_container_statuses);
        all.into_iter().find(|status| &*status.name == name)
    }
}

impl Cached for SlimPod {
    fn key(&self) -> ObjectKey {
        self.key.clone()
    }

    fn uid(&self) -> &str {
        &self.uid
    }

    fn resource_version(&self) -> &str {
        &self.resource_version
    }
}
