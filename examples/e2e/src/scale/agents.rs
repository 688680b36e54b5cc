//! The agents of many nodes in one process.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::Mutex;
use std::time::Duration;

use anyhow::Result;
use async_trait::async_trait;
use kruise_core::manager::{ClientConfig, ClientFactory};
use kruise_core::runtime::{CacheConfig, SystemClock, Tasks};
use kruise_core::testing::random::Random;
use kruise_cri::{Error, FilesystemUsage, Image, ImageService, PullRequest};
use kruise_imagepull::agent::{AgentConfig, AgentDependencies, AgentMetrics, NoSecrets, NodeAgent};
use kruise_imagepull::caches::own_node_image_cache;
use kruise_imagepull::events::EventSink;
use kube_client::Client;
use prometheus_client::encoding::text::encode;
use prometheus_client::registry::Registry;

use super::Shape;
use super::manager::sum;

/// Agents that run. Dropping them ends them where they stand.
pub struct Agents {
    _tasks: Tasks,
    metrics: Registry,
}

impl std::fmt::Debug for Agents {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Agents").finish_non_exhaustive()
    }
}

impl Agents {
    /// Starts an agent for each node, as the daemon does but without Events, and waits until each knows its NodeImage.
    ///
    /// # Errors
    /// A setting that cannot be used.
    pub async fn start(shape: &Shape, client: &Client) -> Result<Self> {
        let tasks = Tasks::new();
        let mut registry = Registry::default();
        let metrics = AgentMetrics::register(&mut registry);
        let mut caches = Vec::new();
        for (seed, name) in (0..).zip(shape.node_names()) {
            // The limits of the daemon.
            let mut limits = ClientConfig::default();
            limits.user_agent = "kruise-daemon".to_owned();
            (limits.qps, limits.burst) = (5, 10);
            let client = ClientFactory::new(client.clone(), limits)?.client("image-puller")?;
            let mut config = CacheConfig::default();
            config.backoff_jitter = 0.5;
            config.seed = seed;
            let (cache, driver) = own_node_image_cache(client.clone(), &name).config(config).build();
            let mut config = AgentConfig::default();
            config.seed = seed;
            let dependencies = AgentDependencies {
                credential_providers: Vec::new(),
                disk: None,
                node_name: name,
                client,
                cache: cache.clone(),
                images: Arc::new(SlowRuntime::new(shape.pull_time, seed)),
                secrets: Arc::new(NoSecrets),
                clock: Arc::new(SystemClock),
                events: EventSink::none(),
                metrics: metrics.clone(),
            };
            let agent = NodeAgent::new(dependencies, config)?;
            tasks.spawn("cache", driver.run(tasks.token()));
            tasks.spawn("agent", agent.run(tasks.token()));
            caches.push(cache);
        }
        for cache in caches {
            cache.synced().await;
        }
        Ok(Self {
            _tasks: tasks,
            metrics: registry,
        })
    }

    /// Status writes that all agents have made.
    pub fn status_writes(&self) -> u64 {
        let mut text = String::new();
        match encode(&mut text, &self.metrics) {
            Ok(()) => sum(&text, "kruise_imagepull_status_writes_total", |_| true),
            Err(_) => 0,
        }
    }
}

/// A container runtime whose pulls succeed after a while.
#[derive(Debug)]
struct SlowRuntime {
    mean: Duration,
    state: Mutex<(Random, BTreeSet<String>)>,
}

impl SlowRuntime {
    fn new(mean: Duration, seed: u64) -> Self {
        Self {
            mean,
            state: Mutex::new((Random::new(seed), BTreeSet::new())),
        }
    }

    fn locked(&self) -> std::sync::MutexGuard<'_, (Random, BTreeSet<String>)> {
        self.state
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

#[async_trait]
impl ImageService for SlowRuntime {
    async fn list_images(&self, _: Option<&str>) -> Result<Vec<Image>, Error> {
        Ok(Vec::new())
    }

    async fn image_status(&self, image: &str) -> Result<Option<Image>, Error> {
        let present = self.locked().1.contains(image);
        Ok(present.then(|| Image {
            id: format!("id-of-{image}"),
            size: 1,
            ..Image::default()
        }))
    }

    async fn pull_image(&self, request: PullRequest) -> Result<String, Error> {
        let time = self.mean / 2 + self.locked().0.duration(self.mean);
        tokio::time::sleep(time).await;
        self.locked().1.insert(request.image.clone());
        // As long as a real one.
        Ok(format!("sha256:{:064x}", request.image.len()))
    }

    async fn remove_image(&self, image: &str) -> Result<(), Error> {
        self.locked().1.remove(image);
        Ok(())
    }

    async fn image_fs_info(&self) -> Result<Vec<FilesystemUsage>, Error> {
        Ok(Vec::new())
    }
}
