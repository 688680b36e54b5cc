//! The controller in a simulated cluster: namespaces come, change and go, somebody spoils the ConfigMaps, requests fail, watches
//! lag, the process dies in the midst of a request. In the end every namespace must have its text.

use futures::FutureExt;
use futures::future::BoxFuture;
use k8s_openapi::api::core::v1::{ConfigMap, Namespace};
use kruise_core::testing::random::Random;
use kruise_core::testing::simulate::{Scenario, SimulationConfig, World, simulate};
use kruise_own_controller::MOTD;
use kube_client::api::{DeleteParams, Patch, PatchParams};
use kube_client::{Api, Client};
use serde_json::json;
use tokio_util::sync::CancellationToken;

struct Motds;

impl Scenario for Motds {
    fn start(&self, client: Client) -> BoxFuture<'static, ()> {
        async move { drop(kruise_own_controller::run(client, CancellationToken::new()).await) }.boxed()
    }

    fn step<'a>(&'a self, world: &'a World, random: &'a mut Random) -> BoxFuture<'a, ()> {
        async move {
            let name = format!("team-{}", random.below(4));
            let namespaces: Api<Namespace> = Api::all(world.client());
            let maps: Api<ConfigMap> = Api::namespaced(world.client(), &name);
            let params = PatchParams::apply("somebody").force();
            match random.below(4) {
                0 => drop(maps.delete("motd", &DeleteParams::default()).await),
                1 => {
                    let spoilt = json!({"apiVersion": "v1", "kind": "ConfigMap", "data": {"motd": "spoilt"}});
                    drop(maps.patch("motd", &params, &Patch::Apply(spoilt)).await);
                }
                _ => {
                    let text = format!("hello {}", random.below(100));
                    let namespace =
                        json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"annotations": {MOTD: text}}});
                    drop(namespaces.patch(&name, &params, &Patch::Apply(namespace)).await);
                }
            }
        }
        .boxed()
    }

    fn settled(&self, world: &World) -> Result<(), String> {
        for namespace in world.server.list::<Namespace>() {
            let Some(text) = namespace
                .metadata
                .annotations
                .as_ref()
                .and_then(|all| all.get(MOTD))
            else {
                continue;
            };
            let name = namespace.metadata.name.as_deref().unwrap_or_default();
            let map = world.server.get::<ConfigMap>(name, "motd");
            if map.as_ref().and_then(|map| map.data.as_ref()?.get("motd")) != Some(text) {
                return Err(format!("{name} should have {text:?}, but has {map:?}"));
            }
        }
        Ok(())
    }
}

#[test]
fn every_namespace_has_its_text_in_the_end_whatever_fails() {
    let mut config = SimulationConfig::default();
    config.seeds = 0..50;
    config.replay = "edit the seeds of this test to {seed}..{seed}+1 and run it again".into();
    if let Err(failure) = simulate(&config, |_| Motds) {
        panic!("{failure}");
    }
}
