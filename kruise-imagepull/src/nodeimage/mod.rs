//! The controller of NodeImages: creation and deletion with their Nodes, labels, tasks whose time is over, tasks that
//! nobody answers for. See [`plan`](crate::plan::nodeimage).

mod config;
mod controller;

pub use config::NodeImageConfig;
pub use controller::{NodeImageDependencies, NodeImageReconciler, node_image_controller};
