use serde_json::{Value, json};

use super::super::{HashForm, default_sidecar_set};
use super::*;

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
fn examples_v8_and_v9_mounts_need_volumes_with_one_source() {
    let mount = json!({"containers": [{"name": "c", "image": "c:1", "volumeMounts": [{"name": "x", "mountPath": "/x"}]}]});
    assert_eq!(wrong(mount), ["spec.containers[0].volumeMounts[0].name"]);
    assert_eq!(
        wrong(json!({"volumes": [{"name": "v"}]})),
        [""; 0],
        "it becomes an emptyDir"
    );
    let two = json!({"volumes": [{"name": "v", "emptyDir": {}, "hostPath": {"path": "/"}}]});
    assert_eq!(wrong(two), ["spec.volumes[0]"]);
    let projected = json!({"volumes": [{"name": "v", "projected": {"sources": [{"serviceAccountToken": {"path": "t"}}]}}]});
    assert_eq!(wrong(projected), [""; 0]);
    let twice = json!({"volumes": [{"name": "v", "emptyDir": {}}, {"name": "v", "emptyDir": {}}, {"name": "W", "hostPath": {}}]});
    assert_eq!(
        wrong(twice),
        [
            "spec.volumes[1].name",
            "spec.volumes[2].name",
            "spec.volumes[2].hostPath.path"
        ]
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
    assert_eq!(
        conflicts(init.clone(), json!({})),
        [""; 0],
        "init containers are not compared with containers"
    );
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
fn unknown_words_are_refused() {
    let container = |change: Value| {
        let mut container = json!({"name": "c", "image": "c:1"});
        json_patch::merge(&mut container, &change);
        wrong(json!({ "containers": [container] }))
    };
    let at = |rest: &str| vec![format!("spec.containers[0].{rest}")];
    assert_eq!(
        wrong(json!({"updateStrategy": {"type": "Sometimes"}})),
        ["spec.updateStrategy.type"]
    );
    assert_eq!(
        container(json!({"podInjectPolicy": "Middle"})),
        at("podInjectPolicy")
    );
    assert_eq!(
        container(json!({"shareVolumePolicy": {"type": "Enabled"}})),
        at("shareVolumePolicy.type")
    );
    assert_eq!(
        container(json!({"shareVolumeDevicePolicy": {"type": "on"}})),
        at("shareVolumeDevicePolicy.type")
    );
    assert_eq!(
        container(json!({"upgradeStrategy": {"upgradeType": "Warm"}})),
        at("upgradeStrategy.upgradeType")
    );
    assert_eq!(
        container(json!({"upgradeStrategy": {"upgradeType": "HotUpgrade"}})),
        at("upgradeStrategy.hotUpgradeEmptyImage")
    );
    assert_eq!(container(json!({"resourcesPolicy": {}})), at("resourcesPolicy"));
    assert_eq!(
        container(json!({"imagePullPolicy": "Maybe"})),
        at("imagePullPolicy")
    );
    let error = &validate_sidecar_set(
        &set("s", json!({"updateStrategy": {"type": "Sometimes"}})),
        &ValidationContext::default(),
    )[0];
    assert_eq!(
        error.to_string(),
        r#"spec.updateStrategy.type: "Sometimes" is not one of NotUpdate, RollingUpdate"#
    );
}

#[test]
fn containers_are_judged_as_those_of_one_pod() {
    let wrong = |container: Value| {
        wrong(json!({"containers": [container], "volumes": [{"name": "v", "emptyDir": {}}]}))
    };
    let table = [
        (json!({"image": "c:1"}), vec!["name"]),
        (json!({"name": "Upper", "image": "c:1"}), vec!["name"]),
        (json!({"name": "c"}), vec!["image"]),
        (json!({"name": "c", "image": 7}), vec!["image"]),
        (
            json!({"name": "c", "image": "c", "ports": [{"containerPort": 0}, {"containerPort": 1, "hostPort": 70000}, 7]}),
            vec!["ports[0].containerPort", "ports[1].hostPort", "ports[2]"],
        ),
        (json!({"name": "c", "image": "c", "ports": {}}), vec!["ports"]),
        (
            json!({"name": "c", "image": "c", "env": [{"value": "x"}, {"name": "A=B"}, {"name": "A", "value": "x", "valueFrom": {"fieldRef": {}}},
            {"name": "B", "valueFrom": {}}]}),
            vec![
                "env[0].name",
                "env[1].name",
                "env[2].valueFrom",
                "env[3].valueFrom",
            ],
        ),
        (
            json!({"name": "c", "image": "c", "volumeMounts": [{"name": "v", "mountPath": "/a"}, {"name": "v", "mountPath": "/a"},
            {"name": "v", "mountPath": "/b", "subPath": "../x"}, {"name": "v", "mountPath": "/c", "subPath": "a", "subPathExpr": "b"}],
            "volumeDevices": [{"name": "v", "devicePath": "/b"}, {"name": "w", "devicePath": ""}]}),
            vec![
                "volumeMounts[1].mountPath",
                "volumeMounts[2].subPath",
                "volumeMounts[3].subPathExpr",
                "volumeDevices[0].devicePath",
                "volumeDevices[1].name",
                "volumeDevices[1].devicePath",
            ],
        ),
        (
            json!({"name": "c", "image": "c", "resources": {"limits": {"cpu": "1", "memory": "x"}, "requests": {"cpu": 2, "memory": "-1"}}}),
            vec![
                "resources.limits[memory]",
                "resources.requests[memory]",
                "resources.requests[cpu]",
            ],
        ),
        (
            json!({"name": "c", "image": "c", "livenessProbe": {"exec": {}, "grpc": {}, "periodSeconds": -1}, "lifecycle": {"preStop": {}}}),
            vec![
                "livenessProbe",
                "livenessProbe.periodSeconds",
                "lifecycle.preStop",
            ],
        ),
        (
            json!({"name": "c", "image": "c", "envFrom": [{"prefix": "x"}, {"secretRef": {}}]}),
            vec!["envFrom[0]"],
        ),
    ];
    for (container, fields) in table {
        let fields: Vec<_> = fields
            .iter()
            .map(|field| format!("spec.containers[0].{field}"))
            .collect();
        assert_eq!(wrong(container.clone()), fields, "{container}");
    }
}

#[test]
fn names_are_unique_over_all_containers_hot_ones_as_two() {
    let both = json!({"initContainers": [{"name": "c", "image": "i:1"}]});
    assert_eq!(wrong(both), ["spec.initContainers[0].name"]);
    let hot = json!({"containers": [
        {"name": "m", "image": "m:1", "upgradeStrategy": {"upgradeType": "HotUpgrade", "hotUpgradeEmptyImage": "e"}},
        {"name": "m-2", "image": "n:1"},
    ]});
    assert_eq!(wrong(hot), ["spec.containers[1].name"]);
}

#[test]
fn init_containers_that_end_have_no_probes_and_native_sidecars_are_not_upgraded() {
    let init = |change: Value| {
        let mut init = json!({"name": "i", "image": "i:1", "livenessProbe": {"exec": {"command": ["x"]}}});
        json_patch::merge(&mut init, &change);
        init
    };
    assert_eq!(
        wrong(json!({"initContainers": [init(json!({}))]})),
        ["spec.initContainers[0].livenessProbe"]
    );
    let native = init(json!({"restartPolicy": "Always"}));
    assert_eq!(
        wrong(json!({"initContainers": [native]})),
        ["spec.initContainers[0].restartPolicy"]
    );
    let kept = json!({"initContainers": [native], "updateStrategy": {"type": "NotUpdate"}});
    assert_eq!(wrong(kept), [""; 0]);
    let hot = init(json!({"livenessProbe": null, "upgradeStrategy": {"upgradeType": "HotUpgrade"}}));
    assert_eq!(
        wrong(json!({"initContainers": [hot]})),
        ["spec.initContainers[0].upgradeStrategy.upgradeType"]
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

#[test]
fn sources_of_environment_are_labels_or_annotations() {
    let wrong = |path: &str, version: &str| {
        wrong(
            json!({"containers": [{"name": "c", "image": "c:1", "transferEnv": [{"envName": "A",
            "sourceContainerNameFrom": {"fieldRef": {"fieldPath": path, "apiVersion": version}}}]}]}),
        )
    };
    let path = "spec.containers[0].transferEnv[0].sourceContainerNameFrom.fieldRef";
    assert_eq!(wrong("metadata.labels['app']", "v1"), [""; 0]);
    assert_eq!(wrong("metadata.annotations['example.com/Main']", "v1"), [""; 0]);
    for bad in [
        "metadata.name",
        "metadata.labels['']",
        "metadata.labels[a]",
        "spec.nodeName",
    ] {
        assert_eq!(wrong(bad, "v1"), [format!("{path}.fieldPath")]);
    }
    assert_eq!(
        wrong("metadata.labels['app']", "v2"),
        [format!("{path}.apiVersion")]
    );
}

#[test]
fn annotations_need_a_whitelist() {
    let set = |policy: &str, keys: &[&str]| {
        let annotations: Value = keys
            .iter()
            .map(|key| ((*key).to_owned(), Value::from("v")))
            .collect();
        set(
            "s",
            json!({"patchPodMetadata": [{"annotations": annotations, "patchPolicy": policy}]}),
        )
    };
    let wrong = |set: &SidecarSet, context: ValidationContext<'_>| told(&validate_sidecar_set(set, &context));
    let one = set("Retain", &["example.com/a"]);
    let at = "spec.patchPodMetadata[0].annotations[example.com/a]";
    assert_eq!(wrong(&one, ValidationContext::default()), [at]);
    let any = ValidationContext {
        allow_any_metadata: true,
        ..ValidationContext::default()
    };
    assert_eq!(wrong(&one, any), [""; 0]);
    let read = |text: &str| PatchWhitelist::parse(text).expect("a whitelist");
    for (text, ok) in [
        (
            r#"{"rules": [{"allowedAnnotationKeyExprs": ["^example"]}]}"#,
            true,
        ),
        (r#"{"rules": [{"allowedAnnotationKeyExprs": ["ple.com"]}]}"#, true),
        (r#"{"rules": [{"allowedAnnotationKeyExprs": ["^other"]}]}"#, false),
        (
            r#"{"rules": [{"selector": {"matchLabels": {"a": "b"}}, "allowedAnnotationKeyExprs": ["."]}]}"#,
            false,
        ),
        (r#"{"rules": []}"#, false),
    ] {
        let whitelist = read(text);
        let context = ValidationContext {
            whitelist: Some(&whitelist),
            ..any
        };
        assert_eq!(wrong(&one, context).is_empty(), ok, "{text}");
    }
    assert_eq!(
        wrong(&set("Now", &["a"]), any),
        ["spec.patchPodMetadata[0].patchPolicy"]
    );
    assert_eq!(
        wrong(&set("Retain", &[]), any),
        ["spec.patchPodMetadata[0].annotations"]
    );
    assert_eq!(
        wrong(&set("Retain", &["a b"]), any),
        ["spec.patchPodMetadata[0].annotations[a b]"]
    );
    for text in ["x", r#"{"rules": [{"allowedAnnotationKeyExprs": ["("]}]}"#] {
        PatchWhitelist::parse(text).expect_err("not a whitelist");
    }
}
