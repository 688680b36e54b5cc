//! JSON as Go's encoder writes typed structs.

use serde_json::Value;

use super::super::object::Object;
use super::super::quantity;

/// A field of a Go struct: its name, and when and how it is written.
pub(super) struct Field(pub(super) &'static str, pub(super) Shape);

/// What a field holds. Unless it says so, a field is left out when it is empty: absent, `null`, zero, no elements.
pub(super) enum Shape {
    /// Text, a number, a flag.
    Plain,
    /// The same, and written as this if it is absent.
    Always(&'static str),
    /// A pointer: written if it is there, zero or not.
    Pointer,
    /// A struct behind a pointer: written if it is there, empty or not.
    Struct(&'static [Field]),
    /// A struct: written always.
    Inline(&'static [Field]),
    /// Structs.
    Structs(&'static [Field]),
    /// Text, numbers or maps of them.
    Values,
    /// A map to quantities.
    Quantities,
    /// A quantity: written always.
    Quantity,
}

/// Writes an object: known fields in their order, then the others by name.
pub(super) fn push_object(fields: &[Field], object: &Object, text: &mut String) {
    text.push('{');
    let start = text.len();
    for Field(name, shape) in fields {
        let value = object.get(*name).filter(|value| !value.is_null());
        push_field(name, shape, value, start, text);
    }
    let known = |name: &str| fields.iter().any(|Field(field, _)| *field == name);
    let mut others: Vec<_> = object
        .iter()
        .filter(|(name, value)| !known(name) && !value.is_null())
        .collect();
    others.sort_unstable_by_key(|(name, _)| *name);
    for (name, value) in others {
        push_name(name, start, text);
        push_value(value, text);
    }
    text.push('}');
}

fn push_field(name: &str, shape: &Shape, value: Option<&Value>, start: usize, text: &mut String) {
    let empty = value.is_none_or(is_empty);
    match shape {
        Shape::Plain | Shape::Structs(_) | Shape::Values | Shape::Quantities if empty => return,
        Shape::Pointer | Shape::Struct(_) if value.is_none() => return,
        _ => {}
    }
    push_name(name, start, text);
    match (shape, value) {
        (Shape::Always(absent), None) => text.push_str(absent),
        (Shape::Quantity, value) => push_quantity(value.unwrap_or(&Value::Null), text),
        (Shape::Inline(fields), None) => push_object(fields, &Object::new(), text),
        (Shape::Struct(fields) | Shape::Inline(fields), Some(Value::Object(object))) => {
            push_object(fields, object, text);
        }
        (Shape::Structs(fields), Some(Value::Array(items))) => {
            push_list(items, text, |item, text| match item {
                Value::Object(object) => push_object(fields, object, text),
                other => push_value(other, text),
            })
        }
        (Shape::Quantities, Some(Value::Object(object))) => push_map(object, text, push_quantity),
        (_, value) => push_value(value.unwrap_or(&Value::Null), text),
    }
}

fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Bool(flag) => !flag,
        Value::Number(number) => number.as_f64() == Some(0.0),
        Value::String(text) => text.is_empty(),
        Value::Array(items) => items.is_empty(),
        Value::Object(object) => object.is_empty(),
    }
}

fn push_name(name: &str, start: usize, text: &mut String) {
    if text.len() > start {
        text.push(',');
    }
    push_text(name, text);
    text.push(':');
}

/// Writes a value whose type is not known: keys sorted, nothing left out.
fn push_value(value: &Value, text: &mut String) {
    match value {
        Value::String(value) => push_text(value, text),
        Value::Array(items) => push_list(items, text, push_value),
        Value::Object(object) => push_map(object, text, push_value),
        Value::Null | Value::Bool(_) | Value::Number(_) => text.push_str(&value.to_string()),
    }
}

fn push_list(items: &[Value], text: &mut String, push: impl Fn(&Value, &mut String)) {
    text.push('[');
    for (index, item) in items.iter().enumerate() {
        if index > 0 {
            text.push(',');
        }
        push(item, text);
    }
    text.push(']');
}

fn push_map(object: &Object, text: &mut String, push: impl Fn(&Value, &mut String)) {
    text.push('{');
    let start = text.len();
    let mut entries: Vec<_> = object.iter().collect();
    entries.sort_unstable_by_key(|(name, _)| *name);
    for (name, value) in entries {
        push_name(name, start, text);
        push(value, text);
    }
    text.push('}');
}

/// Writes a quantity as Go does; what is none, as it is.
fn push_quantity(value: &Value, text: &mut String) {
    let amount = match value {
        Value::Null => Some("0".to_owned()),
        Value::String(amount) => Some(amount.clone()),
        Value::Number(amount) => Some(amount.to_string()),
        _ => None,
    };
    match amount.as_deref().and_then(quantity::encoded) {
        Some(amount) => push_text(&amount, text),
        None => push_value(value, text),
    }
}

/// Writes text with the escapes of Go's encoder, which are more than JSON asks for.
fn push_text(value: &str, text: &mut String) {
    text.push('"');
    for char in value.chars() {
        match char {
            '"' => text.push_str("\\\""),
            '\\' => text.push_str("\\\\"),
            '\n' => text.push_str("\\n"),
            '\r' => text.push_str("\\r"),
            '\t' => text.push_str("\\t"),
            '<' | '>' | '&' | '\u{2028}' | '\u{2029}' | '\0'..='\x1f' => {
                text.push_str(&format!("\\u{:04x}", u32::from(char)));
            }
            _ => text.push(char),
        }
    }
    text.push('"');
}
