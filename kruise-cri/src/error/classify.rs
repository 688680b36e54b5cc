//! From gRPC status to [`ErrorKind`].
//!
//! containerd gives most registry failures the code Unknown and says what happened in the text only; CRI-O prefixes some
//! texts with a word. So the text is read first, then the code. The phrases are those that the runtimes print.

use tonic::{Code, Status};

use super::{Error, ErrorKind, redact};

/// Phrases in lower case, in the order in which they are tried: the more specific first.
const PHRASES: &[(ErrorKind, &[&str])] = &[
    (
        ErrorKind::NoSpace,
        &["no space left on device", "disk quota exceeded"],
    ),
    (
        ErrorKind::RateLimited,
        &["toomanyrequests", "429 too many requests", "too many requests"],
    ),
    (
        ErrorKind::SignatureValidationFailed,
        &["signaturevalidationfailed"],
    ),
    (
        ErrorKind::NoMatchingPlatform,
        &[
            "no match for platform",
            "no matching manifest for",
            "no image found in manifest list for",
            "no image found in image index for",
        ],
    ),
    (
        ErrorKind::Unauthorized,
        &[
            "401 unauthorized",
            "403 forbidden",
            "insufficient_scope",
            "pull access denied",
            "authorization failed",
            "no basic auth credentials",
            "authentication required",
            "unauthorized:",
            "denied:",
            "incorrect username or password",
        ],
    ),
    (
        ErrorKind::NotFound,
        &[
            "manifest unknown",
            "name unknown",
            "repository name not known to registry",
        ],
    ),
    (
        ErrorKind::RegistryUnavailable,
        &[
            "registryunavailable",
            "connection refused",
            "connection reset by peer",
            "no such host",
            "no route to host",
            "network is unreachable",
            "i/o timeout",
            "tls handshake",
            "x509:",
            "server misbehaving",
            "unexpected eof",
            "500 internal server error",
            "502 bad gateway",
            "503 service unavailable",
            "504 gateway time",
            "server gave http response to https client",
        ],
    ),
];

/// What a status says about the call. `secrets` are taken out of the text.
pub(crate) fn from_status(call: &'static str, status: &Status, secrets: &[&str]) -> Error {
    let message = redact(status.message(), secrets);
    Error::new(call, kind_of(status), message)
}

fn kind_of(status: &Status) -> ErrorKind {
    // A status made on our side has a cause; what the runtime answered has none.
    if std::error::Error::source(status).is_some()
        && !matches!(status.code(), Code::OutOfRange | Code::ResourceExhausted)
    {
        return match status.code() {
            Code::DeadlineExceeded => ErrorKind::Deadline,
            Code::Cancelled => ErrorKind::Cancelled,
            _ => ErrorKind::RuntimeUnavailable,
        };
    }
    kind(status.code(), status.message())
}

fn kind(code: Code, message: &str) -> ErrorKind {
    match code {
        Code::Unimplemented => return ErrorKind::Unimplemented,
        Code::Unavailable => return ErrorKind::RuntimeUnavailable,
        Code::InvalidArgument => return ErrorKind::InvalidArgument,
        Code::ResourceExhausted | Code::OutOfRange if is_size(message) => return ErrorKind::MessageTooLarge,
        _ => {}
    }
    let text = message.to_lowercase();
    if let Some((kind, _)) = PHRASES
        .iter()
        .find(|(_, phrases)| phrases.iter().any(|phrase| text.contains(phrase)))
    {
        return *kind;
    }
    match code {
        Code::NotFound => ErrorKind::NotFound,
        Code::DeadlineExceeded => ErrorKind::Deadline,
        Code::Cancelled => ErrorKind::Cancelled,
        Code::Unauthenticated | Code::PermissionDenied => ErrorKind::Unauthorized,
        Code::ResourceExhausted => ErrorKind::RateLimited,
        // The client's transport says so when the runtime ends in the middle of a call.
        Code::Internal | Code::Unknown
            if text.contains("h2 protocol error") || text.contains("broken pipe") =>
        {
            ErrorKind::RuntimeUnavailable
        }
        // containerd: a reference that it cannot parse comes as Unknown.
        Code::Unknown
            if text.contains("failed to parse image reference")
                || text.contains("invalid reference format") =>
        {
            ErrorKind::InvalidArgument
        }
        Code::Unknown if text.contains("deadline exceeded") => ErrorKind::Deadline,
        Code::Unknown if text.contains("context canceled") => ErrorKind::Cancelled,
        Code::Unknown if text.ends_with(": not found") => ErrorKind::NotFound,
        _ => ErrorKind::Other,
    }
}

fn is_size(message: &str) -> bool {
    message.contains("message length too large")
        || message.contains("larger than max")
        || message.contains("message too large")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_words_of_runtimes_are_told_apart() {
        use ErrorKind as K;
        let cases = [
            (
                Code::NotFound,
                r#"failed to pull and unpack image "r/a:1": failed to resolve reference "r/a:1": r/a:1: not found"#,
                K::NotFound,
            ),
            (
                Code::Unknown,
                r#"failed to resolve reference "r/a:1": unexpected status code [manifests 1]: 401 Unauthorized"#,
                K::Unauthorized,
            ),
            (
                Code::Unknown,
                "failed to authorize: failed to fetch anonymous token: unexpected status: 403 Forbidden",
                K::Unauthorized,
            ),
            (
                Code::Unknown,
                "pull access denied, repository does not exist or may require authorization: insufficient_scope",
                K::Unauthorized,
            ),
            (
                Code::Unknown,
                "unexpected status code https://r/v2/a/manifests/1: 429 Too Many Requests",
                K::RateLimited,
            ),
            (
                Code::Unknown,
                "toomanyrequests: You have reached your pull rate limit",
                K::RateLimited,
            ),
            (
                Code::Unknown,
                "failed to extract layer: write /var/lib/x: no space left on device",
                K::NoSpace,
            ),
            (
                Code::NotFound,
                r#"failed to pull and unpack image "r/a:1": no match for platform in manifest sha256:0: not found"#,
                K::NoMatchingPlatform,
            ),
            (
                Code::Unknown,
                r#"failed to do request: Head "http://127.0.0.1:1/v2/": dial tcp 127.0.0.1:1: connect: connection refused"#,
                K::RegistryUnavailable,
            ),
            (
                Code::Unknown,
                "lookup r.example.com: no such host",
                K::RegistryUnavailable,
            ),
            (
                Code::Unknown,
                "x509: certificate signed by unknown authority",
                K::RegistryUnavailable,
            ),
            (
                Code::Unknown,
                "RegistryUnavailable: pinging container registry: EOF",
                K::RegistryUnavailable,
            ),
            (
                Code::Unknown,
                "SignatureValidationFailed: no signature",
                K::SignatureValidationFailed,
            ),
            (
                Code::Unknown,
                "unexpected status code [manifests 1]: 503 Service Unavailable",
                K::RegistryUnavailable,
            ),
            (
                Code::Unavailable,
                "server is not initialized yet",
                K::RuntimeUnavailable,
            ),
            (
                Code::Unimplemented,
                "unknown service runtime.v1.ImageService",
                K::Unimplemented,
            ),
            (
                Code::InvalidArgument,
                "failed to parse image reference",
                K::InvalidArgument,
            ),
            (
                Code::Unknown,
                r#"failed to parse image reference "A": invalid reference format"#,
                K::InvalidArgument,
            ),
            (Code::DeadlineExceeded, "context deadline exceeded", K::Deadline),
            (Code::Cancelled, "context canceled", K::Cancelled),
            (
                Code::OutOfRange,
                "Error, decoded message length too large: found 5 bytes, the limit is: 4 bytes",
                K::MessageTooLarge,
            ),
            (
                Code::ResourceExhausted,
                "trying to send message larger than max (17 vs. 16)",
                K::MessageTooLarge,
            ),
            (Code::Unknown, "something else", K::Other),
        ];
        for (code, message, expected) in cases {
            assert_eq!(kind(code, message), expected, "{code:?} {message}");
        }
    }

    #[test]
    fn secrets_of_the_call_do_not_reach_the_message() {
        let status = Status::unknown("basic auth s3cret rejected: https://b.example.com/l?sig=zzz");
        let error = from_status("PullImage", &status, &["s3cret"]);
        assert!(
            !error.to_string().contains("s3cret") && !error.to_string().contains("zzz"),
            "{error}"
        );
    }
}
