//! Whole rollouts: the plans of the specification, and models of how many go and why.

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use kruise_core::api::int_or_percent::{IntOrPercent, Mode, Quantity};
use kruise_core::policy::budget::Counting;
use kruise_core::policy::partition::of_replicas;
use kruise_core::policy::rollout::{Hold, Reason};
use kruise_core::policy::{
    Budget, Labels, Member, Move, Plan, Rollout, Scatter, ScatterTerm, Selector, Verdict,
};
use proptest::prelude::*;

/// A pod whose rank is that it is not ready, then its position: the order of the examples.
#[derive(Clone, Debug, Default)]
struct Pod {
    updated: bool,
    down: bool,
    immutable: bool,
    labels: BTreeMap<String, String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Immutable;

impl Labels for Pod {
    fn label(&self, key: &str) -> Option<&str> {
        self.labels.label(key)
    }
}

impl Member for Pod {
    type Rank<'a> = bool;
    type Obstacle = Immutable;

    fn rank(&self) -> bool {
        !self.down
    }

    fn is_updated(&self) -> bool {
        self.updated
    }

    fn is_available(&self) -> bool {
        !self.down
    }

    fn obstacle(&self) -> Option<Immutable> {
        self.immutable.then_some(Immutable)
    }
}

fn value(text: &str) -> Option<IntOrPercent> {
    match text {
        "-" => None,
        text => Some(
            text.parse::<u32>()
                .map_or_else(|_| text.parse().expect("a percentage"), IntOrPercent::int),
        ),
    }
}

fn pods(count: usize) -> Vec<Pod> {
    vec![Pod::default(); count]
}

fn change(mut pods: Vec<Pod>, at: impl IntoIterator<Item = usize>, how: impl Fn(&mut Pod)) -> Vec<Pod> {
    at.into_iter().for_each(|at| how(&mut pods[at]));
    pods
}

fn sidecar_rollout(pods: &[Pod], partition: &str, limit: &str, mode: Mode) -> Rollout<'static> {
    let scale = |quantity: Quantity, text| quantity.rule(mode).scale(value(text), pods.len());
    Rollout {
        partition: scale(Quantity::SidecarSetPartition, partition),
        budget: Budget::new(scale(Quantity::SidecarSetMaxUnavailable, limit)),
        ..Rollout::default()
    }
}

/// What a SidecarSet updates, in 0.8 and now.
#[track_caller]
fn check(pods: &[Pod], partition: &str, limit: &str, then: &[u32], now: &[u32]) {
    let updates = |mode| {
        sidecar_rollout(pods, partition, limit, mode)
            .plan(pods)
            .updates()
            .to_vec()
    };
    assert_eq!(updates(Mode::V0_8), then, "0.8");
    assert_eq!(updates(Mode::Current), now, "now");
}

const FIRST: [u32; 8] = [0, 1, 2, 3, 4, 5, 6, 7];

#[test]
fn examples_p1_to_p3_numbers() {
    check(&pods(10), "-", "-", &[0], &[0]);
    check(&pods(10), "8", "3", &[0, 1], &[0, 1]);
    check(&pods(10), "10", "3", &[], &[]);
    check(&pods(10), "12", "3", &[], &[]);
}

#[test]
fn examples_p4_to_p9_percentages() {
    check(&pods(10), "35%", "50%", &FIRST[..5], &FIRST[..5]);
    check(&pods(6), "-", "10%", &[], &[0]);
    check(&pods(8), "95%", "8", &[0], &[0]);
    check(&pods(8), "2%", "8", &FIRST, &FIRST[..7]);
    check(&pods(8), "100%", "8", &[], &[]);
    check(&pods(7), "50%", "30%", &[0, 1], &[0, 1, 2]);
}

#[test]
fn examples_p10_to_p12_updated_ones_that_are_not_ready_use_up_the_budget() {
    let updated = change(pods(10), 0..4, |pod| pod.updated = true);
    check(
        &change(updated.clone(), [2, 3], |pod| pod.down = true),
        "-",
        "3",
        &[4],
        &[4],
    );
    let worse = change(updated, [1, 2, 3], |pod| pod.down = true);
    check(&worse, "-", "3", &[], &[]);
    check(
        &change(worse, [6, 9], |pod| pod.down = true),
        "-",
        "3",
        &[6, 9],
        &[6, 9],
    );
}

#[test]
fn examples_p13_to_p15_old_ones_that_are_not_ready_are_free() {
    let two = change(pods(10), [6, 9], |pod| pod.down = true);
    check(&two, "-", "1", &[6, 9, 0], &[6, 9, 0]);
    check(
        &change(pods(10), [6], |pod| pod.down = true),
        "-",
        "0",
        &[6],
        &[6],
    );
    check(&two, "7", "1", &[6, 9, 0], &[6, 9, 0]);
}

#[test]
fn examples_p16_to_p18_the_selector_of_the_strategy() {
    let canary = |pod: &mut Pod| {
        pod.labels.insert("canary".into(), "true".into());
    };
    let some = change(pods(10), [2, 5, 8], canary);
    let wire = LabelSelector {
        match_labels: Some(BTreeMap::from([("canary".into(), "true".into())])),
        ..LabelSelector::default()
    };
    let selector = Selector::compile(&wire).expect("valid");
    let plan = |partition, limit| {
        let rollout = sidecar_rollout(&some, partition, limit, Mode::Current);
        Rollout {
            selector: Some(&selector),
            ..rollout
        }
        .plan(&some)
    };
    assert_eq!(plan("-", "2").updates(), [2, 5]);
    assert_eq!(plan("50%", "5").updates(), [] as [u32; 0]);
    assert_eq!(plan("1", "5").updates(), [2, 5]);
    assert_eq!(plan("1", "5").verdict(0), Some(Verdict::Wait(Hold::NotSelected)));
}

#[test]
fn example_p19_those_that_can_not_be_updated_do_not_count_towards_the_partition() {
    let some = change(pods(10), 0..4, |pod| pod.immutable = true);
    check(&some, "3", "10", &[4, 5, 6], &[4, 5, 6]);
    let plan = sidecar_rollout(&some, "3", "10", Mode::Current).plan(&some);
    assert_eq!(plan.verdict(0), Some(Verdict::Wait(Hold::Obstacle(Immutable))));
}

#[test]
fn examples_p20_to_p22_many() {
    let many = |count, updated, ok| {
        let some = change(pods(count), 0..updated, |pod| pod.updated = true);
        change(some, ok..updated, |pod| pod.down = true)
    };
    check(
        &many(100, 40, 34),
        "-",
        "10",
        &[40, 41, 42, 43],
        &[40, 41, 42, 43],
    );
    let next: Vec<u32> = (250..270).collect();
    check(&many(400, 250, 230), "30%", "40", &next, &next);
    check(&many(200, 60, 40), "-", "10%", &[], &[]);
}

#[test]
fn example_p23_a_paused_rollout_says_so() {
    let plan = Rollout {
        paused: true,
        ..Rollout::default()
    }
    .plan(&pods(2));
    assert_eq!(plan.updates(), [] as [u32; 0]);
    let verdicts: Vec<_> = plan.verdicts().collect();
    assert_eq!(verdicts, [Verdict::Wait(Hold::Paused); 2]);
}

#[test]
fn example_s12_scatter_before_the_budget() {
    let some = change(pods(10), 0..3, |pod| {
        pod.labels.insert("foo".into(), "bar".into());
    });
    let scatter = Scatter::compile(&[ScatterTerm::new("foo", "bar")]);
    let rollout = sidecar_rollout(&some, "-", "3", Mode::Current);
    let plan = Rollout {
        scatter: Some(&scatter),
        ..rollout
    }
    .plan(&some);
    assert_eq!(plan.order, [0, 3, 4, 5, 6, 1, 7, 8, 9, 2]);
    assert_eq!(plan.updates(), [0, 3, 4]);
}

/// kruise#1307, #1272: users could not see why a pod stays old.
#[test]
fn kruise_1307_every_pod_has_a_reason() {
    let some = change(pods(6), [0], |pod| pod.updated = true);
    let some = change(some, [4], |pod| pod.down = true);
    let plan: Plan<Immutable> = sidecar_rollout(&some, "2", "1", Mode::Current).plan(&some);
    let partition = Verdict::Wait(Hold::Partition { kept: 2 });
    assert_eq!(
        plan.verdicts().collect::<Vec<_>>(),
        [
            Verdict::Updated,
            Verdict::Update(Reason::WithinBudget),
            Verdict::Wait(Hold::Budget { limit: 1, down: 1 }),
            partition,
            Verdict::Update(Reason::NotAvailable),
            partition,
        ]
    );
}

/// Pods in the notation of the specification: `o` or `n` for the revision, `+` or `-` for available, `4*` before it.
fn notation(text: &str) -> Vec<Pod> {
    let words = text.split_whitespace();
    let each = words.flat_map(|word| {
        let (count, pod) = word.split_once('*').unwrap_or(("1", word));
        let pod = Pod {
            updated: pod.starts_with('n'),
            down: pod.ends_with('-'),
            ..Pod::default()
        };
        vec![pod; count.parse().expect("a number")]
    });
    each.collect()
}

/// The update step of a CloneSet; the scale step is not its business.
fn clone_set(replicas: usize, partition: &str, surge: usize, limit: &str, pods: &[Pod], mode: Mode) -> usize {
    let scale = |quantity: Quantity, text| quantity.rule(mode).scale(value(text), replicas);
    let kept = scale(Quantity::CloneSetPartition, partition);
    let max_unavailable = if surge == 0 {
        Quantity::CloneSetMaxUnavailable
    } else {
        Quantity::CloneSetMaxUnavailableBesideSurge
    };
    let limit = (scale(max_unavailable, limit) + pods.len()).saturating_sub(replicas);
    let old = pods.iter().filter(|pod| !pod.updated).count();
    let (counting, partition) = match mode {
        Mode::V0_8 => (Counting::All, kept),
        _ => {
            let moving = match of_replicas(old, pods.len() - old, replicas, kept, false) {
                Move::Forward(count) => count,
                Move::None | Move::Back(_) => 0,
            };
            (Counting::AllAndUpdated, old - moving)
        }
    };
    let rollout = Rollout {
        partition,
        budget: Budget::counting(limit, counting),
        ..Rollout::default()
    };
    rollout.plan(pods).count
}

#[test]
fn clone_set_examples_c2_to_c43_that_update() {
    for (name, replicas, partition, surge, limit, pods, then, now) in [
        ("C2", 5, "3", 0, "20%", "5*o+", 1, 1),
        ("C3", 5, "0", 0, "20%", "5*o+", 1, 1),
        ("C4", 10, "0", 0, "25%", "10*o+", 3, 3),
        ("C6", 10, "0", 1, "25%", "10*o+ n-", 2, 2),
        ("C7", 10, "0", 1, "25%", "10*o+ n+", 3, 3),
        ("C13", 3, "5", 1, "1", "3*o+", 0, 0),
        ("C15", 3, "100%", 2, "1", "2*o+ n+", 0, 0),
        ("C16", 3, "99%", 0, "1", "3*o+", 0, 1),
        ("C17", 2, "50%", 0, "1", "2*o+", 1, 1),
        ("C19", 1, "0", 1, "0", "o+ n-", 0, 0),
        ("C21", 5, "0", 0, "2", "3*o+ 2*o-", 2, 2),
        ("C22", 5, "0", 0, "2", "2*o+ 3*o-", 3, 2),
        ("C23", 5, "0", 0, "2", "5*o-", 5, 2),
        ("C24", 5, "0", 0, "2", "3*n- 2*o+", 0, 0),
        ("C25", 6, "0", 0, "2", "2*n- 4*o-", 4, 0),
        ("C35", 5, "0", 0, "1", "o- 4*o+", 1, 1),
        ("C37", 10, "15%", 0, "33%", "10*o+", 4, 4),
        ("C41", 5, "0", 0, "2", "n- 4*o+", 1, 1),
        ("C42", 6, "2", 0, "2", "2*n+ 4*o+", 2, 2),
        ("C43", 5, "4", 0, "1", "3*n+ 2*o+", 0, 0),
    ] {
        let pods = notation(pods);
        let update = |mode| clone_set(replicas, partition, surge, limit, &pods, mode);
        assert_eq!((update(Mode::V0_8), update(Mode::Current)), (then, now), "{name}");
    }
}

/// Section 5.5 of the specification, word by word: how many, of an order that is given.
fn model(pods: &[Pod], order: &[u32], partition: usize, limit: usize) -> Vec<u32> {
    let mut waiting = order.to_vec();
    for _ in 0..partition {
        waiting.pop();
    }
    let mut bad = pods.iter().filter(|pod| pod.updated && pod.down).count();
    let mut taken = Vec::new();
    for at in waiting {
        if pods[at as usize].down {
            taken.push(at);
        } else if bad >= limit {
            break;
        } else {
            bad += 1;
            taken.push(at);
        }
    }
    taken
}

fn pod() -> impl Strategy<Value = Pod> {
    let zone = prop::sample::select(vec!["a", "b", "c"]);
    (any::<bool>(), any::<bool>(), prop::bool::weighted(0.2), zone).prop_map(
        |(updated, down, immutable, zone)| Pod {
            updated,
            down,
            immutable,
            labels: BTreeMap::from([("zone".into(), zone.into())]),
        },
    )
}

proptest! {
    #[test]
    fn a_plan_is_that_of_the_model_and_its_reasons_agree(
        pods in prop::collection::vec(pod(), 0..40),
        partition in 0..20_usize,
        limit in 0..20_usize,
        scattered: bool,
        paused: bool,
    ) {
        let scatter = Scatter::compile(&[ScatterTerm::new("zone", "*")]);
        let rollout = Rollout {
            paused,
            partition,
            budget: Budget::new(limit),
            scatter: scattered.then_some(&scatter),
            ..Rollout::default()
        };
        let plan = rollout.plan(&pods);
        let expected = if paused { Vec::new() } else { model(&pods, &plan.order, partition, limit) };
        prop_assert_eq!(plan.updates(), expected);
        prop_assert_eq!(plan.verdicts().len(), pods.len());
        for (at, (pod, verdict)) in pods.iter().zip(plan.verdicts()).enumerate() {
            let at = at as u32;
            let agrees = match verdict {
                Verdict::Updated => pod.updated,
                Verdict::Update(reason) => {
                    plan.updates().contains(&at) && pod.down == (reason == Reason::NotAvailable)
                }
                Verdict::Wait(hold) => {
                    let candidate = plan.order.contains(&at);
                    !pod.updated && !plan.updates().contains(&at) && match hold {
                        Hold::Obstacle(Immutable) => pod.immutable && !candidate,
                        Hold::NotSelected => false,
                        Hold::Paused => paused && candidate,
                        Hold::Partition { .. } => candidate && plan.order.iter().rev().take(partition).any(|kept| *kept == at),
                        Hold::Budget { limit, down } => candidate && down >= limit,
                    }
                }
            };
            prop_assert!(agrees, "{at}: {verdict:?}");
        }
    }

    /// Round after round, with pods that come up again: never more than the limit unavailable, and in the end all
    /// but the partition are new.
    #[test]
    fn the_budget_is_never_exceeded_and_the_rollout_ends(
        count in 1..30_usize, partition in 0..30_usize, limit in 1..10_usize, comes_up in prop::collection::vec(any::<bool>(), 64),
    ) {
        let mut pods = pods(count);
        let mut coins = comes_up.into_iter().cycle();
        let rollout = Rollout { partition, budget: Budget::new(limit), ..Rollout::default() };
        for round in 0..200 {
            let plan = rollout.plan(&pods);
            for &at in plan.updates() {
                pods[at as usize].updated = true;
                pods[at as usize].down = true;
            }
            prop_assert!(pods.iter().filter(|pod| pod.down).count() <= limit);
            let always = round % 3 == 0;
            pods.iter_mut().for_each(|pod| pod.down = pod.down && !always && coins.next() == Some(true));
        }
        prop_assert_eq!(pods.iter().filter(|pod| pod.updated).count(), count.saturating_sub(partition));
    }
}
