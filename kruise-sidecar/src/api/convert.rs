//! Between `v1alpha1` and `v1beta1`.

use kruise_core::webhook::Converter;
use serde_json::{Value, json};

use super::names::{
    API_VERSION, API_VERSION_V1BETA1, NAMESPACE_IN_V1ALPHA1, NAMESPACE_NAME, SIDECARSET_CUSTOM_VERSION,
};
use super::object::Object;

/// Turns SidecarSets of one version into those of the other, as JSON, so that no field is lost that it does not know.
///
/// To `v1beta1`, `namespace` becomes a `namespaceSelector` by the name of the namespace, which wins over one that is
/// there, and an annotation ([`NAMESPACE_IN_V1ALPHA1`]) tells so. Back, it becomes
/// `namespace` again as long as the selector is still that one: whoever edits a set as `v1beta1`, as `kubectl edit` does,
/// must not keep others from applying their `v1alpha1` manifest again. The custom version is a label in `v1alpha1` and a
/// field in `v1beta1`.
///
/// ```
/// use kruise_core::webhook::Converter;
/// use kruise_sidecar::api::SidecarSetConverter;
/// use serde_json::json;
///
/// let mut set = json!({"apiVersion": "apps.kruise.io/v1alpha1", "metadata": {}, "spec": {"namespace": "shop"}});
/// SidecarSetConverter.convert(&mut set, "apps.kruise.io/v1beta1")?;
/// assert_eq!(set["spec"]["namespaceSelector"]["matchLabels"]["kubernetes.io/metadata.name"], "shop");
/// # Ok::<(), String>(())
/// ```
#[derive(Clone, Copy, Debug, Default)]
pub struct SidecarSetConverter;

impl Converter for SidecarSetConverter {
    fn convert(&self, object: &mut Value, to: &str) -> Result<(), String> {
        let from = object
            .get("apiVersion")
            .and_then(Value::as_str)
            .unwrap_or_default();
        match (from, to) {
            (API_VERSION, API_VERSION_V1BETA1) => to_v1beta1(object),
            (API_VERSION_V1BETA1, API_VERSION) => to_v1alpha1(object),
            (from, to) if from == to => Ok(()),
            (from, to) => Err(format!("apiVersion: no conversion from {from:?} to {to:?}")),
        }
    }
}

fn to_v1beta1(object: &mut Value) -> Result<(), String> {
    if let Some(Value::String(version)) = take(object, &["metadata", "labels"], SIDECARSET_CUSTOM_VERSION)? {
        child(child_of(object)?, "spec")?.insert("customVersion".into(), version.into());
    }
    if let Some(Value::String(namespace)) = take(object, &["spec"], "namespace")?
        && !namespace.is_empty()
    {
        child(child_of(object)?, "spec")?.insert("namespaceSelector".into(), selector_of(&namespace));
        let metadata = child(child_of(object)?, "metadata")?;
        child(metadata, "annotations")?.insert(NAMESPACE_IN_V1ALPHA1.into(), namespace.into());
    } else {
        // Of a set that was shown as `v1beta1` and copied.
        take(object, &["metadata", "annotations"], NAMESPACE_IN_V1ALPHA1)?;
    }
    Ok(())
}

/// The selector of one namespace.
fn selector_of(namespace: &str) -> Value {
    json!({ "matchLabels": { NAMESPACE_NAME: namespace } })
}

fn to_v1alpha1(object: &mut Value) -> Result<(), String> {
    if let Some(Value::String(version)) = take(object, &["spec"], "customVersion")?
        && !version.is_empty()
    {
        let metadata = child(child_of(object)?, "metadata")?;
        child(metadata, "labels")?.insert(SIDECARSET_CUSTOM_VERSION.into(), version.into());
    }
    if let Some(Value::String(namespace)) = take(object, &["metadata", "annotations"], NAMESPACE_IN_V1ALPHA1)?
    {
        let spec = child(child_of(object)?, "spec")?;
        if spec.get("namespaceSelector") == Some(&selector_of(&namespace)) {
            spec.remove("namespaceSelector");
            spec.insert("namespace".into(), namespace.into());
        }
    }
    Ok(())
}

fn child_of(object: &mut Value) -> Result<&mut Object, String> {
    object.as_object_mut().ok_or_else(|| "not an object".to_owned())
}

/// The object under a field; made if there is none.
fn child<'o>(object: &'o mut Object, field: &str) -> Result<&'o mut Object, String> {
    let value = object.entry(field).or_insert(Value::Null);
    if value.is_null() {
        *value = Value::Object(Object::new());
    }
    value
        .as_object_mut()
        .ok_or_else(|| format!("{field}: Invalid value: must be an object"))
}

/// Takes a field out of the object at a path; the last object of the path goes too if it is empty then, unless it is
/// `spec`.
fn take(object: &mut Value, path: &[&str], field: &str) -> Result<Option<Value>, String> {
    let mut at = child_of(object)?;
    let Some((last, above)) = path.split_last() else {
        return Ok(at.remove(field));
    };
    for step in above {
        match at.get_mut(*step) {
            None | Some(Value::Null) => return Ok(None),
            Some(_) => at = child(at, step)?,
        }
    }
    let taken = match at.get_mut(*last) {
        None | Some(Value::Null) => return Ok(None),
        Some(Value::Object(holder)) => {
            let taken = holder.remove(field);
            if taken.is_none() || !holder.is_empty() || *last == "spec" {
                return Ok(taken);
            }
            taken
        }
        Some(_) => return Err(format!("{last}: Invalid value: must be an object")),
    };
    at.remove(*last);
    Ok(taken)
}
