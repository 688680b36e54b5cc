//! What can go wrong between us and a runtime, and whether to try again.

mod classify;
mod redact;

use std::time::Duration;

pub(crate) use classify::from_status;
pub(crate) use redact::redact;

/// A failed call.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{call}: {kind}: {message}")]
pub struct Error {
    /// The CRI method, such as `PullImage`.
    pub call: &'static str,
    /// What kind of failure it is.
    pub kind: ErrorKind,
    /// The runtime's own words, without credentials and without queries of signed URLs.
    pub message: String,
}

/// Kinds of failures. Runtimes tell most of them apart in text only, so this is a classification of their words.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
#[non_exhaustive]
pub enum ErrorKind {
    /// The registry has no such repository, tag or digest; or the runtime no such container.
    #[error("not found")]
    NotFound,
    /// The registry refused the credentials, or wants some.
    #[error("access denied by the registry")]
    Unauthorized,
    /// The registry asks to slow down (429).
    #[error("rate limited by the registry")]
    RateLimited,
    /// The node's disk is full.
    #[error("no space left on the node")]
    NoSpace,
    /// The runtime is not there, is restarting, or has not finished starting.
    #[error("container runtime unavailable")]
    RuntimeUnavailable,
    /// The registry cannot be reached or is failing.
    #[error("registry unavailable")]
    RegistryUnavailable,
    /// The call took longer than allowed.
    #[error("deadline exceeded")]
    Deadline,
    /// The call was cancelled on the other side.
    #[error("cancelled")]
    Cancelled,
    /// The runtime does not accept the reference or another argument.
    #[error("invalid argument")]
    InvalidArgument,
    /// The image exists, but not for this node's platform.
    #[error("no image for the node's platform")]
    NoMatchingPlatform,
    /// The node's policy does not trust the image.
    #[error("signature validation failed")]
    SignatureValidationFailed,
    /// The runtime serves neither version of the interface, or not this method.
    #[error("not served by the container runtime")]
    Unimplemented,
    /// The answer is larger than [`ClientConfig::max_message_bytes`](crate::ClientConfig::max_message_bytes).
    #[error("message too large")]
    MessageTooLarge,
    /// The runtime broke the protocol, for example with a pull that succeeded without naming an image.
    #[error("unexpected answer from the container runtime")]
    Protocol,
    /// Anything else.
    #[error("failed")]
    Other,
}

/// Whether trying again helps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Retry {
    /// The same call fails again.
    Never,
    /// Only other credentials help.
    OtherCredentials,
    /// After a pause that grows.
    Backoff,
    /// After a pause of at least this long.
    BackoffAtLeast(Duration),
    /// As soon as the runtime is back; it is no failure of the image.
    WhenRuntimeReturns,
}

/// The shortest pause after a registry said 429, and after a disk was full.
pub const HARD_BACKOFF: Duration = Duration::from_secs(30);

impl Error {
    pub(crate) fn new(call: &'static str, kind: ErrorKind, message: impl Into<String>) -> Self {
        Self {
            call,
            kind,
            message: message.into(),
        }
    }

    /// Whether trying again helps, and when.
    pub fn retry(&self) -> Retry {
        match self.kind {
            ErrorKind::NotFound
            | ErrorKind::InvalidArgument
            | ErrorKind::NoMatchingPlatform
            | ErrorKind::SignatureValidationFailed
            | ErrorKind::MessageTooLarge => Retry::Never,
            ErrorKind::Unauthorized => Retry::OtherCredentials,
            ErrorKind::RateLimited | ErrorKind::NoSpace => Retry::BackoffAtLeast(HARD_BACKOFF),
            ErrorKind::RuntimeUnavailable | ErrorKind::Unimplemented => Retry::WhenRuntimeReturns,
            ErrorKind::RegistryUnavailable
            | ErrorKind::Deadline
            | ErrorKind::Cancelled
            | ErrorKind::Protocol
            | ErrorKind::Other => Retry::Backoff,
        }
    }
}
