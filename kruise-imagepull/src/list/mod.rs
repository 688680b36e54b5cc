//! The controller of ImageListPullJobs: one ImagePullJob for each image, counted together. What it decides is in
//! [`plan::list`](crate::plan::list).

mod config;
mod controller;
mod notes;

pub use config::ListConfig;
pub use controller::{ListDependencies, ListReconciler, list_controller};
