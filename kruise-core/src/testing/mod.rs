//! Test support (feature `testing`): everything a controller needs to believe that it runs in a cluster, in one process,
//! without sockets, on paused time.
//!
//! | piece | what it is |
//! | --- | --- |
//! | [`apiserver`] | an API server as a tower service for `kube_client::Client` |
//! | [`faults`] | a layer between client and server that fails in seeded ways |
//! | [`cluster`] | a scheduler and kubelets: pods get nodes, become ready, restart in place; nodes die |
//! | [`simulate`] | runs a controller under many seeds of faults and crashes, checking rules after every write |
//! | [`build`] | pods, nodes, namespaces and events in a line |
//! | [`clock`] | a wall clock that is set by hand |
//! | [`random`] | the seeded numbers all of it draws from |
//!
//! ```
//! use k8s_openapi::api::core::v1::Pod;
//! use kruise_core::testing::{apiserver::ApiServer, build::PodBuilder};
//! use kube_client::{Api, api::PostParams};
//!
//! # #[tokio::main(flavor = "current_thread", start_paused = true)]
//! # async fn main() -> Result<(), kube_client::Error> {
//! let server = ApiServer::default();
//! let pods: Api<Pod> = Api::default_namespaced(server.client());
//! pods.create(&PostParams::default(), &PodBuilder::new("web").image("web:1").build()).await?;
//! assert_eq!(pods.list(&Default::default()).await?.items.len(), 1);
//! # Ok(())
//! # }
//! ```

pub mod apiserver;
pub mod build;
pub mod clock;
pub mod cluster;
pub mod faults;
pub mod random;
pub mod simulate;
