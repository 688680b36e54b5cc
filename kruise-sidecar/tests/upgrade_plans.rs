//! Worked examples of plans: P-1 to P-24, S-12, and what stands behind them.

mod support;

use kruise_core::api::int_or_percent::Mode;
use kruise_core::policy::Verdict;
use kruise_core::policy::rollout::{Hold, Reason};
use kruise_sidecar::api::HashForm;
use kruise_sidecar::plan::upgrade::{Counts, Obstacle, UpgradePlan, plan_upgrade};
use kruise_sidecar::plan::{SidecarPod, Target};
use serde_json::{Value, json};
use support::{Pod, pods, set, set_in, target};

fn plan(strategy: Value, of: &[Pod], mode: Mode) -> UpgradePlan {
    let set = set(json!({ "updateStrategy": strategy }));
    plan_upgrade(&Target::compile(&set, HashForm::default()), &pods(&set, of), mode)
}

fn strategy(partition: Value, max_unavailable: Value) -> Value {
    json!({"partition": partition, "maxUnavailable": max_unavailable})
}

fn all(count: usize, of: impl Fn(usize) -> Pod) -> Vec<Pod> {
    (0..count).map(of).collect()
}

/// Some updated ones, of which the first are ok, then old ones.
fn under_way(updated: usize, ok: usize, count: usize) -> Vec<Pod> {
    all(count, |index| match index {
        _ if index >= updated => Pod::old(index),
        _ if index < ok => Pod::updated(index),
        _ => Pod::updated(index).not_ready(),
    })
}

fn down(mut pods: Vec<Pod>, which: &[usize]) -> Vec<Pod> {
    for &index in which {
        pods[index].ready = false;
    }
    pods
}

/// Its number, the pods, partition, maxUnavailable, and which are upgraded in release 0.8 and today.
type Example = (&'static str, Vec<Pod>, Value, Value, Vec<u32>, Vec<u32>);

#[test]
fn examples_p1_to_p15_and_p20_to_p22() {
    let ten = || all(10, Pod::old);
    let null = Value::Null;
    // Which are upgraded: with the rounding of release 0.8, and with that of today.
    let table: Vec<Example> = vec![
        ("P-1", ten(), null.clone(), null.clone(), vec![0], vec![0]),
        ("P-2", ten(), json!(8), json!(3), vec![0, 1], vec![0, 1]),
        ("P-3", ten(), json!(10), json!(3), vec![], vec![]),
        ("P-3", ten(), json!(12), json!(3), vec![], vec![]),
        (
            "P-4",
            ten(),
            json!("35%"),
            json!("50%"),
            (0..5).collect(),
            (0..5).collect(),
        ),
        (
            "P-5",
            all(6, Pod::old),
            null.clone(),
            json!("10%"),
            vec![],
            vec![0],
        ),
        ("P-6", all(8, Pod::old), json!("95%"), json!(8), vec![0], vec![0]),
        (
            "P-7",
            all(8, Pod::old),
            json!("2%"),
            json!(8),
            (0..8).collect(),
            (0..7).collect(),
        ),
        ("P-8", all(8, Pod::old), json!("100%"), json!(8), vec![], vec![]),
        (
            "P-9",
            all(7, Pod::old),
            json!("50%"),
            json!("30%"),
            vec![0, 1],
            vec![0, 1, 2],
        ),
        (
            "P-10",
            under_way(4, 2, 10),
            null.clone(),
            json!(3),
            vec![4],
            vec![4],
        ),
        (
            "P-11",
            under_way(4, 1, 10),
            null.clone(),
            json!(3),
            vec![],
            vec![],
        ),
        (
            "P-12",
            down(under_way(4, 1, 10), &[6, 9]),
            null.clone(),
            json!(3),
            vec![6, 9],
            vec![6, 9],
        ),
        (
            "P-13",
            down(ten(), &[6, 9]),
            null.clone(),
            json!(1),
            vec![6, 9, 0],
            vec![6, 9, 0],
        ),
        (
            "P-14",
            down(ten(), &[6]),
            null.clone(),
            json!(0),
            vec![6],
            vec![6],
        ),
        (
            "P-15",
            down(ten(), &[6, 9]),
            json!(7),
            json!(1),
            vec![6, 9, 0],
            vec![6, 9, 0],
        ),
        (
            "P-20",
            under_way(40, 34, 100),
            null.clone(),
            json!(10),
            (40..44).collect(),
            (40..44).collect(),
        ),
        (
            "P-21",
            under_way(250, 230, 400),
            json!("30%"),
            json!(40),
            (250..270).collect(),
            (250..270).collect(),
        ),
        ("P-22", under_way(60, 40, 200), null, json!("10%"), vec![], vec![]),
    ];
    for (id, pods, partition, max_unavailable, v0_8, today) in table {
        for (mode, updates) in [(Mode::V0_8, v0_8), (Mode::Current, today)] {
            let strategy = strategy(partition.clone(), max_unavailable.clone());
            assert_eq!(plan(strategy, &pods, mode).updates(), updates, "{id} {mode:?}");
        }
    }
}

#[test]
fn examples_p16_to_p18_the_selector_selects_first() {
    let selected = all(10, |index| {
        let pod = Pod::old(index);
        if [2, 5, 8].contains(&index) {
            pod.label("canary", "true")
        } else {
            pod
        }
    });
    let strategy = |partition: Value, max_unavailable: u32| json!({"selector": {"matchLabels": {"canary": "true"}}, "partition": partition, "maxUnavailable": max_unavailable});
    let plan = |partition, max| plan(strategy(partition, max), &selected, Mode::V0_8);
    assert_eq!(plan(json!(0), 2).updates(), [2, 5], "P-16");
    assert_eq!(plan(json!("50%"), 5).updates(), [0; 0], "P-17");
    assert_eq!(plan(json!(1), 5).updates(), [2, 5], "P-18");
    let verdicts: Vec<_> = plan(json!(1), 1).rollout.verdicts().collect();
    assert_eq!(verdicts[0], Verdict::Wait(Hold::NotSelected));
    assert_eq!(verdicts[2], Verdict::Update(Reason::WithinBudget));
    assert_eq!(verdicts[5], Verdict::Wait(Hold::Budget { limit: 1, down: 1 }));
    assert_eq!(verdicts[8], Verdict::Wait(Hold::Partition { kept: 1 }));
}

#[test]
fn example_p19_pods_that_can_not_be_upgraded_do_not_count_towards_the_partition() {
    let pods = all(10, |index| Pod {
        immutable: index < 4,
        ..Pod::old(index)
    });
    let plan = plan(strategy(json!(3), json!(10)), &pods, Mode::Current);
    assert_eq!(plan.updates(), [4, 5, 6]);
    assert_eq!(plan.counts.not_upgradable, 4);
    assert_eq!(
        plan.rollout.verdict(0).expect("a verdict").to_string(),
        "waits: more than images differs; it has to be created anew"
    );
}

#[test]
fn example_p23_a_set_that_is_paused_or_not_updated_is_still_counted() {
    let pods = under_way(4, 2, 10);
    for (strategy, reason) in [
        (json!({"paused": true}), "waits: the rollout is paused"),
        (
            json!({"type": "NotUpdate"}),
            "waits: the set does not upgrade pods (updateStrategy.type is NotUpdate)",
        ),
    ] {
        let plan = plan(strategy, &pods, Mode::Current);
        assert_eq!(plan.updates(), [0; 0]);
        assert_eq!(
            plan.counts,
            Counts {
                matched: 10,
                updated: 4,
                ready: 8,
                updated_ready: 2,
                not_upgradable: 0
            }
        );
        let verdict = |at| plan.rollout.verdict(at).expect("a verdict");
        assert_eq!(verdict(9).to_string(), reason);
        assert_eq!(verdict(3), Verdict::Updated);
    }
}

#[test]
fn a_strategy_that_means_nothing_upgrades_nobody_and_says_so() {
    for strategy in [
        json!({"partition": "x"}),
        json!({"maxUnavailable": -1}),
        json!({"selector": {"matchExpressions": [{"key": "a", "operator": "Is"}]}}),
    ] {
        let target = target(json!({ "updateStrategy": strategy }));
        assert!(target.error().is_some());
        let plan = plan(strategy, &all(3, Pod::old), Mode::Current);
        assert_eq!(plan.updates(), [0; 0]);
        assert_eq!(
            plan.rollout.verdict(0),
            Some(Verdict::Wait(Hold::Obstacle(Obstacle::BadStrategy)))
        );
    }
}

#[test]
fn example_s12_scatter_then_three_at_a_time() {
    let pods = all(10, |index| {
        let pod = Pod::old(index);
        if index < 3 { pod.label("foo", "bar") } else { pod }
    });
    let strategy = json!({"maxUnavailable": 3, "scatterStrategy": [{"key": "foo", "value": "bar"}]});
    assert_eq!(plan(strategy, &pods, Mode::Current).updates(), [0, 3, 4]);
}

#[test]
fn example_s9_values_are_taken_in_the_order_of_names_whatever_the_cache_returns() {
    let app = |index: usize| ["a", "a", "b", "b", "b", "c", "c", "c", "c"][index];
    let pods = all(9, |index| Pod::old(index).label("group", app(index)));
    let strategy = json!({"maxUnavailable": 9, "scatterStrategy": [{"key": "group", "value": "*"}]});
    assert_eq!(
        plan(strategy.clone(), &pods, Mode::Current).updates(),
        [0, 2, 5, 3, 6, 7, 8, 4, 1]
    );
    let reversed: Vec<Pod> = pods.iter().rev().cloned().collect();
    let plan = plan(strategy, &reversed, Mode::Current);
    assert_eq!(plan.updates(), [8, 6, 3, 5, 2, 1, 0, 4, 7]);
    assert!(
        plan.rollout
            .verdicts()
            .all(|verdict| matches!(verdict, Verdict::Update(_)))
    );
}

#[test]
fn examples_l12_and_l13_priorities() {
    let tiers = [None, Some("silver"), Some("gold"), None];
    let pods = all(4, |index| match tiers[index] {
        Some(tier) => Pod::old(index).label("tier", tier),
        None => Pod::old(index),
    });
    let term =
        |weight: i32, tier: &str| json!({"weight": weight, "matchSelector": {"matchLabels": {"tier": tier}}});
    let strategy = json!({"maxUnavailable": 4, "priorityStrategy": {"weightPriority": [term(40, "gold"), term(25, "silver")]}});
    assert_eq!(
        plan(strategy, &pods, Mode::Current).updates(),
        [2, 1, 0, 3],
        "L-12"
    );

    let shards = [Some("s-3"), Some("s-12"), Some("x"), None];
    let pods = all(4, |index| match shards[index] {
        Some(shard) => Pod::old(index).label("shard", shard),
        None => Pod::old(index),
    });
    let strategy =
        json!({"maxUnavailable": 4, "priorityStrategy": {"orderPriority": [{"orderedKey": "shard"}]}});
    assert_eq!(
        plan(strategy, &pods, Mode::Current).updates(),
        [3, 1, 0, 2],
        "L-13"
    );
}

#[test]
fn timeline_t4_an_edit_of_an_init_container_leaves_pods_old_in_the_form_of_0_8_and_is_nothing_today() {
    let prep = |image: &str| json!({"initContainers": [{"name": "prep", "image": image}]});
    for (form, updated) in [(HashForm::V0_8, 0), (HashForm::default(), 4)] {
        let before = set_in(form, prep("prep:1"));
        let after = set_in(form, prep("prep:2"));
        let held = pods(&before, &all(4, Pod::updated));
        let plan = plan_upgrade(&Target::compile(&after, form), &held, Mode::Current);
        let counts = Counts {
            matched: 4,
            updated,
            ready: 4,
            updated_ready: updated,
            not_upgradable: 4 - updated,
        };
        assert_eq!((plan.counts, plan.updates()), (counts, [].as_slice()), "{form:?}");
    }
}

#[test]
fn example_p24_the_default_order() {
    let set = set(json!({"updateStrategy": {"maxUnavailable": 7}}));
    let ten = "2026-01-01T10:00:00Z";
    let pod = |name: &str, ready: Option<&str>, change: Value| {
        let mut pod = Pod::old(0);
        (pod.name, pod.ready) = (name.to_owned(), ready.is_some());
        let mut object = pod.of(&set);
        object["status"]["conditions"][0]["lastTransitionTime"] = ready.unwrap_or(ten).into();
        json_patch::merge(&mut object, &change);
        support::pod(object)
    };
    let mut restarted = pod("q7", Some(ten), json!({})).pod().as_ref().clone();
    restarted.container_statuses[0].restart_count = 3;
    let pods = [
        pod("q1", Some(ten), json!({})),
        pod("q2", None, json!({})),
        pod("q3", None, json!({"status": {"phase": "Pending"}})),
        pod(
            "q4",
            None,
            json!({"spec": {"nodeName": null}, "status": {"phase": "Pending"}}),
        ),
        pod("q5", Some("2026-01-01T10:30:00Z"), json!({})),
        pod(
            "q6",
            Some(ten),
            json!({"metadata": {"creationTimestamp": "2026-01-01T09:00:00Z"}}),
        ),
        SidecarPod::from(restarted),
    ];
    let plan = plan_upgrade(&Target::compile(&set, HashForm::default()), &pods, Mode::Current);
    let names: Vec<&str> = plan
        .updates()
        .iter()
        .map(|at| &*pods[*at as usize].pod().key.name)
        .collect();
    assert_eq!(names, ["q4", "q3", "q2", "q5", "q7", "q6", "q1"]);
}

#[test]
fn pods_under_way_are_left_alone_and_count_as_unavailable() {
    let mut pods = all(5, Pod::old);
    // Two were upgraded to a state that the set has left since, and wait for their restart.
    (pods[0].reported, pods[1].reported) = (false, false);
    let plan_of = |max| plan(strategy(json!(0), json!(max)), &pods, Mode::Current);
    assert_eq!(plan_of(2).updates(), [0; 0]);
    assert_eq!(plan_of(3).updates(), [2]);
    assert_eq!(
        plan_of(3).rollout.verdict(0),
        Some(Verdict::Wait(Hold::Obstacle(Obstacle::InFlight)))
    );
    // One whose container is down already is taken again.
    pods[0].ready = false;
    assert_eq!(
        plan(strategy(json!(0), json!(1)), &pods, Mode::Current).updates(),
        [0]
    );
}

#[test]
fn updated_pods_that_are_not_restarted_yet_are_not_counted_as_ready() {
    let mut pods = all(3, Pod::updated);
    pods[0].reported = false;
    pods[1].ready = false;
    let plan = plan(json!({}), &pods, Mode::Current);
    assert_eq!(
        plan.counts,
        Counts {
            matched: 3,
            updated: 3,
            ready: 1,
            updated_ready: 1,
            not_upgradable: 0
        }
    );
}

#[test]
fn a_status_keeps_what_is_not_counted() {
    let counts = Counts {
        matched: 3,
        updated: 2,
        ready: 1,
        updated_ready: 1,
        not_upgradable: 0,
    };
    let old = kruise_sidecar::api::SidecarSetStatus {
        latest_revision: "logs-1".into(),
        collision_count: Some(2),
        ..Default::default()
    };
    let status = counts.status(&old, 7);
    assert_eq!(
        serde_json::to_value(status).expect("serialises"),
        json!({"observedGeneration": 7, "matchedPods": 3, "updatedPods": 2, "readyPods": 1, "updatedReadyPods": 1,
            "latestRevision": "logs-1", "collisionCount": 2})
    );
}

/// What the planner takes: references, shared pointers, or the pods themselves.
#[test]
fn pods_may_be_held_in_any_way() {
    let set = set(json!({}));
    let target = Target::compile(&set, HashForm::default());
    let shared = pods(&set, &all(3, Pod::old));
    let borrowed: Vec<&SidecarPod> = shared.iter().map(|pod| &**pod).collect();
    let owned: Vec<SidecarPod> = borrowed.iter().map(|pod| (*pod).clone()).collect();
    let plan = plan_upgrade(&target, &shared, Mode::Current);
    assert_eq!(plan_upgrade(&target, &borrowed, Mode::Current), plan);
    assert_eq!(plan_upgrade(&target, &owned, Mode::Current), plan);
}
