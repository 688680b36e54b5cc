use std::collections::BTreeMap;

use kruise_core::policy::Selector;
use proptest::collection::{btree_map, vec};
use proptest::prelude::*;
use proptest::sample::select;
use serde_json::{Value, json};

use super::*;
use crate::api::NamespaceFacts;

fn spec(value: Value) -> SidecarSetSpec {
    serde_json::from_value(value).unwrap()
}

fn of(specs: Vec<Value>) -> Vec<(Value, Value)> {
    let specs: Vec<_> = specs.into_iter().map(spec).collect();
    let shown = |selector: &LabelSelector| json!(selector.match_expressions.clone().unwrap_or_default());
    let scopes = scopes(&specs, &[], 4, true);
    scopes
        .iter()
        .map(|scope| (shown(&scope.objects), shown(&scope.namespaces)))
        .collect()
}

fn app(name: &str) -> Value {
    json!({"selector": {"matchLabels": {"app": name}}})
}

fn is_in(key: &str, values: &[&str]) -> Value {
    json!({"key": key, "operator": "In", "values": values})
}

#[test]
fn sets_with_a_key_in_common_become_one_scope() {
    assert_eq!(
        of(vec![app("b"), app("a"), app("b")]),
        [(json!([is_in("app", &["a", "b"])]), json!([]))]
    );
}

#[test]
fn a_set_with_another_key_becomes_a_scope_of_its_own() {
    let tier = json!({"selector": {"matchExpressions": [{"key": "tier", "operator": "Exists"}]}});
    assert_eq!(
        of(vec![app("a"), tier, app("b")]),
        [
            (json!([is_in("app", &["a", "b"])]), json!([])),
            (json!([{"key": "tier", "operator": "Exists"}]), json!([])),
        ]
    );
}

#[test]
fn what_only_one_of_several_asks_for_is_not_asked() {
    let mut narrow = app("a");
    narrow["selector"]["matchLabels"]["tier"] = json!("x");
    narrow["namespace"] = json!("shop");
    assert_eq!(
        of(vec![narrow.clone(), app("b")]),
        [(json!([is_in("app", &["a", "b"])]), json!([]))]
    );
    let alone = (
        json!([is_in("app", &["a"]), is_in("tier", &["x"])]),
        json!([is_in(NAMESPACE_NAME, &["shop"])]),
    );
    assert_eq!(of(vec![narrow]), [alone]);
}

#[test]
fn namespaces_are_joined_as_labels_are() {
    let in_namespace =
        |name: &str, app: &str| json!({"selector": {"matchLabels": {"app": app}}, "namespace": name});
    assert_eq!(
        of(vec![in_namespace("n1", "a"), in_namespace("n2", "b")]),
        [(
            json!([is_in("app", &["a", "b"])]),
            json!([is_in(NAMESPACE_NAME, &["n1", "n2"])])
        )]
    );
}

#[test]
fn where_namespaces_lack_the_label_with_their_name_it_is_not_asked_for() {
    let mut set = app("a");
    set["namespace"] = json!("shop");
    let mut other = app("a");
    other["namespaceSelector"] = json!({"matchLabels": {NAMESPACE_NAME: "shop", "tier": "x"}});
    let asked = |set: Value| {
        let found = scopes([&spec(set)], &[], 4, false);
        json!(found[0].namespaces.match_expressions)
    };
    assert_eq!(asked(set), json!(null));
    assert_eq!(asked(other), json!([is_in("tier", &["x"])]));
}

#[test]
fn sets_that_inject_nothing_reach_nothing() {
    let paused = json!({"selector": {"matchLabels": {"app": "a"}}, "injectionStrategy": {"paused": true}});
    let bad = json!({"selector": {"matchExpressions": [{"key": "a", "operator": "Sometimes"}]}});
    let impossible = json!({"selector": {"matchLabels": {"app": "no such value!"}}});
    assert_eq!(
        of(vec![paused, bad, impossible, json!({}), json!({"selector": {}})]),
        []
    );
}

#[test]
fn too_many_scopes_become_one_of_everything() {
    let keys = (0..5).map(|at| json!({"selector": {"matchLabels": {format!("key-{at}"): "x"}}}));
    assert_eq!(of(keys.collect()), [(json!([]), json!([]))]);
}

fn any_selector() -> impl Strategy<Value = Value> {
    let values = vec(select(vec!["x", "y", "z", "bad value"]), 1..3);
    let requirement = (
        select(vec!["a", "b", "c", "bad/key/"]),
        select(vec!["In", "NotIn", "Exists", "DoesNotExist"]),
        values,
    )
        .prop_map(|(key, operator, values)| match operator {
            "In" | "NotIn" => json!({"key": key, "operator": operator, "values": values}),
            _ => json!({"key": key, "operator": operator}),
        });
    vec(requirement, 1..4).prop_map(|requirements| json!({"matchExpressions": requirements}))
}

fn any_labels() -> impl Strategy<Value = BTreeMap<String, String>> {
    let texts = |texts: Vec<&'static str>| select(texts).prop_map(str::to_owned);
    btree_map(texts(vec!["a", "b", "c"]), texts(vec!["x", "y", "z"]), 0..3)
}

proptest! {
    #[test]
    fn every_pod_that_a_set_selects_is_in_a_scope(
        sets in vec((any_selector(), proptest::option::of(any_selector()), select(vec!["", "shop"])), 0..5),
        pods in vec((any_labels(), any_labels(), select(vec!["shop", "bank"])), 1..8),
        most in 1usize..4,
    ) {
        let specs: Vec<SidecarSetSpec> = sets
            .into_iter()
            .map(|(pods, namespaces, namespace)| {
                spec(json!({"selector": pods, "namespaceSelector": namespaces, "namespace": namespace}))
            })
            .collect();
        let scopes = scopes(&specs, &[], most, true);
        prop_assert!(scopes.len() <= most);
        let compiled = |selector: &LabelSelector| Selector::compile(selector).unwrap();
        for (labels, mut of_namespace, name) in pods {
            of_namespace.insert(NAMESPACE_NAME.to_owned(), name.to_owned());
            let facts = NamespaceFacts { name, labels: Some(&of_namespace) };
            let selected = specs.iter().any(|spec| SetScope::compile(spec).unwrap().matches(&facts, &labels).is_ok());
            let sent = scopes.iter().any(|scope| {
                compiled(&scope.objects).matches(&labels) && compiled(&scope.namespaces).matches(&of_namespace)
            });
            prop_assert!(sent || !selected, "{labels:?} in {of_namespace:?} is missed by {scopes:#?}");
            if specs.len() == 1 {
                prop_assert_eq!(sent, selected, "one set is told exactly");
            }
        }
    }
}

#[test]
fn a_label_with_very_many_values_is_only_asked_to_be_there() {
    let apps = |count: usize| (0..count).map(|at| app(&format!("app-{at:04}"))).collect();
    let asked = |count: usize| of(apps(count)).swap_remove(0).0.take();
    assert_eq!(asked(1001), json!([{"key": "app", "operator": "Exists"}]));
    let thousand = asked(1000);
    assert_eq!(thousand[0]["values"].as_array().map(Vec::len), Some(1000));
}
