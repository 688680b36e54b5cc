//! From gRPC status to [`ErrorKind`].
//!
//! A status that our own transport made says how the connection ended. Of those that a runtime answered, a few codes speak
//! for themselves. containerd gives most registry failures the code Unknown and says what happened in the text only; CRI-O
//! prefixes some texts with a word. So the text comes next, and the remaining codes come last. The phrases are those that
//! the runtimes print; names of images, URLs and paths are taken out of the text first, since users choose them.

use tonic::{Code, Status, TimeoutExpired};

use super::{Error, ErrorKind, redact, with_causes};

const NO_PLATFORM: &[&str] = &[
    "no match for platform",
    "no matching manifest for",
    "no image found in manifest list for",
    "no image found in image index for",
];

/// containerd, when it has removed layers that the pull counted on, as it does after another image was removed. Another pull
/// fetches them again.
const LAYERS_REMOVED: &[&str] = &["parent snapshot", "failed to prepare extraction snapshot"];

const BAD_REFERENCE: &[&str] = &["parse image reference", "invalid reference format"];

/// Phrases in lower case, in the order in which they are tried: the more specific first. One that begins with `: ` counts
/// only at the beginning of a line or after a colon.
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
    (ErrorKind::NoMatchingPlatform, NO_PLATFORM),
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
            ": unauthorized:",
            ": denied:",
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
            ": x509:",
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
    let message = with_causes(status.message(), source(status));
    Error::new(call, kind_of(status), redact(&message, secrets))
}

/// What made a status on our side; what a runtime answered has no source.
fn source(status: &Status) -> Option<&(dyn std::error::Error + 'static)> {
    std::error::Error::source(status)
}

fn kind_of(status: &Status) -> ErrorKind {
    let Some(source) = source(status) else {
        return kind(status.code(), status.message());
    };
    match status.code() {
        // Our own limit of the size of messages.
        Code::OutOfRange | Code::ResourceExhausted => kind(status.code(), status.message()),
        Code::DeadlineExceeded => ErrorKind::Deadline,
        Code::Cancelled
            if std::iter::successors(Some(source), |error| error.source())
                .any(|error| error.is::<TimeoutExpired>()) =>
        {
            ErrorKind::Deadline
        }
        // Whatever else: the connection broke, before or after the request was sent.
        _ => ErrorKind::RuntimeUnavailable,
    }
}

fn kind(code: Code, message: &str) -> ErrorKind {
    let text = searchable(message);
    let says = |phrases: &[&str]| phrases.iter().any(|phrase| text.contains(phrase));
    match code {
        Code::Unimplemented => return ErrorKind::Unimplemented,
        Code::Unavailable => return ErrorKind::RuntimeUnavailable,
        Code::InvalidArgument if says(BAD_REFERENCE) => return ErrorKind::InvalidReference,
        Code::InvalidArgument => return ErrorKind::InvalidArgument,
        Code::NotFound if says(NO_PLATFORM) => return ErrorKind::NoMatchingPlatform,
        Code::NotFound if says(LAYERS_REMOVED) => return ErrorKind::Other,
        Code::NotFound => return ErrorKind::NotFound,
        Code::ResourceExhausted | Code::OutOfRange if is_size(message) => return ErrorKind::MessageTooLarge,
        _ => {}
    }
    if let Some((kind, _)) = PHRASES.iter().find(|(_, phrases)| says(phrases)) {
        return *kind;
    }
    match code {
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
        Code::Unknown if says(BAD_REFERENCE) => ErrorKind::InvalidReference,
        Code::Unknown if text.contains("deadline exceeded") => ErrorKind::Deadline,
        Code::Unknown if text.contains("context canceled") => ErrorKind::Cancelled,
        Code::Unknown if text.trim_end().ends_with(": not found") && !says(LAYERS_REMOVED) => {
            ErrorKind::NotFound
        }
        _ => ErrorKind::Other,
    }
}

fn is_size(message: &str) -> bool {
    message.contains("message length too large")
        || message.contains("larger than max")
        || message.contains("message too large")
}

/// The text in lower case, without the words that users choose: what has a slash (references, URLs, paths), and what has a
/// colon between quotes. Each line begins with `: `, as each cause does.
fn searchable(message: &str) -> String {
    let mut text = String::with_capacity(message.len() + 2);
    for line in message.to_lowercase().lines() {
        text.push_str("\n: ");
        let mut quoted = false;
        for part in line.trim_start().split_inclusive(is_delimiter) {
            let word = part.trim_end_matches(is_delimiter);
            let delimiter = part.strip_prefix(word).unwrap_or_default();
            let is_quoted = quoted && delimiter == "\"";
            if word.contains('/') && word != "i/o" || is_quoted && word.contains(':') {
                // The colon behind it is the text's own.
                text.push_str(if word.ends_with(':') { ":" } else { "" });
            } else {
                text.push_str(word);
            }
            text.push_str(delimiter);
            quoted = delimiter == "\"";
        }
    }
    text
}

fn is_delimiter(c: char) -> bool {
    c.is_whitespace()
        || matches!(
            c,
            '"' | '\'' | '`' | '(' | ')' | '[' | ']' | '{' | '}' | ',' | ';' | '<' | '>'
        )
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
                r#"failed to pull and unpack image "r/a:1": failed to prepare extraction snapshot "extract-1 sha256:7": parent snapshot sha256:5 does not exist: not found"#,
                K::Other,
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
                r#"failed to parse image reference "r/a b:1": invalid reference format"#,
                K::InvalidReference,
            ),
            (
                Code::InvalidArgument,
                "no runtime for \"kata\" is configured",
                K::InvalidArgument,
            ),
            (
                Code::Unknown,
                r#"failed to parse image reference "A": invalid reference format"#,
                K::InvalidReference,
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
    fn what_users_call_their_images_is_no_part_of_what_happened() {
        use ErrorKind as K;
        let missing = |image: &str| {
            format!(
                r#"failed to pull and unpack image "{image}": failed to resolve reference "{image}": {image}: not found"#
            )
        };
        let failing = |image: &str| {
            format!(
                r#"failed to resolve reference "{image}": unexpected status from HEAD request to https://{image}: 418 I'm a teapot"#
            )
        };
        for name in [
            "r.io/team/x509:1",
            "r.io/team/access-denied:1",
            "r.io/denied:1",
            "r.io/team/insufficient_scope:toomanyrequests",
        ] {
            for code in [Code::NotFound, Code::Unknown] {
                assert_eq!(kind(code, &missing(name)), K::NotFound, "{code:?} {name}");
            }
            assert_eq!(kind(Code::Unknown, &failing(name)), K::Other, "{name}");
        }
        let short = r#"failed to resolve image "denied:1": server closed the door"#;
        assert_eq!(kind(Code::Unknown, short), K::Other);
    }

    #[test]
    fn a_permission_that_is_denied_on_the_node_is_not_the_registrys_refusal() {
        use ErrorKind as K;
        let cases = [
            (
                "failed to extract layer: mkdir /var/lib/x: permission denied: unknown",
                K::Other,
            ),
            (
                "reading manifest 1 in r.io/a: denied: requested access to the resource is denied",
                K::Unauthorized,
            ),
            (
                "errors:\ndenied: requested access to the resource is denied",
                K::Unauthorized,
            ),
            ("denied: not yours", K::Unauthorized),
            (
                "unexpected status from GET request to https://r.io/v2/a/: unauthorized: who are you",
                K::Unauthorized,
            ),
        ];
        for (text, expected) in cases {
            assert_eq!(kind(Code::Unknown, text), expected, "{text}");
        }
    }

    #[test]
    fn what_the_runtime_does_not_find_is_not_found_whatever_else_it_says() {
        let text = r#"image "r/a:1" denied: connection refused"#;
        assert_eq!(kind(Code::NotFound, text), ErrorKind::NotFound);
    }

    #[test]
    fn a_request_that_the_lost_connection_took_with_it_is_a_runtime_that_is_away() {
        let lost = |code: Code| {
            let mut status = Status::new(code, "operation was canceled: connection closed");
            status.set_source(std::sync::Arc::new(std::io::Error::other("connection closed")));
            kind_of(&status)
        };
        assert_eq!(lost(Code::Cancelled), ErrorKind::RuntimeUnavailable);
        assert_eq!(lost(Code::Unknown), ErrorKind::RuntimeUnavailable);
        assert_eq!(
            kind_of(&Status::cancelled("context canceled")),
            ErrorKind::Cancelled,
            "what the runtime itself says"
        );
        let mut late = Status::cancelled("Timeout expired");
        late.set_source(std::sync::Arc::new(TimeoutExpired(())));
        assert_eq!(kind_of(&late), ErrorKind::Deadline);
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
