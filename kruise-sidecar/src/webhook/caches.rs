//! Builders of the caches that the webhook reads.

use k8s_openapi::api::apps::v1::ControllerRevision;
use kruise_core::runtime::CacheBuilder;
use kube_client::{Api, Client};

use crate::api::SidecarSet;
use crate::api::names::SIDECARSET_NAME;

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
