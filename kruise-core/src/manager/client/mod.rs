//! API clients for controllers: one pool of connections, and for each its own user agent and rate limit.

mod config;
mod factory;
mod limiter;
mod retry;
mod scale;
mod send;
mod verb;

pub use config::{ClientConfig, RetryConfig};
pub use factory::{ClientFactory, without_retry};
pub use scale::{ScaleClient, ScaleError, ScaleTarget};
pub use send::NotLeader;
