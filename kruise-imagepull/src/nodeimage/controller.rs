//! Observes, plans and acts for one NodeImage at a time.

use std::cell::RefCell;
use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use k8s_openapi::api::core::v1::ObjectReference;
use kruise_core::runtime::{
    Cache, Cached as _, Clock, ConfigError, Controller, Delta, ObjectKey, Outcome, Reconciler, RuntimeMetrics,
};
use kube_client::{Api, Client};
use kube_core::Resource as _;
use kube_core::params::{DeleteParams, Patch, PatchParams, PostParams, Preconditions};

use super::NodeImageConfig;
use crate::api::{ImagePullJob, NodeImage, NodeImageSpec};
use crate::caches::{NodeView, states};
use crate::error::ApiError;
use crate::events::{EventSink, Note, REASON_PULL_FAILED};
use crate::lookup::JobLookup;
use crate::plan::nodeimage::{
    FailedTask, NodeImageAction, NodeImagePlan, OwnerState, is_virtual, matters, plan_node_image,
};

/// What the NodeImage controller needs from its host.
#[derive(Clone)]
pub struct NodeImageDependencies {
    /// Client for the writes, with the user agent and limits of this controller.
    pub client: Client,
    /// All NodeImages.
    pub node_images: Cache<NodeImage>,
    /// All Nodes.
    pub nodes: Cache<NodeView>,
    /// All jobs.
    pub jobs: Cache<ImagePullJob>,
    /// Wall clock for timeouts and TTL.
    pub clock: Arc<dyn Clock>,
    /// Where Events go.
    pub events: EventSink,
    /// Metrics of queue and reconciles, if they are wanted.
    pub metrics: Option<RuntimeMetrics>,
}

impl fmt::Debug for NodeImageDependencies {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NodeImageDependencies")
            .field("node_images", &self.node_images)
            .finish_non_exhaustive()
    }
}

/// Returns the NodeImage controller. It does nothing before it runs, and needs the three caches to be driven.
///
/// # Errors
/// The configuration names a value that can not be used.
pub fn node_image_controller(
    dependencies: NodeImageDependencies,
    config: NodeImageConfig,
) -> Result<Controller<NodeImageReconciler>, ConfigError> {
    config.validate()?;
    let NodeImageDependencies {
        node_images,
        nodes,
        jobs,
        ..
    } = dependencies.clone();
    let by_owner = node_images.index(owner_uids);
    let runner = config.runner.clone();
    let (owned, metrics) = (node_images.clone(), dependencies.metrics.clone());
    let mut builder = Controller::builder(
        "nodeimage-controller",
        node_images,
        NodeImageReconciler {
            lookup: JobLookup::new(dependencies.client.clone(), dependencies.jobs.clone()),
            dependencies,
            config,
        },
    )
    .config(runner)
    .changed(matters)
    .watches(&nodes, |delta: &Delta<NodeView>, enqueue| {
        // Heartbeats change neither; they cost this comparison.
        if let Delta::Updated { old, new } = delta
            && old.facts == new.facts
        {
            return;
        }
        if !is_virtual(&delta.object().facts.labels) || matches!(delta, Delta::Deleted { .. }) {
            enqueue(delta.key());
        }
    })
    .watches(&jobs, move |delta: &Delta<ImagePullJob>, enqueue| {
        // One that is new here may be old on the nodes, if this watch lags behind.
        let concerns = match states(delta) {
            (Some(old), Some(new)) => ended(old) != ended(new),
            _ => true,
        };
        if concerns {
            for node_image in owned.by_index(&by_owner, &delta.object().uid().to_owned()) {
                enqueue(node_image.key());
            }
        }
    });
    if let Some(metrics) = &metrics {
        builder = builder.metrics(metrics);
    }
    Ok(builder.build())
}

fn owner_key(reference: &ObjectReference) -> ObjectKey {
    ObjectKey::new(
        reference.namespace.as_deref().unwrap_or_default(),
        reference.name.as_deref().unwrap_or_default(),
    )
}

fn ended(job: &ImagePullJob) -> bool {
    job.status
        .as_ref()
        .is_some_and(|status| status.completion_time.is_some())
}

fn state(job: &ImagePullJob) -> OwnerState {
    if ended(job) || job.spec.completion_policy.is_never() {
        OwnerState::Settled
    } else {
        OwnerState::Running
    }
}

fn owner_uids(node_image: &NodeImage) -> Vec<String> {
    let tasks = node_image.spec.images.values().flat_map(|image| &image.tags);
    let mut uids: Vec<_> = tasks
        .flat_map(|task| &task.owner_references)
        .filter_map(|owner| owner.uid.clone())
        .collect();
    uids.sort_unstable();
    uids.dedup();
    uids
}

/// Reconciles NodeImages; made by [`node_image_controller`].
#[derive(Debug)]
pub struct NodeImageReconciler {
    dependencies: NodeImageDependencies,
    config: NodeImageConfig,
    lookup: JobLookup,
}

impl Reconciler for NodeImageReconciler {
    type Object = NodeImage;
    type Error = ApiError;

    async fn reconcile(
        &self,
        key: ObjectKey,
        node_image: Option<Arc<NodeImage>>,
    ) -> Result<Outcome, ApiError> {
        let plan = self.plan(&key, node_image.as_deref()).await?;
        for action in plan.actions {
            match self.act(&key, node_image.as_deref(), action).await {
                Ok(()) => {}
                Err(ApiError::Conflict { .. } | ApiError::Gone { .. }) => {
                    return Ok(Outcome::RequeueAfter(self.config.conflict_retry));
                }
                Err(error) => return Err(error),
            }
        }
        Ok(plan.requeue_after.map_or(Outcome::Done, Outcome::RequeueAfter))
    }
}

impl NodeImageReconciler {
    /// Plans, and asks the server for owners that the cache does not know: it may only lag behind, and what belongs to
    /// nobody is dropped.
    async fn plan(&self, key: &ObjectKey, node_image: Option<&NodeImage>) -> Result<NodeImagePlan, ApiError> {
        let node = self.dependencies.nodes.get(key);
        let mut asked: HashMap<String, OwnerState> = HashMap::new();
        loop {
            let unknown = RefCell::new(Vec::new());
            let plan = plan_node_image(
                &key.name,
                node.as_ref().map(|node| &node.facts),
                node_image,
                |reference| {
                    let uid = reference.uid.as_deref().unwrap_or_default();
                    let known = asked.get(uid).copied().or_else(|| self.owner_state(reference));
                    known.unwrap_or_else(|| {
                        unknown.borrow_mut().push(reference.clone());
                        OwnerState::Running
                    })
                },
                self.dependencies.clock.now(),
                &self.config.plan,
                self.config.seed,
            );
            let unknown = unknown.into_inner();
            if unknown.is_empty() {
                return Ok(plan);
            }
            for reference in unknown {
                let uid = reference.uid.clone().unwrap_or_default();
                let job = self.lookup.ask_for(&owner_key(&reference), &uid).await?;
                asked.insert(uid, job.as_ref().map_or(OwnerState::Gone, state));
            }
        }
    }

    /// Returns what is known of an owner without asking.
    fn owner_state(&self, reference: &ObjectReference) -> Option<OwnerState> {
        let uid = reference.uid.as_deref().unwrap_or_default();
        match self.lookup.cached(&owner_key(reference), uid) {
            Some(job) => Some(state(&job)),
            None => self.lookup.is_gone(uid).then_some(OwnerState::Gone),
        }
    }

    async fn act(
        &self,
        key: &ObjectKey,
        node_image: Option<&NodeImage>,
        action: NodeImageAction,
    ) -> Result<(), ApiError> {
        let api: Api<NodeImage> = Api::all(self.dependencies.client.clone());
        let params = PatchParams::default();
        match action {
            NodeImageAction::Create { labels } => {
                let mut new = NodeImage::new(&key.name, NodeImageSpec::default());
                new.metadata.labels = Some(labels);
                api.create(&PostParams::default(), &new)
                    .await
                    .map_err(|source| ApiError::new("creating a NodeImage", source))?;
                tracing::info!(node = %key, "created the NodeImage");
            }
            NodeImageAction::Delete => {
                let uid = node_image.and_then(|node_image| node_image.metadata.uid.clone());
                let preconditions = Some(Preconditions {
                    uid,
                    resource_version: None,
                });
                let params = DeleteParams {
                    preconditions,
                    ..DeleteParams::background()
                };
                match api
                    .delete(&key.name, &params)
                    .await
                    .map_err(|e| ApiError::new("deleting a NodeImage", e))
                {
                    Ok(_) | Err(ApiError::Gone { .. }) => {}
                    Err(error) => return Err(error),
                }
                tracing::info!(node = %key, "deleted the NodeImage: its Node is gone");
            }
            NodeImageAction::Labels(patch) => {
                api.patch(&key.name, &params, &Patch::Merge(patch))
                    .await
                    .map_err(|source| ApiError::new("writing the labels of a NodeImage", source))?;
            }
            NodeImageAction::Spec(patch) => {
                api.patch(&key.name, &params, &Patch::Json::<()>(patch))
                    .await
                    .map_err(|source| ApiError::new("dropping tasks of a NodeImage", source))?;
            }
            NodeImageAction::Status { patch, failed } => {
                api.patch_status(&key.name, &params, &Patch::Merge(patch))
                    .await
                    .map_err(|source| ApiError::new("failing tasks of a NodeImage", source))?;
                if let Some(node_image) = node_image {
                    self.tell(node_image, &failed);
                }
            }
        }
        Ok(())
    }

    fn tell(&self, node_image: &NodeImage, failed: &[FailedTask]) {
        let node = node_image.metadata.name.as_deref().unwrap_or_default();
        for task in failed {
            let message = format!("{}:{} on node {node}: {}", task.image, task.tag, task.message);
            for about in task.owners.iter().cloned().chain([node_image.object_ref(&())]) {
                self.dependencies.events.emit(Note {
                    about,
                    warning: true,
                    reason: REASON_PULL_FAILED,
                    message: message.clone(),
                });
            }
        }
    }
}
