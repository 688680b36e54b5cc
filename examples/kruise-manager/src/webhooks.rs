//! The webhook server of the manager.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use k8s_openapi::api::core::v1::Secret;
use kruise_core::gates::KRUISE_DAEMON;
use kruise_core::manager::Manager;
use kruise_core::webhook::server::{
    Certificates, ConfigurationWriter, FolderCertificates, KubeSecret, Server, ServerConfig,
    SharedCertificates, SharedConfig, Target, WriterConfig,
};
use kruise_core::webhook::{Router, WebhookMetrics};
use kruise_imagepull::guard::{self, NodeGuard};
use kruise_imagepull::webhook;
use kube_client::Api;

use crate::certificates;
use crate::flags::Reach;
use crate::sidecar::Admission;
use crate::wire::Base;

/// How long a handler may take when the API server waits so many seconds: it is told to wait two seconds longer.
fn handler_timeout(seconds: u8) -> Duration {
    Duration::from_secs(u64::from(seconds.saturating_sub(2)))
}

impl Reach {
    /// Settings of what announces the webhooks.
    pub(crate) fn writer_config(&self) -> WriterConfig {
        let service = |name: &str| Target::Service {
            namespace: self.pod_namespace.clone(),
            name: name.to_owned(),
            port: 443,
        };
        if !self.webhook_host.is_empty() {
            return WriterConfig::new(Target::Url {
                host: self.webhook_host.clone(),
                port: self.webhook_port,
            });
        }
        let mut config = WriterConfig::new(service(&self.webhook_service));
        let conversions = Some(&self.conversion_service).filter(|name| !name.is_empty());
        config.conversion_target = conversions.map(|name| service(name));
        config
    }
}

/// Adds the webhook server, its certificates and its configurations to `manager`.
pub(crate) async fn add(
    manager: &mut Manager,
    base: &Base<'_>,
    metrics: &WebhookMetrics,
    guard: Option<NodeGuard>,
    sidecars: Admission,
) -> Result<()> {
    let (flags, clients, clock) = (base.flags, base.clients, base.clock.clone());
    let enabled = base.gates.is_enabled(KRUISE_DAEMON);
    let mut router = webhook::register(Router::builder().metrics(metrics), clock.clone(), enabled);
    if let Some(guard) = guard {
        router = guard::register(router, guard);
    }
    router = sidecars.register(router);
    if let Some(seconds) = flags.webhook_timeout_seconds {
        router = router.timeout(handler_timeout(seconds));
    }
    let router = router.build()?;
    let reach = &flags.reach;
    let config = reach.writer_config();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let served = Certificates::with_metrics(provider, metrics);
    let client = clients.client("webhook-controller")?;
    let variable = |name: &str| std::env::var(name).ok();
    match certificates::folder(flags.webhook_cert_dir.as_ref(), variable)? {
        Some(folder) => {
            manager.everywhere(FolderCertificates::new(folder, &served));
        }
        None => {
            let store = KubeSecret::new(
                Api::<Secret>::namespaced(client.clone(), &reach.pod_namespace),
                &flags.webhook_secret,
            );
            let targets = [&config.target].into_iter().chain(&config.conversion_target);
            let mut config = SharedConfig::new(targets.map(Target::host));
            config.renew_before = flags.webhook_certs_renew_before;
            let shared = SharedCertificates::new(store, &served, clock, config);
            manager.everywhere(shared.context("--webhook-certs-renew-before")?);
        }
    }
    // A webhook by URL on a loopback address is served on that address alone.
    let address: SocketAddr = match reach.webhook_host.parse::<std::net::IpAddr>() {
        Ok(host) if host.is_loopback() => (host, reach.webhook_port).into(),
        _ => ([0, 0, 0, 0], reach.webhook_port).into(),
    };
    let server = Server::bind(address, router.clone(), &served, ServerConfig::default())
        .await
        .context("--webhook-port")?;
    let writer = ConfigurationWriter::new(client, &router, &served, server.local_addr(), config)?;
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
