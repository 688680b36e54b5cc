//! Garbage collection.

use std::time::Duration;

use serde_json::{Value, json};

use super::{Target, config_map};

async fn owned(target: &Target, name: &str, owners: &[&Value], block: bool) -> Value {
    let mut object = config_map(name);
    let references: Vec<_> = owners
        .iter()
        .map(|owner| {
            json!({
                "apiVersion": "v1", "kind": "ConfigMap", "name": owner["metadata"]["name"],
                "uid": owner["metadata"]["uid"], "blockOwnerDeletion": block,
            })
        })
        .collect();
    object["metadata"]["ownerReferences"] = json!(references);
    target.post(&target.core("configmaps"), &object).await.ok()
}

async fn with_policy(target: &Target, name: &str, policy: &str) -> Value {
    let options = json!({ "propagationPolicy": policy });
    target
        .delete_with(&target.core(&format!("configmaps/{name}")), &options)
        .await
        .ok()
}

pub(super) async fn dependents_go_after_their_owner(target: &Target) {
    let owner = target
        .post(&target.core("configmaps"), &config_map("owner"))
        .await
        .ok();
    let child = owned(target, "child", &[&owner], false).await;
    owned(target, "grandchild", &[&child], true).await;
    with_policy(target, "owner", "Background").await;
    for name in ["owner", "child", "grandchild"] {
        target.gone(&target.core(&format!("configmaps/{name}"))).await;
    }
    // An owner that never was is as one that is gone.
    owned(
        target,
        "lost",
        &[&json!({ "metadata": { "name": "x", "uid": "0b0b0b0b-0000-4000-8000-000000000000" } })],
        false,
    )
    .await;
    target.gone(&target.core("configmaps/lost")).await;
}

pub(super) async fn a_dependent_stays_with_its_other_owner(target: &Target) {
    let one = target
        .post(&target.core("configmaps"), &config_map("one"))
        .await
        .ok();
    let two = target
        .post(&target.core("configmaps"), &config_map("two"))
        .await
        .ok();
    owned(target, "child", &[&one, &two], false).await;
    with_policy(target, "one", "Background").await;
    let path = target.core("configmaps/child");
    target
        .until("the loss of one owner", || async {
            let child = target.get(&path).await.ok();
            let owners = child["metadata"]["ownerReferences"]
                .as_array()
                .cloned()
                .unwrap_or_default();
            owners.len() == 1 && owners[0]["name"] == "two"
        })
        .await;
    with_policy(target, "two", "Background").await;
    target.gone(&path).await;
}

pub(super) async fn orphans_stay_without_owner(target: &Target) {
    let owner = target
        .post(&target.core("configmaps"), &config_map("owner"))
        .await
        .ok();
    owned(target, "child", &[&owner], false).await;
    // A real collector has to hear of the child first.
    tokio::time::sleep(Duration::from_secs(1)).await;
    with_policy(target, "owner", "Orphan").await;
    target.gone(&target.core("configmaps/owner")).await;
    let child = target.get(&target.core("configmaps/child")).await.ok();
    assert!(child["metadata"].get("ownerReferences").is_none(), "{child:#}");
}

pub(super) async fn foreground_deletion_waits_for_dependents(target: &Target) {
    let owner = target
        .post(&target.core("configmaps"), &config_map("owner"))
        .await
        .ok();
    let mut held = owned(target, "child", &[&owner], true).await;
    held["metadata"]["finalizers"] = json!(["x.io/a"]);
    target.put(&target.core("configmaps/child"), &held).await.ok();
    tokio::time::sleep(Duration::from_secs(1)).await;
    let deleted = with_policy(target, "owner", "Foreground").await;
    assert_eq!(deleted["metadata"]["finalizers"], json!(["foregroundDeletion"]));
    let child = target.core("configmaps/child");
    target
        .until("the deletion of the child", || async {
            target.get(&child).await.body["metadata"]["deletionTimestamp"].is_string()
        })
        .await;
    target.get(&target.core("configmaps/owner")).await.ok();
    target
        .patch(&child, "merge", &json!({ "metadata": { "finalizers": null } }))
        .await
        .ok();
    target.gone(&target.core("configmaps/owner")).await;
}
