//! What surrounds the controllers of a process: API clients, events, leader election, health, and a [`Manager`] that
//! starts and stops all of it in order. Each part is of use without the others.
//!
//! ```text
//!  ClientFactory ──► a client for each controller (user agent, rate limit, retries)
//!  Manager ─┬─ EventWriter                                  stops third
//!           ├─ caches            on every replica           stop second
//!           ├─ servers, loops    on every replica           stop first
//!           └─ LeaderElection ── controllers (the leader)   stop first; the lease is released last
//! ```

mod client;
pub mod election;
pub mod events;
mod health;
mod jitter;
pub mod metrics;
pub mod rbac;
mod run;

pub use client::{
    ClientConfig, ClientFactory, NotLeader, RetryConfig, ScaleClient, ScaleError, ScaleTarget, without_retry,
};
pub use election::{ElectionConfig, ElectionError, Fence, LeaderElection, Leadership};
pub use events::{EventConfig, EventKind, EventRecorder, EventWriter};
pub use health::{Check, Checks, Health, HealthService, MetricsService};
pub use metrics::ManagerMetrics;
pub use run::{Component, Manager, ManagerConfig, ManagerError};
