//! Anything that has a life: what a manager starts and stops.

use std::error::Error;

use futures::future::BoxFuture;
use tokio_util::sync::CancellationToken;

/// Why a [`Runnable`] ended before it was told to.
#[derive(Debug, thiserror::Error)]
#[error("failed while running")]
pub struct RunError {
    #[source]
    source: Box<dyn Error + Send + Sync>,
}

impl RunError {
    /// Wraps what went wrong.
    pub fn new(source: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self {
            source: source.into(),
        }
    }
}

/// Something that runs until it is cancelled: a cache's watch, a controller, a server.
pub trait Runnable: Send + 'static {
    /// A short name for logs and errors.
    fn name(&self) -> &str;

    /// Runs until `cancel` fires (then `Ok`), or until it cannot go on (then the error).
    ///
    /// Dropping the future stops it as well, without the clean end.
    fn run(self: Box<Self>, cancel: CancellationToken) -> BoxFuture<'static, Result<(), RunError>>;
}
