//! The pod webhook.

use std::hash::{DefaultHasher, Hasher};
use std::sync::Arc;

use kruise_core::policy::Labels;
use kruise_core::runtime::{Causes, Clock, EventSink, Note};
use kruise_core::webhook::{Context, Denial, Operation, Patched, Patcher};
use kube_core::Resource as _;
use serde::de::IgnoredAny;
use serde_json::value::RawValue;

use super::live::LiveSets;
use super::metrics::{InjectionMetrics, Outcome};
use super::namespaces::Namespaces;
use crate::api::names::INJECTION_SKIPPED;
use crate::inject::{InjectError, Moment};

/// Injects pods that are being created.
#[derive(Clone, Debug)]
pub struct PodInjector {
    live: LiveSets,
    namespaces: Option<Namespaces>,
    clock: Arc<dyn Clock>,
    metrics: InjectionMetrics,
    events: EventSink,
    excluded: Vec<String>,
}

impl PodInjector {
    /// Injects these sets. Without [`PodInjector::namespaces`], a set with a `namespaceSelector` that asks for more than
    /// a name selects nothing.
    pub fn new(live: LiveSets, clock: Arc<dyn Clock>) -> Self {
        Self {
            live,
            namespaces: None,
            clock,
            metrics: InjectionMetrics::default(),
            events: EventSink::none(),
            excluded: Vec::new(),
        }
    }

    /// Leaves pods of these namespaces alone. The webhook configuration leaves them out by a label that every namespace
    /// has only since Kubernetes 1.21.
    #[must_use]
    pub fn excluding(mut self, namespaces: &[String]) -> Self {
        self.excluded = namespaces.to_vec();
        self
    }

    /// Reads labels of namespaces there.
    #[must_use]
    pub fn namespaces(mut self, namespaces: Namespaces) -> Self {
        self.namespaces = Some(namespaces);
        self
    }

    /// Counts there.
    #[must_use]
    pub fn metrics(mut self, metrics: &InjectionMetrics) -> Self {
        self.metrics = metrics.clone();
        self
    }

    /// Makes an Event of the set of each pod that is created without it, with [`Refusal::Skip`](crate::inject::Refusal::Skip).
    #[must_use]
    pub fn events(mut self, events: EventSink) -> Self {
        self.events = events;
        self
    }

    fn tell(&self, set: &str, namespace: &str, problem: &str) {
        let Some(set) = self.live.get(set) else { return };
        self.events.emit(Note {
            about: set.object_ref(&()),
            warning: true,
            reason: INJECTION_SKIPPED,
            message: format!("a pod in namespace {namespace:?} is created without it: {problem}"),
        });
    }

    async fn decide(&self, uid: &str, namespace: &str, pod: &str, dry_run: bool) -> Result<Patched, Denial> {
        // Before that it is not known what the pod should get; the timeout of the hook and its policy hold.
        if !self.live.is_synced() {
            self.live.synced().await;
        }
        let injector = self.live.injector();
        let mut labels = None;
        if let Some(namespaces) = &self.namespaces
            && injector
                .needs_namespace(pod, namespace)
                .map_err(|error| denial(&error))?
        {
            let asked = namespaces.labels(namespace).await;
            labels = asked.map_err(|error| {
                Denial::no_verdict(
                    503,
                    format!(
                        "labels of namespace {namespace:?} cannot be read: {}",
                        Causes(&error)
                    ),
                )
            })?;
        }
        let mut moment = Moment::new(self.clock.now()).namespace(namespace).draw(draw(uid));
        moment.namespace_labels = labels.as_deref().map(|labels| labels as &(dyn Labels + Sync));
        let done = injector.inject(pod, &moment).map_err(|error| {
            if let InjectError::Set { set, .. } = &error {
                self.metrics.count(set, Outcome::Refused);
            }
            denial(&error)
        })?;
        // A pod in several scopes is sent several times; the first time it is injected, then nothing changes.
        if done.patch.is_some() {
            for set in &done.sets {
                self.metrics.count(set, Outcome::Injected);
            }
        }
        for skipped in &done.skipped {
            self.metrics.count(&skipped.set, Outcome::Skipped);
            let problem = Causes(&skipped.problem).to_string();
            tracing::warn!(set = %skipped.set, namespace, problem, "pod is created without the SidecarSet");
            if !dry_run {
                self.tell(&skipped.set, namespace, &problem);
            }
        }
        Ok(Patched::new(done.patch).warn(done.warnings))
    }
}

impl Patcher for PodInjector {
    async fn patch(&self, context: &Context<IgnoredAny>, object: &RawValue) -> Result<Patched, Denial> {
        // A pod that exists cannot get containers.
        if context.operation != Operation::Create || context.sub_resource.is_some() {
            return Ok(Patched::default());
        }
        let namespace = context.namespace.as_deref().unwrap_or_default();
        if self.excluded.iter().any(|excluded| excluded == namespace) {
            return Ok(Patched::default());
        }
        let dry_run = context.dry_run;
        self.decide(&context.uid, namespace, object.get(), dry_run).await
    }
}

/// With 400, since older kubectl does not show the message of 422.
fn denial(error: &InjectError) -> Denial {
    Denial::bad_request(Causes(error).to_string())
}

/// A number from 0 to below 1 from the id of a request. The API server makes a new id for each scope that it sends a pod
/// for; what the first draw has decided stands in the pod's annotation then.
fn draw(uid: &str) -> f64 {
    let mut hasher = DefaultHasher::new();
    hasher.write(uid.as_bytes());
    // The 53 bits that a fraction has.
    (hasher.finish() >> 11) as f64 / (1u64 << 53) as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn draws_are_spread_and_repeatable() {
        let draws: Vec<f64> = (0..1000).map(|at| draw(&format!("request-{at}"))).collect();
        assert!(draws.iter().all(|draw| (0.0..1.0).contains(draw)));
        let low = draws.iter().filter(|draw| **draw < 0.3).count();
        assert!((250..350).contains(&low), "{low} of 1000 below 0.3");
        assert_eq!(draw("a"), draw("a"));
    }
}
