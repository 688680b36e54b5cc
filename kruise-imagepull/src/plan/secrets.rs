//! Copies of pull secrets in the one namespace that node agents may read: one copy of each secret, shared by all jobs
//! that use it, gone with the last of them.
//!
//! A copy holds nothing of its source but type and data. Its annotations say which Secret it was made of and which jobs
//! use it, as OpenKruise's do, so copies that OpenKruise has made are found and kept.

use std::collections::BTreeSet;

use k8s_openapi::api::core::v1::Secret;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kruise_core::api::names::{SECRET_REFERENCES, SOURCE_SECRET_KEY};
use kruise_core::runtime::ObjectKey;
use serde_json::{Value, json};

use super::keyring::{DOCKER_CFG, DOCKER_CONFIG_JSON};
use crate::api::SecretReference;

#[cfg(test)]
mod tests;

/// Annotation that says how a copy came about, and the value for those that live and die with their jobs.
const MODE: (&str, &str) = ("imagepulljobs.kruise.io/mode", "batch");
/// Longest name of an object.
const MAX_NAME: usize = 253;

/// One write to the namespace of the copies.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum CopyWrite {
    /// Create this copy.
    Create(Box<Secret>),
    /// Change a copy by this merge patch, guarded by its resourceVersion.
    Patch {
        /// Name of the copy.
        name: String,
        /// The patch. Holds secrets: not for logs.
        patch: Value,
    },
    /// Delete a copy, if it is still as it was seen.
    Delete {
        /// Name of the copy.
        name: String,
        /// Its uid.
        uid: Option<String>,
        /// Its resourceVersion.
        resource_version: Option<String>,
    },
}

/// How nodes get at one pull secret of a job.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Claim {
    /// Through this copy, which may have to be written first.
    Copy {
        /// Where the copy is.
        reference: SecretReference,
        /// What to write before, if anything.
        write: Option<CopyWrite>,
    },
    /// Not at all now: a copy of another type is in the way and has to go first.
    Replace(CopyWrite),
    /// Not at all: the Secret is no pull secret. It is not copied.
    NotAPullSecret,
}

/// Returns how the nodes of `job` get at `source`. `copies` are the copies of this source, of which the first by name that
/// `job` uses, or else the first, is taken.
pub fn claim<'a>(
    job: &ObjectKey,
    source: &Secret,
    copies: impl IntoIterator<Item = &'a Secret>,
    namespace: &str,
) -> Claim {
    let type_ = source.type_.as_deref().unwrap_or_default();
    if type_ != DOCKER_CONFIG_JSON.0 && type_ != DOCKER_CFG.0 {
        return Claim::NotAPullSecret;
    }
    let user = job.to_string();
    let key = source_key(source);
    let mut copies: Vec<&Secret> = copies
        .into_iter()
        .filter(|copy| is_copy(copy) && annotation(copy, SOURCE_SECRET_KEY) == Some(&key))
        .filter(|copy| copy.metadata.deletion_timestamp.is_none())
        .collect();
    copies.sort_by_key(|copy| (!users(copy).contains(&user), copy.metadata.name.clone()));
    let Some(copy) = copies.first() else {
        let name = copy_name(source.metadata.name.as_deref().unwrap_or_default(), &key);
        return Claim::Copy {
            reference: reference(namespace, &name),
            write: Some(CopyWrite::Create(Box::new(new_copy(
                source, namespace, &name, &key, &user,
            )))),
        };
    };
    if copy.type_ != source.type_ {
        return Claim::Replace(delete(copy));
    }
    let name = copy.metadata.name.clone().unwrap_or_default();
    let mut users = users(copy);
    let mut patch = json!({});
    if users.insert(user) {
        patch["metadata"]["annotations"][SECRET_REFERENCES] = json!(join(&users));
    }
    if copy.data != source.data {
        let mut data = json!(source.data);
        let gone = copy.data.iter().flatten().map(|(key, _)| key);
        for key in gone.filter(|key| source.data.as_ref().is_none_or(|data| !data.contains_key(*key))) {
            data[key] = Value::Null;
        }
        patch["data"] = data;
    }
    let write = (patch != json!({})).then(|| CopyWrite::Patch {
        name: name.clone(),
        patch: guarded(patch, copy),
    });
    Claim::Copy {
        reference: reference(namespace, &name),
        write,
    }
}

/// Returns what to do with a copy some of whose jobs may be over. `needs` says whether the job of this key still uses the
/// source of this key.
pub fn release(copy: &Secret, needs: impl Fn(&ObjectKey, &ObjectKey) -> bool) -> Option<CopyWrite> {
    if !is_copy(copy) || copy.metadata.deletion_timestamp.is_some() {
        return None;
    }
    let source = object_key(annotation(copy, SOURCE_SECRET_KEY)?);
    let all = users(copy);
    let left: BTreeSet<String> = all
        .iter()
        .filter(|user| needs(&object_key(user), &source))
        .cloned()
        .collect();
    if left.is_empty() {
        return Some(delete(copy));
    }
    (left != all).then(|| CopyWrite::Patch {
        name: copy.metadata.name.clone().unwrap_or_default(),
        patch: guarded(
            json!({ "metadata": { "annotations": { SECRET_REFERENCES: join(&left) } } }),
            copy,
        ),
    })
}

/// Returns whether a Secret is a copy whose life the jobs decide.
pub fn is_copy(secret: &Secret) -> bool {
    annotation(secret, SOURCE_SECRET_KEY).is_some() && annotation(secret, SECRET_REFERENCES).is_some()
}

/// Returns the Secret that a copy was made of.
pub fn source_of(copy: &Secret) -> Option<ObjectKey> {
    annotation(copy, SOURCE_SECRET_KEY).map(|key| object_key(key))
}

/// Returns the jobs that use a copy.
pub fn users_of(copy: &Secret) -> Vec<ObjectKey> {
    users(copy).iter().map(|user| object_key(user)).collect()
}

fn new_copy(source: &Secret, namespace: &str, name: &str, key: &str, user: &str) -> Secret {
    let annotations = [
        (SOURCE_SECRET_KEY, key),
        (SECRET_REFERENCES, user),
        (MODE.0, MODE.1),
    ];
    Secret {
        metadata: ObjectMeta {
            name: Some(name.to_owned()),
            namespace: Some(namespace.to_owned()),
            annotations: Some(annotations.map(|(k, v)| (k.to_owned(), v.to_owned())).into()),
            ..ObjectMeta::default()
        },
        type_: source.type_.clone(),
        data: source.data.clone(),
        ..Secret::default()
    }
}

/// A name that depends on the source alone, so that two managers, or one that starts anew, do not make two copies.
fn copy_name(name: &str, key: &str) -> String {
    // FNV-1a.
    let hash = key.bytes().fold(0x811c_9dc5_u32, |hash, byte| {
        (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193)
    });
    let suffix = format!("-{:06x}", hash & 0x00ff_ffff);
    let stem = name.get(..MAX_NAME - suffix.len()).unwrap_or(name);
    format!("{}{suffix}", stem.trim_end_matches(['-', '.']))
}

fn delete(copy: &Secret) -> CopyWrite {
    CopyWrite::Delete {
        name: copy.metadata.name.clone().unwrap_or_default(),
        uid: copy.metadata.uid.clone(),
        resource_version: copy.metadata.resource_version.clone(),
    }
}

fn guarded(mut patch: Value, copy: &Secret) -> Value {
    patch["metadata"]["resourceVersion"] = json!(copy.metadata.resource_version);
    patch
}

fn source_key(source: &Secret) -> String {
    let (namespace, name) = (&source.metadata.namespace, &source.metadata.name);
    format!(
        "{}/{}",
        namespace.as_deref().unwrap_or_default(),
        name.as_deref().unwrap_or_default()
    )
}

fn reference(namespace: &str, name: &str) -> SecretReference {
    SecretReference {
        namespace: namespace.to_owned(),
        name: name.to_owned(),
    }
}

fn annotation<'a>(secret: &'a Secret, key: &str) -> Option<&'a String> {
    secret.metadata.annotations.as_ref()?.get(key)
}

fn users(copy: &Secret) -> BTreeSet<String> {
    let text = annotation(copy, SECRET_REFERENCES).map_or("", String::as_str);
    let users = text.split(',').map(str::trim).filter(|user| !user.is_empty());
    users.map(str::to_owned).collect()
}

fn join(users: &BTreeSet<String>) -> String {
    users.iter().map(String::as_str).collect::<Vec<_>>().join(",")
}

fn object_key(text: &str) -> ObjectKey {
    match text.split_once('/') {
        Some((namespace, name)) => ObjectKey::new(namespace, name),
        None => ObjectKey::cluster(text),
    }
}
