//! Sets and pods in a few words.
#![allow(dead_code, reason = "each test file uses some of it")]

use std::sync::Arc;

use kruise_sidecar::api::{HashForm, SidecarSet, default_sidecar_set};
use kruise_sidecar::plan::{SidecarPod, Target};
use serde_json::{Value, json};

/// A set `logs` of pods `app: web` with one cold sidecar, changed by a merge patch of its spec, with its defaults.
pub(crate) fn set(change: Value) -> SidecarSet {
    set_in(HashForm::default(), change)
}

/// The same with hashes of another form.
pub(crate) fn set_in(form: HashForm, change: Value) -> SidecarSet {
    let mut object = json!({
        "metadata": {"name": "logs", "resourceVersion": "77", "generation": 1},
        "spec": {
            "selector": {"matchLabels": {"app": "web"}},
            "containers": [{"name": "agent", "image": "agent:v2"}],
        },
    });
    json_patch::merge(&mut object, &json!({ "spec": change }));
    let mut set = serde_json::from_value(object).expect("a set");
    default_sidecar_set(&mut set, form);
    set
}

pub(crate) fn target(change: Value) -> Target {
    Target::compile(&set(change), HashForm::default())
}

/// A pod as a test describes it.
#[derive(Clone, Debug)]
pub(crate) struct Pod {
    pub(crate) name: String,
    pub(crate) labels: Value,
    /// Whether it is at the state of `logs` with image `v2`; otherwise it is at `v1`.
    pub(crate) updated: bool,
    pub(crate) ready: bool,
    /// Whether the node has reported the image that the spec has.
    pub(crate) reported: bool,
    /// Whether more than images differs.
    pub(crate) immutable: bool,
}

impl Pod {
    pub(crate) fn old(index: usize) -> Self {
        Self {
            name: format!("p{index:04}"),
            labels: json!({}),
            updated: false,
            ready: true,
            reported: true,
            immutable: false,
        }
    }

    pub(crate) fn updated(index: usize) -> Self {
        Self {
            updated: true,
            ..Self::old(index)
        }
    }

    #[must_use]
    pub(crate) fn not_ready(mut self) -> Self {
        self.ready = false;
        self
    }

    #[must_use]
    pub(crate) fn label(mut self, key: &str, value: &str) -> Self {
        self.labels[key] = value.into();
        self
    }

    /// The pod of a set. All are equal but for the name, so that they stand in the order of their names.
    pub(crate) fn of(&self, set: &SidecarSet) -> Value {
        let tag = if self.updated { "v2" } else { "v1" };
        let hash = if self.updated {
            set.hash().expect("hashed")
        } else {
            "old"
        };
        let without = if self.immutable {
            "other"
        } else {
            set.hash_without_image().expect("hashed")
        };
        let mut labels = self.labels.clone();
        labels["app"] = "web".into();
        let entry = |hash: &str| json!({"logs": {"updateTimestamp": "2026-01-01T10:00:00Z", "hash": hash, "sidecarSetName": "logs"}});
        let mut annotations = json!({
            "kruise.io/sidecarset-hash": entry(hash).to_string(),
            "kruise.io/sidecarset-hash-without-image": entry(without).to_string(),
            "kruise.io/sidecarset-injected-list": "logs",
        });
        if !self.reported {
            annotations["kruise.io/sidecarset-inplace-update-state"] = json!({"logs": {"revision": hash,
                "updateTimestamp": "2026-01-01T10:00:00Z",
                "lastContainerStatuses": {"agent": {"imageID": "agent@sha256:1", "containerID": "containerd://agent-1"}}}})
            .to_string()
            .into();
        }
        let status = |name: &str, image: &str| {
            json!({"name": name, "image": image, "imageID": format!("{name}@sha256:1"), "ready": self.ready, "restartCount": 0,
                "containerID": format!("containerd://{name}-1"), "state": {"running": {"startedAt": "2026-01-01T09:00:00Z"}}})
        };
        let ready = if self.ready { "True" } else { "False" };
        let image = format!("agent:{tag}");
        json!({
            "metadata": {"name": self.name, "namespace": "shop", "uid": format!("uid-{}", self.name), "resourceVersion": "5",
                "creationTimestamp": "2026-01-01T08:00:00Z", "labels": labels, "annotations": annotations},
            "spec": {"nodeName": "n1", "containers": [{"name": "main", "image": "web:1"}, {"name": "agent", "image": image}]},
            "status": {"phase": "Running",
                "conditions": [{"type": "Ready", "status": ready, "lastTransitionTime": "2026-01-01T09:00:00Z"}],
                "containerStatuses": [status("main", "web:1"), status("agent", &image)]},
        })
    }
}

pub(crate) fn pod(json: Value) -> SidecarPod {
    serde_json::from_value(json).expect("a pod")
}

/// The pods as the cache has them.
pub(crate) fn pods(set: &SidecarSet, of: &[Pod]) -> Vec<Arc<SidecarPod>> {
    of.iter().map(|one| Arc::new(pod(one.of(set)))).collect()
}
