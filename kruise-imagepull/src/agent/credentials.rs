//! The credentials of one image: out of the secrets of its task, then from providers.

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use thiserror::Error;

use super::secrets::{SecretSource, keyring};
use crate::api::SecretReference;
use crate::plan::keyring::{Credential, Keyring};

/// A provider that has no answer. Its text and its source must hold no secrets.
#[derive(Debug, Error)]
#[error("the credential provider has no answer")]
pub struct CredentialError(#[source] pub Box<dyn std::error::Error + Send + Sync>);

/// Gives credentials that are in no Secret: those of a cloud, of a file, of another program. Asked just before a pull, for
/// every image, with or without pull secrets; its answers come after theirs.
#[async_trait]
pub trait CredentialProvider: Send + Sync {
    /// Name of the provider in logs.
    fn name(&self) -> &str;

    /// Returns what there is for `repository`, fully qualified and without tag (`docker.io/library/nginx`). Keys of the
    /// keyring that do not fit the repository are left out by the caller. Must be cancel safe, and is cut off with the
    /// attempt to pull.
    ///
    /// # Errors
    /// There is no answer now; the pull goes on without.
    async fn credentials(&self, repository: &str) -> Result<Keyring, CredentialError>;
}

/// All sources of credentials of one agent.
#[derive(Clone)]
pub(super) struct CredentialSources {
    pub(super) secrets: Arc<dyn SecretSource>,
    pub(super) providers: Vec<Arc<dyn CredentialProvider>>,
}

impl fmt::Debug for CredentialSources {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CredentialSources").finish_non_exhaustive()
    }
}

impl CredentialSources {
    /// Returns the credentials for `repository` in the order in which to try them, each once. What can not be read is
    /// logged by name and left out.
    pub(super) async fn of(&self, secrets: &[SecretReference], repository: &str) -> Vec<Credential> {
        let mut found = Vec::new();
        let mut add = |keyring: &Keyring| {
            for credential in keyring.lookup(repository) {
                if !found.contains(credential) {
                    found.push(credential.clone());
                }
            }
        };
        add(&keyring(&self.secrets, secrets).await);
        for provider in &self.providers {
            match provider.credentials(repository).await {
                Ok(keyring) => add(&keyring),
                Err(error) => tracing::warn!(
                    provider = provider.name(),
                    image = repository,
                    error = %kruise_core::runtime::Causes(&error),
                    "credential provider left out"
                ),
            }
        }
        found
    }
}
