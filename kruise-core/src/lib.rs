//! Work in progress.

pub mod api;
pub mod gates;
pub mod manager;
pub mod runtime;
#[cfg(any(test, feature = "testing"))]
pub mod testing;
