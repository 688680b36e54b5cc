//! Test support (feature `testing`).

pub mod clock;
