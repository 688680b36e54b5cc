//! kubectl's JSONPath templates: text, `{.path}`, `{"text"}`, `{range .path}…{end}`.

use jsonpath_rust::JsonPath as _;
use serde_json::Value;

/// A piece of a template.
#[derive(Debug, PartialEq)]
enum Piece {
    Text(String),
    /// In the form of RFC 9535.
    Path(String),
    Range(String, Vec<Piece>),
}

/// Says what is wrong with a template.
pub(super) fn check(template: &str) -> Result<(), String> {
    parse(template).map(|_| ())
}

/// Fills a template. Paths that lead nowhere give nothing; several values are separated by spaces.
pub(super) fn render(template: &str, value: &Value) -> Result<String, String> {
    let mut text = String::new();
    fill(&parse(template)?, value, &mut text)?;
    Ok(text)
}

/// Reads a path alone, as `--sort-by` and `custom-columns` take it: `{.a.b}`, `.a.b` or `a.b`.
pub(crate) fn path(text: &str) -> Result<String, String> {
    let text = text.trim();
    let inner = match text.strip_prefix('{') {
        Some(rest) => rest
            .strip_suffix('}')
            .ok_or_else(|| "jsonpath: a { has no }".to_owned())?,
        None => text,
    };
    let path = match inner.starts_with(['.', '$', '@', '[']) {
        true => to_rfc(inner)?,
        false => to_rfc(&format!(".{inner}"))?,
    };
    // Says now what is wrong with a filter.
    values(&path, &Value::Null)?;
    Ok(path)
}

/// What a path leads to.
pub(crate) fn values<'v>(path: &str, value: &'v Value) -> Result<Vec<&'v Value>, String> {
    value
        .query(path)
        .map_err(|error| format!("jsonpath {path}: {error}"))
}

fn fill(pieces: &[Piece], value: &Value, text: &mut String) -> Result<(), String> {
    let found = |path: &str| values(path, value);
    for piece in pieces {
        match piece {
            Piece::Text(held) => text.push_str(held),
            Piece::Path(path) => {
                let values: Vec<String> = found(path)?.into_iter().map(plain).collect();
                text.push_str(&values.join(" "));
            }
            Piece::Range(path, inside) => {
                for item in found(path)? {
                    fill(inside, item, text)?;
                }
            }
        }
    }
    Ok(())
}

/// A value without quotes.
pub(super) fn plain(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Null => String::new(),
        other => other.to_string(),
    }
}

fn parse(template: &str) -> Result<Vec<Piece>, String> {
    // Ranges that are open, each with what comes before it.
    let mut open: Vec<(String, Vec<Piece>)> = Vec::new();
    let mut pieces = Vec::new();
    let mut rest = template;
    while !rest.is_empty() {
        let Some((before, after)) = rest.split_once('{') else {
            pieces.push(Piece::Text(rest.to_owned()));
            break;
        };
        if !before.is_empty() {
            pieces.push(Piece::Text(before.to_owned()));
        }
        let end = end_of(after).ok_or_else(|| "jsonpath: a { has no }".to_owned())?;
        let (inside, tail) = after.split_at(end);
        rest = tail.strip_prefix('}').unwrap_or(tail);
        let inside = inside.trim();
        if let Some(path) = inside.strip_prefix("range ") {
            open.push((to_rfc(path.trim())?, std::mem::take(&mut pieces)));
        } else if inside == "end" {
            let (path, before) = open
                .pop()
                .ok_or_else(|| "jsonpath: {end} without {range}".to_owned())?;
            let inside = std::mem::replace(&mut pieces, before);
            pieces.push(Piece::Range(path, inside));
        } else if inside.starts_with('"') || inside.starts_with('\'') {
            pieces.push(Piece::Text(unquoted(inside)?));
        } else {
            pieces.push(Piece::Path(to_rfc(inside)?));
        }
    }
    match open.is_empty() {
        true => Ok(pieces),
        false => Err("jsonpath: {range} without {end}".to_owned()),
    }
}

/// Where the brace closes, outside of quotes.
fn end_of(text: &str) -> Option<usize> {
    let mut quote = None;
    let mut escaped = false;
    for (at, char) in text.char_indices() {
        match (quote, char) {
            _ if escaped => escaped = false,
            (_, '\\') => escaped = true,
            (Some(open), char) if open == char => quote = None,
            (None, '"' | '\'') => quote = Some(char),
            (None, '}') => return Some(at),
            _ => {}
        }
    }
    None
}

fn unquoted(text: &str) -> Result<String, String> {
    let inner = text
        .get(1..text.len().saturating_sub(1))
        .filter(|_| text.len() > 1);
    let inner = inner.ok_or_else(|| "jsonpath: a quote is not closed".to_owned())?;
    let mut plain = String::new();
    let mut chars = inner.chars();
    while let Some(char) = chars.next() {
        match (char, char == '\\') {
            (_, true) => match chars.next() {
                Some('n') => plain.push('\n'),
                Some('t') => plain.push('\t'),
                Some(other) => plain.push(other),
                None => {}
            },
            (char, false) => plain.push(char),
        }
    }
    Ok(plain)
}

/// From `.a.b\.c[0]` to `$['a']['b.c'][0]`.
fn to_rfc(path: &str) -> Result<String, String> {
    let mut rfc = "$".to_owned();
    let mut chars = path.trim_start_matches(['$', '@']).chars().peekable();
    while let Some(char) = chars.next() {
        match char {
            '[' => {
                let mut depth = 1;
                rfc.push('[');
                for inside in chars.by_ref() {
                    depth += i32::from(inside == '[') - i32::from(inside == ']');
                    rfc.push(inside);
                    if depth == 0 {
                        break;
                    }
                }
                if depth != 0 {
                    return Err(format!("jsonpath {path}: a [ has no ]"));
                }
            }
            '.' if chars.peek() == Some(&'.') => {
                chars.next();
                rfc.push_str("..");
                push_name(&mut rfc, &mut chars);
            }
            '.' => push_name(&mut rfc, &mut chars),
            _ => {
                return Err(format!(
                    "jsonpath {path}: begin a path with a dot, such as {{.metadata.name}}"
                ));
            }
        }
    }
    Ok(rfc)
}

fn push_name(rfc: &mut String, chars: &mut std::iter::Peekable<std::str::Chars<'_>>) {
    let mut name = String::new();
    while let Some(char) = chars.peek() {
        match char {
            '.' | '[' => break,
            '\\' => {
                chars.next();
                name.extend(chars.next());
            }
            _ => name.extend(chars.next()),
        }
    }
    match name.as_str() {
        "" => {}
        "*" => rfc.push_str("[*]"),
        name => rfc.push_str(&format!(
            "['{}']",
            name.replace('\\', "\\\\").replace('\'', "\\'")
        )),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn kubectls_templates_are_filled() {
        let value = json!({"metadata": {"name": "a", "labels": {"app.kubernetes.io/name": "web"}},
            "items": [{"n": "x", "up": true}, {"n": "y", "up": false}], "count": 2});
        for (template, text) in [
            ("{.metadata.name}", "a"),
            ("name: {.metadata.name}, {.count}", "name: a, 2"),
            ("{.items[*].n}", "x y"),
            ("{.items[0].n}", "x"),
            ("{.items[-1:].n}", "y"),
            (r"{.metadata.labels.app\.kubernetes\.io/name}", "web"),
            (
                r#"{range .items[*]}{.n}{"\t"}{.up}{"\n"}{end}"#,
                "x\ttrue\ny\tfalse\n",
            ),
            ("{.items[?(@.up==true)].n}", "x"),
            ("{..n}", "x y"),
            ("{.missing.field}", ""),
            ("{@.count}", "2"),
            (r#"{"}"}"#, "}"),
        ] {
            assert_eq!(render(template, &value).as_deref(), Ok(text), "{template}");
        }
    }

    #[test]
    fn templates_that_mean_nothing_are_refused() {
        for template in ["{.a", "{end}", "{range .a}", "{a}", "{.a[0}", "{\"x}"] {
            assert!(parse(template).is_err(), "{template}");
        }
    }
}
