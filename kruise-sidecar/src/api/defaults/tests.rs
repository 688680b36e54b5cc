use serde_json::{Value, json};

use super::*;

fn defaulted(spec: Value) -> Value {
    let mut set: SidecarSet =
        serde_json::from_value(json!({"metadata": {"name": "s"}, "spec": spec})).expect("a set");
    default_sidecar_set(&mut set, HashForm::default());
    serde_json::to_value(&set.spec).expect("serialises")
}

#[test]
fn strategies_and_policies_are_filled_in() {
    let spec = defaulted(json!({
        "containers": [{"name": "c", "image": "c:1", "transferEnv":
            [{"sourceContainerNameFrom": {"fieldRef": {"fieldPath": "metadata.labels['a']"}}, "envName": "E"}]}],
        "initContainers": [{"name": "i", "image": "i:1"}],
        "injectionStrategy": {"revision": {"customVersion": "1"}},
        "patchPodMetadata": [{"annotations": {"a": "b"}}],
    }));
    assert_eq!(
        spec["updateStrategy"],
        json!({"type": "RollingUpdate", "partition": 0, "maxUnavailable": 1})
    );
    assert_eq!(spec["revisionHistoryLimit"], 10);
    assert_eq!(spec["injectionStrategy"]["revision"]["policy"], "Always");
    assert_eq!(spec["patchPodMetadata"][0]["patchPolicy"], "Retain");
    let container = &spec["containers"][0];
    assert_eq!(container["podInjectPolicy"], "BeforeAppContainer");
    assert_eq!(
        container["upgradeStrategy"],
        json!({"upgradeType": "ColdUpgrade"})
    );
    assert_eq!(container["shareVolumePolicy"], json!({"type": "disabled"}));
    assert_eq!(
        container["transferEnv"][0]["sourceContainerNameFrom"]["fieldRef"]["apiVersion"],
        "v1"
    );
    assert_eq!(spec["initContainers"][0]["podInjectPolicy"], "AfterAppContainer");
    assert_eq!(
        spec["initContainers"][0]["upgradeStrategy"],
        json!({"upgradeType": "ColdUpgrade"})
    );
}

#[test]
fn what_is_set_is_kept_and_twice_is_once() {
    let spec = json!({
        "containers": [{"name": "c", "image": "c:1", "imagePullPolicy": "Never", "terminationMessagePath": "/x",
            "terminationMessagePolicy": "FallbackToLogsOnError", "podInjectPolicy": "AfterAppContainer",
            "upgradeStrategy": {"upgradeType": "HotUpgrade"}, "shareVolumePolicy": {"type": "enabled"}}],
        "updateStrategy": {"type": "NotUpdate", "partition": "20%", "maxUnavailable": 0},
        "injectionStrategy": {"revision": {"policy": "Partial"}}, "revisionHistoryLimit": 2,
        "patchPodMetadata": [{"annotations": {"a": "b"}, "patchPolicy": "Overwrite"}],
    });
    assert_eq!(defaulted(spec.clone()), spec);
    let once = defaulted(json!({"containers": [{"name": "c", "image": "c"}], "volumes": [{"name": "v"}]}));
    assert_eq!(defaulted(once.clone()), once);
}

#[test]
fn both_hashes_are_overwritten() {
    let mut set: SidecarSet = serde_json::from_value(json!({
        "metadata": {"name": "s", "annotations": {SIDECARSET_HASH: "old", "a": "b"}},
        "spec": {"containers": [{"name": "c", "image": "c:1"}]},
    }))
    .expect("a set");
    default_sidecar_set(&mut set, HashForm::default());
    let expected = hashes(&set.spec, HashForm::default());
    assert_eq!(set.hash(), Some(expected.hash.as_str()));
    assert_eq!(set.hash_without_image(), Some(expected.without_image.as_str()));
    assert_eq!(set.metadata.annotations.map(|all| all.len()), Some(3));
}

#[test]
fn containers_get_the_defaults_of_pods() {
    let spec = defaulted(json!({"containers": [{
        "name": "c", "image": "c",
        "ports": [{"containerPort": 1}, {"containerPort": 2, "protocol": "UDP"}],
        "env": [{"name": "A", "valueFrom": {"fieldRef": {"fieldPath": "spec.nodeName"}}}, {"name": "B"}],
        "resources": {"limits": {"cpu": "0.0001", "memory": "1Gi"}, "requests": {"cpu": 1}},
        "livenessProbe": {"httpGet": {"port": 1}, "periodSeconds": 5},
        "readinessProbe": {"tcpSocket": {"port": 1}},
        "startupProbe": {"httpGet": {"port": 1}},
        "lifecycle": {"preStop": {"httpGet": {"port": 1, "path": "/stop"}}},
    }]}));
    let container = &spec["containers"][0];
    assert_eq!(container["imagePullPolicy"], "Always");
    assert_eq!(container["terminationMessagePath"], "/dev/termination-log");
    assert_eq!(container["terminationMessagePolicy"], "File");
    assert_eq!(container["ports"][0]["protocol"], "TCP");
    assert_eq!(container["ports"][1]["protocol"], "UDP");
    assert_eq!(container["env"][0]["valueFrom"]["fieldRef"]["apiVersion"], "v1");
    assert_eq!(
        container["resources"],
        json!({"limits": {"cpu": "1m", "memory": "1Gi"}, "requests": {"cpu": 1}})
    );
    assert_eq!(
        container["livenessProbe"],
        json!({"httpGet": {"port": 1, "path": "/", "scheme": "HTTP"},
        "timeoutSeconds": 1, "periodSeconds": 5, "successThreshold": 1, "failureThreshold": 3})
    );
    assert_eq!(container["readinessProbe"]["timeoutSeconds"], 1);
    assert_eq!(container["startupProbe"], json!({"httpGet": {"port": 1}}));
    assert_eq!(
        container["lifecycle"]["preStop"]["httpGet"],
        json!({"port": 1, "path": "/stop", "scheme": "HTTP"})
    );
}

#[test]
fn example_v9_a_volume_without_a_source_is_an_empty_dir() {
    let spec = defaulted(json!({"volumes": [
        {"name": "a"}, {"name": "b", "secret": {"secretName": "s"}}, {"name": "c", "hostPath": {"path": "/x"}},
        {"name": "d", "projected": {"sources": [{"serviceAccountToken": {"path": "t"}}, {"downwardAPI":
            {"items": [{"path": "l", "fieldRef": {"fieldPath": "metadata.labels"}}]}}]}},
        {"name": "e", "configMap": {"name": "m", "defaultMode": 256}},
    ]}));
    assert_eq!(
        spec["volumes"],
        json!([
            {"name": "a", "emptyDir": {}}, {"name": "b", "secret": {"secretName": "s", "defaultMode": 420}},
            {"name": "c", "hostPath": {"path": "/x", "type": ""}},
            {"name": "d", "projected": {"defaultMode": 420, "sources": [
                {"serviceAccountToken": {"path": "t", "expirationSeconds": 3600}}, {"downwardAPI":
                {"items": [{"path": "l", "fieldRef": {"fieldPath": "metadata.labels", "apiVersion": "v1"}}]}}]}},
            {"name": "e", "configMap": {"name": "m", "defaultMode": 256}},
        ])
    );
}

#[test]
fn odd_objects_are_left_alone() {
    let odd = json!({"containers": [{"name": 7, "image": [], "ports": {}, "env": [1, null], "resources": 1,
        "livenessProbe": [], "lifecycle": {"preStop": 1}}], "volumes": [{"name": "v", "secret": 1}]});
    let spec = defaulted(odd);
    assert_eq!(spec["containers"][0]["env"], json!([1, null]));
    assert_eq!(spec["volumes"], json!([{"name": "v", "secret": 1}]));
}

#[test]
fn zero_is_a_value_where_go_has_a_pointer() {
    let volumes = json!([
        {"name": "a", "secret": {"secretName": "s", "defaultMode": 0}},
        {"name": "b", "projected": {"defaultMode": 0, "sources": [
            {"serviceAccountToken": {"path": "t", "expirationSeconds": 0}}]}},
    ]);
    assert_eq!(defaulted(json!({ "volumes": volumes }))["volumes"], volumes);
}
