//! What happens: images change and break, pods come and go, nodes die, sets are paused and allowed more.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use futures::FutureExt;
use futures::future::BoxFuture;
use k8s_openapi::api::core::v1::Pod;
use kruise_core::runtime::Tasks;
use kruise_core::testing::random::Random;
use kruise_core::testing::simulate::{Scenario, World};
use kruise_sidecar::api::{HashForm, SidecarSet, default_sidecar_set};
use kube_client::api::{DeleteParams, Patch, PatchParams, PostParams};
use kube_client::{Api, Client};
use parking_lot::Mutex;
use serde_json::{Value, json};

use super::managers::Managers;
use super::rules::Memory;
use super::sets::{SETS, Set};
use crate::controller_support::NAMESPACE;
use crate::controller_support::process::webhooks;

/// Pods of the sets that come and go, at most.
const PODS: u64 = 8;
/// Pods of each of the others.
const FIXED: u64 = 5;

pub(crate) struct SidecarScenario {
    managers: Managers,
    starts: AtomicU64,
    /// The version that each set came to last.
    versions: AtomicU64,
    begun: AtomicBool,
    memory: Arc<Mutex<Memory>>,
    _webhooks: Tasks,
}

impl SidecarScenario {
    pub(crate) fn new(world: &World) -> Self {
        let webhooks = webhooks(&world.server, world.clock.clone());
        for set in &SETS {
            assert!(world.server.seed_object(&fresh(set, 1)));
        }
        Self {
            managers: Managers {
                clock: world.clock.clone(),
                seed: world.seed,
            },
            starts: AtomicU64::new(0),
            versions: AtomicU64::new(1),
            begun: AtomicBool::new(false),
            memory: Arc::default(),
            _webhooks: webhooks,
        }
    }

    async fn upgrade(&self, sets: &Api<SidecarSet>, set: &Set) -> u64 {
        let version = 1 + self.versions.fetch_add(1, Ordering::Relaxed);
        spec(sets, set, set.spec(version)).await;
        version
    }

    /// Goes back to some version that there was.
    async fn revert(&self, sets: &Api<SidecarSet>, set: &Set, random: &mut Random) {
        let version = 1 + random.below(self.versions.load(Ordering::Relaxed));
        spec(sets, set, set.spec(version)).await;
    }
}

/// Creates a set anew, at a version, if it is gone.
async fn restore(sets: &Api<SidecarSet>, set: &Set, version: u64) {
    let object = serde_json::from_value(set.object(version)).expect("a set");
    let _ = sets.create(&PostParams::default(), &object).await;
}

/// An order of upgrades.
fn order(random: &mut Random) -> Value {
    let zone = format!("z{}", random.below(3));
    match random.below(4) {
        0 => {
            json!({"scatterStrategy": [{"key": "zone", "value": "*"}], "priorityStrategy": null, "selector": null})
        }
        1 => json!({"scatterStrategy": null, "selector": null, "priorityStrategy":
            {"weightPriority": [{"weight": 10, "matchSelector": {"matchLabels": {"zone": zone}}}]}}),
        2 => json!({"scatterStrategy": null, "selector": null, "priorityStrategy":
            {"orderPriority": [{"orderedKey": "zone"}]}}),
        _ => json!({"scatterStrategy": [{"key": "zone", "value": zone}], "priorityStrategy": null,
            "selector": {"matchExpressions": [{"key": "zone", "operator": "NotIn", "values": [zone]}]}}),
    }
}

/// A set at a version, as admission leaves it.
fn fresh(set: &Set, version: u64) -> SidecarSet {
    let mut object = serde_json::from_value(set.object(version)).expect("a set");
    default_sidecar_set(&mut object, HashForm::default());
    object
}

async fn spec(sets: &Api<SidecarSet>, set: &Set, spec: Value) {
    let patch = Patch::Merge(json!({ "spec": spec }));
    let _ = sets.patch(set.name, &PatchParams::default(), &patch).await;
}

async fn create(pods: &Api<Pod>, app: &str, number: u64) {
    let pod = json!({
        "metadata": {"name": format!("{app}-{number}"), "namespace": NAMESPACE,
            "labels": {"app": app, "zone": format!("z{}", number % 3)}},
        "spec": {"containers": [{"name": "main", "image": "web:1"}]},
    });
    let pod = serde_json::from_value(pod).expect("a pod");
    let _ = pods.create(&PostParams::default(), &pod).await;
}

impl Scenario for SidecarScenario {
    fn start(&self, client: Client) -> BoxFuture<'static, ()> {
        let start = self.starts.fetch_add(1, Ordering::Relaxed);
        let random = Random::new(self.managers.seed).stream(1000 + start);
        self.managers.clone().run(client, random).boxed()
    }

    fn step<'a>(&'a self, world: &'a World, random: &'a mut Random) -> BoxFuture<'a, ()> {
        async move {
            let sets: Api<SidecarSet> = Api::all(world.client());
            let pods: Api<Pod> = Api::namespaced(world.client(), NAMESPACE);
            let [logs, mesh, kept, rigid] = SETS;
            // At first there is something to upgrade.
            let first = !self.begun.swap(true, Ordering::Relaxed);
            for number in (0..FIXED).filter(|_| first) {
                create(&pods, kept.app, number).await;
                create(&pods, rigid.app, number).await;
                create(&pods, logs.app, number).await;
            }
            // Pods that have just become ready go first, so that the order changes all the time.
            let restarted = format!("web-{}", random.below(PODS));
            if random.chance(0.7) {
                world.cluster.crash_container(NAMESPACE, &restarted, "main");
            }
            let node = format!("node-{}", random.below(3));
            let number = random.below(PODS);
            match random.below(25) {
                0..=3 => drop(self.upgrade(&sets, &logs).await),
                4 | 5 => drop(self.upgrade(&sets, &mesh).await),
                6 | 7 => drop(self.upgrade(&sets, &kept).await),
                8 => {
                    let paused = random.chance(0.3);
                    spec(&sets, &logs, json!({"updateStrategy": {"paused": paused}})).await;
                }
                9 => {
                    let most = 1 + random.below(2);
                    spec(&sets, &mesh, json!({"updateStrategy": {"maxUnavailable": most}})).await;
                }
                10 | 11 => create(&pods, logs.app, number).await,
                12 => drop(
                    pods.delete(&format!("web-{number}"), &DeleteParams::default())
                        .await,
                ),
                13 => drop(world.cluster.kill_node(&node)),
                14 => drop(world.cluster.revive_node(&node)),
                15 => {
                    let container = if random.chance(0.5) { "main" } else { "logs" };
                    world
                        .cluster
                        .crash_container(NAMESPACE, &format!("web-{number}"), container);
                }
                16 => {
                    let set = if random.chance(0.5) { logs } else { mesh };
                    let version = self.upgrade(&sets, &set).await;
                    world.cluster.break_image(&set.image(version));
                }
                17 | 18 => {
                    let mut containers = rigid.containers(1);
                    if random.chance(0.6) {
                        containers[0]["env"] = json!([{"name": "A", "value": "1"}]);
                    }
                    spec(&sets, &rigid, json!({ "containers": containers })).await;
                }
                19 => world.server.compact(),
                20 => self.revert(&sets, &logs, random).await,
                21 => self.revert(&sets, &mesh, random).await,
                22 => self.revert(&sets, &kept, random).await,
                23 => {
                    let strategy = order(random);
                    spec(&sets, &logs, json!({ "updateStrategy": strategy })).await;
                }
                _ => {
                    // Often in the same moment, so that nobody sees that it was gone.
                    let version = self.versions.load(Ordering::Relaxed);
                    let _ = sets.delete(logs.name, &DeleteParams::default()).await;
                    if random.chance(0.7) {
                        restore(&sets, &logs, version).await;
                    }
                }
            }
        }
        .boxed()
    }

    fn check(&self, world: &World) -> Result<(), String> {
        self.memory.lock().check(world)
    }

    fn calm(&self, world: &World) {
        for number in 0..3 {
            world.cluster.revive_node(&format!("node-{number}"));
        }
        let last = self.versions.load(Ordering::Relaxed);
        for version in 1..=last {
            for set in &SETS {
                world.cluster.mend_image(&set.image(version));
            }
        }
        let mut logs: SidecarSet = world
            .server
            .get("", "logs")
            .unwrap_or_else(|| fresh(&SETS[0], last));
        logs.spec.update_strategy.paused = false;
        logs.spec.update_strategy.selector = None;
        assert!(world.server.seed_object(&logs));
    }

    fn settled(&self, world: &World) -> Result<(), String> {
        self.memory.lock().settled(world)
    }
}
