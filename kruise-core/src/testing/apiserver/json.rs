//! Small readings and writings of objects as JSON.

use jiff::{Timestamp, Unit};
use serde_json::{Map, Value, json};

/// The value at a path of keys.
pub(crate) fn at<'a>(value: &'a Value, path: &[impl AsRef<str>]) -> Option<&'a Value> {
    path.iter().try_fold(value, |value, key| value.get(key.as_ref()))
}

/// The text at a path of keys, empty if there is none.
pub(crate) fn text<'a>(value: &'a Value, path: &[&str]) -> &'a str {
    at(value, path).and_then(Value::as_str).unwrap_or_default()
}

/// A number that Kubernetes writes as a number.
pub(crate) fn number(value: &Value, path: &[&str]) -> Option<i64> {
    at(value, path).and_then(Value::as_i64)
}

/// The list at a path of keys, empty if there is none.
pub(crate) fn items<'a>(value: &'a Value, path: &[&str]) -> &'a [Value] {
    at(value, path)
        .and_then(Value::as_array)
        .map_or(&[], Vec::as_slice)
}

/// Makes sure that `value` is an object, and gives it.
pub(crate) fn object(value: &mut Value) -> &mut Map<String, Value> {
    if !value.is_object() {
        *value = Value::Object(Map::new());
    }
    value.as_object_mut().expect("it was just made an object")
}

/// The object under `key`, made if missing.
pub(crate) fn child<'a>(value: &'a mut Value, key: &str) -> &'a mut Map<String, Value> {
    object(object(value).entry(key).or_insert(Value::Null))
}

pub(crate) fn metadata(value: &mut Value) -> &mut Map<String, Value> {
    child(value, "metadata")
}

/// Sets the value at a path, making objects on the way.
pub(crate) fn set(value: &mut Value, path: &[impl AsRef<str>], new: Value) {
    match path {
        [] => *value = new,
        [key, rest @ ..] => set(
            object(value).entry(key.as_ref()).or_insert(Value::Null),
            rest,
            new,
        ),
    }
}

/// Copies a key of `from`, or removes it where `from` has none.
pub(crate) fn copy(from: &Value, to: &mut Map<String, Value>, key: &str) {
    match from.get(key) {
        Some(value) => to.insert(key.to_owned(), value.clone()),
        None => to.remove(key),
    };
}

/// A time as `metav1.Time` is written: whole seconds.
pub(crate) fn time(now: Timestamp) -> Value {
    let seconds = Timestamp::from_second(now.as_second()).unwrap_or(now);
    json!(seconds.round(Unit::Second).unwrap_or(seconds).to_string())
}
