//! The process under test: two managers, of which the one that holds the Lease acts. Each of them ends now and then, by a
//! crash or as asked.

use std::sync::Arc;
use std::time::Duration;

use futures::future::join_all;
use kruise_core::manager::{
    ClientConfig, ClientFactory, ElectionConfig, LeaderElection, Manager, ManagerConfig,
};
use kruise_core::runtime::{Clock, EventSink};
use kruise_core::testing::random::Random;
use kruise_sidecar::controller::{
    SidecarSetConfig, SidecarSetDependencies, UpgradeMetrics, sidecar_pod_cache, sidecar_set_controller,
};
use kruise_sidecar::webhook::{namespace_cache, revision_cache, sidecar_set_cache};
use kube_client::Client;
use tokio_util::sync::CancellationToken;

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
        let clock = self.clock.clone();
        let clients = ClientFactory::new(client.clone(), ClientConfig::default()).expect("defaults");
        let mut manager = Manager::new(ManagerConfig::default()).expect("defaults");
        let election =
            LeaderElection::new(client.clone(), ElectionConfig::default(), clock.clone()).expect("defaults");
        let writers = clients.fenced(&election.fence());
        manager.election(election);
        let config = SidecarSetConfig::default();
        let (sets, set_driver) = sidecar_set_cache(client.clone()).build();
        let (pods, pod_driver) = sidecar_pod_cache(client.clone()).build();
        let (namespaces, namespace_driver) = namespace_cache(client.clone()).build();
        let (revisions, revision_driver) = revision_cache(client, &config.revision_namespace).build();
        manager
            .cache(&sets, set_driver)
            .cache(&pods, pod_driver)
            .cache(&namespaces, namespace_driver)
            .cache(&revisions, revision_driver);
        let dependencies = SidecarSetDependencies {
            client: writers.client("sidecarset").expect("a name"),
            sets,
            pods,
            namespaces: Some(namespaces),
            revisions,
            clock,
            events: EventSink::none(),
            metrics: None,
            upgrade_metrics: UpgradeMetrics::default(),
        };
        manager.on_leader(sidecar_set_controller(dependencies, config).expect("defaults"));
        manager
    }
}
