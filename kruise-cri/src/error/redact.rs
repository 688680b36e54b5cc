//! Keeps secrets out of error texts.

/// Secrets shorter than this are taken out only where they stand alone: as a part of other words they would make the text
/// unreadable, and be no secret there.
const SHORT: usize = 4;

/// Takes the queries (signed URLs carry their signature there) and the user information out of every URL in a text, and
/// the given secrets wherever they stand.
pub(crate) fn redact(text: &str, secrets: &[&str]) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find("://") {
        let (before, url) = rest.split_at(at + 3);
        out.push_str(before);
        // Brackets and single quotes may be part of a URL; what prints URLs puts them between double quotes or blanks.
        let end = url
            .find(|c: char| c.is_whitespace() || matches!(c, '"' | '<' | '>'))
            .unwrap_or(url.len());
        let (url, after) = url.split_at(end);
        push_public(&mut out, url);
        rest = after;
    }
    out.push_str(rest);
    for secret in secrets.iter().filter(|secret| !secret.is_empty()) {
        out = if secret.len() < SHORT {
            without_word(&out, secret)
        } else {
            out.replace(secret, "***")
        };
    }
    out
}

/// Adds what anybody may see of a URL, which is given without its scheme.
fn push_public(out: &mut String, url: &str) {
    let (place, query) = match url.split_once('?') {
        Some((place, query)) => (place, Some(query)),
        None => (url, None),
    };
    if query.is_some_and(|query| query.contains('@')) && !place.contains('/') {
        // A password with a question mark, or a query right after the host.
        out.push('…');
        return;
    }
    // A password may have a slash or an `@` in it, so everything up to the last `@` goes, unless that begins a digest.
    let public = place
        .rmatch_indices('@')
        .map(|(at, _)| place.split_at(at + 1).1)
        .find(|after| !begins_digest(after));
    out.push_str(public.unwrap_or(place));
    if query.is_some() {
        out.push_str("?…");
    }
}

fn begins_digest(text: &str) -> bool {
    text.split_once(':').is_some_and(|(algorithm, hex)| {
        algorithm.starts_with("sha") && hex.len() >= 32 && hex.bytes().take(32).all(|b| b.is_ascii_hexdigit())
    })
}

fn without_word(text: &str, word: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find(word) {
        let (before, from) = rest.split_at(at);
        let after = &from[word.len()..];
        let is_part = out
            .chars()
            .chain(before.chars())
            .next_back()
            .is_some_and(char::is_alphanumeric)
            || after.chars().next().is_some_and(char::is_alphanumeric);
        out.push_str(before);
        out.push_str(if is_part { word } else { "***" });
        rest = after;
    }
    out.push_str(rest);
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
    fn a_short_password_is_taken_out_where_it_stands_alone() {
        assert_eq!(
            redact("login me:ab failed: unable", &["ab"]),
            "login me:*** failed: unable"
        );
        assert_eq!(redact("a b aa", &["a"]), "*** b aa");
    }

    #[test]
    fn brackets_and_quotes_in_a_path_do_not_end_the_url() {
        for path in ["a(1)", "it's"] {
            let text = format!("Get https://h/{path}?sig=x: EOF");
            assert_eq!(redact(&text, &[]), format!("Get https://h/{path}?… EOF"));
        }
    }

    #[test]
    fn user_information_with_odd_characters_is_taken_out_and_digests_stay() {
        for user in ["me:pa/ss", "me:12/34", "me:p@ss", "me"] {
            let text = format!("Get \"http://{user}@h:5000/v2/\": EOF");
            assert_eq!(redact(&text, &[]), "Get \"http://h:5000/v2/\": EOF", "{user}");
        }
        assert!(!redact("http://me:pa?ss@h/x", &[]).contains("pa"));
        assert_eq!(redact("http://h/x?mail=a@b&sig=z", &[]), "http://h/x?…");
        let digest = format!("https://h/v2/a@sha256:{}", "0".repeat(64));
        assert_eq!(redact(&digest, &[]), digest);
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
