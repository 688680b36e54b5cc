//! The verdict on each pod.

use std::collections::BTreeMap;

use kruise_core::policy::Verdict as Planned;
use kruise_core::policy::rollout::{Hold, Reason};
use serde_json::Value;

use super::difference::differences;
use super::model::{PodExplanation, SidecarImage, Unavailable, Verdict};
use super::snapshot::KnownPod;
use super::words::{count, some};
use crate::api::{Mismatch, NamespaceFacts, SidecarSet};
use crate::plan::upgrade::{Facts, Obstacle, Unmatched, membership, pair};
use crate::plan::{SidecarPod, Target};

/// A set, and what all pods are judged by.
pub(super) struct Judge<'s> {
    /// With its defaults.
    pub(super) set: &'s SidecarSet,
    pub(super) target: &'s Target,
    /// Its strategy's selector, in words.
    pub(super) selector: &'s str,
    /// How many are upgraded now.
    pub(super) next: usize,
    pub(super) unavailable: &'s [Unavailable],
}

/// Whether a pod is one of the set's; `Ok(false)` if the set has nothing to do with it.
///
/// # Errors
/// The set has to do with it, and does not upgrade it: the verdict, and why.
pub(super) fn matched(
    target: &Target,
    known: &KnownPod,
    namespaces: &BTreeMap<String, BTreeMap<String, String>>,
) -> Result<bool, (Verdict, String)> {
    let pod = &known.pod;
    let namespace = pod.pod().key.namespace_str();
    let facts = NamespaceFacts {
        name: namespace,
        labels: namespaces.get(namespace).map(|labels| labels as _),
    };
    let Err(unmatched) = membership(target, pod, &facts) else {
        return Ok(true);
    };
    let injected = pod.set(target.name()).is_some_and(|set| set.is_listed());
    let selected = target
        .scope()
        .is_ok_and(|scope| scope.matches(&facts, &**pod).is_ok());
    let anew = "delete it, and its replacement gets it";
    Err(match unmatched {
        Unmatched::Scope(Mismatch::Labels | Mismatch::NoSelector) if !injected => return Ok(false),
        Unmatched::Terminating | Unmatched::Finished | Unmatched::BadSelector if !injected && !selected => {
            return Ok(false);
        }
        Unmatched::Terminating => (Verdict::Terminating, "it is being deleted".to_owned()),
        Unmatched::Finished => (Verdict::Finished, "all its containers have ended".to_owned()),
        Unmatched::BadSelector => (Verdict::InvalidSet, "a selector of the set is not valid".to_owned()),
        Unmatched::Scope(Mismatch::Namespace) => (
            Verdict::OtherNamespace,
            format!("its labels match, but the set is not for namespace {namespace}"),
        ),
        Unmatched::Scope(Mismatch::NamespaceUnknown) => (
            Verdict::NamespaceUnknown,
            format!("spec.namespaceSelector needs the labels of namespace {namespace}, which are not known"),
        ),
        Unmatched::Scope(_) => (
            Verdict::NoLongerSelected,
            "the set was injected, but spec.selector no longer matches its labels: its containers stay as they are"
                .to_owned(),
        ),
        Unmatched::NotInjected => (
            Verdict::NotInjected,
            format!("it was created without the sidecars, and a running pod cannot get new containers: {anew}"),
        ),
        Unmatched::NoContainer(name) => (
            Verdict::LacksContainer,
            format!("it has no container {name}, and a running pod cannot get a new one: {anew}"),
        ),
        other => (Verdict::LacksContainer, format!("{other}: {anew}")),
    })
}

impl Judge<'_> {
    /// The verdict on a matched pod and why, from what was planned.
    pub(super) fn judge(
        &self,
        known: &KnownPod,
        planned: &Planned<Obstacle>,
        resets: bool,
    ) -> (Verdict, String) {
        let pod = &*known.pod;
        if resets {
            let idle = idle(self.target, pod);
            let text = format!(
                "the new image runs, so the idle {} gets the empty image now",
                some(&idle)
            );
            return (Verdict::Resetting, text);
        }
        match planned {
            Planned::Updated => match Facts::of(self.target, pod).available {
                true => (
                    Verdict::Updated,
                    "it has the images of the set and is ready".to_owned(),
                ),
                false => (
                    Verdict::Updating,
                    format!(
                        "it has the images of the set and is not available yet: {}",
                        trouble(self.target, known)
                    ),
                ),
            },
            Planned::Update(Reason::NotAvailable) => (
                Verdict::Next,
                format!(
                    "it is unavailable anyway ({}), so it costs no budget",
                    trouble(self.target, known)
                ),
            ),
            Planned::Update(Reason::WithinBudget) => (
                Verdict::Next,
                "it is the next in order, and maxUnavailable allows one more".to_owned(),
            ),
            Planned::Wait(hold) => self.hold(known, hold),
        }
    }

    fn hold(&self, known: &KnownPod, hold: &Hold<Obstacle>) -> (Verdict, String) {
        match hold {
            Hold::Paused => (Verdict::Paused, "spec.updateStrategy.paused is true".to_owned()),
            Hold::NotSelected => (
                Verdict::NotSelected,
                format!(
                    "spec.updateStrategy.selector ({}) does not match its labels",
                    self.selector
                ),
            ),
            Hold::Partition { kept } => (
                Verdict::KeptByPartition,
                format!(
                    "it is one of the last {kept} in order, which spec.updateStrategy.partition leaves as they are"
                ),
            ),
            Hold::Budget { limit, down } => {
                let are = if *down == 1 { "is" } else { "are" };
                let mut why = format!("maxUnavailable allows {limit}, and {down} {are} unavailable");
                let names: Vec<String> = self.unavailable.iter().map(|one| one.pod.clone()).collect();
                match (names.is_empty(), self.next) {
                    (true, next) => why.push_str(&format!(": {} upgraded now", count(next, "pod"))),
                    (false, 0) => why.push_str(&format!(": {}", some(&names))),
                    (false, next) => why.push_str(&format!(": {} and {next} upgraded now", some(&names))),
                }
                (Verdict::WaitingForBudget, why)
            }
            Hold::Obstacle(Obstacle::NotUpdate) => (
                Verdict::NotUpdate,
                "spec.updateStrategy.type is NotUpdate: only new pods get the current containers".to_owned(),
            ),
            Hold::Obstacle(Obstacle::BadStrategy) => {
                (Verdict::InvalidSet, "spec.updateStrategy is not valid".to_owned())
            }
            Hold::Obstacle(Obstacle::InFlight) => (
                Verdict::InFlight,
                format!(
                    "its previous upgrade is under way: {}",
                    trouble(self.target, known)
                ),
            ),
            Hold::Obstacle(Obstacle::Immutable) => (Verdict::NotUpgradable, self.immutable(known)),
            Hold::Obstacle(other) => (Verdict::Held, other.to_string()),
        }
    }

    fn immutable(&self, known: &KnownPod) -> String {
        const CURE: &str =
            "only images can change while a pod runs: delete it, and its replacement gets the change";
        let which = known.object.as_ref().map(|object| differences(self.set, object));
        match which.as_deref() {
            None => format!("more than images differs, and {CURE}"),
            Some([]) => format!("more than images has changed in the set since injection, and {CURE}"),
            Some(found) => format!("container {} differs from the set's, and {CURE}", some(found)),
        }
    }
}

/// The sidecars of a pod with their images.
fn sidecars(target: &Target, pod: &SidecarPod) -> Vec<SidecarImage> {
    let image = |name: &str| {
        pod.container(name)
            .map(|(_, container)| container.image.to_string())
    };
    let mut found = Vec::new();
    for sidecar in target.sidecars() {
        let Some(hot) = &sidecar.hot else {
            found.extend(image(&sidecar.name).map(|image| SidecarImage {
                container: sidecar.name.to_string(),
                wanted: (*image != *sidecar.image).then(|| sidecar.image.to_string()),
                image,
            }));
            continue;
        };
        let pair = pair(sidecar, hot, pod);
        for (name, wanted) in [(pair.working, &sidecar.image), (pair.idle, &hot.empty_image)] {
            found.extend(image(name).map(|image| SidecarImage {
                container: name.to_owned(),
                wanted: (*image != **wanted).then(|| wanted.to_string()),
                image,
            }));
        }
    }
    found
}

/// The idle containers of a pod that do not have the empty image.
fn idle(target: &Target, pod: &SidecarPod) -> Vec<String> {
    let hot = target
        .sidecars()
        .iter()
        .filter_map(|sidecar| Some((sidecar, sidecar.hot.as_ref()?)));
    let idle = hot.filter_map(|(sidecar, hot)| {
        let name = pair(sidecar, hot, pod).idle;
        let (_, container) = pod.container(name)?;
        (container.image != hot.empty_image).then(|| name.to_owned())
    });
    idle.collect()
}

/// What keeps a pod from being available.
pub(super) fn trouble(target: &Target, known: &KnownPod) -> String {
    let pod = &*known.pod;
    let slim = pod.pod();
    let mut found: Vec<String> = Vec::new();
    for container in &slim.containers {
        let status = pod.status(&container.name);
        if status.is_none_or(|status| !status.ready) {
            found.push(match waiting(known, &container.name) {
                Some(reason) => format!("{} is not ready ({reason})", container.name),
                None => format!("{} is not ready", container.name),
            });
        }
    }
    for container in pod.behind(target) {
        found.push(format!("{} does not run {} yet", container.name, container.image));
    }
    found.extend(
        idle(target, pod)
            .iter()
            .map(|name| format!("the idle {name} does not run the empty image yet")),
    );
    if found.is_empty() {
        let phase = slim.phase;
        found.push(match pod.is_ready() {
            true => "not all containers are reported by the node".to_owned(),
            false => format!("phase {phase:?}, condition Ready is not True"),
        });
    }
    some(&found)
}

/// Why a container waits, as the node says it.
fn waiting(known: &KnownPod, container: &str) -> Option<String> {
    let statuses = known
        .object
        .as_ref()?
        .get("status")?
        .get("containerStatuses")?
        .as_array()?;
    let named = |status: &&Value| status.get("name").and_then(Value::as_str) == Some(container);
    let state = statuses.iter().find(named)?.get("state")?;
    let state = state.get("waiting").or_else(|| state.get("terminated"))?;
    Some(state.get("reason")?.as_str()?.to_owned())
}

/// A pod of which nothing but the verdict is known yet.
pub(super) fn explanation(
    target: &Target,
    known: &KnownPod,
    (verdict, reason): (Verdict, String),
) -> PodExplanation {
    let pod = known.pod.pod();
    PodExplanation {
        namespace: pod.key.namespace_str().to_owned(),
        name: pod.key.name.to_string(),
        node: pod.node_name.as_deref().map(str::to_owned),
        place: None,
        verdict,
        reason,
        why_here: None,
        ready: known.pod.is_ready(),
        sidecars: sidecars(target, &known.pod),
    }
}
