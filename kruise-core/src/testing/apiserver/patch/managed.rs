//! Who owns which fields: kept up by every write, asked by server-side apply.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::fields::{self, FieldSet, Path, leaves};
use crate::testing::apiserver::json::{items, metadata, text};
use crate::testing::apiserver::rules::Rules;
use crate::testing::apiserver::status::{ApiError, Cause};

/// One manager with one way of writing.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Manager {
    pub(crate) name: String,
    /// `Apply` or `Update`.
    pub(crate) operation: &'static str,
    pub(crate) api_version: String,
    pub(crate) subresource: String,
}

#[derive(Clone, Debug, PartialEq)]
struct Owned {
    time: Value,
    fields: FieldSet,
}

type Managed = BTreeMap<Manager, Owned>;

fn read(object: &Value) -> Managed {
    let entries = items(object, &["metadata", "managedFields"]).iter();
    entries
        .map(|entry| {
            let operation = match text(entry, &["operation"]) {
                "Apply" => "Apply",
                _ => "Update",
            };
            let manager = Manager {
                name: text(entry, &["manager"]).to_owned(),
                operation,
                api_version: text(entry, &["apiVersion"]).to_owned(),
                subresource: text(entry, &["subresource"]).to_owned(),
            };
            let fields = fields::from_json(&entry["fieldsV1"]);
            (
                manager,
                Owned {
                    time: entry["time"].clone(),
                    fields,
                },
            )
        })
        .collect()
}

fn write(object: &mut Value, managed: &Managed) {
    let entries: Vec<_> = managed
        .iter()
        .filter(|(_, owned)| !owned.fields.is_empty())
        .map(|(manager, owned)| {
            let mut entry = json!({
                "manager": manager.name,
                "operation": manager.operation,
                "apiVersion": manager.api_version,
                "time": owned.time,
                "fieldsType": "FieldsV1",
                "fieldsV1": fields::to_json(&owned.fields),
            });
            if !manager.subresource.is_empty() {
                entry["subresource"] = json!(manager.subresource);
            }
            entry
        })
        .collect();
    if entries.is_empty() {
        metadata(object).remove("managedFields");
    } else {
        metadata(object).insert("managedFields".to_owned(), Value::Array(entries));
    }
}

/// Notes that `manager` made `new` out of `old` by a write that is no apply. The ownership is taken from `old`; a write
/// with an empty list of managedFields takes it from all.
pub(crate) fn updated(
    rules: &Rules<'_>,
    old: Option<&Value>,
    new: &mut Value,
    manager: &Manager,
    now: &Value,
) {
    let nothing = json!({});
    let old = old.unwrap_or(&nothing);
    let sent = new["metadata"].get("managedFields").and_then(Value::as_array);
    let reset = sent.is_some_and(|sent| sent.iter().all(|entry| *entry == json!({})));
    let mut managed = if reset { Managed::new() } else { read(old) };
    let (before, after) = (leaves(rules, old), leaves(rules, new));
    let removed: FieldSet = before
        .keys()
        .filter(|path| !after.contains_key(*path))
        .cloned()
        .collect();
    let changed: FieldSet = after
        .iter()
        .filter(|(path, value)| before.get(*path) != Some(value))
        .map(|(path, _)| path.clone())
        .collect();
    for owned in managed.values_mut() {
        owned.fields.retain(|path| !removed.contains(path));
    }
    if !changed.is_empty() {
        for (other, owned) in &mut managed {
            if other != manager {
                owned.fields.retain(|path| !changed.contains(path));
            }
        }
        let own = managed.entry(manager.clone()).or_insert_with(|| Owned {
            time: now.clone(),
            fields: FieldSet::new(),
        });
        own.time = now.clone();
        own.fields.extend(changed);
    }
    write(new, &managed);
}

/// Merges `applied` into `live` on behalf of `manager`: the new object, with its managedFields.
pub(crate) fn apply(
    rules: &Rules<'_>,
    live: Option<&Value>,
    applied: &Value,
    manager: &Manager,
    force: bool,
    now: &Value,
) -> Result<Value, ApiError> {
    let nothing = json!({});
    let live = live.unwrap_or(&nothing);
    let mut managed = read(live);
    let mut applied = applied.clone();
    if !items(&applied, &["metadata", "managedFields"]).is_empty() {
        return Err(ApiError::bad_request("metadata.managedFields must be nil"));
    }
    metadata(&mut applied).remove("managedFields");
    if let Some(applied) = applied
        .as_object_mut()
        .filter(|applied| applied["metadata"] == json!({}))
    {
        applied.remove("metadata");
    }
    let wanted: FieldSet = leaves(rules, &applied).into_keys().collect();
    let mut merged = live.clone();
    fields::merge(rules, &mut merged, &applied);

    let (before, after) = (leaves(rules, live), leaves(rules, &merged));
    let differs = |path: &Path| before.get(path) != after.get(path);
    let mut conflicts = Vec::new();
    for (other, owned) in &mut managed {
        if other == manager {
            continue;
        }
        let taken: Vec<Path> = owned
            .fields
            .intersection(&wanted)
            .filter(|path| differs(path))
            .cloned()
            .collect();
        for path in taken {
            owned.fields.remove(&path);
            conflicts.push((other.clone(), path));
        }
    }
    if !conflicts.is_empty() && !force {
        return Err(conflict(&conflicts));
    }
    let previous = managed
        .get(manager)
        .map(|owned| owned.fields.clone())
        .unwrap_or_default();
    // Elements of lists before what is in them, since they are told apart by that.
    for path in previous.difference(&wanted) {
        let others_own_it = managed.iter().any(|(other, owned)| {
            other != manager && owned.fields.iter().any(|owned| owned.starts_with(path))
        });
        if !others_own_it {
            fields::remove(rules, &mut merged, path);
        }
    }
    let changed = previous != wanted || strip(&merged) != strip(live);
    let time = managed.get(manager).map(|owned| owned.time.clone());
    let time = time.filter(|_| !changed).unwrap_or_else(|| now.clone());
    managed.insert(manager.clone(), Owned { time, fields: wanted });
    write(&mut merged, &managed);
    Ok(merged)
}

fn strip(object: &Value) -> Value {
    let mut object = object.clone();
    metadata(&mut object).remove("managedFields");
    object
}

fn conflict(conflicts: &[(Manager, Path)]) -> ApiError {
    let causes: Vec<_> = conflicts
        .iter()
        .map(|(manager, path)| {
            let by = match manager.operation {
                "Apply" => String::new(),
                _ => format!(" using {}", manager.api_version),
            };
            Cause {
                reason: "FieldManagerConflict",
                message: format!("conflict with {:?}{by}", manager.name),
                field: fields::display(path),
            }
        })
        .collect();
    let word = if causes.len() == 1 {
        "conflict"
    } else {
        "conflicts"
    };
    let texts: Vec<_> = causes
        .iter()
        .map(|cause| format!("{}: {}", cause.message, cause.field))
        .collect();
    let message = format!("Apply failed with {} {word}: {}", causes.len(), texts.join("\n"));
    let mut error = ApiError::new(409, "Conflict", message);
    error.causes = causes;
    error
}

/// Makes two states of one object agree on who owns what: as in the first.
pub(crate) fn carry(from: &mut Value, to: &mut Value) {
    match from["metadata"].get("managedFields") {
        Some(managed) => metadata(to).insert("managedFields".to_owned(), managed.clone()),
        None => metadata(to).remove("managedFields"),
    };
}
