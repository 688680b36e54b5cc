//! Work in progress.

pub mod sidecar;
