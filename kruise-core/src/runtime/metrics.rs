//! All metrics of the runtime, in one place. Times are in seconds; every metric carries the label `name` of its cache,
//! queue, controller or expectations.
//!
//! | metric | type | meaning |
//! | --- | --- | --- |
//! | `kruise_workqueue_depth` | gauge | keys ready to be handed out |
//! | `kruise_workqueue_delayed` | gauge | keys that wait for their time |
//! | `kruise_workqueue_adds_total` | counter | adds, duplicates included |
//! | `kruise_workqueue_retries_total` | counter | keys given back as failed |
//! | `kruise_workqueue_queue_duration_seconds` | histogram | from ready to handed out |
//! | `kruise_workqueue_work_duration_seconds` | histogram | from handed out to given back |
//! | `kruise_workqueue_oldest_age_seconds` | gauge | wait of the oldest ready key |
//! | `kruise_controller_reconcile_total` | counter | reconciles by `result`: `success`, `requeue_after`, `error`, `terminal_error`, `timeout`, `panic` |
//! | `kruise_controller_reconcile_duration_seconds` | histogram | time in the reconciler |
//! | `kruise_controller_active_workers` | gauge | reconciles running now |
//! | `kruise_controller_max_workers` | gauge | configured workers |
//! | `kruise_cache_objects` | gauge | objects held |
//! | `kruise_cache_events_total` | counter | deltas by `type`: `added`, `updated`, `deleted`, `tombstone` |
//! | `kruise_cache_relists_total` | counter | lists started, the first included |
//! | `kruise_cache_errors_total` | counter | failed lists and watches |
//! | `kruise_cache_undecodable_total` | counter | objects that could not be decoded |
//! | `kruise_cache_handler_panics_total` | counter | delta handlers that panicked |
//! | `kruise_cache_last_event_age_seconds` | gauge | time since the server was last heard of, bookmarks included |
//! | `kruise_expectations_expired_total` | counter | expectations given up by age |
//! | `kruise_expectations_oldest_age_seconds` | gauge | age of the oldest unmet expectation |

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use parking_lot::Mutex;
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeLabelSet, EncodeMetric};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::{ConstGauge, Gauge};
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::Registry;

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Name {
    name: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct NameResult {
    name: String,
    result: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct NameType {
    name: String,
    r#type: &'static str,
}

type Histograms = Family<Name, Histogram, fn() -> Histogram>;

/// 1 ms to about 1000 s, by powers of four.
fn durations() -> Histogram {
    Histogram::new(exponential_buckets(0.001, 4.0, 11))
}

fn histograms() -> Histograms {
    Family::new_with_constructor(durations)
}

/// The metrics of all caches, queues, controllers and expectations that are told to report here. Clones share them.
#[derive(Clone, Debug)]
pub struct RuntimeMetrics {
    depth: Family<Name, Gauge>,
    delayed: Family<Name, Gauge>,
    adds: Family<Name, Counter>,
    retries: Family<Name, Counter>,
    latency: Histograms,
    work: Histograms,
    reconciles: Family<NameResult, Counter>,
    reconcile_time: Histograms,
    active: Family<Name, Gauge>,
    workers: Family<Name, Gauge>,
    objects: Family<Name, Gauge>,
    events: Family<NameType, Counter>,
    relists: Family<Name, Counter>,
    errors: Family<Name, Counter>,
    undecodable: Family<Name, Counter>,
    handler_panics: Family<Name, Counter>,
    expired: Family<Name, Counter>,
    ages: Arc<Ages>,
}

impl RuntimeMetrics {
    /// Creates the metrics and registers them. Call it once per registry.
    pub fn register(registry: &mut Registry) -> Self {
        let metrics = Self {
            depth: Family::default(),
            delayed: Family::default(),
            adds: Family::default(),
            retries: Family::default(),
            latency: histograms(),
            work: histograms(),
            reconciles: Family::default(),
            reconcile_time: histograms(),
            active: Family::default(),
            workers: Family::default(),
            objects: Family::default(),
            events: Family::default(),
            relists: Family::default(),
            errors: Family::default(),
            undecodable: Family::default(),
            handler_panics: Family::default(),
            expired: Family::default(),
            ages: Arc::new(Ages::default()),
        };
        let m = metrics.clone();
        let queue = registry.sub_registry_with_prefix("kruise_workqueue");
        queue.register("depth", "Keys ready to be handed out", m.depth);
        queue.register("delayed", "Keys that wait for their time", m.delayed);
        queue.register("adds", "Adds, duplicates included", m.adds);
        queue.register("retries", "Keys given back as failed", m.retries);
        queue.register("queue_duration_seconds", "From ready to handed out", m.latency);
        queue.register("work_duration_seconds", "From handed out to given back", m.work);
        let controller = registry.sub_registry_with_prefix("kruise_controller");
        controller.register("reconcile", "Reconciles by result", m.reconciles);
        controller.register(
            "reconcile_duration_seconds",
            "Time in the reconciler",
            m.reconcile_time,
        );
        controller.register("active_workers", "Reconciles running now", m.active);
        controller.register("max_workers", "Configured workers", m.workers);
        let cache = registry.sub_registry_with_prefix("kruise_cache");
        cache.register("objects", "Objects held", m.objects);
        cache.register("events", "Deltas by type", m.events);
        cache.register("relists", "Lists started, the first included", m.relists);
        cache.register("errors", "Failed lists and watches", m.errors);
        cache.register("undecodable", "Objects that could not be decoded", m.undecodable);
        cache.register("handler_panics", "Delta handlers that panicked", m.handler_panics);
        let expectations = registry.sub_registry_with_prefix("kruise_expectations");
        expectations.register("expired", "Expectations given up by age", m.expired);
        registry.register_collector(Box::new(m.ages));
        metrics
    }

    pub(crate) fn queue(&self, name: &str) -> QueueMetrics {
        let label = Name {
            name: name.to_owned(),
        };
        QueueMetrics {
            depth: self.depth.get_or_create_owned(&label),
            delayed: self.delayed.get_or_create_owned(&label),
            adds: self.adds.get_or_create_owned(&label),
            retries: self.retries.get_or_create_owned(&label),
            latency: self.latency.get_or_create_owned(&label),
            work: self.work.get_or_create_owned(&label),
        }
    }

    pub(crate) fn controller(&self, name: &str) -> ControllerMetrics {
        let label = Name {
            name: name.to_owned(),
        };
        ControllerMetrics {
            reconciles: self.reconciles.clone(),
            time: self.reconcile_time.get_or_create_owned(&label),
            active: self.active.get_or_create_owned(&label),
            workers: self.workers.get_or_create_owned(&label),
            name: label.name,
        }
    }

    pub(crate) fn cache(&self, name: &str) -> CacheMetrics {
        let label = Name {
            name: name.to_owned(),
        };
        let event = |r#type| {
            self.events.get_or_create_owned(&NameType {
                name: name.to_owned(),
                r#type,
            })
        };
        CacheMetrics {
            objects: self.objects.get_or_create_owned(&label),
            added: event("added"),
            updated: event("updated"),
            deleted: event("deleted"),
            tombstone: event("tombstone"),
            relists: self.relists.get_or_create_owned(&label),
            errors: self.errors.get_or_create_owned(&label),
            undecodable: self.undecodable.get_or_create_owned(&label),
            handler_panics: self.handler_panics.get_or_create_owned(&label),
        }
    }

    pub(crate) fn expectations_expired(&self, name: &str) -> Counter {
        self.expired.get_or_create_owned(&Name {
            name: name.to_owned(),
        })
    }

    /// `age` is asked at every scrape; `None` says that what it tells of is gone.
    pub(crate) fn queue_age(&self, name: &str, age: impl Fn() -> Option<f64> + Send + Sync + 'static) {
        self.ages.add(Age::Queue, name, age);
    }

    pub(crate) fn cache_age(&self, name: &str, age: impl Fn() -> Option<f64> + Send + Sync + 'static) {
        self.ages.add(Age::Cache, name, age);
    }

    pub(crate) fn expectations_age(&self, name: &str, age: impl Fn() -> Option<f64> + Send + Sync + 'static) {
        self.ages.add(Age::Expectations, name, age);
    }
}

#[derive(Clone, Debug)]
pub(crate) struct QueueMetrics {
    pub(crate) depth: Gauge,
    pub(crate) delayed: Gauge,
    pub(crate) adds: Counter,
    pub(crate) retries: Counter,
    pub(crate) latency: Histogram,
    pub(crate) work: Histogram,
}

#[derive(Clone, Debug)]
pub(crate) struct ControllerMetrics {
    name: String,
    reconciles: Family<NameResult, Counter>,
    pub(crate) time: Histogram,
    pub(crate) active: Gauge,
    pub(crate) workers: Gauge,
}

impl ControllerMetrics {
    pub(crate) fn count(&self, result: &'static str) {
        self.reconciles
            .get_or_create(&NameResult {
                name: self.name.clone(),
                result,
            })
            .inc();
    }
}

#[derive(Clone, Debug)]
pub(crate) struct CacheMetrics {
    pub(crate) objects: Gauge,
    pub(crate) added: Counter,
    pub(crate) updated: Counter,
    pub(crate) deleted: Counter,
    pub(crate) tombstone: Counter,
    pub(crate) relists: Counter,
    pub(crate) errors: Counter,
    pub(crate) undecodable: Counter,
    pub(crate) handler_panics: Counter,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Age {
    Queue,
    Cache,
    Expectations,
}

impl Age {
    const ALL: [(Self, &'static str, &'static str); 3] = [
        (
            Self::Queue,
            "kruise_workqueue_oldest_age_seconds",
            "Wait of the oldest ready key",
        ),
        (
            Self::Cache,
            "kruise_cache_last_event_age_seconds",
            "Time since the server was last heard of, bookmarks included",
        ),
        (
            Self::Expectations,
            "kruise_expectations_oldest_age_seconds",
            "Age of the oldest unmet expectation",
        ),
    ];
}

struct Source {
    kind: Age,
    name: String,
    age: Box<dyn Fn() -> Option<f64> + Send + Sync>,
}

/// Gauges that are computed when they are scraped, since time passes without an event that could set them.
#[derive(Default)]
struct Ages(Mutex<Vec<Source>>);

impl fmt::Debug for Ages {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ages").finish_non_exhaustive()
    }
}

impl Ages {
    fn add(&self, kind: Age, name: &str, age: impl Fn() -> Option<f64> + Send + Sync + 'static) {
        let mut sources = self.0.lock();
        // Keeps the list as long as what is alive, also when nobody scrapes.
        sources.retain(|source| (source.age)().is_some());
        sources.push(Source {
            kind,
            name: name.to_owned(),
            age: Box::new(age),
        });
    }
}

impl Collector for Ages {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        // Two of one name in one registry: the worse counts.
        let mut worst: BTreeMap<(Age, String), f64> = BTreeMap::new();
        self.0.lock().retain(|source| match (source.age)() {
            Some(age) => {
                let slot = worst.entry((source.kind, source.name.clone())).or_insert(age);
                *slot = slot.max(age);
                true
            }
            None => false,
        });
        for (kind, name, help) in Age::ALL {
            let mut values = worst.iter().filter(|((of, _), _)| *of == kind).peekable();
            if values.peek().is_none() {
                continue;
            }
            let mut metric = encoder.encode_descriptor(name, help, None, MetricType::Gauge)?;
            for ((_, name), age) in values {
                let labels = Name { name: name.clone() };
                ConstGauge::new(*age).encode(metric.encode_family(&labels)?)?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ages_are_asked_at_scrape_and_vanish_with_what_they_tell_of() {
        let mut registry = Registry::default();
        let metrics = RuntimeMetrics::register(&mut registry);
        let alive = Arc::new(());
        let weak = Arc::downgrade(&alive);
        metrics.queue_age("a", move || weak.upgrade().map(|_| 1.5));
        metrics.queue_age("b", || Some(2.5));
        metrics.queue_age("b", || Some(0.5));
        let scrape = |registry: &Registry| {
            let mut text = String::new();
            prometheus_client::encoding::text::encode(&mut text, registry).unwrap();
            text
        };
        let text = scrape(&registry);
        assert!(
            text.contains("kruise_workqueue_oldest_age_seconds{name=\"a\"} 1.5"),
            "{text}"
        );
        assert!(
            text.contains("kruise_workqueue_oldest_age_seconds{name=\"b\"} 2.5"),
            "{text}"
        );
        drop(alive);
        assert!(!scrape(&registry).contains("name=\"a\""));
    }

    #[test]
    fn counters_carry_the_documented_names() {
        let mut registry = Registry::default();
        let metrics = RuntimeMetrics::register(&mut registry);
        metrics.queue("pods").adds.inc();
        metrics.controller("pods").count("success");
        metrics.cache("pods").tombstone.inc();
        let mut text = String::new();
        prometheus_client::encoding::text::encode(&mut text, &registry).unwrap();
        for line in [
            "kruise_workqueue_adds_total{name=\"pods\"} 1",
            "kruise_controller_reconcile_total{name=\"pods\",result=\"success\"} 1",
            "kruise_cache_events_total{name=\"pods\",type=\"tombstone\"} 1",
        ] {
            assert!(text.contains(line), "{line} not in {text}");
        }
    }
}
