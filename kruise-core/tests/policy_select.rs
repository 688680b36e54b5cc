//! Label selectors: against those of kube, and the overlap of two against all label sets there are.

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{LabelSelector, LabelSelectorRequirement};
use kruise_core::policy::{Selector, SelectorError};
use kube_core::SelectorExt;
use proptest::prelude::*;

type Labels = BTreeMap<String, String>;

fn labels(pairs: &[(&str, &str)]) -> Labels {
    pairs
        .iter()
        .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
        .collect()
}

fn requirement(key: &str, operator: &str, values: &[&str]) -> LabelSelectorRequirement {
    LabelSelectorRequirement {
        key: key.to_owned(),
        operator: operator.to_owned(),
        values: (!values.is_empty()).then(|| values.iter().map(|value| (*value).to_owned()).collect()),
    }
}

fn expression(key: &str, operator: &str, values: &[&str]) -> LabelSelector {
    LabelSelector {
        match_expressions: Some(vec![requirement(key, operator, values)]),
        match_labels: None,
    }
}

fn equal(key: &str, value: &str) -> LabelSelector {
    LabelSelector {
        match_labels: Some(labels(&[(key, value)])),
        match_expressions: None,
    }
}

fn overlap(a: &LabelSelector, b: &LabelSelector) -> bool {
    let (a, b) = (
        Selector::compile(a).expect("valid"),
        Selector::compile(b).expect("valid"),
    );
    assert_eq!(a.overlaps(&b), b.overlaps(&a), "it has no direction");
    a.overlaps(&b)
}

#[test]
fn an_empty_selector_matches_everything_and_nothing_matches_nothing() {
    let all = Selector::compile(&LabelSelector::default()).expect("valid");
    assert_eq!(all, Selector::everything());
    for of in [labels(&[]), labels(&[("", "")]), labels(&[("a", "b")])] {
        assert!(all.matches(&of));
        assert!(!Selector::nothing().matches(&of));
    }
    assert!(all.is_everything() && !Selector::nothing().is_everything());
}

#[test]
fn selectors_that_mean_nothing_are_refused_with_their_position() {
    let compiled = |requirement| {
        Selector::compile(&LabelSelector {
            match_expressions: Some(vec![self::requirement("ok", "Exists", &[]), requirement]),
            match_labels: None,
        })
    };
    let operator = "Is".to_owned();
    for (wrong, error) in [
        (requirement("", "Exists", &[]), SelectorError::NoKey { index: 1 }),
        (
            requirement("a", "Is", &[]),
            SelectorError::UnknownOperator { index: 1, operator },
        ),
        (
            requirement("a", "In", &[]),
            SelectorError::ValuesRequired { index: 1 },
        ),
        (
            requirement("a", "NotIn", &[]),
            SelectorError::ValuesRequired { index: 1 },
        ),
        (
            requirement("a", "Exists", &["x"]),
            SelectorError::ValuesForbidden { index: 1 },
        ),
        (
            requirement("a", "DoesNotExist", &["x"]),
            SelectorError::ValuesForbidden { index: 1 },
        ),
    ] {
        assert_eq!(compiled(wrong), Err(error));
    }
}

#[test]
fn examples_v14_to_v16_overlap() {
    assert!(!overlap(&equal("a", "b"), &equal("a", "c")));
    assert!(
        overlap(&equal("a", "b"), &equal("x", "y")),
        "one pod could carry both: kruise#732"
    );
    assert!(!overlap(&equal("a", "b"), &expression("a", "NotIn", &["b"])));
    assert!(overlap(&equal("a", "b"), &expression("a", "In", &["b", "c"])));
    assert!(overlap(&equal("a", "b"), &expression("a", "Exists", &[])));
    assert!(!overlap(&equal("a", "b"), &expression("a", "DoesNotExist", &[])));
    assert!(
        overlap(&equal("b", "c"), &expression("a", "Exists", &[])),
        "where OpenKruise says they do not"
    );
}

fn any_selector() -> impl Strategy<Value = LabelSelector> {
    let key = || prop::sample::select(vec!["a", "b"]);
    let value = || prop::sample::select(vec!["x", "y", "z"]);
    let values = prop::collection::vec(value(), 1..3);
    let operator = prop::sample::select(vec!["In", "NotIn", "Exists", "DoesNotExist"]);
    let one = (key(), operator, values).prop_map(|(key, operator, values)| {
        requirement(
            key,
            operator,
            if operator.ends_with("In") { &values } else { &[] },
        )
    });
    let match_labels = prop::collection::btree_map(
        key().prop_map(str::to_owned),
        value().prop_map(str::to_owned),
        0..2,
    );
    (match_labels, prop::collection::vec(one, 0..4)).prop_map(|(match_labels, expressions)| LabelSelector {
        match_labels: Some(match_labels),
        match_expressions: Some(expressions),
    })
}

/// All sets of two labels; `w` stands for every value that no selector names.
fn label_sets() -> impl Iterator<Item = Labels> {
    let values = [None, Some("x"), Some("y"), Some("z"), Some("w")];
    values.into_iter().flat_map(move |a| {
        values.into_iter().map(move |b| {
            let pairs = [a.map(|value| ("a", value)), b.map(|value| ("b", value))];
            labels(&pairs.into_iter().flatten().collect::<Vec<_>>())
        })
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_000))]

    #[test]
    fn what_kube_matches_is_matched(wire in any_selector()) {
        let ours = Selector::compile(&wire).expect("valid");
        let theirs: kube_core::Selector = wire.try_into().expect("valid");
        for labels in label_sets() {
            prop_assert_eq!(ours.matches(&labels), theirs.matches(&labels), "{:?}", labels);
        }
    }

    #[test]
    fn selectors_overlap_exactly_if_some_labels_match_both(a in any_selector(), b in any_selector()) {
        let (left, right) = (Selector::compile(&a).expect("valid"), Selector::compile(&b).expect("valid"));
        let both = label_sets().any(|labels| left.matches(&labels) && right.matches(&labels));
        prop_assert_eq!(overlap(&a, &b), both);
    }
}
