//! Puts the manager together from the library's parts.

use std::net::SocketAddr;
use std::sync::Arc;

use anyhow::{Context, Result};
use k8s_openapi::api::core::v1::Secret;
use kruise_core::gates::{Gates, KRUISE_DAEMON};
use kruise_core::manager::{
    ClientConfig, ClientFactory, ElectionConfig, EventConfig, EventRecorder, LeaderElection, Manager,
    ManagerConfig, ManagerMetrics, without_retry,
};
use kruise_core::runtime::{CacheBuilder, Clock, RuntimeMetrics, SystemClock};
use kruise_core::webhook::server::{
    Certificates, ConfigurationWriter, FolderCertificates, KubeSecret, Server, ServerConfig,
    SharedCertificates, SharedConfig, Target, WriterConfig,
};
use kruise_core::webhook::{Router, WebhookMetrics};
use kruise_imagepull::api::ImagePullJob;
use kruise_imagepull::events::{EventSink, Note};
use kruise_imagepull::job::{JobConfig, JobDependencies, job_controller};
use kruise_imagepull::nodeimage::{NodeImageConfig, NodeImageDependencies, node_image_controller};
use kruise_imagepull::secrets::{SecretConfig, SecretDependencies, secret_controller};
use kruise_imagepull::{caches, webhook};
use kruise_support::{
    config::{cache_config, client_config},
    http,
};
use kube_client::{Api, Client};
use prometheus_client::registry::Registry;
use tokio_util::sync::CancellationToken;

use crate::flags::{Run, gate_registry};

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
    let webhooks = WebhookMetrics::register(&mut registry);

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

    if gates.is_enabled(KRUISE_DAEMON) {
        image_pull(
            &mut manager,
            &flags,
            &clients,
            &leader_clients,
            &clock,
            &recorder,
            &runtime,
        )?;
    } else {
        tracing::warn!(
            "the feature gate KruiseDaemon is off: no images are pulled, and new jobs are refused"
        );
    }
    serve_webhooks(&mut manager, &flags, &gates, &clients, clock, &webhooks).await?;

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

fn image_pull(
    manager: &mut Manager,
    flags: &Run,
    clients: &ClientFactory,
    leader_clients: &ClientFactory,
    clock: &Arc<dyn Clock>,
    recorder: &EventRecorder,
    metrics: &RuntimeMetrics,
) -> Result<()> {
    let reader = clients.client("cache")?;
    let seed = u64::from(std::process::id());
    let config = cache_config(seed);
    let jobs = if flags.namespace.is_empty() {
        caches::job_cache(reader.clone())
    } else {
        CacheBuilder::<ImagePullJob>::new(Api::namespaced(reader.clone(), &flags.namespace))
            .name("imagepulljobs")
    };
    let (jobs, job_driver) = jobs.config(config.clone()).metrics(metrics).build();
    let (node_images, node_image_driver) = caches::node_image_cache(reader.clone())
        .config(config.clone())
        .metrics(metrics)
        .build();
    let (pods, pod_driver) = caches::pod_cache(reader.clone())
        .config(config.clone())
        .metrics(metrics)
        .build();
    let (copies, copy_driver) = caches::secret_copy_cache(reader.clone(), &flags.daemon_config_namespace)
        .config(config.clone())
        .metrics(metrics)
        .build();
    let (nodes, node_driver) = caches::node_cache(reader).config(config).metrics(metrics).build();
    manager
        .cache(&jobs, job_driver)
        .cache(&node_images, node_image_driver)
        .cache(&nodes, node_driver)
        .cache(&pods, pod_driver)
        .cache(&copies, copy_driver);

    let mut config = JobConfig::default();
    config.runner.workers = usize::from(flags.imagepulljob_workers);
    config.daemon_namespace.clone_from(&flags.daemon_config_namespace);
    config.seed = seed;
    let dependencies = JobDependencies {
        client: leader_clients.client("imagepulljob-controller")?,
        jobs: jobs.clone(),
        node_images: node_images.clone(),
        pods: Some(pods),
        secret_copies: copies.clone(),
        clock: clock.clone(),
        events: sink(recorder, "imagepulljob-controller"),
        metrics: Some(metrics.clone()),
    };
    manager.on_leader(job_controller(dependencies, config)?);

    let mut config = SecretConfig::default();
    config.namespace.clone_from(&flags.daemon_config_namespace);
    config.job_namespace = (!flags.namespace.is_empty()).then(|| flags.namespace.clone());
    let dependencies = SecretDependencies {
        client: leader_clients.client("imagepull-secret-controller")?,
        copies,
        jobs: jobs.clone(),
        metrics: Some(metrics.clone()),
    };
    manager.on_leader(secret_controller(dependencies, config)?);

    let mut config = NodeImageConfig::default();
    config.runner.workers = usize::from(flags.nodeimage_workers);
    config.plan.creation_delay = flags.nodeimage_creation_delay;
    config.seed = seed;
    let dependencies = NodeImageDependencies {
        client: leader_clients.client("nodeimage-controller")?,
        node_images,
        nodes,
        jobs,
        clock: clock.clone(),
        events: sink(recorder, "nodeimage-controller"),
        metrics: Some(metrics.clone()),
    };
    manager.on_leader(node_image_controller(dependencies, config)?);
    Ok(())
}

async fn serve_webhooks(
    manager: &mut Manager,
    flags: &Run,
    gates: &Gates,
    clients: &ClientFactory,
    clock: Arc<dyn Clock>,
    metrics: &WebhookMetrics,
) -> Result<()> {
    let enabled = gates.is_enabled(KRUISE_DAEMON);
    let router = webhook::register(Router::builder().metrics(metrics), clock.clone(), enabled).build()?;
    let target = if flags.webhook_host.is_empty() {
        Target::Service {
            namespace: flags.pod_namespace.clone(),
            name: flags.webhook_service.clone(),
            port: 443,
        }
    } else {
        Target::Url {
            host: flags.webhook_host.clone(),
            port: flags.webhook_port,
        }
    };
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let certificates = Certificates::with_metrics(provider, metrics);
    let client = clients.client("webhook-controller")?;
    match &flags.webhook_cert_dir {
        Some(folder) => {
            manager.everywhere(FolderCertificates::new(folder, &certificates));
        }
        None => {
            let store = KubeSecret::new(
                Api::<Secret>::namespaced(client.clone(), &flags.pod_namespace),
                &flags.webhook_secret,
            );
            let config = SharedConfig::new([target.host()]);
            manager.everywhere(SharedCertificates::new(store, &certificates, clock, config)?);
        }
    }
    // A webhook by URL on a loopback address is served on that address alone.
    let address: SocketAddr = match flags.webhook_host.parse::<std::net::IpAddr>() {
        Ok(host) if host.is_loopback() => (host, flags.webhook_port).into(),
        _ => ([0, 0, 0, 0], flags.webhook_port).into(),
    };
    let server = Server::bind(address, router.clone(), &certificates, ServerConfig::default())
        .await
        .context("--webhook-port")?;
    let writer = ConfigurationWriter::new(
        client,
        &router,
        &certificates,
        server.local_addr(),
        WriterConfig::new(target),
    )?;
    let ready = writer.ready();
    manager.health().readiness.add("webhook-ready", move || {
        if ready.is_ready() {
            Ok(())
        } else {
            Err("the webhook configurations are not written yet".into())
        }
    });
    manager.everywhere(server).everywhere(writer);
    Ok(())
}

fn sink(recorder: &EventRecorder, source: &str) -> EventSink {
    let recorder = recorder.source(source);
    EventSink::new(move |note: Note| {
        if note.warning {
            recorder.warning(&note.about, note.reason, note.message);
        } else {
            recorder.normal(&note.about, note.reason, note.message);
        }
    })
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
