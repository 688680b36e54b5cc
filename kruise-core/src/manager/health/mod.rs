//! Whether a process is alive and ready, and its metrics, for probes and scrapers over HTTP.

mod checks;
mod service;

pub use checks::{Check, Checks, Health};
pub use service::{HealthService, MetricsService};
