//! What to do with the pods of a set, and why: pure functions, without clock, client or randomness.
//!
//! ```text
//!  pod enters the cache ──▶ SidecarPod (annotations parsed once) ─┐
//!  set changes ──▶ Target (selectors, strategy, hashes compiled) ─┴▶ UpgradePlan ──▶ PodPatch for each pod to upgrade
//! ```
//!
//! * [`SidecarPod`] — a pod and what it says of its sets.
//! * [`Target`] — a set, compiled.
//! * [`upgrade`] — which pods are upgraded next, a verdict with its reason for each, counts for the status.

mod fingerprint;
mod pod;
mod progress;
mod target;
pub mod upgrade;

pub use fingerprint::Fingerprint;
pub use pod::{Injected, SidecarPod};
pub use target::{HotSidecar, Target, TargetError, TargetSidecar};
