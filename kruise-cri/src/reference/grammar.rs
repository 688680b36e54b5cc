//! The parts of a reference, each a check of one text.

/// Hosts: labels of letters, digits and inner dashes joined by dots, then perhaps `:port`.
pub(super) fn is_domain(text: &str) -> bool {
    let (host, port) = match text.split_once(':') {
        Some((host, port)) => (host, Some(port)),
        None => (text, None),
    };
    let port_is_fine = port.is_none_or(|port| !port.is_empty() && port.bytes().all(|b| b.is_ascii_digit()));
    port_is_fine && host.split('.').all(is_host_label)
}

fn is_host_label(label: &str) -> bool {
    !label.is_empty()
        && !label.starts_with('-')
        && !label.ends_with('-')
        && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
}

/// Paths: components joined by slashes.
pub(super) fn is_path(text: &str) -> bool {
    text.split('/').all(is_component)
}

/// Components: runs of lower-case letters and digits, joined by `.`, `_`, `__` or any number of dashes.
fn is_component(text: &str) -> bool {
    let word = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit();
    let bytes = text.as_bytes();
    let (Some(first), Some(last)) = (bytes.first(), bytes.last()) else {
        return false;
    };
    if !word(*first) || !word(*last) {
        return false;
    }
    // Splitting at the words leaves the whole runs between them.
    bytes.split(|b| word(*b)).all(|separator| {
        matches!(separator, b"" | b"." | b"_" | b"__") || separator.iter().all(|b| *b == b'-')
    })
}

/// Tags: up to 128 letters, digits, `_`, `.`, `-`; the first is none of the last two.
pub(super) fn is_tag(text: &str) -> bool {
    let first_is_fine = text
        .bytes()
        .next()
        .is_some_and(|b| b.is_ascii_alphanumeric() || b == b'_');
    first_is_fine
        && text.len() <= 128
        && text
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'.' | b'-'))
}

/// Digests: an algorithm, a colon, hexadecimal digits; the known algorithms have a fixed length in lower case.
pub(super) fn is_digest(text: &str) -> bool {
    let Some((algorithm, hex)) = text.split_once(':') else {
        return false;
    };
    let length = match algorithm {
        "sha256" => Some(64),
        "sha384" => Some(96),
        "sha512" => Some(128),
        _ => None,
    };
    match length {
        Some(length) => hex.len() == length && hex.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f')),
        None => is_algorithm(algorithm) && hex.len() >= 32 && hex.bytes().all(|b| b.is_ascii_hexdigit()),
    }
}

/// Other algorithms: words that begin with a letter, joined by one of `+`, `.`, `-`, `_`.
fn is_algorithm(text: &str) -> bool {
    text.split(['+', '.', '-', '_']).all(|word| {
        word.bytes().next().is_some_and(|b| b.is_ascii_alphabetic())
            && word.bytes().all(|b| b.is_ascii_alphanumeric())
    })
}
