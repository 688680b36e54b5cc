//! Nodes.

use k8s_openapi::api::core::v1::{Node, NodeCondition, NodeSpec, NodeStatus, Taint};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

/// Makes a node that is ready.
#[derive(Clone, Debug)]
pub struct NodeBuilder {
    metadata: ObjectMeta,
    spec: NodeSpec,
    ready: bool,
}

impl NodeBuilder {
    /// A node of this name, labelled with it as `kubernetes.io/hostname`.
    pub fn new(name: impl Into<String>) -> Self {
        let name = name.into();
        let metadata = ObjectMeta {
            labels: Some([("kubernetes.io/hostname".to_owned(), name.clone())].into()),
            name: Some(name),
            ..ObjectMeta::default()
        };
        Self {
            metadata,
            spec: NodeSpec::default(),
            ready: true,
        }
    }

    /// Adds a label.
    #[must_use]
    pub fn label(mut self, key: impl Into<String>, value: impl Into<String>) -> Self {
        let labels = self.metadata.labels.get_or_insert_default();
        labels.insert(key.into(), value.into());
        self
    }

    /// Takes no new pods.
    #[must_use]
    pub fn unschedulable(mut self) -> Self {
        self.spec.unschedulable = Some(true);
        self
    }

    /// Adds a taint; `effect` is `NoSchedule`, `PreferNoSchedule` or `NoExecute`.
    #[must_use]
    pub fn taint(mut self, key: impl Into<String>, effect: impl Into<String>) -> Self {
        self.spec.taints.get_or_insert_default().push(Taint {
            key: key.into(),
            effect: effect.into(),
            ..Taint::default()
        });
        self
    }

    /// Is not ready.
    #[must_use]
    pub fn not_ready(mut self) -> Self {
        self.ready = false;
        self
    }

    /// The node.
    pub fn build(self) -> Node {
        let status = if self.ready { "True" } else { "False" };
        let ready = NodeCondition {
            type_: "Ready".to_owned(),
            status: status.to_owned(),
            ..NodeCondition::default()
        };
        Node {
            metadata: self.metadata,
            spec: Some(self.spec),
            status: Some(NodeStatus {
                conditions: Some(vec![ready]),
                ..NodeStatus::default()
            }),
        }
    }
}
