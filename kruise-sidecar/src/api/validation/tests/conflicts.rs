use super::*;

/// The kinds of conflict of two sets that each are a change of the same.
fn conflicts(one: Value, other: Value) -> Vec<String> {
    let (one, other) = (set("one", one), set("other", other));
    let errors = told(&validate_conflicts(&one, [&one, &other]));
    assert_eq!(
        told(&validate_conflicts(&other, [&one, &other])),
        errors,
        "both ways"
    );
    errors
}

fn selecting(selector: Value) -> Value {
    json!({"selector": {"matchLabels": null, "matchExpressions": selector}})
}

#[test]
fn examples_v12_to_v15_names_conflict_where_one_pod_may_match_both() {
    let labels = |key: &str, value: &str| json!({"selector": {"matchLabels": {"app": null, key: value}}});
    let taken = ["spec.containers[0].name"];
    assert_eq!(conflicts(json!({}), json!({})), taken);
    assert_eq!(
        conflicts(json!({"namespace": "n1"}), json!({"namespace": "n2"})),
        [""; 0]
    );
    assert_eq!(conflicts(json!({"namespace": "n1"}), json!({})), taken);
    assert_eq!(conflicts(labels("a", "b"), labels("a", "c")), [""; 0]);
    assert_eq!(conflicts(labels("a", "b"), labels("x", "y")), taken);
}

#[test]
fn example_v16_selectors_are_compared_exactly() {
    let b = json!({"selector": {"matchLabels": {"app": null, "a": "b"}}});
    for (expression, overlaps) in [
        (json!({"key": "a", "operator": "NotIn", "values": ["b"]}), false),
        (json!({"key": "a", "operator": "In", "values": ["b", "c"]}), true),
        (json!({"key": "a", "operator": "Exists"}), true),
        (json!({"key": "a", "operator": "DoesNotExist"}), false),
    ] {
        let errors = conflicts(b.clone(), selecting(json!([expression])));
        assert_eq!(!errors.is_empty(), overlaps, "{expression}");
    }
    let exists = selecting(json!([{"key": "z", "operator": "Exists"}]));
    assert!(!conflicts(b, exists).is_empty(), "a pod may have both labels");
}

#[test]
fn example_v17_volumes_of_one_name_must_be_equal() {
    let volume = |path: &str| {
        json!({"containers": [], "initContainers": [{"name": path, "image": "i:1"}],
            "volumes": [{"name": "v", "hostPath": {"path": format!("/{path}")}}]})
    };
    let same = |name: &str| {
        let mut set = volume("same");
        set["initContainers"][0]["name"] = name.into();
        set
    };
    assert_eq!(conflicts(same("a"), same("b")), [""; 0]);
    assert_eq!(conflicts(volume("a"), volume("b")), ["spec.volumes[0]"]);
}

#[test]
fn conflicts_of_namespace_selectors_init_containers_hot_names_and_annotations() {
    let team = |name: &str| json!({"namespaceSelector": {"matchLabels": {"team": name}}});
    assert_eq!(conflicts(team("a"), team("b")), [""; 0]);
    assert_eq!(conflicts(team("a"), team("a")), ["spec.containers[0].name"]);
    let init = json!({"containers": [], "initContainers": [{"name": "c", "image": "i:1"}]});
    assert_eq!(conflicts(init.clone(), init), ["spec.initContainers[0].name"]);
    let hot = json!({"containers": [{"name": "c", "image": "c:1",
        "upgradeStrategy": {"upgradeType": "HotUpgrade", "hotUpgradeEmptyImage": "e"}}]});
    let second = json!({"containers": [{"name": "c-2", "image": "c:1"}]});
    assert_eq!(conflicts(hot, second), ["spec.containers[0].name"]);
    let patch = |policy: &str, name: &str| json!({"containers": [{"name": name, "image": "c:1"}], "patchPodMetadata": [{"annotations": {"k": "v"}, "patchPolicy": policy}]});
    for (one, other, taken) in [
        ("Retain", "Overwrite", false),
        ("Overwrite", "Overwrite", true),
        ("Overwrite", "MergePatchJson", true),
        ("MergePatchJson", "MergePatchJson", false),
        ("Retain", "Retain", false),
    ] {
        assert_eq!(
            !conflicts(patch(one, "x"), patch(other, "y")).is_empty(),
            taken,
            "{one} {other}"
        );
    }
}

#[test]
fn kruise_884_every_other_set_is_looked_at() {
    let one = set("one", json!({}));
    let (two, three) = (
        set("two", json!({})),
        set("three", json!({"selector": {"matchLabels": {"app": "other"}}})),
    );
    for others in [[&two, &three], [&three, &two]] {
        let errors = validate_conflicts(&one, others);
        assert_eq!(told(&errors), ["spec.containers[0].name"]);
        assert_eq!(
            errors[0].kind.to_string(),
            r#"the set "two" has a container "c" too, and both may match one pod"#
        );
    }
}

#[test]
fn a_container_and_an_init_container_of_two_sets_conflict_since_a_pod_has_a_name_once() {
    let init = set(
        "one",
        json!({"containers": [], "initContainers": [{"name": "c", "image": "i:1"}]}),
    );
    let plain = set("two", json!({}));
    assert_eq!(
        told(&validate_conflicts(&init, [&plain])),
        ["spec.initContainers[0].name"]
    );
    assert_eq!(
        told(&validate_conflicts(&plain, [&init])),
        ["spec.containers[0].name"]
    );
}

#[test]
fn volumes_are_compared_with_their_defaults() {
    let sharing = |name: &str| {
        json!({"containers": [{"name": name, "image": "c:1"}],
            "volumes": [{"name": "v", "hostPath": {"path": "/v"}}, {"name": "w"}]})
    };
    let mut stored = set("old", sharing("a"));
    // As OpenKruise 0.9 stored them.
    stored.spec.volumes = serde_json::from_value(sharing("a")["volumes"].clone()).expect("volumes");
    let new = set("new", sharing("b"));
    assert_eq!(told(&validate_conflicts(&new, [&stored])), [""; 0]);
}
