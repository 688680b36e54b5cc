//! Work in progress.

pub mod api;
pub mod plan;

#[cfg(test)]
mod fixtures;
