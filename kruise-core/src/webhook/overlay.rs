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
    use proptest::prelude::*;
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

    /// What a type sees that knows all fields but those that begin with `u`.
    fn known(value: &Value) -> Value {
        match value {
            Value::Object(fields) => {
                let fields = fields.iter().filter(|(key, _)| !key.starts_with('u'));
                Value::Object(fields.map(|(key, value)| (key.clone(), known(value))).collect())
            }
            Value::Array(values) => Value::Array(values.iter().map(known).collect()),
            other => other.clone(),
        }
    }

    fn any_value() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            (0..3i32).prop_map(Value::from),
            "[xy]".prop_map(Value::from)
        ];
        leaf.prop_recursive(4, 40, 4, |inner| {
            let fields = proptest::collection::vec(("a|b|c/~|name|u1|u2", inner.clone()), 0..4);
            let object = fields.prop_map(|fields| Value::Object(fields.into_iter().collect()));
            prop_oneof![
                proptest::collection::vec(inner, 0..4).prop_map(Value::from),
                object
            ]
        })
    }

    proptest! {
        #[test]
        fn the_type_reads_back_what_it_wrote_and_the_patch_says_no_less(raw in any_value(), after in any_value()) {
            let (before, after) = (known(&raw), known(&after));
            let result = overlay(&raw, &before, &after);
            prop_assert_eq!(known(&result), after);
            let mut patched = raw.clone();
            json_patch::patch(&mut patched, &json_patch::diff(&raw, &result)).unwrap();
            prop_assert_eq!(patched, result);
        }

        #[test]
        fn without_a_change_nothing_changes(raw in any_value()) {
            prop_assert_eq!(overlay(&raw, &known(&raw), &known(&raw)), raw);
        }
    }
}
