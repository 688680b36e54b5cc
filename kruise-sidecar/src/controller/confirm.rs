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

/// How far the cache of pods has to be: it has to have seen these versions, each with the uid of its pod.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Goal(Vec<(String, String)>);

impl Goal {
    /// The cache has all changes up to a version once it has seen that version, so of numbers only the highest counts.
    fn of(versions: impl IntoIterator<Item = (String, String)>) -> Self {
        let mut others = Vec::new();
        let mut highest: Option<(u64, (String, String))> = None;
        for version in versions {
            match version.1.parse::<u64>() {
                Ok(number) if highest.as_ref().is_none_or(|(held, _)| number > *held) => {
                    highest = Some((number, version));
                }
                Ok(_) => {}
                Err(_) => others.push(version),
            }
        }
        others.extend(highest.map(|(_, version)| version));
        Self(others)
    }

    /// Waits, for as long as `patience`, until the cache is there. Returns whether it is. Cancel safe.
    pub(super) async fn is_reached(&self, pods: &Cache<SidecarPod>, patience: Duration) -> bool {
        let versions = self.0.iter();
        let waits = versions.map(|(uid, version)| pods.wait_for(uid, version, patience));
        join_all(waits).await.iter().all(Result::is_ok)
    }
}

/// Asks the server how far the cache of pods has to be to know all pods that a set selects at least as they are now. `None`
/// if the cache of sets does not come to the set's own version within `patience`. Cancel safe.
///
/// # Errors
/// The server can not be asked now.
pub(super) async fn goal(
    client: &Client,
    sets: &Cache<SidecarSet>,
    set: &Arc<SidecarSet>,
    patience: Duration,
) -> Result<Option<Goal>, ApiError> {
    let api: Api<SidecarSet> = Api::all(client.clone());
    let now = api.get_metadata_opt(set.name()).await;
    let now = now.map_err(|source| ApiError::new("reading a SidecarSet", source))?;
    let Some(now) = now.filter(|now| now.uid() == set.uid()) else {
        return Ok(None);
    };
    if sets
        .wait_for(now.uid(), now.resource_version(), patience)
        .await
        .is_err()
    {
        return Ok(None);
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
    Ok(Some(Goal::of(versions)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_versions_that_are_numbers_only_the_highest_is_waited_for() {
        let version = |uid: &str, version: &str| (uid.to_owned(), version.to_owned());
        let goal = Goal::of([
            version("a", "9"),
            version("b", "10"),
            version("c", "x"),
            version("d", "2"),
        ]);
        assert_eq!(goal, Goal(vec![version("c", "x"), version("b", "10")]));
        assert_eq!(Goal::of([]), Goal::default());
    }
}
