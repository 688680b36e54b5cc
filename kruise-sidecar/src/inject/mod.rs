//! Injection: from a pod and the sets to a JSON patch, as a pure function.
//!
//! A set is compiled once; then a pod costs one pass over its text and no more is decoded than is looked at. What
//! injection does not know of the pod is not touched: the patch adds, and replaces only containers that it injected.
//!
//! ```
//! use kruise_sidecar::api::{HashForm, SidecarSet};
//! use kruise_sidecar::inject::{Injector, Moment, compile};
//! use serde_json::{Value, json};
//!
//! let set: SidecarSet = serde_json::from_value(json!({
//!     "metadata": {"name": "logs"},
//!     "spec": {
//!         "selector": {"matchLabels": {"app": "web"}},
//!         "containers": [{"name": "shipper", "image": "shipper:1", "shareVolumePolicy": {"type": "enabled"}}],
//!     },
//! }))?;
//! let injector = Injector::new([compile(&set, &[], HashForm::default())?.into()], Default::default());
//! let mut pod = json!({
//!     "metadata": {"name": "web-0", "namespace": "shop", "labels": {"app": "web"}},
//!     "spec": {
//!         "containers": [{"name": "main", "volumeMounts": [{"name": "data", "mountPath": "/data"}]}],
//!         "volumes": [{"name": "data", "emptyDir": {}}],
//!     },
//! });
//! let done = injector.inject(&pod.to_string(), &Moment::new("2030-01-01T00:00:00Z".parse()?))?;
//! json_patch::patch(&mut pod, &done.json_patch()?)?;
//! assert_eq!(pod["spec"]["containers"][0]["name"], "shipper");
//! assert_eq!(pod["spec"]["containers"][0]["volumeMounts"][0]["mountPath"], "/data");
//! assert_eq!(pod["metadata"]["annotations"]["kruise.io/sidecarset-injected-list"], "logs");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # Rules
//! * Sets come in the order of their names; what they bring stands in front of the pod's containers or behind them.
//! * A container of the pod that an injection put there is replaced in its place; one that it did not is never: the pod
//!   is refused, or the set left out, as [`Refusal`] says.
//! * Injected again, a pod does not change: neither its containers nor the times in its annotations.
//! * Mounts, devices and variables come from the pod's own containers. What this injection brings, or brought before,
//!   is no source.

mod annotations;
mod build;
mod compile;
mod engine;
mod error;
mod missing;
mod patch;
mod plan;
mod pod;
mod revision;
mod set;
mod share;
mod sidecar;

pub use compile::compile;
pub use engine::{InjectConfig, Injection, Injector, Moment, Refusal, Skipped};
pub use error::{InjectError, Problem};
pub use missing::{MissingReason, missing_injection};
pub(crate) use revision::has_revision;
pub use revision::restore;
pub use set::CompiledSet;
