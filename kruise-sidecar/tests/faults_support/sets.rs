//! The sets, and what is asked of their pods.

use k8s_openapi::api::core::v1::{ContainerStatus, Pod};
use kruise_sidecar::api::{InjectedHashes, WorkingContainers};
use serde_json::{Value, json};

/// Image of an idle container.
pub(crate) const EMPTY: &str = "empty:1";

/// The annotation that sets patch.
pub(crate) const ANNOTATION: &str = "example.com/version";

/// A set of the test.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Set {
    pub(crate) name: &'static str,
    /// Value of the label `app` of its pods.
    pub(crate) app: &'static str,
    pub(crate) hot: bool,
    /// The share of pods that stay as they are, in percent.
    pub(crate) partition: usize,
    /// Whether it patches an annotation of its pods.
    pub(crate) annotates: bool,
}

/// Two sets on pods that come and go, one of them hot; one that keeps some of its pods as they are and patches annotations of
/// the others; one whose pods can not always be upgraded.
pub(crate) const SETS: [Set; 4] = [
    Set {
        name: "logs",
        app: "web",
        hot: false,
        partition: 0,
        annotates: false,
    },
    Set {
        name: "mesh",
        app: "web",
        hot: true,
        partition: 0,
        annotates: false,
    },
    Set {
        name: "kept",
        app: "kept",
        hot: false,
        partition: 40,
        annotates: true,
    },
    Set {
        name: "rigid",
        app: "rigid",
        hot: false,
        partition: 0,
        annotates: false,
    },
];

impl Set {
    /// The set with its sidecar, which is named like it, at a version.
    pub(crate) fn object(&self, version: u64) -> Value {
        let mut spec = self.spec(version);
        spec["selector"] = json!({"matchLabels": {"app": self.app}});
        let partition = match self.partition {
            0 => json!(0),
            percent => json!(format!("{percent}%")),
        };
        spec["updateStrategy"] = json!({"maxUnavailable": 1, "partition": partition});
        json!({
            "apiVersion": "apps.kruise.io/v1alpha1", "kind": "SidecarSet", "metadata": {"name": self.name}, "spec": spec,
        })
    }

    /// What of its spec belongs to a version.
    pub(crate) fn spec(&self, version: u64) -> Value {
        let mut spec = json!({ "containers": self.containers(version) });
        if self.annotates {
            let annotations = json!({ ANNOTATION: format!("v{version}") });
            spec["patchPodMetadata"] = json!([{"annotations": annotations, "patchPolicy": "Overwrite"}]);
        }
        spec
    }

    /// How many of so many pods stay as they are.
    pub(crate) fn keeps(&self, pods: usize) -> usize {
        (self.partition * pods).div_ceil(100)
    }

    pub(crate) fn containers(&self, version: u64) -> Value {
        let mut container = json!({"name": self.name, "image": self.image(version)});
        if self.hot {
            container["upgradeStrategy"] =
                json!({"upgradeType": "HotUpgrade", "hotUpgradeEmptyImage": EMPTY});
        }
        json!([container])
    }

    pub(crate) fn image(&self, version: u64) -> String {
        format!("{}:v{version}", self.name)
    }

    /// Names of its containers in a pod.
    fn names(&self) -> Vec<String> {
        match self.hot {
            true => vec![format!("{}-1", self.name), format!("{}-2", self.name)],
            false => vec![self.name.to_owned()],
        }
    }

    /// The container that works.
    fn working(&self, pod: &Pod) -> String {
        let annotation = annotation(pod, "kruise.io/sidecarset-working-hotupgrade-container");
        let working = WorkingContainers::parse(annotation).expect("well written").0;
        working
            .get(self.name)
            .cloned()
            .unwrap_or_else(|| self.name.to_owned())
    }

    /// The version of the container that works.
    pub(crate) fn version(&self, pod: &Pod) -> u64 {
        let image = image(pod, &self.working(pod));
        let number = image.rsplit('v').next().and_then(|number| number.parse().ok());
        number.unwrap_or_else(|| panic!("image {image:?} of {:?}", pod.metadata.name))
    }

    /// The hash that a pod says it has, if the set was injected into it.
    pub(crate) fn hash(&self, pod: &Pod) -> Option<String> {
        let hashes =
            InjectedHashes::parse(annotation(pod, "kruise.io/sidecarset-hash")).expect("well written");
        hashes.hash_of(self.name).map(str::to_owned)
    }

    /// Whether a pod is ready, with containers of the set that run what its spec says, the idle one the empty image.
    pub(crate) fn is_available(&self, pod: &Pod) -> bool {
        let working = self.working(pod);
        is_ready(pod)
            && self.names().iter().all(|name| {
                let image = image(pod, name);
                let runs = status(pod, name).is_some_and(|status| status.image == image);
                runs && (*name == working || image == EMPTY)
            })
    }

    /// Whether an upgrade of a pod has not been seen by its node.
    pub(crate) fn is_unnoticed(&self, pod: &Pod) -> bool {
        self.names().iter().any(|name| {
            let image = image(pod, name);
            status(pod, name).is_some_and(|status| status.ready && status.image != image)
        })
    }
}

pub(crate) fn annotation<'p>(pod: &'p Pod, key: &str) -> &'p str {
    let annotations = pod.metadata.annotations.as_ref();
    annotations
        .and_then(|held| held.get(key))
        .map_or("", String::as_str)
}

pub(crate) fn image(pod: &Pod, container: &str) -> String {
    let spec = pod.spec.iter().flat_map(|spec| &spec.containers);
    let image = spec
        .into_iter()
        .find(|one| one.name == container)
        .and_then(|one| one.image.clone());
    image.unwrap_or_default()
}

fn status<'p>(pod: &'p Pod, container: &str) -> Option<&'p ContainerStatus> {
    let statuses = pod.status.as_ref()?.container_statuses.as_ref()?;
    statuses.iter().find(|status| status.name == container)
}

pub(crate) fn condition<'p>(pod: &'p Pod, kind: &str) -> Option<&'p str> {
    let conditions = pod.status.as_ref()?.conditions.as_ref()?;
    let found = conditions.iter().find(|one| one.type_ == kind)?;
    Some(&found.status)
}

fn is_ready(pod: &Pod) -> bool {
    condition(pod, "Ready") == Some("True")
}
