//! Builders of the caches that the controller reads. Those of sets, namespaces and revisions stand in
//! [`webhook`](crate::webhook): share them.

use k8s_openapi::api::core::v1::Pod;
use kruise_core::runtime::CacheBuilder;
use kube_client::{Api, Client};

use crate::plan::SidecarPod;

/// Returns the builder of the cache of all pods, of which only what controllers read is kept, with what pods say of their
/// sets parsed.
pub fn sidecar_pod_cache(client: Client) -> CacheBuilder<Pod, SidecarPod> {
    CacheBuilder::<Pod>::new(Api::all(client))
        .name("sidecar-pods")
        .decode()
}
