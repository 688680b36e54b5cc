//! How far a job is on each node, and what came of it.

use std::collections::BTreeMap;
use std::io::Write;
use std::time::Duration;

use jiff::Timestamp;
use kruise_imagepull::api::{ImageKey, ImagePullJob, NodeImage, PullPhase};

use crate::failure::{Failure, Result};
use crate::output::age;

/// How many names of a group are shown.
const SHOWN: usize = 5;

/// The progress of one image on one node that has the task.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Pull {
    pub(super) node: String,
    pub(super) phase: Phase,
    /// When the node began, and how long it took if it has ended.
    pub(super) began: Option<Timestamp>,
    pub(super) took: Option<Duration>,
    /// Percent, if the daemon reports it.
    pub(super) percent: i32,
    /// What the node says: bytes, what it waits for, or why it failed.
    pub(super) message: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    /// Its daemon has not said anything yet.
    Told,
    Waiting,
    Pulling,
    Succeeded,
    Failed,
}

impl Phase {
    pub(super) fn is_over(self) -> bool {
        matches!(self, Self::Succeeded | Self::Failed)
    }

    pub(super) fn word(self) -> &'static str {
        match self {
            Self::Told => "assigned",
            Self::Waiting => "waiting",
            Self::Pulling => "pulling",
            Self::Succeeded => "succeeded",
            Self::Failed => "failed",
        }
    }
}

/// How far one image is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Image {
    pub(super) image: String,
    pub(super) pulls: Vec<Pull>,
    /// Nodes that are selected.
    pub(super) desired: usize,
    pub(super) succeeded: usize,
    pub(super) failed: usize,
    pub(super) active: usize,
    /// Whether a manager has seen the job.
    pub(super) started: bool,
    /// Whether all nodes have ended.
    pub(super) over: bool,
    /// What the job says of itself.
    pub(super) message: String,
    /// Names of nodes that were asked for and do not exist.
    pub(super) unknown: Vec<String>,
}

impl Image {
    /// Looks at a job and the nodes.
    pub(super) fn of(job: &ImagePullJob, nodes: &[NodeImage]) -> Self {
        let status = job.status.clone().unwrap_or_default();
        let number = |count: i32| usize::try_from(count).unwrap_or(0);
        let started = status.start_time.is_some();
        let (desired, succeeded, failed) = (
            number(status.desired),
            number(status.succeeded),
            number(status.failed),
        );
        // A job that never ends by itself is followed to the end of its first round.
        let never = job.spec.completion_policy.is_never();
        let over = status.completion_time.is_some() || (never && started && succeeded + failed >= desired);
        let mut pulls: Vec<Pull> = nodes.iter().filter_map(|node| pull(job, node)).collect();
        for name in &status.failed_nodes {
            match pulls.iter_mut().find(|pull| pull.node == *name) {
                Some(pull) if !pull.phase.is_over() => late(pull),
                Some(_) => {}
                None => {
                    let mut pull = Pull {
                        node: name.clone(),
                        phase: Phase::Failed,
                        began: None,
                        took: None,
                        percent: 0,
                        message: String::new(),
                    };
                    late(&mut pull);
                    pulls.push(pull);
                }
            }
        }
        pulls.sort_by(|a, b| a.node.cmp(&b.node));
        let names = job
            .spec
            .selector
            .as_ref()
            .and_then(|selector| selector.names.clone())
            .unwrap_or_default();
        let exists = |name: &String| nodes.iter().any(|node| node.metadata.name.as_ref() == Some(name));
        Self {
            image: job.spec.image.clone(),
            pulls,
            desired,
            succeeded,
            failed,
            active: number(status.active),
            started,
            over,
            message: status.message,
            unknown: names.into_iter().filter(|name| !exists(name)).collect(),
        }
    }

    /// Whether all nodes that were asked for have the image.
    pub(super) fn is_good(&self) -> bool {
        self.over && self.desired > 0 && self.succeeded == self.desired && self.unknown.is_empty()
    }

    /// Failed nodes by reason, the most frequent first.
    fn reasons(&self) -> Vec<(String, Vec<String>)> {
        let mut groups: BTreeMap<&str, Vec<String>> = BTreeMap::new();
        for pull in self.pulls.iter().filter(|pull| pull.phase == Phase::Failed) {
            groups.entry(&pull.message).or_default().push(pull.node.clone());
        }
        let mut found: Vec<(String, Vec<String>)> = groups
            .into_iter()
            .map(|(reason, nodes)| match reason {
                "" => ("no reason given".to_owned(), nodes),
                reason => (reason.to_owned(), nodes),
            })
            .collect();
        if !self.unknown.is_empty() {
            found.push((
                "no such node, or it has no NodeImage".to_owned(),
                self.unknown.clone(),
            ));
        }
        found.sort_by(|a, b| b.1.len().cmp(&a.1.len()).then_with(|| a.0.cmp(&b.0)));
        found
    }
}

fn late(pull: &mut Pull) {
    pull.phase = Phase::Failed;
    pull.message = "the job ended before the node did".to_owned();
}

/// The progress of a node; `None` if it does not have the task.
fn pull(job: &ImagePullJob, node: &NodeImage) -> Option<Pull> {
    let key = ImageKey::parse(&job.spec.image).ok()?;
    let task = node.task(&key.name, &key.tag)?;
    let uid = job.metadata.uid.as_deref()?;
    task.owner_references
        .iter()
        .find(|owner| owner.uid.as_deref() == Some(uid))?;
    let mut pull = Pull {
        node: node.metadata.name.clone()?,
        phase: Phase::Told,
        began: None,
        took: None,
        percent: 0,
        message: String::new(),
    };
    // A result of another round says nothing of this one.
    if let Some(result) = node
        .result(&key.name, &key.tag)
        .filter(|result| result.version == task.version)
    {
        pull.phase = match (&result.phase, result.is_terminal()) {
            (PullPhase::Succeeded, true) => Phase::Succeeded,
            (PullPhase::Failed, true) => Phase::Failed,
            (PullPhase::Waiting, _) => Phase::Waiting,
            _ => Phase::Pulling,
        };
        pull.began = result.start_time.as_ref().map(|time| time.0);
        let ended = result.completion_time.as_ref().map(|time| time.0);
        let took = pull
            .began
            .zip(ended)
            .map(|(began, ended)| ended.duration_since(began));
        pull.took = took.and_then(|took| Duration::try_from(took).ok());
        pull.percent = result.progress;
        pull.message.clone_from(&result.message);
    }
    Some(pull)
}

/// What came of a job.
#[derive(Debug)]
pub(super) struct Report(pub(super) Vec<Image>);

impl Report {
    /// Prints what went well.
    ///
    /// # Errors
    /// What did not, grouped by reason.
    pub(super) fn finish(&self, out: &mut impl Write) -> Result<()> {
        let mut wrong = Vec::new();
        for image in &self.0 {
            if image.is_good() {
                writeln!(out, "{}: pulled on {}", image.image, nodes(image.desired))?;
                continue;
            }
            let mut text = match image.desired {
                0 if image.unknown.is_empty() => format!("{}: the job selects no node", image.image),
                desired => format!(
                    "{}: pulled on {} of {}",
                    image.image,
                    image.succeeded,
                    nodes(desired + image.unknown.len())
                ),
            };
            for (reason, names) in image.reasons() {
                text.push_str(&format!(
                    "\n  {}: {reason} ({})",
                    nodes(names.len()),
                    some(&names)
                ));
            }
            wrong.push(text);
        }
        if wrong.is_empty() {
            return Ok(());
        }
        let one = self
            .0
            .iter()
            .flat_map(|image| &image.pulls)
            .find(|pull| pull.phase == Phase::Failed);
        let next = match one {
            Some(pull) => format!("Details: kubectl get nodeimage {} -o yaml", pull.node),
            None => "List the nodes with: kubectl get nodeimages --show-labels".to_owned(),
        };
        Err(Failure::new(wrong.join("\n")).next(next))
    }
}

pub(super) fn nodes(count: usize) -> String {
    match count {
        1 => "1 node".to_owned(),
        count => format!("{count} nodes"),
    }
}

fn some(names: &[String]) -> String {
    let mut text = names.iter().take(SHOWN).cloned().collect::<Vec<_>>().join(", ");
    if names.len() > SHOWN {
        text.push_str(&format!(" and {} more", names.len() - SHOWN));
    }
    text
}

/// What is said of a node in a line: `pulling for 8s: 12 MiB so far`.
pub(super) fn line(pull: &Pull, now: Timestamp) -> String {
    let mut text = pull.phase.word().to_owned();
    let going = pull
        .began
        .and_then(|began| Duration::try_from(now.duration_since(began)).ok());
    match (pull.took, going) {
        (Some(took), _) if pull.phase == Phase::Succeeded => text.push_str(&format!(" in {}", age(took))),
        (Some(took), _) => text.push_str(&format!(" after {}", age(took))),
        (None, Some(going)) if pull.phase == Phase::Pulling => text.push_str(&format!(" for {}", age(going))),
        _ => {}
    }
    if pull.phase == Phase::Pulling && pull.percent > 0 {
        text.push_str(&format!(", {}%", pull.percent));
    }
    if !pull.message.is_empty() && pull.phase != Phase::Succeeded {
        text.push_str(&format!(": {}", pull.message));
    }
    text
}
