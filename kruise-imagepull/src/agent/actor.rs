//! The one task that owns the state of the agent.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt;
use futures::future::BoxFuture;
use k8s_openapi::api::core::v1::ObjectReference;
use kruise_core::runtime::{Cache, Clock, ConfigError, ObjectKey, RunError, Runnable, Tasks};
use kruise_cri::ImageService;
use kube_client::{Api, Client};
use kube_core::Resource as _;
use kube_core::params::{Patch, PatchParams};
use tokio::sync::{Notify, mpsc};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::activity::Activity;
use super::credentials::{CredentialProvider, CredentialSources};
use super::disk::{DiskGuard, DiskSpace};
use super::reporter::{Report, Reporter};
use super::secrets::SecretSource;
use super::worker::{Said, Teller, WorkerContext, work};
use super::{AgentConfig, AgentMetrics};
use crate::api::{NodeImage, NodeImageStatus};
use crate::error::ApiError;
use crate::events::{EventSink, Note, REASON_PULL_FAILED, REASON_PULLED};
use crate::plan::agent::{Agent, AgentAction, PullOutcome, PullTask, RunId};

/// What workers say and the actor has not taken in; they wait when it is full.
const SAID_BUFFER: usize = 64;

/// What the agent needs from its host.
#[derive(Clone)]
pub struct AgentDependencies {
    /// Name of the node.
    pub node_name: String,
    /// Client for status writes.
    pub client: Client,
    /// Cache of the NodeImage of this node, see [`own_node_image_cache`](crate::caches::own_node_image_cache).
    pub cache: Cache<NodeImage>,
    /// The container runtime.
    pub images: Arc<dyn ImageService>,
    /// Where pull secrets come from.
    pub secrets: Arc<dyn SecretSource>,
    /// Where credentials come from that are in no Secret; asked in this order.
    pub credential_providers: Vec<Arc<dyn CredentialProvider>>,
    /// Who tells the free space of the node; without, pulls start on full disks too.
    pub disk: Option<Arc<dyn DiskSpace>>,
    /// Wall clock for start and completion times.
    pub clock: Arc<dyn Clock>,
    /// Where Events go.
    pub events: EventSink,
    /// Metrics.
    pub metrics: AgentMetrics,
}

impl fmt::Debug for AgentDependencies {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AgentDependencies")
            .field("node_name", &self.node_name)
            .finish_non_exhaustive()
    }
}

/// The agent of one node. Runs until cancelled; pulls under way are dropped then, and begin anew after a restart.
#[derive(Debug)]
pub struct NodeAgent {
    dependencies: AgentDependencies,
    config: AgentConfig,
}

impl NodeAgent {
    /// Makes the agent. It does nothing before it runs, and needs its cache to be driven.
    ///
    /// # Errors
    /// The configuration names a value that can not be used.
    pub fn new(dependencies: AgentDependencies, config: AgentConfig) -> Result<Self, ConfigError> {
        config.validate()?;
        Ok(Self { dependencies, config })
    }

    /// Runs until cancelled. Needs a tokio runtime. Dropping the future stops all workers.
    pub async fn run(self, cancel: CancellationToken) {
        let changed = Arc::new(Notify::new());
        let _subscription = self.dependencies.cache.subscribe({
            let changed = changed.clone();
            move |_| changed.notify_one()
        });
        cancel.run_until_cancelled(Actor::new(self).run(changed)).await;
    }
}

impl Runnable for NodeAgent {
    fn name(&self) -> &str {
        "imagepull-agent"
    }

    fn run(self: Box<Self>, cancel: CancellationToken) -> BoxFuture<'static, Result<(), RunError>> {
        NodeAgent::run(*self, cancel).map(Ok).boxed()
    }
}

type Written = (NodeImageStatus, Result<NodeImage, ApiError>);

struct Actor {
    dependencies: AgentDependencies,
    key: ObjectKey,
    api: Api<NodeImage>,
    context: WorkerContext,
    write_timeout: Duration,
    agent: Agent,
    /// The object that `agent` has seen last.
    observed: Option<Arc<NodeImage>>,
    reporter: Reporter,
    tasks: Tasks,
    workers: HashMap<RunId, Worker>,
    said: (mpsc::Sender<Said>, mpsc::Receiver<Said>),
    /// The status write under way; one at a time.
    writing: Option<BoxFuture<'static, Written>>,
    /// Nothing is written before.
    not_before: Option<Instant>,
}

struct Worker {
    stop: CancellationToken,
    task: Arc<PullTask>,
}

impl Actor {
    fn new(agent: NodeAgent) -> Self {
        let NodeAgent { dependencies, config } = agent;
        let (max_pulls, max_pulls_per_registry) = config.pull_limits();
        Self {
            key: ObjectKey::cluster(dependencies.node_name.as_str()),
            api: Api::all(dependencies.client.clone()),
            context: WorkerContext {
                images: dependencies.images.clone(),
                credentials: CredentialSources {
                    secrets: dependencies.secrets.clone(),
                    providers: dependencies.credential_providers.clone(),
                },
                disk: DiskGuard::new(config.disk.clone(), dependencies.disk.clone()),
                activity: Activity::default(),
                clock: dependencies.clock.clone(),
                metrics: dependencies.metrics.clone(),
                config: Arc::new(config.clone()),
            },
            write_timeout: config.write_timeout,
            agent: Agent::new(max_pulls).per_registry(max_pulls_per_registry),
            observed: None,
            reporter: Reporter::new(&config),
            tasks: Tasks::new(),
            workers: HashMap::new(),
            said: mpsc::channel(SAID_BUFFER),
            writing: None,
            not_before: None,
            dependencies,
        }
    }

    async fn run(mut self, changed: Arc<Notify>) {
        // Before the first list is complete, a missing object says nothing.
        self.dependencies.cache.synced().await;
        self.observe();
        loop {
            // All that is known goes into one write.
            while let Ok(said) = self.said.1.try_recv() {
                self.hear(said);
            }
            let wait = self.report();
            tokio::select! {
                () = changed.notified() => self.observe(),
                Some(said) = self.said.1.recv() => self.hear(said),
                written = finished(&mut self.writing) => self.wrote(written),
                () = elapsed(wait) => self.not_before = None,
            }
        }
    }

    fn observe(&mut self) {
        self.observed = self.dependencies.cache.get(&self.key);
        let actions = self
            .agent
            .observe(self.observed.as_deref(), self.dependencies.clock.now());
        self.act(actions);
    }

    fn hear(&mut self, said: Said) {
        match said {
            Said::Is { run, message } => {
                self.agent.progressed(run, 0, &message);
            }
            Said::Ended { run, outcome } => {
                // A worker that was stopped has no entry any more, and its end is nobody's business.
                if let Some(worker) = self.workers.remove(&run) {
                    self.tell(&worker.task, &outcome);
                }
                let actions = self.agent.finished(run, outcome, self.dependencies.clock.now());
                self.act(actions);
            }
        }
    }

    fn act(&mut self, actions: Vec<AgentAction>) {
        for action in actions {
            match action {
                AgentAction::Start { run, task } => {
                    let stop = self.tasks.token();
                    let said = self.said.0.clone();
                    let work = work(self.context.clone(), task.clone(), Teller { run, said });
                    self.workers.insert(
                        run,
                        Worker {
                            stop: stop.clone(),
                            task,
                        },
                    );
                    self.tasks
                        .spawn("pull", stop.run_until_cancelled_owned(work).map(drop));
                }
                AgentAction::Stop(run) => {
                    if let Some(worker) = self.workers.remove(&run) {
                        worker.stop.cancel();
                    }
                }
            }
        }
        let (running, queued) = self.agent.load();
        self.dependencies
            .metrics
            .in_flight
            .set(i64::try_from(running).unwrap_or(i64::MAX));
        self.dependencies
            .metrics
            .queued
            .set(i64::try_from(queued).unwrap_or(i64::MAX));
    }

    /// Starts a write if one is due. Returns when to look again, if time alone makes one due.
    fn report(&mut self) -> Option<Instant> {
        if self.writing.is_some() {
            return None;
        }
        if self.not_before.is_some() {
            return self.not_before;
        }
        let node_image = self.observed.as_ref()?;
        let wanted = self.agent.status(node_image);
        match self.reporter.report(node_image, &wanted) {
            Report::Nothing => None,
            Report::Later(wait) => Some(Instant::now() + wait),
            Report::Write(patch) => {
                let (api, name) = (self.api.clone(), self.key.name.clone());
                let timeout = self.write_timeout;
                self.writing = Some(Box::pin(async move {
                    let (params, patch) = (PatchParams::default(), Patch::Merge(patch));
                    let request = api.patch_status(&name, &params, &patch);
                    let result = match tokio::time::timeout(timeout, request).await {
                        Ok(result) => result,
                        Err(elapsed) => Err(kube_client::Error::Service(elapsed.into())),
                    };
                    (
                        wanted,
                        result.map_err(|source| ApiError::new("writing the status of a NodeImage", source)),
                    )
                }));
                None
            }
        }
    }

    fn wrote(&mut self, (wanted, result): Written) {
        self.writing = None;
        self.dependencies.metrics.wrote(result.is_ok());
        match result {
            Ok(answer) => self.reporter.wrote(wanted, answer),
            Err(error) => {
                let wait = self.reporter.failed();
                tracing::warn!(
                    node = %self.key,
                    error = %kruise_core::runtime::Causes(&error),
                    retry_ms = u64::try_from(wait.as_millis()).unwrap_or(u64::MAX),
                    "status not written"
                );
                self.not_before = Some(Instant::now() + wait);
            }
        }
    }

    fn tell(&self, task: &PullTask, outcome: &PullOutcome) {
        let node = &self.dependencies.node_name;
        let (warning, reason, message) = match outcome {
            PullOutcome::Succeeded { .. } => {
                tracing::info!(image = %task.reference, version = task.version, "pulled");
                (
                    false,
                    REASON_PULLED,
                    format!("{} is on node {node}", task.reference),
                )
            }
            PullOutcome::Failed { message } => {
                tracing::warn!(image = %task.reference, version = task.version, error = %message, "gave up pulling");
                (
                    true,
                    REASON_PULL_FAILED,
                    format!("{} on node {node}: {message}", task.reference),
                )
            }
        };
        let own = self
            .observed
            .as_ref()
            .map(|node_image| node_image.object_ref(&()));
        let owners: &[ObjectReference] = if warning { &task.owners } else { &[] };
        for about in own.into_iter().chain(owners.iter().cloned()) {
            self.dependencies.events.emit(Note {
                about,
                warning,
                reason,
                message: message.clone(),
            });
        }
    }
}

/// The answer of the write under way; never, if there is none. Cancel safe: the write stays where it is.
async fn finished(writing: &mut Option<BoxFuture<'static, Written>>) -> Written {
    match writing {
        Some(write) => write.await,
        None => std::future::pending().await,
    }
}

async fn elapsed(at: Option<Instant>) {
    match at {
        Some(at) => tokio::time::sleep_until(at).await,
        None => std::future::pending().await,
    }
}
