//! Label selectors as `kubectl -l` takes them.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{LabelSelector, LabelSelectorRequirement};

use crate::failure::{Failure, Result};

/// Reads `a=b,c!=d,e in (f,g),h notin (i),j,!k`.
///
/// # Errors
/// It is not one, or asks for nothing.
pub(crate) fn parse(text: &str) -> Result<LabelSelector> {
    let wrong = |why: &str| {
        Failure::new(format!("selector \"{text}\": {why}"))
            .next("Write it like app=web, tier!=db, zone in (a,b), zone notin (c), canary or !canary, separated by commas.")
    };
    let mut selector = LabelSelector::default();
    for term in terms(text).ok_or_else(|| wrong("a ( has no )"))? {
        let term = term.trim();
        let mut add = |key: &str, operator: &str, values: Option<Vec<String>>| {
            let key = key.trim();
            if key.is_empty() || key.contains([' ', '=', '(', ')', '!', ',']) {
                return Err(wrong(&format!("\"{term}\" is no term")));
            }
            selector
                .match_expressions
                .get_or_insert_default()
                .push(LabelSelectorRequirement {
                    key: key.to_owned(),
                    operator: operator.to_owned(),
                    values,
                });
            Ok(())
        };
        if let Some((key, list)) = term.split_once('(') {
            let list = list.strip_suffix(')').ok_or_else(|| wrong("text behind a )"))?;
            let values: Vec<String> = list.split(',').map(|value| value.trim().to_owned()).collect();
            match key.trim().rsplit_once(char::is_whitespace) {
                Some((key, "in")) => add(key, "In", Some(values))?,
                Some((key, "notin")) => add(key, "NotIn", Some(values))?,
                _ => return Err(wrong("in or notin is missing before a (")),
            }
        } else if let Some((key, value)) = term.split_once("!=") {
            add(key, "NotIn", Some(vec![value.trim().to_owned()]))?;
        } else if let Some((key, value)) = term.split_once('=') {
            let value = value.strip_prefix('=').unwrap_or(value).trim();
            // Checked like the others, and kept in the short form.
            add(key, "In", None)?;
            selector.match_expressions.get_or_insert_default().pop();
            selector
                .match_labels
                .get_or_insert_default()
                .insert(key.trim().to_owned(), value.to_owned());
        } else if let Some(key) = term.strip_prefix('!') {
            add(key, "DoesNotExist", None)?;
        } else {
            add(term, "Exists", None)?;
        }
    }
    selector.match_expressions.take_if(|terms| terms.is_empty());
    Ok(selector)
}

/// Splits at commas outside of parentheses; `None` if those do not fit.
fn terms(text: &str) -> Option<Vec<&str>> {
    let mut found = Vec::new();
    let (mut start, mut inside) = (0, false);
    for (at, char) in text.char_indices() {
        match char {
            '(' if inside => return None,
            ')' if !inside => return None,
            '(' => inside = true,
            ')' => inside = false,
            ',' if !inside => {
                found.push(text.get(start..at)?);
                start = at + 1;
            }
            _ => {}
        }
    }
    found.push(text.get(start..)?);
    (!inside).then_some(found)
}

#[cfg(test)]
mod tests {
    use kruise_sidecar::explain::selector_text;

    use super::*;

    #[test]
    fn selectors_are_read_as_kubectl_reads_them() {
        for (text, read) in [
            ("app=web", "app=web"),
            ("app==web, tier != db", "app=web,tier notin (db)"),
            ("zone in (a, b),x notin (c)", "zone in (a,b),x notin (c)"),
            ("canary,!old", "canary,!old"),
            ("app=", "app="),
        ] {
            assert_eq!(selector_text(&parse(text).unwrap()), read, "{text}");
        }
    }

    #[test]
    fn what_is_no_selector_is_refused_with_the_forms_that_there_are() {
        for text in [
            "",
            "=a",
            "a in (b",
            "a in b)",
            "a within (b)",
            "a b",
            "a,,b",
            "a in (b)c",
        ] {
            let failure = parse(text).unwrap_err().to_string();
            assert!(failure.contains("zone in (a,b)"), "{text}: {failure}");
        }
    }
}
