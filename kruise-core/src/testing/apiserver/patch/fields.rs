//! Sets of fields as `managedFields` has them.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value, json};

use crate::testing::apiserver::rules::{ListRule, Rules, default_key};

/// A field by its way from the root, each part as in `fieldsV1`: `f:name`, `k:{"name":"a"}`, `v:"a"`.
pub(crate) type Path = Vec<String>;

/// Fields somebody owns.
pub(crate) type FieldSet = BTreeSet<Path>;

/// Every leaf with its value; elements of keyed lists and sets count as leaves of their own, without a value.
pub(crate) fn leaves<'a>(rules: &Rules<'_>, value: &'a Value) -> BTreeMap<Path, Option<&'a Value>> {
    let mut found = BTreeMap::new();
    walk(rules, value, &mut Vec::new(), &mut Vec::new(), &mut found);
    found
}

fn walk<'a>(
    rules: &Rules<'_>,
    value: &'a Value,
    fields: &mut Vec<&'a str>,
    path: &mut Path,
    found: &mut BTreeMap<Path, Option<&'a Value>>,
) {
    match value {
        Value::Object(map) if !map.is_empty() && !(rules.is_atomic(fields)) => {
            for (key, value) in map {
                if skipped(fields, key) {
                    continue;
                }
                fields.push(key);
                path.push(format!("f:{key}"));
                walk(rules, value, fields, path, found);
                path.pop();
                fields.pop();
            }
        }
        Value::Array(items) if !items.is_empty() => {
            let rule = rules.list(fields);
            let named: Option<Vec<String>> = items.iter().map(|item| element(&rule, item)).collect();
            let Some(named) = named else {
                found.insert(path.clone(), Some(value));
                return;
            };
            for (name, item) in named.into_iter().zip(items) {
                path.push(name);
                found.insert(path.clone(), None);
                if matches!(rule, ListRule::Map(_)) {
                    walk(rules, item, fields, path, found);
                }
                path.pop();
            }
        }
        _ => {
            found.insert(path.clone(), Some(value));
        }
    }
}

/// Fields that nobody owns.
fn skipped(fields: &[&str], key: &str) -> bool {
    match fields {
        [] => matches!(key, "apiVersion" | "kind"),
        ["metadata"] => matches!(
            key,
            "name"
                | "namespace"
                | "uid"
                | "resourceVersion"
                | "creationTimestamp"
                | "generation"
                | "selfLink"
                | "managedFields"
                | "deletionTimestamp"
                | "deletionGracePeriodSeconds"
        ),
        _ => false,
    }
}

/// How an element of a list is named. `None` if the list is one value, or the element lacks its keys.
pub(crate) fn element(rule: &ListRule, item: &Value) -> Option<String> {
    match rule {
        ListRule::Atomic => None,
        ListRule::Set => Some(format!("v:{item}")),
        ListRule::Map(keys) => {
            let mut named = Map::new();
            for key in keys {
                let value = match item.get(key) {
                    Some(value) => value.clone(),
                    None => json!(default_key(key)?),
                };
                named.insert(key.clone(), value);
            }
            Some(format!("k:{}", Value::Object(named)))
        }
    }
}

/// Takes the field at a path out of an object; maps and lists that become empty by it go too.
pub(crate) fn remove(rules: &Rules<'_>, value: &mut Value, path: &[String]) {
    remove_below(rules, value, &mut Vec::new(), path);
}

fn remove_below(rules: &Rules<'_>, value: &mut Value, fields: &mut Vec<String>, path: &[String]) {
    let [first, rest @ ..] = path else {
        return;
    };
    if let (Some(key), Some(map)) = (first.strip_prefix("f:"), value.as_object_mut()) {
        if rest.is_empty() {
            map.remove(key);
        } else if let Some(child) = map.get_mut(key) {
            fields.push(key.to_owned());
            remove_below(rules, child, fields, rest);
            fields.pop();
            if is_empty(child) {
                map.remove(key);
            }
        }
        return;
    }
    let names: Vec<&str> = fields.iter().map(String::as_str).collect();
    let rule = rules.list(&names);
    if let Some(items) = value.as_array_mut() {
        let place = items
            .iter()
            .position(|item| element(&rule, item).as_ref() == Some(first));
        match (place, rest) {
            (Some(place), []) => drop(items.remove(place)),
            (Some(place), rest) => {
                if let Some(item) = items.get_mut(place) {
                    remove_below(rules, item, fields, rest);
                }
            }
            (None, _) => {}
        }
    }
}

fn is_empty(value: &Value) -> bool {
    match value {
        Value::Object(map) => map.is_empty(),
        Value::Array(items) => items.is_empty(),
        _ => false,
    }
}

/// As `fieldsV1`.
pub(crate) fn to_json(set: &FieldSet) -> Value {
    let mut root = json!({});
    for path in set {
        let mut place = &mut root;
        for part in path {
            place = &mut place[part.as_str()];
            if !place.is_object() {
                *place = json!({});
            }
        }
        // An element of a list is owned itself, besides what is in it.
        if path.last().is_some_and(|last| !last.starts_with("f:")) {
            place["."] = json!({});
        }
    }
    root
}

/// From `fieldsV1`. A `.` inside of a field is no element, so it is left out.
pub(crate) fn from_json(fields: &Value) -> FieldSet {
    let mut set = FieldSet::new();
    collect(fields, &mut Vec::new(), &mut set);
    set
}

fn collect(fields: &Value, path: &mut Path, set: &mut FieldSet) {
    let Some(map) = fields.as_object() else {
        return;
    };
    let is_element = path.last().is_some_and(|last| !last.starts_with("f:"));
    if !path.is_empty() && (map.is_empty() || (is_element && map.contains_key("."))) {
        set.insert(path.clone());
    }
    for (key, inner) in map.iter().filter(|(key, _)| *key != ".") {
        path.push(key.clone());
        collect(inner, path, set);
        path.pop();
    }
}

/// `.spec.containers[name="a"].image`
pub(crate) fn display(path: &[String]) -> String {
    path.iter()
        .map(|part| {
            if let Some(name) = part.strip_prefix("f:") {
                return format!(".{name}");
            }
            if let Some(value) = part.strip_prefix("v:") {
                return format!("[={value}]");
            }
            let keys: Value = serde_json::from_str(part.trim_start_matches("k:")).unwrap_or_default();
            let keys = keys.as_object().into_iter().flatten();
            let keys: Vec<_> = keys.map(|(key, value)| format!("{key}={value}")).collect();
            format!("[{}]", keys.join(","))
        })
        .collect()
}

/// Merges what is applied into what is there.
pub(crate) fn merge(rules: &Rules<'_>, live: &mut Value, applied: &Value) {
    merge_below(rules, live, applied, &mut Vec::new());
}

fn merge_below<'a>(rules: &Rules<'_>, live: &mut Value, applied: &'a Value, fields: &mut Vec<&'a str>) {
    match (live, applied) {
        (Value::Object(live), Value::Object(applied)) if !rules.is_atomic(fields) => {
            for (key, value) in applied {
                fields.push(key);
                match live.get_mut(key) {
                    Some(live) => merge_below(rules, live, value, fields),
                    None => drop(live.insert(key.clone(), value.clone())),
                }
                fields.pop();
            }
        }
        (Value::Array(live), Value::Array(applied)) if rules.list(fields) != ListRule::Atomic => {
            let rule = rules.list(fields);
            for item in applied {
                let name = element(&rule, item);
                let known = live
                    .iter_mut()
                    .find(|known| name.is_some() && element(&rule, known) == name);
                match known {
                    Some(known) if matches!(rule, ListRule::Map(_)) => {
                        merge_below(rules, known, item, fields)
                    }
                    Some(_) => {}
                    None => live.push(item.clone()),
                }
            }
        }
        (live, applied) => *live = applied.clone(),
    }
}
