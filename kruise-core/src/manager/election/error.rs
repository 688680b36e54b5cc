//! How leadership is lost.

/// Why a holder of the Lease had to stop.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ElectionError {
    /// The Lease could not be renewed within the renew deadline.
    #[error("leadership lost: the lease could not be renewed in time")]
    Expired,
    /// The Lease is another's, although it had not expired by our clock: somebody edited or deleted it.
    #[error("leadership lost: the lease was taken by {holder}")]
    Taken {
        /// The identity in the Lease.
        holder: String,
    },
    /// The process (or machine) was halted, or its clock set forward, past the end of its Lease.
    #[error("leadership lost: the process was halted past the end of its lease")]
    Halted,
}
