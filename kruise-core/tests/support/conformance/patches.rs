//! JSON, merge and strategic merge patch.

use serde_json::{Value, json};

use super::{Target, config_map, fields, pod, version};

fn containers(pod: &Value) -> Vec<&str> {
    let containers = pod["spec"]["template"]["spec"]["containers"]
        .as_array()
        .unwrap()
        .iter();
    containers
        .map(|container| container["name"].as_str().unwrap())
        .collect()
}

/// A ReplicaSet without replicas, whose template can be patched freely: its path.
async fn template(target: &Target) -> String {
    let set = json!({
        "metadata": { "name": "t" },
        "spec": {
            "replicas": 0,
            "selector": { "matchLabels": { "app": "t" } },
            "template": {
                "metadata": { "labels": { "app": "t" } },
                "spec": { "containers": [
                    { "name": "a", "image": "a:1", "env": [{ "name": "X", "value": "1" }, { "name": "Y", "value": "2" }] },
                    { "name": "b", "image": "b:1", "args": ["one", "two"], "ports": [{ "containerPort": 80 }] },
                ]},
            },
        },
    });
    let path = format!("/apis/apps/v1/namespaces/{}/replicasets", target.namespace);
    target.post(&path, &set).await.ok();
    format!("{path}/t")
}

fn in_template(spec: Value) -> Value {
    json!({ "spec": { "template": { "spec": spec } } })
}

pub(super) async fn json_patches_apply_as_a_whole_or_not_at_all(target: &Target) {
    let path = target.core("configmaps/a");
    let mut sent = config_map("a");
    sent["data"] = json!({ "one": "1" });
    sent["metadata"]["annotations"] = json!({ "a.b/c": "x" });
    target.post(&target.core("configmaps"), &sent).await.ok();
    let patch = json!([
        { "op": "test", "path": "/data/one", "value": "1" },
        { "op": "add", "path": "/data/two", "value": "2" },
        { "op": "replace", "path": "/data/one", "value": "3" },
        { "op": "remove", "path": "/metadata/annotations/a.b~1c" },
        { "op": "copy", "from": "/data/two", "path": "/data/three" },
        { "op": "move", "from": "/data/two", "path": "/data/four" },
    ]);
    let patched = target.patch(&path, "json", &patch).await.ok();
    assert!(patched["metadata"].get("annotations").is_none());
    assert_eq!(patched["data"], json!({ "one": "3", "three": "2", "four": "2" }));
    let wrong = json!([
        { "op": "add", "path": "/data/five", "value": "5" },
        { "op": "test", "path": "/data/one", "value": "1" },
    ]);
    target.patch(&path, "json", &wrong).await.refused(422, "Invalid");
    let wrong = json!([{ "op": "remove", "path": "/data/none" }]);
    target.patch(&path, "json", &wrong).await.refused(422, "Invalid");
    target
        .patch(&path, "json", &json!({ "no": "list" }))
        .await
        .refused(400, "BadRequest");
    assert_eq!(target.get(&path).await.ok(), patched);
}

pub(super) async fn a_merge_patch_deletes_by_null_and_replaces_lists(target: &Target) {
    let path = template(target).await;
    let patch = json!({
        "metadata": { "labels": { "x": "y" } },
        "spec": { "template": { "spec": { "containers": [{ "name": "c", "image": "c:1" }] } } },
    });
    let patched = target.patch(&path, "merge", &patch).await.ok();
    assert_eq!(containers(&patched), ["c"]);
    assert_eq!(patched["metadata"]["labels"]["x"], "y");
    let patch = json!({ "metadata": { "labels": { "x": null } } });
    let patched = target.patch(&path, "merge", &patch).await.ok();
    assert!(patched["metadata"]["labels"].get("x").is_none());
}

pub(super) async fn a_strategic_patch_merges_lists_by_key(target: &Target) {
    let path = template(target).await;
    let patch = in_template(json!({ "containers": [
        { "name": "new", "image": "n:1" },
        { "name": "a", "image": "a:2", "env": [{ "name": "Z", "value": "3" }, { "name": "X", "value": "9" }] },
        { "name": "b", "args": ["three"], "ports": [{ "containerPort": 81 }] },
    ]}));
    let patched = target.patch(&path, "strategic-merge", &patch).await.ok();
    assert_eq!(containers(&patched), ["new", "a", "b"]);
    let containers = &patched["spec"]["template"]["spec"]["containers"];
    assert_eq!(containers[1]["image"], "a:2");
    let env: Vec<_> = containers[1]["env"]
        .as_array()
        .unwrap()
        .iter()
        .map(|env| &env["name"])
        .collect();
    assert_eq!(env, ["Z", "X", "Y"]);
    assert_eq!(containers[1]["env"][1]["value"], "9");
    assert_eq!(containers[2]["args"], json!(["three"]));
    let ports: Vec<_> = containers[2]["ports"]
        .as_array()
        .unwrap()
        .iter()
        .map(|port| &port["containerPort"])
        .collect();
    assert_eq!(ports, [81, 80]);
    let finalizers = |names: Value| json!({ "metadata": { "finalizers": names } });
    target
        .patch(&path, "strategic-merge", &finalizers(json!(["x.io/a"])))
        .await
        .ok();
    let both = target
        .patch(&path, "strategic-merge", &finalizers(json!(["x.io/b"])))
        .await
        .ok();
    assert_eq!(both["metadata"]["finalizers"], json!(["x.io/b", "x.io/a"]));
    let patch = json!({ "metadata": { "$deleteFromPrimitiveList/finalizers": ["x.io/a", "x.io/b"] } });
    let none = target.patch(&path, "strategic-merge", &patch).await.ok();
    assert!(none["metadata"].get("finalizers").is_none());
}

pub(super) async fn a_strategic_patch_can_delete_replace_and_order(target: &Target) {
    let path = template(target).await;
    let patch = in_template(
        json!({ "containers": [{ "name": "b", "$patch": "delete" }, { "name": "c", "image": "c:1" }] }),
    );
    let patched = target.patch(&path, "strategic-merge", &patch).await.ok();
    assert_eq!(containers(&patched), ["c", "a"]);
    let patch = in_template(json!({
        "$setElementOrder/containers": [{ "name": "a" }, { "name": "d" }, { "name": "c" }],
        "containers": [{ "name": "d", "image": "d:1" }],
    }));
    let patched = target.patch(&path, "strategic-merge", &patch).await.ok();
    assert_eq!(containers(&patched), ["a", "d", "c"]);
    let patch =
        in_template(json!({ "containers": [{ "$patch": "replace" }, { "name": "e", "image": "e:1" }] }));
    let patched = target.patch(&path, "strategic-merge", &patch).await.ok();
    assert_eq!(containers(&patched), ["e"]);
    let patch = json!({ "metadata": { "labels": { "other": "label" } } });
    target.patch(&path, "strategic-merge", &patch).await.ok();
    let patch = json!({ "metadata": { "labels": { "$patch": "replace", "only": "this" } } });
    let patched = target.patch(&path, "strategic-merge", &patch).await.ok();
    assert_eq!(patched["metadata"]["labels"], json!({ "only": "this" }));
    let patch = json!({ "metadata": { "labels": { "only": null } } });
    let patched = target.patch(&path, "strategic-merge", &patch).await.ok();
    assert!(patched["metadata"]["labels"].get("only").is_none());
    let nameless = in_template(json!({ "containers": [{ "image": "x" }] }));
    assert!(target.patch(&path, "strategic-merge", &nameless).await.code >= 400);
}

pub(super) async fn definitions_take_no_strategic_patch(target: &Target) {
    let path = target.define(&json!({ "type": "object" }), |_| {}).await;
    target.post(&path, &target.widget("a", json!({}))).await.ok();
    let one = format!("{path}/a");
    let patch = json!({ "metadata": { "labels": { "a": "b" } } });
    target
        .patch(&one, "strategic-merge", &patch)
        .await
        .refused(415, "UnsupportedMediaType");
    target.patch(&one, "merge", &patch).await.ok();
    target.undefine().await;
}

pub(super) async fn a_patch_with_an_old_version_conflicts(target: &Target) {
    let path = target.core("pods/a");
    let made = target.post(&target.core("pods"), &pod("a")).await.ok();
    let patch =
        |version: &str| json!({ "metadata": { "resourceVersion": version, "labels": { "a": version } } });
    let changed = target.patch(&path, "merge", &patch(version(&made))).await.ok();
    target
        .patch(&path, "merge", &patch(version(&made)))
        .await
        .refused(409, "Conflict");
    target
        .patch(&path, "strategic-merge", &patch(version(&made)))
        .await
        .refused(409, "Conflict");
    target.patch(&path, "merge", &patch(version(&changed))).await.ok();
    let other = json!({ "metadata": { "uid": "0b0b0b0b-0000-4000-8000-000000000000" } });
    let status = target.patch(&path, "merge", &other).await.refused(422, "Invalid");
    assert!(fields(&status).contains(&"metadata.uid"));
}

pub(super) async fn a_patch_of_nothing_is_not_found(target: &Target) {
    for form in ["json", "merge", "strategic-merge"] {
        let patch = if form == "json" { json!([]) } else { json!({}) };
        target
            .patch(&target.core("pods/a"), form, &patch)
            .await
            .refused(404, "NotFound");
    }
}
