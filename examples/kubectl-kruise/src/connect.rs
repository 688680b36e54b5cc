//! The cluster that is meant, as kubectl finds it.

use std::path::Path;
use std::time::Duration;

use kruise_core::manager::without_retry;
use kruise_core::runtime::Causes;
use kube_client::config::{KubeConfigOptions, Kubeconfig, KubeconfigError};
use kube_client::{Client, Config};

use crate::cli::Global;
use crate::failure::{Failure, Result};

/// A client, and the namespace that is meant where a command names none.
#[derive(Clone)]
pub(crate) struct Connection {
    /// The client.
    pub(crate) client: Client,
    /// `--namespace`, or that of the context, or `default`.
    pub(crate) namespace: String,
}

impl Connection {
    /// Reads the kubeconfig; asks the server nothing.
    ///
    /// # Errors
    /// There is none, or it is not one.
    pub(crate) async fn connect(global: &Global) -> Result<Self> {
        let mut config = without_retry(config(global).await?);
        config.connect_timeout = Some(Duration::from_secs(10));
        // Otherwise the client's own limit counts, which is longer than watches last.
        if let Some(limit) = global.request_timeout {
            config.read_timeout = Some(limit).filter(|limit| !limit.is_zero());
        }
        if let Some(user) = &global.as_user {
            config.auth_info.impersonate = Some(user.clone());
        }
        if !global.as_groups.is_empty() {
            config.auth_info.impersonate_groups = Some(global.as_groups.clone());
        }
        let namespace = global
            .namespace
            .clone()
            .unwrap_or_else(|| config.default_namespace.clone());
        let client =
            Client::try_from(config).map_err(|error| Failure::api("making the API client", &error))?;
        Ok(Self { client, namespace })
    }
}

async fn config(global: &Global) -> Result<Config> {
    const NEXT: &str = "Set --kubeconfig or the variable KUBECONFIG.";
    let options = KubeConfigOptions {
        context: global.context.clone(),
        cluster: global.cluster.clone(),
        user: global.user.clone(),
    };
    match kubeconfig(global) {
        Ok(file) => {
            let config = Config::from_custom_kubeconfig(file, &options).await;
            config.map_err(|error| {
                Failure::new(format!("the kubeconfig cannot be used: {}", Causes(&error))).next(
                    "List its contexts with `kubectl config get-contexts`, and choose one with --context.",
                )
            })
        }
        Err(error) => {
            let named = global.kubeconfig.is_some() || global.context.is_some();
            // In a pod there need not be a file, as for kubectl.
            let inside = std::env::var_os("KUBERNETES_SERVICE_HOST").is_some();
            if inside && !named {
                return Config::incluster().map_err(|error| {
                    Failure::new(format!(
                        "the pod's service account cannot be read: {}",
                        Causes(&error)
                    ))
                });
            }
            Err(Failure::new(format!("no cluster to talk to: {}", Causes(&error))).next(NEXT))
        }
    }
}

/// Reads the file that is meant.
///
/// # Errors
/// There is none, or it is not one.
pub(crate) fn kubeconfig(global: &Global) -> std::result::Result<Kubeconfig, KubeconfigError> {
    match &global.kubeconfig {
        Some(path) => Kubeconfig::read_from(Path::new(path)),
        None => Kubeconfig::read(),
    }
}
