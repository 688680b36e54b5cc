//! Carries the changes of a typed object over to the JSON it was decoded from.
//!
//! A type that knows fewer fields than the object has must not drop the others, and what its encoding adds (empty maps,
//! defaults) is not a change. So the patch is not made from two encodings but from the object as it came, and the same
//! with only those places replaced in which the encodings before and after differ.

use std::collections::HashMap;

use serde_json::{Map, Value};

/// `raw` with what differs between `before` and `after`. Linear in the size of the three.
pub(crate) fn overlay(raw: &Value, before: &Value, after: &Value) -> Value {
    if before == after {
        return raw.clone();
    }
    match (raw, before, after) {
        (Value::Object(raw), Value::Object(before), Value::Object(after)) => {
            Value::Object(objects(raw, before, after))
        }
        (Value::Array(raw), Value::Array(before), Value::Array(after)) if raw.len() == before.len() => {
            Value::Array(arrays(raw, before, after))
        }
        _ => after.clone(),
    }
}

fn objects(
    raw: &Map<String, Value>,
    before: &Map<String, Value>,
    after: &Map<String, Value>,
) -> Map<String, Value> {
    let mut result = raw.clone();
    for key in before.keys().filter(|key| !after.contains_key(*key)) {
        result.remove(key);
    }
    for (key, new) in after {
        let old = before.get(key);
        if old == Some(new) {
            continue;
        }
        let value = match (raw.get(key), old) {
            (Some(raw), Some(old)) => overlay(raw, old, new),
            _ => new.clone(),
        };
        result.insert(key.clone(), value);
    }
    result
}

/// Elements that stayed keep what the type does not know of; which stayed is seen by equality at both ends, then by
/// name, then by place if none came or went.
fn arrays(raw: &[Value], before: &[Value], after: &[Value]) -> Vec<Value> {
    let shorter = before.len().min(after.len());
    let head = before.iter().zip(after).take_while(|(a, b)| a == b).count();
    let tail = (before.iter().rev().zip(after.iter().rev()))
        .take(shorter - head)
        .take_while(|(a, b)| a == b)
        .count();
    let (old_end, new_end) = (before.len() - tail, after.len() - tail);
    let old = raw.iter().zip(before).take(old_end).skip(head);
    let named: HashMap<&str, (&Value, &Value)> = old
        .clone()
        .filter_map(|pair| Some((name(pair.1)?, pair)))
        .collect();
    let by_place = old_end == new_end;

    let mut result: Vec<Value> = raw.iter().take(head).cloned().collect();
    let mut old = old;
    for new in after.iter().take(new_end).skip(head) {
        let place = if by_place { old.next() } else { None };
        let same = match name(new) {
            Some(name) => named.get(name).copied(),
            None => place.filter(|pair| name(pair.1).is_none()),
        };
        result.push(same.map_or_else(|| new.clone(), |(raw, old)| overlay(raw, old, new)));
    }
    result.extend(raw.iter().skip(old_end).cloned());
    result
}

fn name(value: &Value) -> Option<&str> {
    value.get("name")?.as_str()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn fields_that_the_type_does_not_know_stay() {
        let raw = json!({"known": 1, "unknown": {"a": 1}});
        let result = overlay(&raw, &json!({"known": 1}), &json!({"known": 2}));
        assert_eq!(result, json!({"known": 2, "unknown": {"a": 1}}));
    }

    #[test]
    fn what_only_the_encoding_adds_is_no_change() {
        let raw = json!({"a": 1});
        assert_eq!(
            overlay(
                &raw,
                &json!({"a": 1, "status": {}}),
                &json!({"a": 1, "status": {}})
            ),
            raw
        );
        assert_eq!(
            overlay(
                &raw,
                &json!({"a": 1, "status": {}}),
                &json!({"a": 2, "status": {}})
            ),
            json!({"a": 2})
        );
    }

    #[test]
    fn a_removed_field_is_removed() {
        let raw = json!({"a": 1, "b": 2, "unknown": 3});
        assert_eq!(
            overlay(&raw, &json!({"a": 1, "b": 2}), &json!({"a": 1})),
            json!({"a": 1, "unknown": 3})
        );
    }

    #[test]
    fn an_element_put_in_front_does_not_inherit_unknown_fields() {
        let raw = json!([{"name": "app", "unknown": 1}]);
        let before = json!([{"name": "app"}]);
        let after = json!([{"name": "sidecar"}, {"name": "app", "image": "x"}]);
        assert_eq!(
            overlay(&raw, &before, &after),
            json!([{"name": "sidecar"}, {"name": "app", "image": "x", "unknown": 1}])
        );
    }

    #[test]
    fn elements_without_names_are_matched_by_place_only_if_none_came_or_went() {
        let raw = json!([{"v": 1, "u": 1}, {"v": 2, "u": 2}]);
        let before = json!([{"v": 1}, {"v": 2}]);
        assert_eq!(
            overlay(&raw, &before, &json!([{"v": 3}, {"v": 2}])),
            json!([{"v": 3, "u": 1}, {"v": 2, "u": 2}])
        );
        assert_eq!(
            overlay(&raw, &before, &json!([{"v": 2}])),
            json!([{"v": 2, "u": 2}])
        );
        assert_eq!(overlay(&raw, &before, &json!([{"v": 9}])), json!([{"v": 9}]));
    }
}
