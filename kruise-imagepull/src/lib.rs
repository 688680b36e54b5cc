//! Work in progress.

pub mod agent;
pub mod api;
pub mod caches;
pub mod error;
pub mod events;
pub mod job;
pub mod nodeimage;
pub mod plan;

#[cfg(test)]
mod fixtures;
