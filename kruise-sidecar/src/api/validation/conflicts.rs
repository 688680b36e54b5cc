//! What two sets that may match one pod must not both bring.

use super::super::container::{SidecarContainer, Volume};
use super::super::defaults::with_defaults;
use super::super::scope::Scope;
use super::super::sidecarset::SidecarSet;
use super::super::words::PatchPolicy;
use super::error::{Errors, ValidationError, ValidationErrorKind as Kind};

/// Returns what of a set another set has too, where both may match one pod. Their defaults need not be filled in. Empty
/// means that there is no conflict.
///
/// The set itself, by name, may be among the others. One whose selectors are not valid conflicts with nothing.
pub fn validate_conflicts<'s>(
    set: &SidecarSet,
    others: impl IntoIterator<Item = &'s SidecarSet>,
) -> Vec<ValidationError> {
    let mut errors = Errors::default();
    let Ok(scope) = Scope::compile(&set.spec) else {
        return errors.0;
    };
    for other in others {
        let overlaps = || Scope::compile(&other.spec).is_ok_and(|theirs| scope.overlaps(&theirs));
        if other.name() == set.name() || !overlaps() {
            continue;
        }
        let (ours, theirs) = (&set.spec, &other.spec);
        for (list, sidecars) in [
            ("containers", &ours.containers),
            ("initContainers", &ours.init_containers),
        ] {
            let theirs = theirs.containers.iter().chain(&theirs.init_containers);
            check_names(list, sidecars, theirs, other, &mut errors);
        }
        check_volumes(&ours.volumes, other, &mut errors);
        check_annotations(set, other, &mut errors);
    }
    errors.0
}

/// Names are compared with containers and init containers alike, since a pod has each name once.
fn check_names<'t>(
    list: &str,
    ours: &[SidecarContainer],
    theirs: impl Iterator<Item = &'t SidecarContainer> + Clone,
    other: &SidecarSet,
    errors: &mut Errors,
) {
    for (index, sidecar) in ours.iter().enumerate() {
        if theirs.clone().any(|theirs| in_pod(sidecar, theirs)) {
            errors.add(
                format!("spec.{list}[{index}].name"),
                Kind::ContainerTaken {
                    set: other.name().to_owned(),
                    name: sidecar.name().to_owned(),
                },
            );
        }
    }
}

/// Whether two sidecars would be containers of one name in a pod, or have one name.
fn in_pod(one: &SidecarContainer, other: &SidecarContainer) -> bool {
    one.name() == other.name()
        || one
            .names_in_pod()
            .any(|name| other.names_in_pod().any(|theirs| theirs == name))
}

fn check_volumes(ours: &[Volume], other: &SidecarSet, errors: &mut Errors) {
    for (index, volume) in ours.iter().enumerate() {
        let mut theirs = other.spec.volumes.iter();
        if theirs.any(|theirs| theirs.name() == volume.name() && !is_same(theirs, volume)) {
            errors.add(
                format!("spec.volumes[{index}]"),
                Kind::VolumeTaken {
                    set: other.name().to_owned(),
                    name: volume.name().to_owned(),
                },
            );
        }
    }
}

/// Old releases of OpenKruise stored volumes without their defaults.
fn is_same(one: &Volume, other: &Volume) -> bool {
    one == other || with_defaults(one) == with_defaults(other)
}

/// One key may be patched by both as long as one of them retains what is there, or both merge.
fn check_annotations(set: &SidecarSet, other: &SidecarSet, errors: &mut Errors) {
    let policy = |policy: &Option<PatchPolicy>| policy.clone().unwrap_or(PatchPolicy::Retain);
    for (index, ours) in set.spec.patch_pod_metadata.iter().enumerate() {
        for theirs in &other.spec.patch_pod_metadata {
            let policies = [policy(&ours.patch_policy), policy(&theirs.patch_policy)];
            if policies.contains(&PatchPolicy::Retain) || !policies.contains(&PatchPolicy::Overwrite) {
                continue;
            }
            for key in ours
                .annotations
                .keys()
                .filter(|key| theirs.annotations.contains_key(*key))
            {
                errors.add(
                    format!("spec.patchPodMetadata[{index}].annotations[{key}]"),
                    Kind::AnnotationTaken {
                        set: other.name().to_owned(),
                        key: key.clone(),
                    },
                );
            }
        }
    }
}
