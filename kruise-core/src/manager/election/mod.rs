//! Leader election: at most one of several processes acts, agreed on through a Lease (`coordination.k8s.io/v1`).
//!
//! # Why two never act at once
//! Only the monotonic clock of each process is asked, and only for durations; the times of day in the Lease are for
//! people. Let L be `lease_duration`, R `renew_deadline` and M `stop_margin`, with R + M < L.
//!
//! * A candidate may take a Lease that has not changed for L **since it saw it change**. It sees a change after the
//!   server has made it, so it takes the Lease later than L after the holder's last renewal was made.
//! * The holder counts from **before it sent** its last successful renewal. R after that it gives up: its work is
//!   cancelled, and has L − R − M to end. L − M after that the work is dropped, ended or not, and [`Fence::is_held`]
//!   says no.
//! * Each write names the resourceVersion that it replaces, so of two writers one is refused, and a write that was
//!   delayed on its way cannot overwrite a newer one.
//! * On a clean stop the Lease is given back after the work has ended, never before.
//!
//! M must cover what cannot be dropped at once: code between two await points, a request that is on its way, and
//! clocks of different speed. Not covered are a process that is halted for longer than L, which only the [`Fence`]
//! can stop from writing when it wakes, and somebody who deletes or edits the Lease by hand.

mod config;
mod error;
mod fence;
mod lease;
mod run;

pub use config::ElectionConfig;
pub use error::ElectionError;
pub use fence::Fence;
pub use run::{LeaderElection, Leadership};
