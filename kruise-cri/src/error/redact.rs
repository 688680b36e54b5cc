//! Keeps secrets out of error texts.

/// Takes the queries (signed URLs carry their signature there) and the user information out of every URL in a text, and
/// the given secrets wherever they stand.
pub(crate) fn redact(text: &str, secrets: &[&str]) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find("://") {
        let (before, url) = rest.split_at(at + 3);
        out.push_str(before);
        let end = url
            .find(|c: char| c.is_whitespace() || matches!(c, '"' | '\'' | '>' | ')'))
            .unwrap_or(url.len());
        let (url, after) = url.split_at(end);
        let authority_end = url.find(['/', '?']).unwrap_or(url.len());
        let (authority, path) = url.split_at(authority_end);
        out.push_str(authority.rsplit_once('@').map_or(authority, |(_, host)| host));
        match path.split_once('?') {
            Some((path, _)) => {
                out.push_str(path);
                out.push_str("?…");
            }
            None => out.push_str(path),
        }
        rest = after;
    }
    out.push_str(rest);
    for secret in secrets.iter().filter(|secret| secret.len() >= 4) {
        out = out.replace(secret, "***");
    }
    out
}

#[cfg(test)]
mod tests {
    use super::redact;

    #[test]
    fn queries_and_users_of_urls_are_taken_out() {
        let text = r#"Get "https://user:pw@blobs.example.com/x?X-Amz-Signature=abc&y=1": EOF, then http://h:5000/v2/ and more"#;
        assert_eq!(
            redact(text, &[]),
            r#"Get "https://blobs.example.com/x?…": EOF, then http://h:5000/v2/ and more"#
        );
    }

    #[test]
    fn the_password_of_the_call_is_taken_out() {
        assert_eq!(redact("denied for s3cret", &["s3cret", ""]), "denied for ***");
    }

    #[test]
    fn text_without_urls_stays() {
        for text in ["", "plain", "a://", "://", "x://\u{e9}?q"] {
            assert!(
                redact(text, &[]).starts_with(text.split('?').next().unwrap()),
                "{text}"
            );
        }
    }
}
