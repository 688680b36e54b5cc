//! A controller of your own: every namespace with the annotation `example.com/motd` has a ConfigMap `motd` with that text.

use std::sync::Arc;

use k8s_openapi::api::core::v1::{ConfigMap, Namespace};
use kruise_core::manager::{Manager, ManagerConfig};
use kruise_core::runtime::{ApiError, Cache, CacheBuilder, Controller, ObjectKey, Outcome, Reconciler};
use kube_client::api::{Patch, PatchParams};
use kube_client::{Api, Client};
use serde_json::json;
use tokio_util::sync::CancellationToken;

/// The annotation.
pub const MOTD: &str = "example.com/motd";

struct Motd {
    client: Client,
    maps: Cache<ConfigMap>,
}

impl Reconciler for Motd {
    type Object = Namespace;
    type Error = ApiError;

    async fn reconcile(&self, key: ObjectKey, found: Option<Arc<Namespace>>) -> Result<Outcome, ApiError> {
        let Some(namespace) = found.filter(|found| found.metadata.deletion_timestamp.is_none()) else {
            return Ok(Outcome::Done); // gone, and its ConfigMap with it
        };
        let annotations = namespace.metadata.annotations.as_ref();
        let Some(text) = annotations.and_then(|all| all.get(MOTD)) else {
            return Ok(Outcome::Done);
        };
        let map = self.maps.get(&ObjectKey::new(&*key.name, "motd"));
        if map.is_none_or(|map| map.data.as_ref().and_then(|data| data.get("motd")) != Some(text)) {
            let map = json!({"apiVersion": "v1", "kind": "ConfigMap", "data": {"motd": text}});
            let api: Api<ConfigMap> = Api::namespaced(self.client.clone(), &key.name);
            let params = PatchParams::apply("motd").force();
            let written = api.patch("motd", &params, &Patch::Apply(map)).await;
            written.map_err(|error| ApiError::new("write motd", error))?;
        }
        Ok(Outcome::Done)
    }
}

/// Runs until `stop`. One watch for each kind; a change of a ConfigMap wakes its namespace.
pub async fn run(client: Client, stop: CancellationToken) -> anyhow::Result<()> {
    let (namespaces, watch_namespaces) = CacheBuilder::new(Api::<Namespace>::all(client.clone())).build();
    let maps = CacheBuilder::new(Api::<ConfigMap>::all(client.clone())).fields("metadata.name=motd");
    let (maps, watch_maps) = maps.build();
    let motd = Motd {
        client,
        maps: maps.clone(),
    };
    let controller = Controller::builder("motd", namespaces.clone(), motd)
        .watches(&maps, |delta, wake| {
            wake(ObjectKey::cluster(delta.key().namespace.unwrap_or_default()))
        })
        .build();
    let mut manager = Manager::new(ManagerConfig::default())?;
    manager
        .cache(&namespaces, watch_namespaces)
        .cache(&maps, watch_maps)
        .everywhere(controller);
    Ok(manager.run(stop).await?)
}
