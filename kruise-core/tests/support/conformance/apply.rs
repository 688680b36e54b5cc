//! Server-side apply.

use serde_json::{Value, json};

use super::{Target, config_map, fields};

fn data(data: Value) -> Value {
    json!({ "apiVersion": "v1", "kind": "ConfigMap", "metadata": { "name": "a" }, "data": data })
}

/// Managers with their operations, in order of names.
fn managers(object: &Value) -> Vec<String> {
    let entries = object["metadata"]["managedFields"]
        .as_array()
        .into_iter()
        .flatten();
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let mut names: Vec<_> = entries
        .map(|entry| format!("{} {}", text(&entry["manager"]), text(&entry["operation"])))
        .collect();
    names.sort();
    names
}

pub(super) async fn applying_creates_and_is_idempotent(target: &Target) {
    let path = target.core("configmaps/a");
    let answer = target.apply(&path, "one", &data(json!({ "k": "v" }))).await;
    assert_eq!(answer.code, 201, "{}", answer.body);
    assert_eq!(managers(&answer.body), ["one Apply"]);
    let entry = &answer.body["metadata"]["managedFields"][0];
    assert_eq!(entry["fieldsV1"], json!({ "f:data": { "f:k": {} } }));
    assert_eq!(
        (&entry["apiVersion"], &entry["fieldsType"]),
        (&json!("v1"), &json!("FieldsV1"))
    );
    let again = target.apply(&path, "one", &data(json!({ "k": "v" }))).await;
    assert_eq!(again.code, 200);
    assert_eq!(
        again.body["metadata"]["resourceVersion"],
        answer.body["metadata"]["resourceVersion"]
    );
}

pub(super) async fn a_field_of_another_manager_conflicts_unless_forced(target: &Target) {
    let path = target.core("configmaps/a");
    target
        .apply(&path, "one", &data(json!({ "k": "1", "x": "1" })))
        .await
        .ok();
    let status = target
        .apply(&path, "two", &data(json!({ "k": "2" })))
        .await
        .refused(409, "Conflict");
    assert_eq!(status["details"]["causes"][0]["reason"], "FieldManagerConflict");
    assert_eq!(status["details"]["causes"][0]["message"], "conflict with \"one\"");
    assert_eq!(fields(&status), [".data.k"]);
    assert_eq!(
        status["message"],
        "Apply failed with 1 conflict: conflict with \"one\": .data.k"
    );
    let query = format!("{path}?fieldManager=two&force=true");
    let body = data(json!({ "k": "2" }));
    let forced = target
        .call("PATCH", &query, "application/apply-patch+yaml", Some(&body))
        .await
        .ok();
    assert_eq!(forced["data"], json!({ "k": "2", "x": "1" }));
    // The first no longer owns it, and does not take it away by leaving it out.
    let left = target.apply(&path, "one", &data(json!({ "x": "1" }))).await.ok();
    assert_eq!(left["data"], json!({ "k": "2", "x": "1" }));
}

pub(super) async fn fields_that_are_no_longer_applied_go(target: &Target) {
    let path = target.core("configmaps/a");
    let mut sent = config_map("a");
    sent["data"] = json!({ "other": "1" });
    target.post(&target.core("configmaps"), &sent).await.ok();
    target
        .apply(&path, "one", &data(json!({ "k": "1", "x": "1" })))
        .await
        .ok();
    let left = target.apply(&path, "one", &data(json!({ "k": "1" }))).await.ok();
    assert_eq!(left["data"], json!({ "k": "1", "other": "1" }));
    let bare = json!({ "apiVersion": "v1", "kind": "ConfigMap" });
    let left = target.apply(&path, "one", &bare).await.ok();
    assert_eq!(left["data"], json!({ "other": "1" }));
    assert_eq!(managers(&left), ["conformance Update"]);
}

pub(super) async fn shared_fields_stay_until_the_last_owner_lets_go(target: &Target) {
    let path = target.core("configmaps/a");
    target
        .apply(&path, "one", &data(json!({ "k": "1", "y": "1" })))
        .await
        .ok();
    // The same value is no conflict.
    let shared = target
        .apply(&path, "two", &data(json!({ "k": "1", "z": "1" })))
        .await
        .ok();
    assert_eq!(managers(&shared), ["one Apply", "two Apply"]);
    let left = target.apply(&path, "one", &data(json!({ "y": "1" }))).await.ok();
    assert_eq!(left["data"]["k"], "1");
    let left = target.apply(&path, "two", &data(json!({ "z": "1" }))).await.ok();
    assert!(left["data"].get("k").is_none());
}

pub(super) async fn an_update_takes_ownership(target: &Target) {
    let path = target.core("configmaps/a");
    target.apply(&path, "one", &data(json!({ "k": "1" }))).await.ok();
    let patched = target
        .patch(&path, "merge", &json!({ "data": { "k": "2" } }))
        .await
        .ok();
    assert_eq!(managers(&patched), ["conformance Update"]);
    let status = target
        .apply(&path, "one", &data(json!({ "k": "1" })))
        .await
        .refused(409, "Conflict");
    let message = status["details"]["causes"][0]["message"].as_str().unwrap();
    assert!(
        message.starts_with("conflict with \"conformance\" using v1"),
        "{message}"
    );
    let reset = json!({ "metadata": { "managedFields": [{}] } });
    let reset = target.patch(&path, "merge", &reset).await.ok();
    assert_eq!(managers(&reset), Vec::<String>::new());
}

pub(super) async fn lists_are_applied_by_key(target: &Target) {
    let path = format!("/apis/apps/v1/namespaces/{}/replicasets/a", target.namespace);
    let set = |containers: Value| {
        json!({
            "apiVersion": "apps/v1", "kind": "ReplicaSet", "metadata": { "name": "a" },
            "spec": {
                "replicas": 0, "selector": { "matchLabels": { "a": "b" } },
                "template": { "metadata": { "labels": { "a": "b" } }, "spec": { "containers": containers } },
            },
        })
    };
    let both = set(json!([
        { "name": "x", "image": "x:1", "env": [{ "name": "A", "value": "1" }] },
        { "name": "y", "image": "y:1" },
    ]));
    let made = target.apply(&path, "one", &both).await.ok();
    let owned =
        &made["metadata"]["managedFields"][0]["fieldsV1"]["f:spec"]["f:template"]["f:spec"]["f:containers"];
    assert_eq!(
        owned["k:{\"name\":\"x\"}"]["f:env"]["k:{\"name\":\"A\"}"],
        json!({ ".": {}, "f:name": {}, "f:value": {} })
    );
    let mut more = set(
        json!([{ "name": "z", "image": "z:1" }, { "name": "x", "env": [{ "name": "B", "value": "2" }] }]),
    );
    more["spec"] = json!({ "template": more["spec"]["template"] });
    let merged = target.apply(&path, "two", &more).await.ok();
    let containers = |object: &Value| {
        let list = object["spec"]["template"]["spec"]["containers"]
            .as_array()
            .unwrap()
            .clone();
        let mut list: Vec<_> = list
            .into_iter()
            .map(|one| (one["name"].as_str().unwrap().to_owned(), one))
            .collect();
        list.sort_by(|one, other| one.0.cmp(&other.0));
        list
    };
    let list = containers(&merged);
    assert_eq!(list.iter().map(|one| &*one.0).collect::<String>(), "xyz");
    assert_eq!(list[0].1["env"].as_array().unwrap().len(), 2);
    assert_eq!(list[0].1["image"], "x:1");
    // An element goes with its last owner, and what others hold of it stays.
    let left = target
        .apply(&path, "one", &set(json!([{ "name": "x", "image": "x:1" }])))
        .await
        .ok();
    let list = containers(&left);
    assert_eq!(list.iter().map(|one| &*one.0).collect::<String>(), "xz");
    assert_eq!(list[0].1["env"], json!([{ "name": "B", "value": "2" }]));
}

pub(super) async fn lists_without_keys_are_replaced(target: &Target) {
    let path = target.core("pods/a");
    let pod = |args: Value| {
        json!({
            "apiVersion": "v1", "kind": "Pod", "metadata": { "name": "a" },
            "spec": {
                "schedulerName": "nobody", "automountServiceAccountToken": false,
                "containers": [{ "name": "a", "image": "a:1", "args": args }],
            },
        })
    };
    target.apply(&path, "one", &pod(json!(["x", "y"]))).await.ok();
    let status = target
        .apply(&path, "two", &pod(json!(["x"])))
        .await
        .refused(409, "Conflict");
    assert_eq!(fields(&status), [".spec.containers[name=\"a\"].args"]);
    let mut map = data(json!({}));
    map["metadata"]["finalizers"] = json!(["x.io/a"]);
    target.apply(&target.core("configmaps/a"), "one", &map).await.ok();
    map["metadata"]["finalizers"] = json!(["x.io/b"]);
    let both = target.apply(&target.core("configmaps/a"), "two", &map).await.ok();
    assert_eq!(both["metadata"]["finalizers"], json!(["x.io/a", "x.io/b"]));
    let patch = json!({ "metadata": { "finalizers": null } });
    target
        .patch(&target.core("configmaps/a"), "merge", &patch)
        .await
        .ok();
}

pub(super) async fn applying_needs_a_manager(target: &Target) {
    let path = target.core("configmaps/a");
    let body = data(json!({ "k": "v" }));
    let status = target
        .call("PATCH", &path, "application/apply-patch+yaml", Some(&body))
        .await;
    let status = status.refused(422, "Invalid");
    assert_eq!(fields(&status), ["fieldManager"]);
    let forced = format!("{path}?force=true");
    target
        .call("PATCH", &forced, "application/merge-patch+json", Some(&body))
        .await
        .refused(422, "Invalid");
    target.apply(&path, "one", &body).await.ok();
    let mut versioned = body.clone();
    versioned["metadata"]["resourceVersion"] = json!("1");
    target
        .apply(&path, "one", &versioned)
        .await
        .refused(409, "Conflict");
    let mut managed = body.clone();
    managed["metadata"]["managedFields"] =
        json!([{ "manager": "x", "operation": "Apply", "apiVersion": "v1" }]);
    assert_eq!(target.apply(&path, "one", &managed).await.code, 400);
}

pub(super) async fn a_status_is_applied_apart(target: &Target) {
    let schema = json!({ "type": "object", "properties": { "n": { "type": "integer" } } });
    let path = target.define(&schema, |_| {}).await;
    let one = format!("{path}/a");
    target
        .apply(&one, "spec", &target.widget("a", json!({ "n": 1 })))
        .await
        .ok();
    let mut status = target.widget("a", json!({ "n": 2 }));
    status["status"] = json!({ "x": 1 });
    if let Some(status) = status.as_object_mut() {
        status.remove("spec");
    }
    let told = target
        .apply(&format!("{one}/status"), "status", &status)
        .await
        .ok();
    assert_eq!((&told["spec"]["n"], &told["status"]["x"]), (&json!(1), &json!(1)));
    assert_eq!(managers(&told), ["spec Apply", "status Apply"]);
    target
        .apply(&format!("{path}/none/status"), "status", &status)
        .await
        .refused(404, "NotFound");
    target.undefine().await;
}

pub(super) async fn definitions_choose_how_lists_merge(target: &Target) {
    let item = json!({
        "type": "object", "required": ["name"],
        "properties": { "name": { "type": "string" }, "value": { "type": "string" } },
    });
    let schema = json!({
        "type": "object",
        "properties": {
            "keyed": { "type": "array", "items": item, "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["name"] },
            "set": { "type": "array", "items": { "type": "string" }, "x-kubernetes-list-type": "set" },
            "plain": { "type": "array", "items": { "type": "string" } },
        },
    });
    let path = target.define(&schema, |_| {}).await;
    let one = format!("{path}/a");
    let spec = |name: &str| json!({ "keyed": [{ "name": name, "value": name }], "set": [name] });
    let mut first = target.widget("a", spec("x"));
    first["spec"]["plain"] = json!(["x"]);
    target.apply(&one, "one", &first).await.ok();
    let both = target
        .apply(&one, "two", &target.widget("a", spec("y")))
        .await
        .ok();
    assert_eq!(
        both["spec"]["keyed"],
        json!([{ "name": "x", "value": "x" }, { "name": "y", "value": "y" }])
    );
    assert_eq!(both["spec"]["set"], json!(["x", "y"]));
    let plain = target.widget("a", json!({ "plain": ["x", "y"] }));
    let status = target.apply(&one, "two", &plain).await.refused(409, "Conflict");
    assert_eq!(fields(&status), [".spec.plain"]);
    let left = target
        .apply(&one, "one", &target.widget("a", json!({ "plain": ["x"] })))
        .await
        .ok();
    assert_eq!(
        left["spec"],
        json!({ "keyed": [{ "name": "y", "value": "y" }], "set": ["y"], "plain": ["x"] })
    );
    target.undefine().await;
}
