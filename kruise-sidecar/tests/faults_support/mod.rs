//! The controller of two managers that elect a leader, in a cluster in which everything fails from time to time.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "helpers of tests"
)]

pub(crate) mod managers;
pub(crate) mod rules;
pub(crate) mod scenario;
pub(crate) mod sets;
