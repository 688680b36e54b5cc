//! Which containers of a pod differ from a set's in more than their image.
//!
//! Pods carry only hashes of what they were injected with, so it is looked for: what the set has must be in the pod, where
//! others may have added to it.

use serde_json::{Map, Value};

use crate::api::SidecarSet;
use crate::api::names::{IS_INJECTED_ENV, SIDECARSET_VERSION_ALT_ENV, SIDECARSET_VERSION_ENV};
use crate::api::quantity::Quantity;

/// Fields of which the pod's own may be seen to be one more than the set's; others are filled in by admission.
const TAKEN_AWAY: [&str; 14] = [
    "command",
    "args",
    "workingDir",
    "ports",
    "envFrom",
    "livenessProbe",
    "readinessProbe",
    "startupProbe",
    "lifecycle",
    "securityContext",
    "stdin",
    "stdinOnce",
    "tty",
    "restartPolicy",
];

/// Returns the containers of a pod that differ from those of a set, which has its defaults, with the paths of the fields:
/// `agent (env[LEVEL], resources.limits.cpu)`.
pub(super) fn differences(set: &SidecarSet, pod: &Value) -> Vec<String> {
    let containers = pod.get("spec").and_then(|spec| spec.get("containers"));
    let containers: Vec<&Map<String, Value>> = containers
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
        .filter_map(Value::as_object)
        .collect();
    let mut found = Vec::new();
    for sidecar in &set.spec.containers {
        for name in sidecar.names_in_pod() {
            let named = |container: &&&Map<String, Value>| {
                container.get("name").and_then(Value::as_str) == Some(&*name)
            };
            let Some(container) = containers.iter().find(named) else {
                found.push(format!("{name} (missing)"));
                continue;
            };
            let mut fields = Vec::new();
            for (field, wanted) in &sidecar.container {
                if !matches!(field.as_str(), "name" | "image") {
                    compare(field, wanted, container.get(field), &mut fields);
                }
            }
            let absent = |field: &str| sidecar.container.get(field).is_none_or(is_empty);
            for field in TAKEN_AWAY {
                if absent(field) && container.get(field).is_some_and(|value| !is_empty(value)) {
                    fields.push(format!("{field} (only the pod has it)"));
                }
            }
            if sidecar.transfer_env.is_empty() {
                only_in_pod(sidecar.container.get("env"), container.get("env"), &mut fields);
            }
            if !fields.is_empty() {
                found.push(format!("{name} ({})", super::words::some(&fields)));
            }
        }
    }
    found
}

/// Adds the paths where a pod lacks what the set has.
fn compare(path: &str, wanted: &Value, there: Option<&Value>, fields: &mut Vec<String>) {
    if is_empty(wanted) {
        return;
    }
    match (wanted, there) {
        (Value::Object(wanted), Some(Value::Object(there))) => {
            for (field, value) in wanted {
                compare(&format!("{path}.{field}"), value, there.get(field), fields);
            }
        }
        (Value::Array(wanted), Some(Value::Array(there)))
            if wanted.iter().any(|item| identity(item).is_some()) =>
        {
            for item in wanted {
                let own = identity(item);
                let theirs = there.iter().find(|theirs| identity(theirs) == own);
                let mut inside = Vec::new();
                compare("", item, theirs, &mut inside);
                if !inside.is_empty() {
                    fields.push(format!("{path}[{}]", own.unwrap_or_default()));
                }
            }
        }
        (wanted, Some(there)) if same(path, wanted, there) => {}
        _ => fields.push(path.to_owned()),
    }
}

/// What an item of a list is known by.
fn identity(item: &Value) -> Option<String> {
    let text = |field: &str| match item.get(field)? {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    };
    // A volume may be mounted twice.
    text("mountPath")
        .or_else(|| text("name"))
        .or_else(|| text("containerPort"))
        .or_else(|| text("devicePath"))
}

fn same(path: &str, wanted: &Value, there: &Value) -> bool {
    if wanted == there {
        return true;
    }
    let text = |value: &Value| match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    };
    let (Some(wanted), Some(there)) = (text(wanted), text(there)) else {
        return false;
    };
    let quantities = path
        .starts_with("resources")
        .then(|| Quantity::parse(&wanted).zip(Quantity::parse(&there)));
    match quantities.flatten() {
        Some((wanted, there)) => wanted.compare(there).is_eq(),
        None => wanted == there,
    }
}

/// Adds the environment variables that only the pod has, but for those that injection adds.
fn only_in_pod(wanted: Option<&Value>, there: Option<&Value>, fields: &mut Vec<String>) {
    let names = |list: Option<&Value>| -> Vec<String> {
        let items = list.and_then(Value::as_array).into_iter().flatten();
        items.filter_map(identity).collect()
    };
    let wanted = names(wanted);
    for name in names(there) {
        let added = [
            IS_INJECTED_ENV,
            SIDECARSET_VERSION_ENV,
            SIDECARSET_VERSION_ALT_ENV,
        ];
        if !wanted.contains(&name) && !added.contains(&name.as_str()) {
            fields.push(format!("env[{name}] (only the pod has it)"));
        }
    }
}

fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Object(fields) => fields.values().all(is_empty),
        Value::Array(items) => items.is_empty(),
        Value::String(text) => text.is_empty(),
        Value::Bool(flag) => !flag,
        Value::Number(_) => false,
    }
}
