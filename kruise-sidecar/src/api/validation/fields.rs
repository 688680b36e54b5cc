//! Checks that several fields share.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use kruise_core::policy::Selector;
use serde_json::Value;

use super::super::object::Object;
use super::error::{Errors, ValidationErrorKind as Kind};
use super::is_empty;

/// Checks that a selector means something, and asks for something.
pub(super) fn check_selector(path: &str, selector: &LabelSelector, errors: &mut Errors) {
    if is_empty(selector) {
        errors.add(path, Kind::Required);
        return;
    }
    if let Err(error) = Selector::compile(selector) {
        errors.add(path, Kind::Selector(error));
        return;
    }
    for (key, value) in selector.match_labels.iter().flatten() {
        if !is_key(key) {
            errors.add(format!("{path}.matchLabels"), Kind::NotAKey(key.clone()));
        }
        if !is_label_value(value) {
            errors.add(
                format!("{path}.matchLabels[{key}]"),
                Kind::NotALabelValue(value.clone()),
            );
        }
    }
    for (index, requirement) in selector.match_expressions.iter().flatten().enumerate() {
        let path = format!("{path}.matchExpressions[{index}]");
        if !is_key(&requirement.key) {
            errors.add(format!("{path}.key"), Kind::NotAKey(requirement.key.clone()));
        }
        for value in requirement.values.iter().flatten() {
            if !is_label_value(value) {
                errors.add(format!("{path}.values"), Kind::NotALabelValue(value.clone()));
            }
        }
    }
}

/// Checks that a list of objects is one; calls back for each of them.
pub(super) fn each<'o>(
    holder: &'o Object,
    path: &str,
    field: &str,
    errors: &mut Errors,
    mut check: impl FnMut(&str, &'o Object, &mut Errors),
) {
    match holder.get(field) {
        None | Some(Value::Null) => {}
        Some(Value::Array(items)) => {
            for (index, item) in items.iter().enumerate() {
                let path = format!("{path}.{field}[{index}]");
                match item {
                    Value::Object(item) => check(&path, item, errors),
                    _ => errors.add(path, Kind::WrongType("an object")),
                }
            }
        }
        Some(_) => errors.add(format!("{path}.{field}"), Kind::WrongType("a list")),
    }
}

/// Returns the object under a field, if there is one.
pub(super) fn object<'o>(
    holder: &'o Object,
    path: &str,
    field: &str,
    errors: &mut Errors,
) -> Option<&'o Object> {
    match holder.get(field) {
        None | Some(Value::Null) => None,
        Some(Value::Object(object)) => Some(object),
        Some(_) => {
            errors.add(format!("{path}.{field}"), Kind::WrongType("an object"));
            None
        }
    }
}

/// Returns the text under a field; empty if there is none.
pub(super) fn text<'o>(holder: &'o Object, path: &str, field: &str, errors: &mut Errors) -> &'o str {
    match holder.get(field) {
        None | Some(Value::Null) => "",
        Some(Value::String(text)) => text,
        Some(_) => {
            errors.add(format!("{path}.{field}"), Kind::WrongType("text"));
            ""
        }
    }
}

/// Returns the text under a field that must be there.
pub(super) fn required<'o>(holder: &'o Object, path: &str, field: &str, errors: &mut Errors) -> &'o str {
    let before = errors.0.len();
    let text = text(holder, path, field, errors);
    if text.is_empty() && errors.0.len() == before {
        errors.add(format!("{path}.{field}"), Kind::Required);
    }
    text
}

/// Checks that a word, if there is one, is one of those that are known. Returns it.
pub(super) fn word<'o>(
    holder: &'o Object,
    path: &str,
    field: &str,
    known: &'static [&'static str],
    errors: &mut Errors,
) -> &'o str {
    let value = text(holder, path, field, errors);
    if !value.is_empty() && !known.contains(&value) {
        errors.add(
            format!("{path}.{field}"),
            Kind::Unknown {
                value: value.to_owned(),
                known,
            },
        );
    }
    value
}

/// Checks that one of the fields that pass is set, and no more; whether that is so.
pub(super) fn one_of(
    object: &Object,
    path: &str,
    passes: impl Fn(&str) -> bool,
    errors: &mut Errors,
) -> bool {
    let set = object
        .iter()
        .filter(|(field, value)| passes(field) && !value.is_null());
    let count = set.count();
    if count != 1 {
        errors.add(path, Kind::NotOne(count));
    }
    count == 1
}

/// Whether a relative path stays in the folder that it starts from. An empty one does.
pub(super) fn is_inside(path: &str) -> bool {
    !path.starts_with('/') && path.split('/').all(|step| step != "..")
}

/// Whether a field is there and holds something.
pub(super) fn has(holder: &Object, field: &str) -> bool {
    match holder.get(field) {
        None | Some(Value::Null) => false,
        Some(Value::String(text)) => !text.is_empty(),
        Some(_) => true,
    }
}

/// RFC 1123 label.
pub(super) fn is_dns_label(name: &str) -> bool {
    let inside = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    (1..=63).contains(&name.len())
        && name.bytes().all(inside)
        && !name.starts_with('-')
        && !name.ends_with('-')
}

/// Key of a label or annotation, with or without the domain in front.
pub(crate) fn is_key(key: &str) -> bool {
    let (domain, name) = match key.split_once('/') {
        Some((domain, name)) => (Some(domain), name),
        None => (None, key),
    };
    domain.is_none_or(|domain| domain.len() <= 253 && domain.split('.').all(is_dns_label)) && is_name(name)
}

/// Value of a label.
pub(crate) fn is_label_value(value: &str) -> bool {
    value.is_empty() || is_name(value)
}

fn is_name(name: &str) -> bool {
    let inside = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
    let end = |byte: Option<&u8>| byte.is_some_and(u8::is_ascii_alphanumeric);
    let bytes = name.as_bytes();
    bytes.len() <= 63 && bytes.iter().copied().all(inside) && end(bytes.first()) && end(bytes.last())
}
