//! The framework under kruise-rs, for Kubernetes controllers that live inside your own program: caches, work queues,
//! reconcilers, expectations, and the pieces around them.
//!
//! It stands on kube-rs (`kube_runtime::watcher`, `kube_client::Client`) and takes from it what works. Nothing in it is
//! global: the client, the metrics registry, the clock and the cancellation come from you, so two controllers, or two
//! of the same, live side by side in one process.
//!
//! # In fifteen lines
//! ```
//! use std::sync::Arc;
//! use k8s_openapi::api::core::v1::ConfigMap;
//! use kruise_core::runtime::*;
//! # #[derive(Debug, thiserror::Error)]
//! # #[error("never")]
//! # struct Never;
//! # impl ReconcileError for Never {}
//!
//! struct Hello(tokio_util::sync::CancellationToken);
//!
//! impl Reconciler for Hello {
//!     type Object = ConfigMap;
//!     type Error = Never;
//!     async fn reconcile(&self, key: ObjectKey, object: Option<Arc<ConfigMap>>) -> Result<Outcome, Never> {
//!         println!("{key} is {}", if object.is_some() { "here" } else { "gone" });
//!         self.0.cancel();
//!         Ok(Outcome::Done)
//!     }
//! }
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() {
//! // With a cluster: CacheBuilder::new(Api::<ConfigMap>::all(client)).build() gives a cache and the driver of its watch.
//! let (cache, writer) = Cache::offline([]);
//! let stop = tokio_util::sync::CancellationToken::new();
//! let controller = Controller::builder("hello", cache, Hello(stop.clone())).build();
//! let mut object = ConfigMap::default();
//! object.metadata.name = Some("greeting".into());
//! writer.apply(object);
//! controller.run(stop).await;
//! # }
//! ```
//!
//! # How data flows
//! ```text
//!  API server ──watch──▶ CacheDriver ──▶ Cache ◀──reads── Reconciler ──patches──▶ API server
//!                                          │                  ▲  │
//!                        deltas, tombstones│                  │  └─ Expectations: wait for what was written
//!                                          ▼                  │
//!                                      handlers ─keys─▶ WorkQueue ─leases─▶ workers of a Controller
//! ```
//!
//! # What is where
//! * [`runtime`] — caches with indexes and tombstones, the queue, controllers, expectations, tasks, clock, metrics.
//! * [`manager`] — API clients with limits and retries, events, leader election, health, and what composes all of it.
//! * [`policy`] — which of many objects are changed next, and how many: selectors, ranks, priorities, scatter, partition, budget.
//! * [`gates`] — feature gates.
//! * [`api`] — names on the wire.
#![cfg_attr(
    any(test, feature = "testing"),
    doc = "* [`testing`] — what tests need: a clock that is set by hand, and more."
)]
//!
//! # Features
//! | feature | what it adds |
//! | --- | --- |
//! | `testing` | the module `testing` |
//! | `webhook-server` | admission and conversion webhooks over HTTPS |
//! | `rustls-tls`, `openssl-tls`, `ring`, `aws-lc-rs` | passed on to kube-client; without one of them only plain HTTP works |
//!
//! None is on by default. Your program chooses the version feature of `k8s-openapi`; this crate chooses none.
//!
//! # What it does not do
//! * It starts nothing by itself: no runtime, no logger, no signal handlers, no environment variables, no statics.
//! * It does not write for you: reconcilers patch through a `kube_client::Client`.
//! * It does not keep expectations or queues over a restart: the first list after it is complete.

pub mod api;
pub mod gates;
pub mod manager;
pub mod policy;
pub mod runtime;
#[cfg(any(test, feature = "testing"))]
pub mod testing;
pub mod webhook;
