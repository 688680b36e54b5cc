//! Worked examples of plans, scatter and consistency (10.4, 10.5, 10.6), as they are explained.

mod support;

use kruise_core::api::int_or_percent::Mode;
use kruise_sidecar::explain::{ExplainOptions, Explanation, PodExplanation, Snapshot, Verdict};
use serde_json::{Value, json};
use support::{Pod, set};

fn explain(strategy: Value, pods: &[Pod], mode: Mode) -> Explanation {
    let set = set(json!({ "updateStrategy": strategy }));
    let mut snapshot = Snapshot::default();
    for pod in pods {
        let mut object = pod.of(&set);
        object["kind"] = "Pod".into();
        object["apiVersion"] = "v1".into();
        snapshot.add(object).expect("a pod");
    }
    let options = ExplainOptions {
        mode,
        ..ExplainOptions::default()
    };
    snapshot.explain_set(&set, &options)
}

fn now(strategy: Value, pods: &[Pod]) -> Explanation {
    explain(strategy, pods, Mode::Current)
}

fn all(count: usize, of: impl Fn(usize) -> Pod) -> Vec<Pod> {
    (0..count).map(of).collect()
}

fn under_way(updated: usize, ok: usize, count: usize) -> Vec<Pod> {
    all(count, |index| match index {
        _ if index >= updated => Pod::old(index),
        _ if index < ok => Pod::updated(index),
        _ => Pod::updated(index).not_ready(),
    })
}

fn index(pod: &PodExplanation) -> usize {
    pod.name.trim_start_matches('p').parse().expect("a number")
}

/// The pods of a verdict, in the order in which they are told.
fn of(explanation: &Explanation, verdict: Verdict) -> Vec<usize> {
    let pods = explanation.pods.iter().filter(|pod| pod.verdict == verdict);
    pods.map(index).collect()
}

fn order(explanation: &Explanation) -> Vec<usize> {
    let pods = explanation.pods.iter().filter(|pod| pod.place.is_some());
    pods.map(index).collect()
}

fn why(explanation: &Explanation, number: usize) -> &str {
    let pod = explanation.pods.iter().find(|pod| index(pod) == number);
    &pod.expect("it is explained").reason
}

fn amounts(partition: Value, max_unavailable: Value) -> Value {
    json!({"partition": partition, "maxUnavailable": max_unavailable})
}

#[test]
fn example_p2_two_are_next_and_the_partition_keeps_the_last_eight() {
    let told = now(amounts(json!(8), json!(3)), &all(10, Pod::old));
    assert_eq!(of(&told, Verdict::Next), [0, 1]);
    assert_eq!(of(&told, Verdict::KeptByPartition), (2..10).collect::<Vec<_>>());
    assert_eq!(told.pods[0].place, Some(1));
    assert_eq!(told.pods[9].place, Some(10));
    assert!(why(&told, 2).contains("the last 8 in order"), "{}", why(&told, 2));
    assert_eq!(
        told.summary,
        "0 of 10 pods updated, 2 upgraded next, 8 kept by partition"
    );
}

#[test]
fn example_p4_percentages_are_told_with_what_they_come_to_in_both_roundings() {
    let strategy = || amounts(json!("35%"), json!("50%"));
    let (today, old) = (
        now(strategy(), &all(10, Pod::old)),
        explain(strategy(), &all(10, Pod::old), Mode::V0_8),
    );
    assert_eq!(
        (today.strategy.partition.means, old.strategy.partition.means),
        (Some(4), Some(3))
    );
    assert_eq!(of(&today, Verdict::Next), of(&old, Verdict::Next));
    assert_eq!(of(&today, Verdict::WaitingForBudget), [5]);
    assert_eq!(today.strategy.max_unavailable.value, "50%");
    assert_eq!(today.strategy.max_unavailable.means, Some(5));
}

#[test]
fn example_p5_a_budget_of_nothing_is_a_warning() {
    let told = explain(amounts(json!(0), json!("10%")), &all(6, Pod::old), Mode::V0_8);
    assert_eq!(of(&told, Verdict::Next), [0; 0]);
    assert!(
        told.problems
            .iter()
            .any(|problem| problem.text.starts_with("maxUnavailable comes to 0"))
    );
    let today = now(amounts(json!(0), json!("10%")), &all(6, Pod::old));
    assert_eq!(of(&today, Verdict::Next), [0]);
}

#[test]
fn examples_p10_to_p12_the_budget_names_the_pods_that_are_down() {
    let strategy = || amounts(json!(0), json!(3));
    let told = now(strategy(), &under_way(4, 2, 10));
    assert_eq!(of(&told, Verdict::Next), [4]);
    let down: Vec<&str> = told.unavailable.iter().map(|one| one.pod.as_str()).collect();
    assert_eq!(down, ["shop/p0002", "shop/p0003"]);
    assert_eq!(of(&told, Verdict::Updating), [2, 3]);
    assert_eq!(
        why(&told, 5),
        "maxUnavailable allows 3, and 3 are unavailable: shop/p0002, shop/p0003 and 1 upgraded now"
    );

    let told = now(strategy(), &under_way(4, 1, 10));
    assert_eq!(of(&told, Verdict::Next), [0; 0]);
    assert_eq!(told.unavailable.len(), 3);

    let mut pods = under_way(4, 1, 10);
    (pods[6].ready, pods[9].ready) = (false, false);
    let told = now(strategy(), &pods);
    assert_eq!(of(&told, Verdict::Next), [6, 9]);
    assert!(why(&told, 6).contains("costs no budget"), "{}", why(&told, 6));
}

#[test]
fn example_p16_pods_that_the_strategy_does_not_select_are_told_its_selector() {
    let pods = all(10, |index| match index {
        2 | 5 | 8 => Pod::old(index).label("canary", "true"),
        _ => Pod::old(index),
    });
    let strategy = json!({"maxUnavailable": 2, "selector": {"matchLabels": {"canary": "true"}}});
    let told = now(strategy, &pods);
    assert_eq!(of(&told, Verdict::Next), [2, 5]);
    assert_eq!(of(&told, Verdict::NotSelected), [0, 1, 3, 4, 6, 7, 9]);
    assert!(why(&told, 0).contains("(canary=true)"));
    assert_eq!(told.strategy.selector.as_deref(), Some("canary=true"));
}

#[test]
fn example_p19_pods_that_can_not_be_upgraded_stand_outside_the_order() {
    let pods = all(10, |index| Pod {
        immutable: index < 4,
        ..Pod::old(index)
    });
    let told = now(amounts(json!(3), json!(10)), &pods);
    assert_eq!(of(&told, Verdict::Next), [4, 5, 6]);
    assert_eq!(of(&told, Verdict::NotUpgradable), [0, 1, 2, 3]);
    assert_eq!(order(&told), [4, 5, 6, 7, 8, 9]);
    assert!(
        why(&told, 0).contains("only images can change"),
        "{}",
        why(&told, 0)
    );
    assert!(
        told.problems
            .iter()
            .any(|problem| problem.text.starts_with("4 pods differ"))
    );
}

#[test]
fn example_p23_paused_and_not_update_are_the_reason_of_every_old_pod() {
    let told = now(json!({"paused": true}), &under_way(4, 4, 10));
    assert_eq!(of(&told, Verdict::Paused), (4..10).collect::<Vec<_>>());
    assert_eq!(of(&told, Verdict::Updated), [0, 1, 2, 3]);
    assert_eq!(
        order(&told),
        (4..10).collect::<Vec<_>>(),
        "the order is told all the same"
    );
    let told = now(json!({"type": "NotUpdate"}), &under_way(4, 4, 10));
    assert_eq!(of(&told, Verdict::NotUpdate), (4..10).collect::<Vec<_>>());
}

#[test]
fn example_p24_the_default_order_is_told_with_what_it_goes_by() {
    let mut pods = all(3, Pod::old);
    pods[2].ready = false;
    let told = now(amounts(json!(0), json!(1)), &pods);
    assert_eq!(order(&told), [2, 0, 1]);
    assert_eq!(told.pods[0].why_here.as_deref(), Some("not ready"));
    assert_eq!(
        told.pods[1].why_here.as_deref(),
        Some("ready since 2026-01-01T09:00:00Z")
    );
}

#[test]
fn examples_s1_and_s8_scatter_tells_who_was_moved_and_by_what() {
    let labelled = |index: usize| match index {
        0..=2 => Pod::old(index).label("foo", "bar"),
        _ => Pod::old(index),
    };
    let strategy = json!({"maxUnavailable": 10, "scatterStrategy": [{"key": "foo", "value": "bar"}]});
    let told = now(strategy, &all(10, labelled));
    assert_eq!(order(&told), [0, 3, 4, 5, 6, 1, 7, 8, 9, 2]);
    let here = |place: usize| told.pods[place - 1].why_here.clone().unwrap_or_default();
    assert!(
        here(6).ends_with("scattered by foo=bar (from place 2 to 6)"),
        "{}",
        here(6)
    );
    assert!(
        here(2).ends_with("makes way for scattered pods (from place 4 to 2)"),
        "{}",
        here(2)
    );
    assert!(!here(1).contains("scattered"));

    let app = |index: usize| match index {
        0..=2 => Pod::old(index).label("part", "a"),
        3..=5 => Pod::old(index).label("part", "b"),
        _ => Pod::old(index),
    };
    let terms = json!([{"key": "part", "value": "a"}, {"key": "part", "value": "b"}]);
    let told = now(
        json!({"maxUnavailable": 10, "scatterStrategy": terms}),
        &all(8, app),
    );
    assert_eq!(order(&told), [3, 0, 1, 6, 4, 7, 2, 5]);
    assert_eq!(told.strategy.scatter, ["part=a", "part=b"]);
}

#[test]
fn examples_l12_and_l13_priorities_are_told_with_weight_or_number() {
    let tiers = [None, Some("silver"), Some("gold"), None];
    let pods = all(4, |index| match tiers[index] {
        Some(tier) => Pod::old(index).label("tier", tier),
        None => Pod::old(index),
    });
    let term =
        |weight: i32, tier: &str| json!({"weight": weight, "matchSelector": {"matchLabels": {"tier": tier}}});
    let weights = json!({"weightPriority": [term(40, "gold"), term(25, "silver")]});
    let told = now(json!({"maxUnavailable": 4, "priorityStrategy": weights}), &pods);
    assert_eq!(order(&told), [2, 1, 0, 3]);
    let here = told.pods[0].why_here.clone().unwrap_or_default();
    assert!(here.ends_with("weight 40 (from place 3 to 1)"), "{here}");
    assert_eq!(told.strategy.priority[0], "weight 40 for pods with tier=gold");

    let shards = [Some("s-3"), Some("s-12"), Some("x"), None];
    let pods = all(4, |index| match shards[index] {
        Some(shard) => Pod::old(index).label("shard", shard),
        None => Pod::old(index),
    });
    let keys = json!({"orderPriority": [{"orderedKey": "shard"}]});
    let told = now(json!({"maxUnavailable": 4, "priorityStrategy": keys}), &pods);
    assert_eq!(order(&told), [3, 1, 0, 2]);
    let here = |place: usize| told.pods[place].why_here.clone().unwrap_or_default();
    assert!(here(0).contains("has no key of orderPriority"), "{}", here(0));
    assert!(here(1).contains("shard is 12"), "{}", here(1));
}

#[test]
fn example_c3_a_container_that_was_not_restarted_yet_is_named() {
    let mut pods = all(2, Pod::updated);
    pods[0].reported = false;
    let told = now(json!({}), &pods);
    assert_eq!(of(&told, Verdict::Updating), [0]);
    assert!(
        why(&told, 0).ends_with("agent does not run agent:v2 yet"),
        "{}",
        why(&told, 0)
    );
    assert_eq!(told.unavailable.len(), 1);

    let mut pods = all(2, Pod::old);
    pods[0].reported = false;
    let told = now(json!({}), &pods);
    assert_eq!(of(&told, Verdict::InFlight), [0]);
    assert_eq!(
        of(&told, Verdict::WaitingForBudget),
        [1],
        "the one under way counts"
    );
}

#[test]
fn an_invalid_strategy_is_an_error_that_comes_first() {
    let told = now(json!({"maxUnavailable": "ten"}), &all(2, Pod::old));
    assert_eq!(of(&told, Verdict::InvalidSet), [0, 1]);
    let first = &told.problems[0];
    assert_eq!(
        first.text,
        "spec.updateStrategy.maxUnavailable is not valid: \"ten\" is neither a number nor a percentage such as \"25%\""
    );
    assert_eq!(told.strategy.max_unavailable.means, None);
}
