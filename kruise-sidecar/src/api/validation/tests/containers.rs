use super::*;

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
                "env[2].valueFrom.fieldRef.fieldPath",
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
            vec!["envFrom[0]", "envFrom[1].secretRef.name"],
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
    let cold = json!({"containers": [
        {"name": "m", "image": "m:1", "upgradeStrategy": {"upgradeType": "HotUpgrade", "hotUpgradeEmptyImage": "e"}},
        {"name": "m", "image": "n:1"},
    ]});
    assert_eq!(
        wrong(cold.clone()),
        ["spec.containers[1].name"],
        "an update could not tell them apart"
    );
    let mut turned = cold;
    turned["containers"].as_array_mut().expect("a list").reverse();
    assert_eq!(wrong(turned), ["spec.containers[1].name"]);
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
    // Whether it is allowed without and with the gate, which decides where no expression is for this set.
    for (text, without, with) in [
        (
            r#"{"rules": [{"allowedAnnotationKeyExprs": ["^example"]}]}"#,
            true,
            true,
        ),
        (
            r#"{"rules": [{"allowedAnnotationKeyExprs": ["ple.com"]}]}"#,
            true,
            true,
        ),
        (
            r#"{"rules": [{"allowedAnnotationKeyExprs": ["^other"]}]}"#,
            false,
            false,
        ),
        (
            r#"{"rules": [{"selector": {"matchLabels": {"a": "b"}}, "allowedAnnotationKeyExprs": ["."]}]}"#,
            false,
            true,
        ),
        (r#"{"rules": []}"#, false, true),
        (r#"{"rules": null}"#, false, true),
    ] {
        let whitelist = read(text);
        for (allow_any_metadata, ok) in [(false, without), (true, with)] {
            let context = ValidationContext {
                whitelist: Whitelist::Is(&whitelist),
                allow_any_metadata,
                ..any
            };
            assert_eq!(wrong(&one, context).is_empty(), ok, "{text} {allow_any_metadata}");
        }
    }
    let unreadable = ValidationContext {
        whitelist: Whitelist::Unreadable,
        ..any
    };
    assert_eq!(wrong(&one, unreadable), [at], "the gate does not help");
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

#[test]
fn json_that_is_to_be_merged_must_be_json() {
    let any = ValidationContext {
        allow_any_metadata: true,
        ..ValidationContext::default()
    };
    let wrong = |policy: &str, value: &str| {
        let patch = json!([{"annotations": {"a": value}, "patchPolicy": policy}]);
        told(&validate_sidecar_set(
            &set("s", json!({ "patchPodMetadata": patch })),
            &any,
        ))
    };
    assert_eq!(
        wrong("MergePatchJson", "{oops"),
        ["spec.patchPodMetadata[0].annotations[a]"]
    );
    assert_eq!(wrong("MergePatchJson", r#"{"a": 1}"#), [""; 0]);
    assert_eq!(wrong("Overwrite", "{oops"), [""; 0]);
}

#[test]
fn canary_and_base_sets_are_refused() {
    for (key, value, refused) in [
        ("apps.kruise.io/sidecarset-canary", "true", true),
        ("apps.kruise.io/sidecarset-canary", "false", false),
        ("apps.kruise.io/sidecarset-base", "other", true),
    ] {
        let mut set = set("s", json!({}));
        let annotations = set.metadata.annotations.get_or_insert_default();
        annotations.insert(key.to_owned(), value.to_owned());
        let found = told(&validate_sidecar_set(&set, &ValidationContext::default()));
        assert_eq!(
            found == [format!("metadata.annotations[{key}]")],
            refused,
            "{key}={value}"
        );
        assert_eq!(found.is_empty(), !refused);
    }
}
