//! A small API server for the kinds of this crate, caches that it feeds, and runtimes and clocks to go with it.
#![allow(
    dead_code,
    unreachable_pub,
    missing_docs,
    reason = "shared by test programs that use parts of it"
)]

pub mod api;
pub mod runtime;

use std::sync::Arc;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use kruise_core::runtime::{Clock, Tasks};
use kruise_imagepull::agent::{
    AgentConfig, AgentDependencies, AgentMetrics, CredentialProvider, DiskSpace, NoSecrets, NodeAgent,
    SecretSource,
};
use kruise_imagepull::events::{EventSink, Note};
use kruise_imagepull::job::{JobConfig, JobDependencies, job_controller};
use kruise_imagepull::nodeimage::{NodeImageConfig, NodeImageDependencies, node_image_controller};
use kruise_imagepull::secrets::{SecretConfig, SecretDependencies, secret_controller};
use parking_lot::Mutex;
use tokio::time::Instant;

use api::FakeApi;
use runtime::ScriptedRuntime;

/// Wall clock that goes with tokio's, paused or not.
#[derive(Debug)]
pub struct TestClock {
    start: Instant,
}

impl TestClock {
    pub fn new() -> Arc<Self> {
        Arc::new(Self {
            start: Instant::now(),
        })
    }
}

impl Clock for TestClock {
    fn now(&self) -> Timestamp {
        let passed = SignedDuration::try_from(self.start.elapsed()).expect("tests are short");
        Timestamp::UNIX_EPOCH + SignedDuration::from_secs(1_800_000_000) + passed
    }
}

/// A cluster in one process.
pub struct World {
    pub api: FakeApi,
    pub clock: Arc<TestClock>,
    pub notes: Arc<Mutex<Vec<Note>>>,
    pub tasks: Tasks,
    /// Of agents that are started from now on.
    pub providers: Mutex<Vec<Arc<dyn CredentialProvider>>>,
    pub disk: Mutex<Option<Arc<dyn DiskSpace>>>,
}

impl World {
    pub fn new() -> Self {
        Self {
            api: FakeApi::new(),
            clock: TestClock::new(),
            notes: Arc::default(),
            tasks: Tasks::new(),
            providers: Mutex::default(),
            disk: Mutex::default(),
        }
    }

    pub fn events(&self) -> EventSink {
        let notes = self.notes.clone();
        EventSink::new(move |note| notes.lock().push(note))
    }

    /// Reasons of all Events about objects of this kind.
    pub fn reasons(&self, kind: &str) -> Vec<&'static str> {
        let notes = self.notes.lock();
        notes
            .iter()
            .filter(|note| note.about.kind.as_deref() == Some(kind))
            .map(|note| note.reason)
            .collect()
    }

    pub fn start_job_controller(&self, config: JobConfig) {
        let dependencies = JobDependencies {
            client: self.api.client("jobs"),
            jobs: self.api.jobs(),
            node_images: self.api.node_images(),
            pods: Some(self.api.pods()),
            secret_copies: self.api.secrets(),
            clock: self.clock.clone(),
            events: self.events(),
            metrics: None,
        };
        let controller = job_controller(dependencies, config).expect("the configuration is valid");
        let token = self.tasks.token();
        self.tasks.spawn("job controller", async move {
            let _ = controller.run(token).await;
        });
    }

    pub fn start_node_image_controller(&self, config: NodeImageConfig) {
        let dependencies = NodeImageDependencies {
            client: self.api.client("nodeimages"),
            node_images: self.api.node_images(),
            nodes: self.api.nodes(),
            jobs: self.api.jobs(),
            clock: self.clock.clone(),
            events: self.events(),
            metrics: None,
        };
        let controller = node_image_controller(dependencies, config).expect("the configuration is valid");
        let token = self.tasks.token();
        self.tasks.spawn("nodeimage controller", async move {
            let _ = controller.run(token).await;
        });
    }

    pub fn start_secret_controller(&self) {
        let dependencies = SecretDependencies {
            client: self.api.client("copies"),
            copies: self.api.secrets(),
            jobs: self.api.jobs(),
            metrics: None,
        };
        let controller =
            secret_controller(dependencies, SecretConfig::default()).expect("the configuration is valid");
        let token = self.tasks.token();
        self.tasks.spawn("secret controller", async move {
            let _ = controller.run(token).await;
        });
    }

    pub fn start_controllers(&self) {
        self.start_secret_controller();
        self.start_job_controller(JobConfig::default());
        self.start_node_image_controller(NodeImageConfig::default());
    }

    pub fn start_agent(&self, node: &str, runtime: &Arc<ScriptedRuntime>) -> Tasks {
        self.start_agent_with(node, runtime.clone(), Arc::new(NoSecrets), AgentConfig::default())
    }

    pub fn start_agent_with(
        &self,
        node: &str,
        images: Arc<dyn kruise_cri::ImageService>,
        secrets: Arc<dyn SecretSource>,
        config: AgentConfig,
    ) -> Tasks {
        let dependencies = AgentDependencies {
            node_name: node.to_owned(),
            client: self.api.client("agent"),
            cache: self.api.node_images(),
            images,
            secrets,
            credential_providers: self.providers.lock().clone(),
            disk: self.disk.lock().clone(),
            clock: self.clock.clone(),
            events: self.events(),
            metrics: AgentMetrics::detached(),
        };
        let agent = NodeAgent::new(dependencies, config).expect("the configuration is valid");
        let tasks = Tasks::new();
        tasks.spawn("agent", agent.run(tasks.token()));
        tasks
    }
}

/// Lets everything run until `condition` holds. Time passes if nothing else does; `limit` bounds it.
pub async fn until(what: &str, limit: Duration, mut condition: impl FnMut() -> bool) {
    let end = Instant::now() + limit;
    while !condition() {
        assert!(Instant::now() < end, "not within {limit:?}: {what}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// Lets everything that can run now run, and this much time pass.
pub async fn pass(seconds: u64) {
    tokio::time::sleep(Duration::from_secs(seconds)).await;
}
