//! Which pods of a rollout are updated now, in which order, and why: engines without IO, for pods of any workload and
//! for objects of your own.
//!
//! Each engine can be used alone; [`Rollout`] puts them in their order:
//!
//! ```text
//!  members ──▶ obstacles, selector ──▶ rank ──▶ priority ──▶ scatter ──▶ partition ──▶ budget ──▶ Plan
//!              who may be updated      order    re-sorted    spread      how many      one by     a verdict with its
//!                                                                        stay old      one        reason for each
//! ```
//!
//! * [`budget`] — how many may be unavailable at once.
//! * [`partition`] — how many stay at the old revision, and which way that moves the others.
//! * [`select`] — label selectors, compiled once.
//! * [`rank`] — the default order of pods; [`Ranking`] keeps it from one plan to the next.
//! * [`priority`] — `priorityStrategy`: weights, and numbers in labels.
//! * [`scatter`] — `scatterStrategy`: pods with equal labels are kept apart.
//! * [`rollout`] — all of them together.
//!
//! How percentages are rounded stands in [`crate::api::int_or_percent`], in one table for the whole group.
//!
//! Members are addressed by their position in the slice that is given (`u32`, so at most 4294967295 of them), which
//! keeps an order to four bytes per pod. Nothing here allocates per pod.
//!
//! ```
//! use std::collections::BTreeMap;
//! use kruise_core::policy::{Budget, Labels, Member, Rollout, ScatterTerm, Scatter};
//!
//! /// An object of your own: nothing of Kubernetes in it.
//! struct Shard { zone: &'static str, updated: bool, healthy: bool }
//!
//! impl Labels for Shard {
//!     fn label(&self, key: &str) -> Option<&str> {
//!         (key == "zone").then_some(self.zone)
//!     }
//! }
//!
//! impl Member for Shard {
//!     type Rank<'a> = ();               // the order of the slice is the order of the rollout
//!     type Obstacle = std::convert::Infallible;
//!     fn rank(&self) {}
//!     fn is_updated(&self) -> bool { self.updated }
//!     fn is_available(&self) -> bool { self.healthy }
//! }
//!
//! let shards: Vec<Shard> = ["a", "a", "a", "b", "b", "b"]
//!     .map(|zone| Shard { zone, updated: false, healthy: true }).into();
//! let scatter = Scatter::compile(&[ScatterTerm::new("zone", "*")]);
//! let rollout = Rollout { scatter: Some(&scatter), partition: 1, budget: Budget::new(2), ..Rollout::default() };
//! let plan = rollout.plan(&shards);
//! assert_eq!(plan.updates(), [3, 0], "one of each zone");
//! let verdict = plan.verdict(4).expect("there are six");
//! assert_eq!(verdict.to_string(), "waits: 2 unavailable, as many as may be");
//! ```

pub mod budget;
pub mod member;
pub mod partition;
pub mod priority;
pub mod rank;
mod ranking;
pub mod rollout;
pub mod scatter;
pub mod select;

pub use budget::Budget;
pub use member::{Labels, Member};
pub use partition::Move;
pub use priority::{Priority, UpdatePriorityStrategy};
pub use rank::{PodRank, PodStanding};
pub use ranking::Ranking;
pub use rollout::{Plan, Rollout, Verdict};
pub use scatter::{Scatter, ScatterTerm};
pub use select::{Selector, SelectorError};
