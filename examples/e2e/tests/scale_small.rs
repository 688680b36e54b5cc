//! Thirty simulated nodes with the real agent on each, three jobs over all of them, the real manager and API server: the
//! small form of `make scale`.

use std::time::Duration;

use anyhow::{Result, ensure};
use kruise_e2e::scale::{Agents, Counts, Shape};
use kruise_e2e::{Cluster, TestNamespace};
use kube_client::Client;

async fn run(cluster: &Cluster, client: &Client, shape: &Shape) -> Result<(Counts, u64)> {
    shape.make_nodes(client).await?;
    let agents = Agents::start(shape, &cluster.watching_client().await?).await?;
    ensure!(
        shape.run_jobs(client, Duration::from_secs(90)).await?,
        "the jobs have not completed: {:?}",
        shape.count(client).await
    );
    Ok((shape.count(client).await?, agents.status_writes()))
}

mod alone {
    use super::*;

    #[tokio::test]
    async fn jobs_over_many_nodes_complete_within_the_bounds_of_writes() -> Result<()> {
        let cluster = Cluster::load().await?;
        let client = cluster.client().await?;
        let space = TestNamespace::create(&client).await?;
        let shape = Shape {
            name: space.name.clone(),
            nodes: 30,
            jobs: 3,
            parallelism: 10,
            pull_time: Duration::from_millis(500),
        };
        let measured = run(&cluster, &client, &shape).await;
        // Whatever came of it: other tests count on real nodes only.
        shape.remove(&client).await?;
        space.remove().await?;

        let (counts, status_writes) = measured?;
        let tasks = 30 * 3;
        ensure!(counts.ended == tasks, "{counts:?}");
        // One for each node and image at most; less, since jobs that want the same node share a write.
        ensure!(counts.spec_writes <= 90, "{counts:?}");
        ensure!(status_writes <= 3 * 90, "{status_writes} status writes");
        Ok(())
    }
}
