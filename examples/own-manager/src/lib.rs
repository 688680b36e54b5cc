//! A manager of your own with one controller of kruise-rs in it: that of NodeImages, which keeps one for each node, labelled like
//! the node, and fails the tasks of nodes that are silent. Who writes the tasks is your business.

use std::sync::Arc;
use std::time::Duration;

use kruise_core::manager::{
    ClientConfig, ClientFactory, ElectionConfig, LeaderElection, Manager, ManagerConfig,
};
use kruise_core::runtime::{Clock, SystemClock};
use kruise_imagepull::caches;
use kruise_imagepull::events::EventSink;
use kruise_imagepull::nodeimage::{NodeImageConfig, NodeImageDependencies, node_image_controller};
use kube_client::Client;
use tokio_util::sync::CancellationToken;

/// Runs until `stop`. Any number of replicas may; the one that holds the Lease `warehouse/image-manager` works.
pub async fn run(client: Client, identity: &str, stop: CancellationToken) -> anyhow::Result<()> {
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let mut manager = Manager::new(ManagerConfig::default())?;

    // Each controller has a name and a rate limit of its own at the API server, over one pool of connections.
    let mut limits = ClientConfig::default();
    limits.user_agent = "image-manager".into();
    let clients = ClientFactory::new(client, limits)?;

    let mut election = ElectionConfig::default();
    election.namespace = "warehouse".into();
    election.name = "image-manager".into();
    election.identity = identity.into();
    let election = LeaderElection::new(clients.base_client()?, election, clock.clone())?;
    // Writes of a manager that has lost the Lease are stopped here.
    let leader_clients = clients.clone().fenced(&election.fence());
    manager.election(election);

    // One cache a kind, for everything in the process.
    let reader = clients.client("cache")?;
    let (node_images, watch_node_images) = caches::node_image_cache(reader.clone()).build();
    let (nodes, watch_nodes) = caches::node_cache(reader.clone()).build();
    let (jobs, watch_jobs) = caches::job_cache(reader).build();
    manager
        .cache(&node_images, watch_node_images)
        .cache(&nodes, watch_nodes)
        .cache(&jobs, watch_jobs);

    let mut config = NodeImageConfig::default();
    config.plan.creation_delay = Duration::from_secs(5);
    let dependencies = NodeImageDependencies {
        client: leader_clients.client("nodeimages")?,
        node_images,
        nodes,
        jobs,
        clock,
        events: EventSink::new(|note| println!("{}: {}", note.reason, note.message)),
        metrics: None,
    };
    manager.on_leader(node_image_controller(dependencies, config)?);
    // Your own controllers, caches and webhooks go in here the same way.
    Ok(manager.run(stop).await?)
}
