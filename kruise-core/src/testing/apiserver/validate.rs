//! Checks of objects and of changes.

use serde_json::{Value, json};

use super::json::{items, text};
use super::kinds::Kind;
use super::meta::is_deleting;
use super::status::Cause;

const NAME_RULE: &str = "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and end with an alphanumeric character";
const LABEL_RULE: &str = "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character";
const KEY_RULE: &str = "name part must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character";

fn is_subdomain(name: &str) -> bool {
    let inner = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    name.len() <= 253
        && name.split('.').all(|part| {
            !part.is_empty() && part.chars().all(inner) && !part.starts_with('-') && !part.ends_with('-')
        })
}

fn is_label_value(value: &str) -> bool {
    let outer = |c: Option<char>| c.is_none_or(|c| c.is_ascii_alphanumeric());
    value.len() <= 63
        && value
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || "-_.".contains(c))
        && outer(value.chars().next())
        && outer(value.chars().last())
}

fn is_label_key(key: &str) -> bool {
    let (prefix, name) = key
        .split_once('/')
        .map_or((None, key), |(prefix, name)| (Some(prefix), name));
    prefix.is_none_or(is_subdomain) && !name.is_empty() && is_label_value(name)
}

/// Names, labels and annotations.
pub(crate) fn metadata(kind: &Kind, new: &Value, causes: &mut Vec<Cause>) {
    let name = text(new, &["metadata", "name"]);
    // Names of roles and the like may have other letters; those of the kinds here may not.
    if !is_subdomain(name) {
        causes.push(Cause::invalid("metadata.name", &json!(name), NAME_RULE));
    }
    if kind.is("", "Namespace") && name.contains('.') {
        causes.push(Cause::invalid(
            "metadata.name",
            &json!(name),
            "must not contain dots",
        ));
    }
    let entries = |key: &str| new["metadata"][key].as_object().into_iter().flatten();
    for (key, value) in entries("labels") {
        if !is_label_key(key) {
            causes.push(Cause::invalid("metadata.labels", &json!(key), KEY_RULE));
        }
        if !value.as_str().is_some_and(is_label_value) {
            causes.push(Cause::invalid("metadata.labels", value, LABEL_RULE));
        }
    }
    for (key, _) in entries("annotations") {
        if !is_label_key(&key.to_lowercase()) {
            causes.push(Cause::invalid("metadata.annotations", &json!(key), KEY_RULE));
        }
    }
    for owner in items(new, &["metadata", "ownerReferences"]) {
        for key in ["apiVersion", "kind", "name", "uid"] {
            if text(owner, &[key]).is_empty() {
                let why = format!("{key} must not be empty");
                causes.push(Cause::invalid(
                    format!("metadata.ownerReferences.{key}"),
                    &json!(""),
                    &why,
                ));
            }
        }
    }
    let owners = items(new, &["metadata", "ownerReferences"]).iter();
    if owners.filter(|owner| owner["controller"] == json!(true)).count() > 1 {
        let why = "Only one reference can have Controller set to true";
        causes.push(Cause::invalid("metadata.ownerReferences", &json!([]), why));
    }
}

/// What is wrong with an object of a built-in kind.
pub(crate) fn object(kind: &Kind, new: &Value, causes: &mut Vec<Cause>) {
    if kind.is("", "Pod") {
        pod(&new["spec"], "spec", causes);
    }
    if kind.group == "apps" && new["spec"]["template"].is_object() {
        pod(&new["spec"]["template"]["spec"], "spec.template.spec", causes);
        workload(new, causes);
    }
}

fn pod(spec: &Value, path: &str, causes: &mut Vec<Cause>) {
    if items(spec, &["containers"]).is_empty() {
        causes.push(Cause::required(format!("{path}.containers"), ""));
    }
    let mut names = Vec::new();
    for list in ["initContainers", "containers"] {
        for (index, container) in items(spec, &[list]).iter().enumerate() {
            let (name, image) = (text(container, &["name"]), text(container, &["image"]));
            let field = |key: &str| format!("{path}.{list}[{index}].{key}");
            if name.is_empty() {
                causes.push(Cause::required(field("name"), ""));
            } else if names.contains(&name) {
                causes.push(Cause {
                    reason: "FieldValueDuplicate",
                    message: format!("Duplicate value: {name:?}"),
                    field: field("name"),
                });
            }
            names.push(name);
            if image.is_empty() && path == "spec" {
                causes.push(Cause::required(field("image"), ""));
            }
        }
    }
}

fn workload(new: &Value, causes: &mut Vec<Cause>) {
    let wanted = new["spec"]["selector"]["matchLabels"].as_object();
    let labels = &new["spec"]["template"]["metadata"]["labels"];
    let selected =
        wanted.is_some_and(|wanted| wanted.iter().all(|(key, value)| labels.get(key) == Some(value)));
    if wanted.is_some() && !selected {
        let why = "`selector` does not match template `labels`";
        causes.push(Cause::invalid("spec.template.metadata.labels", labels, why));
    }
}

/// What is wrong with a change from `old` to `new`.
pub(crate) fn change(kind: &Kind, subresource: &str, old: &Value, new: &Value) -> Vec<Cause> {
    let mut causes = Vec::new();
    if is_deleting(old) {
        let before = items(old, &["metadata", "finalizers"]);
        let added: Vec<_> = items(new, &["metadata", "finalizers"])
            .iter()
            .filter(|finalizer| !before.contains(finalizer))
            .collect();
        if !added.is_empty() {
            let why = format!(
                "no new finalizers can be added if the object is being deleted, found new finalizers {}",
                json!(added)
            );
            causes.push(Cause::forbidden("metadata.finalizers", &why));
        }
    }
    if subresource.is_empty() && kind.is("", "Pod") && mutable_pod(&old["spec"], &new["spec"]) != new["spec"]
    {
        let why = "pod updates may not change fields other than `spec.containers[*].image`, `spec.initContainers[*].image`, `spec.activeDeadlineSeconds` or `spec.tolerations` (only additions to existing tolerations)";
        causes.push(Cause::forbidden("spec", why));
    }
    let immutable = old["immutable"] == json!(true);
    if immutable && (kind.is("", "ConfigMap") || kind.is("", "Secret")) {
        for part in ["data", "binaryData", "immutable"] {
            if old.get(part) != new.get(part) {
                causes.push(Cause::forbidden(
                    part,
                    "field is immutable when `immutable` is set",
                ));
            }
        }
    }
    if kind.group == "apps"
        && kind.kind != "ControllerRevision"
        && old["spec"]["selector"] != new["spec"]["selector"]
    {
        causes.push(Cause::invalid(
            "spec.selector",
            &new["spec"]["selector"],
            "field is immutable",
        ));
    }
    if kind.is("apps", "ControllerRevision") && old.get("data") != new.get("data") {
        causes.push(Cause::invalid("data", &Value::Null, "field is immutable"));
    }
    causes
}

/// The old spec with those fields of the new one that may change.
fn mutable_pod(old: &Value, new: &Value) -> Value {
    let mut allowed = old.clone();
    for list in ["containers", "initContainers"] {
        let containers = allowed
            .get_mut(list)
            .and_then(Value::as_array_mut)
            .into_iter()
            .flatten();
        for (container, new) in containers.zip(items(new, &[list])) {
            container["image"] = new["image"].clone();
        }
    }
    if let Some(allowed) = allowed.as_object_mut() {
        super::json::copy(new, allowed, "activeDeadlineSeconds");
        let kept = items(old, &["tolerations"])
            .iter()
            .all(|one| items(new, &["tolerations"]).contains(one));
        if kept {
            super::json::copy(new, allowed, "tolerations");
        }
    }
    allowed
}
