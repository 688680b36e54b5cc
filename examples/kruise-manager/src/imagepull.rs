//! The part of the manager that pulls images.

use std::time::Duration;

use anyhow::Result;
use kruise_core::api::names::DAEMON;
use kruise_core::manager::Manager;
use kruise_core::runtime::{Cache, CacheBuilder, SlimPod};
use kruise_imagepull::api::{ImageListPullJob, ImagePullJob};
use kruise_imagepull::caches;
use kruise_imagepull::guard::NodeGuard;
use kruise_imagepull::job::{JobConfig, JobDependencies, job_controller};
use kruise_imagepull::list::{ListConfig, ListDependencies, list_controller};
use kruise_imagepull::nodeimage::{NodeImageConfig, NodeImageDependencies, node_image_controller};
use kruise_imagepull::secrets::{SecretConfig, SecretDependencies, secret_controller};
use kruise_support::config::cache_config;
use kube_client::Api;

use crate::wire::Base;

/// Adds the caches and controllers of image pulls to `manager`. Returns what keeps node agents apart at admission.
pub(crate) fn add(manager: &mut Manager, base: &Base<'_>, pods: &Cache<SlimPod>) -> Result<NodeGuard> {
    let Base {
        flags,
        clients,
        leader_clients,
        clock,
        metrics,
        ..
    } = base;
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
    let lists = if flags.namespace.is_empty() {
        caches::list_cache(reader.clone())
    } else {
        CacheBuilder::<ImageListPullJob>::new(Api::namespaced(reader.clone(), &flags.namespace))
            .name("imagelistpulljobs")
    };
    let (lists, list_driver) = lists.config(config.clone()).metrics(metrics).build();
    let (node_images, node_image_driver) = caches::node_image_cache(reader.clone())
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
        .cache(&lists, list_driver)
        .cache(&node_images, node_image_driver)
        .cache(&nodes, node_driver)
        .cache(&copies, copy_driver);

    let mut config = JobConfig::default();
    config.runner.workers = usize::from(flags.imagepulljob_workers);
    config.plan.ttl_margin = Duration::from_secs(flags.default_ttlseconds_for_always_nodeimage.into());
    config.daemon_namespace.clone_from(&flags.daemon_config_namespace);
    config.seed = seed;
    let dependencies = JobDependencies {
        client: leader_clients.client("imagepulljob-controller")?,
        jobs: jobs.clone(),
        node_images: node_images.clone(),
        pods: Some(pods.clone()),
        secret_copies: copies.clone(),
        clock: (*clock).clone(),
        events: base.events("imagepulljob-controller"),
        metrics: Some((*metrics).clone()),
    };
    manager.on_leader(job_controller(dependencies, config)?);

    let dependencies = ListDependencies {
        client: leader_clients.client("imagelistpulljob-controller")?,
        lists,
        jobs: jobs.clone(),
        clock: (*clock).clone(),
        events: base.events("imagelistpulljob-controller"),
        metrics: Some((*metrics).clone()),
    };
    manager.on_leader(list_controller(dependencies, ListConfig::default())?);

    let mut config = SecretConfig::default();
    config.namespace.clone_from(&flags.daemon_config_namespace);
    config.job_namespace = (!flags.namespace.is_empty()).then(|| flags.namespace.clone());
    let dependencies = SecretDependencies {
        client: leader_clients.client("imagepull-secret-controller")?,
        copies,
        jobs: jobs.clone(),
        metrics: Some((*metrics).clone()),
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
        clock: (*clock).clone(),
        events: base.events("nodeimage-controller"),
        metrics: Some((*metrics).clone()),
    };
    manager.on_leader(node_image_controller(dependencies, config)?);
    Ok(NodeGuard::new(&flags.reach.pod_namespace, DAEMON, pods.clone()))
}
