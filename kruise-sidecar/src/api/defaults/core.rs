//! The defaults of core/v1 containers and volumes, as far as OpenKruise fills them in.

use serde_json::{Map, Value, json};

use super::super::object::Object;
use super::super::quantity::Quantity;
use super::FIELDS_VERSION;
use crate::api::image;

/// Fills in a container. `startupProbe` is left alone, since OpenKruise leaves it, and hashes it.
pub(super) fn default_container(container: &mut Object) {
    let image = container.get("image").and_then(Value::as_str).unwrap_or_default();
    let policy = if image::is_latest(image) {
        "Always"
    } else {
        "IfNotPresent"
    };
    fill(container, "imagePullPolicy", policy.into());
    fill(container, "terminationMessagePath", "/dev/termination-log".into());
    fill(container, "terminationMessagePolicy", "File".into());
    for port in objects(container, "ports") {
        fill(port, "protocol", "TCP".into());
    }
    for env in objects(container, "env") {
        if let Some(field) = object(env, "valueFrom").and_then(|from| object(from, "fieldRef")) {
            fill(field, "apiVersion", FIELDS_VERSION.into());
        }
    }
    if let Some(resources) = object(container, "resources") {
        for list in ["limits", "requests"] {
            object(resources, list).into_iter().for_each(round_up);
        }
    }
    for probe in ["livenessProbe", "readinessProbe"] {
        if let Some(probe) = object(container, probe) {
            for (field, number) in [
                ("timeoutSeconds", 1),
                ("periodSeconds", 10),
                ("successThreshold", 1),
                ("failureThreshold", 3),
            ] {
                fill(probe, field, number.into());
            }
            default_http_get(probe);
        }
    }
    if let Some(lifecycle) = object(container, "lifecycle") {
        for handler in ["postStart", "preStop"] {
            object(lifecycle, handler).into_iter().for_each(default_http_get);
        }
    }
}

fn default_http_get(handler: &mut Object) {
    if let Some(get) = object(handler, "httpGet") {
        fill(get, "path", "/".into());
        fill(get, "scheme", "HTTP".into());
    }
}

/// Rounds quantities up to thousandths. Those that need none keep the form in which they are written.
fn round_up(quantities: &mut Object) {
    for quantity in quantities.values_mut() {
        let text = match quantity {
            Value::String(text) => text.clone(),
            Value::Number(number) => number.to_string(),
            _ => continue,
        };
        if let Some(exact) = Quantity::parse(&text) {
            let rounded = exact.round_up_to_milli();
            if rounded.compare(exact).is_ne() {
                *quantity = rounded.canonical().into();
            }
        }
    }
}

/// Fills in a volume; one without a source becomes an `emptyDir`.
pub(super) fn default_volume(volume: &mut Object) {
    let has_source = volume
        .iter()
        .any(|(field, source)| field != "name" && !source.is_null());
    if !has_source {
        volume.insert("emptyDir".to_owned(), Value::Object(Map::new()));
    }
    for (source, field, default) in [
        ("iscsi", "iscsiInterface", json!("default")),
        ("rbd", "pool", json!("rbd")),
        ("rbd", "user", json!("admin")),
        ("rbd", "keyring", json!("/etc/ceph/keyring")),
        ("scaleIO", "storageMode", json!("ThinProvisioned")),
        ("scaleIO", "fsType", json!("xfs")),
    ] {
        if let Some(source) = object(volume, source) {
            fill(source, field, default);
        }
    }
    // Pointers, of which the zero is a value.
    for (source, field, default) in [
        ("secret", "defaultMode", json!(0o644)),
        ("configMap", "defaultMode", json!(0o644)),
        ("downwardAPI", "defaultMode", json!(0o644)),
        ("projected", "defaultMode", json!(0o644)),
        ("azureDisk", "cachingMode", json!("ReadWrite")),
        ("azureDisk", "kind", json!("Shared")),
        ("azureDisk", "fsType", json!("ext4")),
        ("hostPath", "type", json!("")),
        ("azureDisk", "readOnly", json!(false)),
    ] {
        if let Some(source) = object(volume, source) {
            fill_absent(source, field, default);
        }
    }
    if let Some(downward) = object(volume, "downwardAPI") {
        default_items(downward);
    }
    if let Some(projected) = object(volume, "projected") {
        for source in objects(projected, "sources") {
            if let Some(token) = object(source, "serviceAccountToken") {
                fill_absent(token, "expirationSeconds", 3600.into());
            }
            object(source, "downwardAPI").into_iter().for_each(default_items);
        }
    }
}

fn default_items(downward: &mut Object) {
    for item in objects(downward, "items") {
        if let Some(field) = object(item, "fieldRef") {
            fill(field, "apiVersion", FIELDS_VERSION.into());
        }
    }
}

/// Sets a field that is absent, `null`, empty or zero.
fn fill(object: &mut Object, field: &str, value: Value) {
    let empty = match object.get(field) {
        None | Some(Value::Null) => true,
        Some(Value::String(text)) => text.is_empty(),
        Some(Value::Number(number)) => number.as_f64() == Some(0.0),
        Some(_) => false,
    };
    if empty {
        object.insert(field.to_owned(), value);
    }
}

/// Sets a field that is absent or `null`.
fn fill_absent(object: &mut Object, field: &str, value: Value) {
    if object.get(field).is_none_or(Value::is_null) {
        object.insert(field.to_owned(), value);
    }
}

fn object<'o>(holder: &'o mut Object, field: &str) -> Option<&'o mut Object> {
    holder.get_mut(field)?.as_object_mut()
}

fn objects<'o>(holder: &'o mut Object, field: &str) -> impl Iterator<Item = &'o mut Object> {
    let list = holder.get_mut(field).and_then(Value::as_array_mut);
    list.into_iter().flatten().filter_map(Value::as_object_mut)
}
