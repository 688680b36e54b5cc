//! The controller of ImagePullJobs: cache → [`plan`](crate::plan::job) → patches → status and Events.

mod config;
mod controller;
mod dispatcher;
mod notes;
mod pace;
mod secrets;

pub use config::JobConfig;
pub use controller::{JobDependencies, JobReconciler, job_controller};
