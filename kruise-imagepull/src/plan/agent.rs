//! What the agent of one node does: which pulls it starts and stops, and what it reports.
//!
//! [`Agent`] holds one entry per task of the NodeImage. It is told of every change of the object and of everything the
//! workers say, and answers with actions. It knows nothing of runtimes, clients or time.
//!
//! ```text
//!            observe: new task or new version
//!                        │
//!                        ▼          a slot is free, here and for      worker ended
//!   result of ──▶     Queued ─────▶ the registry, and nobody ▶ Running ─────────────▶ Done
//!   this version         │          pulls the same reference      │
//!   in the object        └──────────── task gone, new version, or failed by the manager: Stop
//!   ──▶ Done
//! ```
//! # Whom it believes
//! A final result of the current version that is in the object when the agent starts stands: an earlier life of the agent
//! has written it, or the manager in its absence. From then on the memory of the agent counts, and a status that differs
//! from it is written again. The one exception are the two failures by which managers end tasks of silent nodes, as far as
//! the manager can have meant this task at this time (`foreign.rs` has the rules): the job counts the node as failed then
//! and has given its slot to another, so going on would exceed `parallelism`.

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::ObjectReference;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kruise_cri::Reference;

use self::foreign::is_of_the_manager;
use self::slots::Wait;
use super::status_patch::recount;
use super::time::stamp;
use crate::api::{
    ImageKey, ImagePullPolicy, ImageSpec, ImageTagPullPolicy, ImageTagSpec, ImageTagStatus, NodeImage,
    NodeImageStatus, PullPhase, SandboxConfig, SecretReference,
};

mod foreign;
#[cfg(test)]
mod model;
pub mod retry;
mod slots;
#[cfg(test)]
mod tests;

/// Identifies one start of one worker, so that what a stopped worker still says is not taken for news.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RunId(u64);

/// Everything a worker needs to know of its task.
#[derive(Clone, Debug, PartialEq)]
pub struct PullTask {
    /// Key of the task in the NodeImage.
    pub key: ImageKey,
    /// Round of the task.
    pub version: i64,
    /// When this round was asked for, by the clock of who did.
    pub created_at: Option<Timestamp>,
    /// What to pull; the runtime gets its full form.
    pub reference: Reference,
    /// Limits.
    pub policy: ImageTagPullPolicy,
    /// An image that is on the node already is enough.
    pub accept_present: bool,
    /// What the runtime is told of the pods that the image is for.
    pub sandbox: SandboxConfig,
    /// Secrets to look for credentials in.
    pub secrets: Vec<SecretReference>,
    /// Whom to tell about a failure.
    pub owners: Vec<ObjectReference>,
}

/// What to do next.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum AgentAction {
    /// Start a worker.
    Start {
        /// Names the worker in what it says later.
        run: RunId,
        /// Its task.
        task: Arc<PullTask>,
    },
    /// Stop a worker; nothing it says counts any more.
    Stop(RunId),
}

/// How a worker ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PullOutcome {
    /// The image is on the node.
    Succeeded {
        /// Id of the image in the runtime, if it told one.
        image_id: String,
    },
    /// The worker gave up.
    Failed {
        /// Why; goes to the status as it is, so it must hold no secrets.
        message: String,
    },
}

/// The tasks of one node. See the [module](self).
#[derive(Debug)]
pub struct Agent {
    max_pulls: Option<usize>,
    max_pulls_per_registry: Option<usize>,
    uid: Option<String>,
    entries: BTreeMap<ImageKey, Entry>,
    runs: u64,
}

#[derive(Debug)]
struct Entry {
    version: i64,
    created_at: Option<Timestamp>,
    task: Option<Arc<PullTask>>,
    /// The object has shown that this version is being worked on.
    published: bool,
    state: State,
}

#[derive(Debug)]
enum State {
    Queued(Option<Wait>),
    Running {
        run: RunId,
        started: Time,
        progress: i32,
        message: String,
    },
    Done(ImageTagStatus),
}

impl Agent {
    /// Makes an agent without tasks that runs at most `max_pulls` workers at once, any number if `None`.
    pub fn new(max_pulls: Option<usize>) -> Self {
        Self {
            max_pulls,
            max_pulls_per_registry: None,
            uid: None,
            entries: BTreeMap::new(),
            runs: 0,
        }
    }

    /// Limits the workers that may pull from one registry host at once; `None` is no limit.
    #[must_use]
    pub fn per_registry(mut self, max_pulls: Option<usize>) -> Self {
        self.max_pulls_per_registry = max_pulls;
        self
    }

    /// Takes in the newest NodeImage (`None` if it does not exist) and returns what to do.
    pub fn observe(&mut self, node_image: Option<&NodeImage>, now: Timestamp) -> Vec<AgentAction> {
        let mut actions = Vec::new();
        let uid = node_image.and_then(|node_image| node_image.metadata.uid.clone());
        // Versions start again in a new object of the same name, so nothing that is known fits it.
        let replaced = self.uid != uid;
        self.uid = uid;
        let wanted: BTreeMap<ImageKey, (&ImageSpec, &ImageTagSpec)> = node_image
            .into_iter()
            .flat_map(|node_image| &node_image.spec.images)
            .flat_map(|(name, image)| {
                image
                    .tags
                    .iter()
                    .map(move |task| (ImageKey::from_parts(name, &task.tag), (image, task)))
            })
            .collect();
        self.entries.retain(|key, entry| {
            let keep = !replaced
                && wanted
                    .get(key)
                    .is_some_and(|(_, task)| task.version == entry.version);
            if let (false, State::Running { run, .. }) = (keep, &entry.state) {
                actions.push(AgentAction::Stop(*run));
            }
            keep
        });
        for (key, (image, task)) in wanted {
            let result = node_image
                .and_then(|node_image| node_image.result(&key.name, &key.tag))
                .filter(|result| result.version == task.version);
            self.take_in(key, image, task, result, &mut actions, now);
        }
        self.fill_slots(&mut actions, now);
        actions
    }

    /// Takes in how far a worker is. Returns whether that is news.
    pub fn progressed(&mut self, run: RunId, new_progress: i32, new_message: &str) -> bool {
        let states = self.entries.values_mut().map(|entry| &mut entry.state);
        for state in states {
            match state {
                State::Running {
                    run: current,
                    progress,
                    message,
                    ..
                } if *current == run => {
                    let new_progress = new_progress.clamp(0, 100);
                    let news = *progress != new_progress || message != new_message;
                    *progress = new_progress;
                    new_message.clone_into(message);
                    return news;
                }
                _ => {}
            }
        }
        false
    }

    /// Takes in the end of a worker and returns what to do next. What a stopped worker says is ignored.
    pub fn finished(&mut self, run: RunId, outcome: PullOutcome, now: Timestamp) -> Vec<AgentAction> {
        let mut actions = Vec::new();
        let entry = self.entries.iter_mut().find(
            |(_, entry)| matches!(&entry.state, State::Running { run: current, .. } if *current == run),
        );
        let Some((key, entry)) = entry else { return actions };
        let State::Running {
            started, progress, ..
        } = &entry.state
        else {
            return actions;
        };
        let mut result = ImageTagStatus {
            tag: key.tag.clone(),
            version: entry.version,
            start_time: Some(started.clone()),
            completion_time: Some(stamp(now)),
            ..ImageTagStatus::default()
        };
        match outcome {
            PullOutcome::Succeeded { image_id } => {
                result.phase = PullPhase::Succeeded;
                result.progress = 100;
                if !image_id.is_empty() {
                    result.image_id = format!("{}@{image_id}", key.name);
                }
            }
            PullOutcome::Failed { message } => {
                result.phase = PullPhase::Failed;
                result.progress = *progress;
                result.message = message;
            }
        }
        entry.state = State::Done(result);
        self.fill_slots(&mut actions, now);
        actions
    }

    /// Returns the status the NodeImage ought to have.
    pub fn status(&self, node_image: &NodeImage) -> NodeImageStatus {
        let mut status = NodeImageStatus::default();
        // The map is sorted by image name and tag, and so is the result.
        for (key, entry) in &self.entries {
            let result = match &entry.state {
                State::Done(result) => result.clone(),
                State::Queued(wait) => ImageTagStatus {
                    tag: key.tag.clone(),
                    version: entry.version,
                    phase: PullPhase::Waiting,
                    message: wait.as_ref().map(Wait::to_string).unwrap_or_default(),
                    ..ImageTagStatus::default()
                },
                State::Running {
                    started,
                    progress,
                    message,
                    ..
                } => ImageTagStatus {
                    tag: key.tag.clone(),
                    version: entry.version,
                    phase: PullPhase::Pulling,
                    progress: *progress,
                    start_time: Some(started.clone()),
                    message: message.clone(),
                    ..ImageTagStatus::default()
                },
            };
            status
                .image_statuses
                .entry(key.name.clone())
                .or_default()
                .tags
                .push(result);
        }
        recount(node_image, &mut status);
        status
    }

    /// Returns how many workers run and how many tasks are queued.
    pub fn load(&self) -> (usize, usize) {
        self.entries
            .values()
            .fold((0, 0), |(running, queued), entry| match entry.state {
                State::Running { .. } => (running + 1, queued),
                State::Queued(_) => (running, queued + 1),
                State::Done(_) => (running, queued),
            })
    }

    fn take_in(
        &mut self,
        key: ImageKey,
        image: &ImageSpec,
        task: &ImageTagSpec,
        result: Option<&ImageTagStatus>,
        actions: &mut Vec<AgentAction>,
        now: Timestamp,
    ) {
        let created_at = task.created_at.as_ref().map(|time| time.0);
        let pull = pull_task(&key, image, task);
        let entry = self.entries.entry(key).or_insert_with(|| Entry {
            version: task.version,
            created_at,
            task: None,
            published: false,
            state: match result.filter(|result| result.is_terminal()) {
                // What an earlier life of this agent, or the manager in its absence, has said stands.
                Some(result) => State::Done(result.clone()),
                None => State::Queued(None),
            },
        });
        entry.created_at = created_at;
        if let Some(result) = result {
            let started = match &entry.state {
                State::Done(_) => None,
                State::Queued(_) => Some(None),
                State::Running { started, .. } => Some(entry.published.then_some(started)),
            };
            if !result.is_terminal() {
                entry.published = true;
            } else if started.is_some_and(|started| is_of_the_manager(result, task, started, now)) {
                if let State::Running { run, .. } = entry.state {
                    actions.push(AgentAction::Stop(run));
                }
                entry.state = State::Done(result.clone());
            }
        }
        match pull {
            Ok(pull) => entry.task = Some(Arc::new(pull)),
            Err(message) if matches!(entry.state, State::Queued(_)) => {
                entry.state = State::Done(ImageTagStatus {
                    tag: task.tag.clone(),
                    version: task.version,
                    phase: PullPhase::Failed,
                    completion_time: Some(stamp(now)),
                    message,
                    ..ImageTagStatus::default()
                });
            }
            Err(_) => {}
        }
    }
}

fn pull_task(key: &ImageKey, image: &ImageSpec, task: &ImageTagSpec) -> Result<PullTask, String> {
    let reference = key
        .reference()
        .map_err(|error| format!("the image name can not be read: {error}"))?;
    Ok(PullTask {
        key: key.clone(),
        version: task.version,
        created_at: task.created_at.as_ref().map(|time| time.0),
        reference,
        policy: task.pull_policy.clone().unwrap_or_default(),
        accept_present: task
            .image_pull_policy
            .as_ref()
            .is_some_and(ImagePullPolicy::accepts_present),
        sandbox: image.sandbox_config.clone().unwrap_or_default(),
        secrets: image.pull_secrets.clone(),
        owners: task.owner_references.clone(),
    })
}
