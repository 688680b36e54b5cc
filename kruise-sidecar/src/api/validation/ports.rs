//! Ports: those that a container opens, and those that its probes ask.

use std::collections::BTreeSet;

use serde_json::Value;

use super::super::container::SidecarContainer;
use super::super::object::Object;
use super::error::{Errors, ValidationErrorKind as Kind};
use super::fields::{self, has};

pub(super) fn check(container: &Object, path: &str, errors: &mut Errors) {
    let mut names = BTreeSet::new();
    fields::each(container, path, "ports", errors, |path, port, errors| {
        fields::word(port, path, "protocol", &["TCP", "UDP", "SCTP"], errors);
        if number(port, "containerPort").is_none_or(|number| number == 0) {
            errors.add(format!("{path}.containerPort"), Kind::BadPort);
        }
        if number(port, "hostPort").is_none() {
            errors.add(format!("{path}.hostPort"), Kind::BadPort);
        }
        let name = fields::text(port, path, "name", errors);
        if !name.is_empty() && !is_name(name) {
            errors.add(format!("{path}.name"), Kind::BadPortName(name.to_owned()));
        }
        if !name.is_empty() && !names.insert(name) {
            errors.add(format!("{path}.name"), Kind::DuplicateName(name.to_owned()));
        }
    });
}

/// Checks that no two containers of a pod open one port of the node. A hot-upgraded sidecar is two containers.
pub(super) fn check_host_ports(sidecars: &[SidecarContainer], errors: &mut Errors) {
    let mut seen = BTreeSet::new();
    for (index, sidecar) in sidecars.iter().enumerate() {
        let ports = sidecar.container.get("ports").and_then(Value::as_array);
        for (at, port) in ports.into_iter().flatten().enumerate() {
            let Some(port) = port.as_object() else { continue };
            let Some(number) = number(port, "hostPort").filter(|number| *number > 0) else {
                continue;
            };
            let text = |field: &str| port.get(field).and_then(Value::as_str).unwrap_or_default();
            if !seen.insert((number, text("protocol"), text("hostIP"))) || sidecar.is_hot() {
                let path = format!("spec.containers[{index}].ports[{at}].hostPort");
                errors.add(path, Kind::HostPortTwice(number));
            }
        }
    }
}

/// Checks a port that is asked: one by number, or by the name that the container gives it.
pub(super) fn check_asked(holder: &Object, path: &str, by_name: bool, errors: &mut Errors) {
    let named = match holder.get("port") {
        Some(Value::String(name)) => by_name && is_name(name),
        _ => number(holder, "port").is_some_and(|number| number > 0),
    };
    if !has(holder, "port") {
        errors.add(format!("{path}.port"), Kind::Required);
    } else if !named {
        errors.add(format!("{path}.port"), Kind::BadPort);
    }
}

/// A port by number, 0 if it is absent; `None` for what is none.
fn number(holder: &Object, field: &str) -> Option<u64> {
    match holder.get(field) {
        None | Some(Value::Null) => Some(0),
        Some(number) => number.as_u64().filter(|number| *number <= 65535),
    }
}

/// Name of a service, as RFC 6335 has it.
fn is_name(name: &str) -> bool {
    name.len() <= 15
        && fields::is_dns_label(name)
        && !name.contains("--")
        && name.bytes().any(|byte| byte.is_ascii_lowercase())
}
