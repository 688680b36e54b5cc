//! What all crates of the group `apps.kruise.io` share on the wire.

pub mod names;
