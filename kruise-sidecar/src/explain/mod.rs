//! Why each pod of a set is, or is not, upgraded next: the planner's decisions in words.
//!
//! ```text
//!  sets, pods, namespaces (JSON of any source) ──▶ Snapshot ──explain──▶ Explanation ──▶ JSON, or a Table
//! ```
//! The decisions are those of [`plan::upgrade`](crate::plan::upgrade), which the controller carries out; nothing is decided
//! here. All of it is pure: no clock, no client.
//!
//! ```
//! use kruise_sidecar::explain::{ExplainOptions, Snapshot, Verdict};
//! use serde_json::json;
//!
//! let mut snapshot = Snapshot::default();
//! snapshot.add(json!({"apiVersion": "v1", "kind": "List", "items": [
//!     {"apiVersion": "apps.kruise.io/v1alpha1", "kind": "SidecarSet", "metadata": {"name": "logs"},
//!      "spec": {"selector": {"matchLabels": {"app": "web"}}, "containers": [{"name": "agent", "image": "agent:2"}]}},
//!     {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "web-1", "namespace": "shop", "labels": {"app": "web"}}},
//! ]}))?;
//! let explanation = snapshot.explain("logs", &ExplainOptions::default()).ok_or("no such set")?;
//! assert_eq!(explanation.pods[0].verdict, Verdict::NotInjected);
//! assert!(explanation.table(false).to_string().contains("web-1"));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod assemble;
mod difference;
mod model;
mod order;
mod pods;
mod problems;
mod snapshot;
mod table;
mod words;

pub use model::{
    Amount, ExplainOptions, Explanation, PodExplanation, Problem, Severity, SidecarImage, Strategy, Totals,
    Unavailable, Verdict,
};
pub use snapshot::{KnownPod, Snapshot, SnapshotError};
pub use table::Table;
pub use words::{amount_of, selector_text};
