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
//! # Step by step
//! 1. **Caches.** [`runtime::CacheBuilder`] makes one watch for a kind: objects are decoded one by one (a bad one is reported
//!    and left out), trimmed or projected ([`runtime::SlimPod`]), and read as `Arc`s, by key or by a typed index. Every change
//!    is a [`runtime::Delta`]; what a relist does not show any more is a deletion too.
//! 2. **Wake-ups.** Deltas become keys in a [`runtime::WorkQueue`]: each key once, the urgent first, what failed later.
//! 3. **Reconcile.** A [`runtime::Controller`] hands keys to your [`runtime::Reconciler`], a few at a time, one key never twice
//!    at once. Read caches, decide with a pure function ([`policy`] has those of rollouts), write patches.
//! 4. **Do not act twice.** Where a stale cache would make you do so, [`runtime::Expectations`] hold an object back until your
//!    write is seen, and never for longer than a limit; [`runtime::Cache::wait_for`] waits for one version.
//! 5. **Admission.** [`webhook::Router`] answers reviews with your [`webhook::Mutator`]s, [`webhook::Validator`]s and
//!    [`webhook::Converter`]s.
//! 6. **Put together.** [`manager::Manager`] starts caches, waits until they are in sync, starts what may run everywhere and,
//!    with [`manager::LeaderElection`], what one replica alone may do, and stops all of it in order.
//!    [`manager::ClientFactory`] gives each controller a client of its own rate limit over one pool of connections.
#![cfg_attr(
    any(test, feature = "testing"),
    doc = "7. **Test.** [`testing::simulate`] runs it in a simulated cluster under seeded faults and crashes; the example\n   `own-controller` of the repository is a controller in 60 lines with such a test."
)]
//!
//! # What is where
//! * [`runtime`] — caches with indexes and tombstones, the queue, controllers, expectations, tasks, clock, metrics.
//! * [`manager`] — API clients with limits and retries, events, leader election, health, and what composes all of it.
//! * [`policy`] — which of many objects are changed next, and how many: selectors, ranks, priorities, scatter, partition, budget.
//! * [`revision`] — the history of a workload as ControllerRevisions.
//! * [`webhook`] — admission and conversion, the HTTPS server, its certificates and configurations.
//! * [`gates`] — feature gates.
//! * [`api`] — names on the wire.
#![cfg_attr(
    any(test, feature = "testing"),
    doc = "* [`testing`] — an in-memory API server, a simulated cluster, faults, builders, a clock that is set by hand."
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
pub mod revision;
pub mod runtime;
#[cfg(any(test, feature = "testing"))]
pub mod testing;
pub mod webhook;
