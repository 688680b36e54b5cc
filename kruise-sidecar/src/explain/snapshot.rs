//! What is known of a cluster.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use kruise_core::runtime::{Cached as _, ObjectKey};
use kruise_core::webhook::Converter as _;
use serde_json::Value;

use crate::api::names::{API_VERSION, API_VERSION_V1BETA1, KIND};
use crate::api::{SidecarSet, SidecarSetConverter};
use crate::plan::SidecarPod;

/// Lists in lists beyond this depth are refused.
const MAX_DEPTH: usize = 8;

/// An object that cannot be read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SnapshotError {
    /// It is no object with a kind.
    #[error("not a Kubernetes object: it has no kind")]
    NoKind,
    /// Its kind is one that is looked at, and its fields are not those of the kind.
    #[error("{kind} {name:?} cannot be read")]
    Unreadable {
        /// Its kind.
        kind: String,
        /// Its name, as far as it has one.
        name: String,
        /// What is wrong with it.
        #[source]
        source: serde_json::Error,
    },
    /// A SidecarSet of a version that is not known.
    #[error("SidecarSet {name:?}: {reason}")]
    Version {
        /// Its name.
        name: String,
        /// Which version.
        reason: String,
    },
    /// Lists in lists in lists.
    #[error("lists are nested too deep")]
    TooDeep,
}

/// A pod, with its JSON if that is known: only then a difference that keeps it from being upgraded can be named, and why a
/// container does not start.
#[derive(Clone, Debug)]
pub struct KnownPod {
    /// What the planner reads of it.
    pub pod: Arc<SidecarPod>,
    /// All of it.
    pub object: Option<Value>,
}

impl From<Arc<SidecarPod>> for KnownPod {
    fn from(pod: Arc<SidecarPod>) -> Self {
        Self { pod, object: None }
    }
}

/// Sets, pods and namespaces at one time.
#[derive(Clone, Debug, Default)]
pub struct Snapshot {
    /// The sets.
    pub sets: Vec<SidecarSet>,
    /// The pods.
    pub pods: Vec<KnownPod>,
    /// The labels of namespaces; needed only for sets with a `namespaceSelector`.
    pub namespaces: BTreeMap<String, BTreeMap<String, String>>,
    /// Where in `pods` each is that was taken in as JSON.
    places: HashMap<ObjectKey, usize>,
}

impl Snapshot {
    /// Takes in an object, or a list of objects, as `kubectl get -o json` prints them: SidecarSets of both versions, Pods
    /// and Namespaces. Other kinds are passed over. An object that comes again replaces the one before.
    ///
    /// # Errors
    /// It is no object, or not what its kind says. What came before it in a list has been taken in.
    pub fn add(&mut self, object: Value) -> Result<(), SnapshotError> {
        self.add_at(object, 0)
    }

    fn add_at(&mut self, mut object: Value, depth: usize) -> Result<(), SnapshotError> {
        if depth > MAX_DEPTH {
            return Err(SnapshotError::TooDeep);
        }
        let text = |field: &str| object.get(field).and_then(Value::as_str).map(str::to_owned);
        let kind = text("kind").ok_or(SnapshotError::NoKind)?;
        let version = text("apiVersion").unwrap_or_default();
        if let Some(Value::Array(items)) = object.get_mut("items").map(Value::take) {
            // Items of lists that the API itself gives do not say what they are.
            let of = kind.strip_suffix("List").filter(|kind| !kind.is_empty());
            for mut item in items {
                if let (Some(fields), Some(of)) = (item.as_object_mut(), of) {
                    fields.entry("kind").or_insert_with(|| of.into());
                    fields
                        .entry("apiVersion")
                        .or_insert_with(|| version.clone().into());
                }
                self.add_at(item, depth + 1)?;
            }
            return Ok(());
        }
        match (kind.as_str(), version.as_str()) {
            (KIND, _) if version.starts_with("apps.kruise.io/") => self.add_set(object, &version),
            ("Pod", "v1") => self.add_pod(object),
            ("Namespace", "v1") => {
                let meta = object.get("metadata");
                let labels = meta
                    .and_then(|meta| meta.get("labels"))
                    .and_then(Value::as_object);
                let labels = labels.into_iter().flatten();
                let labels =
                    labels.filter_map(|(key, value)| Some((key.clone(), value.as_str()?.to_owned())));
                self.namespaces.insert(name_of(&object), labels.collect());
                Ok(())
            }
            _ => Ok(()),
        }
    }

    fn add_set(&mut self, mut object: Value, version: &str) -> Result<(), SnapshotError> {
        let name = name_of(&object);
        if version == API_VERSION_V1BETA1 {
            let converted = SidecarSetConverter.convert(&mut object, API_VERSION);
            converted.map_err(|reason| SnapshotError::Version {
                name: name.clone(),
                reason,
            })?;
            if let Some(fields) = object.as_object_mut() {
                fields.insert("apiVersion".to_owned(), API_VERSION.into());
            }
        } else if version != API_VERSION {
            return Err(SnapshotError::Version {
                name,
                reason: format!("version {version} is not known"),
            });
        }
        // As manifests that a tool has written have it.
        let empty = |status: &Value| status.as_object().is_some_and(serde_json::Map::is_empty);
        if let Some(fields) = object
            .as_object_mut()
            .filter(|set| set.get("status").is_some_and(empty))
        {
            fields.remove("status");
        }
        let set: SidecarSet =
            serde_json::from_value(object).map_err(|source| unreadable(KIND, &name, source))?;
        self.sets.retain(|held| held.name() != set.name());
        self.sets.push(set);
        Ok(())
    }

    fn add_pod(&mut self, object: Value) -> Result<(), SnapshotError> {
        let read = serde_json::from_value::<SidecarPod>(object.clone());
        let pod = read.map_err(|source| unreadable("Pod", &name_of(&object), source))?;
        let key = pod.key();
        let known = KnownPod {
            pod: Arc::new(pod),
            object: Some(object),
        };
        // The same pod in two files: the last one counts.
        let held = self.places.get(&key).and_then(|at| self.pods.get_mut(*at));
        match held.filter(|held| held.pod.pod().key == key) {
            Some(held) => *held = known,
            None => {
                self.places.insert(key, self.pods.len());
                self.pods.push(known);
            }
        }
        Ok(())
    }
}

fn name_of(object: &Value) -> String {
    let name = object.get("metadata").and_then(|meta| meta.get("name"));
    name.and_then(Value::as_str).unwrap_or_default().to_owned()
}

fn unreadable(kind: &str, name: &str, source: serde_json::Error) -> SnapshotError {
    SnapshotError::Unreadable {
        kind: kind.to_owned(),
        name: name.to_owned(),
        source,
    }
}
