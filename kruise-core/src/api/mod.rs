//! What all crates of the group `apps.kruise.io` share on the wire.

pub mod int_or_percent;
pub mod names;
