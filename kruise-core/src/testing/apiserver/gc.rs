//! What happens to objects whose time has come: finalizers, owners, namespaces, definitions.

use std::collections::HashSet;
use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use super::json::{items, metadata, number, text, time};
use super::kinds::Kind;
use super::meta::is_deleting;
use super::server::State;
use super::store::Key;

/// Finalizer that waits for the dependents to go.
pub(crate) const FOREGROUND: &str = "foregroundDeletion";
/// Finalizer that lets the dependents stay.
pub(crate) const ORPHAN: &str = "orphan";

/// How an object is deleted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Propagation {
    #[default]
    Background,
    Foreground,
    Orphan,
}

/// What a deletion did.
#[derive(Clone, Debug)]
pub(crate) enum Deleted {
    /// It is gone; its last state.
    Removed(Arc<Value>),
    /// It waits for a node or for finalizers.
    Marked(Arc<Value>),
}

/// Stores a new state, or removes the object if it is being deleted and nothing holds it any more.
pub(crate) fn put_or_remove(state: &mut State, kind: &Arc<Kind>, key: Key, new: Value) -> Arc<Value> {
    let held = !items(&new, &["metadata", "finalizers"]).is_empty()
        || number(&new, &["metadata", "deletionGracePeriodSeconds"]).is_some_and(|seconds| seconds > 0)
        || (kind.is("", "Namespace") && !items(&new, &["spec", "finalizers"]).is_empty());
    if is_deleting(&new) && !held {
        return remove(state, kind, &key).unwrap_or_else(|| Arc::new(new));
    }
    if kind.is("apiextensions.k8s.io", "CustomResourceDefinition") {
        state.kinds.insert(Kind::from_definition(&new));
    }
    state.store.put(&kind.resource, key, new)
}

fn remove(state: &mut State, kind: &Arc<Kind>, key: &Key) -> Option<Arc<Value>> {
    let removed = state.store.remove(&kind.resource, key)?;
    if kind.is("apiextensions.k8s.io", "CustomResourceDefinition") {
        let definition = Kind::from_definition(&removed);
        let keys: Vec<_> = state
            .store
            .list(&definition.resource)
            .map(|(key, _)| key.clone())
            .collect();
        for key in keys {
            state.store.remove(&definition.resource, &key);
        }
        state.kinds.remove(&definition.group, &definition.plural);
    }
    Some(removed)
}

/// Begins, hastens or ends the deletion of an object. `grace` is for pods only.
pub(crate) fn delete(
    state: &mut State,
    kind: &Arc<Kind>,
    key: &Key,
    grace: Option<u64>,
    propagation: Option<Propagation>,
    now: Timestamp,
) -> Option<Deleted> {
    let old = state.store.get(&kind.resource, key)?.clone();
    let mut new = (*old).clone();
    let grace = grace_of(kind, &old, grace);
    let before = number(&old, &["metadata", "deletionGracePeriodSeconds"]);
    let meta = metadata(&mut new);
    if let (false, Some(generation)) = (is_deleting(&old), number(&old, &["metadata", "generation"])) {
        meta.insert("generation".to_owned(), json!(generation + 1));
    }
    // A second deletion may only make the time shorter.
    if before.is_none_or(|before| grace < before) {
        let seconds = SignedDuration::from_secs(grace);
        let at = now.checked_add(seconds).unwrap_or(Timestamp::MAX);
        meta.insert("deletionTimestamp".to_owned(), time(at));
        meta.insert("deletionGracePeriodSeconds".to_owned(), json!(grace));
    }
    let mut finalizers = items(&old, &["metadata", "finalizers"]).to_vec();
    if let Some(propagation) = propagation {
        finalizers.retain(|finalizer| finalizer != FOREGROUND && finalizer != ORPHAN);
        match propagation {
            Propagation::Background => {}
            Propagation::Foreground => finalizers.push(json!(FOREGROUND)),
            Propagation::Orphan => finalizers.push(json!(ORPHAN)),
        }
    }
    if finalizers.is_empty() {
        meta.remove("finalizers");
    } else {
        meta.insert("finalizers".to_owned(), Value::Array(finalizers));
    }
    if kind.is("", "Namespace") {
        new["status"]["phase"] = json!("Terminating");
    }
    if new == *old {
        return Some(Deleted::Marked(old));
    }
    let stored = put_or_remove(state, kind, key.clone(), new);
    if state.store.get(&kind.resource, key).is_some() {
        Some(Deleted::Marked(stored))
    } else {
        Some(Deleted::Removed(stored))
    }
}

/// Seconds that a pod has to end. Pods that run nowhere need none, nor do other kinds.
fn grace_of(kind: &Kind, old: &Value, asked: Option<u64>) -> i64 {
    let runs = kind.is("", "Pod")
        && !text(old, &["spec", "nodeName"]).is_empty()
        && !matches!(text(old, &["status", "phase"]), "Failed" | "Succeeded");
    if !runs {
        return 0;
    }
    let asked = asked.map(|asked| i64::try_from(asked).unwrap_or(i64::MAX));
    asked
        .or(number(old, &["spec", "terminationGracePeriodSeconds"]))
        .unwrap_or(30)
        .max(0)
}

/// Does what the garbage collector and the namespace controller do, until nothing is left to do.
pub(crate) fn collect(state: &mut State, now: Timestamp) {
    loop {
        let before = state.store.revision();
        collect_owned(state, now);
        collect_namespaces(state, now);
        if state.store.revision() == before {
            return;
        }
    }
}

/// An object with what the collector must know of it.
struct Node {
    kind: Arc<Kind>,
    key: Key,
    object: Arc<Value>,
}

fn collect_owned(state: &mut State, now: Timestamp) {
    let mut uids = HashSet::new();
    let (mut owned, mut waiting) = (Vec::new(), Vec::new());
    let resources: Vec<_> = state.store.resources().cloned().collect();
    for resource in resources {
        let Some(kind) = state.kinds.by_resource(&resource).cloned() else {
            continue;
        };
        for (key, object) in state.store.list(&resource) {
            uids.insert(text(object, &["metadata", "uid"]).to_owned());
            let node = || Node {
                kind: kind.clone(),
                key: key.clone(),
                object: object.clone(),
            };
            if !items(object, &["metadata", "ownerReferences"]).is_empty() {
                owned.push(node());
            }
            let finalizers = items(object, &["metadata", "finalizers"]);
            if is_deleting(object) && finalizers.iter().any(|one| one == FOREGROUND || one == ORPHAN) {
                waiting.push(node());
            }
        }
    }
    for node in waiting {
        release(state, &node, &owned, now);
    }
    for node in owned {
        let owners = items(&node.object, &["metadata", "ownerReferences"]);
        let known: Vec<_> = owners
            .iter()
            .filter(|owner| uids.contains(text(owner, &["uid"])))
            .cloned()
            .collect();
        if known.is_empty() {
            if !is_deleting(&node.object) {
                delete(state, &node.kind, &node.key, None, None, now);
            }
        } else if known.len() < owners.len() {
            amend(state, &node, |metadata| {
                metadata.insert("ownerReferences".to_owned(), Value::Array(known));
            });
        }
    }
}

/// Ends the wait of an owner for its dependents.
fn release(state: &mut State, owner: &Node, owned: &[Node], now: Timestamp) {
    let uid = text(&owner.object, &["metadata", "uid"]);
    let finalizers = items(&owner.object, &["metadata", "finalizers"]);
    let refers = |reference: &Value| text(reference, &["uid"]) == uid;
    let mut blocked = false;
    let mine = owned.iter().filter(|node| {
        items(&node.object, &["metadata", "ownerReferences"])
            .iter()
            .any(refers)
    });
    if finalizers.iter().any(|one| one == ORPHAN) {
        for node in mine {
            amend(state, node, |metadata| {
                if let Some(owners) = metadata.get_mut("ownerReferences").and_then(Value::as_array_mut) {
                    owners.retain(|owner| !refers(owner));
                }
                if metadata["ownerReferences"] == json!([]) {
                    metadata.remove("ownerReferences");
                }
            });
        }
    } else {
        for node in mine {
            let owners = items(&node.object, &["metadata", "ownerReferences"]);
            if owners.len() == 1 && !is_deleting(&node.object) {
                delete(state, &node.kind, &node.key, None, None, now);
            }
            let blocks = owners
                .iter()
                .any(|owner| refers(owner) && owner["blockOwnerDeletion"] == json!(true));
            blocked |= blocks && state.store.get(&node.kind.resource, &node.key).is_some();
        }
    }
    if !blocked {
        amend(state, owner, |metadata| {
            if let Some(finalizers) = metadata.get_mut("finalizers").and_then(Value::as_array_mut) {
                finalizers.retain(|one| one != FOREGROUND && one != ORPHAN);
            }
        });
    }
}

/// Changes the metadata of an object as it is now.
fn amend(state: &mut State, node: &Node, change: impl FnOnce(&mut serde_json::Map<String, Value>)) {
    if let Some(present) = state.store.get(&node.kind.resource, &node.key).cloned() {
        let mut new = (*present).clone();
        change(metadata(&mut new));
        if new != *present {
            put_or_remove(state, &node.kind, node.key.clone(), new);
        }
    }
}

fn collect_namespaces(state: &mut State, now: Timestamp) {
    let ending: Vec<_> = state
        .store
        .list("namespaces")
        .filter(|(_, namespace)| is_deleting(namespace))
        .map(|(key, namespace)| (key.clone(), namespace.clone()))
        .collect();
    for (key, namespace) in ending {
        let resources: Vec<_> = state.store.resources().cloned().collect();
        let mut left = false;
        for resource in resources {
            let inside: Vec<_> = state
                .store
                .list(&resource)
                .filter(|(inside, _)| inside.namespace == key.name)
                .map(|(key, object)| (key.clone(), is_deleting(object)))
                .collect();
            let Some(kind) = state.kinds.by_resource(&resource).cloned() else {
                continue;
            };
            for (inside, deleting) in inside {
                if !deleting {
                    delete(state, &kind, &inside, None, None, now);
                }
                left |= state.store.get(&resource, &inside).is_some();
            }
        }
        let Some(kind) = state.kinds.get("", "namespaces").cloned() else {
            continue;
        };
        if !left && !items(&namespace, &["spec", "finalizers"]).is_empty() {
            let mut new = (*namespace).clone();
            new["spec"] = json!({});
            put_or_remove(state, &kind, key, new);
        }
    }
}
