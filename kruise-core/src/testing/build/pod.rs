//! Pods.

use k8s_openapi::api::core::v1::{
    Container, ContainerState, ContainerStateRunning, ContainerStatus, Pod, PodCondition, PodReadinessGate,
    PodSpec, PodStatus,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube_core::Resource;

use super::controlled_by;

/// Makes a pod: in namespace `default`, with one container `main` of image `image:1` unless it is given others.
#[derive(Clone, Debug)]
pub struct PodBuilder {
    metadata: ObjectMeta,
    spec: PodSpec,
    ready: bool,
}

impl PodBuilder {
    /// A pod of this name.
    pub fn new(name: impl Into<String>) -> Self {
        Self {
            metadata: ObjectMeta {
                name: Some(name.into()),
                namespace: Some("default".to_owned()),
                ..ObjectMeta::default()
            },
            spec: PodSpec::default(),
            ready: false,
        }
    }

    /// Sets the namespace.
    #[must_use]
    pub fn namespace(mut self, namespace: impl Into<String>) -> Self {
        self.metadata.namespace = Some(namespace.into());
        self
    }

    /// Adds a label.
    #[must_use]
    pub fn label(mut self, key: impl Into<String>, value: impl Into<String>) -> Self {
        let labels = self.metadata.labels.get_or_insert_default();
        labels.insert(key.into(), value.into());
        self
    }

    /// Adds an annotation.
    #[must_use]
    pub fn annotation(mut self, key: impl Into<String>, value: impl Into<String>) -> Self {
        let annotations = self.metadata.annotations.get_or_insert_default();
        annotations.insert(key.into(), value.into());
        self
    }

    /// Adds a container named `main`.
    #[must_use]
    pub fn image(self, image: impl Into<String>) -> Self {
        self.container("main", image)
    }

    /// Adds a container.
    #[must_use]
    pub fn container(mut self, name: impl Into<String>, image: impl Into<String>) -> Self {
        self.spec.containers.push(container(name.into(), image.into()));
        self
    }

    /// Adds an init container.
    #[must_use]
    pub fn init_container(mut self, name: impl Into<String>, image: impl Into<String>) -> Self {
        let containers = self.spec.init_containers.get_or_insert_default();
        containers.push(container(name.into(), image.into()));
        self
    }

    /// Adds the controller that owns it.
    #[must_use]
    pub fn controlled_by<K: Resource<DynamicType = ()>>(mut self, owner: &K) -> Self {
        let owners = self.metadata.owner_references.get_or_insert_default();
        owners.push(controlled_by(owner));
        self
    }

    /// Adds a finalizer.
    #[must_use]
    pub fn finalizer(mut self, finalizer: impl Into<String>) -> Self {
        self.metadata
            .finalizers
            .get_or_insert_default()
            .push(finalizer.into());
        self
    }

    /// Assigns it to a node.
    #[must_use]
    pub fn on_node(mut self, node: impl Into<String>) -> Self {
        self.spec.node_name = Some(node.into());
        self
    }

    /// Adds a condition without which it does not become ready.
    #[must_use]
    pub fn readiness_gate(mut self, condition: impl Into<String>) -> Self {
        let gates = self.spec.readiness_gates.get_or_insert_default();
        gates.push(PodReadinessGate {
            condition_type: condition.into(),
        });
        self
    }

    /// Sets the uid. The API server sets one on creation anyway.
    #[must_use]
    pub fn uid(mut self, uid: impl Into<String>) -> Self {
        self.metadata.uid = Some(uid.into());
        self
    }

    /// Gives it the status of one whose containers all run and are ready. The API server drops it on creation, but
    /// [`ApiServer::seed_object`](crate::testing::apiserver::ApiServer::seed_object) keeps it.
    #[must_use]
    pub fn ready(mut self) -> Self {
        self.ready = true;
        self
    }

    /// Changes what has no method of its own.
    #[must_use]
    pub fn spec(mut self, change: impl FnOnce(&mut PodSpec)) -> Self {
        change(&mut self.spec);
        self
    }

    /// The pod.
    pub fn build(mut self) -> Pod {
        if self.spec.containers.is_empty() {
            self.spec
                .containers
                .push(container("main".to_owned(), "image:1".to_owned()));
        }
        let status = self.ready.then(|| ready(&self.spec));
        Pod {
            metadata: self.metadata,
            spec: Some(self.spec),
            status,
        }
    }
}

fn container(name: String, image: String) -> Container {
    Container {
        name,
        image: Some(image),
        ..Container::default()
    }
}

fn ready(spec: &PodSpec) -> PodStatus {
    let condition = |kind: &str| PodCondition {
        type_: kind.to_owned(),
        status: "True".to_owned(),
        ..PodCondition::default()
    };
    let statuses = spec.containers.iter().map(|container| {
        let image = container.image.clone().unwrap_or_default();
        ContainerStatus {
            name: container.name.clone(),
            image_id: format!("sha256:{image}"),
            image,
            container_id: Some(format!("containerd://{}-0", container.name)),
            ready: true,
            started: Some(true),
            state: Some(ContainerState {
                running: Some(ContainerStateRunning::default()),
                ..ContainerState::default()
            }),
            ..ContainerStatus::default()
        }
    });
    PodStatus {
        phase: Some("Running".to_owned()),
        conditions: Some(
            ["PodScheduled", "Initialized", "ContainersReady", "Ready"]
                .map(condition)
                .into(),
        ),
        container_statuses: Some(statuses.collect()),
        ..PodStatus::default()
    }
}
