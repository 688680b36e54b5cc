//! The agent under random changes of its NodeImage and random ends of its workers.

use std::collections::{BTreeMap, BTreeSet};

use proptest::collection::vec;
use proptest::prelude::*;

use super::*;
use crate::fixtures::{NodeImageExt as _, at, node, task};
use crate::plan::nodeimage::MESSAGE_NO_RESPONSE;

#[derive(Clone, Debug)]
enum Step {
    /// The spec holds these tags at these versions; index 0 and 1 are two names of one reference.
    Spec(Vec<(usize, i64)>),
    /// One of the running workers ends.
    End(usize),
    /// Somebody erases the status.
    Erase,
    /// Somebody fails one of the tasks: the manager, or another who is not believed.
    Fail(usize, bool),
    Replace,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        3 => vec((0..6_usize, 0..3_i64), 0..6).prop_map(Step::Spec),
        4 => (0..8_usize).prop_map(Step::End),
        1 => Just(Step::Erase),
        1 => (0..6_usize, any::<bool>()).prop_map(|(index, manager)| Step::Fail(index, manager)),
        1 => Just(Step::Replace),
    ]
}

/// Key of a task by number; the first two mean the same image.
fn name(index: usize) -> &'static str {
    [
        "nginx",
        "docker.io/library/nginx",
        "a.io/b",
        "a.io/c",
        "a.io/d",
        "a.io/e",
    ]
    .get(index)
    .copied()
    .unwrap_or("x")
}

/// What nobody but a forger writes.
const FORGED: &str = "forged";

struct World {
    agent: Agent,
    object: NodeImage,
    running: BTreeMap<RunId, Reference>,
    uid: usize,
}

impl World {
    fn take(&mut self, actions: Vec<AgentAction>) -> Result<(), TestCaseError> {
        for action in actions {
            match action {
                AgentAction::Start { run, task } => {
                    prop_assert!(
                        !self
                            .running
                            .values()
                            .any(|reference| *reference == task.reference)
                    );
                    prop_assert!(self.running.insert(run, task.reference.clone()).is_none());
                }
                AgentAction::Stop(run) => prop_assert!(self.running.remove(&run).is_some()),
            }
        }
        Ok(())
    }

    fn observe(&mut self) -> Result<(), TestCaseError> {
        let actions = self.agent.observe(Some(&self.object), at(3000));
        self.take(actions)?;
        self.object.status = Some(self.agent.status(&self.object));
        Ok(())
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn workers_are_bounded_and_every_task_is_reported_and_ends(steps in vec(step(), 1..60), limit in 1..4_usize, of_registry in 1..3_usize) {
        let agent = Agent::new(Some(limit)).per_registry(Some(of_registry));
        let mut world = World { agent, object: node("n"), running: BTreeMap::new(), uid: 0 };
        for step in steps {
            match step {
                Step::Spec(tags) => {
                    let wanted: BTreeMap<usize, i64> = tags.into_iter().collect();
                    let status = world.object.status.take();
                    let uid = world.object.metadata.uid.clone();
                    world.object = wanted.iter().fold(node("n"), |node, (index, version)| {
                        node.with_task(name(*index), task("latest", *version, &["j"]))
                    });
                    world.object.metadata.uid = uid;
                    world.object.status = status;
                }
                Step::End(index) => {
                    let run = world.running.keys().nth(index % world.running.len().max(1)).copied();
                    if let Some(run) = run {
                        world.running.remove(&run);
                        let outcome = PullOutcome::Succeeded { image_id: String::new() };
                        let actions = world.agent.finished(run, outcome, at(1));
                        world.take(actions)?;
                    }
                }
                Step::Erase => world.object.status = None,
                Step::Fail(index, manager) => {
                    let status = world.object.status.get_or_insert_default();
                    for result in status.image_statuses.get_mut(name(index)).into_iter().flat_map(|image| &mut image.tags) {
                        result.phase = PullPhase::Failed;
                        result.message = if manager { MESSAGE_NO_RESPONSE.into() } else { FORGED.into() };
                        result.completion_time = Some(stamp(at(2)));
                    }
                }
                Step::Replace => {
                    world.uid += 1;
                    world.object.metadata.uid = Some(world.uid.to_string());
                    world.object.status = None;
                }
            }
            world.observe()?;
            prop_assert!(world.running.len() <= limit);
            for reference in world.running.values() {
                let of_same = world.running.values().filter(|other| other.domain() == reference.domain()).count();
                prop_assert!(of_same <= of_registry, "{reference}");
            }
            let reported = world.object.status.iter().flat_map(|status| &status.image_statuses).flat_map(|(_, image)| &image.tags);
            for result in reported {
                prop_assert!(result.message != FORGED, "memory wins over what others write");
                prop_assert!(result.phase != PullPhase::Waiting || !result.message.is_empty(), "who waits says what for");
                prop_assert_eq!(result.is_terminal(), matches!(result.phase, PullPhase::Succeeded | PullPhase::Failed));
            }
            prop_assert_eq!(world.agent.load().0, world.running.len());
            let facts = |results: Vec<(&str, &str, i64)>| results.into_iter().map(|(a, b, c)| (a.to_owned(), b.to_owned(), c)).collect::<BTreeSet<_>>();
            let spec = world.object.spec.images.iter()
                .flat_map(|(name, image)| image.tags.iter().map(move |task| (name.as_str(), task.tag.as_str(), task.version)))
                .collect();
            let status = world.object.status.iter().flat_map(|status| &status.image_statuses)
                .flat_map(|(name, image)| image.tags.iter().map(move |r| (name.as_str(), r.tag.as_str(), r.version)))
                .collect();
            prop_assert_eq!(facts(spec), facts(status), "each task is reported with its version, and nothing else");
        }
        // Workers end one after the other, and then everything has ended.
        for _ in 0..16 {
            if let Some(run) = world.running.pop_first().map(|(run, _)| run) {
                let actions = world.agent.finished(run, PullOutcome::Failed { message: "m".into() }, at(3));
                world.take(actions)?;
            }
        }
        prop_assert_eq!(world.agent.load(), (0, 0));
    }
}
