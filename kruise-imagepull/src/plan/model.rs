//! The planners against a small world: a server that applies patches, a cache that lags behind it, nodes that answer or
//! not, managers that restart. What must hold whatever happens is checked after every step.

use std::collections::BTreeMap;

use kruise_core::runtime::version_at_least;
use proptest::collection::vec;
use proptest::prelude::*;

use super::job::{JobContext, JobPlanConfig, plan_job, status_differs};
use super::nodeimage::{NodeFacts, NodeImageAction, NodeImagePlanConfig, OwnerState, plan_node_image};
use crate::api::{ImageKey, ImagePullJob, NodeImage, PullPhase};
use crate::fixtures::{NodeImageExt as _, at, job_from, node, time};
use crate::plan::status_patch::{recount, status_merge_patch};

#[derive(Clone, Debug)]
enum Step {
    /// The job controller looks at a job.
    Reconcile(usize),
    /// The cache sees the next events.
    Deliver(usize),
    /// The agent of a node moves its tasks on.
    Work {
        node: usize,
        succeeds: bool,
    },
    /// The NodeImage controller looks at a node.
    Maintain(usize),
    Wait(i64),
    AddNode(usize),
    RemoveNode(usize),
    /// The manager starts anew: it forgets what it wrote, and lists.
    Restart,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        6 => (0..2_usize).prop_map(Step::Reconcile),
        4 => (1..4_usize).prop_map(Step::Deliver),
        6 => (0..8_usize, any::<bool>()).prop_map(|(node, succeeds)| Step::Work { node, succeeds }),
        2 => (0..8_usize).prop_map(Step::Maintain),
        2 => (1..700_i64).prop_map(Step::Wait),
        2 => (0..8_usize).prop_map(Step::AddNode),
        1 => (0..8_usize).prop_map(Step::RemoveNode),
        1 => Just(Step::Restart),
    ];
    vec(step, 1..120)
}

struct World {
    now: i64,
    jobs: Vec<ImagePullJob>,
    server: BTreeMap<String, NodeImage>,
    cache: BTreeMap<String, NodeImage>,
    /// Changes that the cache has not seen.
    pending: std::collections::VecDeque<(String, Option<NodeImage>)>,
    /// Per job, what has to come back before it decides again: name and version.
    expected: Vec<Vec<(String, String)>>,
    /// Per job and node, how often the task was handed out.
    dispatched: BTreeMap<(usize, String), usize>,
    created: usize,
    dead: Vec<String>,
}

impl World {
    fn new(jobs: Vec<ImagePullJob>) -> Self {
        Self {
            now: 0,
            expected: vec![Vec::new(); jobs.len()],
            jobs,
            server: BTreeMap::new(),
            cache: BTreeMap::new(),
            pending: Default::default(),
            dispatched: BTreeMap::new(),
            created: 0,
            dead: Vec::new(),
        }
    }

    fn put(&mut self, name: &str, object: Option<NodeImage>) {
        match object.clone() {
            Some(object) => self.server.insert(name.to_owned(), object),
            None => self.server.remove(name),
        };
        self.pending.push_back((name.to_owned(), object));
    }

    fn deliver(&mut self, count: usize) {
        for (name, object) in self.pending.drain(..count.min(self.pending.len())) {
            match object {
                Some(object) => self.cache.insert(name, object),
                None => self.cache.remove(&name),
            };
        }
    }

    fn step(&mut self, step: Step) {
        match step {
            Step::Reconcile(job) => self.reconcile(job),
            Step::Deliver(count) => self.deliver(count),
            Step::Work { node, succeeds } => self.work(&format!("n{node}"), succeeds),
            Step::Maintain(node) => self.maintain(&format!("n{node}")),
            Step::Wait(seconds) => self.now += seconds,
            Step::AddNode(index) => {
                let name = format!("n{index}");
                if !self.server.contains_key(&name) {
                    self.created += 1;
                    let mut new = node(&name);
                    new.metadata.uid = Some(format!("{name}-{}", self.created));
                    // Versions grow over the whole server.
                    new.metadata.resource_version = Some((self.created * 1000).to_string());
                    self.put(&name, Some(new));
                }
            }
            Step::RemoveNode(index) => {
                let name = format!("n{index}");
                if self.server.contains_key(&name) {
                    self.put(&name, None);
                }
            }
            Step::Restart => {
                self.expected.iter_mut().for_each(Vec::clear);
                self.deliver(usize::MAX);
            }
        }
    }

    fn reconcile(&mut self, index: usize) {
        let index = index % self.jobs.len();
        let cache = &self.cache;
        self.expected[index].retain(|(name, version)| {
            let gone_for_good = !self.server.contains_key(name) && !cache.contains_key(name);
            let seen = cache.get(name).is_some_and(|node| {
                version_at_least(
                    node.metadata.resource_version.as_deref().unwrap_or_default(),
                    version,
                )
            });
            !gone_for_good && !seen
        });
        if !self.expected[index].is_empty() {
            return;
        }
        let job = self.jobs[index].clone();
        let cache = self.cache.clone();
        let plan = plan_job(
            &job,
            cache.values(),
            &JobContext::default(),
            at(self.now),
            &JobPlanConfig::default(),
            1,
        );
        for dispatch in &plan.dispatch {
            let name = dispatch.node_image.metadata.name.clone().expect("named");
            let Some(current) = self.server.get(&name) else {
                continue;
            };
            if current.metadata.uid != dispatch.node_image.metadata.uid {
                continue;
            }
            if let Ok(after) = current.patched(&dispatch.patch) {
                // If the answer was lost, a look at the server would give this version too.
                let version = after.metadata.resource_version.clone().unwrap_or_default();
                self.expected[index].push((name.clone(), version));
                *self.dispatched.entry((index, name.clone())).or_default() += 1;
                self.put(&name, Some(after));
            }
        }
        if let Some(status) = plan.status.filter(|_| plan.dispatch.is_empty())
            && status_differs(job.status.as_ref(), &status)
        {
            self.jobs[index].status = Some(status);
        }
    }

    fn work(&mut self, name: &str, succeeds: bool) {
        let Some(mut object) = self
            .server
            .get(name)
            .cloned()
            .filter(|_| !self.dead.contains(&name.to_owned()))
        else {
            return;
        };
        let mut status = object.status.clone().unwrap_or_default();
        status.image_statuses.clear();
        for (image, tasks) in &object.spec.images {
            for task in &tasks.tags {
                let known = object
                    .result(image, &task.tag)
                    .filter(|result| result.version == task.version)
                    .cloned();
                let next = match known {
                    Some(result) if result.is_terminal() => result,
                    Some(mut result) => {
                        result.phase = if succeeds {
                            PullPhase::Succeeded
                        } else {
                            PullPhase::Failed
                        };
                        result.completion_time = Some(time(self.now));
                        result
                    }
                    None => crate::api::ImageTagStatus {
                        tag: task.tag.clone(),
                        version: task.version,
                        phase: PullPhase::Pulling,
                        start_time: Some(time(self.now)),
                        ..Default::default()
                    },
                };
                status
                    .image_statuses
                    .entry(image.clone())
                    .or_default()
                    .tags
                    .push(next);
            }
        }
        recount(&object, &mut status);
        if let Some(patch) = status_merge_patch(object.status.as_ref(), &status) {
            object = object.merged(&patch);
            self.put(name, Some(object));
        }
    }

    fn maintain(&mut self, name: &str) {
        let Some(seen) = self.cache.get(name).cloned() else {
            return;
        };
        let facts = NodeFacts {
            ready_since: Some(at(-9999)),
            ..Default::default()
        };
        let owner = |reference: &k8s_openapi::api::core::v1::ObjectReference| {
            let job = self.jobs.iter().find(|job| job.metadata.uid == reference.uid);
            match job {
                None => OwnerState::Gone,
                Some(job) if job.status.as_ref().is_some_and(|s| s.completion_time.is_some()) => {
                    OwnerState::Settled
                }
                Some(_) => OwnerState::Running,
            }
        };
        let config = NodeImagePlanConfig::default();
        let plan = plan_node_image(name, Some(&facts), Some(&seen), owner, at(self.now), &config, 1);
        for action in plan.actions {
            let Some(current) = self.server.get(name) else {
                return;
            };
            let fresh = current.metadata.resource_version == seen.metadata.resource_version;
            let after = match action {
                NodeImageAction::Spec(patch) => current.patched(&patch).ok(),
                NodeImageAction::Status { patch, .. } if fresh => {
                    let patch = serde_json::json!({ "status": patch["status"] });
                    Some(current.merged(&patch))
                }
                _ => None,
            };
            if let Some(after) = after {
                self.put(name, Some(after));
            }
        }
    }

    /// Nodes that have the task of the job and no final result, as the server knows.
    fn active(&self, index: usize) -> usize {
        let job = &self.jobs[index];
        let key = ImageKey::parse(&job.spec.image).expect("readable");
        self.server
            .values()
            .filter(|node| {
                let Some(task) = node.task(&key.name, &key.tag) else {
                    return false;
                };
                let owned = task
                    .owner_references
                    .iter()
                    .any(|owner| owner.uid == job.metadata.uid);
                let result = node
                    .result(&key.name, &key.tag)
                    .filter(|result| result.version == task.version);
                owned && !result.is_some_and(crate::api::ImageTagStatus::is_terminal)
            })
            .count()
    }

    fn completed(&self) -> bool {
        self.jobs.iter().all(|job| {
            job.status
                .as_ref()
                .is_some_and(|status| status.completion_time.is_some())
        })
    }

    /// Everybody does their part, again and again, until all jobs are completed.
    fn settle(&mut self, seconds: i64) {
        for _ in 0..400 {
            if self.completed() {
                return;
            }
            self.deliver(usize::MAX);
            let names: Vec<_> = self.server.keys().cloned().collect();
            for name in &names {
                self.work(name, true);
                self.deliver(usize::MAX);
                self.maintain(name);
            }
            self.deliver(usize::MAX);
            for index in 0..self.jobs.len() {
                self.reconcile(index);
            }
            self.now += seconds;
        }
        panic!(
            "jobs are still running: {:?}",
            self.jobs.iter().map(|job| &job.status).collect::<Vec<_>>()
        );
    }
}

fn jobs(parallelism: [u32; 2], images: [&str; 2]) -> Vec<ImagePullJob> {
    std::iter::zip(parallelism, images)
        .enumerate()
        .map(|(index, (parallelism, image))| {
            job_from(
                &format!("job{index}"),
                &format!("{{image: '{image}', parallelism: {parallelism}}}"),
            )
        })
        .collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 192, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn kruise_2208_never_more_than_parallelism_nodes_are_active(
        steps in steps(), first in 1..4_u32, second in 1..4_u32,
    ) {
        let mut world = World::new(jobs([first, second], ["nginx:1", "nginx:2"]));
        for step in steps {
            world.step(step.clone());
            for (index, limit) in [first, second].into_iter().enumerate() {
                let active = world.active(index);
                prop_assert!(active <= limit as usize, "job {index} has {active} of {limit} after {step:?}");
            }
        }
    }

    #[test]
    fn every_always_job_ends_whatever_happened_before_and_whoever_is_dead(
        steps in steps(), dead in vec(0..8_usize, 0..3),
    ) {
        let mut world = World::new(jobs([1, 3], ["nginx:1", "nginx:1"]));
        for step in steps {
            world.step(step);
        }
        world.dead = dead.into_iter().map(|index| format!("n{index}")).collect();
        world.settle(97);
    }

    #[test]
    fn kruise_1517_two_jobs_on_one_image_never_lose_each_others_entries(steps in steps()) {
        let mut world = World::new(jobs([3, 3], ["nginx:1", "nginx:1"]));
        for step in steps {
            let before = world.server.clone();
            // Results and tasks of completed jobs may go; while both run, nothing may.
            let running = !world.jobs.iter().any(|job| job.status.as_ref().is_some_and(|s| s.completion_time.is_some()));
            world.step(step.clone());
            for (name, old) in before.iter().filter(|_| running) {
                let Some(new) = world.server.get(name) else { continue };
                let owners = |node: &NodeImage| {
                    node.task("nginx", "1").map(|task| task.owner_references.clone()).unwrap_or_default()
                };
                prop_assert!(owners(old).iter().all(|owner| owners(new).contains(owner)), "{step:?}");
                let version = |node: &NodeImage| node.task("nginx", "1").map_or(-1, |task| task.version);
                prop_assert!(version(new) >= version(old), "{step:?}");
            }
        }
    }
}

#[test]
fn kruise_1517_a_job_that_outlives_its_results_hands_out_each_task_once() {
    let spec = "{image: 'nginx:1', completionPolicy: {ttlSecondsAfterFinished: 0}}";
    let mut world = World::new(vec![job_from("job0", spec)]);
    for index in 0..8 {
        world.step(Step::AddNode(index));
    }
    // A result lives 300 to 599 s, and the whole job takes 8 rounds of at least 200 s.
    world.settle(200);
    assert!(world.now > 1500, "{}", world.now);
    let counts: Vec<_> = world.dispatched.values().copied().collect();
    assert_eq!(counts, [1; 8]);
    let status = world.jobs[0].status.clone().expect("there");
    assert_eq!(
        (status.succeeded, status.message.as_str()),
        (8, "job has completed")
    );
}
