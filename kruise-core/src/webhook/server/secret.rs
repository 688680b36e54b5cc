//! Where replicas share a certificate: one Secret.

use std::collections::BTreeMap;
use std::error::Error;

use futures::FutureExt;
use futures::future::BoxFuture;
use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::Secret;
use kube_client::Api;
use kube_client::api::{Patch, PatchParams, PostParams};

/// Entries of a Secret.
pub type SecretData = BTreeMap<String, Vec<u8>>;

/// A Secret as it was read.
#[derive(Clone, PartialEq, Eq)]
pub struct StoredSecret {
    /// Its entries.
    pub data: SecretData,
    /// What tells one state from another.
    pub resource_version: String,
}

impl std::fmt::Debug for StoredSecret {
    /// Shows no values.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("StoredSecret")
            .field("data", &self.data.keys())
            .field("resource_version", &self.resource_version)
            .finish()
    }
}

/// Why a Secret was not read or written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SecretError {
    /// Somebody else was first: read again.
    #[error("secret was written by another at the same time")]
    Raced,
    /// Anything else.
    #[error("secret is out of reach")]
    Store(#[source] Box<dyn Error + Send + Sync>),
}

/// Reads and writes one Secret.
///
/// ```
/// use futures::future::{BoxFuture, FutureExt};
/// use kruise_core::webhook::server::{SecretData, SecretError, SecretStore, StoredSecret};
///
/// /// For one replica alone: certificates are made anew at each start.
/// struct Nowhere;
///
/// impl SecretStore for Nowhere {
///     fn read(&self) -> BoxFuture<'_, Result<Option<StoredSecret>, SecretError>> {
///         async { Ok(None) }.boxed()
///     }
///     fn create(&self, _: SecretData) -> BoxFuture<'_, Result<(), SecretError>> {
///         async { Ok(()) }.boxed()
///     }
///     fn update(&self, _: SecretData, _: String) -> BoxFuture<'_, Result<(), SecretError>> {
///         async { Ok(()) }.boxed()
///     }
/// }
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() {
/// assert!(Nowhere.read().await.unwrap().is_none());
/// # }
/// ```
pub trait SecretStore: Send + Sync + 'static {
    /// The Secret, if there is one.
    fn read(&self) -> BoxFuture<'_, Result<Option<StoredSecret>, SecretError>>;

    /// Makes it; [`SecretError::Raced`] if there is one already.
    fn create(&self, data: SecretData) -> BoxFuture<'_, Result<(), SecretError>>;

    /// Sets these entries and leaves others alone; [`SecretError::Raced`] if it is not in the state of
    /// `resource_version` any more, or gone.
    fn update(&self, data: SecretData, resource_version: String) -> BoxFuture<'_, Result<(), SecretError>>;
}

/// A Secret of a cluster. Needs the rights `create` on secrets, `get` and `patch` on this one.
#[derive(Clone, Debug)]
pub struct KubeSecret {
    api: Api<Secret>,
    name: String,
}

impl KubeSecret {
    /// The Secret `name` in the namespace of `api`.
    pub fn new(api: Api<Secret>, name: impl Into<String>) -> Self {
        Self {
            api,
            name: name.into(),
        }
    }
}

impl SecretStore for KubeSecret {
    fn read(&self) -> BoxFuture<'_, Result<Option<StoredSecret>, SecretError>> {
        async move {
            let secret = self.api.get_opt(&self.name).await.map_err(failed)?;
            Ok(secret.map(|secret| {
                let data = secret.data.unwrap_or_default();
                StoredSecret {
                    data: data.into_iter().map(|(key, value)| (key, value.0)).collect(),
                    resource_version: secret.metadata.resource_version.unwrap_or_default(),
                }
            }))
        }
        .boxed()
    }

    fn create(&self, data: SecretData) -> BoxFuture<'_, Result<(), SecretError>> {
        async move {
            let mut secret = Secret {
                data: Some(encoded(data)),
                type_: Some("Opaque".to_owned()),
                ..Secret::default()
            };
            secret.metadata.name = Some(self.name.clone());
            self.api
                .create(&PostParams::default(), &secret)
                .await
                .map_err(failed)?;
            Ok(())
        }
        .boxed()
    }

    fn update(&self, data: SecretData, resource_version: String) -> BoxFuture<'_, Result<(), SecretError>> {
        async move {
            let patch = serde_json::json!({
                "metadata": { "resourceVersion": resource_version },
                "data": encoded(data),
            });
            let params = PatchParams::default();
            match self.api.patch(&self.name, &params, &Patch::Merge(patch)).await {
                Err(kube_client::Error::Api(status)) if status.code == 404 => Err(SecretError::Raced),
                result => result.map(|_| ()).map_err(failed),
            }
        }
        .boxed()
    }
}

fn encoded(data: SecretData) -> BTreeMap<String, ByteString> {
    data.into_iter()
        .map(|(key, value)| (key, ByteString(value)))
        .collect()
}

fn failed(error: kube_client::Error) -> SecretError {
    match error {
        kube_client::Error::Api(status) if status.code == 409 => SecretError::Raced,
        error => SecretError::Store(error.into()),
    }
}
