//! Looks for pods that slipped through the webhook.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt;
use futures::future::BoxFuture;
use kruise_core::policy::Labels;
use kruise_core::runtime::{Cache, ConfigError, ObjectKey, RunError, Runnable, SlimPod};
use tokio_util::sync::CancellationToken;

use super::live::LiveSets;
use super::metrics::InjectionMetrics;
use super::namespaces::Namespaces;
use crate::api::NamespaceFacts;
use crate::inject::{MissingReason, missing_injection};

/// Pods looked at between two chances for other tasks.
const BATCH: usize = 256;

/// Settings of an [`Audit`].
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct AuditConfig {
    /// How long between two looks. Default: 5 min; at least 1 s.
    pub interval: Duration,
    /// How many pods a report names; the others are only counted. Default: 1000.
    pub max_named: usize,
    /// Namespaces whose pods are not looked at: those that the webhook leaves out. Default: `kube-system` and
    /// `kruise-system`.
    pub excluded_namespaces: Vec<String>,
}

impl Default for AuditConfig {
    fn default() -> Self {
        Self {
            interval: Duration::from_secs(300),
            max_named: 1000,
            excluded_namespaces: super::PodHookConfig::default().excluded_namespaces,
        }
    }
}

impl AuditConfig {
    /// Checks that every setting can be used; the error names the one that cannot.
    pub fn validate(&self) -> Result<(), ConfigError> {
        if self.interval < Duration::from_secs(1) {
            return Err(ConfigError::new("interval", "must be at least 1 s"));
        }
        Ok(())
    }
}

/// A pod that a set selects and that does not have it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Missing {
    /// The set.
    pub set: Arc<str>,
    /// The pod.
    pub pod: ObjectKey,
    /// The pod's uid.
    pub uid: Box<str>,
    /// Why.
    pub reason: MissingReason,
}

/// What an audit found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct AuditReport {
    /// The pods, in no order; at most [`AuditConfig::max_named`].
    pub missing: Vec<Missing>,
    /// How many pods lack each set; sets that none lacks are left out.
    pub counts: BTreeMap<Arc<str>, usize>,
}

type Report = Box<dyn Fn(&AuditReport) + Send + Sync>;

/// Looks from time to time at all pods for those that a set selects and that do not have it, and reports them: pods that
/// were created while the webhook was down, or before their set. It changes nothing; who wants such pods to be created
/// anew can do so in the report's handler.
pub struct Audit {
    pods: Cache<SlimPod>,
    live: LiveSets,
    namespaces: Option<Namespaces>,
    config: AuditConfig,
    metrics: InjectionMetrics,
    report: Report,
}

impl fmt::Debug for Audit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Audit")
            .field("config", &self.config)
            .finish_non_exhaustive()
    }
}

impl Audit {
    /// Tells `report` after each look, also if nothing was found. It must not block.
    ///
    /// # Errors
    /// A setting cannot be used.
    pub fn new(
        pods: Cache<SlimPod>,
        live: LiveSets,
        config: AuditConfig,
        report: impl Fn(&AuditReport) + Send + Sync + 'static,
    ) -> Result<Self, ConfigError> {
        config.validate()?;
        Ok(Self {
            pods,
            live,
            namespaces: None,
            config,
            metrics: InjectionMetrics::default(),
            report: Box::new(report),
        })
    }

    /// Reads labels of namespaces there.
    #[must_use]
    pub fn namespaces(mut self, namespaces: Namespaces) -> Self {
        self.namespaces = Some(namespaces);
        self
    }

    /// Shows the numbers there.
    #[must_use]
    pub fn metrics(mut self, metrics: &InjectionMetrics) -> Self {
        self.metrics = metrics.clone();
        self
    }

    /// One look. Done by the run loop. Cancel safe.
    pub async fn look(&self) -> AuditReport {
        let injector = self.live.injector();
        let mut report = AuditReport::default();
        for (at, pod) in self.pods.list().iter().enumerate() {
            if at % BATCH == BATCH - 1 {
                tokio::task::yield_now().await;
            }
            let name = pod.key.namespace_str();
            if self
                .config
                .excluded_namespaces
                .iter()
                .any(|excluded| excluded == name)
            {
                continue;
            }
            let labels = self
                .namespaces
                .as_ref()
                .and_then(|namespaces| namespaces.cached(name));
            let labels = labels.as_deref().map(|labels| labels as &dyn Labels);
            let namespace = NamespaceFacts { name, labels };
            for set in injector.sets() {
                let Some(reason) = missing_injection(pod, set, &namespace) else {
                    continue;
                };
                *report.counts.entry(set.name().clone()).or_default() += 1;
                if report.missing.len() < self.config.max_named {
                    let (set, pod, uid) = (set.name().clone(), pod.key.clone(), pod.uid.clone());
                    report.missing.push(Missing {
                        set,
                        pod,
                        uid,
                        reason,
                    });
                }
            }
        }
        self.metrics
            .show_missing(report.counts.iter().map(|(set, count)| (set, *count)));
        (self.report)(&report);
        report
    }
}

impl Runnable for Audit {
    fn name(&self) -> &str {
        "injection audit"
    }

    fn run(self: Box<Self>, cancel: CancellationToken) -> BoxFuture<'static, Result<(), RunError>> {
        let look = async move {
            self.live.synced().await;
            self.pods.synced().await;
            loop {
                self.look().await;
                tokio::time::sleep(self.config.interval).await;
            }
        };
        async move {
            cancel.run_until_cancelled(look).await;
            Ok(())
        }
        .boxed()
    }
}
