//! The agent of one node: pulls what its NodeImage asks for and reports.
//!
//! ```text
//!  NodeImage of this node ──watch──▶ cache ──▶ actor ──start/stop──▶ workers ──▶ container runtime
//!         ▲                                     │ ▲                     │
//!         └────── patch of changed images ──────┘ └───── what they say ─┘
//! ```
//! One task, the actor, owns all state ([`plan::agent`](crate::plan::agent)); workers only talk to it. Nothing is kept on
//! disk: after a restart, results are read from the NodeImage and unfinished pulls begin anew. When nothing changes,
//! nothing is written and no timer runs.

mod activity;
mod actor;
mod config;
mod credentials;
mod disk;
mod limiter;
mod metrics;
#[cfg(feature = "exec-plugins")]
pub mod plugins;
mod pull;
mod reporter;
mod secrets;
mod worker;

pub use actor::{AgentDependencies, NodeAgent};
pub use config::{AgentConfig, UNLIMITED};
pub use credentials::{CredentialError, CredentialProvider};
#[cfg(all(unix, feature = "statvfs"))]
pub use disk::Statvfs;
pub use disk::{DiskLimits, DiskSpace, Space};
pub use metrics::AgentMetrics;
pub use secrets::{KubeSecrets, NoSecrets, PullSecret, SecretError, SecretSource};
