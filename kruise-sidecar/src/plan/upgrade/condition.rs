//! The condition of a pod that says whether its sets can upgrade it.

use std::collections::BTreeMap;

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kruise_core::runtime::ConditionStatus;
use serde_json::{Value, json};

use crate::api::names::{ALL_SIDECARSET_UPGRADABLE, SIDECARSET_UPGRADABLE, UPDATE_IMMUTABLE_FIELD};
use crate::plan::{Injected, SidecarPod, Target};

/// The condition [`SIDECARSET_UPGRADABLE`] as it is to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Upgradable {
    /// Whether all sets can upgrade the pod.
    pub holds: bool,
    /// JSON object from set names to whether that set can.
    pub message: String,
}

impl Upgradable {
    /// The reason that goes with it.
    pub fn reason(&self) -> &'static str {
        match self.holds {
            true => ALL_SIDECARSET_UPGRADABLE,
            false => UPDATE_IMMUTABLE_FIELD,
        }
    }

    /// Returns the strategic merge patch of the pod's status. It fits only this state of the pod.
    pub fn to_strategic_merge(&self, pod: &SidecarPod, now: Timestamp) -> Value {
        let seconds = Timestamp::from_second(now.as_second()).unwrap_or(now);
        let condition = json!({
            "type": SIDECARSET_UPGRADABLE,
            "status": if self.holds { "True" } else { "False" },
            "reason": self.reason(),
            "message": self.message,
            "lastTransitionTime": Time(seconds),
        });
        let pod = pod.pod();
        json!({
            "metadata": { "uid": pod.uid, "resourceVersion": pod.resource_version },
            "status": { "conditions": [condition] },
        })
    }
}

/// Whether the condition of a matched pod may have to be written as far as one set goes: it can not upgrade the pod and the
/// pod does not say so, or it can and the pod says that some can not. [`upgradable`] knows.
pub fn may_change_upgradable(pod: &SidecarPod, target: &Target) -> bool {
    let says_no = written(pod) == Some(ConditionStatus::False);
    target.updates
        && pod
            .set(&target.name)
            .is_some_and(|injected| can(injected, target) == says_no)
}

fn can(injected: &Injected, target: &Target) -> bool {
    let updated = injected.hash.is_some() && injected.hash == target.hash;
    let same = injected.without_image.is_some() && injected.without_image == target.without_image;
    updated || same
}

fn written(pod: &SidecarPod) -> Option<ConditionStatus> {
    pod.pod()
        .condition(SIDECARSET_UPGRADABLE)
        .map(|condition| condition.status)
}

/// Returns the condition of a pod if it has to be written: when some set can not upgrade it, or when one could not and
/// all can now. `target` finds the sets that exist; those that upgrade no pods do not count.
pub fn upgradable<'t>(pod: &SidecarPod, target: impl Fn(&str) -> Option<&'t Target>) -> Option<Upgradable> {
    let sets = pod
        .set_names()
        .filter_map(|name| Some((name, pod.set(name)?, target(name)?)));
    let can: BTreeMap<&str, bool> = sets
        .filter(|(_, injected, target)| injected.is_listed() && target.updates)
        .map(|(name, injected, target)| (name, can(injected, target)))
        .collect();
    let holds = can.values().all(|can| *can);
    let wanted = match written(pod) {
        None | Some(ConditionStatus::Unknown | ConditionStatus::True) => !holds,
        Some(ConditionStatus::False) => holds,
    };
    wanted.then(|| Upgradable {
        holds,
        message: json!(can).to_string(),
    })
}
