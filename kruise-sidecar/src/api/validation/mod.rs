//! What admission refuses.

mod conflicts;
mod container;
mod containers;
mod error;
pub(crate) mod fields;
mod handlers;
mod metadata;
mod ports;
mod resources;
mod security;
mod strategy;
mod volumes;

use std::collections::BTreeSet;

pub use conflicts::validate_conflicts;
pub use error::{ValidationError, ValidationErrorKind};
pub use metadata::{PatchWhitelist, WhitelistError};

use super::names::{SIDECARSET_BASE, SIDECARSET_CANARY};
use super::scope::is_empty;
use super::sidecarset::SidecarSet;
use error::{Errors, ValidationErrorKind as Kind};

/// A name of a set is at most this long, since it is a label's value.
pub const MAX_NAME_LENGTH: usize = 63;

/// What a set is judged by besides itself.
#[derive(Clone, Copy, Debug, Default)]
pub struct ValidationContext<'v> {
    /// Which annotations sets may patch.
    pub whitelist: Whitelist<'v>,
    /// Gate `SidecarSetPatchPodMetadataDefaultsAllowed`: a set for which no whitelist says anything may patch any annotation.
    /// Without it, none.
    pub allow_any_metadata: bool,
    /// Whether the revision that `injectionStrategy.revision` names exists; `None` if nobody looked.
    pub revision_exists: Option<bool>,
}

/// What is known of the whitelist of annotations.
#[derive(Clone, Copy, Debug, Default)]
pub enum Whitelist<'v> {
    /// There is none.
    #[default]
    Absent,
    /// There is one that cannot be read. It allows nothing.
    Unreadable,
    /// This one.
    Is(&'v PatchWhitelist),
}

/// Returns everything that is wrong with a set whose defaults are filled in. Empty means valid.
///
/// Other sets are looked at by [`validate_conflicts`], what a change may not do by [`validate_update`].
pub fn validate_sidecar_set(set: &SidecarSet, context: &ValidationContext<'_>) -> Vec<ValidationError> {
    let mut errors = Errors::default();
    check_name(set.name(), &mut errors);
    check_canary(set, &mut errors);
    let spec = &set.spec;
    match &spec.selector {
        None => errors.add("spec.selector", Kind::Required),
        Some(selector) => fields::check_selector("spec.selector", selector, &mut errors),
    }
    if let Some(selector) = &spec.namespace_selector {
        fields::check_selector("spec.namespaceSelector", selector, &mut errors);
        if !spec.namespace.is_empty() {
            errors.add("spec.namespaceSelector", Kind::NamespaceAndSelector);
        }
    }
    if !spec.namespace.is_empty() && !fields::is_dns_label(&spec.namespace) {
        errors.add("spec.namespace", Kind::NotADnsLabel(spec.namespace.clone()));
    }
    strategy::check_update(&spec.update_strategy, &mut errors);
    strategy::check_injection(&spec.injection_strategy, context, &mut errors);
    if spec.containers.is_empty() && spec.init_containers.is_empty() {
        errors.add("spec.containers", Kind::NoContainers);
    }
    if spec.update_strategy.updates() {
        for (index, init) in spec.init_containers.iter().enumerate() {
            if init.restarts_always() {
                let path = format!("spec.initContainers[{index}].restartPolicy");
                errors.add(path, Kind::NativeSidecarIsNotUpdated);
            }
        }
    }
    containers::check(spec, &mut errors);
    volumes::check(&spec.volumes, &mut errors);
    for (index, secret) in spec.image_pull_secrets.iter().enumerate() {
        if secret.name.is_empty() {
            errors.add(format!("spec.imagePullSecrets[{index}].name"), Kind::Required);
        }
    }
    if spec.revision_history_limit.is_some_and(|limit| limit < 0) {
        errors.add("spec.revisionHistoryLimit", Kind::Negative);
    }
    metadata::check(set, context, &mut errors);
    errors.0
}

/// Returns what a change from `old` to `new` must not do, both with their defaults. Empty means that it may happen.
///
/// Sidecars may be removed; they may not be added or renamed, since pods that run can not get them, and the type of an
/// upgrade stays.
pub fn validate_update(old: &SidecarSet, new: &SidecarSet) -> Vec<ValidationError> {
    let mut errors = Errors::default();
    for (index, sidecar) in new.spec.containers.iter().enumerate() {
        let mut before = old.spec.containers.iter();
        match before.find(|before| before.name() == sidecar.name()) {
            None => errors.add(
                format!("spec.containers[{index}].name"),
                Kind::SidecarAdded(sidecar.name().to_owned()),
            ),
            Some(before) => {
                let (before, after) = (&before.upgrade_strategy, &sidecar.upgrade_strategy);
                if before.upgrade_type.is_some() && before.upgrade_type != after.upgrade_type {
                    let path = format!("spec.containers[{index}].upgradeStrategy.upgradeType");
                    errors.add(path, Kind::UpgradeTypeChanged);
                }
            }
        }
    }
    errors.0
}

fn check_name(name: &str, errors: &mut Errors) {
    let legal = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
    if name.is_empty() {
        errors.add("metadata.name", Kind::Required);
    } else if name.len() > MAX_NAME_LENGTH || !name.bytes().all(legal) {
        errors.add("metadata.name", Kind::BadSetName(name.to_owned()));
    }
}

/// The canary of another set must not be taken for a set of its own: it would be injected beside the other.
fn check_canary(set: &SidecarSet, errors: &mut Errors) {
    let annotations = set.metadata.annotations.as_ref();
    let value = |key: &str| annotations.and_then(|annotations| annotations.get(key));
    let is_canary = value(SIDECARSET_CANARY).is_some_and(|value| value == "true");
    let has_base = value(SIDECARSET_BASE).is_some_and(|value| !value.is_empty());
    for (key, is_set) in [(SIDECARSET_CANARY, is_canary), (SIDECARSET_BASE, has_base)] {
        if is_set {
            errors.add(format!("metadata.annotations[{key}]"), Kind::NoCanary);
        }
    }
}

/// Tells a name that was seen before.
fn seen_before<'n>(seen: &mut BTreeSet<&'n str>, name: &'n str) -> bool {
    !seen.insert(name)
}

#[cfg(test)]
mod tests;
