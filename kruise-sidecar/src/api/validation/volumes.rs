//! The volumes.

use std::collections::BTreeSet;

use serde_json::Value;

use super::super::container::Volume;
use super::super::object::Object;
use super::error::{Errors, ValidationErrorKind as Kind};
use super::{fields, seen_before};

/// Words for what a path of the node is.
const HOST_PATHS: &[&str] = &[
    "DirectoryOrCreate",
    "Directory",
    "FileOrCreate",
    "File",
    "Socket",
    "CharDevice",
    "BlockDevice",
];
/// The API server refuses tokens that live shorter.
const SHORTEST_TOKEN_SECONDS: i64 = 600;

/// Names are unique and each volume has one source. The common sources are looked into; others are for the API server to
/// judge, which knows those that are younger than this crate too.
pub(super) fn check(volumes: &[Volume], errors: &mut Errors) {
    let mut seen = BTreeSet::new();
    for (index, Volume(volume)) in volumes.iter().enumerate() {
        let path = format!("spec.volumes[{index}]");
        let name = fields::required(volume, &path, "name", errors);
        if !name.is_empty() {
            if !fields::is_dns_label(name) {
                errors.add(format!("{path}.name"), Kind::NotADnsLabel(name.to_owned()));
            }
            if seen_before(&mut seen, name) {
                errors.add(format!("{path}.name"), Kind::DuplicateName(name.to_owned()));
            }
        }
        if fields::one_of(volume, &path, |field| field != "name", errors) {
            check_source(volume, &path, errors);
        }
    }
}

fn check_source(volume: &Object, path: &str, errors: &mut Errors) {
    for (source, field) in [
        ("hostPath", "path"),
        ("secret", "secretName"),
        ("configMap", "name"),
        ("persistentVolumeClaim", "claimName"),
    ] {
        if let Some(object) = fields::object(volume, path, source, errors) {
            let path = format!("{path}.{source}");
            fields::required(object, &path, field, errors);
            check_items(object, &path, errors);
        }
    }
    if let Some(host) = fields::object(volume, path, "hostPath", errors) {
        let path = format!("{path}.hostPath");
        fields::word(host, &path, "type", HOST_PATHS, errors);
        let at = host.get("path").and_then(Value::as_str).unwrap_or_default();
        if at.split('/').any(|step| step == "..") {
            errors.add(format!("{path}.path"), Kind::Must("not have \"..\""));
        }
    }
    if let Some(downward) = fields::object(volume, path, "downwardAPI", errors) {
        check_downward(downward, &format!("{path}.downwardAPI"), errors);
    }
    if let Some(projected) = fields::object(volume, path, "projected", errors) {
        check_projected(projected, &format!("{path}.projected"), errors);
    }
}

fn check_projected(projected: &Object, path: &str, errors: &mut Errors) {
    check_mode(projected, path, "defaultMode", errors);
    let sources = projected.get("sources").and_then(Value::as_array);
    if sources.is_none_or(Vec::is_empty) {
        errors.add(format!("{path}.sources"), Kind::Required);
    }
    fields::each(projected, path, "sources", errors, |path, source, errors| {
        if !fields::one_of(source, path, |_| true, errors) {
            return;
        }
        for kind in ["secret", "configMap"] {
            if let Some(object) = fields::object(source, path, kind, errors) {
                let path = format!("{path}.{kind}");
                fields::required(object, &path, "name", errors);
                check_items(object, &path, errors);
            }
        }
        if let Some(downward) = fields::object(source, path, "downwardAPI", errors) {
            check_downward(downward, &format!("{path}.downwardAPI"), errors);
        }
        if let Some(token) = fields::object(source, path, "serviceAccountToken", errors) {
            let path = format!("{path}.serviceAccountToken");
            check_path(token, &path, errors);
            let seconds = token.get("expirationSeconds").and_then(Value::as_i64);
            if seconds.is_some_and(|seconds| seconds < SHORTEST_TOKEN_SECONDS) {
                errors.add(format!("{path}.expirationSeconds"), Kind::Must("be at least 600"));
            }
        }
    });
}

/// Keys of a Secret or ConfigMap, and the files that they become.
fn check_items(source: &Object, path: &str, errors: &mut Errors) {
    check_mode(source, path, "defaultMode", errors);
    fields::each(source, path, "items", errors, |path, item, errors| {
        fields::required(item, path, "key", errors);
        check_path(item, path, errors);
        check_mode(item, path, "mode", errors);
    });
}

/// Fields of the pod, and the files that they become.
fn check_downward(downward: &Object, path: &str, errors: &mut Errors) {
    check_mode(downward, path, "defaultMode", errors);
    fields::each(downward, path, "items", errors, |path, item, errors| {
        check_path(item, path, errors);
        check_mode(item, path, "mode", errors);
        let is_source = |field: &str| field == "fieldRef" || field == "resourceFieldRef";
        fields::one_of(item, path, is_source, errors);
    });
}

/// The file of an item. A first step that begins with two dots belongs to the kubelet.
fn check_path(item: &Object, path: &str, errors: &mut Errors) {
    let at = fields::required(item, path, "path", errors);
    if !fields::is_inside(at) || at.starts_with("..") {
        errors.add(format!("{path}.path"), Kind::NotInside);
    }
}

fn check_mode(holder: &Object, path: &str, field: &str, errors: &mut Errors) {
    let is_mode = |value: &Value| value.is_null() || value.as_u64().is_some_and(|mode| mode <= 0o777);
    if holder.get(field).is_some_and(|value| !is_mode(value)) {
        errors.add(
            format!("{path}.{field}"),
            Kind::Must("be file permissions, 0 to 0777"),
        );
    }
}
