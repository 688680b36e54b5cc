//! What admission fills in. The planner and the injector read effective values, so that nothing depends on a webhook.

mod core;

use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

use super::container::{Container, SidecarContainer, Volume};
use super::hash::{HashForm, hashes};
use super::names::{SIDECARSET_HASH, SIDECARSET_HASH_WITHOUT_IMAGE};
use super::sidecarset::SidecarSet;
use super::words::{
    InjectRevisionPolicy, PatchPolicy, PodInjectPolicy, ShareVolumeType, UpdateStrategyType, UpgradeType,
};

/// Revisions that are kept when nothing is said.
pub const DEFAULT_REVISION_HISTORY_LIMIT: i32 = 10;
/// Version of the API of a pod's fields, where a reference to one does not say.
const FIELDS_VERSION: &str = "v1";

/// Fills in what a user may leave out, and overwrites the two annotations that hold the hashes. What is set is kept.
///
/// To be done with each set that is created or changed.
pub fn default_sidecar_set(set: &mut SidecarSet, form: HashForm) {
    let spec = &mut set.spec;
    let strategy = &mut spec.update_strategy;
    strategy.type_.get_or_insert(UpdateStrategyType::RollingUpdate);
    strategy.partition.get_or_insert(IntOrString::Int(0));
    strategy.max_unavailable.get_or_insert(IntOrString::Int(1));
    if let Some(revision) = &mut spec.injection_strategy.revision {
        revision.policy.get_or_insert(InjectRevisionPolicy::Always);
    }
    spec.revision_history_limit
        .get_or_insert(DEFAULT_REVISION_HISTORY_LIMIT);
    for patch in &mut spec.patch_pod_metadata {
        patch.patch_policy.get_or_insert(PatchPolicy::Retain);
    }
    default_containers(&mut spec.containers, &mut spec.init_containers);
    for volume in &mut spec.volumes {
        core::default_volume(&mut volume.0);
    }
    let hashes = hashes(spec, form);
    let annotations = set.metadata.annotations.get_or_insert_default();
    annotations.insert(SIDECARSET_HASH.to_owned(), hashes.hash);
    annotations.insert(SIDECARSET_HASH_WITHOUT_IMAGE.to_owned(), hashes.without_image);
}

/// The volume with its defaults.
pub(super) fn with_defaults(volume: &Volume) -> Volume {
    let mut volume = volume.clone();
    core::default_volume(&mut volume.0);
    volume
}

/// Fills in what is hashed.
pub(super) fn default_containers(
    containers: &mut [SidecarContainer],
    init_containers: &mut [SidecarContainer],
) {
    for sidecar in containers {
        default_sidecar(sidecar, PodInjectPolicy::BeforeAppContainer);
    }
    for sidecar in init_containers {
        default_sidecar(sidecar, PodInjectPolicy::AfterAppContainer);
    }
}

/// Takes out of init containers what release 0.8 did not fill in there.
pub(super) fn forget_init_defaults(init_containers: &mut [SidecarContainer]) {
    for sidecar in init_containers {
        let policy = &mut sidecar.pod_inject_policy;
        policy.take_if(|policy| *policy == PodInjectPolicy::AfterAppContainer);
        let upgrade = &mut sidecar.upgrade_strategy.upgrade_type;
        upgrade.take_if(|upgrade| *upgrade == UpgradeType::ColdUpgrade);
        let share = &mut sidecar.share_volume_policy.type_;
        share.take_if(|share| *share == ShareVolumeType::Disabled);
    }
}

fn default_sidecar(sidecar: &mut SidecarContainer, place: PodInjectPolicy) {
    sidecar.pod_inject_policy.get_or_insert(place);
    let upgrade = &mut sidecar.upgrade_strategy.upgrade_type;
    upgrade.get_or_insert(UpgradeType::ColdUpgrade);
    let share = &mut sidecar.share_volume_policy.type_;
    share.get_or_insert(ShareVolumeType::Disabled);
    for transfer in &mut sidecar.transfer_env {
        let from = transfer.source_container_name_from.as_mut();
        if let Some(field) = from.and_then(|from| from.field_ref.as_mut()) {
            field.api_version.get_or_insert_with(|| FIELDS_VERSION.to_owned());
        }
    }
    let container: &mut Container = &mut sidecar.container;
    core::default_container(container);
}

#[cfg(test)]
mod tests;
