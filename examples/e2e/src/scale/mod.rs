//! Many nodes without machines: NodeImages that stand for no Node, and for each the real agent with a runtime that only
//! takes its time. The API server, the manager and what goes over the wire are real.

mod agents;
mod manager;

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Result, bail};
use futures::{StreamExt, TryStreamExt, stream};
use kruise_core::api::names::FAKE_NODE_IMAGE;
use kruise_core::runtime::Tasks;
use kruise_imagepull::api::{ImagePullJob, NodeImage, NodeImageSpec};
use kruise_imagepull::caches;
use kube_client::{Api, Client};
use kube_core::params::{DeleteParams, ListParams, PostParams};
use serde_json::{Value, json};
use tokio::sync::Notify;

pub use agents::Agents;
pub use manager::ManagerUse;

/// Label of all NodeImages of one run; its value is the name of the run.
pub const RUN: &str = "e2e.kruise.io/scale";

/// Requests for set-up at the same time.
const AT_ONCE: usize = 32;

/// How many of what.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shape {
    /// Name of the run and of its namespace, part of the names of its nodes.
    pub name: String,
    /// Nodes, each with an agent.
    pub nodes: usize,
    /// Jobs, each with an image of its own, over all nodes.
    pub jobs: usize,
    /// Of each job.
    pub parallelism: usize,
    /// Mean time of a pull; each takes from half to one and a half of it.
    pub pull_time: Duration,
}

/// What was counted on the server after a run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Tasks with a final result.
    pub ended: usize,
    /// Writes to the specs of NodeImages.
    pub spec_writes: i64,
    /// Bytes of the largest NodeImage, as JSON.
    pub largest: usize,
}

impl Shape {
    /// Creates the NodeImages.
    ///
    /// # Errors
    /// When the server refuses one.
    pub async fn make_nodes(&self, client: &Client) -> Result<()> {
        let api: Api<NodeImage> = Api::all(client.clone());
        let labels = [(FAKE_NODE_IMAGE, "true"), (RUN, &*self.name)];
        stream::iter(self.node_names())
            .map(|name| {
                let mut new = NodeImage::new(&name, NodeImageSpec::default());
                new.metadata.labels = Some(labels.map(|(k, v)| (k.to_owned(), v.to_owned())).into());
                let api = api.clone();
                async move { api.create(&PostParams::default(), &new).await }
            })
            .buffer_unordered(AT_ONCE)
            .try_for_each(|_| async { Ok(()) })
            .await?;
        Ok(())
    }

    /// Names of the nodes.
    pub fn node_names(&self) -> impl Iterator<Item = String> + '_ {
        (0..self.nodes).map(|number| format!("{}-{number:04}", self.name))
    }

    fn job(&self, number: usize) -> Value {
        json!({
            "apiVersion": "apps.kruise.io/v1alpha1", "kind": "ImagePullJob",
            "metadata": { "name": format!("job-{number:03}"), "namespace": self.name },
            "spec": {
                "image": format!("registry.example.com/{}/app-{number:03}:1", self.name),
                "parallelism": self.parallelism,
                "selector": { "matchLabels": { RUN: self.name } },
                "completionPolicy": { "type": "Always" },
            },
        })
    }

    /// Creates the jobs and waits until all of them have completed, or `limit` is over: then `false`.
    ///
    /// # Errors
    /// When the server refuses a job.
    pub async fn run_jobs(&self, client: &Client, limit: Duration) -> Result<bool> {
        let builder = caches::job_cache(client.clone());
        let (jobs, driver) = builder.build();
        let tasks = Tasks::new();
        tasks.spawn("jobs", driver.run(tasks.token()));
        jobs.synced().await;
        let changed = Arc::new(Notify::new());
        let _subscription = jobs.subscribe({
            let changed = changed.clone();
            move |_| changed.notify_one()
        });
        let api: Api<ImagePullJob> = Api::namespaced(client.clone(), &self.name);
        for number in 0..self.jobs {
            api.create(&PostParams::default(), &serde_json::from_value(self.job(number))?)
                .await?;
        }
        let complete = || {
            let ours = jobs.list();
            let done = ours.iter().filter(|job| {
                job.metadata.namespace.as_deref() == Some(&self.name)
                    && job
                        .status
                        .as_ref()
                        .is_some_and(|status| status.completion_time.is_some())
            });
            done.count() == self.jobs
        };
        let all = async {
            while !complete() {
                changed.notified().await;
            }
        };
        Ok(tokio::time::timeout(limit, all).await.is_ok())
    }

    /// Checks every job and NodeImage, and counts.
    ///
    /// # Errors
    /// When a completed job counts wrong.
    pub async fn count(&self, client: &Client) -> Result<Counts> {
        let jobs: Api<ImagePullJob> = Api::namespaced(client.clone(), &self.name);
        for job in jobs.list(&ListParams::default()).await? {
            let status = job.status.unwrap_or_default();
            let whole = usize::try_from(status.succeeded).is_ok_and(|succeeded| succeeded == self.nodes);
            if status.completion_time.is_some() && !whole {
                bail!("{:?} completed with {status:?}", job.metadata.name);
            }
        }
        let mut counts = Counts::default();
        let api: Api<NodeImage> = Api::all(client.clone());
        let mut page = ListParams::default()
            .labels(&format!("{RUN}={}", self.name))
            .limit(100);
        loop {
            let list = api.list(&page).await?;
            for node in &list.items {
                // Jobs of others may select these nodes too.
                let results = node.status.iter().flat_map(|status| &status.image_statuses);
                let ended = results
                    .filter(|(image, _)| image.contains(&self.name))
                    .flat_map(|(_, image)| &image.tags)
                    .filter(|result| result.is_terminal());
                counts.ended += ended.count();
                // The first generation is the creation; each write to the spec makes one more.
                counts.spec_writes += node.metadata.generation.unwrap_or(1) - 1;
                counts.largest = counts.largest.max(serde_json::to_vec(node)?.len());
            }
            match list.metadata.continue_.filter(|token| !token.is_empty()) {
                Some(token) => page = page.continue_token(&token),
                None => return Ok(counts),
            }
        }
    }

    /// Deletes the jobs of the run, and the NodeImages of all runs.
    ///
    /// # Errors
    /// When the server does not do it.
    pub async fn remove(&self, client: &Client) -> Result<()> {
        let all = ListParams::default();
        let jobs: Api<ImagePullJob> = Api::namespaced(client.clone(), &self.name);
        jobs.delete_collection(&DeleteParams::default(), &all).await?;
        let nodes: Api<NodeImage> = Api::all(client.clone());
        nodes
            .delete_collection(&DeleteParams::default(), &all.labels(RUN))
            .await?;
        Ok(())
    }
}
