//! Pods that a set selects and that do not have it.

use std::fmt;

use kruise_core::runtime::{Phase, SlimPod};

use super::set::CompiledSet;
use crate::api::names::{SIDECARSET_HASH, SIDECARSET_INJECTED_LIST};
use crate::api::{InjectedHashes, NamespaceFacts, injected_list};

/// Why a pod does not have a set that selects it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum MissingReason {
    /// The pod was created before the set. It gets the set when it is created anew.
    OlderThanSet,
    /// The pod was created after the set and was not injected: the webhook was not reached and its failure policy let the
    /// pod pass, the set was paused or another then, or the webhook is not called for the pod.
    NotInjected,
    /// Its annotations say that it was injected, but these containers are not there: they were copied from another pod.
    NoContainers(Vec<String>),
}

impl fmt::Display for MissingReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::OlderThanSet => f.write_str("the pod is older than the set"),
            Self::NotInjected => f.write_str("the pod was created without it"),
            Self::NoContainers(names) => write!(f, "the pod lacks its containers {}", names.join(", ")),
        }
    }
}

/// Whether a pod should have this set and does not, and why. A pod that has ended, is being deleted, or is not selected
/// should not; nor should any while the set's injection is paused.
///
/// ```
/// use kruise_core::runtime::SlimPod;
/// use kruise_sidecar::api::{HashForm, NamespaceFacts, SidecarSet};
/// use kruise_sidecar::inject::{MissingReason, compile, missing_injection};
/// use serde_json::json;
///
/// let set: SidecarSet = serde_json::from_value(json!({
///     "metadata": {"name": "logs"},
///     "spec": {"selector": {"matchLabels": {"app": "web"}}, "containers": [{"name": "shipper"}]},
/// }))?;
/// let set = compile(&set, &[], HashForm::default())?;
/// let pod: SlimPod = serde_json::from_value(json!({
///     "metadata": {"name": "web-0", "namespace": "shop", "labels": {"app": "web"}}, "spec": {"containers": []},
/// }))?;
/// let shop = NamespaceFacts { name: "shop", labels: None };
/// assert_eq!(missing_injection(&pod, &set, &shop), Some(MissingReason::NotInjected));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn missing_injection(
    pod: &SlimPod,
    set: &CompiledSet,
    namespace: &NamespaceFacts<'_>,
) -> Option<MissingReason> {
    let ended = matches!(pod.phase, Phase::Succeeded | Phase::Failed) || pod.deletion_timestamp.is_some();
    if ended || set.paused || set.scope.matches(namespace, pod).is_err() {
        return None;
    }
    let annotation = |key| pod.annotations.get(key).unwrap_or_default();
    let listed = injected_list(annotation(SIDECARSET_INJECTED_LIST)).any(|name| *name == *set.name);
    let hashes = InjectedHashes::parse(annotation(SIDECARSET_HASH)).unwrap_or_default();
    if !listed || hashes.hash_of(&set.name).is_none() {
        let older = pod
            .creation_timestamp
            .zip(set.created)
            .is_some_and(|(pod, set)| pod < set);
        return Some(if older {
            MissingReason::OlderThanSet
        } else {
            MissingReason::NotInjected
        });
    }
    // Which sidecars it had at that time is not known of pods of release 0.8; those of now may be fewer or others.
    let told = hashes
        .0
        .get(&*set.name)
        .map(|entry| entry.sidecar_list.as_slice());
    let told = told.unwrap_or_default();
    let has = |name: &str| {
        let mut all = pod.containers.iter().chain(&pod.init_containers);
        all.any(|container| *container.name == *name)
    };
    let lacks = |name: &&String| !has(name) && !has(&format!("{name}-1"));
    let lacking: Vec<String> = told.iter().filter(lacks).cloned().collect();
    (!lacking.is_empty()).then_some(MissingReason::NoContainers(lacking))
}
