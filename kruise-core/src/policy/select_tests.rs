use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{LabelSelector, LabelSelectorRequirement};
use proptest::prelude::*;
use serde_json::{Value, json};

use super::Selector;

fn selector(value: Value) -> Selector {
    Selector::compile(&serde_json::from_value(value).unwrap()).unwrap()
}

fn refused(value: Value) -> String {
    Selector::compile(&serde_json::from_value(value).unwrap())
        .unwrap_err()
        .to_string()
}

fn labels(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    pairs
        .iter()
        .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
        .collect()
}

#[test]
fn every_requirement_must_hold() {
    let both = selector(
        json!({"matchLabels": {"a": "1"}, "matchExpressions": [{"key": "b", "operator": "Exists"}]}),
    );
    assert!(both.matches(&labels(&[("a", "1"), ("b", "x")])));
    assert!(!both.matches(&labels(&[("a", "1")])));
    assert!(!both.matches(&labels(&[("a", "2"), ("b", "x")])));
    assert!(selector(json!({})).matches(&labels(&[])));
}

#[test]
fn notin_holds_for_objects_without_the_label() {
    let not =
        selector(json!({"matchExpressions": [{"key": "a", "operator": "NotIn", "values": ["1", "2"]}]}));
    assert!(
        not.matches(&labels(&[]))
            && not.matches(&labels(&[("a", "3")]))
            && !not.matches(&labels(&[("a", "2")]))
    );
}

#[test]
fn selectors_that_no_server_would_take_are_refused_with_the_path() {
    let expression = |operator: &str, values: &[&str]| json!({"matchExpressions": [{"key": "a", "operator": operator, "values": values}]});
    assert!(refused(expression("In", &[])).starts_with("matchExpressions[0].values: Required value"));
    assert!(refused(expression("Exists", &["x"])).starts_with("matchExpressions[0].values: Forbidden"));
    assert!(
        refused(expression("in", &["x"])).starts_with("matchExpressions[0].operator: Invalid value: \"in\"")
    );
    assert!(refused(expression("In", &["-x"])).starts_with("matchExpressions[0].values: Invalid value"));
    for key in [
        "",
        "/",
        "a/",
        "/a",
        "a b",
        "A.com/a",
        "a..b/c",
        "a/b/c",
        "-a",
        &"x".repeat(64),
    ] {
        assert!(
            refused(json!({"matchLabels": {key: "x"}})).starts_with("matchLabels["),
            "{key}"
        );
    }
    selector(json!({"matchLabels": {"example.com/App_1.x": "", "a": "v-1.2_3"}}));
}

/// Few keys and values, so that selectors meet.
fn any_selector() -> impl Strategy<Value = LabelSelector> {
    let values =
        proptest::collection::btree_set("[xyz]", 1..3).prop_map(|set| set.into_iter().collect::<Vec<_>>());
    let one = ("[ab]", 0..4usize, values).prop_map(|(key, kind, values)| {
        let (operator, values) = match kind {
            0 => ("In", Some(values)),
            1 => ("NotIn", Some(values)),
            2 => ("Exists", None),
            _ => ("DoesNotExist", None),
        };
        LabelSelectorRequirement {
            key,
            operator: operator.into(),
            values,
        }
    });
    proptest::collection::vec(one, 0..4).prop_map(|all| LabelSelector {
        match_expressions: Some(all),
        ..Default::default()
    })
}

/// Every set of labels that can make a difference: `w` is a value that no selector names.
fn all_labels() -> Vec<BTreeMap<String, String>> {
    let choices = [None, Some("x"), Some("y"), Some("z"), Some("w")];
    let mut all = Vec::new();
    for a in choices {
        for b in choices {
            let pairs = [("a", a), ("b", b)]
                .into_iter()
                .filter_map(|(key, value)| Some((key, value?)));
            all.push(labels(&pairs.collect::<Vec<_>>()));
        }
    }
    all
}

proptest! {
    #[test]
    fn selectors_overlap_exactly_if_some_labels_match_both(left in any_selector(), right in any_selector()) {
        let (left, right) = (Selector::compile(&left).unwrap(), Selector::compile(&right).unwrap());
        let some = all_labels().iter().any(|labels| left.matches(labels) && right.matches(labels));
        prop_assert_eq!(left.overlaps(&right), some);
        prop_assert_eq!(right.overlaps(&left), some);
    }
}
