//! All metrics of upgrades. Series end with their set.
//!
//! | metric | type | meaning |
//! | --- | --- | --- |
//! | `kruise_sidecarset_upgrades_total` | counter | patches of pods by `sidecarset` and `result`: `upgraded`, `reset` (an idle container got the empty image), `conflict` (the pod had changed or was gone), `refused`, `failed` |
//! | `kruise_sidecarset_pods` | gauge | pods by `sidecarset` and `state`: `matched`, `updated`, `ready`, `updated_ready`, `not_upgradable` |
//! | `kruise_sidecarset_plan_duration_seconds` | histogram | time that a plan took |

use std::sync::Arc;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::Registry;

use crate::plan::upgrade::Counts;

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct SetResult {
    sidecarset: Arc<str>,
    result: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct SetState {
    sidecarset: Arc<str>,
    state: &'static str,
}

pub(super) const UPGRADED: &str = "upgraded";
pub(super) const RESET: &str = "reset";
pub(super) const CONFLICT: &str = "conflict";
pub(super) const REFUSED: &str = "refused";
pub(super) const FAILED: &str = "failed";
const RESULTS: [&str; 5] = [UPGRADED, RESET, CONFLICT, REFUSED, FAILED];

/// Handles of the metrics. Clones count together.
#[derive(Clone, Debug)]
pub struct UpgradeMetrics {
    upgrades: Family<SetResult, Counter>,
    pods: Family<SetState, Gauge>,
    plans: Histogram,
}

impl Default for UpgradeMetrics {
    /// Registered nowhere.
    fn default() -> Self {
        Self {
            upgrades: Family::default(),
            pods: Family::default(),
            // 1 µs to about a second, by powers of four.
            plans: Histogram::new(exponential_buckets(0.000_001, 4.0, 11)),
        }
    }
}

impl UpgradeMetrics {
    /// Registers the metrics. Once per registry.
    pub fn register(registry: &mut Registry) -> Self {
        let metrics = Self::default();
        registry.register(
            "kruise_sidecarset_upgrades",
            "Patches of pods by what became of them",
            metrics.upgrades.clone(),
        );
        registry.register(
            "kruise_sidecarset_pods",
            "Pods of a SidecarSet by state",
            metrics.pods.clone(),
        );
        registry.register(
            "kruise_sidecarset_plan_duration_seconds",
            "Time that a plan took",
            metrics.plans.clone(),
        );
        metrics
    }

    pub(super) fn count(&self, set: &str, result: &'static str) {
        let sidecarset = set.into();
        self.upgrades
            .get_or_create(&SetResult { sidecarset, result })
            .inc();
    }

    pub(super) fn planned(&self, set: &str, counts: &Counts, seconds: f64) {
        self.plans.observe(seconds);
        for (state, count) in states(counts) {
            let sidecarset = set.into();
            let gauge = self.pods.get_or_create(&SetState { sidecarset, state });
            gauge.set(i64::try_from(count).unwrap_or(i64::MAX));
        }
    }

    pub(super) fn forget(&self, set: &str) {
        for (state, _) in states(&Counts::default()) {
            let sidecarset = set.into();
            self.pods.remove(&SetState { sidecarset, state });
        }
        for result in RESULTS {
            let sidecarset = set.into();
            self.upgrades.remove(&SetResult { sidecarset, result });
        }
    }
}

fn states(counts: &Counts) -> [(&'static str, usize); 5] {
    [
        ("matched", counts.matched),
        ("updated", counts.updated),
        ("ready", counts.ready),
        ("updated_ready", counts.updated_ready),
        ("not_upgradable", counts.not_upgradable),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn series_of_a_set_end_with_it() {
        let mut registry = Registry::default();
        let metrics = UpgradeMetrics::register(&mut registry);
        let scrape = |registry: &Registry| {
            let mut text = String::new();
            prometheus_client::encoding::text::encode(&mut text, registry).expect("text");
            text
        };
        let counts = Counts {
            matched: 3,
            ..Counts::default()
        };
        metrics.planned("logs", &counts, 0.001);
        metrics.count("logs", UPGRADED);
        let text = scrape(&registry);
        for line in [
            "kruise_sidecarset_pods{sidecarset=\"logs\",state=\"matched\"} 3",
            "kruise_sidecarset_upgrades_total{sidecarset=\"logs\",result=\"upgraded\"} 1",
        ] {
            assert!(text.contains(line), "{line} not in {text}");
        }
        metrics.forget("logs");
        assert!(!scrape(&registry).contains("logs"));
    }
}
