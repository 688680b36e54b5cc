//! Puts the manager together from the library's parts.

use std::sync::Arc;

use anyhow::{Context, Result};
use kruise_core::gates::KRUISE_DAEMON;
use kruise_core::manager::{
    ClientConfig, ClientFactory, ElectionConfig, EventConfig, EventRecorder, LeaderElection, Manager,
    ManagerConfig, ManagerMetrics, without_retry,
};
use kruise_core::runtime::{Clock, RuntimeMetrics, SystemClock};
use kruise_core::webhook::WebhookMetrics;
use kruise_support::{config::client_config, http};
use kube_client::Client;
use prometheus_client::registry::Registry;
use tokio_util::sync::CancellationToken;

use crate::flags::{Run, gate_registry};
use crate::{imagepull, webhooks};

/// Runs until `stop` is cancelled, or something that must run fails.
pub(crate) async fn run(flags: Run, stop: CancellationToken) -> Result<()> {
    let gates = gate_registry()
        .parse(&flags.feature_gates)
        .context("--feature-gates")?;
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

    let mut guard = None;
    if gates.is_enabled(KRUISE_DAEMON) {
        guard = Some(imagepull::add(
            &mut manager,
            &flags,
            &clients,
            &leader_clients,
            &clock,
            &recorder,
            &runtime,
        )?);
    } else {
        tracing::warn!(
            "the feature gate KruiseDaemon is off: no images are pulled, and new jobs are refused"
        );
    }
    webhooks::add(
        &mut manager,
        &flags,
        &gates,
        &clients,
        clock,
        &webhook_metrics,
        guard,
    )
    .await?;

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
