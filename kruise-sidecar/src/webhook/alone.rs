//! The pod webhook and nothing else.

use std::sync::Arc;

use k8s_openapi::api::apps::v1::ControllerRevision;
use kruise_core::manager::Manager;
use kruise_core::runtime::{Cache, CacheDriver, Clock, ConfigError};
use kruise_core::webhook::RouterBuilder;
use kube_client::Client;

use super::config::PodHookConfig;
use super::keeper::ScopeKeeper;
use super::live::{LiveConfig, LiveSets};
use super::metrics::InjectionMetrics;
use super::namespaces::{NamespaceView, Namespaces, namespace_cache};
use super::pods::PodInjector;
use super::{register_pods, revision_cache, sidecar_set_cache};
use crate::api::SidecarSet;

/// All that the pod webhook is made of, from a client: three watches (sets, their revisions, labels of namespaces), the
/// handler, and what keeps its selectors. No controller, no leader, no cache of pods.
///
/// ```
/// use std::sync::Arc;
/// use kruise_core::manager::{Manager, ManagerConfig};
/// use kruise_core::runtime::SystemClock;
/// use kruise_core::testing::apiserver::ApiServer;
/// use kruise_core::webhook::Router;
/// use kruise_sidecar::webhook::{InjectionMetrics, LiveConfig, PodHookConfig, PodWebhook};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let client = ApiServer::default().client(); // in a program, one for a cluster
/// let (clock, metrics) = (Arc::new(SystemClock), InjectionMetrics::default());
/// let webhook = PodWebhook::new(client, LiveConfig::default(), PodHookConfig::default(), "kruise-system", clock, &metrics)?;
/// let router = webhook.register(Router::builder()).build()?;
/// let mut manager = Manager::new(ManagerConfig::default())?;
/// webhook.run_in(&mut manager);
/// // manager.everywhere(Server::bind(address, router, …)), and so on, as for every router.
/// # let stop = tokio_util::sync::CancellationToken::new();
/// # stop.cancel();
/// # manager.run(stop).await?;
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct PodWebhook {
    live: LiveSets,
    injector: PodInjector,
    config: PodHookConfig,
    keeper: ScopeKeeper,
    sets: (Cache<SidecarSet>, CacheDriver),
    revisions: (Cache<ControllerRevision>, CacheDriver),
    namespaces: (Cache<NamespaceView>, CacheDriver),
}

impl PodWebhook {
    /// `revisions` is the namespace that the revisions of sets are in: that of the manager.
    ///
    /// # Errors
    /// A setting cannot be used.
    pub fn new(
        client: Client,
        live: LiveConfig,
        config: PodHookConfig,
        revisions: &str,
        clock: Arc<dyn Clock>,
        metrics: &InjectionMetrics,
    ) -> Result<Self, ConfigError> {
        config.validate()?;
        let sets = sidecar_set_cache(client.clone()).build();
        let revisions = revision_cache(client.clone(), revisions).build();
        let namespaces = namespace_cache(client.clone()).build();
        let live = LiveSets::new(live);
        live.follow(&sets.0);
        live.follow_revisions(&revisions.0);
        let labels = Namespaces::new(namespaces.0.clone()).or_ask(client);
        Ok(Self {
            keeper: live.scope_keeper(config.clone()).namespaces(labels.clone()),
            injector: PodInjector::new(live.clone(), clock)
                .namespaces(labels)
                .metrics(metrics),
            live,
            config,
            sets,
            revisions,
            namespaces,
        })
    }

    /// The sets as they are now.
    pub fn live(&self) -> &LiveSets {
        &self.live
    }

    /// Adds the handler to a router, announced for the pods that sets select.
    pub fn register(&self, router: RouterBuilder) -> RouterBuilder {
        register_pods(
            router,
            self.injector.clone(),
            &self.config,
            Some(self.live.scopes()),
        )
    }

    /// Hands the watches and the keeper of the selectors to a manager.
    pub fn run_in(self, manager: &mut Manager) {
        manager
            .cache(&self.sets.0, self.sets.1)
            .cache(&self.revisions.0, self.revisions.1)
            .cache(&self.namespaces.0, self.namespaces.1)
            .everywhere(self.keeper);
    }
}
