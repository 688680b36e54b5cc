//! Scatter: the worked examples of the specification, and a model that follows its text word by word.

use kruise_core::policy::{Labels, Scatter, ScatterTerm};
use proptest::prelude::*;

/// A pod is its labels.
#[derive(Clone, Debug, Default)]
struct Pod(Vec<(&'static str, String)>);

impl Labels for Pod {
    fn label(&self, key: &str) -> Option<&str> {
        let mut labels = self.0.iter();
        labels
            .find(|(held, _)| *held == key)
            .map(|(_, value)| value.as_str())
    }
}

/// So many pods, and the labels of some of them.
fn pods(count: usize, labels: &[(&'static str, &str, &[usize])]) -> Vec<Pod> {
    let mut pods = vec![Pod::default(); count];
    for (key, value, of) in labels {
        for at in *of {
            pods[*at].0.push((key, (*value).to_owned()));
        }
    }
    pods
}

fn terms(terms: &[(&str, &str)]) -> Vec<ScatterTerm> {
    terms
        .iter()
        .map(|(key, value)| ScatterTerm::new(*key, *value))
        .collect()
}

fn scattered(pods: &[Pod], of: &[(&str, &str)], waiting: &[u32]) -> Vec<u32> {
    let mut order = waiting.to_vec();
    Scatter::compile(&terms(of)).sort(pods, &mut order);
    assert_eq!(order, model(pods, &terms(of), waiting), "the model agrees");
    order
}

fn range(from: usize, to: usize) -> Vec<usize> {
    (from..=to).collect()
}

const ALL: [u32; 20] = [
    0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19,
];

#[test]
fn examples_s1_to_s3_one_term() {
    let one = |count: usize, labelled: &[usize]| {
        scattered(
            &pods(count, &[("foo", "bar", labelled)]),
            &[("foo", "bar")],
            &ALL[..count],
        )
    };
    assert_eq!(one(10, &[0, 1, 2]), [0, 3, 4, 5, 6, 1, 7, 8, 9, 2]);
    assert_eq!(one(8, &[0, 1, 2, 3, 4]), [0, 5, 1, 6, 2, 7, 3, 4]);
    assert_eq!(one(6, &[0]), ALL[..6]);
    assert_eq!(one(6, &[0, 1, 2, 3, 4]), ALL[..6]);
}

#[test]
fn examples_s4_and_s5_a_rollout_half_done_is_continued() {
    let half = pods(9, &[("foo", "bar", &[5, 6, 7, 8])]);
    assert_eq!(
        scattered(&half, &[("foo", "bar")], &ALL[..7]),
        [0, 1, 2, 5, 3, 4, 6]
    );
    let half = pods(11, &[("foo", "bar", &[0, 1, 2, 10])]);
    assert_eq!(
        scattered(&half, &[("foo", "bar")], &ALL[..8]),
        [3, 0, 4, 5, 1, 6, 7, 2]
    );
}

#[test]
fn examples_s6_and_s7_two_zones() {
    let zones = pods(12, &[("zone", "a", &range(0, 5)), ("zone", "b", &range(6, 11))]);
    let one = scattered(&zones, &[("zone", "a")], &ALL[..12]);
    assert_eq!(one, [0, 6, 1, 7, 2, 8, 3, 9, 4, 10, 11, 5]);
    let both = scattered(&zones, &[("zone", "a"), ("zone", "b")], &ALL[..12]);
    assert_eq!(both, [6, 0, 7, 1, 8, 2, 9, 3, 10, 4, 5, 11]);
}

#[test]
fn examples_s8_to_s11_several_terms() {
    let apps = pods(8, &[("app", "a", &[0, 1, 2]), ("app", "b", &[3, 4, 5])]);
    let order = scattered(&apps, &[("app", "a"), ("app", "b")], &ALL[..8]);
    assert_eq!(order, [3, 0, 1, 6, 4, 7, 2, 5]);

    let apps = pods(
        9,
        &[
            ("app", "a", &[0, 1]),
            ("app", "b", &[2, 3, 4]),
            ("app", "c", &[5, 6, 7, 8]),
        ],
    );
    assert_eq!(
        scattered(&apps, &[("app", "*")], &ALL[..9]),
        [0, 2, 5, 3, 6, 7, 8, 4, 1]
    );

    let apps = pods(
        10,
        &[
            ("app", "a", &range(0, 3)),
            ("app", "b", &[4, 5, 6]),
            ("app", "c", &[7, 8]),
        ],
    );
    assert_eq!(
        scattered(&apps, &[("app", "*")], &ALL[..10]),
        [7, 4, 0, 1, 2, 5, 9, 3, 6, 8]
    );

    let mixed = pods(6, &[("z", "1", &[1, 2]), ("t", "2", &[2, 3, 4])]);
    assert_eq!(
        scattered(&mixed, &[("z", "1"), ("t", "2")], &ALL[..6]),
        [2, 0, 3, 5, 4, 1]
    );
}

#[test]
fn examples_t1_to_t4_of_workloads() {
    let one = |count: usize, labelled: &[usize]| {
        scattered(
            &pods(count, &[("k", "a", labelled)]),
            &[("k", "a")],
            &ALL[..count],
        )
    };
    assert_eq!(one(9, &[0, 1, 2]), [0, 3, 4, 5, 1, 6, 7, 8, 2]);
    assert_eq!(one(9, &[0, 1, 2, 3, 4]), [0, 5, 1, 6, 2, 7, 3, 8, 4]);
    assert_eq!(one(5, &[3, 4]), [3, 0, 1, 2, 4]);
    assert_eq!(one(3, &[0, 1]), [0, 1, 2]);
    assert_eq!(one(4, &[0]), [0, 1, 2, 3]);
}

#[test]
fn examples_t5_to_t10_of_workloads() {
    let some = |count: usize, labelled: &[usize], waiting: &[u32]| {
        scattered(&pods(count, &[("k", "a", labelled)]), &[("k", "a")], waiting)
    };
    assert_eq!(
        some(12, &range(0, 3), &[0, 1, 2, 4, 5, 6, 7, 8]),
        [0, 4, 5, 6, 1, 7, 8, 2]
    );
    assert_eq!(
        some(12, &range(0, 5), &[0, 1, 6, 7, 8, 9, 10, 11]),
        [6, 7, 8, 9, 10, 0, 11, 1]
    );
    assert_eq!(some(10, &range(0, 6), &[0, 1, 2, 7, 8, 9]), [7, 8, 0, 1, 9, 2]);

    let two = pods(8, &[("k", "a", &[0, 1, 2]), ("k", "b", &[3, 4])]);
    assert_eq!(
        scattered(&two, &[("k", "a"), ("k", "b")], &ALL[..8]),
        [3, 0, 5, 1, 6, 7, 2, 4]
    );
    let two = pods(8, &[("k", "a", &[0, 1]), ("k", "b", &[2, 3, 4])]);
    assert_eq!(
        scattered(&two, &[("k", "a"), ("k", "b")], &ALL[..8]),
        [0, 2, 5, 3, 6, 7, 4, 1]
    );

    assert_eq!(
        some(20, &range(0, 7), &ALL),
        [
            0, 8, 9, 1, 10, 11, 2, 12, 13, 3, 14, 15, 4, 16, 17, 5, 18, 19, 6, 7
        ]
    );
}

#[test]
fn a_missing_label_counts_as_the_empty_value() {
    let some = pods(6, &[("k", "a", &[0, 1, 2, 3]), ("k", "", &[4])]);
    assert_eq!(scattered(&some, &[("k", "")], &ALL[..6]), [4, 0, 1, 2, 3, 5]);
    // The value occurs, so that `*` has a term for it, and that finds the pod without the label too.
    assert_eq!(scattered(&some, &[("k", "*")], &ALL[..6]), [4, 0, 1, 2, 3, 5]);
}

#[test]
fn positions_outside_the_members_carry_no_label() {
    let some = pods(4, &[("k", "a", &[0, 1])]);
    let mut order = [0, 1, 7, u32::MAX];
    Scatter::compile(&terms(&[("k", "a")])).sort(&some, &mut order);
    assert_eq!(order, [0, 7, u32::MAX, 1]);
}

#[test]
fn no_terms_and_no_members_change_nothing() {
    assert_eq!(scattered(&pods(3, &[]), &[], &ALL[..3]), [0, 1, 2]);
    assert_eq!(scattered(&[], &[("k", "*")], &[]), [] as [u32; 0]);
    assert!(Scatter::compile(&[]).is_empty());
}

/// A `*` over many values has more terms than are applied by sweeps; the result is that of one pass for each. With
/// the most of them the last chunk of the order, where every term puts one, grows until all are made anew.
#[test]
fn hundreds_of_values_give_the_order_of_the_model() {
    for (nodes, count) in [(40, 300), (150, 600), (500, 1_300)] {
        let nodes_of = |at: usize| format!("node-{}", (at * 7919 + at / 3) % nodes);
        let many: Vec<Pod> = (0..count).map(|at| Pod(vec![("node", nodes_of(at))])).collect();
        let waiting: Vec<u32> = (0..count as u32).filter(|at| at % 5 != 0).collect();
        scattered(&many, &[("node", "*")], &waiting);
    }
}

/// The specification, word by word; every pass builds new lists.
fn model(pods: &[Pod], terms: &[ScatterTerm], waiting: &[u32]) -> Vec<u32> {
    let carries =
        |at: u32, term: &ScatterTerm| pods[at as usize].label(&term.key).unwrap_or_default() == term.value;
    let mut expanded: Vec<ScatterTerm> = Vec::new();
    for term in terms {
        let values: Vec<String> = match term.value.as_str() {
            "*" => pods
                .iter()
                .filter_map(|pod| pod.label(&term.key))
                .map(str::to_owned)
                .collect(),
            value => vec![value.to_owned()],
        };
        for value in values {
            let one = ScatterTerm::new(term.key.clone(), value);
            if !expanded.contains(&one) {
                expanded.push(one);
            }
        }
    }
    if expanded.len() > 1 {
        let count = |term: &ScatterTerm| waiting.iter().filter(|at| carries(**at, term)).count();
        expanded.retain(|term| count(term) > 0);
        expanded.sort_by_cached_key(|term| std::cmp::Reverse(count(term)));
    }
    let mut order = waiting.to_vec();
    for term in &expanded {
        let all = (0..pods.len() as u32).filter(|at| carries(*at, term)).count();
        order = pass(&order, |at| carries(at, term), all, pods.len() - all);
    }
    order
}

fn pass(order: &[u32], carries: impl Fn(u32) -> bool, mut all_marked: usize, all_rest: usize) -> Vec<u32> {
    let (mut marked, rest): (Vec<u32>, Vec<u32>) = order.iter().partition(|at| carries(**at));
    if marked.len() <= 1 || rest.len() <= 1 {
        return order.to_vec();
    }
    let last = marked.pop().expect("more than one");
    all_marked -= 1;
    let sizes = |m: usize, u: usize| {
        let n = m.min(u);
        let round = |a: usize| (a as f64 / n as f64).round() as usize;
        (n, round(m), round(u))
    };
    let (n, ms, us, lead);
    if all_rest as f32 / all_marked as f32 >= rest.len() as f32 / marked.len() as f32 {
        (n, ms, us) = sizes(marked.len(), rest.len());
        lead = 0;
    } else {
        (_, ms, us) = sizes(all_marked, all_rest);
        n = (marked.len() / ms).min(rest.len() / us);
        lead = rest.len() - n * us;
    }
    let (mut marked, mut rest) = (marked.into_iter(), rest.into_iter());
    let mut out: Vec<u32> = rest.by_ref().take(lead).collect();
    for _ in 0..n {
        out.extend(marked.by_ref().take(ms));
        out.extend(rest.by_ref().take(us));
    }
    out.extend(marked);
    out.extend(rest);
    out.push(last);
    out
}

fn pod() -> impl Strategy<Value = Pod> {
    let label = |key: &'static str, values: &'static [&'static str]| {
        prop::option::weighted(0.8, prop::sample::select(values))
            .prop_map(move |value| Some((key, value?.to_owned())))
    };
    let labels = (
        label("zone", &["a", "b", "c"]),
        label("app", &["", "x", "y"]),
        label(
            "node",
            &["0", "1", "2", "3", "4", "5", "6", "7", "8", "9", "10", "11", "12"],
        ),
    );
    labels.prop_map(|(zone, app, node)| Pod([zone, app, node].into_iter().flatten().collect()))
}

fn any_terms() -> impl Strategy<Value = Vec<ScatterTerm>> {
    let key = prop::sample::select(vec!["zone", "app", "node", "none"]);
    let value = prop::sample::select(vec!["*", "*", "", "a", "b", "x", "y", "1", "2", "12"]);
    prop::collection::vec(
        (key, value).prop_map(|(key, value)| ScatterTerm::new(key, value)),
        0..6,
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn the_order_is_that_of_the_model(
        (pods, waiting) in prop::collection::vec(pod(), 0..60).prop_flat_map(|pods| {
            let all: Vec<u32> = (0..pods.len() as u32).collect();
            let len = all.len();
            (Just(pods), prop::sample::subsequence(all, 0..=len).prop_shuffle())
        }),
        terms in any_terms(),
    ) {
        let mut order = waiting.clone();
        Scatter::compile(&terms).sort(&pods, &mut order);
        prop_assert_eq!(&order, &model(&pods, &terms, &waiting));
        let (mut before, mut after) = (waiting, order);
        before.sort_unstable();
        after.sort_unstable();
        prop_assert_eq!(before, after, "nothing is lost or doubled");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4))]

    /// Enough values for the chunks to be split and rebuilt, over two keys.
    #[test]
    fn many_values_give_the_order_of_the_model(
        nodes in prop::collection::vec(0..120_usize, 200..400),
        racks in 1..60_usize,
    ) {
        let pods: Vec<Pod> = nodes.iter().enumerate().map(|(at, node)| {
            Pod(vec![("node", node.to_string()), ("rack", (at % racks).to_string())])
        }).collect();
        let waiting: Vec<u32> = (0..pods.len() as u32).rev().collect();
        let both = terms(&[("node", "*"), ("rack", "*")]);
        let mut order = waiting.clone();
        Scatter::compile(&both).sort(&pods, &mut order);
        prop_assert_eq!(order, model(&pods, &both, &waiting));
    }
}
