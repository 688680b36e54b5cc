//! Puts the daemon together from the library's parts.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use kruise_core::gates::KRUISE_DAEMON;
use kruise_core::manager::{
    ClientConfig, ClientFactory, EventConfig, EventRecorder, Manager, ManagerConfig, ManagerMetrics,
    without_retry,
};
use kruise_core::runtime::{Clock, RuntimeMetrics, SystemClock};
use kruise_cri::{Endpoint, Runtime};
use kruise_imagepull::agent::{
    AgentConfig, AgentDependencies, AgentMetrics, CredentialProvider, KubeSecrets, NodeAgent, Statvfs,
};
use kruise_imagepull::caches::own_node_image_cache;
use kruise_imagepull::events::{EventSink, Note};
use kruise_support::{
    config::{cache_config, client_config},
    gates, http,
};
use kube_client::Client;
use prometheus_client::registry::Registry;
use tokio_util::sync::CancellationToken;

use crate::flags::Flags;
use crate::plugins;

/// Runs until `stop` is cancelled. A runtime or an API server that is away is waited for.
pub(crate) async fn run(flags: Flags, stop: CancellationToken) -> Result<()> {
    let gates = gates::parse(&flags.feature_gates, None)?;
    let listener = http::bind("--addr", flags.addr).await?;
    if !gates.is_enabled(KRUISE_DAEMON) {
        // Ending would make a DaemonSet start it again and again.
        tracing::warn!(
            "the feature gate KruiseDaemon is off: no image is pulled, remove this daemon or the gate"
        );
        let manager = Manager::new(ManagerConfig::default())?;
        return http::serve(listener, http::health(manager.health()), stop).await;
    }
    let endpoints = match &flags.socket_file {
        Some(socket) => vec![Endpoint::parse(socket).context("--socket-file")?],
        None => Endpoint::candidates(&flags.socket_dir),
    };
    let mut registry = Registry::default();
    let metrics = ManagerMetrics::register(&mut registry);
    let runtime_metrics = RuntimeMetrics::register(&mut registry);
    let agent_metrics = AgentMetrics::register(&mut registry);

    let mut config = without_retry(client_config().await?);
    // A watch may be silent for long; it has its own time limits.
    config.read_timeout = None;
    config.connect_timeout = Some(Duration::from_secs(10));
    let base = Client::try_from(config).context("making the API client")?;
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let clients = ClientFactory::new(base, client_limits(&flags))?.metrics(&metrics);
    let client = clients.client("image-puller")?;

    let mut manager = Manager::new(ManagerConfig::default())?;
    let (recorder, writer) = EventRecorder::new(client.clone(), clock.clone(), EventConfig::default())?;
    manager.events(writer.metrics(&metrics));
    let recorder = recorder.source("kruise-daemon-imagepuller");
    let (cache, driver) = own_node_image_cache(client.clone(), &flags.node_name)
        .config(cache_config(seed(&flags.node_name)))
        .metrics(&runtime_metrics)
        .build();
    manager.cache(&cache, driver);

    let mut providers: Vec<Arc<dyn CredentialProvider>> = Vec::new();
    if let Some(plugins) = plugins::load(&flags.plugin_config_file, &flags.plugin_bin_dir)? {
        providers.push(Arc::new(plugins.metrics(&agent_metrics)));
    }
    let mut config = AgentConfig::default();
    config.max_pulls = flags.max_workers_for_pull_image;
    config.max_pulls_per_registry = flags.max_pulls_per_registry;
    config.start_jitter = flags.start_jitter;
    config.disk.min_free_percent = flags.min_free_disk_percent;
    config.disk.min_free_bytes = flags.min_free_disk_bytes;
    config.seed = seed(&flags.node_name);
    let dependencies = AgentDependencies {
        node_name: flags.node_name.clone(),
        client: client.clone(),
        cache,
        images: Arc::new(Runtime::new(endpoints, Default::default())),
        secrets: Arc::new(KubeSecrets::new(client, &flags.daemon_config_namespace)),
        credential_providers: providers,
        disk: Some(Arc::new(Statvfs::below(&flags.image_fs_root))),
        clock,
        events: EventSink::new(move |note: Note| {
            if note.warning {
                recorder.warning(&note.about, note.reason, note.message);
            } else {
                recorder.normal(&note.about, note.reason, note.message);
            }
        }),
        metrics: agent_metrics,
    };
    manager.everywhere(NodeAgent::new(dependencies, config)?);
    tracing::info!(node = %flags.node_name, addr = %flags.addr, "serving this node");

    let router = http::health(manager.health()).merge(http::metrics(registry));
    tokio::select! {
        done = manager.run(stop.clone()) => done.context("the daemon ended"),
        Err(error) = http::serve(listener, router, stop.child_token()) => Err(error),
    }
}

fn client_limits(flags: &Flags) -> ClientConfig {
    let mut config = ClientConfig::default();
    config.user_agent = "kruise-daemon".into();
    config.qps = if flags.rest_config_qps > 0 {
        flags.rest_config_qps
    } else {
        5
    };
    config.burst = if flags.rest_config_burst > 0 {
        flags.rest_config_burst
    } else {
        10
    };
    config
}

/// Different nodes wait differently.
fn seed(node: &str) -> u64 {
    node.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    })
}
