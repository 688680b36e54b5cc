//! Snapshots of a cluster, and of files.

use std::io::Read as _;

use k8s_openapi::api::core::v1::Namespace;
use kruise_sidecar::api::Scope;
use kruise_sidecar::api::SidecarSet;
use kruise_sidecar::explain::{Snapshot, selector_text};
use kube_client::Client;
use kube_client::api::{Api, ApiResource, DynamicObject, ListParams};
use serde::Deserialize as _;
use serde_json::Value;

use crate::failure::{Failure, Result};

/// Objects that are asked for at once.
const PAGE: u32 = 500;
/// The largest input that is read.
const MAX_INPUT: u64 = 1 << 30;

/// Reads all sets, and the pods and namespaces that have to do with those of these names (or with all).
///
/// # Errors
/// One of the names is no set, or a request failed.
pub(crate) async fn live(client: &Client, names: &[String]) -> Result<Snapshot> {
    let mut snapshot = Snapshot::default();
    let sets: Api<SidecarSet> = Api::all(client.clone());
    let listed = sets.list(&ListParams::default()).await;
    snapshot.sets = listed
        .map_err(|error| Failure::api("listing sidecarsets", &error))?
        .items;
    let wanted: Vec<SidecarSet> = snapshot
        .sets
        .iter()
        .filter(|set| names.is_empty() || names.iter().any(|name| name == set.name()))
        .cloned()
        .collect();
    for set in &wanted {
        pods_of(client, set, &mut snapshot).await?;
    }
    Ok(snapshot)
}

/// Reads the pods, and if need be the namespaces, that have to do with a set.
///
/// # Errors
/// A request failed.
pub(crate) async fn live_set(client: &Client, set: SidecarSet) -> Result<Snapshot> {
    let mut snapshot = Snapshot::default();
    pods_of(client, &set, &mut snapshot).await?;
    snapshot.sets = vec![set];
    Ok(snapshot)
}

async fn pods_of(client: &Client, set: &SidecarSet, snapshot: &mut Snapshot) -> Result<()> {
    let selector = set.spec.selector.as_ref().map(selector_text);
    let Some(selector) = selector.filter(|text| !text.is_empty()) else {
        return Ok(());
    };
    // A selector that means nothing has no pods.
    let Ok(scope) = Scope::compile(&set.spec) else {
        return Ok(());
    };
    if scope.needs_namespace_labels() && snapshot.namespaces.is_empty() {
        namespaces(client, snapshot).await?;
    }
    pods(client, &set.spec.namespace, &selector, snapshot).await
}

async fn namespaces(client: &Client, snapshot: &mut Snapshot) -> Result<()> {
    let all = Api::<Namespace>::all(client.clone())
        .list(&ListParams::default())
        .await;
    for namespace in all.map_err(|error| Failure::api("listing namespaces", &error))? {
        let meta = namespace.metadata;
        snapshot
            .namespaces
            .insert(meta.name.unwrap_or_default(), meta.labels.unwrap_or_default());
    }
    Ok(())
}

async fn pods(client: &Client, namespace: &str, selector: &str, snapshot: &mut Snapshot) -> Result<()> {
    let kind = ApiResource::erase::<k8s_openapi::api::core::v1::Pod>(&());
    let api: Api<DynamicObject> = match namespace {
        "" => Api::all_with(client.clone(), &kind),
        namespace => Api::namespaced_with(client.clone(), namespace, &kind),
    };
    let mut params = ListParams::default().labels(selector).limit(PAGE);
    loop {
        let page = api.list(&params).await;
        let page = page.map_err(|error| Failure::api("listing pods", &error))?;
        for pod in page.items {
            let mut object = serde_json::to_value(&pod).map_err(|error| Failure::new(error.to_string()))?;
            if let Some(fields) = object.as_object_mut() {
                fields.insert("apiVersion".to_owned(), "v1".into());
                fields.insert("kind".to_owned(), "Pod".into());
            }
            snapshot
                .add(object)
                .map_err(|error| failure("the answer of the server", &error))?;
        }
        match page.metadata.continue_.filter(|token| !token.is_empty()) {
            Some(token) => params.continue_token = Some(token),
            None => return Ok(()),
        }
    }
}

/// Reads files, `-` for standard input.
///
/// # Errors
/// One cannot be read, or holds something else.
pub(super) fn files(paths: &[String]) -> Result<Snapshot> {
    let mut snapshot = Snapshot::default();
    for path in paths {
        let mut text = String::new();
        let read = match path.as_str() {
            "-" => std::io::stdin().lock().take(MAX_INPUT).read_to_string(&mut text),
            path => std::fs::File::open(path).and_then(|file| file.take(MAX_INPUT).read_to_string(&mut text)),
        };
        read.map_err(|error| Failure::new(format!("reading {path}: {error}")))?;
        add(&text, path, &mut snapshot)?;
    }
    Ok(snapshot)
}

/// Adds what a text holds: YAML documents, or JSON objects one after the other.
pub(super) fn add(text: &str, source: &str, snapshot: &mut Snapshot) -> Result<()> {
    const NEXT: &str = "It should be the output of: kubectl get sidecarsets,pods,namespaces -A -o yaml";
    let json: serde_json::Result<Vec<Value>> = serde_json::Deserializer::from_str(text).into_iter().collect();
    let values = match json {
        Ok(values) => values,
        Err(_) => serde_yaml::Deserializer::from_str(text)
            .map(Value::deserialize)
            .collect::<std::result::Result<_, _>>()
            .map_err(|error| {
                Failure::new(format!("{source} is neither YAML nor JSON: {error}")).next(NEXT)
            })?,
    };
    for value in values {
        if value.is_null() {
            continue;
        }
        snapshot
            .add(value)
            .map_err(|error| failure(source, &error).next(NEXT))?;
    }
    Ok(())
}

fn failure(source: &str, error: &kruise_sidecar::explain::SnapshotError) -> Failure {
    Failure::new(format!("{source}: {}", kruise_core::runtime::Causes(error)))
}
