//! A set as it was.

use std::sync::Arc;

use k8s_openapi::api::apps::v1::ControllerRevision;
use k8s_openapi::api::core::v1::LocalObjectReference;
use serde::Deserialize;

use super::error::Problem;
use crate::api::names::{SIDECARSET_CUSTOM_VERSION, SIDECARSET_HASH, SIDECARSET_HASH_WITHOUT_IMAGE};
use crate::api::{InjectRevision, PatchPodMetadata, SidecarContainer, SidecarSet, Volume, or_default};

/// The revision that is asked for. The name wins over the version; of several with a version, the last.
pub(super) fn find<'r>(
    wanted: &InjectRevision,
    revisions: &'r [Arc<ControllerRevision>],
) -> Result<&'r ControllerRevision, Problem> {
    let versions = |revision: &ControllerRevision| -> Option<String> {
        revision
            .metadata
            .labels
            .as_ref()?
            .get(SIDECARSET_CUSTOM_VERSION)
            .cloned()
    };
    let found = match (&wanted.revision_name, &wanted.custom_version) {
        (Some(name), _) => revisions
            .iter()
            .find(|revision| revision.metadata.name.as_ref() == Some(name)),
        (None, Some(version)) => {
            let matching = revisions
                .iter()
                .filter(|revision| versions(revision).as_ref() == Some(version));
            matching.max_by_key(|revision| revision.revision)
        }
        (None, None) => None,
    };
    let name = || wanted.revision_name.as_ref().or(wanted.custom_version.as_ref());
    found.map(Arc::as_ref).ok_or_else(|| Problem::NoRevision {
        wanted: name().cloned().unwrap_or_default(),
    })
}

/// Whether there is the revision that is asked for. One that asks for none has it.
pub(crate) fn has_revision(wanted: &InjectRevision, revisions: &[Arc<ControllerRevision>]) -> bool {
    let asks = wanted.revision_name.is_some() || wanted.custom_version.is_some();
    !asks || find(wanted, revisions).is_ok()
}

#[derive(Deserialize)]
struct Data {
    spec: Kept,
}

/// What a revision keeps of a set.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Kept {
    #[serde(default, deserialize_with = "or_default")]
    volumes: Vec<Volume>,
    #[serde(default, deserialize_with = "or_default")]
    containers: Vec<SidecarContainer>,
    #[serde(default, deserialize_with = "or_default")]
    init_containers: Vec<SidecarContainer>,
    #[serde(default, deserialize_with = "or_default")]
    image_pull_secrets: Vec<LocalObjectReference>,
    #[serde(default, deserialize_with = "or_default")]
    patch_pod_metadata: Vec<PatchPodMetadata>,
}

/// The set with what the revision keeps of it, and with its two hashes of that time.
///
/// # Errors
/// [`Problem::Revision`]: the data is not that of a set.
pub fn restore(set: &SidecarSet, revision: &ControllerRevision) -> Result<SidecarSet, Problem> {
    let wrong = |reason: String| Problem::Revision {
        name: revision.metadata.name.clone().unwrap_or_default(),
        reason,
    };
    let data = revision
        .data
        .as_ref()
        .ok_or_else(|| wrong("it has no data".into()))?;
    let Data { spec: kept } = Data::deserialize(&data.0).map_err(|error| wrong(error.to_string()))?;
    let mut restored = set.clone();
    restored.spec.volumes = kept.volumes;
    restored.spec.containers = kept.containers;
    restored.spec.init_containers = kept.init_containers;
    restored.spec.image_pull_secrets = kept.image_pull_secrets;
    restored.spec.patch_pod_metadata = kept.patch_pod_metadata;
    let annotations = restored.metadata.annotations.get_or_insert_default();
    for key in [SIDECARSET_HASH, SIDECARSET_HASH_WITHOUT_IMAGE] {
        annotations.remove(key);
        let held = revision
            .metadata
            .annotations
            .as_ref()
            .and_then(|held| held.get(key));
        if let Some(hash) = held {
            annotations.insert(key.to_owned(), hash.clone());
        }
    }
    Ok(restored)
}
