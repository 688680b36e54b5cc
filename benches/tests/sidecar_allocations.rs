//! The plan of a SidecarSet allocates a few buffers, and nothing per pod.

mod support;

use std::hint::black_box;
use std::sync::Arc;

use kruise_core::api::int_or_percent::Mode;
use kruise_sidecar::api::{HashForm, SidecarSet, default_sidecar_set};
use kruise_sidecar::plan::upgrade::{Roster, plan_upgrade};
use kruise_sidecar::plan::{SidecarPod, Target};
use serde_json::json;
use support::{Counting, allocations_of};

#[global_allocator]
static ALLOCATOR: Counting = Counting;

fn target() -> (SidecarSet, Arc<Target>) {
    let mut set: SidecarSet = serde_json::from_value(json!({
        "metadata": {"name": "logs"},
        "spec": {
            "selector": {"matchLabels": {"app": "web"}},
            "containers": [{"name": "agent", "image": "agent:2"}],
            "updateStrategy": {"partition": "20%", "maxUnavailable": "10%", "scatterStrategy": [
                {"key": "zone", "value": "zone-0"}, {"key": "tier", "value": "t0"},
            ]},
        },
    }))
    .expect("a set");
    default_sidecar_set(&mut set, HashForm::default());
    let target = Arc::new(Target::compile(&set, HashForm::default()));
    (set, target)
}

fn pods(set: &SidecarSet, count: usize) -> Vec<Arc<SidecarPod>> {
    let entry = |hash: Option<&str>| json!({"logs": {"hash": hash}}).to_string();
    let status =
        |name: &str| json!({"name": name, "image": "i", "imageID": "i", "ready": true, "restartCount": 0});
    let pod = |index: usize| {
        json!({
            "metadata": {"name": format!("p{}", index * 7919 % count), "namespace": "team",
                "labels": {"app": "web", "zone": format!("zone-{}", index % 3), "tier": format!("t{}", index % 2)},
                "annotations": {
                    "kruise.io/sidecarset-hash": entry(Some("old")),
                    "kruise.io/sidecarset-hash-without-image": entry(set.hash_without_image()),
                    "kruise.io/sidecarset-injected-list": "logs",
                }},
            "spec": {"containers": [{"name": "main", "image": "web:1"}, {"name": "agent", "image": "agent:1"}]},
            "status": {"phase": "Running", "conditions": [{"type": "Ready", "status": "True"}],
                "containerStatuses": [status("main"), status("agent")]},
        })
    };
    (0..count)
        .map(|index| Arc::new(serde_json::from_value(pod(index)).expect("a pod")))
        .collect()
}

#[test]
fn a_plan_allocates_nothing_per_pod() {
    let (set, target) = target();
    let [few, many] = [100, 3_000].map(|count| {
        let pods = pods(&set, count);
        let mut roster = Roster::new(target.clone());
        pods.iter().for_each(|pod| {
            roster.put(pod);
        });
        // The first plan of all also makes the seeds of the hash maps.
        assert_eq!(roster.plan(Mode::Current).updates().len(), count / 10);
        let by_roster = allocations_of(|| drop(black_box(roster.plan(Mode::Current))));
        let by_pods = allocations_of(|| drop(black_box(plan_upgrade(&target, &pods, Mode::Current))));
        [by_roster, by_pods]
    });
    for (few, many) in few.into_iter().zip(many) {
        // Lists of a few pods grow by doubling.
        assert!(many <= few + 8, "{few} and {many} allocations");
        assert!(many <= 64, "{many} allocations");
    }
}

/// A pod that has not changed for its set allocates for its key alone, if at all.
#[test]
fn keeping_a_roster_allocates_at_most_twice_per_change() {
    let (set, target) = target();
    let pods = pods(&set, 1_000);
    let mut roster = Roster::new(target);
    pods.iter().for_each(|pod| {
        roster.put(pod);
    });
    let again = allocations_of(|| {
        pods.iter().for_each(|pod| {
            roster.put(pod);
        })
    });
    assert!(again <= 2 * pods.len(), "{again} allocations");
}
