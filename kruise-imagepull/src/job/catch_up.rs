//! A manager that takes over counts active nodes by its cache, which may not have seen yet what the one before it wrote.
//! So it begins by asking the server how far the cache has to be.

use std::time::Duration;

use kruise_core::runtime::{Cache, Cached as _, Causes};
use kube_client::{Api, Client};
use kube_core::params::ListParams;

use crate::api::NodeImage;
use crate::error::ApiError;

/// NodeImages in one answer.
const PAGE: u32 = 500;
/// How long a cache may take before the server is asked again; and the pause after a failure.
const PATIENCE: Duration = Duration::from_secs(30);
const PAUSE: Duration = Duration::from_secs(1);

/// Waits until the cache has seen every NodeImage at least as it is on the server now. Cancel safe.
pub(super) async fn catch_up(client: Client, cache: &Cache<NodeImage>) {
    cache.synced().await;
    let api: Api<NodeImage> = Api::all(client);
    loop {
        match behind(&api, cache).await {
            Ok(0) => return,
            Ok(behind) => tracing::info!(
                behind,
                "the cache of NodeImages lags behind; no tasks are handed out yet"
            ),
            Err(error) => {
                tracing::warn!(error = %Causes(&error), "no tasks are handed out before the NodeImages are known");
                tokio::time::sleep(PAUSE).await;
            }
        }
    }
}

/// Returns how many NodeImages the cache knows too little of, after giving it some time.
async fn behind(api: &Api<NodeImage>, cache: &Cache<NodeImage>) -> Result<usize, ApiError> {
    // Without a resourceVersion the answer is as new as can be; metadata is enough.
    let mut page = ListParams::default().limit(PAGE);
    let mut now = Vec::new();
    loop {
        let list = api
            .list_metadata(&page)
            .await
            .map_err(|source| ApiError::new("listing NodeImages", source))?;
        let versions = list
            .items
            .iter()
            .map(|item| (item.uid().to_owned(), item.resource_version().to_owned()));
        now.extend(versions);
        match list.metadata.continue_.filter(|token| !token.is_empty()) {
            Some(token) => page = page.continue_token(&token),
            None => break,
        }
    }
    let waits = now
        .iter()
        .map(|(uid, version)| cache.wait_for(uid, version, PATIENCE));
    let seen = futures::future::join_all(waits).await;
    Ok(seen.iter().filter(|seen| seen.is_err()).count())
}
