//! `--sort-by`.

use std::cmp::Ordering;

use serde_json::Value;

use crate::failure::{Failure, Result};
use crate::output::jsonpath;

/// Sorts by what a path leads to in each item's object. Items without it come first, equal ones stay in their order.
///
/// # Errors
/// No item has it: most likely the path is misspelt.
pub(super) fn by<T>(path: &str, items: &mut Vec<T>, object: impl Fn(&T) -> &Value) -> Result<()> {
    let mut keyed = Vec::with_capacity(items.len());
    for item in items.drain(..) {
        let found = jsonpath::values(path, object(&item)).map_err(Failure::new)?;
        let key = found.into_iter().find(|value| !value.is_null()).cloned();
        keyed.push((key, item));
    }
    let missing = !keyed.is_empty() && keyed.iter().all(|(key, _)| key.is_none());
    keyed.sort_by(|(a, _), (b, _)| match (a, b) {
        (Some(a), Some(b)) => compare(a, b),
        (a, b) => a.is_some().cmp(&b.is_some()),
    });
    items.extend(keyed.into_iter().map(|(_, item)| item));
    match missing {
        true => Err(Failure::new(format!("--sort-by: no object has the field {path}"))
            .next("Write a path such as .metadata.creationTimestamp.")),
        false => Ok(()),
    }
}

fn compare(a: &Value, b: &Value) -> Ordering {
    match (a, b) {
        (Value::Number(a), Value::Number(b)) => {
            let (a, b) = (a.as_f64().unwrap_or_default(), b.as_f64().unwrap_or_default());
            a.total_cmp(&b)
        }
        (Value::Bool(a), Value::Bool(b)) => a.cmp(b),
        (Value::String(a), Value::String(b)) => natural(a, b),
        (a, b) => natural(&a.to_string(), &b.to_string()),
    }
}

/// Numbers in texts count as numbers: `node-2` comes before `node-10`.
fn natural(a: &str, b: &str) -> Ordering {
    let (mut a, mut b) = (a, b);
    loop {
        let (Some(first), Some(second)) = (a.chars().next(), b.chars().next()) else {
            return a.len().cmp(&b.len());
        };
        if first.is_ascii_digit() && second.is_ascii_digit() {
            let ((left, rest_a), (right, rest_b)) = (number(a), number(b));
            let order = left.len().cmp(&right.len()).then_with(|| left.cmp(right));
            if order != Ordering::Equal {
                return order;
            }
            (a, b) = (rest_a, rest_b);
        } else if first != second {
            return first.cmp(&second);
        } else {
            let length = first.len_utf8();
            (a, b) = (
                a.get(length..).unwrap_or_default(),
                b.get(length..).unwrap_or_default(),
            );
        }
    }
}

/// The number that a text begins with, without leading zeros, and what comes after it.
fn number(text: &str) -> (&str, &str) {
    let end = text
        .find(|char: char| !char.is_ascii_digit())
        .unwrap_or(text.len());
    let (digits, rest) = text.split_at(end);
    (digits.trim_start_matches('0'), rest)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn sorted(items: Value) -> Vec<Value> {
        let mut items = items.as_array().cloned().unwrap_or_default();
        by("$['n']", &mut items, |item| item).unwrap();
        items.iter().map(|item| item["n"].clone()).collect()
    }

    #[test]
    fn numbers_are_sorted_by_value_also_inside_of_names() {
        assert_eq!(sorted(json!([{"n": 10}, {"n": 9.5}])), [json!(9.5), json!(10)]);
        assert_eq!(
            sorted(json!([{"n": "n-10"}, {"n": "n-2"}, {"n": "m"}, {"n": "n-02b"}])),
            ["m", "n-2", "n-02b", "n-10"]
        );
    }

    #[test]
    fn what_lacks_the_field_comes_first_and_a_field_that_all_lack_is_an_error() {
        assert_eq!(sorted(json!([{"n": "a"}, {}])), [json!(null), json!("a")]);
        let failure = by("$['x']", &mut vec![json!({})], |item| item).unwrap_err();
        assert!(failure.to_string().contains("no object has the field"));
        by("$['x']", &mut Vec::<Value>::new(), |item| item).unwrap();
    }
}
