//! Credentials from programs, by the protocol of the kubelet's credential provider plugins.
//!
//! Programs that the kubelet uses (for ECR, ACR, Artifact Registry) and its configuration file work as they are:
//! ```
//! # use kruise_imagepull::agent::plugins::{ExecPlugins, PluginLimits};
//! let config = serde_json::from_value(serde_json::json!({
//!     "apiVersion": "kubelet.config.k8s.io/v1", "kind": "CredentialProviderConfig",
//!     "providers": [{
//!         "name": "ecr-credential-provider", "apiVersion": "credentialprovider.kubelet.k8s.io/v1",
//!         "matchImages": ["*.dkr.ecr.*.amazonaws.com"], "defaultCacheDuration": "12h",
//!     }],
//! }))?;
//! let plugins = ExecPlugins::new(config, "/kruise/plugins", PluginLimits::default())?;
//! # let _ = plugins;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//! A program gets the image on its standard input and writes credentials to its standard output. Its standard error is not
//! read, since it may hold secrets; neither is anything else it says logged. It inherits the environment of the process.

mod cache;
mod config;
mod exec;
mod protocol;

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use async_trait::async_trait;
use thiserror::Error;
use tokio::sync::Semaphore;

use self::cache::Cache;
use super::credentials::{CredentialError, CredentialProvider};
use super::metrics::AgentMetrics;
use crate::plan::keyring::{Keyring, fits};

pub use config::{CredentialProviderConfig, EnvVar, PluginConfigError, ProviderConfig};

/// Limits of all plugins.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct PluginLimits {
    /// Longest time one call may take. Default one minute, as in the kubelet.
    pub timeout: Duration,
    /// Most bytes of an answer. Default 1 MiB.
    pub max_output_bytes: usize,
    /// Most answers that are kept for one plugin; the one that ends first makes room. Default 256.
    pub max_cached: usize,
}

impl Default for PluginLimits {
    fn default() -> Self {
        Self {
            timeout: Duration::from_secs(60),
            max_output_bytes: 1 << 20,
            max_cached: 256,
        }
    }
}

/// A call of a plugin that gave nothing. Never quotes what the plugin said.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum PluginError {
    /// The program could not be started or talked to.
    #[error("the plugin {plugin} can not be run")]
    Run {
        /// Name of the plugin.
        plugin: String,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// The program ended with an error.
    #[error("the plugin {plugin} failed with {status}")]
    Failed {
        /// Name of the plugin.
        plugin: String,
        /// Its exit code or signal.
        status: std::process::ExitStatus,
    },
    /// The program did not end in time.
    #[error("the plugin {plugin} did not answer within {} s", timeout.as_secs())]
    TimedOut {
        /// Name of the plugin.
        plugin: String,
        /// How long it might take.
        timeout: Duration,
    },
    /// The answer is too long.
    #[error("the plugin {plugin} answered with more than {limit} bytes")]
    TooLong {
        /// Name of the plugin.
        plugin: String,
        /// How long it might be.
        limit: usize,
    },
    /// The answer is not what the protocol says.
    #[error("the answer of the plugin {plugin} can not be used: {why}")]
    Answer {
        /// Name of the plugin.
        plugin: String,
        /// What is wrong with it.
        why: &'static str,
    },
}

impl PluginError {
    fn result(&self) -> &'static str {
        match self {
            Self::TimedOut { .. } => "timeout",
            Self::Run { .. } | Self::Failed { .. } | Self::TooLong { .. } | Self::Answer { .. } => "failed",
        }
    }
}

/// The plugins of one configuration. Each runs once at a time, and keeps its answers as long as they say.
pub struct ExecPlugins {
    plugins: Vec<Plugin>,
    folder: PathBuf,
    limits: PluginLimits,
    metrics: AgentMetrics,
}

struct Plugin {
    config: ProviderConfig,
    cache: Cache,
    /// One call at a time: those that wait find its answer.
    turn: Semaphore,
}

impl fmt::Debug for ExecPlugins {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names = self.plugins.iter().map(|plugin| &plugin.config.name);
        f.debug_list().entries(names).finish()
    }
}

impl ExecPlugins {
    /// Makes the plugins of `config`, whose programs lie in `folder`. Runs none of them.
    ///
    /// # Errors
    /// The configuration can not be used; names the field.
    pub fn new(
        config: CredentialProviderConfig,
        folder: impl Into<PathBuf>,
        limits: PluginLimits,
    ) -> Result<Self, PluginConfigError> {
        config.validate()?;
        let plugin = |config| Plugin {
            config,
            cache: Cache::new(limits.max_cached),
            turn: Semaphore::new(1),
        };
        Ok(Self {
            plugins: config.providers.into_iter().map(plugin).collect(),
            folder: folder.into(),
            limits,
            metrics: AgentMetrics::detached(),
        })
    }

    /// Counts calls in these metrics.
    #[must_use]
    pub fn metrics(mut self, metrics: &AgentMetrics) -> Self {
        self.metrics = metrics.clone();
        self
    }

    async fn ask(&self, plugin: &Plugin, repository: &str) -> Result<Keyring, PluginError> {
        if let Some(known) = plugin.cache.get(repository) {
            return Ok(known);
        }
        // Never closed, so a refusal can not come.
        let _turn = plugin.turn.acquire().await;
        if let Some(known) = plugin.cache.get(repository) {
            return Ok(known);
        }
        let program = self.folder.join(&plugin.config.name);
        let called = exec::call(&program, &plugin.config, repository, &self.limits).await;
        let result = called.as_ref().map_or_else(PluginError::result, |_| "succeeded");
        self.metrics.plugin_called(&plugin.config.name, result);
        let answer = called?;
        let lifetime = answer
            .cache_duration
            .unwrap_or(plugin.config.default_cache_duration.0);
        plugin
            .cache
            .put(repository, answer.key, lifetime, &answer.keyring);
        Ok(answer.keyring)
    }
}

#[async_trait]
impl CredentialProvider for ExecPlugins {
    fn name(&self) -> &str {
        "exec plugins"
    }

    /// Asks all plugins that match, in the order of the configuration. One that fails does not spoil what others say.
    async fn credentials(&self, repository: &str) -> Result<Keyring, CredentialError> {
        let mut all = Keyring::default();
        let mut failed = None;
        for plugin in &self.plugins {
            if !plugin
                .config
                .match_images
                .iter()
                .any(|image| fits(image, repository))
            {
                continue;
            }
            match self.ask(plugin, repository).await {
                Ok(keyring) => all.extend(keyring),
                Err(error) => {
                    tracing::warn!(
                        image = repository,
                        error = %kruise_core::runtime::Causes(&error),
                        "credential plugin left out"
                    );
                    failed = Some(error);
                }
            }
        }
        match failed {
            Some(error) if all.is_empty() => Err(CredentialError(error.into())),
            _ => Ok(all),
        }
    }
}
