//! What a kubelet knows of a pod, and what it tells of it.

use std::collections::BTreeSet;

use serde_json::{Value, json};
use tokio::time::Instant;

use super::config::ClusterConfig;
use crate::testing::apiserver::json::{items, text};

/// Where a container is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    /// Starts at that time.
    Waiting(Instant),
    /// Becomes ready at that time.
    Running(Instant),
    Ready,
}

#[derive(Clone, Debug)]
struct Container {
    name: String,
    image: String,
    stage: Stage,
    /// Counts the containers that ran under this name.
    number: u32,
    /// Whether the one before has ended.
    restarted: bool,
    started_at: Value,
}

/// A pod as it is on its node.
#[derive(Clone, Debug)]
pub(super) struct Running {
    containers: Vec<Container>,
    pub(super) stop: Option<Instant>,
}

impl Running {
    pub(super) fn new(pod: &Value, config: &ClusterConfig, now: Instant) -> Self {
        let containers = items(pod, &["spec", "containers"]);
        let begin = |container: &Value| {
            let name = text(container, &["name"]).to_owned();
            let statuses = items(pod, &["status", "containerStatuses"]);
            // What runs already, as the status has it, goes on.
            let status = statuses.iter().find(|status| text(status, &["name"]) == name);
            let known = status.filter(|status| status["state"]["running"].is_object());
            Container {
                image: text(known.unwrap_or(container), &["image"]).to_owned(),
                stage: match known {
                    Some(status) if status["ready"] == json!(true) => Stage::Ready,
                    Some(_) => Stage::Running(now + config.ready_after),
                    None => Stage::Waiting(now + config.start_after),
                },
                number: known
                    .and_then(|status| status["restartCount"].as_u64())
                    .and_then(|count| u32::try_from(count).ok())
                    .unwrap_or_default(),
                restarted: known.is_some_and(|status| status["restartCount"] != json!(0)),
                started_at: known.map_or(Value::Null, |status| {
                    status["state"]["running"]["startedAt"].clone()
                }),
                name,
            }
        };
        Self {
            containers: containers.iter().map(begin).collect(),
            stop: None,
        }
    }

    /// Ends a container, which then starts again.
    pub(super) fn crash(&mut self, container: &str, config: &ClusterConfig, now: Instant) -> bool {
        let found = self.containers.iter_mut().find(|known| known.name == container);
        let Some(found) = found.filter(|found| !matches!(found.stage, Stage::Waiting(_))) else {
            return false;
        };
        found.restart(config, now);
        true
    }

    /// Moves on to `now`; `time` is what the wall clock says. Containers whose image does not come stay where they are.
    pub(super) fn advance(
        &mut self,
        pod: &Value,
        broken: &BTreeSet<String>,
        config: &ClusterConfig,
        now: Instant,
        time: &Value,
    ) {
        for (container, spec) in self
            .containers
            .iter_mut()
            .zip(items(pod, &["spec", "containers"]))
        {
            let wanted = text(spec, &["image"]);
            if container.image != wanted {
                wanted.clone_into(&mut container.image);
                if !matches!(container.stage, Stage::Waiting(_)) {
                    container.restart(config, now);
                }
            }
            if let Stage::Waiting(at) = container.stage
                && at <= now
                && !broken.contains(&container.image)
            {
                container.stage = Stage::Running(now + config.ready_after);
                container.started_at = time.clone();
            }
            if let Stage::Running(at) = container.stage
                && at <= now
            {
                container.stage = Stage::Ready;
            }
        }
    }

    /// When something happens next.
    pub(super) fn due(&self, broken: &BTreeSet<String>) -> Option<Instant> {
        let stages = self
            .containers
            .iter()
            .filter_map(|container| match container.stage {
                Stage::Waiting(_) if broken.contains(&container.image) => None,
                Stage::Waiting(at) | Stage::Running(at) => Some(at),
                Stage::Ready => None,
            });
        stages.chain(self.stop).min()
    }

    /// The status as it should be: a strategic merge patch.
    pub(super) fn status(&self, pod: &Value, broken: &BTreeSet<String>, time: &Value) -> Value {
        let statuses: Vec<_> = self
            .containers
            .iter()
            .map(|container| container.status(text(pod, &["metadata", "uid"]), broken))
            .collect();
        let ready = self
            .containers
            .iter()
            .all(|container| container.stage == Stage::Ready);
        let gates = items(pod, &["spec", "readinessGates"]).iter().all(|gate| {
            let name = &gate["conditionType"];
            let conditions = items(pod, &["status", "conditions"]);
            conditions
                .iter()
                .any(|one| one["type"] == *name && one["status"] == json!("True"))
        });
        let started = self
            .containers
            .iter()
            .all(|container| !container.started_at.is_null());
        let had_started = text(pod, &["status", "phase"]) == "Running";
        let conditions = [
            ("PodScheduled", true),
            ("Initialized", true),
            ("ContainersReady", ready),
            ("Ready", ready && gates),
        ];
        json!({
            "phase": if started || had_started { "Running" } else { "Pending" },
            "hostIP": "10.0.0.1",
            "startTime": pod["status"].get("startTime").unwrap_or(time),
            "conditions": conditions.map(|(kind, holds)| condition(pod, kind, holds, time)),
            "containerStatuses": statuses,
        })
    }
}

/// A condition; its transition time changes only with its status.
pub(super) fn condition(object: &Value, kind: &str, holds: bool, time: &Value) -> Value {
    let status = if holds { "True" } else { "False" };
    let present = items(object, &["status", "conditions"]).iter();
    let same = present
        .filter(|one| text(one, &["type"]) == kind && text(one, &["status"]) == status)
        .find_map(|one| one.get("lastTransitionTime"));
    json!({ "type": kind, "status": status, "lastTransitionTime": same.unwrap_or(time) })
}

impl Container {
    fn restart(&mut self, config: &ClusterConfig, now: Instant) {
        self.stage = Stage::Waiting(now + config.start_after);
        self.number += 1;
        self.restarted = true;
    }

    fn id(&self, uid: &str, number: u32) -> String {
        format!("containerd://{uid}-{}-{number}", self.name)
    }

    fn status(&self, uid: &str, broken: &BTreeSet<String>) -> Value {
        let mut status = json!({
            "name": self.name,
            "image": self.image,
            "imageID": "",
            "ready": self.stage == Stage::Ready,
            "restartCount": self.number,
            "lastState": {},
        });
        if self.restarted {
            let last = self.id(uid, self.number.saturating_sub(1));
            status["lastState"] =
                json!({ "terminated": { "exitCode": 0, "reason": "Completed", "containerID": last } });
        }
        if let Stage::Waiting(_) = self.stage {
            let reason = if broken.contains(&self.image) {
                "ImagePullBackOff"
            } else {
                "ContainerCreating"
            };
            status["state"] = json!({ "waiting": { "reason": reason } });
            status["started"] = json!(false);
        } else {
            status["state"] = json!({ "running": { "startedAt": self.started_at } });
            status["started"] = json!(true);
            status["imageID"] = json!(format!("sha256:{}", self.image));
            status["containerID"] = json!(self.id(uid, self.number));
        }
        status
    }
}
