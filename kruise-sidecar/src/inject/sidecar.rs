//! From a container of a set to its text.

use serde_json::{Map, Value, json};

use super::error::Problem;
use super::set::{Sidecar, Source, Transfer};
use crate::api::names::{
    IS_INJECTED_ENV, IS_INJECTED_VALUE, SIDECAR_VERSION_ALT_PREFIX, SIDECAR_VERSION_PREFIX,
    SIDECARSET_VERSION_ALT_ENV, SIDECARSET_VERSION_ENV,
};
use crate::api::{SidecarContainer, TransferEnvVar};

/// How a container of a set appears in the pod.
#[derive(Debug)]
pub(super) struct Form<'c> {
    /// Its name in the set.
    pub(super) base: &'c str,
    pub(super) name: String,
    pub(super) before: bool,
    /// The image, if it is one of the two of a hot-upgraded sidecar.
    pub(super) hot_image: Option<&'c str>,
}

impl<'c> Form<'c> {
    pub(super) fn plain(name: &'c str, before: bool) -> Self {
        Self {
            base: name,
            name: name.to_owned(),
            before,
            hot_image: None,
        }
    }
}

/// `path` tells where the container stands, for errors.
pub(super) fn sidecar(
    container: &SidecarContainer,
    form: &Form<'_>,
    path: &dyn Fn() -> String,
) -> Result<Sidecar, Problem> {
    if container.resources_policy.is_some() {
        let path = format!("{}.resourcesPolicy", path());
        return Err(Problem::NotSupported { path });
    }
    if form.base.is_empty() {
        return Err(Problem::Malformed {
            path: format!("{}.name", path()),
            wanted: "a name",
        });
    }
    let mut fields = container.container.clone();
    let mut env = list(&mut fields, "env", path)?;
    let mounts = list(&mut fields, "volumeMounts", path)?;
    let devices = list(&mut fields, "volumeDevices", path)?;
    env.push(json!({ "name": IS_INJECTED_ENV, "value": IS_INJECTED_VALUE }));

    fields.insert("name".into(), form.name.as_str().into());
    let mut last_env = String::new();
    if let Some(image) = form.hot_image {
        fields.insert("image".into(), image.into());
        for (variable, prefix) in [
            (SIDECARSET_VERSION_ENV, SIDECAR_VERSION_PREFIX),
            (SIDECARSET_VERSION_ALT_ENV, SIDECAR_VERSION_ALT_PREFIX),
        ] {
            let path = format!("metadata.annotations['{prefix}{}']", form.name);
            let source = json!({ "fieldRef": { "apiVersion": "v1", "fieldPath": path } });
            last_env.push(',');
            last_env.push_str(&json!({ "name": variable, "valueFrom": source }).to_string());
        }
    }
    let mut open = Value::Object(fields).to_string();
    // The closing brace, which the lists come before.
    open.pop();
    Ok(Sidecar {
        name: form.name.as_str().into(),
        before: form.before,
        open: open.into(),
        env_names: texts(&env, "name"),
        env: joined(&env),
        last_env: last_env.into(),
        mount_paths: texts(&mounts, "mountPath"),
        device_paths: texts(&devices, "devicePath"),
        volumes: texts(mounts.iter().chain(&devices), "name"),
        mounts: joined(&mounts),
        devices: joined(&devices),
        share_mounts: container.shares_volumes(),
        share_devices: container.shares_volume_devices(),
        transfer: container.transfer_env.iter().filter_map(transfer).collect(),
    })
}

/// Takes a list of objects out.
fn list(
    fields: &mut Map<String, Value>,
    field: &str,
    path: &dyn Fn() -> String,
) -> Result<Vec<Value>, Problem> {
    match fields.remove(field) {
        None | Some(Value::Null) => Ok(Vec::new()),
        Some(Value::Array(values)) if values.iter().all(Value::is_object) => Ok(values),
        Some(_) => Err(Problem::Malformed {
            path: format!("{}.{field}", path()),
            wanted: "a list of objects",
        }),
    }
}

fn texts<'v>(values: impl IntoIterator<Item = &'v Value>, field: &str) -> Box<[Box<str>]> {
    let texts = values.into_iter().filter_map(|value| value.get(field)?.as_str());
    texts.map(Box::from).collect()
}

fn joined(values: &[Value]) -> Box<str> {
    let texts: Vec<String> = values.iter().map(Value::to_string).collect();
    texts.join(",").into()
}

/// `None` if it names nothing that a pod could have.
fn transfer(wanted: &TransferEnvVar) -> Option<Transfer> {
    let source = match wanted
        .source_container_name_from
        .as_ref()
        .and_then(|from| from.field_ref.as_ref())
    {
        None => Source::Name(wanted.source_container_name.as_str().into()),
        Some(field) => field_path(&field.field_path)?,
    };
    let one = Some(&wanted.env_name).filter(|name| !name.is_empty());
    let mut names: Vec<Box<str>> = one
        .into_iter()
        .chain(&wanted.env_names)
        .map(|name| name.as_str().into())
        .collect();
    names.sort_unstable();
    names.dedup();
    Some(Transfer {
        source,
        names: names.into(),
    })
}

/// `metadata.labels['k']` or `metadata.annotations['k']`.
fn field_path(path: &str) -> Option<Source> {
    let inner = path.strip_prefix("metadata.")?.strip_suffix("']")?;
    let (map, key) = inner.split_once("['")?;
    match map {
        "labels" => Some(Source::Label(key.into())),
        "annotations" => Some(Source::Annotation(key.into())),
        _ => None,
    }
}

impl Sidecar {
    /// About how many bytes it takes in a patch.
    pub(super) fn bytes(&self) -> usize {
        let texts = [&self.open, &self.env, &self.last_env, &self.mounts, &self.devices];
        texts.iter().map(|text| text.len()).sum::<usize>() + 128
    }
}
