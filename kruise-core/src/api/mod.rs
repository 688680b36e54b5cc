//! What all crates of the group `apps.kruise.io` share on the wire.

mod int_or_percent;
pub mod names;
pub mod strategy;

pub use int_or_percent::{IntOrPercent, IntOrPercentError};
