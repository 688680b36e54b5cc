//! Putting the controller together.

use std::fmt;
use std::sync::Arc;

use futures::FutureExt as _;
use futures::future::BoxFuture;
use k8s_openapi::api::apps::v1::ControllerRevision;
use kruise_core::revision::RevisionHistory;
use kruise_core::runtime::{
    Add, Cache, Clock, ConfigError, Controller, Delta, EventSink, Expectations, ExpectationsConfig,
    ObjectKey, Priority, RunError, Runnable, RuntimeMetrics, Subscription, WorkQueue,
};
use kube_client::Client;
use parking_lot::Mutex;
use tokio_util::sync::CancellationToken;

use super::SidecarSetConfig;
use super::history::{Histories, set_of};
use super::metrics::UpgradeMetrics;
use super::reconcile::SidecarSetReconciler;
use super::rosters::Rosters;
use super::writer::Writer;
use crate::api::SidecarSet;
use crate::plan::SidecarPod;
use crate::webhook::NamespaceView;

/// Name of the controller, in logs and metrics.
const NAME: &str = "sidecarset-controller";

/// What the controller of SidecarSets needs from its host.
#[derive(Clone)]
pub struct SidecarSetDependencies {
    /// Client for the writes, with the user agent and limits of this controller.
    pub client: Client,
    /// All sets, see [`sidecar_set_cache`](crate::webhook::sidecar_set_cache).
    pub sets: Cache<SidecarSet>,
    /// All pods, see [`sidecar_pod_cache`](super::sidecar_pod_cache).
    pub pods: Cache<SidecarPod>,
    /// Labels of namespaces, see [`namespace_cache`](crate::webhook::namespace_cache). Without them, a set with a
    /// `namespaceSelector` has no pods, and says so.
    pub namespaces: Option<Cache<NamespaceView>>,
    /// The revisions of sets in [`SidecarSetConfig::revision_namespace`], see
    /// [`revision_cache`](crate::webhook::revision_cache).
    pub revisions: Cache<ControllerRevision>,
    /// Wall clock for the times in annotations and conditions.
    pub clock: Arc<dyn Clock>,
    /// Where Events go.
    pub events: EventSink,
    /// Metrics of queue and reconciles, if they are wanted.
    pub metrics: Option<RuntimeMetrics>,
    /// Metrics of upgrades; the default ones are registered nowhere.
    pub upgrade_metrics: UpgradeMetrics,
}

impl fmt::Debug for SidecarSetDependencies {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SidecarSetDependencies")
            .field("sets", &self.sets)
            .field("pods", &self.pods)
            .finish_non_exhaustive()
    }
}

/// Returns the controller of SidecarSets. It does nothing before it runs, and needs its caches to be driven.
///
/// # Errors
/// The configuration names a value that can not be used.
pub fn sidecar_set_controller(
    dependencies: SidecarSetDependencies,
    config: SidecarSetConfig,
) -> Result<SidecarSetController, ConfigError> {
    config.validate()?;
    let SidecarSetDependencies {
        client,
        sets,
        pods,
        namespaces,
        revisions,
        clock,
        events,
        metrics,
        upgrade_metrics,
    } = dependencies;
    let mut settings = ExpectationsConfig::default();
    "sidecarset".clone_into(&mut settings.name);
    let expectations = match &metrics {
        Some(metrics) => Expectations::with_metrics(settings, metrics),
        None => Expectations::new(settings),
    };
    // Before the handlers that add to the queue, so that a reconcile finds the expectation met.
    expectations.observe_cache(&pods);
    let rosters = Arc::new(Rosters::new(pods.clone(), namespaces.clone(), config.hash_form));
    let history = RevisionHistory::new(client.clone(), &config.revision_namespace);
    let reconciler = SidecarSetReconciler {
        writer: Arc::new(Writer {
            client,
            sets: sets.clone(),
            pods: pods.clone(),
            expectations,
            clock,
            metrics: upgrade_metrics.clone(),
            concurrent: config.concurrent_writes,
            in_doubt: Mutex::default(),
        }),
        histories: Histories::new(history, revisions.clone(), config.settle_retry),
        sets: sets.clone(),
        rosters: rosters.clone(),
        events,
        metrics: upgrade_metrics,
        config: config.clone(),
    };
    let mut builder = Controller::builder(NAME, sets, reconciler)
        .config(config.runner.clone())
        .changed({
            let rosters = rosters.clone();
            move |old, new| !rosters.is_own_status(old, new)
        })
        .watches(&revisions, |delta: &Delta<ControllerRevision>, enqueue| {
            if let Some(set) = set_of(delta.object()) {
                enqueue(ObjectKey::cluster(set.as_str()));
            }
        });
    if let Some(metrics) = &metrics {
        builder = builder.metrics(metrics);
    }
    if let Some(namespaces) = &namespaces {
        let rosters = rosters.clone();
        builder = builder.watches(namespaces, move |delta: &Delta<NamespaceView>, enqueue| {
            rosters.on_namespace(delta, |set| enqueue(ObjectKey::cluster(set)));
        });
    }
    let controller = builder.build();
    let queue = controller.queue();
    let of_pods = pods.subscribe(move |delta: &Delta<SidecarPod>| {
        rosters.on_pod(delta, |set, pods| {
            let add = Add {
                priority: Priority::NORMAL,
                after: Some(config.debounce(pods)),
            };
            queue.add_with(ObjectKey::cluster(set), add);
        });
    });
    Ok(SidecarSetController {
        controller,
        pods,
        _of_pods: of_pods,
    })
}

/// The controller of SidecarSets.
pub struct SidecarSetController {
    controller: Controller<SidecarSetReconciler>,
    pods: Cache<SidecarPod>,
    _of_pods: Subscription,
}

impl fmt::Debug for SidecarSetController {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SidecarSetController")
            .field("controller", &self.controller)
            .finish_non_exhaustive()
    }
}

impl SidecarSetController {
    /// The queue of sets, to add keys from elsewhere.
    pub fn queue(&self) -> WorkQueue<ObjectKey> {
        self.controller.queue()
    }

    /// Runs until cancelled. Does nothing before the caches have all that there is. Dropping the future drops what is under
    /// way.
    pub async fn run(self, cancel: CancellationToken) {
        let synced = self.pods.synced();
        if cancel.run_until_cancelled(synced).await.is_some() {
            self.controller.run(cancel).await;
        }
    }
}

impl Runnable for SidecarSetController {
    fn name(&self) -> &str {
        Runnable::name(&self.controller)
    }

    fn run(self: Box<Self>, cancel: CancellationToken) -> BoxFuture<'static, Result<(), RunError>> {
        SidecarSetController::run(*self, cancel).map(Ok).boxed()
    }
}
