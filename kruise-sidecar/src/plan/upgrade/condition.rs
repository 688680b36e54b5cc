//! The condition of a pod that says whether its sets can upgrade it.

use std::collections::BTreeMap;

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kruise_core::runtime::ConditionStatus;
use serde_json::{Value, json};

use crate::api::names::{ALL_SIDECARSET_UPGRADABLE, SIDECARSET_UPGRADABLE, UPDATE_IMMUTABLE_FIELD};
use crate::plan::{SidecarPod, Target};

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

    /// Returns the strategic merge patch of the pod's status.
    pub fn to_strategic_merge(&self, now: Timestamp) -> Value {
        let seconds = Timestamp::from_second(now.as_second()).unwrap_or(now);
        let condition = json!({
            "type": SIDECARSET_UPGRADABLE,
            "status": if self.holds { "True" } else { "False" },
            "reason": self.reason(),
            "message": self.message,
            "lastTransitionTime": Time(seconds),
        });
        json!({ "status": { "conditions": [condition] } })
    }
}

/// Returns the condition of a pod if it has to be written: when some set can not upgrade it, or when one could not and
/// all can now. `target` finds the sets that exist.
pub fn upgradable<'t>(pod: &SidecarPod, target: impl Fn(&str) -> Option<&'t Target>) -> Option<Upgradable> {
    let listed = pod
        .set_names()
        .filter_map(|name| Some((name, pod.set(name)?, target(name)?)));
    let can: BTreeMap<&str, bool> = listed
        .filter(|(_, injected, _)| injected.is_listed())
        .map(|(name, injected, target)| {
            let updated = injected.hash.is_some() && injected.hash == target.hash;
            let same = injected.without_image.is_some() && injected.without_image == target.without_image;
            (name, updated || same)
        })
        .collect();
    let holds = can.values().all(|can| *can);
    let written = pod
        .pod()
        .condition(SIDECARSET_UPGRADABLE)
        .map(|condition| condition.status);
    let wanted = match written {
        None | Some(ConditionStatus::Unknown) => !holds,
        Some(ConditionStatus::True) => !holds,
        Some(ConditionStatus::False) => holds,
    };
    wanted.then(|| Upgradable {
        holds,
        message: json!(can).to_string(),
    })
}
