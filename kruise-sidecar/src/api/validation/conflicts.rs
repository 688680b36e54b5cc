//! What two sets that may match one pod must not both bring.

use super::super::container::{SidecarContainer, Volume};
use super::super::scope::Scope;
use super::super::sidecarset::SidecarSet;
use super::super::words::PatchPolicy;
use super::error::{Errors, ValidationError, ValidationErrorKind as Kind};

/// Returns what of a set another set has too, where both may match one pod. Both with their defaults. Empty means that
/// there is no conflict.
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
        check_names(
            "spec.containers",
            &ours.containers,
            &theirs.containers,
            other,
            &mut errors,
        );
        check_names(
            "spec.initContainers",
            &ours.init_containers,
            &theirs.init_containers,
            other,
            &mut errors,
        );
        check_volumes(&ours.volumes, other, &mut errors);
        check_annotations(set, other, &mut errors);
    }
    errors.0
}

fn check_names(
    path: &str,
    ours: &[SidecarContainer],
    theirs: &[SidecarContainer],
    other: &SidecarSet,
    errors: &mut Errors,
) {
    for (index, sidecar) in ours.iter().enumerate() {
        let taken = theirs.iter().any(|theirs| in_pod(sidecar, theirs));
        if taken {
            errors.add(
                format!("{path}[{index}].name"),
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
        if theirs.any(|theirs| theirs.name() == volume.name() && theirs != volume) {
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
