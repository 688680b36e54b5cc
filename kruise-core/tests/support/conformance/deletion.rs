//! Deletions.

use serde_json::json;

use super::{Target, config_map, name, names, pod, version};

pub(super) async fn deletion_answers_and_removes(target: &Target) {
    let made = target
        .post(&target.core("configmaps"), &config_map("a"))
        .await
        .ok();
    let path = target.core("configmaps/a");
    let status = target.delete(&path).await.ok();
    assert_eq!(
        (&status["kind"], &status["status"]),
        (&json!("Status"), &json!("Success"))
    );
    assert_eq!(
        status["details"],
        json!({ "name": "a", "kind": "configmaps", "uid": made["metadata"]["uid"] })
    );
    target.delete(&path).await.refused(404, "NotFound");
    // The name is free again, for another object.
    let next = target
        .post(&target.core("configmaps"), &config_map("a"))
        .await
        .ok();
    assert_ne!(next["metadata"]["uid"], made["metadata"]["uid"]);
}

pub(super) async fn finalizers_hold_what_is_deleted(target: &Target) {
    let path = target
        .define(
            &json!({ "type": "object", "x-kubernetes-preserve-unknown-fields": true }),
            |_| {},
        )
        .await;
    let mut held = target.widget("a", json!({}));
    held["metadata"]["finalizers"] = json!(["x.io/a", "x.io/b"]);
    let made = target.post(&path, &held).await.ok();
    let one = format!("{path}/a");
    let deleted = target.delete(&one).await.ok();
    assert!(deleted["metadata"]["deletionTimestamp"].is_string());
    assert_eq!(deleted["metadata"]["deletionGracePeriodSeconds"], 0);
    assert_eq!(deleted["metadata"]["generation"], 2);
    assert_ne!(version(&deleted), version(&made));
    // Deleted again it stays as it is, and it may still be changed.
    assert_eq!(version(&target.delete(&one).await.ok()), version(&deleted));
    target
        .patch(&one, "merge", &json!({ "spec": { "n": 1 } }))
        .await
        .ok();
    let left = target
        .patch(
            &one,
            "merge",
            &json!({ "metadata": { "finalizers": ["x.io/b"] } }),
        )
        .await
        .ok();
    assert_eq!(
        left["metadata"]["deletionTimestamp"],
        deleted["metadata"]["deletionTimestamp"]
    );
    let last = target
        .patch(&one, "merge", &json!({ "metadata": { "finalizers": null } }))
        .await
        .ok();
    assert_eq!(name(&last), "a");
    target.get(&one).await.refused(404, "NotFound");
    target.undefine().await;
}

pub(super) async fn no_finalizer_comes_to_what_is_deleted(target: &Target) {
    let mut held = config_map("a");
    held["metadata"]["finalizers"] = json!(["x.io/a"]);
    target.post(&target.core("configmaps"), &held).await.ok();
    let path = target.core("configmaps/a");
    target.delete(&path).await.ok();
    let more = json!({ "metadata": { "finalizers": ["x.io/a", "x.io/b"] } });
    target.patch(&path, "merge", &more).await.refused(422, "Invalid");
    target
        .patch(&path, "merge", &json!({ "metadata": { "finalizers": [] } }))
        .await
        .ok();
    target.get(&path).await.refused(404, "NotFound");
}

pub(super) async fn a_pod_on_a_node_gets_time_to_end(target: &Target) {
    let mut on_node = pod("a");
    on_node["spec"]["nodeName"] = json!("no-such-node");
    on_node["spec"]["terminationGracePeriodSeconds"] = json!(300);
    target.post(&target.core("pods"), &on_node).await.ok();
    let path = target.core("pods/a");
    let deleted = target.delete(&path).await.ok();
    assert_eq!(deleted["kind"], "Pod");
    assert_eq!(deleted["metadata"]["deletionGracePeriodSeconds"], 300);
    // A longer time is not given any more, a shorter one is.
    let longer = target
        .delete_with(&path, &json!({ "gracePeriodSeconds": 900 }))
        .await
        .ok();
    assert_eq!(longer["metadata"]["deletionGracePeriodSeconds"], 300);
    let shorter = target
        .delete_with(&path, &json!({ "gracePeriodSeconds": 60 }))
        .await
        .ok();
    assert_eq!(shorter["metadata"]["deletionGracePeriodSeconds"], 60);
    target.get(&path).await.ok();
    target.delete(&format!("{path}?gracePeriodSeconds=0")).await.ok();
    target.get(&path).await.refused(404, "NotFound");
}

pub(super) async fn a_pod_without_a_node_goes_at_once(target: &Target) {
    target.post(&target.core("pods"), &pod("a")).await.ok();
    let deleted = target.delete(&target.core("pods/a")).await.ok();
    assert_eq!((&deleted["kind"], name(&deleted)), (&json!("Pod"), "a"));
    target.get(&target.core("pods/a")).await.refused(404, "NotFound");
    // One that has ended, too.
    let mut on_node = pod("b");
    on_node["spec"]["nodeName"] = json!("no-such-node");
    target.post(&target.core("pods"), &on_node).await.ok();
    let path = target.core("pods/b");
    target
        .patch(
            &format!("{path}/status"),
            "merge",
            &json!({ "status": { "phase": "Succeeded" } }),
        )
        .await
        .ok();
    target.delete(&path).await.ok();
    target.get(&path).await.refused(404, "NotFound");
}

pub(super) async fn preconditions_are_heeded(target: &Target) {
    let made = target
        .post(&target.core("configmaps"), &config_map("a"))
        .await
        .ok();
    let path = target.core("configmaps/a");
    let wrong = json!({ "preconditions": { "uid": "0b0b0b0b-0000-4000-8000-000000000000" } });
    target.delete_with(&path, &wrong).await.refused(409, "Conflict");
    let changed = target
        .patch(&path, "merge", &json!({ "data": { "k": "v" } }))
        .await
        .ok();
    let old = json!({ "preconditions": { "resourceVersion": version(&made) } });
    target.delete_with(&path, &old).await.refused(409, "Conflict");
    let right =
        json!({ "preconditions": { "uid": made["metadata"]["uid"], "resourceVersion": version(&changed) } });
    target.delete_with(&path, &right).await.ok();
    assert!(
        target
            .delete_with(&path, &json!({ "propagationPolicy": "Sideways" }))
            .await
            .code
            >= 400
    );
}

pub(super) async fn collections_are_deleted_by_selector(target: &Target) {
    for (name, app) in [("a", "web"), ("b", "db"), ("c", "web")] {
        let mut object = config_map(name);
        object["metadata"]["labels"] = json!({ "app": app });
        target.post(&target.core("configmaps"), &object).await.ok();
    }
    let path = target.core("configmaps");
    let deleted = target
        .delete(&format!("{path}?labelSelector=app%3Dweb"))
        .await
        .ok();
    assert_eq!(deleted["kind"], "ConfigMapList");
    let left = target.get(&format!("{path}?labelSelector=app")).await.ok();
    assert_eq!(names(&left), ["b"]);
    assert_eq!(target.delete("/api/v1/namespaces").await.code, 405);
}

pub(super) async fn nothing_is_created_in_a_namespace_that_ends(target: &Target) {
    let mut held = config_map("a");
    held["metadata"]["finalizers"] = json!(["x.io/a"]);
    target.post(&target.core("configmaps"), &held).await.ok();
    let namespace = format!("/api/v1/namespaces/{}", target.namespace);
    let ending = target.delete(&namespace).await.ok();
    assert_eq!(ending["status"]["phase"], "Terminating");
    let status = target
        .post(&target.core("configmaps"), &config_map("b"))
        .await
        .refused(403, "Forbidden");
    assert_eq!(status["details"]["causes"][0]["reason"], "NamespaceTerminating");
    let path = target.core("configmaps/a");
    target
        .until("the deletion of the content", || async {
            target.get(&path).await.body["metadata"]["deletionTimestamp"].is_string()
        })
        .await;
    target.get(&namespace).await.ok();
    target
        .patch(&path, "merge", &json!({ "metadata": { "finalizers": null } }))
        .await
        .ok();
    target.gone(&namespace).await;
}
