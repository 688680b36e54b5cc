//! Databases move to the version that the ConfigMap `fleet` of their namespace names: two at a time, zones in turn.
use std::sync::Arc;

use k8s_openapi::api::core::v1::ConfigMap;
use kruise_core::policy::{Budget, Labels, Member, Rollout, Scatter, ScatterTerm};
use kruise_core::runtime::{CacheBuilder, Controller, ObjectKey, Outcome, ReconcileError, Reconciler};
use kube_client::api::{Patch, PatchParams};
use kube_client::{Api, Client};
use serde_json::json;
use tokio_util::sync::CancellationToken;

mod database;
pub use database::{Database, DatabaseSpec};

/// A database on its way to a version. The order is that of names, until zones are taken in turn.
struct OnTheWay(Database, String);
impl Labels for OnTheWay {
    fn label(&self, key: &str) -> Option<&str> {
        self.0.metadata.labels.as_ref()?.get(key).map(String::as_str)
    }
}
#[rustfmt::skip]
impl Member for OnTheWay {
    type Rank<'a> = &'a str;
    type Obstacle = std::convert::Infallible;
    fn rank(&self) -> &str { self.0.metadata.name.as_deref().unwrap_or_default() }
    fn is_updated(&self) -> bool { self.0.spec.version == self.1 }
    fn is_available(&self) -> bool { self.0.spec.ready }
}

/// The API server refused something, or was away; it is tried again.
#[derive(Debug, thiserror::Error)]
#[error("databases not moved")]
pub struct NotMoved(#[from] kube_client::Error);
impl ReconcileError for NotMoved {}

struct Fleet(Client);
impl Reconciler for Fleet {
    type Object = ConfigMap;
    type Error = NotMoved;

    async fn reconcile(&self, key: ObjectKey, fleet: Option<Arc<ConfigMap>>) -> Result<Outcome, NotMoved> {
        let data = fleet.and_then(|fleet| fleet.data.clone()).unwrap_or_default();
        let Some(version) = data.get("version") else {
            return Ok(Outcome::Done);
        };
        // Asked of the server: a cache that is behind our own writes would count too few that are out of service.
        let api: Api<Database> = Api::namespaced(self.0.clone(), key.namespace_str());
        let databases = api.list(&Default::default()).await?.items.into_iter();
        let databases: Vec<_> = databases.map(|found| OnTheWay(found, version.clone())).collect();
        let zones = Scatter::compile(&[ScatterTerm::new("zone", "*")]);
        let rollout = Rollout {
            scatter: Some(&zones),
            budget: Budget::new(2),
            ..Rollout::default()
        };
        let patch = Patch::Merge(json!({"spec": {"version": version, "ready": false}}));
        for next in rollout
            .plan(&databases)
            .updates()
            .iter()
            .filter_map(|at| databases.get(*at as usize))
        {
            api.patch(next.rank(), &PatchParams::default(), &patch).await?;
        }
        Ok(Outcome::Done)
    }
}

/// Runs until `stop`.
pub async fn run(client: Client, stop: CancellationToken) {
    let fleets = CacheBuilder::new(Api::<ConfigMap>::all(client.clone())).fields("metadata.name=fleet");
    let (fleets, watch_fleets) = fleets.build();
    let (databases, watch_databases) = CacheBuilder::new(Api::<Database>::all(client.clone())).build();
    let controller = Controller::builder("fleet", fleets, Fleet(client))
        .watches(&databases, |delta, wake| {
            wake(ObjectKey::new(delta.key().namespace_str(), "fleet"))
        })
        .build();
    let _ = tokio::join!(
        watch_fleets.run(stop.clone()),
        watch_databases.run(stop.clone()),
        controller.run(stop)
    );
}
