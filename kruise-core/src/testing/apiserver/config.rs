//! Settings of the server.

use std::time::Duration;

/// Settings of an [`ApiServer`](super::ApiServer).
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct ServerConfig {
    /// Changes that are kept for watches and older lists; a watch further behind gets 410. Default 10 000.
    pub history: usize,
    /// Requests that are kept in the log. Default 10 000.
    pub log: usize,
    /// Longest request body in bytes; longer ones get 413. Default 3 MiB, as the real server's.
    pub max_body_bytes: usize,
    /// How long a watch lives that does not say. Default 30 minutes.
    pub watch_timeout: Duration,
    /// Time between bookmarks of a watch that asks for them. Default one minute.
    pub bookmark_interval: Duration,
    /// Whether `sendInitialEvents` is served, as since Kubernetes 1.32. Default true.
    pub streaming_lists: bool,
    /// Whether owners' dependents and the contents of deleted namespaces are collected right after each write. Off, the
    /// test calls [`ApiServer::collect_garbage`](super::ApiServer::collect_garbage). Default true.
    pub collect_garbage: bool,
    /// Seed of uids and generated names. Default 0.
    pub seed: u64,
}

impl Default for ServerConfig {
    fn default() -> Self {
        Self {
            history: 10_000,
            log: 10_000,
            max_body_bytes: 3 * 1024 * 1024,
            watch_timeout: Duration::from_secs(30 * 60),
            bookmark_interval: Duration::from_secs(60),
            streaming_lists: true,
            collect_garbage: true,
            seed: 0,
        }
    }
}
