//! Label and field selectors.

use serde_json::Value;

use super::json::{at, text};
use super::kinds::{Kind, Version};
use super::status::ApiError;

/// Which objects a list or watch wants.
#[derive(Clone, Debug, Default)]
pub(crate) struct Selection {
    labels: Vec<Requirement>,
    /// Path, value, whether it must be equal.
    fields: Vec<(Vec<String>, String, bool)>,
}

#[derive(Clone, Debug, PartialEq)]
enum Requirement {
    In(String, Vec<String>),
    NotIn(String, Vec<String>),
    Exists(String),
    Missing(String),
    Greater(String, i64),
    Less(String, i64),
}

impl Selection {
    pub(crate) fn new(
        kind: &Kind,
        version: &Version,
        labels: Option<&str>,
        fields: Option<&str>,
    ) -> Result<Self, ApiError> {
        let labels = labels.map(parse_labels).transpose()?.unwrap_or_default();
        let fields = fields.map(parse_fields).transpose()?.unwrap_or_default();
        for (field, ..) in &fields {
            let known = field == "metadata.name"
                || (field == "metadata.namespace" && (kind.namespaced || kind.built_in.is_none()))
                || version.fields.contains(field);
            if !known {
                return Err(ApiError::bad_request(format!(
                    "field label not supported: {field}"
                )));
            }
        }
        let fields = fields
            .into_iter()
            .map(|(field, value, equal)| (field.split('.').map(str::to_owned).collect(), value, equal))
            .collect();
        Ok(Self { labels, fields })
    }

    pub(crate) fn matches(&self, object: &Value) -> bool {
        let fields = self.fields.iter().all(|(path, value, equal)| {
            let actual = match at(object, path) {
                Some(Value::String(actual)) => actual.clone(),
                Some(Value::Null) | None if path.last().is_some_and(|key| key == "unschedulable") => {
                    "false".to_owned()
                }
                Some(Value::Null) | None => String::new(),
                Some(other) => other.to_string(),
            };
            (actual == *value) == *equal
        });
        fields && self.labels.iter().all(|requirement| requirement.matches(object))
    }

    pub(crate) fn is_everything(&self) -> bool {
        self.labels.is_empty() && self.fields.is_empty()
    }
}

impl Requirement {
    fn matches(&self, object: &Value) -> bool {
        let label = |key: &str| at(object, &["metadata", "labels", key]).and_then(Value::as_str);
        match self {
            Self::In(key, values) => label(key).is_some_and(|value| values.iter().any(|one| one == value)),
            Self::NotIn(key, values) => label(key).is_none_or(|value| values.iter().all(|one| one != value)),
            Self::Exists(key) => label(key).is_some(),
            Self::Missing(key) => label(key).is_none(),
            Self::Greater(key, than) => {
                number(text(object, &["metadata", "labels", key])).is_some_and(|n| n > *than)
            }
            Self::Less(key, than) => {
                number(text(object, &["metadata", "labels", key])).is_some_and(|n| n < *than)
            }
        }
    }
}

fn number(text: &str) -> Option<i64> {
    text.parse().ok()
}

/// `a=b,c!=d,e in (f,g),h notin (i),j,!k,l>1,m<2`
fn parse_labels(selector: &str) -> Result<Vec<Requirement>, ApiError> {
    let mut requirements = Vec::new();
    for part in split_outside_brackets(selector) {
        let part = part.trim();
        if part.is_empty() {
            continue;
        }
        requirements.push(parse_label(part).ok_or_else(|| {
            ApiError::bad_request(format!(
                "unable to parse requirement: {part:?} in selector {selector:?}"
            ))
        })?);
    }
    Ok(requirements)
}

fn parse_label(part: &str) -> Option<Requirement> {
    if let Some(key) = part.strip_prefix('!') {
        return Some(Requirement::Missing(label_key(key)?));
    }
    if let Some(open) = part.find('(') {
        let (head, list) = part.split_at(open);
        let list = list.strip_prefix('(')?.strip_suffix(')')?;
        let values: Vec<_> = list.split(',').map(label_value).collect::<Option<_>>()?;
        let (key, operator) = head.trim().rsplit_once(char::is_whitespace)?;
        let key = label_key(key)?;
        return match operator {
            "in" => Some(Requirement::In(key, values)),
            "notin" => Some(Requirement::NotIn(key, values)),
            _ => None,
        };
    }
    let Some(start) = part.find(['=', '!', '>', '<']) else {
        return Some(Requirement::Exists(label_key(part)?));
    };
    let (key, rest) = part.split_at(start);
    let key = label_key(key)?;
    for (operator, make) in [
        (
            "!=",
            (|key, value| Some(Requirement::NotIn(key, vec![value]))) as fn(String, String) -> _,
        ),
        ("==", |key, value| Some(Requirement::In(key, vec![value]))),
        ("=", |key, value| Some(Requirement::In(key, vec![value]))),
        (">", |key, value| Some(Requirement::Greater(key, number(&value)?))),
        ("<", |key, value| Some(Requirement::Less(key, number(&value)?))),
    ] {
        if let Some(value) = rest.strip_prefix(operator) {
            return make(key, label_value(value)?);
        }
    }
    None
}

fn label_key(key: &str) -> Option<String> {
    let key = key.trim();
    let good = |c: char| c.is_ascii_alphanumeric() || "-_./".contains(c);
    (!key.is_empty() && key.chars().all(good)).then(|| key.to_owned())
}

fn label_value(value: &str) -> Option<String> {
    let value = value.trim();
    let good = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
    value.chars().all(good).then(|| value.to_owned())
}

fn split_outside_brackets(text: &str) -> Vec<&str> {
    let (mut parts, mut depth, mut start) = (Vec::new(), 0_i32, 0);
    for (at, c) in text.char_indices() {
        match c {
            '(' => depth += 1,
            ')' => depth -= 1,
            ',' if depth == 0 => {
                parts.push(&text[start..at]);
                start = at + 1;
            }
            _ => {}
        }
    }
    parts.push(&text[start..]);
    parts
}

/// `a=b,c==d,e!=f`
fn parse_fields(selector: &str) -> Result<Vec<(String, String, bool)>, ApiError> {
    let parts = selector.split(',').filter(|part| !part.is_empty());
    parts
        .map(|part| {
            let found = ["!=", "==", "="]
                .iter()
                .find_map(|operator| Some((part.split_once(operator)?, *operator != "!=")));
            found
                .map(|((field, value), equal)| (field.to_owned(), value.to_owned(), equal))
                .ok_or_else(|| {
                    ApiError::bad_request(format!(
                        "invalid selector: '{selector}'; can't understand '{part}'"
                    ))
                })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::apiserver::kinds::Kinds;
    use serde_json::json;

    fn selects(labels: &str, fields: &str) -> bool {
        let object = json!({
            "metadata": {"name": "p", "namespace": "ns", "labels": {"a": "b", "n": "5", "x.io/y": ""}},
            "spec": {"nodeName": "n1"},
        });
        let kinds = Kinds::built_in();
        let kind = kinds.get("", "pods").unwrap();
        Selection::new(kind, kind.version("v1").unwrap(), Some(labels), Some(fields))
            .unwrap()
            .matches(&object)
    }

    #[test]
    fn label_selectors_follow_the_grammar_of_kubernetes() {
        for yes in [
            "",
            "a=b",
            "a==b",
            "a!=c",
            "c!=d",
            "a",
            "!c",
            "a in (b,c)",
            "c notin (d)",
            "a notin (c), x.io/y",
            "n>4",
            "n<6",
            "x.io/y=",
            "a in (b), n",
        ] {
            assert!(selects(yes, ""), "{yes}");
        }
        for no in [
            "a=c",
            "a!=b",
            "c",
            "!a",
            "a in (c)",
            "a notin (b)",
            "n>5",
            "n<5",
            "c>1",
            "x.io/y=z",
        ] {
            assert!(!selects(no, ""), "{no}");
        }
        for bad in ["a=b=c", "a in b", "a of (b)", "=b", "a>b", "a in (b"] {
            assert!(parse_labels(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn field_selectors_name_declared_fields_only() {
        assert!(selects(
            "",
            "spec.nodeName=n1,metadata.name==p,status.phase!=Running,status.phase="
        ));
        assert!(!selects("", "spec.nodeName!=n1"));
        let kinds = Kinds::built_in();
        let kind = kinds.get("", "pods").unwrap();
        let error = Selection::new(kind, kind.version("v1").unwrap(), None, Some("foo=x")).unwrap_err();
        assert_eq!(
            (error.code, &*error.message),
            (400, "field label not supported: foo")
        );
    }
}
