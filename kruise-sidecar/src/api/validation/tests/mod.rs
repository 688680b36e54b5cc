use serde_json::{Value, json};

use super::super::{HashForm, default_sidecar_set};
use super::*;

mod conflicts;
mod containers;
mod pods;

/// A set that is valid, changed by a merge patch, with its defaults.
fn set(name: &str, change: Value) -> SidecarSet {
    let mut object = json!({
        "metadata": {"name": name},
        "spec": {
            "selector": {"matchLabels": {"app": "web"}},
            "containers": [{"name": "c", "image": "c:1", "volumeMounts": [{"name": "v", "mountPath": "/v"}]}],
            "volumes": [{"name": "v", "emptyDir": {}}],
        },
    });
    json_patch::merge(&mut object, &json!({ "spec": change }));
    let mut set = serde_json::from_value(object).expect("a set");
    default_sidecar_set(&mut set, HashForm::default());
    set
}

fn told(errors: &[ValidationError]) -> Vec<String> {
    errors.iter().map(|error| error.field.clone()).collect()
}

/// The fields that are wrong in a set with this change.
fn wrong(change: Value) -> Vec<String> {
    told(&validate_sidecar_set(
        &set("s", change),
        &ValidationContext::default(),
    ))
}

fn wrong_strategy(mut strategy: Value) -> Vec<String> {
    strategy["type"] = "RollingUpdate".into();
    wrong(json!({ "updateStrategy": strategy }))
}

#[test]
fn a_plain_set_is_valid() {
    assert_eq!(wrong(json!({})), [""; 0]);
}

#[test]
fn examples_v1_and_v2_the_selector_is_required_and_not_empty() {
    assert_eq!(wrong(json!({"selector": null})), ["spec.selector"]);
    assert_eq!(
        wrong(json!({"selector": {"matchLabels": null}})),
        ["spec.selector"]
    );
    let unknown = json!({"selector": {"matchExpressions": [{"key": "a", "operator": "Is"}]}});
    assert_eq!(wrong(unknown), ["spec.selector"]);
    let odd = json!({"selector": {"matchLabels": {"a b": "c", "d": "e f"}}});
    assert_eq!(
        wrong(odd),
        ["spec.selector.matchLabels", "spec.selector.matchLabels[d]"]
    );
}

#[test]
fn example_v3_names_have_no_dots_and_at_most_63_letters() {
    let long = "a".repeat(64);
    for (name, ok) in [
        ("log-agent", true),
        ("Log-1", true),
        ("log.agent", false),
        (long.as_str(), false),
        ("", false),
        (&long[..63], true),
    ] {
        let errors = validate_sidecar_set(&set(name, json!({})), &ValidationContext::default());
        assert_eq!(errors.is_empty(), ok, "{name}: {errors:?}");
    }
}

#[test]
fn example_v4_a_set_has_containers_or_init_containers() {
    assert_eq!(wrong(json!({"containers": []})), ["spec.containers"]);
    assert_eq!(
        wrong(json!({"containers": [], "initContainers": [{"name": "i", "image": "i:1"}]})),
        [""; 0]
    );
}

#[test]
fn examples_v5_and_v6_amounts_are_numbers_or_percentages() {
    let field = "spec.updateStrategy.maxUnavailable";
    for (value, ok) in [
        (json!("10"), false),
        (json!(-1), false),
        (json!("%"), false),
        (json!("1.5%"), false),
        (json!("x%"), false),
        (json!(0), true),
        (json!("150%"), true),
        (json!("0%"), true),
        (json!(7), true),
    ] {
        let expected: &[&str] = if ok { &[] } else { &[field] };
        assert_eq!(
            wrong_strategy(json!({ "maxUnavailable": value })),
            expected,
            "{value}"
        );
        let not_updated = json!({"updateStrategy": {"type": "NotUpdate", "maxUnavailable": value}});
        assert_eq!(wrong(not_updated), [""; 0], "{value}");
    }
    assert_eq!(wrong_strategy(json!({"partition": "150%"})), [""; 0]);
    assert_eq!(
        wrong_strategy(json!({"partition": "x"})),
        ["spec.updateStrategy.partition"]
    );
}

#[test]
fn example_v7_scatter_terms_have_keys_and_are_there_once() {
    let term = |key: &str, value: &str| json!({"key": key, "value": value});
    let scatter = |terms: Vec<Value>| wrong_strategy(json!({ "scatterStrategy": terms }));
    assert_eq!(
        scatter(vec![term("k", "v"), term("k", "v")]),
        ["spec.updateStrategy.scatterStrategy[1]"]
    );
    assert_eq!(scatter(vec![term("k", "v"), term("k", "w")]), [""; 0]);
    assert_eq!(
        scatter(vec![term("", "v")]),
        ["spec.updateStrategy.scatterStrategy[0].key"]
    );
}

#[test]
fn examples_v10_and_v11_sidecars_may_leave_but_not_come_or_change_their_upgrade() {
    let two = |first: &str| {
        set(
            "s",
            json!({"containers": [{"name": first, "image": "c:1"}, {"name": "d", "image": "d:1"}]}),
        )
    };
    let changed = set(
        "s",
        json!({"containers": [{"name": "c", "image": "c:1",
        "upgradeStrategy": {"upgradeType": "HotUpgrade", "hotUpgradeEmptyImage": "e"}}]}),
    );
    assert_eq!(
        told(&validate_update(&two("c"), &changed)),
        ["spec.containers[0].upgradeStrategy.upgradeType"]
    );
    assert_eq!(
        told(&validate_update(&two("c"), &two("renamed"))),
        ["spec.containers[0].name"]
    );
    assert_eq!(validate_update(&two("c"), &set("s", json!({}))), []);
    let mut undefaulted = two("c");
    undefaulted.spec.containers[0].upgrade_strategy = Default::default();
    assert_eq!(
        validate_update(&undefaulted, &changed),
        [],
        "an empty type may become one"
    );
}

#[test]
fn example_v18_a_selector_excludes_a_partition() {
    let selector = json!({"matchLabels": {"canary": "true"}});
    for (partition, ok) in [(json!(1), false), (json!("0%"), false), (json!(0), true)] {
        let expected: &[&str] = if ok {
            &[]
        } else {
            &["spec.updateStrategy.partition"]
        };
        let strategy = json!({"selector": selector, "partition": partition});
        assert_eq!(wrong_strategy(strategy), expected, "{partition}");
    }
    assert_eq!(
        wrong_strategy(json!({"selector": {}})),
        ["spec.updateStrategy.selector"]
    );
}

#[test]
fn priorities_are_weights_or_keys() {
    let path = |rest: &str| format!("spec.updateStrategy.priorityStrategy{rest}");
    let term = |weight: i32| json!({"weight": weight, "matchSelector": {"matchLabels": {"a": "b"}}});
    let wrong = |priority: Value| wrong_strategy(json!({ "priorityStrategy": priority }));
    assert_eq!(wrong(json!({"weightPriority": [term(0), term(100)]})), [""; 0]);
    assert_eq!(
        wrong(json!({"weightPriority": [term(101)]})),
        [path(".weightPriority[0].weight")]
    );
    let empty = json!({"weightPriority": [{"weight": 1, "matchSelector": {}}]});
    assert_eq!(wrong(empty), [path(".weightPriority[0].matchSelector")]);
    assert_eq!(
        wrong(json!({"orderPriority": [{"orderedKey": ""}]})),
        [path(".orderPriority[0].orderedKey")]
    );
    assert_eq!(
        wrong(json!({"orderPriority": [{"orderedKey": "a"}], "weightPriority": [term(1)]})),
        [path("")]
    );
}

#[test]
fn namespaces_are_named_in_one_way() {
    let both = json!({"namespace": "shop", "namespaceSelector": {"matchLabels": {"a": "b"}}});
    assert_eq!(wrong(both), ["spec.namespaceSelector"]);
    assert_eq!(
        wrong(json!({"namespaceSelector": {}})),
        ["spec.namespaceSelector"]
    );
    assert_eq!(wrong(json!({"namespace": "Shop"})), ["spec.namespace"]);
}

#[test]
fn a_revision_is_named_exists_and_has_a_known_policy() {
    let wrong = |revision: Value, exists: Option<bool>| {
        let set = set("s", json!({"injectionStrategy": {"revision": revision}}));
        let context = ValidationContext {
            revision_exists: exists,
            ..ValidationContext::default()
        };
        told(&validate_sidecar_set(&set, &context))
    };
    let path = "spec.injectionStrategy.revision";
    assert_eq!(wrong(json!({}), Some(true)), [path]);
    assert_eq!(wrong(json!({"revisionName": "s-1"}), Some(false)), [path]);
    assert_eq!(
        wrong(json!({"customVersion": "1", "policy": "Partial"}), Some(true)),
        [""; 0]
    );
    assert_eq!(
        wrong(json!({"customVersion": "1", "policy": "Half"}), None),
        [format!("{path}.policy")]
    );
}
