//! The loop that moves nodes and pods.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fmt;
use std::sync::Arc;

use parking_lot::Mutex;
use serde_json::{Value, json};
use tokio::sync::Notify;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::config::ClusterConfig;
use super::kubelet::{Running, condition};
use super::nodes;
use crate::testing::apiserver::json::{number, text, time};
use crate::testing::apiserver::{ApiError, ApiServer, Change, Key, Write, delete_pod, merge_strategically};
use crate::testing::build::NodeBuilder;

#[derive(Debug, Default)]
struct State {
    /// Nodes that live, and since when those that do not are dead.
    nodes: BTreeMap<String, Option<Instant>>,
    /// Pods on nodes, by uid.
    running: HashMap<String, Running>,
    /// Pods that wait for a node, by uid, and since when.
    waiting: HashMap<String, Instant>,
    /// Images that cannot be pulled.
    broken: BTreeSet<String>,
}

struct Shared {
    server: ApiServer,
    config: ClusterConfig,
    state: Mutex<State>,
    changed: Notify,
}

/// The cluster; clones share everything. Nothing happens unless it runs.
#[derive(Clone)]
pub struct SimulatedCluster(Arc<Shared>);

impl fmt::Debug for SimulatedCluster {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SimulatedCluster")
            .field("config", &self.0.config)
            .finish_non_exhaustive()
    }
}

/// Something to be written.
enum Action {
    Bind { pod: Arc<Value>, node: String },
    PodStatus { pod: Arc<Value>, patch: Value },
    NodeStatus { node: Arc<Value>, patch: Value },
    Delete { pod: Arc<Value>, grace: Option<u64> },
}

impl SimulatedCluster {
    /// A cluster without nodes.
    pub fn new(server: ApiServer, config: ClusterConfig) -> Self {
        Self(Arc::new(Shared {
            server,
            config,
            state: Mutex::default(),
            changed: Notify::new(),
        }))
    }

    /// Adds a node that is ready, and its object if there is none. One that is dead lives again.
    pub fn add_node(&self, name: &str) {
        self.0.state.lock().nodes.insert(name.to_owned(), None);
        if self
            .0
            .server
            .get::<k8s_openapi::api::core::v1::Node>("", name)
            .is_none()
        {
            self.0.server.seed_object(&NodeBuilder::new(name).build());
        }
        self.0.changed.notify_one();
    }

    /// Kills a node: its pods do nothing any more. False if it does not live.
    pub fn kill_node(&self, name: &str) -> bool {
        let mut state = self.0.state.lock();
        let Some(dead @ None) = state.nodes.get_mut(name) else {
            return false;
        };
        *dead = Some(Instant::now());
        drop(state);
        self.0.changed.notify_one();
        true
    }

    /// Lets a dead node live again, with the pods that are still its own. False if it is not dead.
    pub fn revive_node(&self, name: &str) -> bool {
        let mut state = self.0.state.lock();
        let Some(dead @ Some(_)) = state.nodes.get_mut(name) else {
            return false;
        };
        *dead = None;
        drop(state);
        self.0.changed.notify_one();
        true
    }

    /// Names of the nodes that live, in order.
    pub fn live_nodes(&self) -> Vec<String> {
        let state = self.0.state.lock();
        let live = state.nodes.iter().filter(|(_, dead)| dead.is_none());
        live.map(|(name, _)| name.clone()).collect()
    }

    /// Ends a container, which then starts again. False if it does not run.
    pub fn crash_container(&self, namespace: &str, pod: &str, container: &str) -> bool {
        let pod = self.0.server.value("pods", &Key::new(namespace, pod));
        let uid = pod.as_ref().map_or("", |pod| text(pod, &["metadata", "uid"]));
        let mut state = self.0.state.lock();
        let running = state.running.get_mut(uid);
        let crashed = running.is_some_and(|running| running.crash(container, &self.0.config, Instant::now()));
        drop(state);
        self.0.changed.notify_one();
        crashed
    }

    /// Containers of this image do not start any more (`ImagePullBackOff`) until [`SimulatedCluster::mend_image`].
    pub fn break_image(&self, image: &str) {
        self.0.state.lock().broken.insert(image.to_owned());
        self.0.changed.notify_one();
    }

    /// Containers of this image start again.
    pub fn mend_image(&self, image: &str) {
        self.0.state.lock().broken.remove(image);
        self.0.changed.notify_one();
    }

    /// Runs until cancelled. Dropping the future stops everything where it is; it may be run again.
    pub async fn run(self, cancel: CancellationToken) {
        let run = async {
            let mut writes = self.0.server.0.changed.subscribe();
            loop {
                writes.mark_unchanged();
                let (actions, due) = self.plan();
                let acted = !actions.is_empty();
                for action in actions {
                    if let Err(error) = self.act(action).await {
                        // Somebody else was faster; the next round sees it.
                        tracing::debug!(%error, "simulated cluster could not write");
                    }
                }
                if acted {
                    continue;
                }
                let sleep = async {
                    match due {
                        Some(due) => tokio::time::sleep_until(due).await,
                        None => std::future::pending().await,
                    }
                };
                tokio::select! {
                    biased;
                    changed = writes.changed() => if changed.is_err() { return },
                    () = self.0.changed.notified() => {}
                    () = sleep => {}
                }
            }
        };
        cancel.run_until_cancelled(run).await;
    }

    /// What is to be written now, and when to look again.
    fn plan(&self) -> (Vec<Action>, Option<Instant>) {
        let pods = self.0.server.values("pods");
        let nodes = self.0.server.values("nodes");
        let now = Instant::now();
        let wall = time(self.0.server.0.clock.now());
        let mut state = self.0.state.lock();
        let mut plan = Plan {
            config: &self.0.config,
            now,
            wall,
            actions: Vec::new(),
            due: None,
        };
        let uids: BTreeSet<&str> = pods.iter().map(|pod| text(pod, &["metadata", "uid"])).collect();
        state.running.retain(|uid, _| uids.contains(&**uid));
        state.waiting.retain(|uid, _| uids.contains(&**uid));
        for node in &nodes {
            plan.node(&state, node, &pods);
        }
        for pod in &pods {
            let name = text(pod, &["spec", "nodeName"]);
            if name.is_empty() {
                plan.schedule(&mut state, pod, &nodes, &pods);
            } else if !nodes.iter().any(|node| text(node, &["metadata", "name"]) == name) {
                // The node is no more: nobody else would end its pods.
                plan.actions.push(Action::Delete {
                    pod: pod.clone(),
                    grace: Some(0),
                });
            } else if let Some(None) = state.nodes.get(name) {
                plan.kubelet(&mut state, pod);
            }
        }
        (plan.actions, plan.due)
    }

    async fn act(&self, action: Action) -> Result<(), ApiError> {
        let inner = &self.0.server.0;
        let key = |object: &Value| {
            Key::new(
                text(object, &["metadata", "namespace"]),
                text(object, &["metadata", "name"]),
            )
        };
        match action {
            Action::Bind { pod, node } => {
                let key = key(&pod);
                inner
                    .bind(&key.namespace, &key.name, &node, "kube-scheduler")
                    .await
            }
            Action::PodStatus { pod, patch } => {
                // Of this very pod, not of another one with its name.
                let mut patch = patch;
                patch["metadata"] = json!({ "uid": pod["metadata"]["uid"] });
                let kind = inner.kind_of("pods")?;
                let change = Change::Patch(merge_strategically(patch));
                let write = Write::internal(kind, &key(&pod), "status", change, "kubelet");
                inner.write(write).await.map(drop)
            }
            Action::NodeStatus { node, patch } => {
                let kind = inner.kind_of("nodes")?;
                let change = Change::Patch(merge_strategically(patch));
                let write = Write::internal(kind, &key(&node), "status", change, "kube-controller-manager");
                inner.write(write).await.map(drop)
            }
            Action::Delete { pod, grace } => delete_pod(inner, &pod, grace).await,
        }
    }
}

/// A round of the loop.
struct Plan<'a> {
    config: &'a ClusterConfig,
    now: Instant,
    wall: Value,
    actions: Vec<Action>,
    due: Option<Instant>,
}

impl Plan<'_> {
    fn wake(&mut self, at: Instant) {
        self.due = Some(self.due.map_or(at, |due| due.min(at)));
    }

    /// The node lifecycle.
    fn node(&mut self, state: &State, node: &Arc<Value>, pods: &[Arc<Value>]) {
        let name = text(node, &["metadata", "name"]);
        let Some(dead) = state.nodes.get(name) else {
            return;
        };
        let Some(dead) = dead else {
            if let Some(patch) = nodes::ready_patch(node, "True", &self.wall) {
                self.actions.push(Action::NodeStatus {
                    node: node.clone(),
                    patch,
                });
            }
            return;
        };
        let (noticed, evicted) = (*dead + self.config.notice_after, *dead + self.config.evict_after);
        if self.now < noticed {
            self.wake(noticed);
            return;
        }
        if let Some(patch) = nodes::ready_patch(node, "Unknown", &self.wall) {
            self.actions.push(Action::NodeStatus {
                node: node.clone(),
                patch,
            });
        }
        for pod in pods.iter().filter(|pod| text(pod, &["spec", "nodeName"]) == name) {
            let not_ready = condition(pod, "Ready", false, &self.wall);
            let present = pod["status"]["conditions"].as_array().into_iter().flatten();
            let told = present
                .clone()
                .any(|one| one["type"] == "Ready" && one["status"] == "False");
            if !told && present.clone().any(|one| one["type"] == "Ready") {
                let patch = json!({ "status": { "conditions": [not_ready] } });
                self.actions.push(Action::PodStatus {
                    pod: pod.clone(),
                    patch,
                });
            }
            if self.now >= evicted && pod["metadata"]["deletionTimestamp"].is_null() {
                self.actions.push(Action::Delete {
                    pod: pod.clone(),
                    grace: None,
                });
            }
        }
        if self.now < evicted {
            self.wake(evicted);
        }
    }

    fn schedule(&mut self, state: &mut State, pod: &Arc<Value>, nodes: &[Arc<Value>], pods: &[Arc<Value>]) {
        let scheduler = text(pod, &["spec", "schedulerName"]);
        if !pod["metadata"]["deletionTimestamp"].is_null() || scheduler != "default-scheduler" {
            return;
        }
        let uid = text(pod, &["metadata", "uid"]).to_owned();
        let at = *state.waiting.entry(uid).or_insert(self.now) + self.config.schedule_after;
        if at > self.now {
            self.wake(at);
            return;
        }
        // One at a time, so that each sees the load that the ones before made.
        let binds = self
            .actions
            .iter()
            .any(|action| matches!(action, Action::Bind { .. }));
        if let Some(node) = nodes::choose(pod, nodes, pods).filter(|_| !binds) {
            self.actions.push(Action::Bind {
                pod: pod.clone(),
                node,
            });
        }
    }

    fn kubelet(&mut self, state: &mut State, pod: &Arc<Value>) {
        if matches!(text(pod, &["status", "phase"]), "Succeeded" | "Failed") {
            return;
        }
        let uid = text(pod, &["metadata", "uid"]).to_owned();
        let State { running, broken, .. } = state;
        let running = running
            .entry(uid)
            .or_insert_with(|| Running::new(pod, self.config, self.now));
        if !pod["metadata"]["deletionTimestamp"].is_null() {
            let grace = number(pod, &["metadata", "deletionGracePeriodSeconds"]).unwrap_or_default();
            let grace = std::time::Duration::from_secs(u64::try_from(grace).unwrap_or_default());
            let stop = self.now + self.config.stop_after.min(grace);
            let stop = *running
                .stop
                .insert(running.stop.map_or(stop, |known| known.min(stop)));
            if stop > self.now {
                self.wake(stop);
            } else if grace > std::time::Duration::ZERO {
                self.actions.push(Action::Delete {
                    pod: pod.clone(),
                    grace: Some(0),
                });
            }
            return;
        }
        running.advance(pod, broken, self.config, self.now, &self.wall);
        let due = running.due(broken);
        let status = running.status(pod, broken, &self.wall);
        if let Some(due) = due {
            self.wake(due);
        }
        if differs(&status, &pod["status"]) {
            let patch = json!({ "status": status });
            self.actions.push(Action::PodStatus {
                pod: pod.clone(),
                patch,
            });
        }
    }
}

/// Whether something in `wanted` is not so in `present`. Conditions are compared by type, other lists whole.
fn differs(wanted: &Value, present: &Value) -> bool {
    match (wanted, present) {
        (Value::Object(wanted), Value::Object(present)) => wanted.iter().any(|(key, value)| {
            let found = present.get(key).unwrap_or(&Value::Null);
            match (value.as_array(), found.as_array()) {
                (Some(value), Some(found)) if key == "conditions" => value.iter().any(|one| {
                    let same = found.iter().find(|other| other["type"] == one["type"]);
                    same.is_none_or(|same| differs(one, same))
                }),
                (Some(value), Some(found)) => {
                    value.len() != found.len()
                        || value.iter().zip(found).any(|(one, other)| differs(one, other))
                }
                _ => differs(value, found),
            }
        }),
        (Value::Object(wanted), Value::Null) => !wanted.is_empty(),
        (wanted, present) => wanted != present,
    }
}
