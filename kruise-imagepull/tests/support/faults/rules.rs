//! What must hold at any time, and what once nothing happens any more.

use std::collections::{BTreeMap, BTreeSet};

use k8s_openapi::api::core::v1::{Node, Secret};
use kruise_core::testing::simulate::World;
use kruise_imagepull::api::{ImageKey, ImagePullJob, ImageTagSpec, NodeImage, parse_parallelism};

use super::managers::COPIES;

/// What is remembered from one write to the next.
#[derive(Debug, Default)]
pub(crate) struct Memory {
    /// The most that a job was ever allowed, by its uid.
    limits: BTreeMap<String, u32>,
    /// The version that a job's task had on a node at first, by the uids of both.
    versions: BTreeMap<(String, String), i64>,
    /// Jobs that shared their tag with another one at some time, by uid: those restart each other's pulls.
    shared: BTreeSet<String>,
    /// Jobs that ended, by uid.
    ended: BTreeMap<String, String>,
}

fn uid(meta: &k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta) -> String {
    meta.uid.clone().unwrap_or_default()
}

fn name(meta: &k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta) -> &str {
    meta.name.as_deref().unwrap_or_default()
}

pub(crate) fn ended(job: &ImagePullJob) -> Option<String> {
    let time = job.status.as_ref()?.completion_time.as_ref()?;
    Some(time.0.to_string())
}

fn key(job: &ImagePullJob) -> ImageKey {
    ImageKey::parse(&job.spec.image).expect("images of the test are sound")
}

/// The task of a job on a node.
fn task<'a>(job: &ImagePullJob, key: &ImageKey, node: &'a NodeImage) -> Option<&'a ImageTagSpec> {
    let task = node.task(&key.name, &key.tag)?;
    let owned = task
        .owner_references
        .iter()
        .any(|owner| owner.uid == job.metadata.uid);
    owned.then_some(task)
}

/// Whether the node has the task of the job and has not said how it went.
fn active(job: &ImagePullJob, key: &ImageKey, node: &NodeImage) -> bool {
    task(job, key, node).is_some_and(|task| {
        let result = node
            .result(&key.name, &key.tag)
            .filter(|result| result.version == task.version);
        !result.is_some_and(|result| result.is_terminal())
    })
}

impl Memory {
    /// Looks at every job and every node.
    ///
    /// # Errors
    /// The rule that is broken.
    pub(crate) fn check(&mut self, world: &World) -> Result<(), String> {
        let nodes = world.server.list::<NodeImage>();
        let jobs = world.server.list::<ImagePullJob>();
        for job in &jobs {
            self.job(job, &jobs, &nodes)?;
        }
        Ok(())
    }

    fn job(&mut self, job: &ImagePullJob, all: &[ImagePullJob], nodes: &[NodeImage]) -> Result<(), String> {
        let (key, job_uid, job_name) = (key(job), uid(&job.metadata), name(&job.metadata));
        let wanted = parse_parallelism(job.spec.parallelism.as_ref()).unwrap_or(0);
        let limit = self.limits.entry(job_uid.clone()).or_default();
        *limit = (*limit).max(wanted);
        if all
            .iter()
            .filter(|other| other.spec.image == job.spec.image)
            .count()
            > 1
        {
            self.shared.insert(job_uid.clone());
        }
        let shared = self.shared.contains(&job_uid);
        if let Some(time) = ended(job) {
            let first = self.ended.entry(job_uid).or_insert_with(|| time.clone());
            if *first != time {
                return Err(format!("{job_name} ended at {first} and at {time}"));
            }
            return Ok(());
        }
        if self.ended.contains_key(&job_uid) {
            return Err(format!("{job_name} has ended and goes on"));
        }
        let active = nodes.iter().filter(|node| active(job, &key, node)).count();
        if active > *limit as usize && !shared {
            return Err(format!(
                "{active} nodes are active for {job_name}, whose parallelism is {limit}"
            ));
        }
        for node in nodes {
            let task = task(job, &key, node);
            let at = (job_uid.clone(), uid(&node.metadata));
            match (self.versions.get(&at), task) {
                (None, Some(task)) => {
                    self.versions.insert(at, task.version);
                }
                (Some(_), None) => {
                    return Err(format!(
                        "{} lost the task of {job_name}, which runs",
                        name(&node.metadata)
                    ));
                }
                (Some(first), Some(task)) if *first != task.version && !shared => {
                    return Err(format!(
                        "{} got the task of {job_name} twice",
                        name(&node.metadata)
                    ));
                }
                _ => {}
            }
        }
        Ok(())
    }
}

/// What is not as it should be when nothing happens any more.
///
/// # Errors
/// The first that is found.
pub(crate) fn settled(world: &World) -> Result<(), String> {
    let jobs = world.server.list::<ImagePullJob>();
    let nodes = world.server.list::<NodeImage>();
    let names = |names: &mut dyn Iterator<Item = &str>| names.map(str::to_owned).collect::<Vec<_>>();
    let machines = world.server.list::<Node>();
    let (have, want) = (
        names(&mut nodes.iter().map(|node| name(&node.metadata))),
        names(&mut machines.iter().map(|node| name(&node.metadata))),
    );
    if have != want {
        return Err(format!("there are NodeImages {have:?} of nodes {want:?}"));
    }
    for job in &jobs {
        let status = job.status.clone().unwrap_or_default();
        let job_name = name(&job.metadata);
        if job.spec.completion_policy.is_never() {
            let done = status.succeeded + status.failed;
            if (status.active, done, status.desired) != (0, status.desired, have.len() as i32) {
                return Err(format!("{job_name} is not done: {status:?}"));
            }
        } else if ended(job).is_none() {
            return Err(format!("{job_name} has not ended: {status:?}"));
        } else if status.message == "job has completed" && status.succeeded + status.failed != status.desired
        {
            return Err(format!("{job_name} does not count right: {status:?}"));
        }
    }
    for node in &nodes {
        for task in node.spec.images.values().flat_map(|image| &image.tags) {
            let is_there = |uid: &Option<String>| jobs.iter().any(|job| job.metadata.uid == *uid);
            if let Some(gone) = task.owner_references.iter().find(|owner| !is_there(&owner.uid)) {
                return Err(format!(
                    "{} has a task of {:?}, which is gone",
                    name(&node.metadata),
                    gone.name
                ));
            }
        }
    }
    copies(world, &jobs)
}

/// There is a copy of each pull secret that a running job uses, and no other.
fn copies(world: &World, jobs: &[ImagePullJob]) -> Result<(), String> {
    let running = jobs.iter().filter(|job| ended(job).is_none());
    let mut used: Vec<_> = running.flat_map(|job| job.spec.pull_secrets.clone()).collect();
    used.sort_unstable();
    used.dedup();
    let secrets = world.server.list::<Secret>();
    let copies = secrets
        .iter()
        .filter(|secret| secret.metadata.namespace.as_deref() == Some(COPIES));
    let mut sources: Vec<_> = copies
        .filter_map(|copy| {
            let annotations = copy.metadata.annotations.as_ref()?;
            let source = annotations.get("imagepulljobs.kruise.io/source-key")?;
            source.split('/').next_back().map(str::to_owned)
        })
        .collect();
    sources.sort_unstable();
    if sources == used {
        Ok(())
    } else {
        Err(format!("there are copies of {sources:?}, used are {used:?}"))
    }
}
