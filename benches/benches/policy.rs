//! How long the policy engines take for 10,000 and 100,000 pods, beside one plain sort of the same pods.
//!
//! `cached`: the pods of the cache, behind an `Arc` each, read from JSON, six labels; most of the time is that of
//! fetching them from memory. `own`: a type of a user whose labels are at hand; what the engine itself takes.

use std::hint::black_box;
use std::sync::Arc;
use std::time::Duration;

use criterion::{BatchSize, BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use kruise_core::policy::{
    Budget, Labels, Member, PodRank, PodStanding, Priority, Rollout, Scatter, ScatterTerm, Selector, rank,
};
use kruise_core::runtime::SlimPod;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

const SIZES: [usize; 2] = [10_000, 100_000];

fn from_json<T: DeserializeOwned>(value: Value) -> T {
    serde_json::from_value(value).expect("the sample has this form")
}

/// A number without order.
fn mixed(of: usize) -> usize {
    (of.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 17) % 1_000_003
}

fn pod(index: usize) -> Arc<SlimPod> {
    Arc::new(from_json(json!({
        "metadata": {
            "name": format!("web-{:05x}", mixed(index)),
            "namespace": "team",
            "uid": format!("uid-{index}"),
            "creationTimestamp": format!("2026-01-01T{:02}:{:02}:{:02}Z", index % 24, mixed(index) % 60, index % 60),
            "labels": {
                "app.kubernetes.io/name": "web",
                "apps.kruise.io/cloneset-instance-id": format!("{:05x}", mixed(index)),
                "controller-revision-hash": "web-7f9c6b5d8",
                "node": format!("node-{}", mixed(index) % 2_000),
                "tier": format!("t{}", mixed(index + 7) % 2),
                "zone": format!("zone-{}", mixed(index) % 3),
            },
        },
        "spec": {"nodeName": format!("node-{}", mixed(index) % 2_000), "containers": [{"name": "main"}]},
        "status": {
            "phase": "Running",
            "conditions": [{"type": "Ready", "status": "True",
                "lastTransitionTime": format!("2026-01-02T{:02}:{:02}:00Z", mixed(index) % 24, index % 60)}],
            "containerStatuses": [{"name": "main", "image": "web:1", "imageID": "i", "restartCount": 0, "ready": true}],
        },
    })))
}

fn pods(count: usize) -> Vec<Arc<SlimPod>> {
    (0..count).map(pod).collect()
}

/// An object that is no pod, and holds its labels as fields.
struct Own {
    zone: &'static str,
    tier: &'static str,
    created: u64,
}

impl Labels for Own {
    fn label(&self, key: &str) -> Option<&str> {
        match key {
            "zone" => Some(self.zone),
            "tier" => Some(self.tier),
            _ => None,
        }
    }
}

fn own(count: usize) -> Vec<Own> {
    let own = |index: usize| Own {
        zone: ["zone-0", "zone-1", "zone-2"]
            .get(mixed(index) % 3)
            .copied()
            .unwrap_or(""),
        tier: ["t0", "t1"].get(mixed(index + 7) % 2).copied().unwrap_or(""),
        created: mixed(index) as u64,
    };
    (0..count).map(own).collect()
}

fn terms(of: &[(&str, &str)]) -> Scatter {
    Scatter::compile(
        &of.iter()
            .map(|(key, value)| ScatterTerm::new(*key, *value))
            .collect::<Vec<_>>(),
    )
}

fn order<M>(members: &[M]) -> Vec<u32> {
    (0..).zip(members).map(|(at, _)| at).collect()
}

fn scatter_of<M: Labels, K: Ord>(
    c: &mut Criterion,
    name: &str,
    members: fn(usize) -> Vec<M>,
    created: fn(&M) -> K,
) {
    let two_values = [("zone", "zone-0"), ("zone", "zone-1")];
    let two_keys = [("zone", "zone-0"), ("tier", "t0")];
    let five = [
        ("zone", "zone-0"),
        ("zone", "zone-1"),
        ("zone", "zone-2"),
        ("tier", "t0"),
        ("tier", "t1"),
    ];
    let mut group = c.benchmark_group(format!("policy/scatter/{name}"));
    for count in SIZES {
        let members = members(count);
        let all = order(&members);
        group.throughput(Throughput::Elements(count as u64));
        group.bench_with_input(
            BenchmarkId::new("baseline_sort_by_creation", count),
            &members,
            |b, members| {
                b.iter_batched_ref(
                    || all.clone(),
                    |order| order.sort_by_key(|&at| members.get(at as usize).map(created)),
                    BatchSize::LargeInput,
                );
            },
        );
        for (name, declared) in [
            ("two_terms_one_key", two_values.as_slice()),
            ("two_terms_two_keys", &two_keys),
            ("five_terms_two_keys", &five),
            ("every_node", &[("node", "*")]),
        ] {
            let scatter = terms(declared);
            group.bench_with_input(BenchmarkId::new(name, count), &members, |b, members| {
                b.iter_batched_ref(
                    || all.clone(),
                    |order| scatter.sort(black_box(members), order),
                    BatchSize::LargeInput,
                );
            });
        }
    }
    group.finish();
}

fn scatter(c: &mut Criterion) {
    scatter_of(c, "cached", pods, |pod| pod.creation_timestamp);
    scatter_of(c, "own", own, |own| own.created);
}

/// A pod on the way from one revision to another.
struct Judged(Arc<SlimPod>);

impl Labels for Judged {
    fn label(&self, key: &str) -> Option<&str> {
        self.0.label(key)
    }

    fn label_near(&self, key: &str, hint: &mut usize) -> Option<&str> {
        self.0.label_near(key, hint)
    }
}

impl Member for Judged {
    type Rank<'a> = PodRank<'a>;
    type Obstacle = std::convert::Infallible;

    fn rank(&self) -> PodRank<'_> {
        PodRank::of(&self.0)
    }

    fn rank_prefix(&self) -> u128 {
        PodStanding::of(&self.0).prefix()
    }

    fn is_updated(&self) -> bool {
        self.0.labels.get("controller-revision-hash") != Some("web-7f9c6b5d8")
    }

    fn is_available(&self) -> bool {
        self.0.is_ready()
    }
}

fn whole(c: &mut Criterion) {
    let selector: LabelSelector = from_json(json!({
        "matchLabels": {"app.kubernetes.io/name": "web"},
        "matchExpressions": [{"key": "zone", "operator": "In", "values": ["zone-0", "zone-1", "zone-2"]}],
    }));
    let selector = Selector::compile(&selector).expect("valid");
    let priority = Priority::compile(&from_json(json!({"weightPriority": [
        {"weight": 50, "matchSelector": {"matchLabels": {"zone": "zone-0"}}},
        {"weight": 30, "matchSelector": {"matchLabels": {"tier": "t1"}}},
    ]})))
    .expect("valid");
    let scatter = terms(&[("zone", "zone-0"), ("tier", "t0")]);
    let mut group = c.benchmark_group("policy");
    for count in SIZES {
        let members: Vec<Judged> = pods(count).into_iter().map(Judged).collect();
        let all = order(&members);
        group.throughput(Throughput::Elements(count as u64));
        group.bench_with_input(BenchmarkId::new("select", count), &members, |b, members| {
            b.iter(|| members.iter().filter(|member| selector.matches(*member)).count());
        });
        group.bench_with_input(BenchmarkId::new("rank", count), &members, |b, members| {
            b.iter_batched_ref(
                || all.clone(),
                |order| rank::sort(members, order),
                BatchSize::LargeInput,
            );
        });
        group.bench_with_input(BenchmarkId::new("priority", count), &members, |b, members| {
            b.iter_batched_ref(
                || all.clone(),
                |order| priority.sort(members, order),
                BatchSize::LargeInput,
            );
        });
        let rollout = Rollout {
            selector: Some(&selector),
            priority: Some(&priority),
            scatter: Some(&scatter),
            partition: count / 2,
            budget: Budget::new(count / 10),
            ..Rollout::default()
        };
        group.bench_with_input(BenchmarkId::new("whole_plan", count), &members, |b, members| {
            b.iter(|| rollout.plan(black_box(members)));
        });
    }
    group.finish();
}

criterion_group! {
    name = benches;
    config = Criterion::default().sample_size(15).measurement_time(Duration::from_secs(1)).warm_up_time(Duration::from_millis(300));
    targets = scatter, whole
}
criterion_main!(benches);
