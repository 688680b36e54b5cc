//! Reconcilers, and what drives them.
//!
//! ```text
//!   caches ──deltas──▶ WorkQueue<ObjectKey> ──lease──▶ workers ──▶ Reconciler::reconcile(key, object)
//!                             ▲                                        │
//!                             └────── done, later, or failed ◀─────────┘
//! ```

mod builder;
mod config;
mod reconciler;
mod run;

pub use builder::ControllerBuilder;
pub use config::RunnerConfig;
pub use reconciler::{Outcome, ReconcileError, Reconciler, Retry};
pub use run::Controller;
