use super::*;
use serde_json::json;

fn full() -> serde_json::Value {
    json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {
            "name": "web-1", "namespace": "shop", "uid": "u-1", "resourceVersion": "42", "generation": 3,
            "creationTimestamp": "2024-05-01T10:00:00Z", "deletionTimestamp": "2024-05-02T10:00:00Z",
            "labels": {"b": "2", "a": "1"},
            "annotations": {
                "kruise.io/sidecarset-hash": "{}", "apps.kruise.io/inplace-update-state": "{}",
                "controller.kubernetes.io/pod-deletion-cost": "5",
                "kubectl.kubernetes.io/last-applied-configuration": "{}", "other": "x"},
            "managedFields": [{"manager": "x"}],
            "ownerReferences": [
                {"apiVersion": "v1", "kind": "Node", "name": "n", "uid": "n-1"},
                {"apiVersion": "apps.kruise.io/v1alpha1", "kind": "CloneSet", "name": "web", "uid": "c-1",
                 "controller": true, "blockOwnerDeletion": true}],
        },
        "spec": {
            "nodeName": "n1", "readinessGates": [{"conditionType": "InPlaceUpdateReady"}],
            "initContainers": [{"name": "mesh", "image": "mesh:1", "restartPolicy": "Always"}, {"name": "init"}],
            "containers": [{"name": "main", "image": "web:1", "env": [{"name": "A", "value": "b"}]}],
            "volumes": [{"name": "v", "emptyDir": {}}],
        },
        "status": {
            "phase": "Running", "podIP": "10.0.0.1", "qosClass": "Burstable",
            "conditions": [
                {"type": "Ready", "status": "True", "lastTransitionTime": "2024-05-01T10:01:00Z", "lastProbeTime": null},
                {"type": "New", "status": "Odd"}],
            "initContainerStatuses": [{"name": "mesh", "image": "mesh:1", "imageID": "", "ready": true, "restartCount": 0}],
            "containerStatuses": [{
                "name": "main", "image": "web:1", "imageID": "web@sha256:1", "containerID": "containerd://1",
                "ready": true, "restartCount": 2, "started": true, "lastState": {},
                "state": {"running": {"startedAt": "2024-05-01T10:00:30Z"}}}],
        },
    })
}

fn time(text: &str) -> Timestamp {
    text.parse().unwrap()
}

#[test]
fn everything_that_controllers_read_is_kept() {
    let pod: SlimPod = serde_json::from_str(&full().to_string()).unwrap();
    assert_eq!(pod.key(), ObjectKey::new("shop", "web-1"));
    assert_eq!(
        (pod.uid(), pod.resource_version(), pod.generation),
        ("u-1", "42", 3)
    );
    assert_eq!(pod.creation_timestamp, Some(time("2024-05-01T10:00:00Z")));
    assert!(pod.is_terminating());
    assert_eq!(pod.labels.iter().collect::<Vec<_>>(), [("a", "1"), ("b", "2")]);
    assert_eq!(pod.controller_owner().unwrap().name.as_ref(), "web");
    assert_eq!(pod.owners.len(), 2);
    assert_eq!(pod.node_name.as_deref(), Some("n1"));
    assert_eq!(pod.readiness_gates[0].as_ref(), "InPlaceUpdateReady");
    assert!(pod.init_containers[0].restarts_always && !pod.init_containers[1].restarts_always);
    assert_eq!(
        (pod.containers[0].name.as_ref(), pod.containers[0].image.as_ref()),
        ("main", "web:1")
    );
    assert_eq!(
        (pod.phase, pod.pod_ip.as_deref()),
        (Phase::Running, Some("10.0.0.1"))
    );
    assert!(pod.is_ready());
    assert_eq!(
        pod.condition("Ready").unwrap().last_transition_time,
        Some(time("2024-05-01T10:01:00Z"))
    );
    assert_eq!(pod.condition("New").unwrap().status, ConditionStatus::Unknown);
    let status = pod.container_status("main").unwrap();
    assert_eq!(
        (status.image_id.as_ref(), status.container_id.as_deref()),
        ("web@sha256:1", Some("containerd://1"))
    );
    assert_eq!(
        (status.ready, status.restart_count, status.started),
        (true, 2, Some(true))
    );
    assert_eq!(status.running_since, Some(time("2024-05-01T10:00:30Z")));
    assert_eq!(pod.container_status("mesh").unwrap().running_since, None);
}

#[test]
fn annotations_are_kept_only_if_somebody_reads_them() {
    let pod: SlimPod = serde_json::from_value(full()).unwrap();
    let kept: Vec<_> = pod.annotations.iter().map(|(key, _)| key).collect();
    assert_eq!(
        kept,
        [
            "apps.kruise.io/inplace-update-state",
            "controller.kubernetes.io/pod-deletion-cost",
            "kruise.io/sidecarset-hash"
        ]
    );
    assert_eq!(
        pod.annotations.get("controller.kubernetes.io/pod-deletion-cost"),
        Some("5")
    );
    assert!(!pod.annotations.contains_key("other"));
}

#[test]
fn the_text_and_the_typed_form_give_the_same() {
    let from_text: SlimPod = serde_json::from_str(&full().to_string()).unwrap();
    let typed: Pod = serde_json::from_value(full()).unwrap();
    assert_eq!(SlimPod::from_pod(&typed).unwrap(), from_text);
}

#[test]
fn absent_and_null_fields_are_empty() {
    for text in [
        r#"{"metadata":{"name":"p"}}"#,
        r#"{"metadata":{"name":"p","labels":null,"annotations":null,"ownerReferences":null,"creationTimestamp":null},
            "spec":{"containers":null,"initContainers":null,"readinessGates":null,"nodeName":""},
            "status":{"conditions":null,"containerStatuses":null,"podIP":""}}"#,
        r#"{"metadata":{"name":"p"},"spec":null,"status":null}"#,
    ] {
        let pod: SlimPod = serde_json::from_str(text).unwrap();
        assert_eq!(pod.key, ObjectKey::cluster("p"));
        assert!(pod.labels.is_empty() && pod.containers.is_empty() && pod.conditions.is_empty());
        assert_eq!(
            (pod.node_name, pod.pod_ip, pod.phase),
            (None, None, Phase::Unknown)
        );
    }
}

#[test]
fn what_is_no_pod_is_an_error_and_no_panic() {
    for text in [
        "null",
        "7",
        "{}",
        r#"{"metadata":{}}"#,
        r#"{"metadata":{"name":"p"},"spec":{"containers":7}}"#,
    ] {
        assert!(serde_json::from_str::<SlimPod>(text).is_err(), "{text}");
    }
}

#[test]
fn of_several_values_of_a_label_the_last_counts() {
    let map: StrMap = [("b", "1"), ("a", "2"), ("b", "3")].into_iter().collect();
    assert_eq!(map.iter().collect::<Vec<_>>(), [("a", "2"), ("b", "3")]);
    assert_eq!(map.len(), 2);
}
