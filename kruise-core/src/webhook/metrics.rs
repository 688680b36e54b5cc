//! All metrics of the webhook server.
//!
//! | metric | type | meaning |
//! | --- | --- | --- |
//! | `kruise_webhook_requests_total` | counter | reviews by `path` and `result`: `allowed`, `denied`, `panic`, `timeout`, `unreadable`, `unwritable`, `no_verdict`, `malformed`; of conversions `converted`, `refused`, `panic`, `malformed` |
//! | `kruise_webhook_duration_seconds` | histogram | time in the handler, by `path` |
//! | `kruise_webhook_certificate_expiry_seconds` | gauge | end of the served certificate, seconds since 1970 |
//! | `kruise_webhook_configuration_writes_total` | counter | webhook configurations written, by `name` |

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::Registry;

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(crate) struct PathResult {
    pub(crate) path: String,
    pub(crate) result: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(crate) struct Path {
    pub(crate) path: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(crate) struct Name {
    pub(crate) name: String,
}

type Histograms = Family<Path, Histogram, fn() -> Histogram>;

/// 0.1 ms to about 26 s, by powers of four.
fn histogram() -> Histogram {
    Histogram::new(exponential_buckets(0.0001, 4.0, 10))
}

/// Handles of the metrics. Clones count together.
#[derive(Clone, Debug)]
pub struct WebhookMetrics {
    pub(crate) requests: Family<PathResult, Counter>,
    pub(crate) duration: Histograms,
    pub(crate) expiry: Gauge,
    pub(crate) writes: Family<Name, Counter>,
}

impl WebhookMetrics {
    /// Registers the metrics. Once per registry.
    pub fn register(registry: &mut Registry) -> Self {
        let metrics = Self::default();
        registry.register(
            "kruise_webhook_requests",
            "Admission and conversion reviews",
            metrics.requests.clone(),
        );
        registry.register(
            "kruise_webhook_duration_seconds",
            "Time in the handler",
            metrics.duration.clone(),
        );
        registry.register(
            "kruise_webhook_certificate_expiry_seconds",
            "End of the served certificate, seconds since 1970",
            metrics.expiry.clone(),
        );
        registry.register(
            "kruise_webhook_configuration_writes",
            "Webhook configurations written",
            metrics.writes.clone(),
        );
        metrics
    }
}

impl Default for WebhookMetrics {
    /// Metrics that no registry shows.
    fn default() -> Self {
        Self {
            requests: Family::default(),
            duration: Histograms::new_with_constructor(histogram),
            expiry: Gauge::default(),
            writes: Family::default(),
        }
    }
}
