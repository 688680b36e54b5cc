//! `completionPolicy: Never`: the daily round. The controllers run inside the test, as in anybody's own manager, with a clock that
//! the test sets; everything else is real.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::MicroTime;
use kruise_core::runtime::{Clock, SystemClock};
use kruise_e2e::{Cluster, TestNamespace, create_job, jobs, node_images, tag_status, until};
use kruise_imagepull::events::EventSink;
use kruise_imagepull::{caches, job, nodeimage};
use kube_client::{Api, Client};
use kube_core::params::{DeleteParams, Patch, PatchParams};
use parking_lot::Mutex;
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

/// The wall clock, and some hours.
#[derive(Debug, Default)]
struct Ahead(Mutex<SignedDuration>);

impl Clock for Ahead {
    fn now(&self) -> Timestamp {
        SystemClock.now() + *self.0.lock()
    }
}

/// The two controllers of jobs without secrets, as the README of the crate shows them.
async fn manage(client: Client, clock: Arc<dyn Clock>, stop: CancellationToken) -> Result<()> {
    let (jobs, drive_jobs) = caches::job_cache(client.clone()).build();
    let (node_images, drive_node_images) = caches::node_image_cache(client.clone()).build();
    let (nodes, drive_nodes) = caches::node_cache(client.clone()).build();
    let (copies, drive_copies) = caches::secret_copy_cache(client.clone(), "kruise-daemon-config").build();
    let events = EventSink::none();
    let job_controller = job::job_controller(
        job::JobDependencies {
            client: client.clone(),
            jobs: jobs.clone(),
            node_images: node_images.clone(),
            secret_copies: copies,
            pods: None,
            clock: clock.clone(),
            events: events.clone(),
            metrics: None,
        },
        job::JobConfig::default(),
    )?;
    let mut config = nodeimage::NodeImageConfig::default();
    config.plan.creation_delay = Duration::from_secs(1);
    let node_image_controller = nodeimage::node_image_controller(
        nodeimage::NodeImageDependencies {
            client,
            node_images,
            nodes,
            jobs,
            clock,
            events,
            metrics: None,
        },
        config,
    )?;
    let _ = tokio::join!(
        drive_jobs.run(stop.clone()),
        drive_node_images.run(stop.clone()),
        drive_nodes.run(stop.clone()),
        drive_copies.run(stop.clone()),
        job_controller.run(stop.clone()),
        node_image_controller.run(stop),
    );
    Ok(())
}

mod alone {
    use super::*;

    #[tokio::test]
    async fn a_job_that_never_ends_serves_new_nodes_and_pulls_again_every_day() -> Result<()> {
        let cluster = Cluster::load().await?;
        if !cluster.may_be_stopped()? {
            return Ok(());
        }
        let client = cluster.client().await?;
        let space = TestNamespace::create(&client).await?;
        let (image, before) = (format!("e2e/never:{}", space.name), cluster.nodes()?);
        cluster.push(&image, &[]).await?;
        let (name, tag) = (cluster.image("e2e/never")?, space.name.clone());
        let api = jobs(&client, &space.name);
        let clock = Arc::new(Ahead::default());
        let stop = CancellationToken::new();
        let result = |seen: Option<&Value>| seen.and_then(|seen| tag_status(seen, &name, &tag)).cloned();
        let story = async {
            let spec = json!({"image": cluster.image(&image)?, "parallelism": 9, "imagePullPolicy": "Always",
            "completionPolicy": {"type": "Never"}});
            create_job(&api, "job", spec).await?;
            let served = |count: usize| {
                move |seen: Option<&Value>| seen.is_some_and(|seen| seen["status"]["succeeded"] == count)
            };
            until(&api, "job", "done with its nodes", served(before.len())).await?;
            // A node that joins is served.
            cluster.cluster(&["node", "add"]).await?;
            let now = Cluster::load().await?.nodes()?;
            let added = now
                .iter()
                .find(|node| !before.contains(node))
                .context("a node was added")?
                .clone();
            cluster.kruise(&["daemon", "start", &added]).await?;
            let joined = until(&api, "job", "done with the new node", served(before.len() + 1)).await;
            cluster.kruise(&["daemon", "stop", &added]).await?;
            cluster.cluster(&["node", "remove", &added]).await?;
            ensure!(joined?["status"]["completionTime"].is_null(), "it never ends");

            // A day later the results have had their time, and the nodes are told again.
            let node = &before[0];
            let first = until(&node_images(&client), node, "done", |seen| {
                result(seen).is_some_and(|status| status["phase"] == "Succeeded")
            })
            .await?;
            let first = result(Some(&first)).context("a result")?;
            *clock.0.lock() = SignedDuration::from_hours(25);
            // Everybody looks again when something happens; here, a label.
            for node in &before {
                let said = cluster
                    .kubectl(&["label", "node", node, "e2e.kruise.io/day=2", "--overwrite"], "")
                    .await?;
                ensure!(said.ok, "{}", said.err);
            }
            let version = |status: &Value| status["version"].as_i64().unwrap_or_default();
            until(&node_images(&client), node, "told to pull again", |seen| {
                let task = seen.map(|seen| seen["spec"]["images"][&name]["tags"][0].clone());
                task.is_some_and(|task| version(&task) > version(&first))
            })
            .await?;
            *clock.0.lock() = SignedDuration::ZERO;
            let again = until(&node_images(&client), node, "done again", |seen| {
                result(seen).is_some_and(|status| {
                    version(&status) > version(&first) && status["phase"] == "Succeeded"
                })
            })
            .await?;
            let again = result(Some(&again)).context("a result")?;
            ensure!(again["completionTime"] != first["completionTime"], "{again:#}");
            until(&api, "job", "done with its nodes again", served(before.len())).await?;
            for node in &before {
                cluster
                    .kubectl(&["label", "node", node, "e2e.kruise.io/day-"], "")
                    .await?;
            }
            Ok(())
        };
        // The manager serves the webhooks meanwhile, and waits for the Lease.
        let leases: Api<Lease> = Api::namespaced(client.clone(), "kruise-system");
        cluster.kruise(&["manager", "stop"]).await?;
        let lease = json!({"apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "spec": {"holderIdentity": "test",
        "leaseDurationSeconds": 3600, "renewTime": MicroTime(SystemClock.now())}});
        leases
            .patch(
                "kruise-manager",
                &PatchParams::apply("test").force(),
                &Patch::Apply(lease),
            )
            .await?;
        cluster.kruise(&["manager", "start"]).await?;
        let controllers = manage(client.clone(), clock.clone(), stop.clone());
        let told: Result<()> = tokio::select! {
            told = story => told,
            ended = controllers => ended.and(Err(anyhow::anyhow!("the controllers ended"))),
        };
        stop.cancel();
        cluster.kruise(&["manager", "stop"]).await?;
        leases.delete("kruise-manager", &DeleteParams::default()).await?;
        cluster.kruise(&["manager", "start"]).await?;
        told?;
        // A job of this kind would go on with the nodes of later tests.
        api.delete("job", &DeleteParams::default()).await?;
        until(&api, "job", "gone", |seen| seen.is_none()).await?;
        space.remove().await
    }
}
