//! The containers, judged as if they were those of one pod: by the rules of the API server that do not depend on the pod,
//! so that a mistake in a set is told to its author and not to those who create pods. Fields that are not known pass.

use std::borrow::Cow;
use std::collections::BTreeSet;

use super::super::container::{SidecarContainer, TransferEnvVar, Volume};
use super::super::sidecarset::SidecarSetSpec;
use super::super::words::{PodInjectPolicy, ShareVolumeType, UpgradeType};
use super::error::{Errors, ValidationErrorKind as Kind};
use super::fields::{self, has};
use super::handlers::PROBES;
use super::{container, ports};

pub(super) fn check(spec: &SidecarSetSpec, errors: &mut Errors) {
    let volumes: BTreeSet<&str> = spec.volumes.iter().map(Volume::name).collect();
    let mut names: BTreeSet<Cow<'_, str>> = BTreeSet::new();
    let lists = [
        (false, "containers", &spec.containers),
        (true, "initContainers", &spec.init_containers),
    ];
    for (is_init, list, sidecars) in lists {
        for (index, sidecar) in sidecars.iter().enumerate() {
            let path = format!("spec.{list}[{index}]");
            check_name(sidecar, &path, &mut names, errors);
            check_policies(sidecar, is_init, &path, errors);
            for (index, transfer) in sidecar.transfer_env.iter().enumerate() {
                check_transfer(transfer, &format!("{path}.transferEnv[{index}]"), errors);
            }
            container::check(&sidecar.container, &volumes, &path, errors);
            check_restarts(sidecar, is_init, &path, errors);
            let ends = is_init && !sidecar.restarts_always();
            for field in PROBES.iter().chain(&["lifecycle"]) {
                if ends && has(&sidecar.container, field) {
                    errors.add(format!("{path}.{field}"), Kind::NotForInit);
                }
            }
        }
    }
    ports::check_host_ports(&spec.containers, errors);
}

fn check_name<'s>(
    sidecar: &'s SidecarContainer,
    path: &str,
    names: &mut BTreeSet<Cow<'s, str>>,
    errors: &mut Errors,
) {
    let path = format!("{path}.name");
    if sidecar.name().is_empty() {
        errors.add(path, Kind::Required);
        return;
    }
    // In the pod a hot-upgraded sidecar has two other names; by its own it is found when the set is changed.
    if sidecar.is_hot() && !names.insert(sidecar.name().into()) {
        errors.add(path, Kind::DuplicateName(sidecar.name().to_owned()));
        return;
    }
    for name in sidecar.names_in_pod() {
        if !fields::is_dns_label(&name) {
            errors.add(&path, Kind::NotADnsLabel(name.clone().into_owned()));
        }
        if !names.insert(name.clone()) {
            errors.add(&path, Kind::DuplicateName(name.into_owned()));
        }
    }
}

/// Only init containers may say how they are restarted, and only that they always are: a server older than 1.34 refuses
/// pods with anything else, and a younger one needs a feature gate for it.
fn check_restarts(sidecar: &SidecarContainer, is_init: bool, path: &str, errors: &mut Errors) {
    let path_of = |field: &str| format!("{path}.{field}");
    if is_init {
        fields::word(&sidecar.container, path, "restartPolicy", &["Always"], errors);
    } else if has(&sidecar.container, "restartPolicy") {
        errors.add(path_of("restartPolicy"), Kind::OnlyForInit);
    }
}

fn check_policies(sidecar: &SidecarContainer, is_init: bool, path: &str, errors: &mut Errors) {
    if let Some(PodInjectPolicy::Other(text)) = &sidecar.pod_inject_policy {
        errors.add(
            format!("{path}.podInjectPolicy"),
            Kind::UnknownInjectPolicy(text.clone()),
        );
    }
    let device_policy = sidecar.share_volume_device_policy.as_ref();
    for (field, policy) in [
        ("shareVolumePolicy", Some(&sidecar.share_volume_policy)),
        ("shareVolumeDevicePolicy", device_policy),
    ] {
        if let Some(ShareVolumeType::Other(text)) = policy.and_then(|policy| policy.type_.as_ref()) {
            errors.add(
                format!("{path}.{field}.type"),
                Kind::UnknownShareType(text.clone()),
            );
        }
    }
    let path_of = |field: &str| format!("{path}.upgradeStrategy.{field}");
    let upgrade = &sidecar.upgrade_strategy;
    match &upgrade.upgrade_type {
        Some(UpgradeType::Other(text)) => {
            errors.add(path_of("upgradeType"), Kind::UnknownUpgradeType(text.clone()));
        }
        Some(UpgradeType::HotUpgrade) if is_init => {
            errors.add(path_of("upgradeType"), Kind::HotInitContainer)
        }
        Some(UpgradeType::HotUpgrade) if upgrade.hot_upgrade_empty_image.is_empty() => {
            errors.add(path_of("hotUpgradeEmptyImage"), Kind::Required);
        }
        _ => {}
    }
    if sidecar.resources_policy.is_some() {
        errors.add(format!("{path}.resourcesPolicy"), Kind::NotSupported);
    }
}

fn check_transfer(transfer: &TransferEnvVar, path: &str, errors: &mut Errors) {
    let from = transfer.source_container_name_from.as_ref();
    let Some(field) = from.and_then(|from| from.field_ref.as_ref()) else {
        return;
    };
    let path = format!("{path}.sourceContainerNameFrom.fieldRef");
    let version = field.api_version.as_deref().unwrap_or_default();
    if version != "v1" {
        errors.add(
            format!("{path}.apiVersion"),
            Kind::BadFieldVersion(version.to_owned()),
        );
    }
    let map = ["metadata.labels['", "metadata.annotations['"]
        .iter()
        .find_map(|start| field.field_path.strip_prefix(start));
    let key = map.and_then(|rest| rest.strip_suffix("']"));
    if !key.is_some_and(|key| fields::is_key(&key.to_lowercase())) {
        errors.add(
            format!("{path}.fieldPath"),
            Kind::BadFieldPath(field.field_path.clone()),
        );
    }
}
