//! Starting and stopping all that a process does.

mod component;
mod config;
mod error;
mod group;
mod manager;

pub use component::Component;
pub use config::ManagerConfig;
pub use error::ManagerError;
pub use manager::Manager;
