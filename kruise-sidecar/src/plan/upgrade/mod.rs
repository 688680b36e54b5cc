//! Which pods of a set are upgraded next, and why the others are not.
//!
//! The order of questions: does the pod belong to the set ([`membership`]); is it at the set's state already; can it be
//! upgraded at all ([`Obstacle`]); is it selected, in which order is it, does the partition keep it, does the budget
//! last ([`kruise_core::policy`]).

mod column;
mod condition;
mod decision;
mod hot;
mod metadata;
mod patch;
mod plan;
mod roster;

pub use condition::{Upgradable, may_change_upgradable, upgradable};
pub use decision::{Obstacle, Unmatched, membership};
pub use metadata::{MetadataError, patch_metadata};
pub use patch::{PatchError, PodPatch, Stamp, reset_patch, upgrade_patch};
pub use plan::{Counts, UpgradePlan, plan_upgrade};
pub use roster::Roster;

pub(crate) use hot::pair;
pub(crate) use plan::Facts;
