//! The work queue beside kube-runtime's scheduler, and a lookup by index beside a scan of the whole cache.

use std::hint::black_box;
use std::time::Duration;

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use futures::StreamExt;
use kruise_core::runtime::{Cache, ObjectKey, QueueConfig, SlimPod, Verdict, WorkQueue};
use kube_runtime::scheduler::{ScheduleRequest, scheduler};
use serde_json::json;

const KEYS: usize = 100_000;
const PODS: usize = 50_000;
const NODES: usize = 500;

fn keys() -> Vec<ObjectKey> {
    (0..KEYS)
        .map(|number| ObjectKey::new("shop", format!("web-{number}")))
        .collect()
}

/// All keys go in, are handed out and finished. Keys added twice are handed out once, by both.
fn queue(c: &mut Criterion) {
    let Ok(runtime) = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build()
    else {
        return;
    };
    let mut group = c.benchmark_group("queue/100k_keys");
    group
        .throughput(Throughput::Elements(KEYS as u64))
        .sample_size(10)
        .measurement_time(Duration::from_secs(10));
    for (name, times) in [("once", 1), ("each_three_times", 3)] {
        group.bench_function(format!("WorkQueue/{name}"), |b| {
            b.to_async(&runtime).iter_batched(
                keys,
                |keys| async move {
                    let queue = WorkQueue::new(QueueConfig::default());
                    for key in (0..times).flat_map(|_| &keys) {
                        queue.add(key.clone());
                    }
                    for _ in 0..KEYS {
                        if let Some(lease) = queue.next().await {
                            lease.finish(Verdict::Done);
                        }
                    }
                    assert!(queue.is_empty());
                },
                BatchSize::LargeInput,
            );
        });
        group.bench_function(format!("kube_runtime_scheduler/{name}"), |b| {
            b.to_async(&runtime).iter_batched(
                keys,
                |keys| async move {
                    let now = tokio::time::Instant::now();
                    let requests = (0..times)
                        .flat_map(|_| keys.iter().cloned())
                        .map(|message| ScheduleRequest { message, run_at: now })
                        .collect::<Vec<_>>();
                    let handed_out = scheduler(futures::stream::iter(requests)).count().await;
                    assert!(handed_out >= KEYS, "{handed_out}");
                },
                BatchSize::LargeInput,
            );
        });
    }
    group.finish();
}

fn pod(number: usize) -> Option<SlimPod> {
    let text = json!({
        "metadata": {"name": format!("web-{number}"), "namespace": "shop", "uid": number.to_string(), "resourceVersion": "1"},
        "spec": {"nodeName": format!("node-{}", number % NODES), "containers": [{"name": "main", "image": "nginx"}]},
        "status": {"phase": "Running"},
    });
    serde_json::from_value(text).ok()
}

/// The pods of one node of 500, among 50,000.
fn index(c: &mut Criterion) {
    let (cache, _writer) = Cache::offline((0..PODS).filter_map(pod));
    let by_node = cache.index(|pod: &SlimPod| pod.node_name.clone());
    let Some(node) = pod(7).and_then(|pod| pod.node_name) else {
        return;
    };
    assert_eq!(cache.by_index(&by_node, &node).len(), PODS / NODES);
    let mut group = c.benchmark_group("index/100_of_50k_pods");
    group.bench_function("by_index", |b| {
        b.iter(|| black_box(cache.by_index(&by_node, &node)))
    });
    group.bench_function("full_scan", |b| {
        b.iter(|| {
            let found = cache
                .list()
                .into_iter()
                .filter(|pod| pod.node_name.as_ref() == Some(&node));
            black_box(found.collect::<Vec<_>>())
        });
    });
    group.finish();
}

criterion_group!(benches, queue, index);
criterion_main!(benches);
