//! Puts the manager together from the library's parts.

use std::sync::Arc;

use anyhow::{Context, Result};
use kruise_core::gates::{Gates, KRUISE_DAEMON};
use kruise_core::manager::{
    ClientConfig, ClientFactory, ElectionConfig, EventConfig, EventRecorder, LeaderElection, Manager,
    ManagerConfig, ManagerMetrics, without_retry,
};
use kruise_core::runtime::{Cache, Clock, EventSink, Note, RuntimeMetrics, SlimPod, SystemClock};
use kruise_core::webhook::WebhookMetrics;
use kruise_imagepull::caches::pod_cache;
use kruise_support::config::{cache_config, client_config};
use kruise_support::{gates, http};
use kube_client::Client;
use prometheus_client::registry::Registry;
use tokio_util::sync::CancellationToken;

use crate::flags::Run;
use crate::{imagepull, sidecar, webhooks};

/// What the parts of the manager are made of.
#[derive(Clone, Copy)]
pub(crate) struct Base<'a> {
    pub(crate) flags: &'a Run,
    pub(crate) gates: &'a Gates,
    pub(crate) clients: &'a ClientFactory,
    /// These write only while this process is the leader.
    pub(crate) leader_clients: &'a ClientFactory,
    pub(crate) clock: &'a Arc<dyn Clock>,
    recorder: &'a EventRecorder,
    pub(crate) metrics: &'a RuntimeMetrics,
}

impl Base<'_> {
    /// Where the Events of a component go.
    pub(crate) fn events(&self, source: &str) -> EventSink {
        let recorder = self.recorder.source(source);
        EventSink::new(move |note: Note| {
            if note.warning {
                recorder.warning(&note.about, note.reason, note.message);
            } else {
                recorder.normal(&note.about, note.reason, note.message);
            }
        })
    }

    /// The one cache of pods of the process.
    fn pods(&self, manager: &mut Manager) -> Result<Cache<SlimPod>> {
        let (pods, driver) = pod_cache(self.clients.client("cache")?)
            .config(cache_config(u64::from(std::process::id())))
            .metrics(self.metrics)
            .build();
        manager.cache(&pods, driver);
        Ok(pods)
    }
}

/// Runs until `stop` is cancelled, or something that must run fails.
pub(crate) async fn run(flags: Run, stop: CancellationToken) -> Result<()> {
    let kinds = std::env::var("CUSTOM_RESOURCE_ENABLE").ok();
    let gates = gates::parse(&flags.feature_gates, kinds.as_deref())?;
    let metrics_listener = http::bind("--metrics-addr", flags.metrics_addr).await?;
    let health_listener = http::bind("--health-probe-addr", flags.health_probe_addr).await?;
    let mut registry = Registry::default();
    let metrics = ManagerMetrics::register(&mut registry);
    let runtime = RuntimeMetrics::register(&mut registry);
    let webhook_metrics = WebhookMetrics::register(&mut registry);

    let config = without_retry(client_config().await?);
    let base = Client::try_from(config).context("making the API client")?;
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let clients = ClientFactory::new(base, client_limits(&flags))?.metrics(&metrics);
    let mut manager = Manager::new(ManagerConfig::default())?;
    manager.gates(&gates, Some(&metrics));

    let (recorder, writer) = EventRecorder::new(
        clients.client("event-recorder")?,
        clock.clone(),
        EventConfig::default(),
    )?;
    manager.events(writer.metrics(&metrics));

    let leader_clients = if flags.enable_leader_election {
        let election = LeaderElection::new(clients.base_client()?, election_config(&flags), clock.clone())
            .context("leader election flags")?
            .metrics(&metrics);
        let fenced = clients.clone().fenced(&election.fence());
        manager.election(election);
        fenced
    } else {
        clients.clone()
    };

    let base = Base {
        flags: &flags,
        gates: &gates,
        clients: &clients,
        leader_clients: &leader_clients,
        clock: &clock,
        recorder: &recorder,
        metrics: &runtime,
    };
    let pods = base.pods(&mut manager)?;
    let mut guard = None;
    if gates.is_enabled(KRUISE_DAEMON) {
        guard = Some(imagepull::add(&mut manager, &base, &pods)?);
    } else {
        tracing::warn!(
            "the feature gate KruiseDaemon is off: no images are pulled, and new jobs are refused"
        );
    }
    let sidecars = sidecar::add(&mut manager, &base, &pods, &mut registry)?;
    webhooks::add(&mut manager, &base, &webhook_metrics, guard, sidecars).await?;

    let health = http::health(manager.health());
    let servers = async {
        tokio::try_join!(
            http::serve(metrics_listener, http::metrics(registry), stop.child_token()),
            http::serve(health_listener, health, stop.child_token()),
        )
    };
    tokio::select! {
        done = manager.run(stop.clone()) => done.context("the manager ended"),
        // The servers end first when asked to stop; the manager then has its time.
        Err(error) = servers => Err(error),
    }
}

fn client_limits(flags: &Run) -> ClientConfig {
    let mut config = ClientConfig::default();
    if flags.rest_config_qps > 0 {
        config.qps = flags.rest_config_qps;
    }
    if flags.rest_config_burst > 0 {
        config.burst = flags.rest_config_burst;
    }
    config
}

fn election_config(flags: &Run) -> ElectionConfig {
    let mut config = ElectionConfig::default();
    config.namespace = flags.leader_election_namespace.clone();
    config.name = flags.leader_election_id.clone();
    config.identity = std::env::var("HOSTNAME").unwrap_or_else(|_| "kruise-manager".into());
    config.lease_duration = flags.leader_election_lease_duration;
    config.renew_deadline = flags.leader_election_renew_deadline;
    config.retry_period = flags.leader_election_retry_period;
    config
}
