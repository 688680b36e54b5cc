//! The Events of sets and of their pods.

use k8s_openapi::api::core::v1::ObjectReference;
use kruise_core::runtime::{Note, SlimPod};
use kube_core::Resource as _;

use crate::api::SidecarSet;
use crate::api::names::{NOT_UPGRADABLE_PODS, RESET_CONTAINER_FAILED, RESET_CONTAINER_SUCCEED};

/// Reason of the Event on a set that means nothing, so that none of its pods is upgraded.
pub const INVALID_SIDECAR_SET: &str = "InvalidSidecarSet";
/// Reason of the Event on a set and on its pods that the API server does not let it upgrade.
pub const UPGRADE_REFUSED: &str = "SidecarUpgradeRefused";
/// Reason of the Event on a set whose revisions can not be written. No pod is upgraded before they can.
pub const REVISION_FAILED: &str = "FailedRevision";

/// What is wrong with a set.
pub(super) fn invalid(set: &SidecarSet, message: String) -> Note {
    of_set(set, true, INVALID_SIDECAR_SET, message)
}

/// Pods that can not be upgraded in place.
pub(super) fn not_upgradable(set: &SidecarSet, count: usize) -> Note {
    let message =
        format!("{count} pods can not be upgraded in place: more than images differs; create them anew");
    of_set(set, false, NOT_UPGRADABLE_PODS, message)
}

/// Pods that the server did not let upgrade, and why it did not one of them.
pub(super) fn refused(set: &SidecarSet, count: usize, pod: &SlimPod, why: &str) -> Note {
    let message = format!("{count} pods could not be upgraded, {} for one: {why}", pod.key);
    of_set(set, true, UPGRADE_REFUSED, message)
}

/// History that could not be written.
pub(super) fn revision_failed(set: &SidecarSet, why: &str) -> Note {
    of_set(
        set,
        true,
        REVISION_FAILED,
        format!("the revision could not be written: {why}"),
    )
}

/// A pod that the server did not let upgrade.
pub(super) fn pod_refused(pod: &SlimPod, set: &str, why: &str) -> Note {
    let message = format!("the sidecars of SidecarSet {set} could not be upgraded: {why}");
    of_pod(pod, true, UPGRADE_REFUSED, message)
}

/// A pod whose idle containers got the empty image.
pub(super) fn reset(pod: &SlimPod, set: &str) -> Note {
    let message = format!("idle containers of SidecarSet {set} got the empty image");
    of_pod(pod, false, RESET_CONTAINER_SUCCEED, message)
}

/// A pod whose idle containers could not get the empty image.
pub(super) fn reset_failed(pod: &SlimPod, set: &str, why: &str) -> Note {
    let message = format!("idle containers of SidecarSet {set} could not get the empty image: {why}");
    of_pod(pod, true, RESET_CONTAINER_FAILED, message)
}

fn of_set(set: &SidecarSet, warning: bool, reason: &'static str, message: String) -> Note {
    Note {
        about: set.object_ref(&()),
        warning,
        reason,
        message,
    }
}

fn of_pod(pod: &SlimPod, warning: bool, reason: &'static str, message: String) -> Note {
    let about = ObjectReference {
        api_version: Some("v1".to_owned()),
        kind: Some("Pod".to_owned()),
        namespace: Some(pod.key.namespace_str().to_owned()),
        name: Some(pod.key.name.to_string()),
        uid: Some(pod.uid.to_string()),
        resource_version: Some(pod.resource_version.to_string()),
        ..ObjectReference::default()
    };
    Note {
        about,
        warning,
        reason,
        message,
    }
}
