//! The planner against the rules of the specification written down in the plainest way, and the roster against the planner.

mod support;

use std::sync::Arc;

use kruise_core::api::int_or_percent::Mode;
use kruise_sidecar::api::HashForm;
use kruise_sidecar::plan::upgrade::{Obstacle, Roster, Stamp, plan_upgrade, upgrade_patch};
use kruise_sidecar::plan::{SidecarPod, Target};
use proptest::prelude::*;
use serde_json::{Value, json};
use support::{Pod, pods, set};

fn any_pod() -> impl Strategy<Value = Pod> {
    (
        any::<bool>(),
        any::<bool>(),
        prop::bool::weighted(0.8),
        prop::bool::weighted(0.1),
        0..3_usize,
        0..4_usize,
    )
        .prop_map(|(updated, ready, reported, immutable, zone, tier)| {
            let pod = Pod {
                updated,
                ready,
                reported,
                immutable,
                ..Pod::old(0)
            };
            let pod = if zone > 0 {
                pod.label("zone", &format!("z{zone}"))
            } else {
                pod
            };
            if tier > 0 {
                pod.label("tier", &format!("t-{tier}"))
            } else {
                pod
            }
        })
}

fn some_pods() -> impl Strategy<Value = Vec<Pod>> {
    prop::collection::vec(any_pod(), 0..16).prop_map(|mut pods| {
        for (index, pod) in pods.iter_mut().enumerate() {
            pod.name = format!("p{index:04}");
        }
        pods
    })
}

fn amount() -> impl Strategy<Value = Value> {
    prop_oneof![
        (0..12_u32).prop_map(Value::from),
        (0..=110_u32).prop_map(|percent| format!("{percent}%").into())
    ]
}

/// Percentages in whole numbers, as the specification writes them.
fn scaled(amount: &Value, total: usize, mode: Mode, partition: bool) -> usize {
    let Some(text) = amount.as_str() else {
        let number = amount.as_u64().expect("a number") as usize;
        return if partition && mode == Mode::Current {
            number.min(total)
        } else {
            number
        };
    };
    let percent: usize = text.trim_end_matches('%').parse().expect("a percentage");
    if mode == Mode::V0_8 {
        return percent * total / 100;
    }
    let up = (percent * total).div_ceil(100);
    match partition {
        false => up,
        true if total > 1 && up == total && percent < 100 => total - 1,
        true => up.min(total),
    }
}

/// Sections 5.3 and 5.5, without order strategies. Pods are equal but for readiness and name.
fn model(of: &[Pod], partition: usize, max_unavailable: usize, selects: impl Fn(&Pod) -> bool) -> Vec<u32> {
    let flies = |pod: &Pod| pod.ready && !pod.reported;
    let waits = |pod: &Pod| !pod.updated && !pod.immutable && !flies(pod) && selects(pod);
    let mut waiting: Vec<u32> = (0..of.len() as u32)
        .filter(|at| waits(&of[*at as usize]))
        .collect();
    waiting.sort_by_key(|at| (of[*at as usize].ready, *at));
    waiting.truncate(waiting.len().saturating_sub(partition));
    let ok = |pod: &Pod| pod.ready && pod.reported;
    let mut bad = of.iter().filter(|pod| pod.updated && !ok(pod)).count();
    bad += of
        .iter()
        .filter(|pod| !pod.updated && !pod.immutable && flies(pod))
        .count();
    let mut taken = Vec::new();
    for at in waiting {
        if of[at as usize].ready {
            if bad >= max_unavailable {
                break;
            }
            bad += 1;
        }
        taken.push(at);
    }
    taken
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn plans_are_those_of_the_specification(of in some_pods(), partition in amount(), max_unavailable in amount(), by_selector: bool) {
        let mut strategy = json!({"partition": partition, "maxUnavailable": max_unavailable});
        if by_selector {
            strategy["selector"] = json!({"matchLabels": {"zone": "z1"}});
        }
        let set = set(json!({ "updateStrategy": strategy }));
        let target = Target::compile(&set, HashForm::default());
        let held = pods(&set, &of);
        let selects = |pod: &Pod| !by_selector || pod.labels["zone"] == "z1";
        for mode in [Mode::Current, Mode::V0_8] {
            let kept = scaled(&partition, of.len(), mode, true);
            let limit = scaled(&max_unavailable, of.len(), mode, false);
            let plan = plan_upgrade(&target, &held, mode);
            prop_assert_eq!(plan.updates(), model(&of, kept, limit, selects));
        }
        let plan = plan_upgrade(&target, &held, Mode::Current);
        prop_assert_eq!(plan.counts.updated, of.iter().filter(|pod| pod.updated).count());
        prop_assert_eq!(plan.counts.ready, of.iter().filter(|pod| pod.ready && pod.reported).count());
        prop_assert_eq!(plan.counts.not_upgradable, of.iter().filter(|pod| !pod.updated && pod.immutable).count());
    }

    /// Never more unavailable than allowed, but for those that were so before; nobody twice; nobody with an obstacle.
    #[test]
    fn the_budget_holds_with_every_strategy(of in some_pods(), limit in 0..6_usize, partition in 0..6_usize) {
        let set = set(json!({"updateStrategy": {"partition": partition, "maxUnavailable": limit,
            "scatterStrategy": [{"key": "zone", "value": "*"}, {"key": "tier", "value": "t-1"}],
            "priorityStrategy": {"orderPriority": [{"orderedKey": "tier"}]}}}));
        let target = Target::compile(&set, HashForm::default());
        let plan = plan_upgrade(&target, &pods(&set, &of), Mode::Current);
        let taken: Vec<&Pod> = plan.updates().iter().map(|at| &of[*at as usize]).collect();
        let ok = |pod: &Pod| pod.ready && pod.reported;
        let down = of.iter().filter(|pod| pod.updated && !ok(pod)).count();
        let costs = taken.iter().filter(|pod| pod.ready).count();
        prop_assert!(costs == 0 || down + costs <= limit);
        prop_assert!(taken.iter().all(|pod| !pod.updated && !pod.immutable && (pod.reported || !pod.ready)));
        prop_assert_eq!(plan.rollout.verdicts().len(), of.len());
        let mut names: Vec<&String> = taken.iter().map(|pod| &pod.name).collect();
        names.dedup();
        prop_assert_eq!(names.len(), taken.len());
        prop_assert!(taken.len() + partition <= plan.rollout.order.len().max(partition));
    }

    /// Whatever comes, changes and goes: the roster plans as one who looks at all pods anew.
    #[test]
    fn a_roster_plans_as_the_planner_does(
        of in some_pods(),
        changes in prop::collection::vec((any::<prop::sample::Index>(), prop::option::of(any_pod())), 0..12),
        any_value: bool,
    ) {
        let value = if any_value { "*" } else { "z1" };
        let set = set(json!({"updateStrategy": {"maxUnavailable": 5, "scatterStrategy": [{"key": "zone", "value": value}],
            "selector": {"matchExpressions": [{"key": "zone", "operator": "NotIn", "values": ["z2"]}]},
            "priorityStrategy": {"weightPriority": [{"weight": 3, "matchSelector": {"matchLabels": {"tier": "t-2"}}}]}}}));
        let target = Arc::new(Target::compile(&set, HashForm::default()));
        let mut roster = Roster::new(target.clone());
        let mut held: Vec<Option<Arc<SidecarPod>>> = pods(&set, &of).into_iter().map(Some).collect();
        held.iter().flatten().for_each(|pod| assert!(roster.put(pod), "a new pod"));
        for (at, change) in changes {
            if held.is_empty() {
                break;
            }
            let at = at.index(held.len());
            let name = format!("p{at:04}");
            held[at] = change.map(|pod| pods(&set, &[Pod { name: name.clone(), ..pod }]).remove(0));
            let before = roster.plan(Mode::Current);
            let changed = match &held[at] {
                Some(pod) => roster.put(pod),
                None => roster.remove(&kruise_core::runtime::ObjectKey::new("shop", name)),
            };
            prop_assert!(changed || roster.plan(Mode::Current) == before);
            if let Some(pod) = &held[at] {
                prop_assert!(roster.holds(pod) && !roster.put(pod), "the same again changes nothing");
            }
        }
        let held: Vec<Arc<SidecarPod>> = held.into_iter().flatten().collect();
        plans_as_the_planner_does(&mut roster, &target, &held)?;
    }

    /// Whatever it had before: pods that are gone, pods that have changed, another order.
    #[test]
    fn a_roster_that_goes_on_to_another_state_plans_as_the_planner_does(
        of in some_pods(),
        then in some_pods(),
        planned: bool,
    ) {
        let before = set(json!({"updateStrategy": {"scatterStrategy": [{"key": "zone", "value": "z1"}]}}));
        let mut roster = Roster::new(Arc::new(Target::compile(&before, HashForm::default())));
        for pod in pods(&before, &of) {
            roster.put(&pod);
        }
        if planned {
            roster.plan(Mode::Current);
        }
        let after = set(json!({"updateStrategy": {"maxUnavailable": 5,
            "priorityStrategy": {"weightPriority": [{"weight": 3, "matchSelector": {"matchLabels": {"tier": "t-2"}}}]}}}));
        let target = Arc::new(Target::compile(&after, HashForm::default()));
        let held = pods(&after, &then);
        roster.refill(target.clone(), held.iter().map(|pod| &**pod));
        plans_as_the_planner_does(&mut roster, &target, &held)?;
        roster.refill(target.clone(), held.iter().skip(1).map(|pod| &**pod));
        plans_as_the_planner_does(&mut roster, &target, held.get(1..).unwrap_or_default())?;
    }
}

fn plans_as_the_planner_does(
    roster: &mut Roster,
    target: &Target,
    held: &[Arc<SidecarPod>],
) -> Result<(), TestCaseError> {
    let (plan, from_roster) = (
        plan_upgrade(target, held, Mode::Current),
        roster.plan(Mode::Current),
    );
    prop_assert_eq!(plan.counts, from_roster.counts);
    let names = |order: &[u32]| -> Vec<String> {
        let held = order.iter().map(|at| &held[*at as usize]);
        held.map(|pod| pod.pod().key.to_string()).collect()
    };
    let roster_names = |order: &[u32]| -> Vec<String> {
        let keys = order.iter().map(|at| roster.key(*at).expect("a row"));
        keys.map(ToString::to_string).collect()
    };
    prop_assert_eq!(
        names(&plan.rollout.order),
        roster_names(&from_roster.rollout.order)
    );
    prop_assert_eq!(plan.rollout.count, from_roster.rollout.count);
    for (at, verdict) in (0_u32..).zip(from_roster.rollout.verdicts()) {
        let key = roster.key(at).expect("a row");
        let position = held.iter().position(|pod| pod.pod().key == *key).expect("held");
        prop_assert_eq!(Some(verdict), plan.rollout.verdict(position as u32));
    }
    prop_assert_eq!(roster.len(), held.len());
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Whatever stands in the annotations: no panic, and the pod can be planned for, patched and written again.
    #[test]
    fn odd_annotations_say_nothing_and_do_no_harm(
        values in prop::collection::vec("(null|\\[\\]|7|\\{\\}|\\{\"logs\":(null|7|\"x\"|\\{\\}|\\{\"hash\":(1|null|\"y\")\\})\\}|.{0,12})", 5),
    ) {
        let set = set(json!({}));
        let target = Target::compile(&set, HashForm::default());
        let keys = ["sidecarset-hash", "sidecarset-hash-without-image", "sidecarset-injected-list",
            "sidecarset-inplace-update-state", "sidecarset-working-hotupgrade-container"];
        let mut object = Pod::old(0).of(&set);
        for (key, value) in keys.iter().zip(&values) {
            object["metadata"]["annotations"][format!("kruise.io/{key}")] = value.as_str().into();
        }
        let pod = support::pod(object.clone());
        let plan = plan_upgrade(&target, &[&pod], Mode::Current);
        prop_assert_eq!(plan.counts.matched, 1);
        let stamp = Stamp { now: "2026-01-01T00:00:00Z".parse().expect("a time"), revision: "" };
        let patch = upgrade_patch(&target, &pod, &stamp, None).expect("a patch");
        for (key, value) in &patch.annotations {
            object["metadata"]["annotations"][key] = value.as_str().into();
        }
        let after = support::pod(object);
        prop_assert_eq!(plan_upgrade(&target, &[after], Mode::Current).counts.updated, 1);
    }
}

/// A rollout to its end: however nodes report, no more than the limit are down at once, and all are upgraded.
#[test]
fn a_rollout_ends_and_never_passes_its_budget() {
    for (limit, changed_midway) in [(1, false), (3, false), (3, true)] {
        let set = set(json!({"updateStrategy": {"maxUnavailable": limit}}));
        let target = Target::compile(&set, HashForm::default());
        let mut of: Vec<Pod> = (0..7).map(Pod::old).collect();
        let mut rounds = 0;
        while of.iter().any(|pod| !pod.updated || !pod.reported || !pod.ready) {
            let plan = plan_upgrade(&target, &pods(&set, &of), Mode::Current);
            for at in plan.updates() {
                let pod = &mut of[*at as usize];
                (pod.updated, pod.reported) = (true, false);
            }
            // After a change midway, old ones that are down count for nothing (T-2).
            let down = of.iter().filter(|pod| !pod.reported || !pod.ready).count();
            assert!(
                changed_midway || down <= limit,
                "round {rounds}: {down} down of {limit}"
            );
            if changed_midway && rounds == 2 {
                // The set is changed: those upgraded so far are old again, though some were not restarted yet.
                of.iter_mut().for_each(|pod| pod.updated = false);
            }
            // Nodes restart containers, then report them ready.
            for (index, pod) in of.iter_mut().enumerate() {
                match (pod.reported, pod.ready) {
                    (false, _) if (index + rounds) % 3 == 0 => (pod.reported, pod.ready) = (true, false),
                    (true, false) if (index + rounds) % 2 == 0 => pod.ready = true,
                    _ => {}
                }
            }
            rounds += 1;
            assert!(rounds < 200, "it does not end");
        }
    }
}

#[test]
fn reasons_can_be_told_for_every_pod() {
    let set = set(json!({}));
    let target = Target::compile(&set, HashForm::default());
    let in_flight = Pod {
        reported: false,
        ..Pod::old(3)
    };
    let immutable = Pod {
        immutable: true,
        ..Pod::old(4)
    };
    let of = [Pod::old(0), Pod::old(1), Pod::updated(2), in_flight, immutable];
    let plan = plan_upgrade(&target, &pods(&set, &of), Mode::Current);
    let told: Vec<String> = plan
        .rollout
        .verdicts()
        .map(|verdict| verdict.to_string())
        .collect();
    assert_eq!(
        told,
        [
            "waits: 1 unavailable, as many as may be",
            "waits: 1 unavailable, as many as may be",
            "is updated",
            "waits: its previous upgrade is still under way",
            "waits: more than images differs; it has to be created anew",
        ]
    );
    assert_eq!(
        Obstacle::ResetsFirst.to_string(),
        "idle containers get the empty image first"
    );
}
