//! What happens to the controller, and what it must keep.

use std::collections::{BTreeMap, BTreeSet};

use futures::FutureExt;
use futures::future::BoxFuture;
use k8s_openapi::api::core::v1::{ConfigMap, Pod};
use kruise_core::testing::random::Random;
use kruise_core::testing::simulate::{Scenario, World};
use kube_client::api::{DeleteParams, Patch, PatchParams};
use kube_client::{Api, Client};
use parking_lot::Mutex;
use serde_json::json;

use super::{Toy, image, is_available, is_deleting, wanted};

const SETS: [&str; 2] = ["red", "blue"];

/// Two sets whose wishes change, pods that are deleted, containers that crash, nodes that die.
pub(crate) struct ToyScenario {
    toy: Toy,
    /// Image with which each pod was last available, by uid.
    settled: Mutex<BTreeMap<String, String>>,
}

impl ToyScenario {
    pub(crate) fn new(world: &World) -> Self {
        Self::with(world, Toy::default())
    }

    pub(crate) fn with(world: &World, toy: Toy) -> Self {
        for name in SETS {
            world.server.seed_value(json!({
                "apiVersion": "v1", "kind": "ConfigMap",
                "metadata": { "name": name, "namespace": "default", "labels": { "toy": "yes" } },
                "data": { "replicas": "3", "image": "web:1" },
            }));
        }
        Self {
            toy,
            settled: Mutex::default(),
        }
    }
}

impl Scenario for ToyScenario {
    fn start(&self, client: Client) -> BoxFuture<'static, ()> {
        self.toy.run(client).boxed()
    }

    fn step<'a>(&'a self, world: &'a World, random: &'a mut Random) -> BoxFuture<'a, ()> {
        async move {
            let pods = world.server.list::<Pod>();
            let pod = random
                .pick(&pods)
                .and_then(|pod| pod.metadata.name.clone())
                .unwrap_or_default();
            let live = world.cluster.live_nodes();
            match random.below(9) {
                0 | 1 => {
                    change(
                        world,
                        random,
                        |random| json!({ "image": format!("web:{}", random.below(4)) }),
                    )
                    .await
                }
                2 | 3 => {
                    change(
                        world,
                        random,
                        |random| json!({ "replicas": random.below(5).to_string() }),
                    )
                    .await
                }
                4 => {
                    let api: Api<Pod> = Api::default_namespaced(world.client());
                    let _ = api.delete(&pod, &DeleteParams::default()).await;
                }
                5 => {
                    world.cluster.crash_container("default", &pod, "main");
                }
                6 if live.len() > 1 => {
                    random.pick(&live).map(|node| world.cluster.kill_node(node));
                }
                7 => self.calm(world),
                8 => world.server.compact(),
                _ => {}
            }
        }
        .boxed()
    }

    fn check(&self, world: &World) -> Result<(), String> {
        let pods = world.server.list::<Pod>();
        let mut settled = self.settled.lock();
        for name in SETS {
            let mut updating = BTreeSet::new();
            for pod in pods.iter().filter(|pod| owner(pod) == name && !is_deleting(pod)) {
                let uid = pod.metadata.uid.clone().unwrap_or_default();
                if is_available(pod) {
                    settled.insert(uid, image(pod).to_owned());
                } else if settled.get(&uid).is_some_and(|before| before != image(pod)) {
                    updating.insert(pod.metadata.name.clone().unwrap_or_default());
                }
            }
            if updating.len() > 1 {
                return Err(format!("{updating:?} are being updated at once"));
            }
        }
        Ok(())
    }

    fn calm(&self, world: &World) {
        for number in 0..3 {
            world.cluster.revive_node(&format!("node-{number}"));
        }
    }

    fn settled(&self, world: &World) -> Result<(), String> {
        let pods = world.server.list::<Pod>();
        for name in SETS {
            let set = world
                .server
                .get::<ConfigMap>("default", name)
                .ok_or("a set is gone")?;
            let (replicas, new_image) = wanted(&set);
            let of_set = pods.iter().filter(|pod| owner(pod) == name);
            let states: BTreeMap<_, _> = of_set
                .map(|pod| {
                    (
                        pod.metadata.name.clone().unwrap_or_default(),
                        (image(pod), is_available(pod)),
                    )
                })
                .collect();
            let wanted = (0..replicas).map(|number| (format!("{name}-{number}"), (&*new_image, true)));
            let wanted: BTreeMap<_, _> = wanted.collect();
            if states != wanted {
                return Err(format!("there is {states:?}, wanted is {wanted:?}"));
            }
        }
        Ok(())
    }
}

fn owner(pod: &Pod) -> &str {
    let owners = pod.metadata.owner_references.as_deref().unwrap_or_default();
    owners.first().map_or("", |owner| &owner.name)
}

async fn change(world: &World, random: &mut Random, data: impl FnOnce(&mut Random) -> serde_json::Value) {
    let name = random.pick(&SETS).copied().unwrap_or("red");
    let api: Api<ConfigMap> = Api::default_namespaced(world.client());
    let patch = json!({ "data": data(random) });
    let _ = api
        .patch(name, &PatchParams::default(), &Patch::Merge(&patch))
        .await;
}
