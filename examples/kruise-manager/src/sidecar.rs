//! The part of the manager that injects sidecars and upgrades them.

use anyhow::{Context, Result};
use kruise_core::gates::POD_WEBHOOK;
use kruise_core::manager::Manager;
use kruise_core::runtime::{Cache, SlimPod};
use kruise_core::webhook::{RouterBuilder, Scopes};
use kruise_sidecar::controller::{
    SidecarSetConfig, SidecarSetDependencies, UpgradeMetrics, sidecar_set_controller,
};
use kruise_sidecar::plan::SidecarPod;
use kruise_sidecar::webhook::{
    Audit, AuditConfig, AuditEvents, InjectionMetrics, LiveConfig, LiveSets, Namespaces, PodHookConfig,
    PodInjector, SetRules, configuration_cache, namespace_cache, register_pods, register_sets,
    revision_cache, sidecar_set_cache,
};
use kruise_support::config::cache_config;
use prometheus_client::registry::Registry;

use crate::wire::Base;
use kruise_core::gates::{PATCH_ANY_POD_METADATA, SORT_SIDECARS};

/// What the webhook server serves.
pub(crate) struct Admission {
    rules: SetRules,
    pods: Option<(PodInjector, PodHookConfig, Scopes)>,
}

impl Admission {
    /// Adds the handlers to a router.
    pub(crate) fn register(self, router: RouterBuilder) -> RouterBuilder {
        let router = register_sets(router, self.rules);
        match self.pods {
            Some((injector, config, scopes)) => register_pods(router, injector, &config, Some(scopes)),
            None => router,
        }
    }
}

/// Adds caches, the controller, and what the pod webhook needs beside its server.
pub(crate) fn add(
    manager: &mut Manager,
    base: &Base<'_>,
    pods: &Cache<SlimPod>,
    registry: &mut Registry,
) -> Result<Admission> {
    let (flags, gates, clients) = (base.flags, base.gates, base.clients);
    let reader = clients.client("cache")?;
    let config = cache_config(u64::from(std::process::id()));
    let (sets, driver) = sidecar_set_cache(reader.clone())
        .config(config.clone())
        .metrics(base.metrics)
        .build();
    manager.cache(&sets, driver);
    let (namespaces, driver) = namespace_cache(reader.clone())
        .config(config.clone())
        .metrics(base.metrics)
        .build();
    manager.cache(&namespaces, driver);
    let (revisions, driver) = revision_cache(reader.clone(), &flags.reach.pod_namespace)
        .config(config.clone())
        .metrics(base.metrics)
        .build();
    manager.cache(&revisions, driver);
    let (configuration, driver) = configuration_cache(reader, &flags.reach.pod_namespace)
        .config(config)
        .metrics(base.metrics)
        .build();
    manager.cache(&configuration, driver);

    let injection = InjectionMetrics::register(registry);
    let upgrades = UpgradeMetrics::register(registry);
    let mut live = LiveConfig::default();
    live.hash_form = flags.sidecarset_hash_form.into();
    live.inject.sort_by_name = gates.is_enabled(SORT_SIDECARS);
    live.inject.refusal = flags.uninjectable_pods.into();
    let live = LiveSets::new(live);
    live.follow(&sets);
    live.follow_revisions(&revisions);

    let mut rules = SetRules::new(live.clone()).configuration(&configuration);
    rules.hash_form = flags.sidecarset_hash_form.into();
    rules.check_revisions = true;
    rules.allow_any_metadata = gates.is_enabled(PATCH_ANY_POD_METADATA);
    rules.pod_webhook = gates.is_enabled(POD_WEBHOOK);

    let mut injected = None;
    if gates.is_enabled(POD_WEBHOOK) {
        let config = pod_hook(base);
        let labels = Namespaces::new(namespaces.clone()).or_ask(clients.client("pod-webhook")?);
        manager.everywhere(live.scope_keeper(config.clone()).namespaces(labels.clone()));
        let mut settings = AuditConfig::default();
        settings.interval = flags.injection_audit_interval;
        settings
            .excluded_namespaces
            .clone_from(&config.excluded_namespaces);
        let events = AuditEvents::new(sets.clone(), base.events("sidecarset-audit"));
        let audit = Audit::new(pods.clone(), live.clone(), settings, move |found| {
            events.tell(found);
        });
        let audit = audit.context("--injection-audit-interval")?;
        manager.on_leader(audit.namespaces(labels.clone()).metrics(&injection));
        let injector = PodInjector::new(live.clone(), base.clock.clone())
            .namespaces(labels)
            .metrics(&injection)
            .events(base.events("sidecarset-injection"));
        injected = Some((injector, config, live.scopes()));
    } else {
        tracing::warn!("the feature gate PodWebhook is off: no pod is injected, and new sets are refused");
    }

    let dependencies = SidecarSetDependencies {
        client: base.leader_clients.client("sidecarset-controller")?,
        sets,
        // Of the one watch of pods.
        pods: pods.derive("sidecar-pods", |pod| SidecarPod::new(pod.clone())),
        namespaces: Some(namespaces),
        revisions,
        clock: base.clock.clone(),
        events: base.events("sidecarset-controller"),
        metrics: Some(base.metrics.clone()),
        upgrade_metrics: upgrades,
    };
    let mut config = SidecarSetConfig::default();
    config.runner.workers = usize::from(flags.sidecarset_workers);
    config.hash_form = flags.sidecarset_hash_form.into();
    config.revision_namespace.clone_from(&flags.reach.pod_namespace);
    manager.on_leader(sidecar_set_controller(dependencies, config)?);
    Ok(Admission {
        rules,
        pods: injected,
    })
}

fn pod_hook(base: &Base<'_>) -> PodHookConfig {
    let mut config = PodHookConfig::default();
    config.on_failure = base.flags.pod_webhook_failure_policy.into();
    let own = &base.flags.reach.pod_namespace;
    if !config.excluded_namespaces.contains(own) {
        config.excluded_namespaces.push(own.clone());
    }
    config
}
