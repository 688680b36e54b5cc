//! Builders of the caches that the webhook reads.

use k8s_openapi::api::apps::v1::ControllerRevision;
use k8s_openapi::api::core::v1::ConfigMap;
use kruise_core::runtime::CacheBuilder;
use kube_client::{Api, Client};

use crate::api::SidecarSet;
use crate::api::names::{KRUISE_CONFIGURATION, SIDECARSET_NAME};

/// Returns the builder of the cache of all SidecarSets.
pub fn sidecar_set_cache(client: Client) -> CacheBuilder<SidecarSet> {
    CacheBuilder::new(Api::all(client)).name("sidecarsets")
}

/// Returns the builder of the cache of the revisions of SidecarSets, which are in one namespace.
pub fn revision_cache(client: Client, namespace: &str) -> CacheBuilder<ControllerRevision> {
    CacheBuilder::new(Api::namespaced(client, namespace))
        .name("sidecarset-revisions")
        .labels(SIDECARSET_NAME)
}

/// Returns the builder of the cache of one ConfigMap, `kruise-configuration` in the manager's namespace, which says among other
/// things which annotations sets may patch.
pub fn configuration_cache(client: Client, namespace: &str) -> CacheBuilder<ConfigMap> {
    CacheBuilder::new(Api::namespaced(client, namespace))
        .name("kruise-configuration")
        .fields(format!("metadata.name={KRUISE_CONFIGURATION}"))
}
