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
///
/// ```
/// use futures::future::{BoxFuture, FutureExt};
/// use kruise_core::manager::{Manager, ManagerConfig};
/// use kruise_core::runtime::{RunError, Runnable};
/// use tokio_util::sync::CancellationToken;
///
/// /// Does something of its own beside the controllers, until the manager stops.
/// struct Beside;
///
/// impl Runnable for Beside {
///     fn name(&self) -> &str { "beside" }
///     fn run(self: Box<Self>, cancel: CancellationToken) -> BoxFuture<'static, Result<(), RunError>> {
///         async move { cancel.cancelled().await; Ok(()) }.boxed()
///     }
/// }
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let mut manager = Manager::new(ManagerConfig::default())?;
/// manager.everywhere(Beside);
/// let stop = CancellationToken::new();
/// stop.cancel();
/// manager.run(stop).await?;
/// # Ok(())
/// # }
/// ```
pub trait Runnable: Send + 'static {
    /// A short name for logs and errors.
    fn name(&self) -> &str;

    /// Runs until `cancel` fires (then `Ok`), or until it cannot go on (then the error).
    ///
    /// Dropping the future stops it as well, without the clean end.
    fn run(self: Box<Self>, cancel: CancellationToken) -> BoxFuture<'static, Result<(), RunError>>;
}
