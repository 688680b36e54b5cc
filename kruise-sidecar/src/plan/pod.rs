//! A pod, and what it says of the sets that were injected into it.

use std::collections::BTreeMap;
use std::sync::Arc;

use kruise_core::policy::{Labels, PodStanding};
use kruise_core::runtime::{Cached, ObjectKey, Phase, SlimContainer, SlimContainerStatus, SlimPod};
use serde::{Deserialize, Deserializer};

use super::fingerprint::Fingerprint;
use super::progress::{digest_differs, is_over};
use super::target::Target;
use crate::api::names::{
    SIDECARSET_HASH, SIDECARSET_HASH_WITHOUT_IMAGE, SIDECARSET_INJECTED_LIST,
    SIDECARSET_INPLACE_UPDATE_STATE, SIDECARSET_WORKING_HOTUPGRADE_CONTAINER,
};
use crate::api::{InPlaceStates, InjectedHashes, WorkingContainers, injected_list};

/// A pod with its annotations parsed and its containers judged, once: what the planner asks of it is a look at a few
/// bytes. About 250 bytes beside the [`SlimPod`], which it shares.
///
/// Decode a cache to it (`CacheBuilder::decode::<SidecarPod>()`), or make it from the pods of a cache that serves others
/// too.
///
/// ```
/// use kruise_sidecar::plan::SidecarPod;
///
/// let pod: SidecarPod = serde_json::from_str(
///     r#"{"metadata": {"name": "p", "annotations": {"kruise.io/sidecarset-injected-list": "logs,mesh"}}}"#,
/// )?;
/// assert!(pod.set("mesh").is_some());
/// assert_eq!(pod.set_names().collect::<Vec<_>>(), ["logs", "mesh"]);
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct SidecarPod {
    pod: Arc<SlimPod>,
    pub(super) standing: PodStanding,
    /// Running, and its `Ready` condition holds.
    ready: bool,
    /// As many containers are reported as the spec has.
    reported: bool,
    /// What it says of upgrades can not be read.
    unreadable: bool,
    /// Sorted by name.
    sets: Box<[Injected]>,
    /// Positions of containers that run another digest than the spec says.
    other_digest: Box<[u16]>,
    /// Hot-upgraded sidecars, and the container of each that works.
    working: Box<[(Box<str>, Box<str>)]>,
}

/// What a pod says of one set.
#[derive(Clone, Debug)]
pub struct Injected {
    name: Box<str>,
    revision: Box<str>,
    pub(super) hash: Option<Fingerprint>,
    pub(super) without_image: Option<Fingerprint>,
    /// Whether it stands in the list of injected sets.
    listed: bool,
    /// Positions of containers whose upgrade is not over.
    pending: Box<[u16]>,
}

impl Injected {
    /// The name of the set.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The ControllerRevision that the pod got; empty if it does not say.
    pub fn revision(&self) -> &str {
        &self.revision
    }

    /// Whether the set stands in the list of injected sets.
    pub fn is_listed(&self) -> bool {
        self.listed
    }
}

impl SidecarPod {
    /// Parses what a pod says. An annotation that can not be read says nothing.
    pub fn new(pod: Arc<SlimPod>) -> Self {
        let text = |key: &str| pod.annotations.get(key).unwrap_or_default();
        let hashes = InjectedHashes::parse(text(SIDECARSET_HASH)).unwrap_or_default();
        let without = InjectedHashes::parse(text(SIDECARSET_HASH_WITHOUT_IMAGE)).unwrap_or_default();
        let states = InPlaceStates::parse(text(SIDECARSET_INPLACE_UPDATE_STATE));
        let working =
            WorkingContainers::parse(text(SIDECARSET_WORKING_HOTUPGRADE_CONTAINER)).unwrap_or_default();
        let unreadable = states.is_err();
        let states = states.unwrap_or_default();
        let mut sets: BTreeMap<&str, Injected> = BTreeMap::new();
        for (name, entry) in &hashes.0 {
            let injected = sets.entry(name).or_insert_with(|| Injected::new(name));
            injected.hash = Fingerprint::of(&entry.hash);
            injected.revision = entry.controller_revision.as_str().into();
        }
        for name in injected_list(text(SIDECARSET_INJECTED_LIST)) {
            sets.entry(name).or_insert_with(|| Injected::new(name)).listed = true;
        }
        // Containers of which an upgrade is known, and whether it is over.
        let mut judged: BTreeMap<u16, bool> = BTreeMap::new();
        for injected in sets.values_mut() {
            injected.without_image = without.hash_of(&injected.name).and_then(Fingerprint::of);
            let Some(state) = states.0.get(injected.name.as_ref()) else {
                continue;
            };
            let upgraded = hashes
                .0
                .get(injected.name.as_ref())
                .and_then(|entry| entry.update_timestamp);
            let mut pending = Vec::new();
            for (name, before) in &state.last_container_statuses {
                let Some((at, container)) = container(&pod, name) else {
                    continue;
                };
                let status = status(&pod, name);
                let over = status.is_some_and(|status| is_over(container, status, before, upgraded));
                if !over {
                    pending.push(at);
                }
                if before.container_id.is_some() {
                    judged.insert(at, over);
                }
            }
            injected.pending = pending.into();
        }
        let other_digest = (0..=u16::MAX)
            .zip(&pod.containers)
            .filter(|(at, container)| {
                judged.get(at) != Some(&true) && digest_differs(container, status(&pod, &container.name))
            })
            .map(|(at, _)| at)
            .collect();
        Self {
            standing: PodStanding::of(&pod),
            ready: pod.phase == Phase::Running && pod.is_ready(),
            reported: pod.container_statuses.len() == pod.containers.len(),
            unreadable,
            sets: sets.into_values().collect(),
            other_digest,
            working: working
                .0
                .into_iter()
                .map(|(sidecar, container)| (sidecar.into(), container.into()))
                .collect(),
            pod,
        }
    }

    /// The pod itself.
    pub fn pod(&self) -> &Arc<SlimPod> {
        &self.pod
    }

    /// The names of the sets that the pod speaks of, sorted: what an index of pods by set is made of.
    pub fn set_names(&self) -> impl Iterator<Item = &str> {
        self.sets.iter().map(|set| &*set.name)
    }

    /// What the pod says of a set.
    pub fn set(&self, name: &str) -> Option<&Injected> {
        match &*self.sets {
            [only] => Some(only).filter(|set| *set.name == *name),
            sets => {
                let at = sets.binary_search_by(|set| (*set.name).cmp(name)).ok()?;
                sets.get(at)
            }
        }
    }

    /// The position and the container of a name.
    pub(crate) fn container(&self, name: &str) -> Option<(u16, &SlimContainer)> {
        container(&self.pod, name)
    }

    /// The status of the container of a name.
    pub(crate) fn status(&self, name: &str) -> Option<&SlimContainerStatus> {
        status(&self.pod, name)
    }

    /// Of a hot-upgraded sidecar the container that works.
    pub(crate) fn working(&self, sidecar: &str) -> Option<&str> {
        let mut working = self.working.iter();
        working
            .find(|(name, _)| **name == *sidecar)
            .map(|(_, container)| &**container)
    }

    /// Whether its phase is Running and its `Ready` condition holds.
    pub fn is_ready(&self) -> bool {
        self.ready
    }

    /// Whether it is neither being deleted nor at its end.
    pub fn is_active(&self) -> bool {
        !self.pod.is_terminating() && !matches!(self.pod.phase, Phase::Succeeded | Phase::Failed)
    }

    /// Whether the containers of a set run what the spec says, as far as the node has reported.
    pub fn is_consistent(&self, target: &Target) -> bool {
        self.reported && !self.unreadable && self.behind(target).next().is_none()
    }

    /// Whether no upgrade of a container of a set is under way, as far as the node has reported. A container by digest may
    /// still run another one than the spec says, as nodes that report digests of another kind have it; there is nothing to
    /// wait for then.
    pub(super) fn upgrades_are_over(&self, target: &Target) -> bool {
        self.reported && !self.unreadable && self.pending(target).next().is_none()
    }

    /// Whether the node has reported a container, and no upgrade of it by the set is under way.
    pub(super) fn is_container_over(&self, set: &str, name: &str) -> bool {
        let pending = self.set(set).map(|set| &*set.pending).unwrap_or_default();
        let at = self.container(name).map(|(at, _)| at);
        self.status(name).is_some() && at.is_some_and(|at| !pending.contains(&at))
    }

    /// The containers of a set that do not run what the spec says.
    pub(crate) fn behind<'p>(&'p self, target: &'p Target) -> impl Iterator<Item = &'p SlimContainer> {
        self.pending(target).chain(self.own(target, &self.other_digest))
    }

    /// The containers of a set whose upgrade is under way.
    fn pending<'p>(&'p self, target: &'p Target) -> impl Iterator<Item = &'p SlimContainer> {
        let pending = self.set(&target.name).map(|set| &*set.pending);
        self.own(target, pending.unwrap_or_default())
    }

    /// Those of the containers at these positions that are a set's.
    fn own<'p>(&'p self, target: &'p Target, at: &'p [u16]) -> impl Iterator<Item = &'p SlimContainer> {
        at.iter()
            .filter_map(|at| self.pod.containers.get(usize::from(*at)))
            .filter(|container| target.has_container(&container.name))
    }

    /// A container of a set that is ready though its upgrade is under way: it is about to be restarted.
    pub(super) fn in_flight<'p>(&'p self, target: &'p Target) -> Option<&'p SlimContainer> {
        self.pending(target)
            .find(|container| self.status(&container.name).is_some_and(|status| status.ready))
    }

    /// The value of an annotation that the cache keeps; empty if there is none.
    pub(super) fn annotation(&self, key: &str) -> &str {
        self.pod.annotations.get(key).unwrap_or_default()
    }
}

impl Injected {
    fn new(name: &str) -> Self {
        Self {
            name: name.into(),
            revision: Box::default(),
            hash: None,
            without_image: None,
            listed: false,
            pending: Box::default(),
        }
    }
}

fn container<'p>(pod: &'p SlimPod, name: &str) -> Option<(u16, &'p SlimContainer)> {
    (0..=u16::MAX)
        .zip(&pod.containers)
        .find(|(_, container)| *container.name == *name)
}

fn status<'p>(pod: &'p SlimPod, name: &str) -> Option<&'p SlimContainerStatus> {
    pod.container_statuses.iter().find(|status| *status.name == *name)
}

impl From<SlimPod> for SidecarPod {
    fn from(pod: SlimPod) -> Self {
        Self::new(Arc::new(pod))
    }
}

impl<'de> Deserialize<'de> for SidecarPod {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        SlimPod::deserialize(deserializer).map(Self::from)
    }
}

impl Cached for SidecarPod {
    fn key(&self) -> ObjectKey {
        self.pod.key.clone()
    }

    fn uid(&self) -> &str {
        &self.pod.uid
    }

    fn resource_version(&self) -> &str {
        &self.pod.resource_version
    }
}

impl Labels for SidecarPod {
    fn label(&self, key: &str) -> Option<&str> {
        self.pod.label(key)
    }

    #[inline]
    fn label_near(&self, key: &str, hint: &mut usize) -> Option<&str> {
        self.pod.label_near(key, hint)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_added_to_a_pod_is_small() {
        // Behind an `Arc`; with one set that is as much as stands in `SidecarPod`'s documentation.
        assert!(
            std::mem::size_of::<SidecarPod>() <= 104,
            "{}",
            std::mem::size_of::<SidecarPod>()
        );
        assert!(
            std::mem::size_of::<Injected>() <= 96,
            "{}",
            std::mem::size_of::<Injected>()
        );
    }
}
