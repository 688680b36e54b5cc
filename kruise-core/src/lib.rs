//! Work in progress.

pub mod runtime;
#[cfg(any(test, feature = "testing"))]
pub mod testing;
