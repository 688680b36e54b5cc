//! Rules of injection beyond the worked examples: names, hot upgrade, metadata, namespaces, devices.
#![allow(clippy::unwrap_used, reason = "tests fail that way")]

mod inject_support;

use std::collections::BTreeMap;

use inject_support::*;
use kruise_sidecar::inject::{InjectConfig, Injector, Moment, Problem};
use serde_json::{Value, json};

fn main_pod() -> Value {
    pod(json!({"containers": [{"name": "main"}]}))
}

#[test]
fn init_containers_get_volumes_variables_and_mounts_as_sidecars_do() {
    let sets = [set(
        "s",
        yaml(
            r#"
initContainers:
- name: native
  restartPolicy: Always
  podInjectPolicy: BeforeAppContainer
  shareVolumePolicy: {type: enabled}
  transferEnv: [{sourceContainerName: main, envName: K}]
  volumeMounts: [{name: own, mountPath: /own}]
volumes: [{name: own, emptyDir: {}}]
"#,
        ),
    )];
    let pod = pod(json!({
        "containers": [{"name": "main", "env": [{"name": "K", "valueFrom": {"fieldRef": {"fieldPath": "spec.nodeName"}}}],
            "volumeMounts": [{"name": "d", "mountPath": "/d", "mountPropagation": "HostToContainer", "readOnly": true}]}],
        "initContainers": [{"name": "own-init", "volumeMounts": [{"name": "d", "mountPath": "/never-shared"}]}],
        "volumes": [{"name": "d"}],
    }));
    let pod = injected(&sets, &pod);
    assert_eq!(
        each(&pod["spec"]["initContainers"], "name"),
        ["native", "own-init"]
    );
    let native = container(&pod, "native");
    assert_eq!(mounts(native), ["/own→own", "/d→d"]);
    assert_eq!(native["volumeMounts"][1]["mountPropagation"], "HostToContainer");
    assert_eq!(
        native["env"][1]["valueFrom"]["fieldRef"]["fieldPath"],
        "spec.nodeName"
    );
    assert_eq!(each(&pod["spec"]["volumes"], "name"), ["d", "own"]);
    assert!(annotation(&pod, "kruise.io/sidecarset-hash").contains(r#""sidecarList":["native"]"#));
}

#[test]
fn devices_are_shared_by_path_and_paths_of_mounts_and_devices_exclude_each_other() {
    let sets = [set(
        "s",
        yaml(
            r#"
containers:
- name: c
  shareVolumePolicy: {type: enabled}
  shareVolumeDevicePolicy: {type: enabled}
  volumeMounts: [{name: own, mountPath: /a}]
  volumeDevices: [{name: dev, devicePath: /b}]
- {name: only-mounts, shareVolumePolicy: {type: enabled}}
volumes: [{name: own, emptyDir: {}}, {name: dev, persistentVolumeClaim: {claimName: d}}]
"#,
        ),
    )];
    let pod = pod(yaml(
        r#"
containers:
- name: main
  volumeMounts: [{name: x, mountPath: /b}, {name: x, mountPath: /c}]
  volumeDevices: [{name: y, devicePath: /a}, {name: y, devicePath: /d}]
volumes: [{name: x}, {name: y}]
"#,
    ));
    let pod = injected(&sets, &pod);
    let c = container(&pod, "c");
    assert_eq!(mounts(c), ["/a→own", "/c→x"]);
    assert_eq!(each(&c["volumeDevices"], "devicePath"), ["/b", "/d"]);
    assert_eq!(each(&pod["spec"]["volumes"], "name"), ["x", "y", "own", "dev"]);
    assert_eq!(container(&pod, "only-mounts").get("volumeDevices"), None);
}

#[test]
fn a_volume_that_nobody_has_is_told_and_does_no_harm() {
    let sets = [set(
        "s",
        json!({"containers": [{"name": "c", "volumeMounts": [{"name": "none", "mountPath": "/n"}]}]}),
    )];
    let done = inject(&sets, &main_pod()).unwrap();
    assert_eq!(
        done.warnings,
        [r#"SidecarSet "s": container "c" mounts the volume "none", which neither set nor pod has"#]
    );
    assert_eq!(patched(&main_pod(), &done)["spec"].get("volumes"), None);
}

#[test]
fn l_1_a_hot_upgraded_sidecar_becomes_two_containers() {
    let sets = [set(
        "s",
        yaml(
            r#"
containers:
- name: envoy
  image: envoy:1
  upgradeStrategy: {upgradeType: HotUpgrade, hotUpgradeEmptyImage: empty:1}
  transferEnv: [{sourceContainerName: main, envName: K}]
- name: plain
"#,
        ),
    )];
    let mut before = pod(json!({"containers": [{"name": "main", "env": [{"name": "K", "value": "k"}]}]}));
    before["metadata"]["annotations"] =
        json!({"kruise.io/sidecarset-working-hotupgrade-container": r#"{"other":"other-2"}"#});
    let pod = injected(&sets, &before);
    assert_eq!(
        each(&pod["spec"]["containers"], "name"),
        ["envoy-1", "envoy-2", "plain", "main"]
    );
    assert_eq!(container(&pod, "envoy-1")["image"], "envoy:1");
    assert_eq!(container(&pod, "envoy-2")["image"], "empty:1");
    let second = container(&pod, "envoy-2");
    assert_eq!(
        env(second),
        [
            "IS_INJECTED=true",
            "K=k",
            "SIDECARSET_VERSION=?",
            "SIDECARSET_VERSION_ALT=?"
        ]
    );
    let path = |at: usize| {
        second["env"][at]["valueFrom"]["fieldRef"]["fieldPath"]
            .as_str()
            .unwrap()
    };
    assert_eq!(
        path(2),
        "metadata.annotations['version.sidecarset.kruise.io/envoy-2']"
    );
    assert_eq!(
        path(3),
        "metadata.annotations['versionalt.sidecarset.kruise.io/envoy-2']"
    );
    let value = |key: &str| annotation(&pod, key);
    assert_eq!(
        value("kruise.io/sidecarset-working-hotupgrade-container"),
        r#"{"envoy":"envoy-1","other":"other-2"}"#
    );
    assert_eq!(value("version.sidecarset.kruise.io/envoy-1"), "1");
    assert_eq!(value("versionalt.sidecarset.kruise.io/envoy-1"), "0");
    assert_eq!(value("version.sidecarset.kruise.io/envoy-2"), "0");
    assert_eq!(value("versionalt.sidecarset.kruise.io/envoy-2"), "1");
    assert!(value("kruise.io/sidecarset-hash").contains(r#""sidecarList":["envoy","plain"]"#));
}

fn metadata(policy: &str, key: &str, value: &str) -> Value {
    json!({"patchPolicy": policy, "annotations": {key: value}})
}

fn with_metadata(patches: Value, held: Value) -> Value {
    let sets = [set(
        "s",
        json!({"containers": [{"name": "c"}], "patchPodMetadata": patches}),
    )];
    let mut pod = main_pod();
    pod["metadata"]["annotations"] = held;
    injected(&sets, &pod)["metadata"]["annotations"].clone()
}

#[test]
fn l_9_json_is_merged_and_written_compact_and_sorted() {
    let merge = |value: &str, held: Value| {
        with_metadata(json!([metadata("MergePatchJson", "k", value)]), held)["k"].clone()
    };
    assert_eq!(
        merge(r#"{"b":2}"#, json!({"k": r#"{"a":1}"#})),
        r#"{"a":1,"b":2}"#
    );
    assert_eq!(
        merge(
            r#"{"a": {"y": null}}"#,
            json!({"k": r#"{"z":0,"a":{"y":1,"x":2}}"#})
        ),
        r#"{"a":{"x":2},"z":0}"#
    );
    assert_eq!(
        merge(r#"{ "b": 2 }"#, json!({})),
        r#"{ "b": 2 }"#,
        "as it is written where nothing is"
    );
    assert_eq!(merge(r#"{ "b": 2 }"#, json!({"k": ""})), r#"{ "b": 2 }"#);
    assert_eq!(
        merge(r#"{"b":2}"#, json!({"k": r#"{ "b": 2 }"#})),
        r#"{ "b": 2 }"#,
        "nothing to change"
    );
    assert_eq!(merge(r#"{"b":null,"c":1}"#, json!(null)), r#"{"c":1}"#);
}

#[test]
fn l_10_retain_sets_what_is_missing_and_overwrite_all() {
    let patches = |policy: &str| json!([metadata(policy, "x", "new")]);
    assert_eq!(with_metadata(patches("Retain"), json!({"x": "old"}))["x"], "old");
    assert_eq!(with_metadata(patches("Retain"), json!({"y": "old"}))["x"], "new");
    assert_eq!(with_metadata(patches("Retain"), json!(null))["x"], "new");
    assert_eq!(
        with_metadata(patches("Overwrite"), json!({"x": "old"}))["x"],
        "new"
    );
    assert_eq!(
        with_metadata(json!([{"annotations": {"x": "new"}}]), json!({"x": "old"}))["x"],
        "old"
    );
}

#[test]
fn json_that_cannot_be_merged_refuses_the_pod() {
    let sets = |value: &str| {
        let patches = json!([metadata("MergePatchJson", "k", value)]);
        [set(
            "s",
            json!({"containers": [{"name": "c"}], "patchPodMetadata": patches}),
        )]
    };
    let mut pod = main_pod();
    assert!(
        message(&inject(&sets("{"), &pod).unwrap_err()).contains(r#"annotation "k" of the set is not JSON"#)
    );
    pod["metadata"]["annotations"] = json!({"k": "{"});
    assert!(
        message(&inject(&sets("{}"), &pod).unwrap_err()).contains(r#"annotation "k" of the pod is not JSON"#)
    );
}

#[test]
fn the_source_of_variables_may_stand_in_a_label_or_annotation() {
    let from = |path: &str| {
        json!({"sourceContainerName": "ignored", "envName": "K",
        "sourceContainerNameFrom": {"fieldRef": {"fieldPath": path}}})
    };
    let sets = |path: &str| {
        [set(
            "s",
            json!({"containers": [{"name": "c", "transferEnv": [from(path)]}]}),
        )]
    };
    let mut pod = pod(json!({"containers": [{"name": "main", "env": [{"name": "K", "value": "k"}]}]}));
    pod["metadata"]["labels"]["app-container"] = json!("main");
    pod["metadata"]["annotations"] = json!({"example.com/main": "main"});
    let got = |path: &str| env(container(&injected(&sets(path), &pod), "c")).len();
    assert_eq!(got("metadata.labels['app-container']"), 2);
    assert_eq!(got("metadata.annotations['example.com/main']"), 2);
    assert_eq!(got("metadata.labels['none']"), 1);
    assert_eq!(got("metadata.name"), 1);
}

#[test]
fn a_set_that_is_paused_selects_nothing() {
    let sets = [set(
        "s",
        json!({"containers": [{"name": "c"}], "injectionStrategy": {"paused": true}}),
    )];
    assert_eq!(inject(&sets, &main_pod()).unwrap(), Default::default());
}

#[test]
fn a_selector_that_is_absent_or_empty_selects_nothing() {
    for selector in [json!(null), json!({}), json!({"matchLabels": {}})] {
        let sets = [set(
            "s",
            json!({"containers": [{"name": "c"}], "selector": selector}),
        )];
        assert_eq!(inject(&sets, &main_pod()).unwrap().sets.len(), 0);
    }
}

#[test]
fn pods_that_end_are_left_alone() {
    let sets = [set("s", json!({"containers": [{"name": "c"}]}))];
    let mut deleted = main_pod();
    deleted["metadata"]["deletionTimestamp"] = json!("2021-01-01T00:00:00Z");
    let mut ended = main_pod();
    ended["status"] = json!({"phase": "Failed"});
    for pod in [deleted, ended] {
        assert_eq!(inject(&sets, &pod).unwrap(), Default::default());
    }
}

#[test]
fn labels_of_the_namespace_decide_and_if_they_are_unknown_nothing_matches() {
    let sets = |selector: Value| {
        [set(
            "s",
            json!({"containers": [{"name": "c"}], "namespaceSelector": selector}),
        )]
    };
    let matches = |selector: Value, labels: Option<&BTreeMap<String, String>>| {
        let mut moment = Moment::new(now());
        moment.namespace_labels = labels.map(|labels| labels as _);
        let done = injector(&sets(selector))
            .inject_value(&main_pod(), &moment)
            .unwrap();
        !done.sets.is_empty()
    };
    let gold = [("tier".to_owned(), "gold".to_owned())].into();
    let tier = json!({"matchLabels": {"tier": "gold"}});
    let no_tier = json!({"matchExpressions": [{"key": "tier", "operator": "DoesNotExist"}]});
    let by_name = json!({"matchLabels": {"kubernetes.io/metadata.name": "shop"}});
    assert!(matches(tier.clone(), Some(&gold)));
    assert!(!matches(no_tier.clone(), Some(&gold)));
    assert!(!matches(tier.clone(), None));
    assert!(!matches(no_tier.clone(), None));
    assert!(matches(by_name.clone(), None), "the name is known");

    let needs = |selector: Value| {
        injector(&sets(selector))
            .needs_namespace(&main_pod().to_string(), "")
            .unwrap()
    };
    assert!(needs(tier) && needs(no_tier) && !needs(by_name));
}

#[test]
fn a_bad_selector_is_told_when_the_set_is_compiled() {
    let selector = json!({"matchExpressions": [{"key": "a", "operator": "Sometimes"}]});
    let bad = set("s", json!({"containers": [{"name": "c"}], "selector": selector}));
    let problem = kruise_sidecar::inject::compile(&bad, &[], Default::default()).unwrap_err();
    assert!(matches!(problem, Problem::Selector(_)));
}

#[test]
fn fields_nobody_knows_reach_the_pod_and_those_of_the_pod_stay() {
    let sets = [set(
        "s",
        json!({"containers": [{"name": "c", "futureField": {"a": [1, null, 1.5]}}],
        "volumes": []}),
    )];
    let mut before = main_pod();
    before["spec"]["future"] = json!({"deep": [{"x": 1}]});
    before["spec"]["containers"][0]["future"] = json!(null);
    let after = injected(&sets, &before);
    assert_eq!(
        container(&after, "c")["futureField"],
        json!({"a": [1, null, 1.5]})
    );
    assert_eq!(after["spec"]["future"], before["spec"]["future"]);
    assert_eq!(*container(&after, "main"), before["spec"]["containers"][0]);
}

#[test]
fn containers_of_all_sets_are_sorted_by_name_if_that_is_wanted() {
    let sets = [
        set(
            "a",
            json!({"containers": [{"name": "z"}, {"name": "m", "podInjectPolicy": "AfterAppContainer"}]}),
        ),
        set(
            "b",
            json!({"containers": [{"name": "c"}, {"name": "b", "podInjectPolicy": "AfterAppContainer"}]}),
        ),
    ];
    let mut config = InjectConfig::default();
    config.sort_by_name = true;
    let injector = Injector::new(sets.iter().map(ready), config);
    let done = injector.inject_value(&main_pod(), &Moment::new(now())).unwrap();
    let pod = patched(&main_pod(), &done);
    assert_eq!(
        each(&pod["spec"]["containers"], "name"),
        ["c", "z", "main", "b", "m"]
    );
}

#[test]
fn a_pod_without_lists_gets_them() {
    let sets = [set(
        "s",
        yaml(
            r#"
selector: {matchExpressions: [{key: app, operator: DoesNotExist}]}
initContainers: [{name: i}]
containers: [{name: b, volumeMounts: [{name: v, mountPath: /v}]}, {name: a, podInjectPolicy: AfterAppContainer}]
volumes: [{name: v, emptyDir: {}}]
imagePullSecrets: [{name: k}]
"#,
        ),
    )];
    let after = injected(&sets, &json!({"spec": {}}));
    assert_eq!(each(&after["spec"]["containers"], "name"), ["b", "a"]);
    assert_eq!(each(&after["spec"]["initContainers"], "name"), ["i"]);
    assert_eq!(each(&after["spec"]["volumes"], "name"), ["v"]);
    assert_eq!(annotation(&after, "kruise.io/sidecarset-injected-list"), "s");
    assert!(
        inject(&sets, &json!({"metadata": {}})).is_err(),
        "without a spec it is no pod"
    );
    assert!(inject(&sets, &json!([null, {}, null])).is_err());
}
