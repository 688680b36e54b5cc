//! What keeps a set from being looked after.

use kruise_core::revision::RevisionError;
use kruise_core::runtime::{ApiError, ReconcileError, Retry};

/// What keeps a set from being looked after, until the next try.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SidecarSetError {
    /// A request failed.
    #[error(transparent)]
    Api(#[from] ApiError),
    /// Its history could not be written.
    #[error(transparent)]
    Revision(#[from] RevisionError),
}

impl ReconcileError for SidecarSetError {
    fn retry(&self) -> Retry {
        match self {
            Self::Api(error) => error.retry(),
            Self::Revision(error) => error.retry(),
        }
    }
}
