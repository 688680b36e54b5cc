//! What the server fills in by itself.

use serde_json::{Value, json};

use super::json::{child, items, object, text};
use super::kinds::{Kind, Kinds};
use super::status::{ApiError, Cause};

/// A new object has no status yet.
pub(crate) fn reset_status(kind: &Kind, version: &str, new: &mut Value) {
    if kind.version(version).is_some_and(|version| version.status) {
        object(new).remove("status");
    }
    match (&*kind.group, &*kind.kind) {
        ("", "Pod") => new["status"] = json!({ "phase": "Pending", "qosClass": "BestEffort" }),
        ("", "Namespace") => {
            new["status"] = json!({ "phase": "Active" });
            let mut finalizers = items(new, &["spec", "finalizers"]).to_vec();
            if !finalizers.contains(&json!("kubernetes")) {
                finalizers.push(json!("kubernetes"));
            }
            new["spec"] = json!({ "finalizers": finalizers });
        }
        _ => {}
    }
}

/// Defaults of built-in kinds, as far as controllers look at them.
pub(crate) fn set(kind: &Kind, new: &mut Value) {
    match (&*kind.group, &*kind.kind) {
        ("", "Pod") => pod(new),
        ("", "Secret") => default(new, "type", json!("Opaque")),
        ("", "Namespace") => {
            let name = new["metadata"]["name"].clone();
            let metadata = child(new, "metadata");
            let labels = metadata.entry("labels").or_insert_with(|| json!({}));
            labels["kubernetes.io/metadata.name"] = name;
        }
        ("apps", "Deployment" | "ReplicaSet" | "StatefulSet") => {
            let template = template(new);
            default(&mut new["spec"], "replicas", json!(1));
            if let Some(template) = template {
                new["spec"]["template"] = template;
            }
        }
        ("apps", "DaemonSet") => {
            if let Some(template) = template(new) {
                new["spec"]["template"] = template;
            }
        }
        _ => {}
    }
}

fn template(workload: &Value) -> Option<Value> {
    let mut template = workload["spec"].get("template")?.clone();
    pod(&mut template);
    Some(template)
}

fn default(object: &mut Value, key: &str, value: Value) {
    if object.get(key).is_none_or(Value::is_null) {
        super::json::set(object, &[key], value);
    }
}

fn pod(pod: &mut Value) {
    let spec = &mut pod["spec"];
    if !spec.is_object() {
        return;
    }
    default(spec, "restartPolicy", json!("Always"));
    default(spec, "terminationGracePeriodSeconds", json!(30));
    default(spec, "dnsPolicy", json!("ClusterFirst"));
    default(spec, "schedulerName", json!("default-scheduler"));
    default(spec, "securityContext", json!({}));
    for list in ["containers", "initContainers"] {
        let Some(containers) = spec.get_mut(list).and_then(Value::as_array_mut) else {
            continue;
        };
        for container in containers {
            let image = text(container, &["image"]);
            let policy = match image
                .rsplit_once('/')
                .map_or(image, |(_, last)| last)
                .split_once(':')
            {
                _ if image.contains('@') => "IfNotPresent",
                Some((_, tag)) if tag != "latest" => "IfNotPresent",
                _ => "Always",
            };
            default(container, "imagePullPolicy", json!(policy));
            default(container, "terminationMessagePath", json!("/dev/termination-log"));
            default(container, "terminationMessagePolicy", json!("File"));
            default(container, "resources", json!({}));
            for port in container
                .get_mut("ports")
                .and_then(Value::as_array_mut)
                .into_iter()
                .flatten()
            {
                default(port, "protocol", json!("TCP"));
            }
        }
    }
}

/// Checks a CustomResourceDefinition and says in its status that it is served.
pub(crate) fn accept_definition(kinds: &Kinds, new: &mut Value, now: &Value) -> Result<(), ApiError> {
    let name = text(new, &["metadata", "name"]).to_owned();
    let (group, plural) = (
        text(new, &["spec", "group"]),
        text(new, &["spec", "names", "plural"]),
    );
    let mut causes = Vec::new();
    let full = format!("{plural}.{group}");
    if name != full {
        let why = "must be spec.names.plural+\".\"+spec.group";
        causes.push(Cause::invalid("metadata.name", &json!(name), why));
    }
    let versions = items(new, &["spec", "versions"]);
    let stored: Vec<_> = versions
        .iter()
        .filter(|version| version["storage"] == json!(true))
        .collect();
    if stored.len() != 1 {
        let why = "must have exactly one version marked as storage version";
        causes.push(Cause::invalid("spec.versions", &json!([]), why));
    }
    if kinds
        .get(group, plural)
        .is_some_and(|kind| kind.built_in.is_some())
    {
        causes.push(Cause::forbidden("spec.group", "is served by the server itself"));
    }
    for (index, version) in versions.iter().enumerate() {
        if !version["schema"]["openAPIV3Schema"].is_object() {
            let field = format!("spec.versions[{index}].schema.openAPIV3Schema");
            causes.push(Cause::required(field, "schemas are required"));
        }
    }
    if !causes.is_empty() {
        return Err(ApiError::invalid(
            "apiextensions.k8s.io",
            "CustomResourceDefinition",
            &name,
            causes,
        ));
    }
    let storage = stored.first().map(|version| version["name"].clone());
    let since = items(new, &["status", "conditions"])
        .first()
        .map_or(now.clone(), |condition| condition["lastTransitionTime"].clone());
    let condition = |kind: &str, reason: &str, message: &str| {
        json!({
            "type": kind, "status": "True", "lastTransitionTime": since, "reason": reason, "message": message,
        })
    };
    new["status"] = json!({
        "conditions": [
            condition("NamesAccepted", "NoConflicts", "no conflicts found"),
            condition("Established", "InitialNamesAccepted", "the initial names have been accepted"),
        ],
        "acceptedNames": new["spec"]["names"],
        "storedVersions": [storage],
    });
    Ok(())
}
