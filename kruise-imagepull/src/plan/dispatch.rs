//! Handing the task of a job to one node: the JSON patch that adds or renews exactly one entry of a NodeImage.
//!
//! The patch starts with a `test` of the resourceVersion it was computed from, so two writers never lose each other's
//! entries (kruise#1517): one of them is refused and looks again. Whole objects are never written.

use jiff::Timestamp;
use json_patch::jsonptr::PointerBuf;
use json_patch::{AddOperation, Patch, PatchOperation, TestOperation};
use k8s_openapi::api::core::v1::ObjectReference;
use kube_core::Resource as _;
use serde_json::{Value, json};

use super::time::{backoff_limit, pick, stamp, timeout_seconds};
use crate::api::{
    API_VERSION, ImageKey, ImagePullJob, ImagePullPolicy, ImageSpec, ImageTagPullPolicy, ImageTagSpec,
    JOB_KIND, MAX_IMAGES_PER_NODE, NodeImage, SecretReference,
};

/// Seconds a daily task may take in all, unless one attempt alone may take longer.
const NEVER_DEADLINE_SECONDS: i64 = 1800;
/// Mean life of the result of a daily task, and the width of its jitter: 24 h ± 10 min.
const NEVER_TTL_SECONDS: i64 = 86_400;
const NEVER_TTL_JITTER: u64 = 1200;
/// Width of the jitter of the life of other results.
const ALWAYS_TTL_JITTER: u64 = 300;

/// What to write to one node for one job.
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
#[derive(Clone, Debug)]
pub struct JobTask<'a> {
    job: &'a ImagePullJob,
    uid: &'a str,
    key: ImageKey,
    owner: ObjectReference,
    secrets: Vec<SecretReference>,
    ttl_margin_seconds: i64,
}

impl<'a> JobTask<'a> {
    /// Prepares the task of `job`, whose image is `key`. `ttl_margin_seconds` is added to the life of results.
    pub fn new(job: &'a ImagePullJob, key: ImageKey, ttl_margin_seconds: i64) -> Self {
        let meta = job.meta();
        let namespace = meta.namespace.clone().unwrap_or_default();
        let secrets = job.spec.pull_secrets.iter();
        Self {
            job,
            uid: meta.uid.as_deref().unwrap_or_default(),
            key,
            owner: ObjectReference {
                api_version: Some(API_VERSION.to_owned()),
                kind: Some(JOB_KIND.to_owned()),
                name: meta.name.clone(),
                namespace: meta.namespace.clone(),
                uid: meta.uid.clone(),
                ..ObjectReference::default()
            },
            secrets: secrets
                .map(|name| SecretReference {
                    namespace: namespace.clone(),
                    name: name.clone(),
                })
                .collect(),
            ttl_margin_seconds,
        }
    }

    /// Returns the image of the job.
    pub fn key(&self) -> &ImageKey {
        &self.key
    }

    /// Returns whether `task` was handed out by this job.
    pub fn owns(&self, task: &ImageTagSpec) -> bool {
        task.owner_references
            .iter()
            .any(|owner| owner.uid.as_deref() == Some(self.uid))
    }

    /// Returns what to write to `node` so that it pulls for this job.
    ///
    /// A tag that is there already gets a new version, this job as a further owner and a fresh `createdAt`; its limits
    /// stay those of the first job. A new tag starts one above the version of a result that is still in the status, so
    /// that no old result is taken for the new one.
    pub fn dispatch(&self, node: &NodeImage, now: Timestamp, seed: u64) -> Dispatch {
        let mut ops = Ops::guarded(node);
        let images = &node.spec.images;
        let Some(image) = images.get(&self.key.name) else {
            if images.len() >= MAX_IMAGES_PER_NODE {
                return Dispatch::NodeFull;
            }
            let image = ImageSpec {
                pull_secrets: self.secrets.clone(),
                tags: vec![self.new_task(node, now, seed)],
            };
            if images.is_empty() {
                ops.add(["spec", "images"], json!({ &self.key.name: image }));
            } else {
                ops.add(["spec", "images", &self.key.name], json!(image));
            }
            return Dispatch::Patch(ops.0);
        };
        let base = ["spec", "images", self.key.name.as_str()];
        match image
            .tags
            .iter()
            .enumerate()
            .find(|(_, task)| task.tag == self.key.tag)
        {
            Some((_, task)) if self.owns(task) => return Dispatch::AlreadyThere,
            Some((index, task)) => {
                let pull_policy = self.pull_policy(node, seed);
                self.join(
                    &mut ops,
                    &[&base[..], &["tags", &index.to_string()]].concat(),
                    task,
                    pull_policy,
                    now,
                );
            }
            None => {
                let after = image.tags.iter().position(|task| task.tag > self.key.tag);
                let index = after.unwrap_or(image.tags.len()).to_string();
                ops.add(
                    base.into_iter().chain(["tags", &index]),
                    json!(self.new_task(node, now, seed)),
                );
            }
        }
        self.add_secrets(&mut ops, &base, image);
        Dispatch::Patch(ops.0)
    }

    fn join(
        &self,
        ops: &mut Ops,
        base: &[&str],
        task: &ImageTagSpec,
        mine: ImageTagPullPolicy,
        now: Timestamp,
    ) {
        let at = |rest: &[&'static str]| [base, rest].concat();
        ops.add(at(&["version"]), json!(task.version.saturating_add(1)));
        ops.add(at(&["createdAt"]), json!(stamp(now)));
        ops.add(at(&["imagePullPolicy"]), json!(self.image_pull_policy()));
        if task.owner_references.is_empty() {
            ops.add(at(&["ownerReferences"]), json!([self.owner]));
        } else {
            ops.add(at(&["ownerReferences", "-"]), json!(self.owner));
        }
        match &task.pull_policy {
            None => ops.add(at(&["pullPolicy"]), json!(mine)),
            Some(policy) if policy.ttl_seconds_after_finished.is_none() => {
                ops.add(
                    at(&["pullPolicy", "ttlSecondsAfterFinished"]),
                    json!(mine.ttl_seconds_after_finished),
                );
            }
            Some(_) => {}
        }
    }

    fn add_secrets(&self, ops: &mut Ops, base: &[&str; 3], image: &ImageSpec) {
        let missing: Vec<_> = self
            .secrets
            .iter()
            .filter(|secret| !image.pull_secrets.contains(secret))
            .collect();
        if missing.is_empty() {
            return;
        }
        if image.pull_secrets.is_empty() {
            ops.add(base.iter().copied().chain(["pullSecrets"]), json!(missing));
        } else {
            for secret in missing {
                ops.add(base.iter().copied().chain(["pullSecrets", "-"]), json!(secret));
            }
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
            image_pull_policy: Some(self.image_pull_policy()),
        }
    }

    fn image_pull_policy(&self) -> ImagePullPolicy {
        self.job
            .spec
            .image_pull_policy
            .clone()
            .unwrap_or(ImagePullPolicy::IfNotPresent)
    }

    fn pull_policy(&self, node: &NodeImage, seed: u64) -> ImageTagPullPolicy {
        let node_name = node.metadata.name.as_deref().unwrap_or_default();
        let draw = |bound| i64::try_from(pick(seed, (node_name, self.uid), bound)).unwrap_or(0);
        let policy = self.job.spec.pull_policy.as_ref();
        let timeout = timeout_seconds(policy.and_then(|policy| policy.timeout_seconds));
        let retries = backoff_limit(policy.and_then(|policy| policy.backoff_limit));
        let completion = &self.job.spec.completion_policy;
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

/// Operations of one patch, the first of which is the guard.
pub(crate) struct Ops(pub(crate) Patch);

impl Ops {
    pub(crate) fn guarded(node: &NodeImage) -> Self {
        let version = node.metadata.resource_version.clone().unwrap_or_default();
        let path = PointerBuf::from_tokens(["metadata", "resourceVersion"]);
        Self(Patch(vec![PatchOperation::Test(TestOperation {
            path,
            value: Value::String(version),
        })]))
    }

    pub(crate) fn add<P: AsRef<str>>(&mut self, path: impl IntoIterator<Item = P>, value: Value) {
        let tokens: Vec<String> = path.into_iter().map(|part| part.as_ref().to_owned()).collect();
        let path = PointerBuf::from_tokens(tokens.iter().map(String::as_str));
        self.0.0.push(PatchOperation::Add(AddOperation { path, value }));
    }
}
