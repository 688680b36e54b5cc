//! What is run or asked: probes and lifecycle hooks.

use serde_json::Value;

use super::super::object::Object;
use super::error::{Errors, ValidationErrorKind as Kind};
use super::{fields, ports};

pub(super) const PROBES: [&str; 3] = ["livenessProbe", "readinessProbe", "startupProbe"];

/// What handlers can do, those of probes and those of hooks.
const KINDS: [&str; 5] = ["exec", "httpGet", "tcpSocket", "grpc", "sleep"];

pub(super) fn check(container: &Object, path: &str, errors: &mut Errors) {
    for probe in PROBES {
        if let Some(object) = fields::object(container, path, probe, errors) {
            check_probe(probe, object, &format!("{path}.{probe}"), errors);
        }
    }
    let Some(lifecycle) = fields::object(container, path, "lifecycle", errors) else {
        return;
    };
    let path = format!("{path}.lifecycle");
    for event in ["postStart", "preStop"] {
        if let Some(handler) = fields::object(lifecycle, &path, event, errors) {
            let path = format!("{path}.{event}");
            check_handler(handler, &path, &["exec", "httpGet", "tcpSocket", "sleep"], errors);
        }
    }
}

fn check_probe(probe: &str, object: &Object, path: &str, errors: &mut Errors) {
    check_handler(object, path, &["exec", "httpGet", "tcpSocket", "grpc"], errors);
    for (field, value) in object {
        if value.as_i64().is_some_and(|number| number < 0) {
            errors.add(format!("{path}.{field}"), Kind::Negative);
        }
    }
    let number = |field: &str| object.get(field).and_then(Value::as_i64);
    // Zero means the default, which is one.
    if probe != "readinessProbe" && number("successThreshold").is_some_and(|number| number > 1) {
        errors.add(format!("{path}.successThreshold"), Kind::Must("be 1"));
    }
    let grace = format!("{path}.terminationGracePeriodSeconds");
    match number("terminationGracePeriodSeconds") {
        Some(_) if probe == "readinessProbe" => errors.add(grace, Kind::Must("not be set")),
        Some(0) => errors.add(grace, Kind::Must("be more than 0")),
        _ => {}
    }
}

/// Checks that a handler does one of these things, and says how. A kind that is younger than this crate passes.
fn check_handler(handler: &Object, path: &str, known: &[&str], errors: &mut Errors) {
    let is_kind = |field: &str| match handler.get(field) {
        Some(Value::Object(_)) => known.contains(&field) || !KINDS.contains(&field),
        _ => known.contains(&field),
    };
    if !fields::one_of(handler, path, is_kind, errors) {
        return;
    }
    let mut object = |kind: &str| {
        let held = fields::object(handler, path, kind, errors);
        held.filter(|_| known.contains(&kind))
    };
    let (exec, get) = (object("exec"), object("httpGet"));
    let (tcp, grpc) = (object("tcpSocket"), object("grpc"));
    if let Some(exec) = exec {
        let command = exec.get("command").and_then(Value::as_array);
        if command.is_none_or(Vec::is_empty) {
            errors.add(format!("{path}.exec.command"), Kind::Required);
        }
    }
    if let Some(get) = get {
        let path = format!("{path}.httpGet");
        ports::check_asked(get, &path, true, errors);
        fields::word(get, &path, "scheme", &["HTTP", "HTTPS"], errors);
    }
    if let Some(tcp) = tcp {
        ports::check_asked(tcp, &format!("{path}.tcpSocket"), true, errors);
    }
    if let Some(grpc) = grpc {
        ports::check_asked(grpc, &format!("{path}.grpc"), false, errors);
    }
}
