//! Observes, plans, acts and reports for one job at a time.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt as _;
use futures::future::BoxFuture;
use k8s_openapi::api::core::v1::Secret;
use kruise_core::runtime::{
    Add, Cache, Cached as _, Clock, ConfigError, Controller, Delta, Expectations, ExpectationsConfig,
    Expected, Index, ObjectKey, Outcome, Priority, Reconciler, RunError, Runnable, RuntimeMetrics, SlimPod,
    Subscription, WorkQueue,
};
use kube_client::{Api, Client};
use kube_core::params::{DeleteParams, Patch, PatchParams, Preconditions};
use parking_lot::Mutex;
use tokio_util::sync::CancellationToken;

use super::catch_up::catch_up;
use super::pace::Pace;
use super::secrets::Copier;
use super::writer::{Turn, Writer};
use super::{JobConfig, notes};
use crate::api::{ImagePullJob, ImagePullJobStatus, NodeImage};
use crate::caches::states;
use crate::error::ApiError;
use crate::events::EventSink;
use crate::plan::job::{JobContext, JobPlan, plan_job, status_differs, status_patch};
use crate::plan::route::JobRoutes;
use crate::plan::select::{NodeSelection, pod_nodes};

/// What the job controller needs from its host.
#[derive(Clone)]
pub struct JobDependencies {
    /// Client for the writes, with the user agent and limits of this controller.
    pub client: Client,
    /// All jobs.
    pub jobs: Cache<ImagePullJob>,
    /// All NodeImages.
    pub node_images: Cache<NodeImage>,
    /// The Secrets of [`JobConfig::daemon_namespace`], see [`secret_copy_cache`](crate::caches::secret_copy_cache).
    pub secret_copies: Cache<Secret>,
    /// All Pods. Without them, jobs with a `podSelector` say that they can not be served.
    pub pods: Option<Cache<SlimPod>>,
    /// Wall clock for start, completion, deadline and TTL.
    pub clock: Arc<dyn Clock>,
    /// Where Events go.
    pub events: EventSink,
    /// Metrics of queue and reconciles, if they are wanted.
    pub metrics: Option<RuntimeMetrics>,
}

impl fmt::Debug for JobDependencies {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("JobDependencies")
            .field("jobs", &self.jobs)
            .field("node_images", &self.node_images)
            .finish_non_exhaustive()
    }
}

/// Returns the job controller. It does nothing before it runs, and needs the two caches to be driven.
///
/// # Errors
/// The configuration names a value that can not be used.
pub fn job_controller(
    dependencies: JobDependencies,
    config: JobConfig,
) -> Result<JobController, ConfigError> {
    config.validate()?;
    let JobDependencies {
        jobs, node_images, ..
    } = dependencies.clone();
    let mut settings = ExpectationsConfig::default();
    "imagepulljob".clone_into(&mut settings.name);
    let expectations = Expectations::new(settings);
    // Before the handlers that add to the queue, so that a reconcile finds the expectation met.
    expectations.observe_cache(&jobs);
    expectations.observe_cache(&node_images);
    expectations.observe_cache(&dependencies.secret_copies);
    let copier = Copier::new(
        dependencies.client.clone(),
        dependencies.secret_copies.clone(),
        config.daemon_namespace.clone(),
        config.secret_max_age,
    );

    let writer = Arc::new(Writer::new(
        dependencies.client.clone(),
        node_images.clone(),
        expectations.clone(),
        dependencies.clock.clone(),
        config.clone(),
        dependencies.metrics.as_ref(),
    ));
    let (metrics, client) = (dependencies.metrics.clone(), dependencies.client.clone());
    let routes = Arc::new(Mutex::new(JobRoutes::default()));
    let subscription = jobs.subscribe({
        let routes = routes.clone();
        let writer = writer.clone();
        move |delta| match states(delta) {
            (_, Some(new)) => routes.lock().update(&new.key(), new),
            (old, None) => {
                routes.lock().remove(&delta.key());
                old.into_iter().for_each(|old| writer.forget(old.uid()));
            }
        }
    });
    let plans = Arc::new(Pace::default());
    let runner = config.runner.clone();
    let drain = runner.drain_timeout;
    let pods = dependencies.pods.clone().map(|pods| {
        let by_namespace = pods.index(|pod: &SlimPod| pod.key.namespace.clone());
        (pods, by_namespace)
    });
    let watched_pods = dependencies.pods.clone();
    let reconciler = JobReconciler {
        writer: writer.clone(),
        reports: Pace::default(),
        plans: plans.clone(),
        expectations,
        dependencies,
        config,
        pods,
        copier,
        _routes: subscription,
    };
    let plans_wait = move |job: &ObjectKey| plans.wait(job);
    let mut builder = Controller::builder("imagepulljob-controller", jobs, reconciler).config(runner);
    if let Some(pods) = &watched_pods {
        let routes = routes.clone();
        builder = builder.watches(pods, move |delta: &Delta<SlimPod>, enqueue| {
            let (old, new) = states(delta);
            routes.lock().route_pod(old, new, |key| enqueue(key.clone()));
        });
    }
    if let Some(metrics) = &metrics {
        builder = builder.metrics(metrics);
    }
    let controller = builder.build();
    // A thousand nodes that report at once wake their job once: when it may plan again.
    let queue = controller.queue();
    let subscription = node_images.subscribe(move |delta: &Delta<NodeImage>| {
        let (old, new) = states(delta);
        routes.lock().route(old, new, |key| {
            let add = Add {
                priority: Priority::NORMAL,
                after: plans_wait(key),
            };
            queue.add_with(key.clone(), add);
        });
    });
    Ok(JobController {
        _nodes: subscription,
        drain,
        client,
        node_images,
        controller,
        writer,
    })
}

/// The controller of jobs: plans for jobs, and writes to nodes for all jobs together.
pub struct JobController {
    controller: Controller<JobReconciler>,
    writer: Arc<Writer>,
    client: Client,
    node_images: Cache<NodeImage>,
    drain: Duration,
    _nodes: Subscription,
}

impl fmt::Debug for JobController {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("JobController")
            .field("controller", &self.controller)
            .finish_non_exhaustive()
    }
}

impl JobController {
    /// The queue of jobs, to add keys from elsewhere.
    pub fn queue(&self) -> WorkQueue<ObjectKey> {
        self.controller.queue()
    }

    /// Runs until cancelled. Does nothing before the cache has seen what the server knew at the start. Dropping the future
    /// drops what is under way.
    pub async fn run(self, cancel: CancellationToken) {
        let known = catch_up(self.client, &self.node_images);
        if cancel.run_until_cancelled(known).await.is_none() {
            return;
        }
        let queue = self.controller.queue();
        let writes = self.writer.run(queue, cancel.clone(), self.drain);
        tokio::join!(self.controller.run(cancel.clone()), writes);
    }
}

impl Runnable for JobController {
    fn name(&self) -> &str {
        Runnable::name(&self.controller)
    }

    fn run(self: Box<Self>, cancel: CancellationToken) -> BoxFuture<'static, Result<(), RunError>> {
        JobController::run(*self, cancel).map(Ok).boxed()
    }
}

/// Pods by namespace.
type PodIndex = Index<SlimPod, Arc<str>>;

#[derive(Debug)]
struct JobReconciler {
    dependencies: JobDependencies,
    config: JobConfig,
    expectations: Expectations,
    writer: Arc<Writer>,
    reports: Pace,
    plans: Arc<Pace>,
    pods: Option<(Cache<SlimPod>, PodIndex)>,
    copier: Copier,
    _routes: Subscription,
}

impl Reconciler for JobReconciler {
    type Object = ImagePullJob;
    type Error = ApiError;

    async fn reconcile(&self, key: ObjectKey, job: Option<Arc<ImagePullJob>>) -> Result<Outcome, ApiError> {
        let Some(job) = job else { return Ok(Outcome::Done) };
        let uid = job.uid();
        if job.metadata.deletion_timestamp.is_some() {
            self.writer.forget(uid);
            return Ok(Outcome::Done);
        }
        let Turn::Free { ended, wait: pause } = self.writer.turn(uid) else {
            return Ok(Outcome::Done);
        };
        if ended.written > 0 {
            tracing::info!(job = %key, nodes = ended.written, "handed the task to nodes");
        }
        if let Some(failure) = &ended.failure {
            tracing::warn!(job = %key, nodes = ended.failures, error = failure.text, "task not handed to nodes");
            if failure.refused {
                let note = notes::of_refusal(&job, ended.failures, &failure.text);
                self.dependencies.events.emit(note);
            }
        }
        if let Some(wait) = self.plans.wait(&key) {
            return Ok(Outcome::RequeueAfter(wait));
        }
        self.plans.did(&key, self.config.plan_interval);
        self.writer.settle(uid).await?;
        if let Expected::Waiting { retry_after, .. } = self.expectations.check(uid) {
            return Ok(Outcome::RequeueAfter(retry_after.min(self.config.settle_retry)));
        }
        let context = self.context(&job).await?;
        let nodes = self.selected(&job, &context);
        self.plans.did(&key, self.config.plan_rest(nodes.len()));
        let plan = plan_job(
            &job,
            nodes.iter().map(AsRef::as_ref),
            &context,
            self.dependencies.clock.now(),
            &self.config.plan,
            self.config.seed,
        );
        if plan.delete {
            self.delete(&key, &job).await?;
            return Ok(Outcome::Done);
        }
        let mut wait = plan.requeue_after;
        let mut at_most = |limit: Duration| wait = Some(wait.map_or(limit, |wait| wait.min(limit)));
        if let (Some(task), None, false) = (&plan.task, pause, plan.dispatch.is_empty()) {
            let batch = plan.dispatch.iter().take(self.config.writes_per_round);
            let names = batch.filter_map(|dispatch| dispatch.node_image.metadata.name.as_deref());
            self.writer.submit(&key, task.clone(), names.map(Arc::from));
            // The status is written when the writes have come back, together with what they changed.
        } else {
            if let Some(pause) = pause.filter(|_| !plan.dispatch.is_empty()) {
                at_most(pause);
            }
            if let Some(status) = &plan.status
                && let Some(later) = self.report(&key, &job, status, &plan, &context).await?
            {
                at_most(later);
            }
        }
        let ends = plan
            .status
            .as_ref()
            .is_none_or(|status| status.completion_time.is_some());
        if !ends && (context.blocked || !job.spec.pull_secrets.is_empty()) {
            at_most(self.config.secret_refresh);
        }
        Ok(wait.map_or(Outcome::Done, Outcome::RequeueAfter))
    }
}

impl JobReconciler {
    /// Gathers what the job depends on beside NodeImages.
    async fn context(&self, job: &ImagePullJob) -> Result<JobContext, ApiError> {
        let mut context = JobContext::default();
        if job
            .status
            .as_ref()
            .is_some_and(|status| status.completion_time.is_some())
        {
            return Ok(context);
        }
        self.copier.prepare(job, &self.expectations, &mut context).await?;
        if let Some(selector) = &job.spec.pod_selector {
            let namespace = job.metadata.namespace.as_deref().unwrap_or_default();
            match &self.pods {
                Some((cache, by_namespace)) => {
                    let pods = cache.by_index(by_namespace, &Arc::from(namespace));
                    // A selector that can not be read is told with everything else that is wrong with the job.
                    context.pod_nodes =
                        pod_nodes(selector, namespace, pods.iter().map(AsRef::as_ref)).unwrap_or_default();
                }
                None => {
                    context.blocked = true;
                    context
                        .troubles
                        .push("podSelector is not supported here: pods are not watched".to_owned());
                }
            }
        }
        Ok(context)
    }

    /// Returns the NodeImages to plan with: the named ones, or all.
    fn selected(&self, job: &ImagePullJob, context: &JobContext) -> Vec<Arc<NodeImage>> {
        let cache = &self.dependencies.node_images;
        let selection = NodeSelection::of(&job.spec, &context.pod_nodes).ok();
        match selection.as_ref().and_then(NodeSelection::names) {
            Some(names) => names
                .filter_map(|name| cache.get(&ObjectKey::cluster(name)))
                .collect(),
            None => cache.list(),
        }
    }

    /// Writes the status if it differs. Returns how long to wait if it is too early for that.
    async fn report(
        &self,
        key: &ObjectKey,
        job: &ImagePullJob,
        status: &ImagePullJobStatus,
        plan: &JobPlan<'_>,
        context: &JobContext,
    ) -> Result<Option<Duration>, ApiError> {
        if !status_differs(job.status.as_ref(), status) {
            return Ok(None);
        }
        let urgent = job.status.is_none() || status.completion_time.is_some() || !plan.invalid.is_empty();
        if let Some(wait) = self.reports.wait(key).filter(|_| !urgent) {
            return Ok(Some(wait));
        }
        let patch = Patch::Merge(status_patch(job, status));
        let written = self
            .api(key)
            .patch_status(&key.name, &PatchParams::default(), &patch)
            .await
            .map_err(|source| ApiError::new("writing the status of a job", source))?;
        self.expectations
            .expect_update(job.uid(), written.uid(), written.resource_version());
        let notes = notes::of_status(job, status, !plan.invalid.is_empty());
        for note in notes
            .into_iter()
            .chain(notes::of_troubles(job, &context.troubles))
        {
            self.dependencies.events.emit(note);
        }
        self.reports.did(key, self.config.status_interval);
        Ok(None)
    }

    async fn delete(&self, key: &ObjectKey, job: &ImagePullJob) -> Result<(), ApiError> {
        let preconditions = Preconditions {
            uid: job.metadata.uid.clone(),
            resource_version: None,
        };
        let params = DeleteParams {
            preconditions: Some(preconditions),
            ..DeleteParams::background()
        };
        match self
            .api(key)
            .delete(&key.name, &params)
            .await
            .map_err(|e| ApiError::new("deleting a job", e))
        {
            Ok(_) | Err(ApiError::Gone { .. }) => {
                self.writer.forget(job.uid());
                tracing::info!(job = %key, "deleted the job: its time after completion is over");
                Ok(())
            }
            Err(error) => Err(error),
        }
    }

    fn api(&self, key: &ObjectKey) -> Api<ImagePullJob> {
        Api::namespaced(self.dependencies.client.clone(), key.namespace_str())
    }
}
