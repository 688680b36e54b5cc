//! Metrics of the agent. No label holds a name of an image or an object.
//!
//! | metric | type | meaning |
//! | --- | --- | --- |
//! | `kruise_imagepull_pulls_total` | counter | ended tasks by `result` and `registry` |
//! | `kruise_imagepull_attempts_failed_total` | counter | failed attempts by `kind` and `registry` |
//! | `kruise_imagepull_pull_duration_seconds` | histogram | time of a task by `result`, all attempts |
//! | `kruise_imagepull_in_flight` | gauge | tasks that are worked on |
//! | `kruise_imagepull_queued` | gauge | tasks that wait for a free worker |
//! | `kruise_imagepull_bytes_total` | counter | size on the node of images that were pulled |
//! | `kruise_imagepull_disk_growth_bytes` | gauge | by how much the disk of images has grown since the start of the pull under way, if it is the only one |
//! | `kruise_imagepull_credential_plugin_calls_total` | counter | programs started for credentials by `plugin` and `result` |
//! | `kruise_imagepull_status_writes_total` | counter | status writes by `result` |

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::Registry;

/// Registries that get a label value of their own; all further ones share `other`.
const MAX_REGISTRIES: usize = 50;

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ByRegistry {
    result: &'static str,
    registry: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ByKind {
    kind: &'static str,
    registry: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ByPlugin {
    plugin: String,
    result: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ByResult {
    result: &'static str,
}

/// Metrics of one agent. Clones share them.
#[derive(Clone, Debug)]
pub struct AgentMetrics {
    pulls: Family<ByRegistry, Counter>,
    failed_attempts: Family<ByKind, Counter>,
    durations: Family<ByResult, Histogram, fn() -> Histogram>,
    pub(super) in_flight: Gauge,
    pub(super) queued: Gauge,
    bytes: Counter,
    pub(super) grown: Gauge,
    plugin_calls: Family<ByPlugin, Counter>,
    writes: Family<ByResult, Counter>,
    registries: Arc<Mutex<BTreeSet<String>>>,
}

impl AgentMetrics {
    /// Makes the metrics and registers them, once per registry.
    pub fn register(registry: &mut Registry) -> Self {
        let metrics = Self::detached();
        let registry = registry.sub_registry_with_prefix("kruise_imagepull");
        registry.register("pulls", "Ended tasks", metrics.pulls.clone());
        registry.register(
            "attempts_failed",
            "Failed attempts",
            metrics.failed_attempts.clone(),
        );
        registry.register(
            "pull_duration_seconds",
            "Time of a task, all attempts",
            metrics.durations.clone(),
        );
        registry.register("in_flight", "Tasks that are worked on", metrics.in_flight.clone());
        registry.register(
            "queued",
            "Tasks that wait for a free worker",
            metrics.queued.clone(),
        );
        registry.register(
            "bytes",
            "Size on the node of images that were pulled",
            metrics.bytes.clone(),
        );
        registry.register(
            "disk_growth_bytes",
            "Growth of the disk of images since the start of the only pull",
            metrics.grown.clone(),
        );
        registry.register(
            "credential_plugin_calls",
            "Programs started for credentials",
            metrics.plugin_calls.clone(),
        );
        registry.register("status_writes", "Status writes", metrics.writes.clone());
        metrics
    }

    /// Makes metrics that nobody reads.
    pub fn detached() -> Self {
        Self {
            pulls: Family::default(),
            failed_attempts: Family::default(),
            // 100 ms to about 7 h, by powers of four.
            durations: Family::new_with_constructor(|| Histogram::new(exponential_buckets(0.1, 4.0, 10))),
            in_flight: Gauge::default(),
            queued: Gauge::default(),
            bytes: Counter::default(),
            grown: Gauge::default(),
            plugin_calls: Family::default(),
            writes: Family::default(),
            registries: Arc::default(),
        }
    }

    pub(super) fn ended(&self, succeeded: bool, registry: &str, duration: Duration) {
        let result = if succeeded { "succeeded" } else { "failed" };
        self.pulls
            .get_or_create(&ByRegistry {
                result,
                registry: self.bounded(registry),
            })
            .inc();
        self.durations
            .get_or_create(&ByResult { result })
            .observe(duration.as_secs_f64());
    }

    pub(super) fn attempt_failed(&self, kind: &'static str, registry: &str) {
        self.failed_attempts
            .get_or_create(&ByKind {
                kind,
                registry: self.bounded(registry),
            })
            .inc();
    }

    pub(super) fn pulled(&self, bytes: u64) {
        self.bytes.inc_by(bytes);
    }

    /// `plugin` comes from the configuration of the host, so it is bounded.
    #[cfg(feature = "exec-plugins")]
    pub(super) fn plugin_called(&self, plugin: &str, result: &'static str) {
        let plugin = plugin.to_owned();
        self.plugin_calls
            .get_or_create(&ByPlugin { plugin, result })
            .inc();
    }

    pub(super) fn wrote(&self, succeeded: bool) {
        let result = if succeeded { "succeeded" } else { "failed" };
        self.writes.get_or_create(&ByResult { result }).inc();
    }

    /// Anybody who can write jobs chooses registry names, so their number is limited.
    fn bounded(&self, registry: &str) -> String {
        let mut known = self.registries.lock();
        if known.contains(registry) || known.len() < MAX_REGISTRIES {
            known.insert(registry.to_owned());
            return registry.to_owned();
        }
        "other".to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn metrics_carry_their_documented_names_and_registries_are_bounded() {
        let mut registry = Registry::default();
        let metrics = AgentMetrics::register(&mut registry);
        for index in 0..100 {
            metrics.ended(true, &format!("r{index}.example.com"), Duration::from_secs(1));
        }
        metrics.attempt_failed("denied", "r0.example.com");
        metrics.pulled(7);
        metrics.wrote(false);
        let mut text = String::new();
        prometheus_client::encoding::text::encode(&mut text, &registry).expect("encodes");
        for line in [
            r#"kruise_imagepull_pulls_total{result="succeeded",registry="other"} 50"#,
            r#"kruise_imagepull_attempts_failed_total{kind="denied",registry="r0.example.com"} 1"#,
            r#"kruise_imagepull_pull_duration_seconds_count{result="succeeded"} 100"#,
            "kruise_imagepull_in_flight 0",
            "kruise_imagepull_queued 0",
            "kruise_imagepull_bytes_total 7",
            r#"kruise_imagepull_status_writes_total{result="failed"} 1"#,
        ] {
            assert!(text.contains(line), "{line}\n{text}");
        }
    }
}
