//! Metadata: names, uids, generations, and what writers may not touch.

use serde_json::{Value, json};

use super::json::{copy, metadata, text};
use super::kinds::Kind;
use super::server::State;
use super::status::{ApiError, Cause};
use super::store::Key;
use super::write::Write;
use crate::testing::random::Random;

/// Letters and digits that generated names end in: no vowels, nothing to confuse.
const SUFFIX: &[u8] = b"bcdfghjklmnpqrstvwxz2456789";

/// A generated name is cut to this length before its suffix.
const LONGEST_BASE: usize = 58;

pub(crate) fn version_of(object: &Value) -> &str {
    text(object, &["metadata", "resourceVersion"])
}

pub(crate) fn is_deleting(object: &Value) -> bool {
    object["metadata"]["deletionTimestamp"].is_string()
}

/// Empty maps and lists of the metadata are the same as none.
pub(crate) fn drop_empty(object: &mut Value) {
    let is_empty = |value: &Value| match value {
        Value::Object(map) => map.is_empty(),
        Value::Array(list) => list.is_empty(),
        value => value.is_null(),
    };
    // An empty list of managers means something: to forget all of them.
    metadata(object).retain(|key, value| key == "managedFields" || !is_empty(value));
}

/// Whether an object says to be of the kind it was sent to.
pub(crate) fn check_type(kind: &Kind, version: &str, object: &mut Value) -> Result<(), ApiError> {
    let api_version = kind.api_version(version);
    for (field, expected) in [("apiVersion", &api_version), ("kind", &kind.kind)] {
        let given = text(object, &[field]).to_owned();
        if given.is_empty() && kind.built_in.is_some() {
            object[field] = json!(expected);
        } else if given.is_empty() {
            let message = format!("Object '{field}' is missing in '{object}'");
            return Err(ApiError::bad_request(message));
        } else if given != *expected && field == "apiVersion" {
            return Err(ApiError::bad_request(format!(
                "the API version in the data ({given}) does not match the expected API version ({expected})"
            )));
        } else if given != *expected {
            let why = format!("must be {expected}");
            let cause = Cause::invalid("kind", &json!(given), &why);
            let name = text(object, &["metadata", "name"]).to_owned();
            if kind.built_in.is_none() {
                return Err(ApiError::invalid(&kind.group, &kind.kind, &name, vec![cause]));
            }
            return Err(ApiError::bad_request(format!(
                "{} in version {version:?} cannot be handled as a {}: {why}",
                given, kind.kind
            )));
        }
    }
    metadata(object);
    Ok(())
}

/// Sets the namespace of the path, or refuses another one.
pub(crate) fn check_namespace(write: &Write, object: &mut Value) -> Result<(), ApiError> {
    let given = text(object, &["metadata", "namespace"]).to_owned();
    if !write.kind.namespaced {
        metadata(object).remove("namespace");
        return Ok(());
    }
    if !given.is_empty() && given != write.namespace {
        return Err(ApiError::bad_request(
            "the namespace of the provided object does not match the namespace sent on the request",
        ));
    }
    metadata(object).insert("namespace".to_owned(), json!(write.namespace));
    Ok(())
}

pub(crate) fn name_for_creation(
    random: &mut Random,
    kind: &Kind,
    object: &mut Value,
) -> Result<(), ApiError> {
    let name = text(object, &["metadata", "name"]);
    let base = text(object, &["metadata", "generateName"]).to_owned();
    if name.is_empty() && base.is_empty() {
        let cause = Cause::required("metadata.name", "name or generateName is required");
        return Err(ApiError::invalid(&kind.group, &kind.kind, "", vec![cause]));
    }
    if name.is_empty() {
        let base: String = base.chars().take(LONGEST_BASE).collect();
        let suffix = (0..5).filter_map(|_| random.pick(SUFFIX).copied().map(char::from));
        let name = base + &suffix.collect::<String>();
        metadata(object).insert("name".to_owned(), json!(name));
    }
    Ok(())
}

/// New objects go only into namespaces that are there and stay.
pub(crate) fn check_namespace_is_open(
    state: &State,
    kind: &Kind,
    namespace: &str,
    name: &str,
) -> Result<(), ApiError> {
    if namespace.is_empty() {
        return Ok(());
    }
    let found = state.store.get("namespaces", &Key::new("", namespace));
    let Some(found) = found else {
        return Err(ApiError::not_found("", "namespaces", namespace));
    };
    if is_deleting(found) {
        let why =
            format!("unable to create new content in namespace {namespace} because it is being terminated");
        let mut error = ApiError::forbidden(&kind.group, &kind.plural, name, &why);
        error.causes.push(Cause {
            reason: "NamespaceTerminating",
            message: format!("namespace {namespace} is being terminated"),
            field: "metadata.namespace".to_owned(),
        });
        return Err(error);
    }
    Ok(())
}

/// What the server sets on a new object.
pub(crate) fn begin(random: &mut Random, object: &mut Value, now: &Value) {
    let metadata = metadata(object);
    for key in [
        "deletionTimestamp",
        "deletionGracePeriodSeconds",
        "resourceVersion",
        "selfLink",
        "generation",
    ] {
        metadata.remove(key);
    }
    metadata.insert("uid".to_owned(), json!(uid(random)));
    metadata.insert("creationTimestamp".to_owned(), now.clone());
}

fn uid(random: &mut Random) -> String {
    let (high, low) = (random.bits(), random.bits());
    format!(
        "{:08x}-{:04x}-4{:03x}-{:04x}-{:012x}",
        high >> 32,
        (high >> 16) & 0xffff,
        high & 0xfff,
        0x8000 | ((low >> 48) & 0x3fff),
        low & 0xffff_ffff_ffff
    )
}

/// Puts back what no writer may change.
pub(crate) fn restore(old: &Value, new: &mut Value) {
    let metadata = metadata(new);
    for key in [
        "uid",
        "creationTimestamp",
        "deletionTimestamp",
        "deletionGracePeriodSeconds",
        "generation",
        "generateName",
        "selfLink",
        "resourceVersion",
        "namespace",
        "name",
    ] {
        copy(&old["metadata"], metadata, key);
    }
}

/// What remains of a change when it goes to one part of an object only: the object without its status, or the status.
pub(crate) fn restrict(write: &Write, old: &Value, new: Value) -> Value {
    let kind = &write.kind;
    let has_status = kind.version(&write.version).is_some_and(|version| version.status);
    match &*write.subresource {
        "status" => {
            let with_metadata = kind.is("", "Pod") || kind.is("", "Node") || kind.is("", "Namespace");
            let mut kept = old.clone();
            if let Some(kept) = kept.as_object_mut() {
                copy(&new, kept, "status");
                if with_metadata {
                    copy(&new, kept, "metadata");
                }
            }
            if kind.is("", "Pod") {
                let owners = old["metadata"].clone();
                copy(&owners, metadata(&mut kept), "ownerReferences");
            }
            kept
        }
        "finalize" => {
            let mut kept = old.clone();
            kept["spec"]["finalizers"] = new["spec"]["finalizers"].clone();
            kept
        }
        _ => {
            let mut new = new;
            if let (true, Some(map)) = (has_status, new.as_object_mut()) {
                copy(old, map, "status");
            }
            if kind.is("", "Namespace") && old["spec"].is_object() {
                // Only `finalize` changes the finalizers of the spec.
                new["spec"]["finalizers"] = old["spec"]["finalizers"].clone();
            }
            new
        }
    }
}

/// The generation after a write; `None` for kinds without one.
pub(crate) fn generation(kind: &Kind, version: &str, old: Option<&Value>, new: &Value) -> Option<i64> {
    let counted = |object: &Value| match kind.built_in {
        Some(built_in) => built_in.generation.map(|part| object[part].clone()),
        None => {
            let has_status = kind.version(version).is_some_and(|version| version.status);
            let mut object = object.clone();
            if let Some(object) = object.as_object_mut() {
                object.remove("metadata");
                if has_status {
                    object.remove("status");
                }
            }
            Some(object)
        }
    };
    let after = counted(new)?;
    let Some(old) = old else {
        return Some(1);
    };
    let generation = old["metadata"]["generation"].as_i64().unwrap_or(1);
    Some(generation + i64::from(counted(old)? != after))
}
