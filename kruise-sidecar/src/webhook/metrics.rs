//! All metrics of injection.
//!
//! | metric | type | meaning |
//! | --- | --- | --- |
//! | `kruise_sidecarset_injections_total` | counter | pods by `sidecarset` and `result`: `injected`, `skipped` (created without the set; once for each scope that the pod is in), `refused` |
//! | `kruise_sidecarset_pods_without_injection` | gauge | pods that a set selects and that do not have it, by `sidecarset`; from the last [`Audit`](super::Audit) |

use std::sync::Arc;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct SetResult {
    sidecarset: Arc<str>,
    result: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Set {
    sidecarset: Arc<str>,
}

/// What became of a pod that a set selects.
#[derive(Clone, Copy, Debug)]
pub(super) enum Outcome {
    Injected,
    Skipped,
    Refused,
}

/// Handles of the metrics. Clones count together.
#[derive(Clone, Debug, Default)]
pub struct InjectionMetrics {
    injections: Family<SetResult, Counter>,
    without: Family<Set, Gauge>,
}

impl InjectionMetrics {
    /// Registers the metrics. Once per registry.
    pub fn register(registry: &mut Registry) -> Self {
        let metrics = Self::default();
        let help = "Pods that a SidecarSet selects, by what became of them";
        registry.register("kruise_sidecarset_injections", help, metrics.injections.clone());
        let help = "Pods that a SidecarSet selects and that do not have it";
        registry.register(
            "kruise_sidecarset_pods_without_injection",
            help,
            metrics.without.clone(),
        );
        metrics
    }

    pub(super) fn count(&self, set: &Arc<str>, outcome: Outcome) {
        let result = match outcome {
            Outcome::Injected => "injected",
            Outcome::Skipped => "skipped",
            Outcome::Refused => "refused",
        };
        let labels = SetResult {
            sidecarset: set.clone(),
            result,
        };
        self.injections.get_or_create(&labels).inc();
    }

    /// Shows these numbers, and none for other sets.
    pub(super) fn show_missing<'c>(&self, counts: impl IntoIterator<Item = (&'c Arc<str>, usize)>) {
        self.without.clear();
        for (set, count) in counts {
            let gauge = self.without.get_or_create(&Set {
                sidecarset: set.clone(),
            });
            gauge.set(i64::try_from(count).unwrap_or(i64::MAX));
        }
    }
}
