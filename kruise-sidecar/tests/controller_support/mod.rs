//! A cluster in memory with the webhooks and the controller of sets, and kubelets that report when they are told to.
#![allow(
    dead_code,
    unreachable_pub,
    missing_docs,
    reason = "each test file uses a part"
)]
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests fail that way"
)]

pub mod process;

use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::api::apps::v1::ControllerRevision;
use k8s_openapi::api::core::v1::Pod;
use kruise_core::runtime::{Clock as _, EventSink, Note, Tasks};
use kruise_core::testing::apiserver::{ApiServer, Logged, ServerConfig};
use kruise_core::testing::clock::TokioClock;
use kruise_sidecar::api::{InjectedHashes, SidecarSet, SidecarSetStatus};
use kruise_sidecar::controller::{SidecarSetConfig, UpgradeMetrics};
use kube_client::api::{DeleteParams, Patch, PatchParams, PostParams};
use kube_client::{Api, Client};
use parking_lot::Mutex;
use serde_json::{Value, json};

use process::{process, webhooks};

pub const NAMESPACE: &str = "shop";
pub const HASH: &str = "kruise.io/sidecarset-hash";

/// Matched, updated, ready, updated and ready pods.
pub type Counted = (i32, i32, i32, i32);

pub struct World {
    pub server: ApiServer,
    pub clock: Arc<TokioClock>,
    pub notes: Arc<Mutex<Vec<Note>>>,
    pub metrics: UpgradeMetrics,
    /// Statuses of sets as they were written, each change once.
    pub statuses: Arc<Mutex<Vec<(String, Counted)>>>,
    /// How many of them are forgotten.
    forgotten: Mutex<usize>,
    _webhooks: Tasks,
}

pub fn counted(status: &SidecarSetStatus) -> Counted {
    (
        status.matched_pods,
        status.updated_pods,
        status.ready_pods,
        status.updated_ready_pods,
    )
}

impl World {
    pub async fn new() -> Self {
        let clock = Arc::new(TokioClock::default());
        let server = ApiServer::new(ServerConfig::default(), clock.clone());
        let webhooks = webhooks(&server, clock.clone());
        let statuses: Arc<Mutex<Vec<(String, Counted)>>> = Arc::default();
        let (seen, told) = (server.clone(), statuses.clone());
        server.observe(move || {
            for set in seen.list::<SidecarSet>() {
                let Some(status) = &set.status else { continue };
                let (name, now) = (set.name().to_owned(), counted(status));
                let mut told = told.lock();
                let last = told
                    .iter()
                    .rev()
                    .find(|(set, _)| *set == name)
                    .map(|(_, counts)| *counts);
                if last != Some(now) {
                    told.push((name, now));
                }
            }
        });
        pass(1.0).await;
        Self {
            server,
            clock,
            notes: Arc::default(),
            metrics: UpgradeMetrics::default(),
            statuses,
            forgotten: Mutex::default(),
            _webhooks: webhooks,
        }
    }

    /// A world with a set and pods `web-0`, `web-1`, … that it was injected into and that are ready, and a controller that has
    /// seen all of it.
    pub async fn with_pods(spec: Value, pods: usize) -> (Self, Tasks) {
        let world = Self::new().await;
        world.create_set("logs", spec).await;
        let controller = world.start().await;
        for number in 0..pods {
            world.create_pod(&format!("web-{number}"), json!({})).await;
        }
        pass(2.0).await;
        world.forget();
        (world, controller)
    }

    pub fn config() -> SidecarSetConfig {
        let mut config = SidecarSetConfig::default();
        // To see every change.
        config.status_interval = Duration::ZERO;
        config
    }

    /// Starts a controller with caches of its own. Dropping it stops it where it stands.
    pub async fn start(&self) -> Tasks {
        self.start_with(Self::config()).await
    }

    pub async fn start_with(&self, config: SidecarSetConfig) -> Tasks {
        self.start_on(self.server.client(), config).await
    }

    pub async fn start_on(&self, client: Client, config: SidecarSetConfig) -> Tasks {
        let notes = self.notes.clone();
        let events = EventSink::new(move |note| notes.lock().push(note));
        let tasks = process(client, self.clock.clone(), events, self.metrics.clone(), config);
        pass(1.0).await;
        tasks
    }

    /// Forgets what was told so far.
    pub fn forget(&self) {
        self.server.clear_requests();
        self.notes.lock().clear();
        *self.forgotten.lock() = self.statuses.lock().len();
    }

    /// Creates a set for pods `app: web` with a sidecar `agent` of image `agent:v1`, unless the spec says otherwise.
    pub async fn create_set(&self, name: &str, spec: Value) {
        let mut object = json!({
            "apiVersion": "apps.kruise.io/v1alpha1", "kind": "SidecarSet", "metadata": {"name": name},
            "spec": {"selector": {"matchLabels": {"app": "web"}}, "containers": [{"name": "agent", "image": "agent:v1"}]},
        });
        json_patch::merge(&mut object["spec"], &spec);
        let set = serde_json::from_value(object).unwrap();
        self.sets().create(&PostParams::default(), &set).await.unwrap();
        // So that the webhook knows it.
        pass(1.0).await;
    }

    pub fn sets(&self) -> Api<SidecarSet> {
        Api::all(self.server.client())
    }

    pub async fn patch_set(&self, name: &str, spec: Value) {
        let patch = Patch::Merge(json!({ "spec": spec }));
        self.sets()
            .patch(name, &PatchParams::default(), &patch)
            .await
            .unwrap();
    }

    /// Gives the sidecar `agent` of set `logs` another image, and waits until that has been acted on.
    pub async fn image(&self, image: &str) {
        self.patch_set("logs", json!({"containers": [{"name": "agent", "image": image}]}))
            .await;
        pass(2.0).await;
    }

    pub fn set(&self, name: &str) -> SidecarSet {
        self.server.get("", name).unwrap()
    }

    pub fn counts(&self, name: &str) -> Counted {
        counted(&self.set(name).status.unwrap_or_default())
    }

    pub fn pods(&self) -> Api<Pod> {
        Api::namespaced(self.server.client(), NAMESPACE)
    }

    /// Creates a pod `app: web`, through the webhook, with more labels, and reports that it is ready.
    pub async fn create_pod(&self, name: &str, labels: Value) {
        let mut object = json!({
            "metadata": {"name": name, "namespace": NAMESPACE, "labels": {"app": "web"}},
            "spec": {"nodeName": "n1", "containers": [{"name": "main", "image": "web:1"}]},
        });
        json_patch::merge(&mut object["metadata"]["labels"], &labels);
        let pod = serde_json::from_value(object).unwrap();
        self.pods().create(&PostParams::default(), &pod).await.unwrap();
        self.report(name);
    }

    pub async fn delete_pod(&self, name: &str) {
        let params = DeleteParams::default().grace_period(0);
        self.pods().delete(name, &params).await.unwrap();
    }

    /// The pod as JSON.
    pub fn pod(&self, name: &str) -> Value {
        let pod: Pod = self.server.get(NAMESPACE, name).unwrap();
        serde_json::to_value(pod).unwrap()
    }

    /// The image of a container of a pod.
    pub fn image_of(&self, pod: &str, container: &str) -> String {
        let pod = self.pod(pod);
        let containers = pod["spec"]["containers"].as_array().unwrap();
        let found = containers.iter().find(|one| one["name"] == container).unwrap();
        found["image"].as_str().unwrap().to_owned()
    }

    /// The names of the pods whose container `agent` has this image.
    pub fn with_image(&self, image: &str) -> Vec<String> {
        let pods = self.server.list::<Pod>();
        let has = |pod: &Pod| {
            let spec = pod.spec.as_ref().unwrap();
            spec.containers
                .iter()
                .any(|one| one.name == "agent" && one.image.as_deref() == Some(image))
        };
        pods.into_iter()
            .filter(has)
            .map(|pod| pod.metadata.name.unwrap())
            .collect()
    }

    /// What a pod says of a set.
    pub fn hash_of(&self, pod: &str, set: &str) -> kruise_sidecar::api::InjectedHash {
        let pod = self.pod(pod);
        let text = pod["metadata"]["annotations"][HASH].as_str().unwrap().to_owned();
        InjectedHashes::parse(&text).unwrap().0[set].clone()
    }

    pub fn revisions(&self) -> Vec<ControllerRevision> {
        let mut revisions = self.server.list::<ControllerRevision>();
        revisions.sort_by_key(|revision| revision.revision);
        revisions
    }

    /// The node reports: containers whose image has changed are new ones, and all are ready.
    pub fn report(&self, pod: &str) {
        self.report_as(pod, true);
    }

    /// The same; containers with a new image can not be started if not `ready`.
    pub fn report_as(&self, name: &str, ready: bool) {
        let mut pod = self.pod(name);
        let held = pod["status"]["containerStatuses"]
            .as_array()
            .cloned()
            .unwrap_or_default();
        let mut all = true;
        let containers = pod["spec"]["containers"].as_array().cloned().unwrap_or_default();
        let statuses: Vec<Value> = containers
            .iter()
            .map(|container| {
                let (name, image) = (&container["name"], &container["image"]);
                let old = held.iter().find(|status| status["name"] == *name);
                let same = old.filter(|status| status["image"] == *image && status["ready"] == json!(true));
                if let Some(same) = same {
                    return same.clone();
                }
                let restarts = old.map_or(0, |status| status["restartCount"].as_i64().unwrap_or(0) + 1);
                all &= ready;
                let mut status = json!({"name": name, "image": image, "imageID": "", "ready": ready, "restartCount": restarts,
                    "state": {"waiting": {"reason": "ImagePullBackOff"}}});
                if ready {
                    status["imageID"] = json!(format!("sha256:{}", image.as_str().unwrap()));
                    status["containerID"] = json!(format!("containerd://{}-{restarts}", name.as_str().unwrap()));
                    status["state"] = json!({"running": {"startedAt": self.clock.now().to_string()}});
                }
                status
            })
            .collect();
        let status = if all { "True" } else { "False" };
        let conditions = pod["status"]["conditions"]
            .as_array()
            .cloned()
            .unwrap_or_default();
        let others = conditions.iter().filter(|one| one["type"] != "Ready").cloned();
        let old = conditions
            .iter()
            .find(|one| one["type"] == "Ready" && one["status"] == status);
        let new =
            json!({"type": "Ready", "status": status, "lastTransitionTime": self.clock.now().to_string()});
        let conditions: Vec<Value> = others.chain([old.cloned().unwrap_or(new)]).collect();
        pod["status"] = json!({"phase": "Running", "conditions": conditions, "containerStatuses": statuses});
        pod["apiVersion"] = json!("v1");
        pod["kind"] = json!("Pod");
        assert!(self.server.seed_value(pod));
    }

    /// Nodes report and time passes until nothing changes any more.
    pub async fn settle(&self) {
        let mut before = None;
        while before != Some(self.server.revision()) {
            before = Some(self.server.revision());
            let pods: Vec<Pod> = self.server.list();
            for pod in pods {
                let name = pod.metadata.name.as_deref().unwrap();
                let now = self.pod(name);
                let images = |of: &Value| -> Vec<Value> {
                    of.as_array()
                        .into_iter()
                        .flatten()
                        .map(|one| one["image"].clone())
                        .collect()
                };
                if images(&now["spec"]["containers"]) != images(&now["status"]["containerStatuses"]) {
                    self.report(name);
                }
            }
            pass(3.0).await;
        }
    }

    /// Requests that changed something or were to, as `VERB path`.
    pub fn writes(&self) -> Vec<String> {
        let writes = |logged: &Logged| logged.method != "GET";
        let requests = self.server.requests();
        let told = requests.iter().filter(|logged| writes(logged));
        told.map(|logged| format!("{} {}", logged.method, logged.uri.split('?').next().unwrap()))
            .collect()
    }

    /// Patches of pods, status aside.
    pub fn upgrades(&self) -> usize {
        let writes = self.writes();
        let of_pods = writes
            .iter()
            .filter(|write| write.starts_with("PATCH") && write.contains("/pods/"));
        of_pods.filter(|write| !write.ends_with("/status")).count()
    }

    /// Reasons of Events, with kind and name of what they are about.
    pub fn told(&self) -> Vec<String> {
        let notes = self.notes.lock();
        let about = |note: &Note| note.about.name.clone().unwrap_or_default();
        notes
            .iter()
            .map(|note| format!("{} {}", about(note), note.reason))
            .collect()
    }

    pub fn statuses_of(&self, set: &str) -> Vec<Counted> {
        let statuses = self.statuses.lock();
        let new = statuses.iter().skip(*self.forgotten.lock());
        new.filter(|(name, _)| name == set)
            .map(|(_, counts)| *counts)
            .collect()
    }
}

/// Lets everything that can run now run, and this much time pass.
pub async fn pass(seconds: f64) {
    tokio::time::sleep(Duration::from_secs_f64(seconds)).await;
}
