//! Why a manager ends.

use std::time::Duration;

use crate::manager::ElectionError;
use crate::runtime::RunError;

/// Why a [`Manager`](super::Manager) ended before it was told to.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ManagerError {
    /// A cache had no complete first list in time.
    #[error("cache {cache} was not synced after {timeout:?}")]
    CacheNotSynced {
        /// The name of the cache.
        cache: String,
        /// The time that it had.
        timeout: Duration,
    },
    /// A component failed.
    #[error("component {name} failed")]
    Failed {
        /// The name of the component.
        name: String,
        /// What it failed of.
        #[source]
        source: RunError,
    },
    /// A component panicked.
    #[error("component {name} panicked")]
    Panicked {
        /// The name of the component.
        name: String,
    },
    /// Another replica leads, or may soon. The process should start anew.
    #[error("no longer the leader")]
    Leadership(#[from] ElectionError),
}
