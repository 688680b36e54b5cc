//! A scheduler, kubelets and the node lifecycle, simulated on tokio's time.
//!
//! Pods are assigned to ready nodes, start, become ready, and end when they are deleted. An image that changes restarts
//! its container in place, with a new container ID and one more restart. Nodes die: their pods stay as they are until the
//! control plane notices, marks them as not ready, and later deletes them.
//!
//! ```
//! use std::time::Duration;
//! use k8s_openapi::api::core::v1::Pod;
//! use kruise_core::runtime::Tasks;
//! use kruise_core::testing::{apiserver::ApiServer, build::PodBuilder, cluster::{ClusterConfig, SimulatedCluster}};
//!
//! # #[tokio::main(flavor = "current_thread", start_paused = true)]
//! # async fn main() {
//! let server = ApiServer::default();
//! let cluster = SimulatedCluster::new(server.clone(), ClusterConfig::default());
//! cluster.add_node("n1");
//! let tasks = Tasks::new();
//! tasks.spawn("cluster", cluster.clone().run(tasks.token()));
//! server.seed_object(&PodBuilder::new("web").image("web:1").build());
//! tokio::time::sleep(Duration::from_secs(10)).await;
//! let pod: Pod = server.get("default", "web").unwrap();
//! assert_eq!(pod.status.unwrap().phase.as_deref(), Some("Running"));
//! # }
//! ```

mod config;
mod kubelet;
mod nodes;
mod run;
#[cfg(test)]
mod tests;

pub use config::ClusterConfig;
pub use run::SimulatedCluster;
