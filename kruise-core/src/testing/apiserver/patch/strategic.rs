//! Strategic merge patch, for built-in kinds.

use serde_json::{Map, Value};

use crate::testing::apiserver::rules::Rules;
use crate::testing::apiserver::status::ApiError;

const PATCH: &str = "$patch";
const RETAIN_KEYS: &str = "$retainKeys";
const DELETE_FROM: &str = "$deleteFromPrimitiveList/";
const ORDER: &str = "$setElementOrder/";

/// Applies a patch in place.
pub(super) fn apply(target: &mut Value, patch: &Value) -> Result<(), ApiError> {
    let patch = patch
        .as_object()
        .ok_or_else(|| ApiError::bad_request("patch is not an object"))?;
    merge_map(target, patch, &mut Vec::new())
}

fn merge_map<'a>(
    target: &mut Value,
    patch: &'a Map<String, Value>,
    path: &mut Vec<&'a str>,
) -> Result<(), ApiError> {
    match patch.get(PATCH).and_then(Value::as_str) {
        Some("replace") => {
            let rest = patch.iter().filter(|(key, _)| *key != PATCH);
            *target = Value::Object(rest.map(|(key, value)| (key.clone(), value.clone())).collect());
            return Ok(());
        }
        Some("delete") => {
            *target = Value::Object(Map::new());
            return Ok(());
        }
        Some("merge") | None => {}
        Some(other) => {
            return Err(ApiError::bad_request(format!(
                "unknown patch type found: {other}"
            )));
        }
    }
    if !target.is_object() {
        *target = Value::Object(Map::new());
    }
    let Some(target) = target.as_object_mut() else {
        return Ok(());
    };
    if let Some(kept) = patch.get(RETAIN_KEYS).and_then(Value::as_array) {
        target.retain(|key, _| kept.iter().any(|kept| kept == key));
    }
    for (key, value) in patch {
        if let Some(list) = key.strip_prefix(DELETE_FROM) {
            let gone = value.as_array().map_or(&[][..], Vec::as_slice);
            if let Some(items) = target.get_mut(list).and_then(Value::as_array_mut) {
                items.retain(|item| !gone.contains(item));
            }
            continue;
        }
        // An order alone, without a patch of the list.
        if let Some(list) = key.strip_prefix(ORDER) {
            if !patch.contains_key(list) {
                path.push(list);
                let key = Rules::merge_key(path);
                path.pop();
                if let (Some(key), Some(items)) = (key, target.get_mut(list).and_then(Value::as_array_mut)) {
                    let server = items.clone();
                    *items = ordered(std::mem::take(items), &names(key, value), &server, key);
                }
            }
            continue;
        }
        if key.starts_with('$') {
            continue;
        }
        path.push(key);
        match value {
            Value::Null => drop(target.remove(key)),
            Value::Object(value) => {
                merge_map(target.entry(key.as_str()).or_insert(Value::Null), value, path)?
            }
            Value::Array(value) => {
                let order = patch.get(&format!("{ORDER}{key}"));
                let merged = merge_list(target.get(key), value, order, path)?;
                target.insert(key.clone(), Value::Array(merged));
            }
            plain => drop(target.insert(key.clone(), plain.clone())),
        }
        path.pop();
    }
    Ok(())
}

fn merge_list<'a>(
    target: Option<&Value>,
    patch: &'a [Value],
    order: Option<&Value>,
    path: &mut Vec<&'a str>,
) -> Result<Vec<Value>, ApiError> {
    let directive = |item: &Value, what: &str| item.get(PATCH).and_then(Value::as_str) == Some(what);
    let Some(key) = Rules::merge_key(path) else {
        return Ok(patch.to_vec());
    };
    let server = target.and_then(Value::as_array).cloned().unwrap_or_default();
    let mut merged = server.clone();
    if key.is_empty() {
        merged.extend(patch.iter().filter(|item| !server.contains(item)).cloned());
        return Ok(ordered(merged, patch, &server, key));
    }
    if patch.iter().any(|item| directive(item, "replace")) {
        let kept = patch.iter().filter(|item| !directive(item, "replace"));
        return Ok(kept.cloned().collect());
    }
    let mut given = Vec::new();
    for item in patch {
        let name = item.get(key).ok_or_else(|| {
            ApiError::bad_request(format!("map: {item} does not contain declared merge key: {key}"))
        })?;
        let place = merged.iter().position(|known| known.get(key) == Some(name));
        if directive(item, "delete") {
            if let Some(place) = place {
                merged.remove(place);
            }
            continue;
        }
        given.push(name.clone());
        let mut element = match place.and_then(|place| merged.get(place)) {
            Some(known) => known.clone(),
            None => Value::Null,
        };
        if let Some(item) = item.as_object() {
            merge_map(&mut element, item, path)?;
        }
        match place.and_then(|place| merged.get_mut(place)) {
            Some(known) => *known = element,
            None => merged.push(element),
        }
    }
    let given = order.map_or(given, |order| names(key, order));
    Ok(ordered(merged, &given, &server, key))
}

/// The names in a list of order, which are elements with only their key, or values.
fn names(key: &str, order: &Value) -> Vec<Value> {
    let items = order.as_array().map_or(&[][..], Vec::as_slice);
    items
        .iter()
        .map(|item| item.get(key).unwrap_or(item).clone())
        .collect()
}

/// Elements of the patch in its order, the server's in theirs; between two heads the one that the server has earlier goes
/// first, and one that is new to the server goes before.
fn ordered(items: Vec<Value>, given: &[Value], server: &[Value], key: &str) -> Vec<Value> {
    let name = |item: &Value| item.get(key).unwrap_or(item).clone();
    let place = |item: &Value| server.iter().position(|known| name(known) == name(item));
    let rank = |item: &Value| given.iter().position(|given| name(item) == *given);
    let (mut ours, mut theirs): (Vec<_>, Vec<_>) = items.into_iter().partition(|item| rank(item).is_some());
    ours.sort_by_key(rank);
    theirs.sort_by_key(place);
    let (mut ours, mut theirs) = (ours.into_iter().peekable(), theirs.into_iter().peekable());
    let mut result = Vec::new();
    loop {
        let next = match (ours.peek(), theirs.peek()) {
            (Some(our), Some(their)) => match (place(our), place(their)) {
                (Some(our), Some(their)) if their < our => theirs.next(),
                _ => ours.next(),
            },
            (Some(_), None) => ours.next(),
            (None, _) => theirs.next(),
        };
        match next {
            Some(item) => result.push(item),
            None => return result,
        }
    }
}
