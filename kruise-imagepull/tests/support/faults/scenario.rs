//! What happens: jobs come and go, nodes join, leave and die, pulls fail.

use std::sync::atomic::{AtomicU64, Ordering};

use futures::FutureExt;
use futures::future::BoxFuture;
use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::Node;
use kruise_core::testing::random::Random;
use kruise_core::testing::simulate::{Scenario, World};
use kruise_core::webhook::Router;
use kruise_imagepull::api::{ImagePullJob, crds};
use kruise_imagepull::webhook;
use kube_client::api::{DeleteParams, Patch, PatchParams, PostParams};
use kube_client::{Api, Client};
use parking_lot::Mutex;
use serde_json::{Value, json};

use super::managers::{COPIES, Managers};
use super::nodes::Nodes;
use super::rules::{Memory, settled};

/// Namespace of the jobs.
const TEAM: &str = "team";

/// Nodes there are at most.
const NODES: u64 = 6;

/// The jobs: two tags of one image, two jobs on one tag, one with a deadline, one that never ends; with and without secrets.
fn specs() -> [(&'static str, Value); 6] {
    let policy = json!({ "timeoutSeconds": 60, "backoffLimit": 1 });
    [
        (
            "one",
            json!({ "image": "r.io/app:1", "parallelism": 1, "pullPolicy": policy }),
        ),
        (
            "two",
            json!({ "image": "r.io/app:2", "parallelism": 2, "pullPolicy": policy, "pullSecrets": ["red"] }),
        ),
        (
            "three",
            json!({ "image": "r.io/shared:1", "parallelism": 2, "pullPolicy": policy,
            "completionPolicy": { "type": "Always", "ttlSecondsAfterFinished": 0 } }),
        ),
        (
            "four",
            json!({ "image": "r.io/shared:1", "parallelism": 3, "pullPolicy": policy, "pullSecrets": ["red"] }),
        ),
        (
            "five",
            json!({ "image": "r.io/other:1", "parallelism": 1, "pullPolicy": policy, "pullSecrets": ["blue"],
            "completionPolicy": { "type": "Always", "activeDeadlineSeconds": 90 } }),
        ),
        (
            "never",
            json!({ "image": "r.io/daily:1", "parallelism": 2, "pullPolicy": policy, "pullSecrets": ["blue"],
            "completionPolicy": { "type": "Never" } }),
        ),
    ]
}

#[derive(Debug)]
pub(crate) struct PullScenario {
    managers: Managers,
    starts: AtomicU64,
    nodes: Mutex<Nodes>,
    memory: Mutex<Memory>,
}

impl PullScenario {
    pub(crate) fn new(world: &World) -> Self {
        for crd in crds() {
            assert!(world.server.serve_definition(&crd), "the definitions are sound");
        }
        let router = webhook::register(Router::builder(), world.clock.clone(), true).build();
        world.server.webhooks(router.expect("the hooks are sound"));
        for namespace in [TEAM, COPIES, "kruise-system"] {
            let object =
                json!({ "apiVersion": "v1", "kind": "Namespace", "metadata": { "name": namespace } });
            world.server.seed_value(object);
        }
        for secret in ["red", "blue"] {
            let config = json!({ "auths": { "r.io": { "username": secret, "password": "x" } } }).to_string();
            world.server.seed_value(json!({
                "apiVersion": "v1", "kind": "Secret", "type": "kubernetes.io/dockerconfigjson",
                "metadata": { "name": secret, "namespace": TEAM },
                "data": { ".dockerconfigjson": ByteString(config.into_bytes()) },
            }));
        }
        let this = Self {
            managers: Managers {
                clock: world.clock.clone(),
                seed: world.seed,
            },
            starts: AtomicU64::new(0),
            nodes: Mutex::default(),
            memory: Mutex::default(),
        };
        let mut random = Random::new(world.seed).stream(78);
        for node in world.cluster.live_nodes() {
            this.nodes.lock().start(world, &node, &mut random);
        }
        this
    }
}

impl Scenario for PullScenario {
    fn start(&self, client: Client) -> BoxFuture<'static, ()> {
        let start = self.starts.fetch_add(1, Ordering::Relaxed);
        let random = Random::new(self.managers.seed).stream(1000 + start);
        self.managers.clone().run(client, random).boxed()
    }

    fn step<'a>(&'a self, world: &'a World, random: &'a mut Random) -> BoxFuture<'a, ()> {
        async move {
            let node = format!("node-{}", random.below(NODES));
            let nodes: Api<Node> = Api::all(world.client());
            let jobs: Api<ImagePullJob> = Api::namespaced(world.client(), TEAM);
            let specs = specs();
            let job = random.pick(&specs).map_or("one", |(name, _)| name);
            match random.below(14) {
                0..=4 => create_job(&jobs, random).await,
                5 => drop(jobs.delete(job, &DeleteParams::default()).await),
                6 => {
                    let patch = json!({ "spec": { "parallelism": 1 + random.below(3) } });
                    let _ = jobs
                        .patch(job, &PatchParams::default(), &Patch::Merge(&patch))
                        .await;
                }
                7 => self.nodes.lock().kill(&node),
                8 => self.nodes.lock().start(world, &node, random),
                9 => self.nodes.lock().spoil(&node, random),
                10 => {
                    self.nodes.lock().remove(&node);
                    let _ = nodes.delete(&node, &DeleteParams::default()).await;
                }
                11 => {
                    world.cluster.add_node(&node);
                    self.nodes.lock().start(world, &node, random);
                }
                12 => {
                    let patch = json!({ "metadata": { "labels": { "pool": random.below(3).to_string() } } });
                    let _ = nodes
                        .patch(&node, &PatchParams::default(), &Patch::Merge(&patch))
                        .await;
                }
                _ => world.server.compact(),
            }
        }
        .boxed()
    }

    fn check(&self, world: &World) -> Result<(), String> {
        self.memory.lock().check(world)
    }

    fn calm(&self, world: &World) {
        // In some runs a node stays dead for good; jobs have to end without it.
        let mut random = Random::new(world.seed).stream(79);
        let dead = random
            .chance(0.25)
            .then(|| format!("node-{}", random.below(NODES)));
        self.nodes.lock().calm(world, dead.as_slice());
    }

    fn settled(&self, world: &World) -> Result<(), String> {
        settled(world)
    }
}

/// Creates one of the jobs, unless it is there.
async fn create_job(jobs: &Api<ImagePullJob>, random: &mut Random) {
    if let Some((name, spec)) = random.pick(&specs()) {
        let job = serde_json::from_value(json!({
            "apiVersion": "apps.kruise.io/v1alpha1", "kind": "ImagePullJob",
            "metadata": { "name": name }, "spec": spec,
        }));
        let _ = jobs.create(&PostParams::default(), &job.expect("a job")).await;
    }
}
