//! Builders of the caches that the controllers read. Share one cache of a kind among everything that reads it.

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Node, Pod, Secret};
use kruise_core::runtime::{CacheBuilder, CacheConfig, Cached, Delta, ListStrategy, ObjectKey, SlimPod};
use kube_client::{Api, Client};

use crate::api::{ImageListPullJob, ImagePullJob, NodeImage};
use crate::plan::nodeimage::NodeFacts;

/// Returns the builder of the cache of all jobs.
pub fn job_cache(client: Client) -> CacheBuilder<ImagePullJob> {
    CacheBuilder::new(Api::all(client)).name("imagepulljobs")
}

/// Returns the builder of the cache of all lists of images.
pub fn list_cache(client: Client) -> CacheBuilder<ImageListPullJob> {
    CacheBuilder::new(Api::all(client)).name("imagelistpulljobs")
}

/// Returns the builder of the cache of all NodeImages.
///
/// It lists by pages, which always gives the newest state: after a restart, a list that lags behind the writes of the
/// process before could make a job exceed its parallelism.
pub fn node_image_cache(client: Client) -> CacheBuilder<NodeImage> {
    let mut config = CacheConfig::default();
    config.list = ListStrategy::Paged;
    CacheBuilder::new(Api::all(client))
        .name("nodeimages")
        .config(config)
}

/// Returns the builder of the cache that an agent needs: the NodeImage of its own node alone.
pub fn own_node_image_cache(client: Client, node_name: &str) -> CacheBuilder<NodeImage> {
    CacheBuilder::new(Api::all(client))
        .name("own-nodeimage")
        .fields(format!("metadata.name={node_name}"))
}

/// Returns the builder of the cache of all Nodes, of which only labels and readiness are kept.
pub fn node_cache(client: Client) -> CacheBuilder<Node, Node, NodeView> {
    CacheBuilder::new(Api::all(client))
        .name("nodes")
        .project(NodeView::of)
}

/// Returns the builder of the cache of all Pods, of which only what controllers read is kept. Share it with everything
/// else in the process that reads Pods.
pub fn pod_cache(client: Client) -> CacheBuilder<Pod, SlimPod> {
    CacheBuilder::<Pod>::new(Api::all(client)).name("pods").decode()
}

/// Returns the builder of the cache of the copies of pull secrets: all Secrets of this one namespace.
pub fn secret_copy_cache(client: Client, namespace: &str) -> CacheBuilder<Secret> {
    CacheBuilder::new(Api::namespaced(client, namespace)).name("pull-secret-copies")
}

/// What is kept of a Node.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NodeView {
    /// Name of the Node.
    pub name: String,
    /// Uid of the Node.
    pub uid: String,
    /// Its resourceVersion.
    pub resource_version: String,
    /// Labels, readiness, deletion.
    pub facts: NodeFacts,
}

impl NodeView {
    /// Takes from a Node what is kept.
    pub fn of(node: Node) -> Self {
        let ready = node
            .status
            .and_then(|status| status.conditions)
            .into_iter()
            .flatten()
            .find(|condition| condition.type_ == "Ready" && condition.status == "True");
        let created = node.metadata.creation_timestamp.as_ref().map(|time| time.0);
        Self {
            name: node.metadata.name.unwrap_or_default(),
            uid: node.metadata.uid.unwrap_or_default(),
            resource_version: node.metadata.resource_version.unwrap_or_default(),
            facts: NodeFacts {
                labels: node.metadata.labels.unwrap_or_default(),
                ready_since: ready.map(|condition| {
                    condition
                        .last_transition_time
                        .map(|time| time.0)
                        .or(created)
                        .unwrap_or(Timestamp::UNIX_EPOCH)
                }),
                deleting: node.metadata.deletion_timestamp.is_some(),
            },
        }
    }
}

impl Cached for NodeView {
    fn key(&self) -> ObjectKey {
        ObjectKey::cluster(self.name.as_str())
    }

    fn uid(&self) -> &str {
        &self.uid
    }

    fn resource_version(&self) -> &str {
        &self.resource_version
    }
}

/// Returns the object before and after a change.
pub(crate) fn states<T>(delta: &Delta<T>) -> (Option<&T>, Option<&T>) {
    match delta {
        Delta::Updated { old, new } => (Some(old), Some(new)),
        Delta::Deleted { last, .. } => (Some(last), None),
        // An addition, or something like it.
        other => (None, Some(other.object())),
    }
}
