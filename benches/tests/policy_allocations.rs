//! The policy engines allocate a few buffers, and nothing per pod.

mod support;

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use kruise_core::policy::{Budget, Labels, Member, Priority, Rollout, Scatter, ScatterTerm, Selector};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use support::{Counting, allocations_of};

#[global_allocator]
static ALLOCATOR: Counting = Counting;

struct Pod(BTreeMap<String, String>);

impl Labels for Pod {
    fn label(&self, key: &str) -> Option<&str> {
        self.0.label(key)
    }
}

impl Member for Pod {
    type Rank<'a> = Option<&'a str>;
    type Obstacle = std::convert::Infallible;

    fn rank(&self) -> Option<&str> {
        self.label("name")
    }

    fn is_updated(&self) -> bool {
        false
    }

    fn is_available(&self) -> bool {
        true
    }
}

fn pods(count: usize) -> Vec<Pod> {
    let labels = |index: usize| {
        [
            ("name", format!("web-{}", index * 7919 % count)),
            ("zone", format!("zone-{}", index * 31 % 3)),
            ("tier", format!("tier-{}", index * 17 % 2)),
        ]
    };
    let owned = |(key, value): (&str, String)| (key.to_owned(), value);
    (0..count)
        .map(|index| Pod(labels(index).into_iter().map(owned).collect()))
        .collect()
}

fn from_json<T: DeserializeOwned>(value: Value) -> T {
    serde_json::from_value(value).expect("the sample has this form")
}

fn terms(of: &[(&str, &str)]) -> Scatter {
    Scatter::compile(
        &of.iter()
            .map(|(key, value)| ScatterTerm::new(*key, *value))
            .collect::<Vec<_>>(),
    )
}

/// The allocations of the same work for a thousand pods and for twenty thousand.
fn twice(run: impl Fn(&[Pod], &mut Vec<u32>)) -> [usize; 2] {
    [1_000, 20_000].map(|count| {
        let pods = pods(count);
        let mut order: Vec<u32> = (0..count as u32).collect();
        allocations_of(|| run(&pods, &mut order))
    })
}

#[test]
fn scatter_allocates_nothing_per_pod() {
    let five = [
        ("zone", "zone-0"),
        ("zone", "zone-1"),
        ("zone", "zone-2"),
        ("tier", "tier-0"),
        ("tier", "tier-1"),
    ];
    for scatter in [
        terms(&five[..2]),
        terms(&five),
        terms(&[("zone", "*"), ("tier", "*")]),
    ] {
        let [few, many] = twice(|pods, order| scatter.sort(pods, order));
        // The first run of all also makes the seeds of the hash maps.
        assert!(many <= few, "{few} and {many} allocations: {scatter:?}");
        assert!(many <= 32, "{many} allocations");
    }
}

#[test]
fn matching_a_selector_allocates_nothing() {
    let wire: LabelSelector = from_json(json!({
        "matchLabels": {"zone": "zone-1"},
        "matchExpressions": [{"key": "tier", "operator": "NotIn", "values": ["tier-7", "tier-8"]}],
    }));
    let selector = Selector::compile(&wire).expect("valid");
    let allocations = twice(|pods, _| {
        assert!(pods.iter().any(|pod| selector.matches(pod)));
    });
    assert_eq!(allocations, [0, 0]);
}

#[test]
fn a_whole_plan_allocates_nothing_per_pod() {
    let priority = Priority::compile(&from_json(json!({"weightPriority": [
        {"weight": 50, "matchSelector": {"matchLabels": {"zone": "zone-0"}}},
    ]})))
    .expect("valid");
    let scatter = terms(&[("zone", "*")]);
    let [few, many] = twice(|pods, _| {
        let rollout = Rollout {
            priority: Some(&priority),
            scatter: Some(&scatter),
            budget: Budget::new(pods.len() / 2),
            ..Rollout::default()
        };
        assert_eq!(rollout.plan(pods).count, pods.len() / 2);
    });
    // The order grows by doubling.
    assert!(many <= few + 8, "{few} and {many} allocations");
    assert!(many <= 64, "{many} allocations");
}
