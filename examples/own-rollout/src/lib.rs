//! Databases move to a version: two at a time, zones in turn.

use kruise_core::policy::{Budget, Labels, Member, Rollout, Scatter, ScatterTerm};
use kube_client::Api;
use kube_client::api::{ListParams, Patch, PatchParams};
use kube_derive::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;

/// What a database should run, and whether it serves.
#[derive(CustomResource, Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[kube(group = "example.com", version = "v1", kind = "Database", namespaced)]
#[kube(crates(kube_core = "kube_core"))]
pub struct DatabaseSpec {
    /// The version it should run.
    pub version: String,
    /// Whether it serves. In the spec, to keep the example short.
    pub ready: bool,
}

/// A database on its way to a version.
struct OnTheWay(Database, String);

impl Labels for OnTheWay {
    fn label(&self, key: &str) -> Option<&str> {
        self.0.metadata.labels.as_ref()?.get(key).map(String::as_str)
    }
}

impl Member for OnTheWay {
    // The order is that of the list, until zones are taken in turn.
    type Rank<'a> = ();
    type Obstacle = std::convert::Infallible;

    fn rank(&self) {}

    fn is_updated(&self) -> bool {
        self.0.spec.version == self.1
    }

    fn is_available(&self) -> bool {
        self.0.spec.ready
    }
}

/// Moves those that may be moved now. Whoever is out of service counts, so the server is asked, not a cache.
pub async fn step(api: &Api<Database>, version: &str) -> kube_client::Result<()> {
    let found = api.list(&ListParams::default()).await?;
    let databases = found.into_iter().map(|one| OnTheWay(one, version.to_owned()));
    let databases: Vec<_> = databases.collect();
    let zones = Scatter::compile(&[ScatterTerm::new("zone", "*")]);
    let rollout = Rollout {
        scatter: Some(&zones),
        budget: Budget::new(2),
        ..Rollout::default()
    };
    let plan = rollout.plan(&databases);
    let patch = Patch::Merge(json!({"spec": {"version": version, "ready": false}}));
    for next in plan.updates().iter().filter_map(|at| databases.get(*at as usize)) {
        let name = next.0.metadata.name.as_deref().unwrap_or_default();
        api.patch(name, &PatchParams::default(), &patch).await?;
    }
    Ok(())
}
