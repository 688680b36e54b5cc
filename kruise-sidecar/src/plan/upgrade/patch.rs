//! The one patch that upgrades a pod: images of sidecars, and what the pod says of them.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde_json::{Map, Value, json};

use super::hot::{self, Swap};
use super::metadata::{MetadataError, patch_metadata};
use crate::api::names::{
    SIDECAR_VERSION_ALT_PREFIX, SIDECAR_VERSION_PREFIX, SIDECARSET_HASH, SIDECARSET_HASH_WITHOUT_IMAGE,
    SIDECARSET_INPLACE_UPDATE_STATE, SIDECARSET_WORKING_HOTUPGRADE_CONTAINER,
};
use crate::api::{InPlaceStates, InjectedHashes, LastStatus, WorkingContainers};
use crate::plan::{SidecarPod, Target};

/// Version of a container that is idle.
const IDLE_VERSION: &str = "0";

/// Why there is no patch.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PatchError {
    /// The set patches annotations, and those of the pod are not known.
    #[error("the annotations of the pod are needed, and not known")]
    AnnotationsNeeded,
    /// An annotation can not be patched.
    #[error(transparent)]
    Metadata(#[from] MetadataError),
}

/// What an upgrade leaves in a pod besides what follows from the set.
#[derive(Clone, Copy, Debug)]
pub struct Stamp<'s> {
    /// The time.
    pub now: Timestamp,
    /// Name of the ControllerRevision of the set's state; empty if there is none.
    pub revision: &'s str,
}

/// A change of a pod: images of some containers, and some annotations.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PodPatch {
    /// Containers and their new images.
    pub images: Vec<(Box<str>, Box<str>)>,
    /// Annotations and their new values.
    pub annotations: BTreeMap<String, String>,
    uid: Box<str>,
    resource_version: Box<str>,
}

impl PodPatch {
    fn of(pod: &SidecarPod) -> Self {
        Self {
            uid: pod.pod().uid.clone(),
            resource_version: pod.pod().resource_version.clone(),
            ..Self::default()
        }
    }

    /// Returns the strategic merge patch. It fits only the pod, and the version of it, that was planned for: otherwise
    /// the server answers with a conflict.
    pub fn to_strategic_merge(&self) -> Value {
        let mut metadata = Map::new();
        for (field, text) in [("uid", &self.uid), ("resourceVersion", &self.resource_version)] {
            if !text.is_empty() {
                metadata.insert(field.to_owned(), Value::from(text.as_ref()));
            }
        }
        if !self.annotations.is_empty() {
            metadata.insert("annotations".to_owned(), json!(self.annotations));
        }
        let mut patch = json!({ "metadata": metadata });
        if !self.images.is_empty() {
            let images = self.images.iter();
            let containers: Vec<Value> = images
                .map(|(name, image)| json!({"name": name, "image": image}))
                .collect();
            patch["spec"] = json!({ "containers": containers });
        }
        patch
    }

    /// Tells two containers the version of the one that works from now on, and that one the version of the idle one.
    fn say_versions(&mut self, working: &str, version: &str, idle: &str, idle_version: &str) {
        self.annotations.extend([
            (format!("{SIDECAR_VERSION_PREFIX}{working}"), version.to_owned()),
            (
                format!("{SIDECAR_VERSION_ALT_PREFIX}{working}"),
                idle_version.to_owned(),
            ),
            (format!("{SIDECAR_VERSION_ALT_PREFIX}{idle}"), version.to_owned()),
        ]);
    }

    /// Changes the image of a container, if it is another one, and returns what ran there.
    fn set_image(&mut self, pod: &SidecarPod, container: &str, image: &str) -> Option<(String, LastStatus)> {
        if hot::image(pod, container)? == image {
            return None;
        }
        self.images.push((container.into(), image.into()));
        let status = pod.status(container);
        let text = |of: Option<&str>| of.unwrap_or_default().to_owned();
        let before = LastStatus {
            image_id: text(status.map(|status| &*status.image_id)),
            container_id: Some(text(status.and_then(|status| status.container_id.as_deref()))),
            ..LastStatus::default()
        };
        Some((container.to_owned(), before))
    }
}

/// Returns the patch that brings a pod to the state of a set. `annotations` are all of the pod's, needed only if the set
/// [patches some](Target::patches_metadata).
///
/// # Errors
/// Annotations are patched and not known, or can not be merged.
pub fn upgrade_patch(
    target: &Target,
    pod: &SidecarPod,
    stamp: &Stamp<'_>,
    annotations: Option<&BTreeMap<String, String>>,
) -> Result<PodPatch, PatchError> {
    let mut patch = PodPatch::of(pod);
    let mut before = BTreeMap::new();
    let mut working =
        WorkingContainers::parse(pod.annotation(SIDECARSET_WORKING_HOTUPGRADE_CONTAINER)).unwrap_or_default();
    let mut swapped = false;
    for sidecar in &target.sidecars {
        let Some(hot) = &sidecar.hot else {
            before.extend(patch.set_image(pod, &sidecar.name, &sidecar.image));
            continue;
        };
        let Swap { chosen, other } = hot::choose(target, sidecar, hot, pod);
        let version = &target.resource_version;
        if hot::image(pod, other) != Some(&*sidecar.image) {
            swapped = true;
            before.extend(patch.set_image(pod, chosen, &sidecar.image));
            working.0.insert(sidecar.name.to_string(), chosen.to_owned());
            let other_version = pod.annotation(&format!("{SIDECAR_VERSION_PREFIX}{other}"));
            patch.say_versions(chosen, version, other, other_version);
        } else if hot::pair(sidecar, hot, pod).working != other {
            // The upgrade before this one is taken back: what it began in the chosen container ends, and the other one,
            // which never stopped, works again.
            swapped = true;
            before.extend(patch.set_image(pod, chosen, &hot.empty_image));
            working.0.insert(sidecar.name.to_string(), other.to_owned());
            patch.say_versions(other, version, chosen, IDLE_VERSION);
            let idle = format!("{SIDECAR_VERSION_PREFIX}{chosen}");
            patch.annotations.insert(idle, IDLE_VERSION.to_owned());
        }
    }
    if swapped {
        let key = SIDECARSET_WORKING_HOTUPGRADE_CONTAINER.to_owned();
        patch.annotations.insert(key, working.to_string());
    }
    patch
        .annotations
        .insert(SIDECARSET_HASH.to_owned(), hashes(target, pod, stamp).to_string());
    let without = pod.annotation(SIDECARSET_HASH_WITHOUT_IMAGE);
    if let Some(rewritten) = without_legacy_shape(without) {
        patch
            .annotations
            .insert(SIDECARSET_HASH_WITHOUT_IMAGE.to_owned(), rewritten);
    }
    record(target, pod, stamp, before, &mut patch);
    if target.patches_metadata() {
        let annotations = annotations.ok_or(PatchError::AnnotationsNeeded)?;
        for (key, value) in patch_metadata(&target.metadata, annotations)? {
            // What the upgrade itself says is not for a set to change.
            patch.annotations.entry(key).or_insert(value);
        }
    }
    Ok(patch)
}

/// Returns the patch that gives the empty image to the idle containers of a pod. Its hash stays.
pub fn reset_patch(target: &Target, pod: &SidecarPod, stamp: &Stamp<'_>) -> PodPatch {
    let mut patch = PodPatch::of(pod);
    let mut before = BTreeMap::new();
    for (sidecar, hot) in target.hot() {
        let pair = hot::pair(sidecar, hot, pod);
        let Some(ran) = patch.set_image(pod, pair.idle, &hot.empty_image) else {
            continue;
        };
        before.extend([ran]);
        patch.annotations.extend([
            (
                format!("{SIDECAR_VERSION_PREFIX}{}", pair.idle),
                IDLE_VERSION.to_owned(),
            ),
            (
                format!("{SIDECAR_VERSION_ALT_PREFIX}{}", pair.working),
                IDLE_VERSION.to_owned(),
            ),
        ]);
    }
    record(target, pod, stamp, before, &mut patch);
    patch
}

fn hashes(target: &Target, pod: &SidecarPod, stamp: &Stamp<'_>) -> InjectedHashes {
    let mut hashes = InjectedHashes::parse(pod.annotation(SIDECARSET_HASH)).unwrap_or_default();
    let entry = hashes.0.entry(target.name.to_string()).or_default();
    entry.update_timestamp = Some(stamp.now);
    entry.hash = target.hash_text.to_string();
    entry.sidecar_set_name = target.name.to_string();
    entry.sidecar_list = target
        .sidecars
        .iter()
        .map(|sidecar| sidecar.name.to_string())
        .collect();
    entry.sidecar_list.sort_unstable();
    entry.controller_revision = stamp.revision.to_owned();
    hashes
}

/// The value of an annotation in today's shape, if it is in the shape of the first releases.
fn without_legacy_shape(text: &str) -> Option<String> {
    let entries: Map<String, Value> = serde_json::from_str(text).ok()?;
    let legacy = entries.values().any(Value::is_string);
    legacy.then(|| InjectedHashes::parse(text).ok().map(|hashes| hashes.to_string()))?
}

/// Records what ran before.
fn record(
    target: &Target,
    pod: &SidecarPod,
    stamp: &Stamp<'_>,
    before: BTreeMap<String, LastStatus>,
    patch: &mut PodPatch,
) {
    let mut states =
        InPlaceStates::parse(pod.annotation(SIDECARSET_INPLACE_UPDATE_STATE)).unwrap_or_default();
    let state = states.0.entry(target.name.to_string()).or_default();
    state.revision = target.hash_text.to_string();
    state.update_timestamp = Some(stamp.now);
    state.last_container_statuses.extend(before);
    patch
        .annotations
        .insert(SIDECARSET_INPLACE_UPDATE_STATE.to_owned(), states.to_string());
}
