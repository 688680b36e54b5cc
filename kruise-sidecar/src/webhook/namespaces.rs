//! Labels of namespaces.

use std::collections::BTreeMap;
use std::sync::Arc;

use k8s_openapi::api::core::v1::Namespace;
use kruise_core::runtime::{Cache, CacheBuilder, Cached, ObjectKey};
use kube_client::{Api, Client};

use crate::api::names::NAMESPACE_NAME;

/// What is kept of a Namespace.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NamespaceView {
    /// Its name.
    pub name: String,
    /// Its uid.
    pub uid: String,
    /// Its resourceVersion.
    pub resource_version: String,
    /// Its labels.
    pub labels: Arc<BTreeMap<String, String>>,
}

impl NamespaceView {
    /// Takes from a Namespace what is kept.
    pub fn of(namespace: Namespace) -> Self {
        let metadata = namespace.metadata;
        Self {
            name: metadata.name.unwrap_or_default(),
            uid: metadata.uid.unwrap_or_default(),
            resource_version: metadata.resource_version.unwrap_or_default(),
            labels: Arc::new(metadata.labels.unwrap_or_default()),
        }
    }
}

impl Cached for NamespaceView {
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

/// Returns the builder of the cache of all Namespaces, of which only the labels are kept.
pub fn namespace_cache(client: Client) -> CacheBuilder<Namespace, Namespace, NamespaceView> {
    CacheBuilder::new(Api::all(client))
        .name("namespaces")
        .project(NamespaceView::of)
}

/// Where labels of namespaces are read.
#[derive(Clone, Debug)]
pub struct Namespaces {
    cache: Cache<NamespaceView>,
    api: Option<Api<Namespace>>,
}

impl Namespaces {
    /// From a cache; a namespace that it does not have is unknown.
    pub fn new(cache: Cache<NamespaceView>) -> Self {
        Self { cache, api: None }
    }

    /// Asks the API server for a namespace that the cache does not have: one that has just been created, whose first pods
    /// would go without their sidecars.
    #[must_use]
    pub fn or_ask(mut self, client: Client) -> Self {
        self.api = Some(Api::all(client));
        self
    }

    /// The labels, if the cache has the namespace.
    pub fn cached(&self, name: &str) -> Option<Arc<BTreeMap<String, String>>> {
        let view = self.cache.get(&ObjectKey::cluster(name))?;
        Some(view.labels.clone())
    }

    pub(super) async fn synced(&self) {
        self.cache.synced().await;
    }

    /// Whether every namespace has the label with its name.
    pub(super) fn are_labelled(&self) -> bool {
        let all = self.cache.list();
        all.iter().all(|view| view.labels.contains_key(NAMESPACE_NAME))
    }

    /// The labels, if the namespace is known.
    ///
    /// # Errors
    /// The API server had to be asked, and did not answer.
    pub(super) async fn labels(
        &self,
        name: &str,
    ) -> Result<Option<Arc<BTreeMap<String, String>>>, kube_client::Error> {
        if let Some(labels) = self.cached(name) {
            return Ok(Some(labels));
        }
        let Some(api) = &self.api else { return Ok(None) };
        let found = api.get_opt(name).await?;
        Ok(found.map(|namespace| NamespaceView::of(namespace).labels))
    }
}
