//! What can go wrong between us and a runtime, and whether to try again.

mod classify;
mod redact;

use std::time::Duration;

use crate::reference::ParseReferenceError;

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
    /// The text is no image reference.
    #[error("invalid image reference")]
    InvalidReference,
    /// The runtime does not accept another argument.
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
    /// After a pause of at least this long, which grows.
    BackoffAtLeast(Duration),
    /// As soon as the runtime is back; it is no failure of the image.
    WhenRuntimeReturns,
}

impl Retry {
    /// The shortest pause after a registry could not be reached, or failed.
    pub const REGISTRY_UNAVAILABLE: Duration = Duration::from_secs(10);
    /// The shortest pause after a registry asked to slow down.
    pub const RATE_LIMITED: Duration = Duration::from_secs(30);
    /// The shortest pause after the disk was full: as long as the kubelet may take to free some.
    pub const NO_SPACE: Duration = Duration::from_secs(60);
    /// The longest of these.
    pub const LONGEST: Duration = Self::NO_SPACE;
}

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
            | ErrorKind::InvalidReference
            | ErrorKind::InvalidArgument
            | ErrorKind::NoMatchingPlatform
            | ErrorKind::SignatureValidationFailed
            | ErrorKind::MessageTooLarge => Retry::Never,
            ErrorKind::Unauthorized => Retry::OtherCredentials,
            ErrorKind::RegistryUnavailable => Retry::BackoffAtLeast(Retry::REGISTRY_UNAVAILABLE),
            ErrorKind::RateLimited => Retry::BackoffAtLeast(Retry::RATE_LIMITED),
            ErrorKind::NoSpace => Retry::BackoffAtLeast(Retry::NO_SPACE),
            ErrorKind::RuntimeUnavailable | ErrorKind::Unimplemented => Retry::WhenRuntimeReturns,
            ErrorKind::Deadline | ErrorKind::Cancelled | ErrorKind::Protocol | ErrorKind::Other => {
                Retry::Backoff
            }
        }
    }
}

impl From<ParseReferenceError> for Error {
    /// No runtime is asked for what is no reference.
    fn from(error: ParseReferenceError) -> Self {
        Self::new("ParseReference", ErrorKind::InvalidReference, error.to_string())
    }
}

/// A text with the causes below it. Leaves out what says nothing, the transport's "transport error", and what was just said.
pub(crate) fn with_causes(text: &str, source: Option<&(dyn std::error::Error + 'static)>) -> String {
    const EMPTY: &str = "transport error";
    let mut said: Vec<String> = Vec::new();
    let causes = std::iter::successors(source, |error| error.source()).map(ToString::to_string);
    for part in std::iter::once(text.to_owned()).chain(causes) {
        if part != EMPTY && said.last().is_none_or(|last| !last.contains(&part)) {
            said.push(part);
        }
    }
    if said.is_empty() {
        return text.to_owned();
    }
    said.join(": ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn registries_and_disks_in_trouble_get_more_time_than_one_second() {
        let least = |kind| match Error::new("PullImage", kind, "").retry() {
            Retry::BackoffAtLeast(least) => least.as_secs(),
            other => panic!("{other:?}"),
        };
        assert_eq!(least(ErrorKind::RegistryUnavailable), 10);
        assert_eq!(least(ErrorKind::RateLimited), 30);
        assert_eq!(least(ErrorKind::NoSpace), 60);
        assert_eq!(Retry::LONGEST.as_secs(), 60);
    }

    #[test]
    fn what_our_parser_refuses_is_an_invalid_reference_too() {
        let error = Error::from(crate::Reference::parse("UPPER/a").unwrap_err());
        assert_eq!(
            (error.kind, error.retry()),
            (ErrorKind::InvalidReference, Retry::Never)
        );
        assert!(error.message.contains("upper-case"), "{error}");
    }

    #[test]
    fn causes_are_told_once_and_the_transports_empty_words_are_left_out() {
        #[derive(Debug, thiserror::Error)]
        #[error("transport error")]
        struct Outer(#[source] std::io::Error);
        let outer = Outer(std::io::Error::other("no such file"));
        assert_eq!(with_causes("transport error", Some(&outer)), "no such file");
        assert_eq!(with_causes("transport error", None), "transport error");
        assert_eq!(
            with_causes("cannot: no such file", Some(&outer)),
            "cannot: no such file"
        );
    }
}
