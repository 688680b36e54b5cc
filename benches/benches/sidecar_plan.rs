//! How long a plan of a SidecarSet takes, with partition, maxUnavailable and two scatter terms, for 100 to 100,000 pods.
//!
//! The pods are those of the cache: read from JSON of 3 kB, three containers, four annotations; two of five are upgraded.
//! `roster` is a plan of a reconcile that keeps a `Roster` of the pods of its set, `roster_changed` one after a pod of a hundred
//! has changed its place in the order, with those changes, `roster_edited` the first one after an edit of the set's containers,
//! for which all pods are looked at, and `put` what keeping the roster costs for each change of a pod;
//! `roster_any_value` scatters over all values of a label, `roster_priority` has two weights; `pods` is a plan that looks at each pod of the cache anew; `parse` is what a pod costs once, when it
//! enters the cache.

use std::hint::black_box;
use std::sync::Arc;
use std::time::Duration;

use criterion::{BatchSize, BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use kruise_core::api::int_or_percent::Mode;
use kruise_core::runtime::SlimPod;
use kruise_sidecar::api::{HashForm, NamespaceFacts, SidecarSet, default_sidecar_set};
use kruise_sidecar::plan::upgrade::{Roster, membership, plan_upgrade};
use kruise_sidecar::plan::{SidecarPod, Target};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

const SIZES: [usize; 4] = [100, 1_000, 10_000, 100_000];

fn from_json<T: DeserializeOwned>(value: Value) -> T {
    serde_json::from_value(value).expect("the sample has this form")
}

/// A number without order.
fn mixed(of: usize) -> usize {
    (of.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 17) % 1_000_003
}

fn set() -> SidecarSet {
    let mut set = from_json(json!({
        "metadata": {"name": "logs", "resourceVersion": "7"},
        "spec": {
            "selector": {"matchLabels": {"app.kubernetes.io/name": "web"}},
            "containers": [{"name": "agent", "image": "registry.example.com/logs/agent:2.4.1"}],
            "updateStrategy": {"partition": "20%", "maxUnavailable": "10%", "scatterStrategy": [
                {"key": "zone", "value": "zone-0"}, {"key": "tier", "value": "t0"},
            ]},
        },
    }));
    default_sidecar_set(&mut set, HashForm::default());
    set
}

fn pod(index: usize, set: &SidecarSet) -> Value {
    let updated = mixed(index + 3) % 5 < 2;
    let tag = if updated { "2.4.1" } else { "2.4.0" };
    let old = "86wz4fv8z5xbbw24bzwxf5vx6zc4xz46c8w8456c46c946dbcxvw95v7vx44bxcd";
    let hash = if updated {
        set.hash().unwrap_or_default()
    } else {
        old
    };
    let entry = |hash: &str| {
        json!({"logs": {"updateTimestamp": "2026-01-02T03:04:05Z", "hash": hash, "sidecarSetName": "logs",
            "sidecarList": ["agent"], "controllerRevision": "logs-5f6b7c8d9"}})
        .to_string()
    };
    let container = |name: &str, image: String| json!({"name": name, "image": image, "env": [{"name": "IS_INJECTED", "value": "true"}]});
    let status = |name: &str, image: String| {
        json!({"name": name, "image": image, "imageID": format!("{image}@sha256:{:064x}", mixed(index)), "restartCount": 0, "ready": true,
            "started": true, "containerID": format!("containerd://{:064x}", mixed(index + 1)),
            "state": {"running": {"startedAt": "2026-01-02T03:04:05Z"}}})
    };
    let images = [
        ("main", format!("registry.example.com/shop/web:{}", index % 7)),
        ("agent", format!("registry.example.com/logs/agent:{tag}")),
        ("proxy", "registry.example.com/mesh/proxy:1.2.3".to_owned()),
    ];
    json!({
        "metadata": {
            "name": format!("web-{:05x}", mixed(index)),
            "namespace": "team",
            "uid": format!("uid-{index}"),
            "resourceVersion": format!("{index}"),
            "creationTimestamp": format!("2026-01-01T{:02}:{:02}:{:02}Z", index % 24, mixed(index) % 60, index % 60),
            "labels": {
                "app.kubernetes.io/name": "web",
                "apps.kruise.io/cloneset-instance-id": format!("{:05x}", mixed(index)),
                "controller-revision-hash": "web-7f9c6b5d8",
                "tier": format!("t{}", mixed(index + 7) % 2),
                "zone": format!("zone-{}", mixed(index) % 3),
            },
            "annotations": {
                "kruise.io/sidecarset-hash": entry(hash),
                "kruise.io/sidecarset-hash-without-image": entry(set.hash_without_image().unwrap_or_default()),
                "kruise.io/sidecarset-injected-list": "logs",
                "kruise.io/sidecarset-inplace-update-state": json!({"logs": {"revision": hash,
                    "updateTimestamp": "2026-01-02T03:04:05Z", "lastContainerStatuses": {"agent":
                    {"imageID": "sha256:0", "containerID": "containerd://0"}}}}).to_string(),
            },
        },
        "spec": {
            "nodeName": format!("node-{}", mixed(index) % 2_000),
            "containers": images.clone().map(|(name, image)| container(name, image)),
        },
        "status": {
            "phase": "Running",
            "conditions": [
                {"type": "Initialized", "status": "True"}, {"type": "PodScheduled", "status": "True"},
                {"type": "ContainersReady", "status": "True"},
                {"type": "Ready", "status": "True",
                    "lastTransitionTime": format!("2026-01-02T{:02}:{:02}:00Z", mixed(index) % 24, index % 60)},
            ],
            "containerStatuses": images.map(|(name, image)| status(name, image)),
        },
    })
}

/// A pod as it is, and as it is once it has become ready anew.
fn restarted(pod: &SidecarPod) -> (SidecarPod, SidecarPod) {
    let mut slim = pod.pod().as_ref().clone();
    for condition in &mut slim.conditions {
        condition.last_transition_time = "2026-01-03T00:00:00Z".parse().ok();
    }
    (pod.clone(), SidecarPod::from(slim))
}

/// A roster of a set with this strategy.
fn roster_of(strategy: Value, pods: &[Arc<SidecarPod>]) -> Roster {
    let mut set = set();
    set.spec.update_strategy = from_json(strategy);
    default_sidecar_set(&mut set, HashForm::default());
    let mut roster = Roster::new(Arc::new(Target::compile(&set, HashForm::default())));
    for pod in pods {
        roster.put(pod);
    }
    roster
}

fn plans(c: &mut Criterion) {
    let set = set();
    let target = Arc::new(Target::compile(&set, HashForm::default()));
    let mut group = c.benchmark_group("sidecar");
    for count in SIZES {
        let pods: Vec<Arc<SidecarPod>> = (0..count)
            .map(|index| Arc::new(from_json(pod(index, &set))))
            .collect();
        let namespace = NamespaceFacts {
            name: "team",
            labels: None,
        };
        assert!(
            pods.iter()
                .all(|pod| membership(&target, pod, &namespace).is_ok())
        );
        let mut roster = Roster::new(target.clone());
        pods.iter().for_each(|pod| {
            roster.put(pod);
        });
        let plan = roster.plan(Mode::Current);
        assert!(!plan.updates().is_empty());
        assert_eq!(plan, plan_upgrade(&target, &pods, Mode::Current));
        group.throughput(Throughput::Elements(count as u64));
        group.bench_function(BenchmarkId::new("roster", count), |b| {
            b.iter(|| black_box(&mut roster).plan(Mode::Current));
        });
        // The same after one pod of a hundred has become ready anew.
        let mut again = pods
            .iter()
            .step_by(100)
            .map(|pod| restarted(pod))
            .collect::<Vec<_>>();
        group.bench_function(BenchmarkId::new("roster_changed", count), |b| {
            b.iter(|| {
                for pod in &mut again {
                    std::mem::swap(&mut pod.0, &mut pod.1);
                    roster.put(&pod.0);
                }
                black_box(&mut roster).plan(Mode::Current)
            });
        });
        // The first plan after an edit of the set's containers, with what the roster must look at for it.
        let targets = ["2.4.2", "2.4.1"].map(|tag| {
            let mut edited = set.clone();
            let image = format!("registry.example.com/logs/agent:{tag}");
            edited.spec.containers = vec![from_json(json!({"name": "agent", "image": image}))];
            default_sidecar_set(&mut edited, HashForm::default());
            Arc::new(Target::compile(&edited, HashForm::default()))
        });
        let (mut edited, mut targets) = (roster.clone(), targets.iter().cycle());
        group.bench_function(BenchmarkId::new("roster_edited", count), |b| {
            b.iter(|| {
                targets.next().into_iter().for_each(|target| {
                    edited.refill(target.clone(), pods.iter().map(|pod| &**pod));
                });
                black_box(&mut edited).plan(Mode::Current)
            });
        });
        for (name, strategy) in [
            (
                "roster_any_value",
                json!({"scatterStrategy": [{"key": "zone", "value": "*"}]}),
            ),
            (
                "roster_priority",
                json!({"priorityStrategy": {"weightPriority": [
                    {"weight": 50, "matchSelector": {"matchLabels": {"zone": "zone-0"}}},
                    {"weight": 30, "matchSelector": {"matchLabels": {"tier": "t1"}}},
                ]}}),
            ),
        ] {
            let mut other = roster_of(strategy, &pods);
            group.bench_function(BenchmarkId::new(name, count), |b| {
                b.iter(|| black_box(&mut other).plan(Mode::Current));
            });
        }
        group.bench_with_input(BenchmarkId::new("pods", count), &pods, |b, pods| {
            b.iter(|| plan_upgrade(&target, black_box(pods), Mode::Current));
        });
        let mut changes = pods.iter().cycle();
        group.throughput(Throughput::Elements(1));
        group.bench_function(BenchmarkId::new("put", count), |b| {
            b.iter(|| {
                changes.next().into_iter().for_each(|pod| {
                    roster.put(pod);
                })
            });
        });
    }
    let slim: Arc<SlimPod> = Arc::new(from_json(pod(1, &set)));
    group.throughput(Throughput::Elements(1));
    group.bench_function("parse", |b| {
        b.iter_batched(|| slim.clone(), SidecarPod::new, BatchSize::SmallInput);
    });
    group.finish();
}

criterion_group! {
    name = benches;
    config = Criterion::default().sample_size(15).measurement_time(Duration::from_secs(1)).warm_up_time(Duration::from_millis(300));
    targets = plans
}
criterion_main!(benches);
