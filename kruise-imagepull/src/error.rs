//! What can go wrong when the controllers and the agent write to the API server.

pub use kruise_core::runtime::ApiError;
