//! How lists and maps are merged: from a table for the fields of built-in kinds that have such rules, from the schema for
//! others.

use super::kinds::Kind;
use super::schema::Schema;

/// What server-side apply takes a list for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum ListRule {
    /// One value.
    Atomic,
    /// Each element stands for itself.
    Set,
    /// Elements are told apart by these keys.
    Map(Vec<String>),
}

/// Rules of one kind in one version.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Rules<'a> {
    schema: Option<&'a Schema>,
}

impl<'a> Rules<'a> {
    pub(crate) fn new(kind: &'a Kind, version: &str) -> Self {
        let version = kind.version(version);
        Self {
            schema: version
                .filter(|_| kind.built_in.is_none())
                .map(|version| version.schema.as_ref().unwrap_or(Schema::anything())),
        }
    }

    /// The rule for the list at a path of fields; list elements on the way are left out of it.
    pub(crate) fn list(&self, path: &[&str]) -> ListRule {
        match self.schema {
            Some(schema) if path.first() != Some(&"metadata") => {
                schema.at(path).map_or(ListRule::Atomic, Schema::list_rule)
            }
            _ => match table(path) {
                Some((_, [])) => ListRule::Set,
                Some((_, keys)) => ListRule::Map(keys.iter().map(|key| (*key).to_owned()).collect()),
                None => ListRule::Atomic,
            },
        }
    }

    /// Whether the map at a path is one value.
    pub(crate) fn is_atomic(&self, path: &[&str]) -> bool {
        match self.schema {
            Some(schema) if path.first() != Some(&"metadata") => {
                schema.at(path).is_some_and(Schema::is_atomic_map)
            }
            _ => matches!(
                path,
                [
                    _,
                    ..,
                    "selector" | "labelSelector" | "namespaceSelector" | "nodeSelector"
                ]
            ),
        }
    }

    /// The merge key of strategic merge patch for the list at a path; an empty one merges by value.
    pub(crate) fn merge_key(path: &[&str]) -> Option<&'static str> {
        table(path).map(|(key, _)| key)
    }
}

/// Key of strategic merge patch and keys of server-side apply.
fn table(path: &[&str]) -> Option<(&'static str, &'static [&'static str])> {
    Some(match path {
        ["metadata", "finalizers"] | ["spec", "podCIDRs"] => ("", &[]),
        ["metadata", "ownerReferences"] => ("uid", &["uid"]),
        [
            ..,
            "spec",
            "containers" | "initContainers" | "ephemeralContainers" | "volumes",
        ] => ("name", &["name"]),
        [.., "spec", "imagePullSecrets"] | ["imagePullSecrets" | "secrets"] | ["webhooks"] => {
            ("name", &["name"])
        }
        [.., "spec", "hostAliases"] => ("ip", &["ip"]),
        [.., "spec", "topologySpreadConstraints"] => ("topologyKey", &["topologyKey", "whenUnsatisfiable"]),
        [.., "containers" | "initContainers" | "ephemeralContainers", list] => match *list {
            "env" => ("name", &["name"]),
            "ports" => ("containerPort", &["containerPort", "protocol"]),
            "volumeMounts" => ("mountPath", &["mountPath"]),
            "volumeDevices" => ("devicePath", &["devicePath"]),
            _ => return None,
        },
        [.., "status", "podIPs"] => ("ip", &["ip"]),
        [.., "status", "conditions"] => ("type", &["type"]),
        ["status", "addresses"] => ("type", &["type"]),
        ["spec", "ports"] => ("port", &["port", "protocol"]),
        _ => return None,
    })
}

/// What a list key is where an element does not say.
pub(crate) fn default_key(key: &str) -> Option<&'static str> {
    (key == "protocol").then_some("TCP")
}
