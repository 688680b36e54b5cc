//! A process that takes over plans by its caches, which may not have seen yet what the one before it wrote. So before it
//! upgrades the first pod of a set, it asks the server how far the caches have to be.

use std::sync::Arc;
use std::time::Duration;

use futures::future::join_all;
use k8s_openapi::api::core::v1::Pod;
use kruise_core::runtime::{ApiError, Cache, Cached as _};
use kube_client::{Api, Client};
use kube_core::Selector;
use kube_core::params::ListParams;

use crate::api::SidecarSet;
use crate::plan::SidecarPod;

/// Pods in one answer.
const PAGE: u32 = 500;

/// Waits, for as long as `patience`, until the caches have a set and all pods that it selects at least as they are on the
/// server now. Returns whether they do. Cancel safe.
///
/// # Errors
/// The server can not be asked now.
pub(super) async fn confirm(
    client: &Client,
    sets: &Cache<SidecarSet>,
    pods: &Cache<SidecarPod>,
    set: &Arc<SidecarSet>,
    patience: Duration,
) -> Result<bool, ApiError> {
    let api: Api<SidecarSet> = Api::all(client.clone());
    let now = api.get_metadata_opt(set.name()).await;
    let now = now.map_err(|source| ApiError::new("reading a SidecarSet", source))?;
    let Some(now) = now.filter(|now| now.uid() == set.uid()) else {
        return Ok(false);
    };
    if sets
        .wait_for(now.uid(), now.resource_version(), patience)
        .await
        .is_err()
    {
        return Ok(false);
    }
    // The set is another one now, perhaps, and looked at again for it.
    let namespace = &set.spec.namespace;
    let api: Api<Pod> = match namespace.is_empty() {
        true => Api::all(client.clone()),
        false => Api::namespaced(client.clone(), namespace),
    };
    // Without a resourceVersion the answer is as new as can be; metadata is enough.
    let mut page = ListParams::default().limit(PAGE);
    let selector = set.spec.selector.clone().unwrap_or_default();
    if let Ok(selector) = Selector::try_from(selector) {
        page = page.labels_from(&selector);
    }
    let mut versions = Vec::new();
    loop {
        let list = api.list_metadata(&page).await;
        let list = list.map_err(|source| ApiError::new("listing the pods of a SidecarSet", source))?;
        let items = list.items.iter();
        versions.extend(items.map(|item| (item.uid().to_owned(), item.resource_version().to_owned())));
        match list.metadata.continue_.filter(|token| !token.is_empty()) {
            Some(token) => page = page.continue_token(&token),
            None => break,
        }
    }
    let waits = versions
        .iter()
        .map(|(uid, version)| pods.wait_for(uid, version, patience));
    Ok(join_all(waits).await.iter().all(Result::is_ok))
}
