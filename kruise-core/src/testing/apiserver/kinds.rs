//! The kinds that are served: built-in ones from a table, others from CustomResourceDefinitions.

use std::collections::BTreeMap;
use std::sync::Arc;

use k8s_openapi::api::{
    admissionregistration::v1 as admission, apps::v1 as apps, coordination::v1 as coordination,
};
use k8s_openapi::api::{core::v1 as core, events::v1 as events};
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::json::{items, set, text};
use super::schema::Schema;
use super::status::qualified;
use super::store::Resource;

/// A kind in all its versions.
#[derive(Debug)]
pub(crate) struct Kind {
    /// Where objects are stored.
    pub(crate) resource: Resource,
    pub(crate) group: String,
    pub(crate) kind: String,
    pub(crate) list_kind: String,
    pub(crate) plural: String,
    pub(crate) singular: String,
    pub(crate) short_names: Vec<String>,
    pub(crate) categories: Vec<String>,
    pub(crate) namespaced: bool,
    pub(crate) versions: Vec<Version>,
    pub(crate) built_in: Option<&'static BuiltIn>,
}

#[derive(Debug)]
pub(crate) struct Version {
    pub(crate) name: String,
    pub(crate) served: bool,
    pub(crate) storage: bool,
    pub(crate) status: bool,
    pub(crate) scale: Option<ScalePaths>,
    pub(crate) schema: Option<Schema>,
    /// Fields beyond name and namespace that field selectors may name.
    pub(crate) fields: Vec<String>,
}

/// Where a kind keeps what its `scale` subresource shows.
#[derive(Clone, Debug)]
pub(crate) struct ScalePaths {
    pub(crate) spec: Vec<String>,
    pub(crate) status: Vec<String>,
    /// A text, or for built-in kinds a label selector object.
    pub(crate) selector: Option<Vec<String>>,
}

/// What the server knows of a kind by itself.
#[derive(Debug)]
pub(crate) struct BuiltIn {
    group: &'static str,
    version: &'static str,
    pub(crate) kind: &'static str,
    plural: &'static str,
    short_names: &'static [&'static str],
    namespaced: bool,
    status: bool,
    scale: bool,
    fields: &'static [&'static str],
    /// Part whose changes count as a new generation, if the kind has one.
    pub(crate) generation: Option<&'static str>,
    /// PUT without resourceVersion is taken.
    pub(crate) unconditional: bool,
    /// PUT of what is not there creates it.
    pub(crate) upsert: bool,
    /// Checks types and drops fields the kind does not have.
    pub(crate) decode: fn(Value) -> Result<Value, serde_json::Error>,
}

fn decode<T: DeserializeOwned + Serialize>(value: Value) -> Result<Value, serde_json::Error> {
    serde_json::to_value(serde_json::from_value::<T>(value)?)
}

const fn core_kind(kind: &'static str, plural: &'static str) -> BuiltIn {
    BuiltIn {
        group: "",
        version: "v1",
        kind,
        plural,
        short_names: &[],
        namespaced: true,
        status: false,
        scale: false,
        fields: &[],
        generation: None,
        unconditional: true,
        upsert: false,
        decode: Ok,
    }
}

const fn workload(kind: &'static str, plural: &'static str) -> BuiltIn {
    BuiltIn {
        group: "apps",
        status: true,
        scale: true,
        generation: Some("spec"),
        ..core_kind(kind, plural)
    }
}

static BUILT_IN: &[BuiltIn] = &[
    BuiltIn {
        short_names: &["po"],
        status: true,
        fields: &[
            "spec.nodeName",
            "spec.restartPolicy",
            "spec.schedulerName",
            "spec.serviceAccountName",
            "status.phase",
            "status.podIP",
            "status.nominatedNodeName",
        ],
        decode: decode::<core::Pod>,
        ..core_kind("Pod", "pods")
    },
    BuiltIn {
        short_names: &["no"],
        namespaced: false,
        status: true,
        fields: &["spec.unschedulable"],
        decode: decode::<core::Node>,
        ..core_kind("Node", "nodes")
    },
    BuiltIn {
        short_names: &["ns"],
        namespaced: false,
        status: true,
        fields: &["status.phase"],
        decode: decode::<core::Namespace>,
        ..core_kind("Namespace", "namespaces")
    },
    BuiltIn {
        fields: &["type"],
        decode: decode::<core::Secret>,
        ..core_kind("Secret", "secrets")
    },
    BuiltIn {
        short_names: &["cm"],
        decode: decode::<core::ConfigMap>,
        ..core_kind("ConfigMap", "configmaps")
    },
    BuiltIn {
        short_names: &["svc"],
        status: true,
        upsert: true,
        decode: decode::<core::Service>,
        ..core_kind("Service", "services")
    },
    BuiltIn {
        short_names: &["sa"],
        unconditional: false,
        decode: decode::<core::ServiceAccount>,
        ..core_kind("ServiceAccount", "serviceaccounts")
    },
    BuiltIn {
        short_names: &["ev"],
        upsert: true,
        fields: &[
            "involvedObject.kind",
            "involvedObject.namespace",
            "involvedObject.name",
            "involvedObject.uid",
            "involvedObject.apiVersion",
            "involvedObject.resourceVersion",
            "involvedObject.fieldPath",
            "reason",
            "type",
        ],
        decode: decode::<core::Event>,
        ..core_kind("Event", "events")
    },
    BuiltIn {
        group: "events.k8s.io",
        short_names: &["ev"],
        upsert: true,
        decode: decode::<events::Event>,
        ..core_kind("Event", "events")
    },
    BuiltIn {
        short_names: &["deploy"],
        decode: decode::<apps::Deployment>,
        ..workload("Deployment", "deployments")
    },
    BuiltIn {
        short_names: &["rs"],
        fields: &["status.replicas"],
        decode: decode::<apps::ReplicaSet>,
        ..workload("ReplicaSet", "replicasets")
    },
    BuiltIn {
        short_names: &["sts"],
        decode: decode::<apps::StatefulSet>,
        ..workload("StatefulSet", "statefulsets")
    },
    BuiltIn {
        short_names: &["ds"],
        scale: false,
        decode: decode::<apps::DaemonSet>,
        ..workload("DaemonSet", "daemonsets")
    },
    BuiltIn {
        group: "apps",
        decode: decode::<apps::ControllerRevision>,
        ..core_kind("ControllerRevision", "controllerrevisions")
    },
    BuiltIn {
        group: "coordination.k8s.io",
        unconditional: false,
        upsert: true,
        decode: decode::<coordination::Lease>,
        ..core_kind("Lease", "leases")
    },
    BuiltIn {
        group: "admissionregistration.k8s.io",
        namespaced: false,
        unconditional: false,
        generation: Some("webhooks"),
        decode: decode::<admission::MutatingWebhookConfiguration>,
        ..core_kind("MutatingWebhookConfiguration", "mutatingwebhookconfigurations")
    },
    BuiltIn {
        group: "admissionregistration.k8s.io",
        namespaced: false,
        unconditional: false,
        generation: Some("webhooks"),
        decode: decode::<admission::ValidatingWebhookConfiguration>,
        ..core_kind(
            "ValidatingWebhookConfiguration",
            "validatingwebhookconfigurations",
        )
    },
    BuiltIn {
        group: "apiextensions.k8s.io",
        short_names: &["crd", "crds"],
        namespaced: false,
        status: true,
        unconditional: false,
        generation: Some("spec"),
        decode: decode::<CustomResourceDefinition>,
        ..core_kind("CustomResourceDefinition", "customresourcedefinitions")
    },
];

impl Kind {
    fn from_table(built_in: &'static BuiltIn) -> Self {
        let words = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect();
        let scale = built_in.scale.then(|| ScalePaths {
            spec: words(&["spec", "replicas"]),
            status: words(&["status", "replicas"]),
            selector: Some(words(&["spec", "selector"])),
        });
        // Events of both groups are the same objects.
        let stored_group = match built_in.group {
            "events.k8s.io" => "",
            group => group,
        };
        Self {
            resource: qualified(stored_group, built_in.plural).into(),
            group: built_in.group.to_owned(),
            kind: built_in.kind.to_owned(),
            list_kind: format!("{}List", built_in.kind),
            plural: built_in.plural.to_owned(),
            singular: String::new(),
            short_names: words(built_in.short_names),
            categories: Vec::new(),
            namespaced: built_in.namespaced,
            versions: vec![Version {
                name: built_in.version.to_owned(),
                served: true,
                storage: true,
                status: built_in.status,
                scale,
                schema: None,
                fields: words(built_in.fields),
            }],
            built_in: Some(built_in),
        }
    }

    /// From a CustomResourceDefinition that has been found valid.
    pub(crate) fn from_definition(definition: &Value) -> Self {
        let spec = &definition["spec"];
        let names = &spec["names"];
        let word = |path: &[&str]| text(names, path).to_owned();
        let kind = word(&["kind"]);
        let or = |given: String, default: String| if given.is_empty() { default } else { given };
        Self {
            resource: qualified(text(spec, &["group"]), text(names, &["plural"])).into(),
            group: text(spec, &["group"]).to_owned(),
            list_kind: or(word(&["listKind"]), format!("{kind}List")),
            singular: or(word(&["singular"]), kind.to_lowercase()),
            kind,
            plural: word(&["plural"]),
            short_names: texts(items(names, &["shortNames"])),
            categories: texts(items(names, &["categories"])),
            namespaced: text(spec, &["scope"]) == "Namespaced",
            versions: items(spec, &["versions"])
                .iter()
                .map(Version::from_definition)
                .collect(),
            built_in: None,
        }
    }

    pub(crate) fn is(&self, group: &str, kind: &str) -> bool {
        self.group == group && self.kind == kind
    }

    pub(crate) fn version(&self, name: &str) -> Option<&Version> {
        self.versions
            .iter()
            .find(|version| version.name == name && version.served)
    }

    /// `v1` or `apps.kruise.io/v1alpha1`.
    pub(crate) fn api_version(&self, version: &str) -> String {
        match &*self.group {
            "" => version.to_owned(),
            group => format!("{group}/{version}"),
        }
    }

    /// The object as it reads in a version.
    pub(crate) fn show(&self, stored: &Value, version: &str) -> Value {
        let mut value = stored.clone();
        if self.group == "events.k8s.io" {
            rename(&mut value, EVENT_FIELDS.iter().map(|(new, old)| (*old, *new)));
        }
        set(&mut value, &["apiVersion"], json!(self.api_version(version)));
        set(&mut value, &["kind"], json!(self.kind));
        value
    }

    /// The object in a version as a type.
    pub(crate) fn decode<T: DeserializeOwned>(&self, stored: &Value, version: &str) -> Option<T> {
        if text(stored, &["apiVersion"]) == self.api_version(version) {
            return T::deserialize(stored).ok();
        }
        T::deserialize(self.show(stored, version)).ok()
    }

    /// The object as it is stored.
    pub(crate) fn stored(&self, mut value: Value) -> Value {
        let mut group = &*self.group;
        if group == "events.k8s.io" {
            rename(&mut value, EVENT_FIELDS.iter().copied());
            group = "";
        }
        let storage = self.versions.iter().find(|version| version.storage);
        let version = storage.or(self.versions.first());
        let version = version.map_or("v1", |version| &*version.name);
        let api_version = match group {
            "" => version.to_owned(),
            group => format!("{group}/{version}"),
        };
        set(&mut value, &["apiVersion"], json!(api_version));
        value
    }
}

/// Names of an event's fields in `events.k8s.io` and in the core group.
const EVENT_FIELDS: [(&str, &str); 7] = [
    ("regarding", "involvedObject"),
    ("note", "message"),
    ("reportingController", "reportingComponent"),
    ("deprecatedSource", "source"),
    ("deprecatedFirstTimestamp", "firstTimestamp"),
    ("deprecatedLastTimestamp", "lastTimestamp"),
    ("deprecatedCount", "count"),
];

fn rename<'a>(value: &mut Value, names: impl Iterator<Item = (&'a str, &'a str)>) {
    if let Some(map) = value.as_object_mut() {
        for (from, to) in names {
            if let Some(value) = map.remove(from) {
                map.insert(to.to_owned(), value);
            }
        }
    }
}

fn texts(values: &[Value]) -> Vec<String> {
    values
        .iter()
        .filter_map(Value::as_str)
        .map(str::to_owned)
        .collect()
}

/// `.spec.replicas` as keys.
fn json_path(path: &str) -> Vec<String> {
    path.split('.')
        .filter(|key| !key.is_empty())
        .map(str::to_owned)
        .collect()
}

impl Version {
    fn from_definition(version: &Value) -> Self {
        let scale = &version["subresources"]["scale"];
        Self {
            name: text(version, &["name"]).to_owned(),
            served: version["served"].as_bool().unwrap_or_default(),
            storage: version["storage"].as_bool().unwrap_or_default(),
            status: version["subresources"]["status"].is_object(),
            scale: scale.is_object().then(|| ScalePaths {
                spec: json_path(text(scale, &["specReplicasPath"])),
                status: json_path(text(scale, &["statusReplicasPath"])),
                selector: Some(json_path(text(scale, &["labelSelectorPath"])))
                    .filter(|path| !path.is_empty()),
            }),
            schema: version
                .get("schema")
                .and_then(|schema| schema.get("openAPIV3Schema"))
                .map(Schema::root),
            fields: items(version, &["selectableFields"])
                .iter()
                .map(|field| text(field, &["jsonPath"]).trim_start_matches('.').to_owned())
                .collect(),
        }
    }
}

/// All kinds, by group and plural.
#[derive(Debug)]
pub(crate) struct Kinds(BTreeMap<(String, String), Arc<Kind>>);

impl Kinds {
    pub(crate) fn built_in() -> Self {
        let kinds = BUILT_IN.iter().map(|built_in| {
            let kind = Kind::from_table(built_in);
            ((kind.group.clone(), kind.plural.clone()), Arc::new(kind))
        });
        Self(kinds.collect())
    }

    pub(crate) fn get(&self, group: &str, plural: &str) -> Option<&Arc<Kind>> {
        self.0.get(&(group.to_owned(), plural.to_owned()))
    }

    pub(crate) fn insert(&mut self, kind: Kind) {
        self.0
            .insert((kind.group.clone(), kind.plural.clone()), Arc::new(kind));
    }

    pub(crate) fn remove(&mut self, group: &str, plural: &str) {
        self.0.remove(&(group.to_owned(), plural.to_owned()));
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &Arc<Kind>> {
        self.0.values()
    }

    /// By the kind's name, for owner references.
    pub(crate) fn by_kind(&self, group: &str, kind: &str) -> Option<&Arc<Kind>> {
        self.iter().find(|known| known.is(group, kind))
    }

    /// The kind that stores a resource.
    pub(crate) fn by_resource(&self, resource: &str) -> Option<&Arc<Kind>> {
        self.iter()
            .find(|kind| &*kind.resource == resource && qualified(&kind.group, &kind.plural) == resource)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_of_both_groups_are_one() {
        let kinds = Kinds::built_in();
        let new = kinds.get("events.k8s.io", "events").unwrap();
        let old = kinds.get("", "events").unwrap();
        assert_eq!(new.resource, old.resource);
        let event = json!({"apiVersion": "events.k8s.io/v1", "kind": "Event", "note": "n", "regarding": {"name": "a"}});
        let stored = new.stored(event.clone());
        assert_eq!(
            old.show(&stored, "v1"),
            json!({"apiVersion": "v1", "kind": "Event", "message": "n", "involvedObject": {"name": "a"}})
        );
        assert_eq!(new.show(&stored, "v1"), event);
        assert_eq!(&*kinds.by_resource("events").unwrap().group, "");
    }
}
