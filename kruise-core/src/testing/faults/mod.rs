//! A layer between client and server that fails in seeded ways.
//!
//! ```
//! use k8s_openapi::api::core::v1::Node;
//! use kruise_core::testing::{apiserver::ApiServer, faults::{FaultConfig, Faults}};
//! use kube_client::Api;
//!
//! # #[tokio::main(flavor = "current_thread", start_paused = true)]
//! # async fn main() {
//! let server = ApiServer::default();
//! let mut config = FaultConfig::none();
//! config.error_before = 1.0;
//! let faults = Faults::new(server, config, 7);
//! let nodes: Api<Node> = Api::all(faults.client());
//! assert!(nodes.list(&Default::default()).await.is_err());
//! faults.calm();
//! assert!(nodes.list(&Default::default()).await.is_ok());
//! # }
//! ```

mod config;
mod layer;
#[cfg(test)]
mod tests;
mod watch;

pub use config::FaultConfig;
pub use layer::{Crash, Faults};
