use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;

type Object = BTreeMap<String, String>;

fn term(text: &str) -> ScatterTerm {
    let (key, value) = text.split_once('=').unwrap();
    ScatterTerm {
        key: key.into(),
        value: value.into(),
    }
}

/// `count` objects; each label has the indices that carry it.
fn objects(count: u32, labels: &[(&str, &[u32])]) -> Vec<Object> {
    let of = |index: u32| {
        let carried = labels.iter().filter(|(_, indices)| indices.contains(&index));
        carried
            .map(|(label, _)| term(label))
            .map(|term| (term.key, term.value))
            .collect()
    };
    (0..count).map(of).collect()
}

fn order(objects: &[Object], waiting: impl IntoIterator<Item = u32>, terms: &[&str]) -> Vec<u32> {
    let terms: Vec<_> = terms.iter().map(|text| term(text)).collect();
    let mut waiting: Vec<u32> = waiting.into_iter().collect();
    Scatter::with_wildcards(&terms).sort(objects, &mut waiting);
    waiting
}

#[test]
fn the_worked_examples_of_sidecarsets() {
    let ten = objects(10, &[("foo=bar", &[0, 1, 2])]);
    assert_eq!(
        order(&ten, 0..10, &["foo=bar"]),
        [0, 3, 4, 5, 6, 1, 7, 8, 9, 2],
        "S-1"
    );
    let eight = objects(8, &[("foo=bar", &[0, 1, 2, 3, 4])]);
    assert_eq!(order(&eight, 0..8, &["foo=bar"]), [0, 5, 1, 6, 2, 7, 3, 4], "S-2");
    for carriers in [&[0][..], &[0, 1, 2, 3, 4]] {
        assert_eq!(
            order(&objects(6, &[("foo=bar", carriers)]), 0..6, &["foo=bar"]),
            [0, 1, 2, 3, 4, 5],
            "S-3"
        );
    }
    let nine = objects(9, &[("foo=bar", &[5, 6, 7, 8])]);
    assert_eq!(order(&nine, 0..7, &["foo=bar"]), [0, 1, 2, 5, 3, 4, 6], "S-4");
    let eleven = objects(11, &[("foo=bar", &[0, 1, 2, 10])]);
    assert_eq!(
        order(&eleven, 0..8, &["foo=bar"]),
        [3, 0, 4, 5, 1, 6, 7, 2],
        "S-5"
    );
    let zones = objects(
        12,
        &[("zone=a", &[0, 1, 2, 3, 4, 5]), ("zone=b", &[6, 7, 8, 9, 10, 11])],
    );
    assert_eq!(
        order(&zones, 0..12, &["zone=a"]),
        [0, 6, 1, 7, 2, 8, 3, 9, 4, 10, 11, 5],
        "S-6"
    );
    assert_eq!(
        order(&zones, 0..12, &["zone=a", "zone=b"]),
        [6, 0, 7, 1, 8, 2, 9, 3, 10, 4, 5, 11],
        "S-7"
    );
    let apps = objects(8, &[("app=a", &[0, 1, 2]), ("app=b", &[3, 4, 5])]);
    assert_eq!(
        order(&apps, 0..8, &["app=a", "app=b"]),
        [3, 0, 1, 6, 4, 7, 2, 5],
        "S-8"
    );
    let apps = objects(
        9,
        &[
            ("app=a", &[0, 1]),
            ("app=b", &[2, 3, 4]),
            ("app=c", &[5, 6, 7, 8]),
        ],
    );
    assert_eq!(order(&apps, 0..9, &["app=*"]), [0, 2, 5, 3, 6, 7, 8, 4, 1], "S-9");
    let apps = objects(
        10,
        &[
            ("app=a", &[0, 1, 2, 3]),
            ("app=b", &[4, 5, 6]),
            ("app=c", &[7, 8]),
        ],
    );
    assert_eq!(
        order(&apps, 0..10, &["app=*"]),
        [7, 4, 0, 1, 2, 5, 9, 3, 6, 8],
        "S-10"
    );
    let two = objects(6, &[("z=1", &[1, 2]), ("t=2", &[2, 3, 4])]);
    assert_eq!(order(&two, 0..6, &["z=1", "t=2"]), [2, 0, 3, 5, 4, 1], "S-11");
}

#[test]
fn the_worked_examples_of_clonesets() {
    let of = |count, a: &[u32], b: &[u32]| objects(count, &[("k=a", a), ("k=b", b)]);
    let range = |from: u32, to: u32| (from..to).collect::<Vec<_>>();
    let sorted = |objects: &[Object], waiting: Vec<u32>, terms: &[&str]| {
        let terms: Vec<_> = terms.iter().map(|text| term(text)).collect();
        let mut waiting = waiting;
        Scatter::new(&terms).sort(objects, &mut waiting);
        waiting
    };
    let one = |count, a: &[u32], waiting| sorted(&of(count, a, &[]), waiting, &["k=a"]);
    assert_eq!(one(9, &[0, 1, 2], range(0, 9)), [0, 3, 4, 5, 1, 6, 7, 8, 2], "T1");
    assert_eq!(
        one(9, &[0, 1, 2, 3, 4], range(0, 9)),
        [0, 5, 1, 6, 2, 7, 3, 8, 4],
        "T2"
    );
    assert_eq!(one(5, &[3, 4], range(0, 5)), [3, 0, 1, 2, 4], "T3");
    assert_eq!(one(3, &[0, 1], range(0, 3)), [0, 1, 2], "T4");
    assert_eq!(one(4, &[0], range(0, 4)), [0, 1, 2, 3], "T4");
    assert_eq!(
        one(12, &[0, 1, 2, 3], vec![0, 1, 2, 4, 5, 6, 7, 8]),
        [0, 4, 5, 6, 1, 7, 8, 2],
        "T5"
    );
    assert_eq!(
        one(12, &[0, 1, 2, 3, 4, 5], vec![0, 1, 6, 7, 8, 9, 10, 11]),
        [6, 7, 8, 9, 10, 0, 11, 1],
        "T6"
    );
    assert_eq!(
        one(10, &[0, 1, 2, 3, 4, 5, 6], vec![0, 1, 2, 7, 8, 9]),
        [7, 8, 0, 1, 9, 2],
        "T7"
    );
    let both = sorted(&of(8, &[0, 1, 2], &[3, 4]), range(0, 8), &["k=a", "k=b"]);
    assert_eq!(both, [3, 0, 5, 1, 6, 7, 2, 4], "T8");
    let both = sorted(&of(8, &[0, 1], &[2, 3, 4]), range(0, 8), &["k=a", "k=b"]);
    assert_eq!(both, [0, 2, 5, 3, 6, 7, 4, 1], "T9");
    let eight: Vec<u32> = range(0, 8);
    let expected = [
        0, 8, 9, 1, 10, 11, 2, 12, 13, 3, 14, 15, 4, 16, 17, 5, 18, 19, 6, 7,
    ];
    assert_eq!(one(20, &eight, range(0, 20)), expected, "T10");
}

#[test]
fn a_star_is_a_value_like_others_in_a_cloneset() {
    let all = objects(6, &[("k=a", &[0, 1, 2])]);
    let mut waiting: Vec<u32> = (0..6).collect();
    Scatter::new(&[term("k=*")]).sort(&all, &mut waiting);
    assert_eq!(waiting, [0, 1, 2, 3, 4, 5]);
}

#[test]
fn objects_without_the_label_are_no_value_of_a_wildcard() {
    // 0 has no label; x and the empty value have as many objects, so the list decides: first what the star stands for.
    let all = objects(8, &[("a=x", &[1, 2, 3, 4])]);
    let star_first = order(&all, 0..8, &["a=*", "a="]);
    assert_eq!(star_first, order(&all, 0..8, &["a=x", "a="]));
}

/// The rule as the specification states it, word by word, without any regard to speed.
fn model(all: &[Object], waiting: &[u32], listed: &[ScatterTerm], wildcards: bool) -> Vec<u32> {
    let value = |index: u32, key: &str| all[index as usize].get(key).map_or("", String::as_str);
    let mut terms: Vec<ScatterTerm> = Vec::new();
    for one in listed {
        let replaced: Vec<ScatterTerm> = if wildcards && one.value == "*" {
            let values = all.iter().filter_map(|object| object.get(&one.key));
            values
                .map(|value| ScatterTerm {
                    key: one.key.clone(),
                    value: value.clone(),
                })
                .collect()
        } else {
            vec![one.clone()]
        };
        for one in replaced {
            if !terms.contains(&one) {
                terms.push(one);
            }
        }
    }
    if waiting.len() < 2 {
        return waiting.to_vec();
    }
    let count = |term: &ScatterTerm| {
        waiting
            .iter()
            .filter(|index| value(**index, &term.key) == term.value)
            .count()
    };
    if terms.len() > 1 {
        terms.retain(|term| count(term) > 0);
        terms.sort_by_key(|term| std::cmp::Reverse(count(term)));
    }
    let mut order = waiting.to_vec();
    for term in terms {
        let has = |index: &u32| value(*index, &term.key) == term.value;
        let (mut with, mut others): (Vec<u32>, Vec<u32>) = order.iter().partition(|index| has(index));
        if with.len() <= 1 || others.len() <= 1 {
            continue;
        }
        let everything: Vec<u32> = (0..all.len() as u32).collect();
        let total_with = everything.iter().filter(|index| has(index)).count() as f64 - 1.0;
        let total_others = all.len() as f64 - total_with - 1.0;
        let last = with.pop().unwrap();
        let (m, u) = (with.len() as f64, others.len() as f64);
        let groups = |m: f64, u: f64| (m.min(u), (m / m.min(u)).round(), (u / m.min(u)).round());
        let (n, of_with, of_others, lead);
        if total_others as f32 / total_with as f32 >= u as f32 / m as f32 {
            (n, of_with, of_others) = groups(m, u);
            lead = 0.0;
        } else {
            let (_, a, b) = groups(total_with, total_others);
            n = (m / a).floor().min((u / b).floor());
            (of_with, of_others, lead) = (a, b, u - n * b);
        }
        let mut out = Vec::new();
        let mut take = |from: &mut Vec<u32>, count: f64| {
            let count = (count as usize).min(from.len());
            out.extend(from.drain(..count));
        };
        take(&mut others, lead);
        for _ in 0..n as usize {
            take(&mut with, of_with);
            take(&mut others, of_others);
        }
        take(&mut with, f64::MAX);
        take(&mut others, f64::MAX);
        out.push(last);
        order = out;
    }
    order
}

fn any_objects() -> impl Strategy<Value = Vec<Object>> {
    let label = |key: &'static str, values: &'static str| {
        proptest::option::of(values).prop_map(move |value| value.map(|value| (key.to_owned(), value)))
    };
    let object =
        (label("a", "[x-z]"), label("b", "[k-z]")).prop_map(|(a, b)| a.into_iter().chain(b).collect());
    proptest::collection::vec(object, 0..60)
}

fn any_terms() -> impl Strategy<Value = Vec<ScatterTerm>> {
    let one = ("[abc]", "[k-z]|[*]|").prop_map(|(key, value)| ScatterTerm { key, value });
    proptest::collection::vec(one, 0..5)
}

proptest! {
    #[test]
    fn the_order_is_that_of_the_specification(
        all in any_objects(), terms in any_terms(), wildcards in any::<bool>(),
        picks in proptest::collection::vec(any::<proptest::sample::Index>(), 0..80),
    ) {
        let mut waiting: Vec<u32> = Vec::new();
        for pick in picks.iter().filter(|_| !all.is_empty()) {
            let index = pick.index(all.len()) as u32;
            if !waiting.contains(&index) {
                waiting.push(index);
            }
        }
        // Listed twice is refused at admission for both kinds; a CloneSet's list is taken as it is.
        let mut distinct: Vec<ScatterTerm> = Vec::new();
        for term in terms {
            if !distinct.contains(&term) { distinct.push(term); }
        }
        let scatter = if wildcards { Scatter::with_wildcards(&distinct) } else { Scatter::new(&distinct) };
        let mut sorted = waiting.clone();
        scatter.sort(&all, &mut sorted);
        prop_assert_eq!(sorted, model(&all, &waiting, &distinct, wildcards));
    }
}
