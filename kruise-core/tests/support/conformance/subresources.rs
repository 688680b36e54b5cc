//! Status, scale, binding, eviction.

use serde_json::json;

use super::{Target, config_map, pod, version};

pub(super) async fn status_and_the_rest_are_written_apart(target: &Target) {
    let schema = json!({ "type": "object", "properties": { "n": { "type": "integer" } } });
    let path = target.define(&schema, |_| {}).await;
    let mut sent = target.widget("a", json!({ "n": 1 }));
    sent["status"] = json!({ "early": true });
    let made = target.post(&path, &sent).await.ok();
    assert!(made.get("status").is_none());
    let one = format!("{path}/a");
    let patch = json!({ "spec": { "n": 2 }, "status": { "x": 1 }, "metadata": { "labels": { "a": "b" } } });
    let main = target.patch(&one, "merge", &patch).await.ok();
    assert_eq!((&main["spec"]["n"], main.get("status")), (&json!(2), None));
    let patch = json!({ "spec": { "n": 3 }, "status": { "x": 1 }, "metadata": { "labels": { "a": "c" } } });
    let told = target.patch(&format!("{one}/status"), "merge", &patch).await.ok();
    assert_eq!(
        (
            &told["spec"]["n"],
            &told["status"],
            &told["metadata"]["labels"]["a"]
        ),
        (&json!(2), &json!({ "x": 1 }), &json!("b"))
    );
    let mut put = told.clone();
    put["status"] = json!({ "x": 2 });
    let put = target.put(&format!("{one}/status"), &put).await.ok();
    assert_eq!(put["status"]["x"], 2);
    target
        .put(&format!("{one}/status"), &told)
        .await
        .refused(409, "Conflict");
    assert_eq!(target.get(&format!("{one}/status")).await.ok(), put);
    target.undefine().await;
}

pub(super) async fn the_status_of_a_pod_is_written_apart(target: &Target) {
    let path = target.core("pods/a");
    target.post(&target.core("pods"), &pod("a")).await.ok();
    let condition = |kind: &str| json!({ "status": { "conditions": [{ "type": kind, "status": "True" }] } });
    let ignored = target
        .patch(&path, "strategic-merge", &condition("Ready"))
        .await
        .ok();
    assert!(ignored["status"].get("conditions").is_none());
    let status = format!("{path}/status");
    target
        .patch(&status, "strategic-merge", &condition("Ready"))
        .await
        .ok();
    let both = target
        .patch(&status, "strategic-merge", &condition("x.io/Gate"))
        .await
        .ok();
    assert_eq!(both["status"]["conditions"].as_array().unwrap().len(), 2);
    let patch =
        json!({ "spec": { "activeDeadlineSeconds": 5 }, "metadata": { "annotations": { "a": "b" } } });
    let told = target.patch(&status, "strategic-merge", &patch).await.ok();
    assert!(told["spec"].get("activeDeadlineSeconds").is_none());
    assert_eq!(told["metadata"]["annotations"]["a"], "b");
}

pub(super) async fn scale_reads_and_writes_replicas(target: &Target) {
    let schema = json!({ "type": "object", "properties": { "replicas": { "type": "integer" } } });
    let path = target
        .define(&schema, |definition| {
            definition["spec"]["versions"][0]["subresources"]["scale"] = json!({
                "specReplicasPath": ".spec.replicas",
                "statusReplicasPath": ".status.replicas",
                "labelSelectorPath": ".status.selector",
            });
        })
        .await;
    target
        .post(&path, &target.widget("a", json!({ "replicas": 3 })))
        .await
        .ok();
    let one = format!("{path}/a");
    let status = json!({ "status": { "replicas": 2, "selector": "app=a" } });
    let object = target
        .patch(&format!("{one}/status"), "merge", &status)
        .await
        .ok();
    let scale = target.get(&format!("{one}/scale")).await.ok();
    assert_eq!(
        (&scale["kind"], &scale["apiVersion"]),
        (&json!("Scale"), &json!("autoscaling/v1"))
    );
    assert_eq!(
        (&scale["spec"], &scale["status"]),
        (
            &json!({ "replicas": 3 }),
            &json!({ "replicas": 2, "selector": "app=a" })
        )
    );
    assert_eq!(version(&scale), version(&object));
    let mut more = scale.clone();
    more["spec"]["replicas"] = json!(5);
    let scaled = target.put(&format!("{one}/scale"), &more).await.ok();
    assert_eq!(scaled["spec"]["replicas"], 5);
    target
        .put(&format!("{one}/scale"), &more)
        .await
        .refused(409, "Conflict");
    let patched = target
        .patch(
            &format!("{one}/scale"),
            "merge",
            &json!({ "spec": { "replicas": 1 } }),
        )
        .await
        .ok();
    assert_eq!(patched["spec"]["replicas"], 1);
    let object = target.get(&one).await.ok();
    assert_eq!(
        (&object["spec"]["replicas"], &object["metadata"]["generation"]),
        (&json!(1), &json!(3))
    );
    target.undefine().await;
}

pub(super) async fn a_kind_without_a_subresource_has_none(target: &Target) {
    target
        .post(&target.core("configmaps"), &config_map("a"))
        .await
        .ok();
    for path in [
        target.core("configmaps/a/status"),
        target.core("configmaps/a/scale"),
        target.core("configmaps/a/x"),
    ] {
        assert_eq!(target.get(&path).await.code, 404, "{path}");
        assert_eq!(target.patch(&path, "merge", &json!({})).await.code, 404, "{path}");
    }
}

pub(super) async fn a_binding_assigns_a_pod_once(target: &Target) {
    target.post(&target.core("pods"), &pod("a")).await.ok();
    let binding = json!({
        "apiVersion": "v1", "kind": "Binding", "metadata": { "name": "a" },
        "target": { "apiVersion": "v1", "kind": "Node", "name": "no-such-node" },
    });
    let answer = target.post(&target.core("pods/a/binding"), &binding).await;
    assert_eq!(answer.code, 201, "{}", answer.body);
    assert_eq!(
        target.get(&target.core("pods/a")).await.ok()["spec"]["nodeName"],
        "no-such-node"
    );
    target
        .post(&target.core("pods/a/binding"), &binding)
        .await
        .refused(409, "Conflict");
    target
        .delete_with(&target.core("pods/a"), &json!({ "gracePeriodSeconds": 0 }))
        .await
        .ok();
}

pub(super) async fn an_eviction_deletes(target: &Target) {
    target.post(&target.core("pods"), &pod("a")).await.ok();
    let eviction = json!({ "apiVersion": "policy/v1beta1", "kind": "Eviction", "metadata": { "name": "a" } });
    let answer = target.post(&target.core("pods/a/eviction"), &eviction).await;
    assert_eq!(answer.code, 201, "{}", answer.body);
    target.get(&target.core("pods/a")).await.refused(404, "NotFound");
}
