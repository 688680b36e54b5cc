//! The process under test: two managers, of which the one that holds the Lease acts. Each of them ends now and then, by a
//! crash or as asked.

use std::sync::Arc;
use std::time::Duration;

use futures::future::join_all;
use kruise_core::manager::{
    ClientConfig, ClientFactory, ElectionConfig, LeaderElection, Manager, ManagerConfig,
};
use kruise_core::runtime::Clock;
use kruise_core::testing::random::Random;
use kruise_imagepull::caches;
use kruise_imagepull::events::EventSink;
use kruise_imagepull::job::{JobConfig, JobDependencies, job_controller};
use kruise_imagepull::nodeimage::{NodeImageConfig, NodeImageDependencies, node_image_controller};
use kruise_imagepull::secrets::{SecretConfig, SecretDependencies, secret_controller};
use kube_client::Client;
use tokio_util::sync::CancellationToken;

/// Where copies of pull secrets go.
pub(crate) const COPIES: &str = "kruise-daemon-config";

/// Managers that run at the same time.
const REPLICAS: u64 = 2;

/// What the managers are made of.
#[derive(Clone, Debug)]
pub(crate) struct Managers {
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) seed: u64,
}

impl Managers {
    /// Runs them for ever.
    pub(crate) async fn run(self, client: Client, random: Random) {
        join_all((0..REPLICAS).map(|replica| {
            let mut random = random.stream(replica);
            let (this, client) = (self.clone(), client.clone());
            async move {
                loop {
                    this.live(client.clone(), &mut random).await;
                    tokio::time::sleep(random.duration(Duration::from_secs(3))).await;
                }
            }
        }))
        .await;
    }

    /// The life of one manager.
    async fn live(&self, client: Client, random: &mut Random) {
        let life = Duration::from_secs(5) + random.duration(Duration::from_secs(90));
        let stop = CancellationToken::new();
        let manager = self.manager(client).run(stop.clone());
        tokio::pin!(manager);
        if tokio::time::timeout(life, &mut manager).await.is_err() && random.chance(0.5) {
            stop.cancel();
            // Else it is dropped where it stands. One that gave up by itself, as without its Lease, is begun anew too.
            let _ = manager.await;
        }
    }

    fn manager(&self, client: Client) -> Manager {
        let Self { clock, seed, .. } = self;
        let clients = ClientFactory::new(client.clone(), ClientConfig::default()).expect("defaults");
        let mut manager = Manager::new(ManagerConfig::default()).expect("defaults");
        let election =
            LeaderElection::new(client.clone(), ElectionConfig::default(), clock.clone()).expect("defaults");
        let writers = clients.fenced(&election.fence());
        manager.election(election);
        let writer = |name: &str| writers.client(name).expect("a name");
        let (jobs, job_driver) = caches::job_cache(client.clone()).build();
        let (node_images, node_image_driver) = caches::node_image_cache(client.clone()).build();
        let (nodes, node_driver) = caches::node_cache(client.clone()).build();
        let (copies, copy_driver) = caches::secret_copy_cache(client, COPIES).build();
        manager
            .cache(&jobs, job_driver)
            .cache(&node_images, node_image_driver)
            .cache(&nodes, node_driver)
            .cache(&copies, copy_driver);

        let mut config = JobConfig::default();
        config.seed = *seed;
        let dependencies = JobDependencies {
            client: writer("jobs"),
            jobs: jobs.clone(),
            node_images: node_images.clone(),
            secret_copies: copies.clone(),
            pods: None,
            clock: clock.clone(),
            events: EventSink::none(),
            metrics: None,
        };
        manager.on_leader(job_controller(dependencies, config).expect("defaults"));
        let dependencies = SecretDependencies {
            client: writer("copies"),
            copies,
            jobs: jobs.clone(),
            metrics: None,
        };
        manager.on_leader(secret_controller(dependencies, SecretConfig::default()).expect("defaults"));
        let mut config = NodeImageConfig::default();
        config.seed = *seed;
        let dependencies = NodeImageDependencies {
            client: writer("nodeimages"),
            node_images,
            nodes,
            jobs,
            clock: clock.clone(),
            events: EventSink::none(),
            metrics: None,
        };
        manager.on_leader(node_image_controller(dependencies, config).expect("defaults"));
        manager
    }
}
