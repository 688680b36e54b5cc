//! Observes, plans, acts and reports for one list at a time.

use std::fmt;
use std::sync::Arc;

use futures::future;
use kruise_core::api::names::{CONTROLLER_REVISION_HASH, GROUP};
use kruise_core::runtime::{
    Cache, Cached as _, Clock, ConfigError, Controller, Delta, Expectations, ExpectationsConfig, Expected,
    Index, ObjectKey, Outcome, ReconcileError as _, Reconciler, Retry, RuntimeMetrics,
};
use kube_client::{Api, Client};
use kube_core::params::{DeleteParams, Patch, PatchParams, PostParams, Preconditions};
use serde_json::json;

use super::{ListConfig, notes};
use crate::api::{ImageListPullJob, ImagePullJob, LIST_JOB_KIND};
use crate::caches::states;
use crate::error::ApiError;
use crate::events::EventSink;
use crate::plan::list::{ListPlan, list_status_patch, plan_list};

/// What the controller of lists needs from its host.
#[derive(Clone)]
pub struct ListDependencies {
    /// Client for the writes, with the user agent and limits of this controller.
    pub client: Client,
    /// All lists.
    pub lists: Cache<ImageListPullJob>,
    /// All jobs.
    pub jobs: Cache<ImagePullJob>,
    /// Wall clock for start, completion and TTL.
    pub clock: Arc<dyn Clock>,
    /// Where Events go.
    pub events: EventSink,
    /// Where reconciles and the queue are counted, if anywhere.
    pub metrics: Option<RuntimeMetrics>,
}

impl fmt::Debug for ListDependencies {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ListDependencies")
            .field("lists", &self.lists)
            .field("jobs", &self.jobs)
            .finish_non_exhaustive()
    }
}

/// Returns the controller of lists. It does nothing before it runs, and needs the two caches to be driven.
///
/// # Errors
/// The configuration names a value that can not be used.
pub fn list_controller(
    dependencies: ListDependencies,
    config: ListConfig,
) -> Result<Controller<ListReconciler>, ConfigError> {
    config.validate()?;
    let ListDependencies { lists, jobs, .. } = dependencies.clone();
    let mut settings = ExpectationsConfig::default();
    "imagelistpulljob".clone_into(&mut settings.name);
    let expectations = Expectations::new(settings);
    // Before the handlers that add to the queue, so that a reconcile finds the expectation met.
    expectations.observe_cache(&lists);
    expectations.observe_cache(&jobs);
    let by_list = jobs.index(|job: &ImagePullJob| list_of(job).map(|(_, uid)| uid));
    let runner = config.runner.clone();
    let metrics = dependencies.metrics.clone();
    let reconciler = ListReconciler {
        dependencies,
        config,
        expectations,
        by_list,
    };
    let mut builder = Controller::builder("imagelistpulljob-controller", lists, reconciler)
        .config(runner)
        .watches(&jobs, |delta: &Delta<ImagePullJob>, enqueue| {
            let (old, new) = states(delta);
            let (old, new) = (old.and_then(list_of), new.and_then(list_of));
            if old != new {
                old.into_iter().for_each(|(key, _)| enqueue(key));
            }
            new.into_iter().for_each(|(key, _)| enqueue(key));
        });
    if let Some(metrics) = &metrics {
        builder = builder.metrics(metrics);
    }
    Ok(builder.build())
}

/// The list that controls a job, and its uid.
fn list_of(job: &ImagePullJob) -> Option<(ObjectKey, String)> {
    let owner = job.metadata.owner_references.iter().flatten().find(|owner| {
        let ours = owner
            .api_version
            .strip_prefix(GROUP)
            .is_some_and(|rest| rest.starts_with('/'));
        owner.controller == Some(true) && owner.kind == LIST_JOB_KIND && ours
    })?;
    let namespace = job.metadata.namespace.as_deref()?;
    Some((ObjectKey::new(namespace, owner.name.as_str()), owner.uid.clone()))
}

/// Reconciles lists; made by [`list_controller`].
#[derive(Debug)]
pub struct ListReconciler {
    dependencies: ListDependencies,
    config: ListConfig,
    expectations: Expectations,
    by_list: Index<ImagePullJob, String>,
}

impl Reconciler for ListReconciler {
    type Object = ImageListPullJob;
    type Error = ApiError;

    async fn reconcile(
        &self,
        key: ObjectKey,
        list: Option<Arc<ImageListPullJob>>,
    ) -> Result<Outcome, ApiError> {
        let Some(list) = list else {
            return Ok(Outcome::Done);
        };
        if let Expected::Waiting { retry_after, .. } = self.expectations.check(list.uid()) {
            return Ok(Outcome::RequeueAfter(retry_after.min(self.config.settle_retry)));
        }
        let children = self
            .dependencies
            .jobs
            .by_index(&self.by_list, &list.uid().to_owned());
        let plan = plan_list(
            &list,
            children.iter().map(AsRef::as_ref),
            self.dependencies.clock.now(),
        );
        if plan.delete {
            self.delete(&key, &list).await?;
            return Ok(Outcome::Done);
        }
        let reported = self.report(&key, &list, &plan).await?;
        let wrote = reported || plan.label.is_some() || !plan.create.is_empty() || !plan.remove.is_empty();
        self.label(&key, &list, &plan).await?;
        self.remove(&key, &list, &plan).await?;
        self.create(&key, &list, &plan).await?;
        if wrote {
            // Open expectations need somebody who looks at them.
            return Ok(Outcome::RequeueAfter(self.config.settle_retry));
        }
        Ok(plan.requeue_after.map_or(Outcome::Done, Outcome::RequeueAfter))
    }
}

impl ListReconciler {
    /// Writes the status if it differs; returns whether it did.
    async fn report(
        &self,
        key: &ObjectKey,
        list: &ImageListPullJob,
        plan: &ListPlan<'_>,
    ) -> Result<bool, ApiError> {
        let Some((status, patch)) = plan
            .status
            .as_ref()
            .and_then(|status| Some((status, list_status_patch(list, status)?)))
        else {
            return Ok(false);
        };
        let written = self
            .lists(key)
            .patch_status(&key.name, &PatchParams::default(), &Patch::Merge(patch))
            .await
            .map_err(|source| ApiError::new("writing the status of a list", source))?;
        self.expectations
            .expect_update(list.uid(), written.uid(), written.resource_version());
        for note in notes::of_status(list, status, !plan.invalid.is_empty()) {
            self.dependencies.events.emit(note);
        }
        Ok(true)
    }

    async fn label(
        &self,
        key: &ObjectKey,
        list: &ImageListPullJob,
        plan: &ListPlan<'_>,
    ) -> Result<(), ApiError> {
        let Some(hash) = &plan.label else { return Ok(()) };
        let patch = Patch::Merge(json!({"metadata": {
            "uid": list.metadata.uid, "labels": {CONTROLLER_REVISION_HASH: hash},
        }}));
        let written = self
            .lists(key)
            .patch(&key.name, &PatchParams::default(), &patch)
            .await
            .map_err(|source| ApiError::new("labelling a list", source))?;
        self.expectations
            .expect_update(list.uid(), written.uid(), written.resource_version());
        Ok(())
    }

    async fn remove(
        &self,
        key: &ObjectKey,
        list: &ImageListPullJob,
        plan: &ListPlan<'_>,
    ) -> Result<(), ApiError> {
        for job in &plan.remove {
            let name = job.metadata.name.as_deref().unwrap_or_default();
            self.expectations.expect_deletion(list.uid(), job.uid());
            match self.jobs(key).delete(name, &params(&job.metadata.uid)).await {
                Ok(_) => {
                    tracing::info!(list = %key, job = name, image = job.spec.image, "deleted the job of an image")
                }
                Err(source) => {
                    self.expectations.withdraw_deletion(list.uid(), job.uid());
                    match ApiError::new("deleting the job of an image", source) {
                        ApiError::Gone { .. } => {}
                        error => return Err(error),
                    }
                }
            }
        }
        Ok(())
    }

    /// Creates jobs: one, then two, four and so on together, and no more after one that is refused.
    async fn create(
        &self,
        key: &ObjectKey,
        list: &ImageListPullJob,
        plan: &ListPlan<'_>,
    ) -> Result<(), ApiError> {
        let (mut left, mut batch) = (plan.create.as_slice(), 1);
        while !left.is_empty() {
            let (now, later) = left.split_at(batch.min(left.len()));
            let created = now.iter().map(|job| self.create_one(key, list, job));
            let results = future::join_all(created).await;
            let failed = results.iter().filter(|result| result.is_err()).count();
            if let Some(error) = results.into_iter().find_map(Result::err) {
                let why = kruise_core::runtime::Causes(&error).to_string();
                if error.retry() != Retry::Now {
                    let note = notes::of_refusal(list, failed + later.len(), &why);
                    self.dependencies.events.emit(note);
                }
                return Err(error);
            }
            left = later;
            batch = batch.saturating_mul(2).min(self.config.max_batch);
        }
        Ok(())
    }

    async fn create_one(
        &self,
        key: &ObjectKey,
        list: &ImageListPullJob,
        job: &ImagePullJob,
    ) -> Result<(), ApiError> {
        let child = job.key();
        self.expectations.expect_creation(list.uid(), &child);
        match self.jobs(key).create(&PostParams::default(), job).await {
            Ok(_) => Ok(()),
            Err(source) => {
                self.expectations.withdraw_creation(list.uid(), &child);
                match ApiError::new("creating the job of an image", source) {
                    // Made by a request whose answer was lost, or by a manager before this one.
                    ApiError::Conflict { .. } if !self.is_of_another(&child, list) => Ok(()),
                    error => Err(error),
                }
            }
        }
    }

    /// Whether a job that is not of this list bears the name.
    fn is_of_another(&self, child: &ObjectKey, list: &ImageListPullJob) -> bool {
        let job = self.dependencies.jobs.get(child);
        job.is_some_and(|job| list_of(&job).is_none_or(|(_, uid)| uid != list.uid()))
    }

    async fn delete(&self, key: &ObjectKey, list: &ImageListPullJob) -> Result<(), ApiError> {
        match self
            .lists(key)
            .delete(&key.name, &params(&list.metadata.uid))
            .await
            .map_err(|source| ApiError::new("deleting a list", source))
        {
            Ok(_) | Err(ApiError::Gone { .. }) => {
                tracing::info!(list = %key, "deleted the list: its time after completion is over");
                Ok(())
            }
            Err(error) => Err(error),
        }
    }

    fn lists(&self, key: &ObjectKey) -> Api<ImageListPullJob> {
        Api::namespaced(self.dependencies.client.clone(), key.namespace_str())
    }

    fn jobs(&self, key: &ObjectKey) -> Api<ImagePullJob> {
        Api::namespaced(self.dependencies.client.clone(), key.namespace_str())
    }
}

/// Deletes the object of this uid and no later one of its name; what it owns goes after it.
fn params(uid: &Option<String>) -> DeleteParams {
    DeleteParams {
        preconditions: Some(Preconditions {
            uid: uid.clone(),
            resource_version: None,
        }),
        ..DeleteParams::background()
    }
}
