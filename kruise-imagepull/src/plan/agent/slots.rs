//! Which queued tasks start.

use std::collections::{HashMap, HashSet};
use std::fmt;

use jiff::Timestamp;
use kruise_cri::Reference;

use super::{Agent, AgentAction, Entry, RunId, State};
use crate::api::ImageKey;
use crate::plan::time::stamp;

/// Why a task is queued. Its text goes into the status.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Wait {
    /// As many workers run as may.
    Slot,
    /// As many workers pull from this registry as may.
    Registry(String),
    /// Another task of this node pulls the same image.
    SameImage,
}

impl fmt::Display for Wait {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Slot => f.write_str("waits for other pulls of this node"),
            Self::Registry(registry) => write!(f, "waits for other pulls from {registry}"),
            Self::SameImage => f.write_str("waits for another pull of the same image"),
        }
    }
}

/// What running workers keep others from.
#[derive(Default)]
struct Taken {
    references: HashSet<Reference>,
    registries: HashMap<String, usize>,
}

impl Taken {
    fn take(&mut self, reference: &Reference) {
        self.references.insert(reference.clone());
        *self.registries.entry(reference.domain().to_owned()).or_default() += 1;
    }
}

impl Agent {
    /// Starts queued tasks, oldest first, as far as workers may be added; never two with one reference. A task that may
    /// not start lets those behind it pass if they may.
    pub(super) fn fill_slots(&mut self, actions: &mut Vec<AgentAction>, now: Timestamp) {
        let mut taken = Taken::default();
        for entry in self.entries.values() {
            if let (State::Running { .. }, Some(task)) = (&entry.state, &entry.task) {
                taken.take(&task.reference);
            }
        }
        let (max, max_per_registry) = (self.max_pulls, self.max_pulls_per_registry);
        let wait = |taken: &Taken, reference: &Reference| {
            let registry = reference.domain();
            let of_registry = taken.registries.get(registry).copied().unwrap_or(0);
            if max.is_some_and(|max| taken.references.len() >= max) {
                Some(Wait::Slot)
            } else if taken.references.contains(reference) {
                Some(Wait::SameImage)
            } else if max_per_registry.is_some_and(|max| of_registry >= max) {
                Some(Wait::Registry(registry.to_owned()))
            } else {
                None
            }
        };
        let mut queued: Vec<(&ImageKey, &mut Entry)> = self
            .entries
            .iter_mut()
            .filter(|(_, entry)| matches!(entry.state, State::Queued(_)))
            .collect();
        queued.sort_by(|a, b| (a.1.created_at, a.0).cmp(&(b.1.created_at, b.0)));
        for (_, entry) in queued {
            let Some(task) = entry.task.clone() else { continue };
            if let Some(wait) = wait(&taken, &task.reference) {
                entry.state = State::Queued(Some(wait));
                continue;
            }
            taken.take(&task.reference);
            self.runs += 1;
            let run = RunId(self.runs);
            entry.state = State::Running {
                run,
                started: stamp(now),
                progress: 0,
                message: String::new(),
            };
            actions.push(AgentAction::Start { run, task });
        }
    }
}
