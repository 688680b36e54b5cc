//! The webhooks, and a process with the controller.

use std::sync::Arc;

use kruise_core::runtime::{CacheBuilder, CacheConfig, Clock, EventSink, ListStrategy, Tasks};
use kruise_core::testing::apiserver::ApiServer;
use kruise_core::webhook::Router;
use kruise_sidecar::controller::{
    SidecarSetConfig, SidecarSetController, SidecarSetDependencies, UpgradeMetrics, sidecar_pod_cache,
    sidecar_set_controller,
};
use kruise_sidecar::webhook::{
    LiveConfig, LiveSets, NamespaceView, Namespaces, PodHookConfig, PodInjector, SetRules, namespace_cache,
    register_pods, register_sets, revision_cache, sidecar_set_cache,
};
use kube_client::Client;
use serde_json::json;

use super::NAMESPACE;

/// Serves sets, with webhooks for them and for pods. Must be called inside a runtime.
pub fn webhooks(server: &ApiServer, clock: Arc<dyn Clock>) -> Tasks {
    assert!(server.serve_definition(&kruise_sidecar::api::crd(None)));
    for name in [NAMESPACE, "kruise-system"] {
        server.seed_value(json!({"apiVersion": "v1", "kind": "Namespace",
            "metadata": {"name": name, "labels": {"team": name}}}));
    }
    let tasks = Tasks::new();
    let client = server.client();
    let live = LiveSets::new(LiveConfig::default());
    let (sets, driver) = sidecar_set_cache(client.clone()).build();
    live.follow(&sets);
    tasks.spawn("sets", driver.run(tasks.token()));
    let (revisions, driver) = revision_cache(client.clone(), "kruise-system").build();
    live.follow_revisions(&revisions);
    tasks.spawn("revisions", driver.run(tasks.token()));
    let (namespaces, driver) = namespace_cache(client).build();
    tasks.spawn("namespaces", driver.run(tasks.token()));
    let mut rules = SetRules::new(live.clone());
    rules.allow_any_metadata = true;
    let router = register_sets(Router::builder(), rules);
    let injector = PodInjector::new(live, clock).namespaces(Namespaces::new(namespaces));
    let router = register_pods(router, injector, &PodHookConfig::default(), None);
    server.webhooks(router.build().expect("the hooks are sound"));
    tasks
}

fn paged<K, D, T>(builder: CacheBuilder<K, D, T>) -> CacheBuilder<K, D, T> {
    let mut config = CacheConfig::default();
    config.list = ListStrategy::Paged;
    builder.config(config)
}

/// The controller with caches of its own, which run as long as the tasks.
pub fn controller(
    tasks: &Tasks,
    client: &Client,
    dependencies: impl FnOnce(SidecarSetDependencies) -> SidecarSetDependencies,
    clock: Arc<dyn Clock>,
    config: SidecarSetConfig,
) -> SidecarSetController {
    let (sets, driver) = paged(sidecar_set_cache(client.clone())).build();
    tasks.spawn("sets", driver.run(tasks.token()));
    let (pods, driver) = paged(sidecar_pod_cache(client.clone())).build();
    tasks.spawn("pods", driver.run(tasks.token()));
    let (namespaces, driver) = paged::<_, _, NamespaceView>(namespace_cache(client.clone())).build();
    tasks.spawn("namespaces", driver.run(tasks.token()));
    let (revisions, driver) = paged(revision_cache(client.clone(), &config.revision_namespace)).build();
    tasks.spawn("revisions", driver.run(tasks.token()));
    let all = SidecarSetDependencies {
        client: client.clone(),
        sets,
        pods,
        namespaces: Some(namespaces),
        revisions,
        clock,
        events: EventSink::none(),
        metrics: None,
        upgrade_metrics: UpgradeMetrics::default(),
    };
    sidecar_set_controller(dependencies(all), config).expect("the configuration is sound")
}

/// A process with the controller. Dropping it stops it where it stands.
pub fn process(
    client: Client,
    clock: Arc<dyn Clock>,
    events: EventSink,
    metrics: UpgradeMetrics,
    config: SidecarSetConfig,
) -> Tasks {
    let tasks = Tasks::new();
    let with = |all| SidecarSetDependencies {
        events,
        upgrade_metrics: metrics,
        ..all
    };
    let controller = controller(&tasks, &client, with, clock, config);
    tasks.spawn("controller", controller.run(tasks.token()));
    tasks
}
