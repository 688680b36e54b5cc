//! The history of a workload, kept as ControllerRevisions: what its spec was, one object for each state.
//!
//! ```text
//!  spec ──▶ Snapshot ──┐
//!  revisions there are ┼─▶ plan_history ──▶ HistoryPlan { current: create | raise | reuse, delete } ──▶ RevisionHistory::sync
//!  revisions in use ───┘      (pure)                                                                     (requests)
//! ```
//! * Two states are equal if their data is: a workload that goes back to an old state gets that revision again, with the
//!   highest number.
//! * A revision is named after its workload and a hash of its data, so that two processes that create the same one make
//!   one. A name that is taken by other data raises the workload's `collisionCount`, which goes into the hash.
//! * Of more revisions than the limit, the oldest go, but none in use.
//! * A revision that nobody owns is adopted; one that somebody else owns is left alone.
//!
//! ```
//! use k8s_openapi::api::apps::v1::ControllerRevision;
//! use kruise_core::revision::{Current, Snapshot, plan_history};
//! use serde_json::json;
//!
//! let snapshot = Snapshot::new(json!({"spec": {"image": "web:1"}}));
//! let none: [ControllerRevision; 0] = [];
//! let plan = plan_history("uid-of-web", &none, &snapshot, |_| false, 10);
//! assert_eq!(plan.current, Current::Create { revision: 1 });
//! assert!(snapshot.name("web", 0).starts_with("web-"));
//! ```

mod history;
mod plan;
mod snapshot;
#[cfg(test)]
mod tests;

pub use history::{RevisionError, RevisionHistory, RevisionTemplate, Synced};
pub use plan::{Current, HistoryPlan, plan_history};
pub use snapshot::Snapshot;
