//! The fields of one container.

use std::collections::BTreeSet;

use super::super::object::Object;
use super::error::{Errors, ValidationErrorKind as Kind};
use super::fields::{self, has};
use super::{handlers, ports, resources, security};

/// `volumes` are the names of those that the set declares.
pub(super) fn check(container: &Object, volumes: &BTreeSet<&str>, path: &str, errors: &mut Errors) {
    fields::required(container, path, "image", errors);
    let policies = &["Always", "Never", "IfNotPresent"];
    fields::word(container, path, "imagePullPolicy", policies, errors);
    let policies = &["File", "FallbackToLogsOnError"];
    fields::word(container, path, "terminationMessagePolicy", policies, errors);
    ports::check(container, path, errors);
    check_env(container, path, errors);
    check_mounts(container, volumes, path, errors);
    resources::check(container, path, errors);
    handlers::check(container, path, errors);
    security::check(container, path, errors);
}

fn check_env(container: &Object, path: &str, errors: &mut Errors) {
    fields::each(container, path, "env", errors, |path, env, errors| {
        let name = fields::required(env, path, "name", errors);
        if name.contains('=') {
            errors.add(format!("{path}.name"), Kind::NotAKey(name.to_owned()));
        }
        if let Some(from) = fields::object(env, path, "valueFrom", errors) {
            if has(env, "value") {
                errors.add(format!("{path}.valueFrom"), Kind::Excludes("value"));
            }
            check_source(from, &format!("{path}.valueFrom"), errors);
        }
    });
    fields::each(container, path, "envFrom", errors, |path, from, errors| {
        if fields::one_of(from, path, |field| field != "prefix", errors) {
            for source in ["configMapRef", "secretRef"] {
                if let Some(object) = fields::object(from, path, source, errors) {
                    fields::required(object, &format!("{path}.{source}"), "name", errors);
                }
            }
        }
    });
}

/// Where a variable comes from.
fn check_source(from: &Object, path: &str, errors: &mut Errors) {
    if !fields::one_of(from, path, |_| true, errors) {
        return;
    }
    for (source, needs) in [
        ("fieldRef", &["fieldPath"][..]),
        ("resourceFieldRef", &["resource"]),
        ("configMapKeyRef", &["name", "key"]),
        ("secretKeyRef", &["name", "key"]),
    ] {
        let Some(object) = fields::object(from, path, source, errors) else {
            continue;
        };
        for field in needs {
            fields::required(object, &format!("{path}.{source}"), field, errors);
        }
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
                if !fields::is_inside(value) {
                    errors.add(format!("{path}.{field}"), Kind::NotInside);
                }
            }
            let ways = &["None", "HostToContainer", "Bidirectional"];
            let way = fields::word(mount, path, "mountPropagation", ways, errors);
            if way == "Bidirectional" && !security::is_privileged(container) {
                let must =
                    Kind::Must("be another one, since only a privileged container may use Bidirectional");
                errors.add(format!("{path}.mountPropagation"), must);
            }
        });
    }
}
