//! The controller: pods that run are upgraded in place, sets tell how far they are.
//!
//! ```text
//!  pods ──delta──▶ rosters of their sets ─┐
//!  sets ─────────▶ targets ───────────────┼─▶ plan ──▶ one PATCH for each pod that is upgraded now
//!  namespaces ───▶ (membership) ──────────┘     │
//!  revisions ◀── history of the set             └─▶ status, Events, metrics
//! ```
//! A look at a set reads its roster, one row for each of its pods, and never the pods of others. When nothing changes,
//! nothing is written.
//!
//! # That no more pods are taken down than may be
//! * A patch fits one state of one pod (uid and resourceVersion). A cache that is behind gets a conflict.
//! * What was written is expected to come back through the watch before the set is planned again. Pods of which nobody
//!   knows whether they were written are asked for.
//! * A process that has just started, or that has not seen its writes for a minute, asks the server for the versions of
//!   the set and its pods before it upgrades one, and waits until its caches have them.
//! * How far a pod is stands in the pod: nothing is lost with the process.
//!
//! ```
//! # use kruise_core::runtime::{EventSink, SystemClock};
//! # use kruise_sidecar::controller::{SidecarSetConfig, SidecarSetDependencies, UpgradeMetrics, sidecar_pod_cache, sidecar_set_controller};
//! # use kruise_sidecar::webhook::{namespace_cache, revision_cache, sidecar_set_cache};
//! # use kruise_core::testing::apiserver::ApiServer;
//! # use std::sync::Arc;
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let client = ApiServer::default().client();
//! let config = SidecarSetConfig::default();
//! let (sets, set_driver) = sidecar_set_cache(client.clone()).build();
//! let (pods, pod_driver) = sidecar_pod_cache(client.clone()).build();
//! let (namespaces, namespace_driver) = namespace_cache(client.clone()).build();
//! let (revisions, revision_driver) = revision_cache(client.clone(), &config.revision_namespace).build();
//! let dependencies = SidecarSetDependencies {
//!     client,
//!     sets,
//!     pods,
//!     namespaces: Some(namespaces),
//!     revisions,
//!     clock: Arc::new(SystemClock),
//!     events: EventSink::none(),
//!     metrics: None,
//!     upgrade_metrics: UpgradeMetrics::default(),
//! };
//! let controller = sidecar_set_controller(dependencies, config)?;
//! // Give the caches with their drivers, and the controller, to a Manager.
//! # drop((controller, set_driver, pod_driver, namespace_driver, revision_driver));
//! # Ok(())
//! # }
//! ```

mod caches;
mod config;
mod confirm;
mod error;
mod history;
mod metrics;
mod notes;
pub mod rbac;
mod reconcile;
mod report;
mod rosters;
mod wire;
mod writer;

pub use caches::sidecar_pod_cache;
pub use config::SidecarSetConfig;
pub use error::SidecarSetError;
pub use history::REVISION_FIELDS;
pub use metrics::UpgradeMetrics;
pub use notes::{INVALID_SIDECAR_SET, REVISION_FAILED, UPGRADE_REFUSED};
pub use wire::{SidecarSetController, SidecarSetDependencies, sidecar_set_controller};
