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

/// Whether a failure to write a history may be over with the next try, so that nobody needs to know of it.
pub(super) fn is_passing(error: &RevisionError) -> bool {
    matches!(
        error,
        RevisionError::Api(ApiError::Conflict { .. } | ApiError::Throttled { .. })
    )
}

impl ReconcileError for SidecarSetError {
    fn retry(&self) -> Retry {
        match self {
            Self::Api(error) => error.retry(),
            Self::Revision(error) => error.retry(),
        }
    }
}
