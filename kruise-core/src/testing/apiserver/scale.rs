//! The `scale` subresource.

use std::sync::Arc;

use serde_json::{Value, json};

use super::json::{at, items, set, text};
use super::kinds::{Kind, ScalePaths};
use super::patch::Patch;
use super::route::ResourcePath;
use super::server::{Call, Inner, parse_body};
use super::status::{ApiError, Cause};
use super::store::Key;
use super::write::{Change, Write};

/// The Scale of an object.
pub(crate) fn show(object: &Value, paths: &ScalePaths) -> Value {
    let meta = &object["metadata"];
    let mut scale = json!({
        "kind": "Scale",
        "apiVersion": "autoscaling/v1",
        "metadata": {
            "name": meta["name"],
            "namespace": meta["namespace"],
            "uid": meta["uid"],
            "resourceVersion": meta["resourceVersion"],
            "creationTimestamp": meta["creationTimestamp"],
        },
        "spec": {},
        "status": { "replicas": at(object, &paths.status).and_then(Value::as_i64).unwrap_or_default() },
    });
    // Zero is left out, as by Go.
    if let Some(replicas) = at(object, &paths.spec)
        .and_then(Value::as_i64)
        .filter(|replicas| *replicas != 0)
    {
        scale["spec"]["replicas"] = json!(replicas);
    }
    let selector = paths
        .selector
        .as_ref()
        .and_then(|path| at(object, path))
        .map(selector_text);
    if let Some(selector) = selector.filter(|selector| !selector.is_empty()) {
        scale["status"]["selector"] = json!(selector);
    }
    scale
}

/// A LabelSelector in a line, as `a=b,c in (d)`.
fn selector_text(selector: &Value) -> String {
    if let Some(text) = selector.as_str() {
        return text.to_owned();
    }
    let labels = selector["matchLabels"].as_object().into_iter().flatten();
    let mut parts: Vec<_> = labels
        .map(|(key, value)| format!("{key}={}", value.as_str().unwrap_or_default()))
        .collect();
    for expression in items(selector, &["matchExpressions"]) {
        let key = text(expression, &["key"]);
        let values: Vec<_> = items(expression, &["values"])
            .iter()
            .filter_map(Value::as_str)
            .collect();
        parts.push(match text(expression, &["operator"]) {
            "Exists" => key.to_owned(),
            "DoesNotExist" => format!("!{key}"),
            operator => format!("{key} {} ({})", operator.to_lowercase(), values.join(",")),
        });
    }
    parts.join(",")
}

/// PUT and PATCH: changes the wanted number of replicas, and nothing else.
pub(crate) async fn write(
    inner: &Arc<Inner>,
    kind: Arc<Kind>,
    path: &ResourcePath,
    call: &Call,
) -> Result<Value, ApiError> {
    let version = kind
        .version(&path.version)
        .ok_or_else(ApiError::no_such_resource)?;
    let paths = version.scale.clone().ok_or_else(ApiError::no_such_resource)?;
    let name = path.name.as_deref().unwrap_or_default();
    let key = Key::new(path.namespace.as_deref().unwrap_or_default(), name);
    let mut attempts = 5;
    loop {
        let object = inner.state.lock().store.get(&kind.resource, &key).cloned();
        let object = object.ok_or_else(|| ApiError::not_found(&kind.group, &kind.plural, name))?;
        let present = show(&object, &paths);
        let scale = if call.method == http::Method::PUT {
            parse_body(&call.body)?
        } else {
            match Patch::parse(call)? {
                Patch::Json(patch) => {
                    let mut scale = present.clone();
                    json_patch::patch(&mut scale, &patch).map_err(|_| ApiError::patch_does_not_apply())?;
                    scale
                }
                Patch::Merge(patch) | Patch::Strategic(patch) => {
                    let mut scale = present.clone();
                    json_patch::merge(&mut scale, &patch);
                    scale
                }
                Patch::Apply { .. } => return Err(ApiError::not_implemented("apply to scale")),
            }
        };
        let replicas = scale["spec"]["replicas"].as_i64().unwrap_or_default();
        if replicas < 0 {
            let cause = Cause::invalid(
                "spec.replicas",
                &json!(replicas),
                "must be greater than or equal to 0",
            );
            return Err(ApiError::invalid("autoscaling", "Scale", name, vec![cause]));
        }
        let asked = text(&scale, &["metadata", "resourceVersion"]);
        let conditional = !asked.is_empty()
            && (call.method == http::Method::PUT || present["metadata"] != scale["metadata"]);
        let mut new = kind.show(&object, &path.version);
        set(&mut new, &paths.spec, json!(replicas));
        if conditional {
            set(&mut new, &["metadata", "resourceVersion"], json!(asked));
        }
        let mut main = path.clone();
        main.subresource = None;
        let mut write = Write::new(kind.clone(), &main, call, Change::Update(new))?;
        "scale".clone_into(&mut write.manager.subresource);
        match inner.write(write).await {
            Ok((_, stored)) => return Ok(show(&stored, &paths)),
            Err(error) if error.reason == "Conflict" && !conditional && attempts > 1 => attempts -= 1,
            Err(error) => return Err(error),
        }
    }
}
