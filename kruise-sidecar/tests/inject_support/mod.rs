//! Sets and pods for the tests of injection.
#![allow(dead_code, unreachable_pub, reason = "each test file uses a part")]
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests fail that way")]

pub mod generate;
pub mod model;

use std::sync::Arc;

use jiff::Timestamp;
use kruise_sidecar::api::{HashForm, SidecarSet};
use kruise_sidecar::inject::{CompiledSet, InjectConfig, InjectError, Injection, Injector, Moment, compile};
use serde_json::{Value, json};

pub fn now() -> Timestamp {
    "2021-03-09T07:20:11.9Z".parse().unwrap()
}

/// A set that selects `app: web`, unless the spec says otherwise.
pub fn set(name: &str, spec: Value) -> SidecarSet {
    let mut spec = spec;
    if spec.get("selector").is_none() {
        spec["selector"] = json!({"matchLabels": {"app": "web"}});
    }
    let annotations = json!({
        "kruise.io/sidecarset-hash": format!("hash-{name}"),
        "kruise.io/sidecarset-hash-without-image": format!("plain-{name}"),
    });
    serde_json::from_value(json!({
        "apiVersion": "apps.kruise.io/v1alpha1", "kind": "SidecarSet",
        "metadata": {"name": name, "annotations": annotations}, "spec": spec,
    }))
    .unwrap()
}

pub fn ready(set: &SidecarSet) -> Arc<CompiledSet> {
    compile(set, &[], HashForm::default()).unwrap().into()
}

pub fn injector(sets: &[SidecarSet]) -> Injector {
    Injector::new(sets.iter().map(ready), InjectConfig::default())
}

/// Yaml, as in the specification.
pub fn yaml(text: &str) -> Value {
    serde_yaml::from_str(text).unwrap()
}

/// A pod with the label `app: web` and these fields of its spec.
pub fn pod(spec: Value) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {"name": "web-0", "namespace": "shop", "labels": {"app": "web"}},
        "spec": spec,
    })
}

pub fn inject(sets: &[SidecarSet], pod: &Value) -> Result<Injection, InjectError> {
    injector(sets).inject_value(pod, &Moment::new(now()))
}

/// The pod with the patch.
pub fn patched(pod: &Value, done: &Injection) -> Value {
    let mut pod = pod.clone();
    json_patch::patch(&mut pod, &done.json_patch().unwrap()).unwrap();
    pod
}

/// The pod after injection; and injected again, it does not change.
pub fn injected(sets: &[SidecarSet], pod: &Value) -> Value {
    let after = patched(pod, &inject(sets, pod).unwrap());
    let again = injector(sets)
        .inject_value(&after, &Moment::new("2030-01-01T00:00:00Z".parse().unwrap()))
        .unwrap();
    assert_eq!(again.patch, None, "injecting twice equals once");
    after
}

/// The values of a field of each element.
pub fn each<'v>(list: &'v Value, field: &str) -> Vec<&'v str> {
    let list = list.as_array().map_or(&[][..], Vec::as_slice);
    list.iter().map(|value| value[field].as_str().unwrap()).collect()
}

pub fn container<'v>(pod: &'v Value, name: &str) -> &'v Value {
    let lists = ["containers", "initContainers"].map(|list| pod["spec"][list].as_array());
    let mut all = lists.into_iter().flatten().flatten();
    all.find(|container| container["name"] == name).unwrap()
}

/// `NAME=value` of each variable.
pub fn env(container: &Value) -> Vec<String> {
    let env = container["env"].as_array().unwrap().iter();
    env.map(|entry| {
        format!(
            "{}={}",
            entry["name"].as_str().unwrap(),
            entry["value"].as_str().unwrap_or("?")
        )
    })
    .collect()
}

/// `path→volume` of each mount.
pub fn mounts(container: &Value) -> Vec<String> {
    let mounts = container["volumeMounts"]
        .as_array()
        .map_or(&[][..], Vec::as_slice);
    mounts
        .iter()
        .map(|mount| {
            format!(
                "{}→{}",
                mount["mountPath"].as_str().unwrap(),
                mount["name"].as_str().unwrap()
            )
        })
        .collect()
}

pub fn annotation<'v>(pod: &'v Value, key: &str) -> &'v str {
    pod["metadata"]["annotations"][key].as_str().unwrap()
}

/// The message with its causes.
pub fn message(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        text.push_str(&format!(": {error}"));
        source = error.source();
    }
    text
}
