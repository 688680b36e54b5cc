//! Writes the tasks of all jobs to NodeImages: what several jobs want of one node goes into one request.
//!
//! A job hands over its nodes and is woken when all of them are written. Each node waits a moment for further jobs, then
//! is written once; many nodes are written at a time, one node never twice at a time. Whatever a job can not be sure of
//! is remembered: before it plans again, it asks the server.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

use futures::{StreamExt, stream};
use kruise_core::runtime::{
    Add, Cache, Cached as _, Causes, Clock, Expectations, ObjectKey, Priority, QueueConfig, RuntimeMetrics,
    Verdict, WorkQueue,
};
use kube_client::{Api, Client};
use kube_core::params::{Patch, PatchParams};
use parking_lot::Mutex;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::JobConfig;
use crate::api::NodeImage;
use crate::error::ApiError;
use crate::plan::dispatch::{Added, JobTask, NodeBatch};

/// How the last round of a job ended, told once.
#[derive(Debug, Default)]
pub(super) struct Ended {
    /// Nodes that have the task now.
    pub(super) written: usize,
    /// The first failure that is not just a change at the same moment, and how many there were.
    pub(super) failure: Option<Failure>,
    pub(super) failures: usize,
}

/// A node that could not be written.
#[derive(Debug)]
pub(super) struct Failure {
    /// What happened, with its causes.
    pub(super) text: String,
    /// The server refused it for its content or for lack of rights.
    pub(super) refused: bool,
    after: Option<Duration>,
}

impl Failure {
    fn of(error: &ApiError) -> Self {
        Self {
            text: Causes(error).to_string(),
            refused: matches!(error, ApiError::Refused { .. }),
            after: match error {
                ApiError::Throttled { after, .. } => *after,
                _ => None,
            },
        }
    }
}

/// What a job may do now.
#[derive(Debug)]
pub(super) enum Turn {
    /// Its nodes are being written; it is woken afterwards.
    Busy,
    /// It may plan. With a wait, it may not hand out tasks before.
    Free { ended: Ended, wait: Option<Duration> },
}

/// One job wants its task on one node.
#[derive(Clone, Debug)]
struct Wish {
    job: ObjectKey,
    task: Arc<JobTask>,
}

#[derive(Debug, Default)]
struct JobState {
    /// Nodes of the round under way that are not written yet.
    left: usize,
    ended: Ended,
    conflicts: usize,
    /// Rounds in a row in which something failed.
    strikes: u32,
    not_before: Option<Instant>,
    /// Nodes that were written to without an answer that says whether it took effect. A name is put here before its
    /// request is made, so that a request that is dropped in the middle is not forgotten.
    in_doubt: BTreeSet<Arc<str>>,
}

#[derive(Debug, Default)]
struct State {
    wishes: HashMap<Arc<str>, Vec<Wish>>,
    /// By uid.
    jobs: HashMap<String, JobState>,
}

/// See the [module](self).
pub(super) struct Writer {
    api: Api<NodeImage>,
    node_images: Cache<NodeImage>,
    expectations: Expectations,
    clock: Arc<dyn Clock>,
    nodes: WorkQueue<Arc<str>>,
    state: Mutex<State>,
    config: JobConfig,
}

impl std::fmt::Debug for Writer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Writer").finish_non_exhaustive()
    }
}

impl Writer {
    pub(super) fn new(
        client: Client,
        node_images: Cache<NodeImage>,
        expectations: Expectations,
        clock: Arc<dyn Clock>,
        config: JobConfig,
        metrics: Option<&RuntimeMetrics>,
    ) -> Self {
        let queue = QueueConfig::named("imagepulljob-nodes");
        Self {
            api: Api::all(client),
            node_images,
            expectations,
            clock,
            nodes: match metrics {
                Some(metrics) => WorkQueue::with_metrics(queue, metrics),
                None => WorkQueue::new(queue),
            },
            state: Mutex::default(),
            config,
        }
    }

    /// Returns what the job may do now, and how its last round ended if that was not told yet.
    pub(super) fn turn(&self, job_uid: &str) -> Turn {
        let mut state = self.state.lock();
        let Some(job) = state.jobs.get_mut(job_uid) else {
            return Turn::Free {
                ended: Ended::default(),
                wait: None,
            };
        };
        if job.left > 0 {
            return Turn::Busy;
        }
        let wait = job
            .not_before
            .and_then(|at| at.checked_duration_since(Instant::now()))
            .filter(|wait| !wait.is_zero());
        let ended = std::mem::take(&mut job.ended);
        if wait.is_none() && job.strikes == 0 && job.in_doubt.is_empty() {
            state.jobs.remove(job_uid);
        }
        Turn::Free { ended, wait }
    }

    /// Begins a round: the task goes to these nodes, of which there is at least one.
    pub(super) fn submit(&self, job: &ObjectKey, task: JobTask, nodes: impl IntoIterator<Item = Arc<str>>) {
        let task = Arc::new(task);
        let mut state = self.state.lock();
        let mut count = 0;
        for node in nodes {
            count += 1;
            let wish = Wish {
                job: job.clone(),
                task: task.clone(),
            };
            state.wishes.entry(node.clone()).or_default().push(wish);
            let add = Add {
                priority: Priority::NORMAL,
                after: Some(self.config.batch_window),
            };
            self.nodes.add_with(node, add);
        }
        state.jobs.entry(task.job_uid().to_owned()).or_default().left += count;
    }

    /// Finds out about every write of which nobody knows whether it took effect: reads the object, and expects the
    /// cache to catch up with it.
    ///
    /// # Errors
    /// The server can not be asked now; nothing may be decided for this job.
    pub(super) async fn settle(&self, job_uid: &str) -> Result<(), ApiError> {
        let in_doubt = match self.state.lock().jobs.get(job_uid) {
            Some(job) => job.in_doubt.clone(),
            None => return Ok(()),
        };
        for node in in_doubt {
            let found = self
                .api
                .get_opt(&node)
                .await
                .map_err(|source| ApiError::new("reading a NodeImage", source))?;
            if let Some(found) = found {
                self.expectations
                    .expect_update(job_uid, found.uid(), found.resource_version());
            }
            if let Some(job) = self.state.lock().jobs.get_mut(job_uid) {
                job.in_doubt.remove(&node);
            }
        }
        Ok(())
    }

    /// Forgets a job, and what it wants of nodes that have not been written yet.
    pub(super) fn forget(&self, job_uid: &str) {
        let mut state = self.state.lock();
        if state.jobs.remove(job_uid).is_some_and(|job| job.left > 0) {
            for wishes in state.wishes.values_mut() {
                wishes.retain(|wish| wish.task.job_uid() != job_uid);
            }
            state.wishes.retain(|_, wishes| !wishes.is_empty());
        }
        drop(state);
        self.expectations.forget(job_uid);
    }

    /// Writes until cancelled; requests under way then have until `drain` to end. Wakes jobs by `wake`.
    pub(super) async fn run(
        self: Arc<Self>,
        wake: WorkQueue<ObjectKey>,
        cancel: CancellationToken,
        drain: Duration,
    ) {
        let leases = stream::unfold(self.nodes.clone(), |nodes| async move {
            nodes.next().await.map(|lease| (lease, nodes))
        });
        let write = leases.for_each_concurrent(self.config.concurrent_writes, |lease| {
            let (writer, wake) = (self.clone(), wake.clone());
            async move {
                let (jobs, written) = writer.write(lease.key().clone()).await;
                for job in jobs {
                    wake.add(job);
                }
                if let Some(written) = written {
                    writer.seen(&written).await;
                }
                lease.finish(Verdict::Done);
            }
        });
        tokio::pin!(write);
        if cancel.run_until_cancelled(&mut write).await.is_none() {
            self.nodes.shut_down();
            // What is dropped here is in doubt, and the next manager looks at the server before it plans.
            let _ = tokio::time::timeout(drain, write).await;
        }
    }

    /// Waits until the cache has what was written, since the next write to the same node starts from the cache and would
    /// only be refused.
    async fn seen(&self, written: &NodeImage) {
        let (uid, version) = (written.uid(), written.resource_version());
        let wait = self.node_images.wait_for(uid, version, self.config.settle_retry);
        if let Err(error) = wait.await {
            tracing::debug!(node = ?written.metadata.name, %error, "a write has not come back");
        }
    }

    /// Writes what all jobs want of a node. Returns the jobs whose round is over, and the node as it is now.
    async fn write(&self, node: Arc<str>) -> (Vec<ObjectKey>, Option<NodeImage>) {
        let Some(wishes) = self.state.lock().wishes.remove(&node) else {
            return (Vec::new(), None);
        };
        let cached = self.node_images.get(&ObjectKey::cluster(node.clone()));
        let (mut patch, mut writers) = (None, Vec::new());
        if let Some(cached) = &cached {
            let (now, mut batch) = (self.clock.now(), NodeBatch::new(cached));
            for wish in &wishes {
                if batch.add(&wish.task, now, self.config.seed) == Added::Yes {
                    writers.push(wish);
                }
            }
            patch = batch.into_patch();
        }
        let result = match patch {
            Some(patch) => {
                self.doubt(&node, &writers, true);
                let patch = Patch::Json::<()>(patch);
                let written = self.api.patch(&node, &PatchParams::default(), &patch).await;
                written.map_err(|source| ApiError::new("handing tasks to a node", source))
            }
            // The node is gone, full, or has the tasks: whoever wants something of it has to look again.
            None => return (self.end(&wishes, |_, job| job.conflicts += 1), None),
        };
        let told = |wish: &Wish| {
            writers
                .iter()
                .any(|writer| writer.task.job_uid() == wish.task.job_uid())
        };
        match result {
            Ok(written) => {
                for wish in &writers {
                    self.expectations.expect_update(
                        wish.task.job_uid(),
                        written.uid(),
                        written.resource_version(),
                    );
                }
                self.doubt(&node, &writers, false);
                let over = self.end(&wishes, |wish, job| match told(wish) {
                    true => job.ended.written += 1,
                    false => job.conflicts += 1,
                });
                (over, Some(written))
            }
            Err(error) => {
                tracing::debug!(%node, error = %Causes(&error), "tasks not handed to a node");
                if !matches!(error, ApiError::Unknown { .. }) {
                    self.doubt(&node, &writers, false);
                }
                let soft = matches!(error, ApiError::Conflict { .. } | ApiError::Gone { .. });
                let over = self.end(&wishes, |_, job| {
                    if soft {
                        job.conflicts += 1;
                    } else {
                        job.ended.failures += 1;
                        job.ended.failure.get_or_insert_with(|| Failure::of(&error));
                    }
                });
                (over, None)
            }
        }
    }

    fn doubt(&self, node: &Arc<str>, writers: &[&Wish], doubt: bool) {
        let mut state = self.state.lock();
        for wish in writers {
            let Some(job) = state.jobs.get_mut(wish.task.job_uid()) else {
                continue;
            };
            if doubt {
                job.in_doubt.insert(node.clone());
            } else {
                job.in_doubt.remove(node);
            }
        }
    }

    /// Counts one node of each of these jobs as done, the way `count` says.
    fn end(&self, wishes: &[Wish], count: impl Fn(&Wish, &mut JobState)) -> Vec<ObjectKey> {
        let mut state = self.state.lock();
        let mut over = Vec::new();
        for wish in wishes {
            // Forgotten in the meantime.
            let Some(job) = state.jobs.get_mut(wish.task.job_uid()) else {
                continue;
            };
            count(wish, job);
            job.left = job.left.saturating_sub(1);
            if job.left == 0 {
                job.rest(&self.config);
                over.push(wish.job.clone());
            }
        }
        over
    }
}

impl JobState {
    /// Decides when the next round may begin.
    fn rest(&mut self, config: &JobConfig) {
        let conflicts = std::mem::take(&mut self.conflicts);
        let wait = match &self.ended.failure {
            Some(failure) => {
                self.strikes = self.strikes.saturating_add(1);
                let factor = 1_u32.checked_shl(self.strikes.min(16)).unwrap_or(u32::MAX);
                let wait = config
                    .conflict_retry
                    .saturating_mul(factor)
                    .min(config.max_write_backoff);
                failure.after.map_or(wait, |after| wait.max(after))
            }
            None => {
                self.strikes = 0;
                if conflicts == 0 {
                    self.not_before = None;
                    return;
                }
                config.conflict_retry
            }
        };
        self.not_before = Some(Instant::now() + wait);
    }
}
