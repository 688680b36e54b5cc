//! All metrics of clients, events, leader election and gates. Times are in seconds.
//!
//! | metric | type | labels | meaning |
//! | --- | --- | --- | --- |
//! | `kruise_client_requests_total` | counter | `controller`, `verb`, `code` | requests sent, retries included; `code` is `error` when no answer came |
//! | `kruise_client_retries_total` | counter | `controller`, `reason` | retries: `throttled`, `server_error`, `connection` |
//! | `kruise_client_limiter_wait_seconds` | histogram | `controller` | wait of a request for its rate limit |
//! | `kruise_events_total` | counter | `result` | events: `created`, `counted` (added to one that exists), `filtered` (spam), `dropped` (queue full), `failed` |
//! | `kruise_leader_election_is_leader` | gauge | `name` | 1 while the lease is held |
//! | `kruise_leader_election_failures_total` | counter | `name` | failed attempts to take or renew the lease |
//! | `kruise_feature_enabled` | gauge | `name` | 1 if the feature gate is on |

use std::time::Duration;

use http::StatusCode;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::Registry;

use crate::gates::Gates;

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Request {
    controller: String,
    verb: &'static str,
    code: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Reason {
    controller: String,
    reason: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Controller {
    controller: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct EventResult {
    result: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Name {
    name: String,
}

/// The metrics of all that is in [`manager`](super). Clones share them.
#[derive(Clone, Debug)]
pub struct ManagerMetrics {
    requests: Family<Request, Counter>,
    retries: Family<Reason, Counter>,
    limiter: Family<Controller, Histogram, fn() -> Histogram>,
    events: Family<EventResult, Counter>,
    is_leader: Family<Name, Gauge>,
    election_failures: Family<Name, Counter>,
    features: Family<Name, Gauge>,
}

impl ManagerMetrics {
    /// Creates the metrics and registers them. Call it once per registry.
    pub fn register(registry: &mut Registry) -> Self {
        let metrics = Self {
            requests: Family::default(),
            retries: Family::default(),
            // 1 ms to about 16 s.
            limiter: Family::new_with_constructor(|| Histogram::new(exponential_buckets(0.001, 4.0, 8))),
            events: Family::default(),
            is_leader: Family::default(),
            election_failures: Family::default(),
            features: Family::default(),
        };
        let m = metrics.clone();
        let client = registry.sub_registry_with_prefix("kruise_client");
        client.register("requests", "Requests sent, retries included", m.requests);
        client.register("retries", "Requests sent again", m.retries);
        client.register(
            "limiter_wait_seconds",
            "Wait of a request for its rate limit",
            m.limiter,
        );
        registry.register("kruise_events", "Events by what became of them", m.events);
        let election = registry.sub_registry_with_prefix("kruise_leader_election");
        election.register("is_leader", "1 while the lease is held", m.is_leader);
        election.register(
            "failures",
            "Failed attempts to take or renew the lease",
            m.election_failures,
        );
        registry.register(
            "kruise_feature_enabled",
            "1 if the feature gate is on",
            m.features,
        );
        metrics
    }

    pub(super) fn client(&self, controller: &str) -> ClientMetrics {
        let limiter = self.limiter.get_or_create_owned(&Controller {
            controller: controller.to_owned(),
        });
        ClientMetrics {
            controller: controller.to_owned(),
            all: self.clone(),
            limiter,
        }
    }

    pub(super) fn event(&self, result: &'static str) {
        self.events.get_or_create(&EventResult { result }).inc();
    }

    pub(super) fn leader(&self, name: &str, leads: bool) {
        self.is_leader
            .get_or_create(&Name {
                name: name.to_owned(),
            })
            .set(i64::from(leads));
    }

    pub(super) fn election_failure(&self, name: &str) {
        self.election_failures
            .get_or_create(&Name {
                name: name.to_owned(),
            })
            .inc();
    }

    /// Shows which gates are on.
    pub fn gates(&self, gates: &Gates) {
        for (gate, enabled) in gates.iter() {
            self.features
                .get_or_create(&Name {
                    name: gate.name().to_owned(),
                })
                .set(i64::from(enabled));
        }
    }
}

/// The metrics of one client.
#[derive(Debug)]
pub(super) struct ClientMetrics {
    controller: String,
    all: ManagerMetrics,
    limiter: Histogram,
}

impl ClientMetrics {
    pub(super) fn request(&self, verb: &'static str, code: Option<StatusCode>, waited: Duration) {
        let code = code.map_or_else(|| "error".to_owned(), |code| code.as_str().to_owned());
        self.all
            .requests
            .get_or_create(&Request {
                controller: self.controller.clone(),
                verb,
                code,
            })
            .inc();
        self.limiter.observe(waited.as_secs_f64());
    }

    pub(super) fn retry(&self, reason: &'static str) {
        self.all
            .retries
            .get_or_create(&Reason {
                controller: self.controller.clone(),
                reason,
            })
            .inc();
    }
}
