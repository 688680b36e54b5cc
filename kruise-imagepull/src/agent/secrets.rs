//! Where the agent gets pull secrets from.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use k8s_openapi::api::core::v1::Secret;
use kube_client::{Api, Client};
use thiserror::Error;

use crate::api::SecretReference;
use crate::plan::keyring::Keyring;

/// Type and data of one Secret. Its `Debug` form shows no data.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct PullSecret {
    /// Type of the Secret, such as `kubernetes.io/dockerconfigjson`.
    pub type_: String,
    /// Decoded data.
    pub data: BTreeMap<String, Vec<u8>>,
}

impl fmt::Debug for PullSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PullSecret")
            .field("type_", &self.type_)
            .finish_non_exhaustive()
    }
}

/// A Secret that could not be read.
#[derive(Debug, Error)]
#[error("the secret can not be read")]
pub struct SecretError(#[source] pub Box<dyn std::error::Error + Send + Sync>);

/// Gives the agent the Secrets that tasks name. Asked only when a pull is about to start.
#[async_trait]
pub trait SecretSource: Send + Sync {
    /// Returns the Secret, `None` if there is none. Must be cancel safe.
    ///
    /// # Errors
    /// It can not be read now; the pull goes on without it.
    async fn get(&self, reference: &SecretReference) -> Result<Option<PullSecret>, SecretError>;
}

/// Knows no Secrets: every pull is anonymous, or uses what the runtime is configured with.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoSecrets;

#[async_trait]
impl SecretSource for NoSecrets {
    async fn get(&self, _: &SecretReference) -> Result<Option<PullSecret>, SecretError> {
        Ok(None)
    }
}

/// Reads named Secrets of one namespace from the API server, that of the copies: the right `get` in it is all that is
/// needed, never `list` or `watch`. What a NodeImage says of other namespaces is not even asked for.
#[derive(Clone)]
pub struct KubeSecrets {
    client: Client,
    namespace: String,
}

impl KubeSecrets {
    /// Makes a source that reads the Secrets of this namespace with this client.
    pub fn new(client: Client, namespace: impl Into<String>) -> Self {
        Self {
            client,
            namespace: namespace.into(),
        }
    }
}

impl fmt::Debug for KubeSecrets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KubeSecrets").finish_non_exhaustive()
    }
}

#[async_trait]
impl SecretSource for KubeSecrets {
    async fn get(&self, reference: &SecretReference) -> Result<Option<PullSecret>, SecretError> {
        if reference.namespace != self.namespace {
            let why = format!("nodes read secrets of namespace {} only", self.namespace);
            return Err(SecretError(why.into()));
        }
        let api: Api<Secret> = Api::namespaced(self.client.clone(), &reference.namespace);
        let secret = api
            .get_opt(&reference.name)
            .await
            .map_err(|error| SecretError(error.into()))?;
        Ok(secret.map(|secret| PullSecret {
            type_: secret.type_.unwrap_or_default(),
            data: secret
                .data
                .unwrap_or_default()
                .into_iter()
                .map(|(key, value)| (key, value.0))
                .collect(),
        }))
    }
}

/// Returns what the named secrets hold. Secrets that are missing or can not be read are logged by name and left out.
pub(super) async fn keyring(source: &Arc<dyn SecretSource>, secrets: &[SecretReference]) -> Keyring {
    let mut keyring = Keyring::default();
    for reference in secrets {
        let problem = match source.get(reference).await {
            Ok(Some(secret)) => match keyring.add_secret(&secret.type_, &secret.data) {
                Ok(()) => continue,
                Err(error) => error.to_string(),
            },
            Ok(None) => "it does not exist".to_owned(),
            Err(error) => match std::error::Error::source(&error) {
                Some(cause) => cause.to_string(),
                None => error.to_string(),
            },
        };
        let (namespace, name) = (&reference.namespace, &reference.name);
        tracing::warn!(secret = %format_args!("{namespace}/{name}"), problem, "pull secret left out");
    }
    keyring
}
