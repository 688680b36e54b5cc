//! Runs a controller in a simulated cluster under seeded faults and crashes.
//!
//! A [`Scenario`] says how the process under test is started, what happens to the cluster meanwhile, and which rules must
//! hold: some after every write, some once everything has calmed down. [`simulate`] runs it once for each seed, each time
//! with a server, a cluster, a fault layer and paused time of its own. A step does one thing to the cluster and lets a
//! random time pass; in some steps the process dies, in the midst of a request or between two, and is started again.
//!
//! ```
//! use futures::future::{BoxFuture, FutureExt};
//! use k8s_openapi::api::core::v1::ConfigMap;
//! use kruise_core::testing::{random::Random, simulate::{Scenario, SimulationConfig, World, simulate}};
//! use kube_client::{Api, Client, api::{Patch, PatchParams}};
//!
//! /// A process that keeps one ConfigMap in being.
//! struct Keeper;
//!
//! impl Scenario for Keeper {
//!     fn start(&self, client: Client) -> BoxFuture<'static, ()> {
//!         async move {
//!             let maps: Api<ConfigMap> = Api::default_namespaced(client);
//!             let patch = serde_json::json!({ "apiVersion": "v1", "kind": "ConfigMap" });
//!             loop {
//!                 let _ = maps.patch("kept", &PatchParams::apply("keeper"), &Patch::Apply(&patch)).await;
//!                 tokio::time::sleep(std::time::Duration::from_secs(1)).await;
//!             }
//!         }.boxed()
//!     }
//!     fn step<'a>(&'a self, world: &'a World, random: &'a mut Random) -> BoxFuture<'a, ()> {
//!         async move {
//!             let maps: Api<ConfigMap> = Api::default_namespaced(world.client());
//!             if random.chance(0.5) {
//!                 let _ = maps.delete("kept", &Default::default()).await;
//!             }
//!         }.boxed()
//!     }
//!     fn settled(&self, world: &World) -> Result<(), String> {
//!         world.server.get::<ConfigMap>("default", "kept").map(drop).ok_or("it is gone".into())
//!     }
//! }
//!
//! let mut config = SimulationConfig::default();
//! config.seeds = 0..3;
//! simulate(&config, |_world| Keeper).unwrap();
//! ```
//!
//! # What a seed fixes
//! The steps, the faults, the crashes, uids and generated names. The order of tasks that are ready at the same time is
//! that of the runtime; where the code under test depends on it by chance (hash maps with random keys, `tokio::select!`
//! without `biased`), a seed may fail in one of several runs only.

mod config;
mod failure;
mod run;
#[cfg(test)]
mod tests;

pub use config::SimulationConfig;
pub use failure::{FailedSeed, Failure, Report};
pub use run::{Scenario, World, simulate};
