//! Where the API server is.

use anyhow::{Context, Result};
use kruise_core::runtime::CacheConfig;
use kube_client::Config;

/// Inside a pod the service account, elsewhere the kubeconfig (`KUBECONFIG` or `~/.kube/config`).
///
/// # Errors
/// When there is neither, or it cannot be read.
pub async fn client_config() -> Result<Config> {
    // A pod has a service account whether or not somebody set KUBECONFIG; an explicit file wins.
    let in_pod = std::env::var_os("KUBERNETES_SERVICE_HOST").is_some();
    if in_pod && std::env::var_os("KUBECONFIG").is_none() {
        return Config::incluster().context("reading the pod's service account");
    }
    Config::infer()
        .await
        .context("no cluster to talk to: set KUBECONFIG, or run inside a pod with a service account")
}

/// Caches that do not ask again all at once when the API server comes back; `seed` is another one in each process.
pub fn cache_config(seed: u64) -> CacheConfig {
    let mut config = CacheConfig::default();
    config.backoff_jitter = 0.5;
    config.seed = seed;
    config
}
