//! The containers, judged as if they were those of one pod, so that no pod is refused because of its set.

use std::borrow::Cow;
use std::collections::BTreeSet;

use serde_json::Value;

use super::super::container::{SidecarContainer, TransferEnvVar, Volume};
use super::super::object::Object;
use super::super::quantity::Quantity;
use super::super::sidecarset::SidecarSetSpec;
use super::super::words::{PodInjectPolicy, ShareVolumeType, UpgradeType};
use super::error::{Errors, ValidationErrorKind as Kind};
use super::fields::{self, has};

const PROBES: [&str; 3] = ["livenessProbe", "readinessProbe", "startupProbe"];

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
            check_container(&sidecar.container, &volumes, &path, errors);
            let ends = is_init && !sidecar.restarts_always();
            for field in PROBES.iter().chain(&["lifecycle"]) {
                if ends && has(&sidecar.container, field) {
                    errors.add(format!("{path}.{field}"), Kind::NotForInit);
                }
            }
        }
    }
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
    for name in sidecar.names_in_pod() {
        if !fields::is_dns_label(&name) {
            errors.add(&path, Kind::NotADnsLabel(name.clone().into_owned()));
        }
        if !names.insert(name.clone()) {
            errors.add(&path, Kind::DuplicateName(name.into_owned()));
        }
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

fn check_container(container: &Object, volumes: &BTreeSet<&str>, path: &str, errors: &mut Errors) {
    fields::required(container, path, "image", errors);
    fields::word(
        container,
        path,
        "imagePullPolicy",
        &["Always", "Never", "IfNotPresent"],
        errors,
    );
    let policies = &["File", "FallbackToLogsOnError"];
    fields::word(container, path, "terminationMessagePolicy", policies, errors);
    let mut names = BTreeSet::new();
    fields::each(container, path, "ports", errors, |path, port, errors| {
        check_port(port, path, errors);
        let name = fields::text(port, path, "name", errors);
        if !name.is_empty() && !names.insert(name) {
            errors.add(format!("{path}.name"), Kind::DuplicateName(name.to_owned()));
        }
    });
    fields::each(container, path, "env", errors, |path, env, errors| {
        let name = fields::required(env, path, "name", errors);
        if name.contains('=') {
            errors.add(format!("{path}.name"), Kind::NotAKey(name.to_owned()));
        }
        if let Some(from) = fields::object(env, path, "valueFrom", errors) {
            one_of(from, &format!("{path}.valueFrom"), |_| true, errors);
            if has(env, "value") {
                errors.add(format!("{path}.valueFrom"), Kind::Excludes("value"));
            }
        }
    });
    fields::each(container, path, "envFrom", errors, |path, from, errors| {
        one_of(from, path, |field| field != "prefix", errors);
    });
    check_mounts(container, volumes, path, errors);
    check_resources(container, path, errors);
    check_handlers(container, path, errors);
}

fn check_port(port: &Object, path: &str, errors: &mut Errors) {
    fields::word(port, path, "protocol", &["TCP", "UDP", "SCTP"], errors);
    let number = |field: &str| match port.get(field) {
        None | Some(Value::Null) => Some(0),
        Some(number) => number.as_u64().filter(|number| *number <= 65535),
    };
    if number("containerPort").is_none_or(|number| number == 0) {
        errors.add(format!("{path}.containerPort"), Kind::BadPort);
    }
    if number("hostPort").is_none() {
        errors.add(format!("{path}.hostPort"), Kind::BadPort);
    }
}

fn check_mounts(container: &Object, volumes: &BTreeSet<&str>, path: &str, errors: &mut Errors) {
    let mut paths = BTreeSet::new();
    for (list, place) in [("volumeMounts", "mountPath"), ("volumeDevices", "devicePath")] {
        fields::each(container, path, list, errors, |path, mount, errors| {
            let name = fields::required(mount, path, "name", errors);
            if !name.is_empty() && !volumes.contains(name) {
                errors.add(format!("{path}.name"), Kind::NoSuchVolume(name.to_owned()));
            }
            let at = fields::required(mount, path, place, errors);
            if !at.is_empty() && !paths.insert(at) {
                errors.add(format!("{path}.{place}"), Kind::DuplicatePath(at.to_owned()));
            }
            let sub = fields::text(mount, path, "subPath", errors);
            let expression = fields::text(mount, path, "subPathExpr", errors);
            if !sub.is_empty() && !expression.is_empty() {
                errors.add(format!("{path}.subPathExpr"), Kind::Excludes("subPath"));
            }
            for (field, value) in [("subPath", sub), ("subPathExpr", expression)] {
                if value.starts_with('/') || value.split('/').any(|step| step == "..") {
                    errors.add(format!("{path}.{field}"), Kind::NotInside);
                }
            }
        });
    }
}

fn check_resources(container: &Object, path: &str, errors: &mut Errors) {
    let Some(resources) = fields::object(container, path, "resources", errors) else {
        return;
    };
    let path = format!("{path}.resources");
    let limits = fields::object(resources, &path, "limits", errors);
    let requests = fields::object(resources, &path, "requests", errors);
    for (list, quantities) in [("limits", limits), ("requests", requests)] {
        for (name, value) in quantities.into_iter().flatten() {
            let path = format!("{path}.{list}[{name}]");
            match quantity(value) {
                None => errors.add(path, Kind::NotAQuantity(value.to_string())),
                Some(quantity) if quantity.is_negative() => errors.add(path, Kind::Negative),
                Some(_) => {}
            }
        }
    }
    for (name, request) in requests.into_iter().flatten() {
        let limit = limits.and_then(|limits| limits.get(name)).and_then(quantity);
        let above = quantity(request)
            .zip(limit)
            .is_some_and(|(request, limit)| request.compare(limit).is_gt());
        if above {
            errors.add(format!("{path}.requests[{name}]"), Kind::AboveLimit);
        }
    }
}

fn quantity(value: &Value) -> Option<Quantity> {
    match value {
        Value::String(text) => Quantity::parse(text),
        Value::Number(number) => Quantity::parse(&number.to_string()),
        _ => None,
    }
}

fn check_handlers(container: &Object, path: &str, errors: &mut Errors) {
    let is_handler = |field: &str| ["exec", "httpGet", "tcpSocket", "grpc", "sleep"].contains(&field);
    for probe in PROBES {
        let Some(object) = fields::object(container, path, probe, errors) else {
            continue;
        };
        let path = format!("{path}.{probe}");
        one_of(object, &path, is_handler, errors);
        for (field, value) in object {
            if value.as_i64().is_some_and(|number| number < 0) {
                errors.add(format!("{path}.{field}"), Kind::Negative);
            }
        }
    }
    if let Some(lifecycle) = fields::object(container, path, "lifecycle", errors) {
        for event in ["postStart", "preStop"] {
            if let Some(handler) = fields::object(lifecycle, path, event, errors) {
                one_of(handler, &format!("{path}.lifecycle.{event}"), is_handler, errors);
            }
        }
    }
}

/// Checks that one of the fields that pass is set, and no more.
fn one_of(object: &Object, path: &str, passes: impl Fn(&str) -> bool, errors: &mut Errors) {
    let set = object
        .iter()
        .filter(|(field, value)| passes(field) && !value.is_null());
    let count = set.count();
    if count != 1 {
        errors.add(path, Kind::NotOne(count));
    }
}
