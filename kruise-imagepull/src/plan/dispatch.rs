//! Handing the tasks of jobs to one node: the JSON patch that adds or renews exactly their entries of a NodeImage.
//!
//! The patch starts with `test`s of the object and of the generation it was computed from, so two writers never lose each
//! other's entries (kruise#1517): one of them is refused and looks again. The generation moves with the spec alone: what
//! the agent reports in the meantime refuses nobody. Whole objects are never written.

use std::borrow::Cow;

use jiff::Timestamp;
use json_patch::jsonptr::PointerBuf;
use json_patch::{AddOperation, Patch, PatchOperation, RemoveOperation, TestOperation};
use k8s_openapi::api::core::v1::ObjectReference;
use kube_core::Resource as _;
use serde_json::{Value, json};

use super::time::{backoff_limit, pick, stamp, timeout_seconds};
use crate::api::{
    API_VERSION, CompletionPolicy, ImageKey, ImagePullJob, ImagePullJobPullPolicy, ImagePullPolicy,
    ImageSpec, ImageTagPullPolicy, ImageTagSpec, JOB_KIND, MAX_IMAGES_PER_NODE, NodeImage, SandboxConfig,
    SecretReference,
};

/// Seconds a daily task may take in all, unless one attempt alone may take longer.
const NEVER_DEADLINE_SECONDS: i64 = 1800;
/// Mean life of the result of a daily task, and the width of its jitter: 24 h ± 10 min.
const NEVER_TTL_SECONDS: i64 = 86_400;
const NEVER_TTL_JITTER: u64 = 1200;
/// Width of the jitter of the life of other results.
const ALWAYS_TTL_JITTER: u64 = 300;

/// What handing out a task to a node comes to.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Dispatch {
    /// The node has the task already; nothing to write.
    AlreadyThere,
    /// The node holds as many images as it may; nothing can be written now.
    NodeFull,
    /// This patch adds the task.
    Patch(Patch),
}

/// Everything about a job that dispatching needs, computed once for all nodes.
#[derive(Clone, Debug, PartialEq)]
pub struct JobTask {
    uid: String,
    key: ImageKey,
    owner: ObjectReference,
    secrets: Vec<SecretReference>,
    pull_policy: ImagePullJobPullPolicy,
    completion: CompletionPolicy,
    sandbox_config: Option<SandboxConfig>,
    image_pull_policy: ImagePullPolicy,
    ttl_margin_seconds: i64,
}

impl JobTask {
    /// Prepares the task of `job`, whose image is `key`, with the pull secrets that nodes can read. `ttl_margin_seconds`
    /// is added to the life of results.
    pub fn new(
        job: &ImagePullJob,
        key: ImageKey,
        secrets: Vec<SecretReference>,
        ttl_margin_seconds: i64,
    ) -> Self {
        let (meta, spec) = (job.meta(), &job.spec);
        let image_pull_policy = spec.image_pull_policy.clone();
        Self {
            uid: meta.uid.clone().unwrap_or_default(),
            key,
            owner: ObjectReference {
                api_version: Some(API_VERSION.to_owned()),
                kind: Some(JOB_KIND.to_owned()),
                name: meta.name.clone(),
                namespace: meta.namespace.clone(),
                uid: meta.uid.clone(),
                ..ObjectReference::default()
            },
            secrets,
            pull_policy: spec.pull_policy.clone().unwrap_or_default(),
            completion: spec.completion_policy.clone(),
            sandbox_config: spec.sandbox_config.clone(),
            image_pull_policy: image_pull_policy.unwrap_or(ImagePullPolicy::IfNotPresent),
            ttl_margin_seconds,
        }
    }

    /// Returns the image of the job.
    pub fn key(&self) -> &ImageKey {
        &self.key
    }

    /// Returns the uid of the job.
    pub fn job_uid(&self) -> &str {
        &self.uid
    }

    /// Returns whether `task` was handed out by this job.
    pub fn owns(&self, task: &ImageTagSpec) -> bool {
        task.owner_references
            .iter()
            .any(|owner| owner.uid.as_deref() == Some(&self.uid))
    }

    /// Returns what to write to `node` so that it pulls for this job: a [`NodeBatch`] of one.
    pub fn dispatch(&self, node: &NodeImage, now: Timestamp, seed: u64) -> Dispatch {
        let mut batch = NodeBatch::new(node);
        match batch.add(self, now, seed) {
            Added::AlreadyThere => Dispatch::AlreadyThere,
            Added::NodeFull => Dispatch::NodeFull,
            Added::Yes => Dispatch::Patch(batch.ops.patch),
        }
    }

    fn new_task(&self, node: &NodeImage, now: Timestamp, seed: u64) -> ImageTagSpec {
        let seen = node
            .result(&self.key.name, &self.key.tag)
            .map_or(-1, |result| result.version);
        ImageTagSpec {
            tag: self.key.tag.clone(),
            created_at: Some(stamp(now)),
            version: seen.saturating_add(1),
            pull_policy: Some(self.pull_policy(node, seed)),
            owner_references: vec![self.owner.clone()],
            image_pull_policy: Some(self.image_pull_policy.clone()),
        }
    }

    fn pull_policy(&self, node: &NodeImage, seed: u64) -> ImageTagPullPolicy {
        let node_name = node.metadata.name.as_deref().unwrap_or_default();
        let draw = |bound| i64::try_from(pick(seed, (node_name, &self.uid), bound)).unwrap_or(0);
        let timeout = timeout_seconds(self.pull_policy.timeout_seconds);
        let retries = backoff_limit(self.pull_policy.backoff_limit);
        let completion = &self.completion;
        let (ttl, deadline) = if completion.is_never() {
            let ttl =
                NEVER_TTL_SECONDS - i64::try_from(NEVER_TTL_JITTER / 2).unwrap_or(0) + draw(NEVER_TTL_JITTER);
            (ttl, Some(timeout.max(NEVER_DEADLINE_SECONDS)))
        } else {
            let deadline = completion.active_deadline_seconds;
            let base = match (completion.ttl_seconds_after_finished, deadline) {
                (Some(ttl), _) => i64::from(ttl).max(0),
                (None, Some(deadline)) => deadline.max(0),
                (None, None) => timeout.saturating_mul(i64::from(retries)),
            };
            let ttl = base
                .saturating_add(self.ttl_margin_seconds)
                .saturating_add(draw(ALWAYS_TTL_JITTER));
            (ttl, deadline)
        };
        ImageTagPullPolicy {
            timeout_seconds: i32::try_from(timeout).ok(),
            backoff_limit: i32::try_from(retries).ok(),
            ttl_seconds_after_finished: Some(i32::try_from(ttl).unwrap_or(i32::MAX)),
            active_deadline_seconds: deadline,
        }
    }
}

/// What became of one task in a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Added {
    /// The patch holds it.
    Yes,
    /// The node has it already.
    AlreadyThere,
    /// The node holds as many images as it may.
    NodeFull,
}

/// The tasks of several jobs for one node, written together: one request, one new resourceVersion, one event, however
/// many jobs there are.
#[derive(Clone, Debug)]
pub struct NodeBatch<'a> {
    /// What the node will look like; cloned at the first change.
    node: Cow<'a, NodeImage>,
    ops: Ops,
}

impl<'a> NodeBatch<'a> {
    /// Begins a batch for a node.
    pub fn new(node: &'a NodeImage) -> Self {
        Self {
            node: Cow::Borrowed(node),
            ops: Ops::guarded(node),
        }
    }

    /// Adds the task of a job.
    ///
    /// A tag that is there already gets a new version, the job as a further owner and a fresh `createdAt`; its limits
    /// stay those of the first job. A new tag starts one above the version of a result that is still in the status, so
    /// that no old result is taken for the new one.
    pub fn add(&mut self, job: &JobTask, now: Timestamp, seed: u64) -> Added {
        let key = &job.key;
        let images = &self.node.spec.images;
        let known = images.get(&key.name);
        if known.is_none() && images.len() >= MAX_IMAGES_PER_NODE {
            return Added::NodeFull;
        }
        if self
            .node
            .task(&key.name, &key.tag)
            .is_some_and(|task| job.owns(task))
        {
            return Added::AlreadyThere;
        }
        let (no_images, new_task) = (images.is_empty(), job.new_task(&self.node, now, seed));
        if self.node.task(&key.name, &key.tag).is_none() {
            self.ops.test_result(&self.node, key);
        }
        let node = self.node.to_mut();
        let ops = &mut self.ops;
        let base = ["spec", "images", key.name.as_str()];
        let Some(image) = node.spec.images.get_mut(&key.name) else {
            let image = ImageSpec {
                pull_secrets: job.secrets.clone(),
                sandbox_config: job.sandbox_config.clone(),
                tags: vec![new_task],
            };
            if no_images {
                ops.add(["spec", "images"], json!({ &key.name: image }));
            } else {
                ops.add(base, json!(image));
            }
            node.spec.images.insert(key.name.clone(), image);
            return Added::Yes;
        };
        match image
            .tags
            .iter_mut()
            .enumerate()
            .find(|(_, task)| task.tag == key.tag)
        {
            Some((index, task)) => join(
                ops,
                [&base[..], &["tags", &index.to_string()]].concat(),
                task,
                new_task,
            ),
            None => {
                let after = image.tags.iter().position(|task| task.tag > key.tag);
                let index = after.unwrap_or(image.tags.len());
                ops.add(
                    base.into_iter().chain(["tags", &index.to_string()]),
                    json!(new_task),
                );
                image.tags.insert(index, new_task);
            }
        }
        add_secrets(ops, &base, image, &job.secrets);
        if job.sandbox_config.is_some() && image.sandbox_config != job.sandbox_config {
            ops.add(
                base.into_iter().chain(["sandboxConfig"]),
                json!(job.sandbox_config),
            );
            image.sandbox_config.clone_from(&job.sandbox_config);
        }
        Added::Yes
    }

    /// Returns the JSON patch, guarded by `test`s of the object and its generation; `None` if there is nothing to write.
    pub fn into_patch(self) -> Option<Patch> {
        self.ops.into_patch()
    }
}

/// Makes the job of `new` a further owner of `task`.
fn join(ops: &mut Ops, base: Vec<&str>, task: &mut ImageTagSpec, new: ImageTagSpec) {
    let mut add = |rest: &[&str], value| ops.add([&base[..], rest].concat(), value);
    task.version = task.version.saturating_add(1);
    add(&["version"], json!(task.version));
    task.created_at = new.created_at;
    add(&["createdAt"], json!(task.created_at));
    task.image_pull_policy = new.image_pull_policy;
    add(&["imagePullPolicy"], json!(task.image_pull_policy));
    if task.owner_references.is_empty() {
        add(&["ownerReferences"], json!(new.owner_references));
    } else {
        for owner in &new.owner_references {
            add(&["ownerReferences", "-"], json!(owner));
        }
    }
    task.owner_references.extend(new.owner_references);
    match &mut task.pull_policy {
        None => {
            add(&["pullPolicy"], json!(new.pull_policy));
            task.pull_policy = new.pull_policy;
        }
        Some(policy) if policy.ttl_seconds_after_finished.is_none() => {
            let ttl = new
                .pull_policy
                .and_then(|policy| policy.ttl_seconds_after_finished);
            add(&["pullPolicy", "ttlSecondsAfterFinished"], json!(ttl));
            policy.ttl_seconds_after_finished = ttl;
        }
        Some(_) => {}
    }
}

fn add_secrets(ops: &mut Ops, base: &[&str; 3], image: &mut ImageSpec, secrets: &[SecretReference]) {
    for secret in secrets {
        if image.pull_secrets.contains(secret) {
            continue;
        }
        if image.pull_secrets.is_empty() {
            ops.add(base.iter().copied().chain(["pullSecrets"]), json!([secret]));
        } else {
            ops.add(base.iter().copied().chain(["pullSecrets", "-"]), json!(secret));
        }
        image.pull_secrets.push(secret.clone());
    }
}

/// Operations of one patch, which begins with its guards.
#[derive(Clone, Debug)]
pub(crate) struct Ops {
    patch: Patch,
    /// The guard is the generation, not the resourceVersion.
    by_generation: bool,
}

impl Ops {
    /// Begins a patch of this very object, with this very spec.
    pub(crate) fn guarded(node: &NodeImage) -> Self {
        let meta = &node.metadata;
        let mut ops = Self {
            patch: Patch::default(),
            by_generation: meta.generation.is_some(),
        };
        match meta.generation {
            Some(generation) => {
                ops.test(["metadata", "uid"], json!(meta.uid));
                ops.test(["metadata", "generation"], json!(generation));
            }
            // Of a server that counts no generations, which no real one is.
            None => ops.test(
                ["metadata", "resourceVersion"],
                json!(meta.resource_version.as_deref().unwrap_or_default()),
            ),
        }
        ops
    }

    /// Guards a new task, whose version follows that of a result that is left of an older one: the generation does not tell
    /// if an agent that lags behind writes a newer result.
    fn test_result(&mut self, node: &NodeImage, key: &ImageKey) {
        let results = node
            .status
            .as_ref()
            .and_then(|status| status.image_statuses.get(&key.name));
        let found = results
            .into_iter()
            .flat_map(|results| results.tags.iter().enumerate())
            .find(|(_, result)| result.tag == key.tag);
        // The server leaves out a version of zero.
        if let Some((index, result)) = found.filter(|(_, result)| result.version > 0 && self.by_generation) {
            let index = index.to_string();
            self.test(
                ["status", "imageStatuses", &key.name, "tags", &index, "version"],
                json!(result.version),
            );
        }
    }

    fn test<'p>(&mut self, path: impl IntoIterator<Item = &'p str>, value: Value) {
        let path = PointerBuf::from_tokens(path);
        self.patch
            .0
            .push(PatchOperation::Test(TestOperation { path, value }));
    }

    pub(crate) fn add<P: AsRef<str>>(&mut self, path: impl IntoIterator<Item = P>, value: Value) {
        let tokens: Vec<String> = path.into_iter().map(|part| part.as_ref().to_owned()).collect();
        let path = PointerBuf::from_tokens(tokens.iter().map(String::as_str));
        self.patch
            .0
            .push(PatchOperation::Add(AddOperation { path, value }));
    }

    pub(crate) fn remove(&mut self, path: &[&str]) {
        let path = PointerBuf::from_tokens(path.iter().copied());
        self.patch
            .0
            .push(PatchOperation::Remove(RemoveOperation { path }));
    }

    /// Returns the patch; `None` if there is nothing to write.
    pub(crate) fn into_patch(self) -> Option<Patch> {
        let writes = |operation: &PatchOperation| !matches!(operation, PatchOperation::Test(_));
        Some(self.patch).filter(|patch| patch.0.iter().any(writes))
    }
}
