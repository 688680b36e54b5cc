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

mod actor;
mod config;
mod limiter;
mod metrics;
mod reporter;
mod secrets;
mod worker;

pub use actor::{AgentDependencies, NodeAgent};
pub use config::{AgentConfig, UNLIMITED};
pub use metrics::AgentMetrics;
pub use secrets::{KubeSecrets, NoSecrets, PullSecret, SecretError, SecretSource};
