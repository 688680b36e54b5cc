//! The policy engines on pods as the cache holds them, beside one plain sort of the same pods by name.

use std::hint::black_box;
use std::sync::Arc;
use std::time::Duration;

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use kruise_core::api::strategy::{OrderTerm, PriorityStrategy, ScatterTerm, WeightTerm};
use kruise_core::policy::budget::{Budget, plan};
use kruise_core::policy::priority::Priority;
use kruise_core::policy::rank;
use kruise_core::policy::rounding::Baseline;
use kruise_core::policy::scatter::Scatter;
use kruise_core::runtime::SlimPod;
use serde_json::json;

/// Labels as real pods have them; `zone` and `batch` of every second pod are what the terms ask for.
fn pod(number: usize) -> Option<Arc<SlimPod>> {
    let mut labels = json!({
        "app": "web", "app.kubernetes.io/instance": "web-blue", "controller-revision-hash": "web-6c8d5f",
        "zone": format!("zone-{}", number * 7 % 5), "pod-template-hash": "6c8d5f", "team": "shop",
    });
    if number.is_multiple_of(2) {
        labels["batch"] = json!(format!("b{}", number % 3));
    }
    let time = format!("2030-01-01T{:02}:{:02}:00Z", number % 24, number % 60);
    let object = json!({
        "metadata": {"name": format!("web-{}", number * 7919 % 1_000_003), "namespace": "shop", "uid": number.to_string(),
            "resourceVersion": "1", "creationTimestamp": time, "labels": labels},
        "spec": {"nodeName": format!("node-{}", number % 500), "containers": [{"name": "main", "image": "nginx"}]},
        "status": {"phase": "Running", "conditions": [{"type": "Ready", "status": "True", "lastTransitionTime": time}],
            "containerStatuses": [{"name": "main", "restartCount": number % 4}]},
    });
    serde_json::from_value(object).ok().map(Arc::new)
}

fn term(key: &str, value: &str) -> ScatterTerm {
    ScatterTerm {
        key: key.into(),
        value: value.into(),
    }
}

fn weights() -> PriorityStrategy {
    let term = |weight, key: &str, value: &str| {
        let labels = [(key.to_owned(), value.to_owned())].into();
        WeightTerm {
            weight,
            match_selector: k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector {
                match_labels: Some(labels),
                ..Default::default()
            },
        }
    };
    PriorityStrategy {
        weight_priority: vec![term(50, "zone", "zone-1"), term(30, "batch", "b1")],
        ..Default::default()
    }
}

fn policies(c: &mut Criterion) {
    for (count, terms) in [
        (10_000, vec![term("zone", "zone-1"), term("batch", "b1")]),
        (
            100_000,
            vec![
                term("zone", "zone-1"),
                term("zone", "zone-2"),
                term("zone", "zone-3"),
                term("batch", "b1"),
                term("batch", "b2"),
            ],
        ),
    ] {
        let pods: Vec<Arc<SlimPod>> = (0..count).filter_map(pod).collect();
        let order: Vec<u32> = (0..u32::try_from(count).unwrap_or(0)).collect();
        let mut group = c.benchmark_group(format!("policy/{}k_pods", count / 1000));
        group
            .throughput(Throughput::Elements(count as u64))
            .sample_size(20)
            .measurement_time(Duration::from_secs(3))
            .warm_up_time(Duration::from_secs(1));
        let mut bench = |name: &str, work: &dyn Fn(&mut Vec<u32>)| {
            group.bench_function(name, |b| {
                b.iter_batched_ref(
                    || order.clone(),
                    |waiting| work(black_box(waiting)),
                    BatchSize::LargeInput,
                );
            });
        };
        bench("baseline_sort_by_name", &|waiting| {
            let name = |index: &u32| pods.get(*index as usize).map(|pod| &pod.key);
            waiting.sort_unstable_by(|left, right| name(left).cmp(&name(right)));
        });
        let scatter = Scatter::new(&terms);
        bench(&format!("scatter_{}_terms", terms.len()), &|waiting| {
            scatter.sort(&pods, waiting)
        });
        let wildcard = Scatter::with_wildcards(&[term("zone", "*")]);
        bench("scatter_every_zone", &|waiting| wildcard.sort(&pods, waiting));
        bench("rank", &|waiting| rank::sort(&pods, waiting));
        let priority = Priority::compile(&weights());
        bench("priority_by_weight", &|waiting| {
            priority.sort(&pods, waiting, Baseline::Latest)
        });
        let keys = PriorityStrategy {
            order_priority: vec![OrderTerm {
                ordered_key: "batch".into(),
            }],
            ..Default::default()
        };
        let priority = Priority::compile(&keys);
        bench("priority_by_key", &|waiting| {
            priority.sort(&pods, waiting, Baseline::Latest)
        });
        bench("plan", &|waiting| {
            let budget = Budget::new(100, 10);
            black_box(plan(waiting, 1000, budget, |index| {
                pods.get(index as usize).is_some_and(|pod| pod.is_ready())
            }));
        });
        group.finish();
    }
}

criterion_group!(benches, policies);
criterion_main!(benches);
