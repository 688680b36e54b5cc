//! Admission: pods are injected, SidecarSets are defaulted, judged and converted.
//!
//! ```text
//!  SidecarSets ─┐                                    ┌─▶ PodInjector ◀── API server (pods)
//!  revisions ───┼─▶ LiveSets (each set compiled once)┼─▶ ScopeKeeper ──▶ selectors of the webhook configuration
//!  namespaces ──┘                                    └─▶ Audit ──▶ report of pods that slipped through
//! ```
//! The pod webhook needs no controller, no leader and no cache of pods: two watches, of sets and namespaces, and it
//! answers. So it can be a small process of its own, or be in all replicas of a bigger one:
//! ```
//! use std::sync::Arc;
//! use kruise_core::runtime::SystemClock;
//! use kruise_core::webhook::Router;
//! use kruise_sidecar::webhook::{LiveConfig, LiveSets, PodHookConfig, PodInjector, register_pods};
//!
//! let live = LiveSets::new(LiveConfig::default());
//! // live.follow(&sets);  with sidecar_set_cache(client).build()
//! let config = PodHookConfig::default();
//! let keeper = live.scope_keeper(config.clone()); // to be run beside the server
//! keeper.refresh();
//! let injector = PodInjector::new(live.clone(), Arc::new(SystemClock));
//! let router = register_pods(Router::builder(), injector, &config, Some(live.scopes())).build()?;
//! assert_eq!(router.hooks().count(), 1);
//! # Ok::<(), kruise_core::runtime::ConfigError>(())
//! ```
//! [`PodWebhook`] does this with a client. Whether the pod webhook is there at all is for the gate
//! [`POD_WEBHOOK`](kruise_core::gates::POD_WEBHOOK) to say: if it is off, do not register it.
//!
//! # What stands in nobody's way
//! * Pods that no set selects are not even sent: the configuration's selectors are made from the sets.
//! * A set that cannot be used is left out, logged, and told to [`LiveSets::reporting`].
//! * A panic ends one request; what becomes of that pod is for [`PodHookConfig::on_failure`] to say.
//! * The namespace of the webhook itself is excluded.

mod alone;
mod audit;
mod audit_events;
mod caches;
mod config;
mod keeper;
mod live;
mod metrics;
mod namespaces;
mod pods;
pub mod rbac;
mod scopes;
mod sets;

use kruise_core::webhook::{RouterBuilder, Scopes};

pub use alone::PodWebhook;
pub use audit::{Audit, AuditConfig, AuditReport, Missing};
pub use audit_events::AuditEvents;
pub use caches::{configuration_cache, revision_cache, sidecar_set_cache};
pub use config::{POD_PATH, PodHookConfig};
pub use keeper::ScopeKeeper;
pub use live::{LiveConfig, LiveSets};
pub use metrics::InjectionMetrics;
pub use namespaces::{NamespaceView, Namespaces, namespace_cache};
pub use pods::PodInjector;
pub use sets::{CONVERT_PATH, SetRules, conversion, register_sets};

/// Adds the pod webhook to a router. Pods of the excluded namespaces are left alone even where they are sent. With `scopes` only pods in these are sent; a [`ScopeKeeper`] must run then.
pub fn register_pods(
    router: RouterBuilder,
    injector: PodInjector,
    config: &PodHookConfig,
    scopes: Option<Scopes>,
) -> RouterBuilder {
    let injector = injector.excluding(&config.excluded_namespaces);
    router.patch(config.hook(scopes), injector)
}
