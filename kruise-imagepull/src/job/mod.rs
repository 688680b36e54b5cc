//! The controller of ImagePullJobs: cache → [`plan`](crate::plan::job) → patches → status and Events.

mod catch_up;
mod config;
mod controller;
mod notes;
mod pace;
mod secrets;
mod writer;

pub use config::JobConfig;
pub use controller::{JobController, JobDependencies, job_controller};
