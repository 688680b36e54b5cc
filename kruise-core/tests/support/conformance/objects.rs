//! Creations, updates, validation.

use std::collections::BTreeSet;

use http::Request;
use kube_client::client::Body;
use serde_json::json;

use super::{Target, config_map, fields, pod, version};

pub(super) async fn created_objects_get_what_the_server_sets(target: &Target) {
    let mut sent = config_map("a");
    sent["metadata"]["uid"] = json!("mine");
    sent["metadata"]["creationTimestamp"] = json!("2001-01-01T00:00:00Z");
    sent["data"] = json!({ "k": "v" });
    let answer = target.post(&target.core("configmaps"), &sent).await;
    assert_eq!(answer.code, 201);
    let metadata = &answer.body["metadata"];
    assert_eq!(metadata["uid"].as_str().unwrap().len(), 36);
    assert_ne!(metadata["creationTimestamp"], "2001-01-01T00:00:00Z");
    assert_eq!(metadata["namespace"], target.namespace);
    assert!(!version(&answer.body).is_empty());
    assert_eq!(metadata["managedFields"][0]["manager"], "conformance");
    assert_eq!(metadata["managedFields"][0]["operation"], "Update");
    let got = target.get(&target.core("configmaps/a")).await.ok();
    assert_eq!(got, answer.body);
    let made = target.post(&target.core("pods"), &pod("p")).await.ok();
    assert_eq!(
        (&made["status"]["phase"], &made["spec"]["restartPolicy"]),
        (&json!("Pending"), &json!("Always"))
    );
    assert_eq!(made["spec"]["terminationGracePeriodSeconds"], 30);
    assert_eq!(made["spec"]["containers"][0]["imagePullPolicy"], "IfNotPresent");
}

pub(super) async fn generated_names_are_unique_and_begin_as_asked(target: &Target) {
    let mut sent = config_map("");
    sent["metadata"] = json!({ "generateName": "web-" });
    let mut names = BTreeSet::new();
    for _ in 0..5 {
        let made = target.post(&target.core("configmaps"), &sent).await.ok();
        let name = made["metadata"]["name"].as_str().unwrap().to_owned();
        assert!(name.starts_with("web-") && name.len() == 9, "{name}");
        assert_eq!(made["metadata"]["generateName"], "web-");
        names.insert(name);
    }
    assert_eq!(names.len(), 5);
    // Long ones are cut, so that the whole has 63 letters.
    sent["metadata"]["generateName"] = json!("a".repeat(70));
    let made = target.post(&target.core("configmaps"), &sent).await.ok();
    assert_eq!(made["metadata"]["name"].as_str().unwrap().len(), 63);
}

pub(super) async fn creations_are_refused_for_what_is_wrong_with_them(target: &Target) {
    let path = target.core("configmaps");
    target.post(&path, &config_map("a")).await.ok();
    let status = target
        .post(&path, &config_map("a"))
        .await
        .refused(409, "AlreadyExists");
    assert_eq!(status["message"], "configmaps \"a\" already exists");
    assert_eq!(status["details"], json!({ "name": "a", "kind": "configmaps" }));
    let status = target.post(&path, &config_map("")).await.refused(422, "Invalid");
    assert_eq!(fields(&status), ["metadata.name"]);
    let mut elsewhere = config_map("b");
    elsewhere["metadata"]["namespace"] = json!("elsewhere");
    target.post(&path, &elsewhere).await.refused(400, "BadRequest");
    let status = target
        .post("/api/v1/namespaces/no-such/configmaps", &config_map("b"))
        .await
        .refused(404, "NotFound");
    assert_eq!(status["message"], "namespaces \"no-such\" not found");
    let mut other = config_map("b");
    other["kind"] = json!("Secret");
    target.post(&path, &other).await.refused(400, "BadRequest");
    let mut versioned = config_map("b");
    versioned["metadata"]["resourceVersion"] = json!("5");
    assert_eq!(target.post(&path, &versioned).await.code, 500);
    let mut malformed = config_map("b");
    malformed["data"] = json!(7);
    target.post(&path, &malformed).await.refused(400, "BadRequest");
    assert_eq!(
        target
            .post(
                &target.core("pods"),
                &json!({ "metadata": { "name": "b" }, "spec": {} })
            )
            .await
            .code,
        422
    );
}

pub(super) async fn an_update_with_an_old_version_conflicts(target: &Target) {
    let path = target.core("configmaps/a");
    let first = target
        .post(&target.core("configmaps"), &config_map("a"))
        .await
        .ok();
    let mut second = first.clone();
    second["data"] = json!({ "k": "v" });
    let second = target.put(&path, &second).await.ok();
    assert_ne!(version(&first), version(&second));
    let status = target.put(&path, &first).await.refused(409, "Conflict");
    assert_eq!(
        status["message"],
        "Operation cannot be fulfilled on configmaps \"a\": the object has been modified; please apply your changes to the latest version and try again"
    );
    assert_eq!(target.get(&path).await.ok(), second);
}

pub(super) async fn an_update_without_a_version_goes_through_for_kinds_that_allow_it(target: &Target) {
    target
        .post(&target.core("configmaps"), &config_map("a"))
        .await
        .ok();
    let mut blind = config_map("a");
    blind["data"] = json!({ "k": "v" });
    let stored = target.put(&target.core("configmaps/a"), &blind).await.ok();
    assert_eq!(stored["data"]["k"], "v");
    let path = target.define(&json!({ "type": "object" }), |_| {}).await;
    target.post(&path, &target.widget("a", json!({}))).await.ok();
    let status = target
        .put(&format!("{path}/a"), &target.widget("a", json!({})))
        .await
        .refused(422, "Invalid");
    assert_eq!(fields(&status), ["metadata.resourceVersion"]);
    target.undefine().await;
}

pub(super) async fn an_update_must_be_of_the_same_object(target: &Target) {
    let made = target
        .post(&target.core("configmaps"), &config_map("a"))
        .await
        .ok();
    let path = target.core("configmaps/a");
    let mut other_uid = made.clone();
    other_uid["metadata"]["uid"] = json!("0b0b0b0b-0000-4000-8000-000000000000");
    target.put(&path, &other_uid).await.refused(409, "Conflict");
    target
        .put(&path, &config_map("b"))
        .await
        .refused(400, "BadRequest");
    target
        .put(&target.core("configmaps/c"), &config_map("c"))
        .await
        .refused(404, "NotFound");
}

pub(super) async fn an_update_that_changes_nothing_makes_no_new_version(target: &Target) {
    let path = target.core("configmaps/a");
    let made = target
        .post(&target.core("configmaps"), &config_map("a"))
        .await
        .ok();
    assert_eq!(target.put(&path, &made).await.ok(), made);
    assert_eq!(target.patch(&path, "merge", &json!({})).await.ok(), made);
    assert_eq!(target.patch(&path, "json", &json!([])).await.ok(), made);
}

pub(super) async fn what_the_server_sets_cannot_be_changed(target: &Target) {
    let path = target.core("configmaps/a");
    let made = target
        .post(&target.core("configmaps"), &config_map("a"))
        .await
        .ok();
    let mut changed = made.clone();
    changed["metadata"]["creationTimestamp"] = json!("2001-01-01T00:00:00Z");
    changed["data"] = json!({ "k": "v" });
    let stored = target.put(&path, &changed).await.ok();
    assert_eq!(
        stored["metadata"]["creationTimestamp"],
        made["metadata"]["creationTimestamp"]
    );
    let mut dead = stored.clone();
    dead["metadata"]["deletionTimestamp"] = json!("2001-01-01T00:00:00Z");
    let status = target.put(&path, &dead).await.refused(422, "Invalid");
    assert!(fields(&status).contains(&"metadata.deletionTimestamp"));
    assert_eq!(target.get(&path).await.ok(), stored);
}

pub(super) async fn generation_counts_changes_of_the_spec(target: &Target) {
    let path = target
        .define(
            &json!({ "type": "object", "properties": { "n": { "type": "integer" } } }),
            |_| {},
        )
        .await;
    let made = target
        .post(&path, &target.widget("a", json!({ "n": 1 })))
        .await
        .ok();
    assert_eq!(made["metadata"]["generation"], 1);
    let one = format!("{path}/a");
    let labelled = target
        .patch(&one, "merge", &json!({ "metadata": { "labels": { "a": "b" } } }))
        .await
        .ok();
    assert_eq!(labelled["metadata"]["generation"], 1);
    let changed = target
        .patch(&one, "merge", &json!({ "spec": { "n": 2 } }))
        .await
        .ok();
    assert_eq!(changed["metadata"]["generation"], 2);
    let told = target
        .patch(
            &format!("{one}/status"),
            "merge",
            &json!({ "status": { "x": 1 } }),
        )
        .await
        .ok();
    assert_eq!(told["metadata"]["generation"], 2);
    let set = json!({
        "metadata": { "name": "a" },
        "spec": { "replicas": 0, "selector": { "matchLabels": { "a": "b" } },
                  "template": { "metadata": { "labels": { "a": "b" } }, "spec": pod("x")["spec"] } },
    });
    let sets = format!("/apis/apps/v1/namespaces/{}/replicasets", target.namespace);
    assert_eq!(target.post(&sets, &set).await.ok()["metadata"]["generation"], 1);
    let patch = json!({ "spec": { "minReadySeconds": 5 } });
    let changed = target.patch(&format!("{sets}/a"), "merge", &patch).await.ok();
    assert_eq!(changed["metadata"]["generation"], 2);
    target.undefine().await;
}

pub(super) async fn of_a_pod_only_images_and_a_few_fields_change(target: &Target) {
    let path = target.core("pods/a");
    target.post(&target.core("pods"), &pod("a")).await.ok();
    let image = json!({ "spec": { "containers": [{ "name": "a", "image": "a:2" }] } });
    let changed = target.patch(&path, "strategic-merge", &image).await.ok();
    assert_eq!(changed["spec"]["containers"][0]["image"], "a:2");
    for wrong in [
        json!({ "spec": { "containers": [{ "name": "a", "env": [{ "name": "x", "value": "y" }] }] } }),
        json!({ "spec": { "containers": [{ "name": "b", "image": "b:1" }] } }),
        json!({ "spec": { "restartPolicy": "Never" } }),
        json!({ "spec": { "nodeName": "n" } }),
    ] {
        target
            .patch(&path, "strategic-merge", &wrong)
            .await
            .refused(422, "Invalid");
    }
    target
        .patch(
            &path,
            "merge",
            &json!({ "spec": { "activeDeadlineSeconds": 500 } }),
        )
        .await
        .ok();
}

pub(super) async fn names_and_labels_are_validated(target: &Target) {
    let path = target.core("configmaps");
    for wrong in ["A", "a_b", "-a", "a-", "a..b"] {
        let status = target
            .post(&path, &config_map(wrong))
            .await
            .refused(422, "Invalid");
        assert_eq!(fields(&status), ["metadata.name"], "{wrong}");
    }
    for (key, value) in [("a b", "c"), ("a", "b c"), ("a", "-b"), ("X/a", "b"), ("a/", "b")] {
        let mut labelled = config_map("a");
        labelled["metadata"]["labels"] = json!({ key: value });
        let status = target.post(&path, &labelled).await.refused(422, "Invalid");
        assert!(
            fields(&status).iter().all(|field| *field == "metadata.labels"),
            "{key} {value}"
        );
    }
    let mut fine = config_map("a.b-1");
    fine["metadata"]["labels"] = json!({ "x.io/A_b": "", "c": "D.e_f-1" });
    target.post(&path, &fine).await.ok();
}

pub(super) async fn a_dry_run_stores_nothing(target: &Target) {
    let path = target.core("configmaps");
    let dry = target
        .post(&format!("{path}?dryRun=All"), &config_map("a"))
        .await
        .ok();
    assert!(dry["metadata"]["uid"].is_string());
    target.get(&format!("{path}/a")).await.refused(404, "NotFound");
    let made = target.post(&path, &config_map("a")).await.ok();
    let patch = json!({ "data": { "k": "v" } });
    let dry = target
        .patch(&format!("{path}/a?dryRun=All"), "merge", &patch)
        .await
        .ok();
    assert_eq!(dry["data"]["k"], "v");
    target.delete(&format!("{path}/a?dryRun=All")).await.ok();
    assert_eq!(target.get(&format!("{path}/a")).await.ok(), made);
}

pub(super) async fn a_put_creates_leases_and_events_that_are_not_there(target: &Target) {
    let lease = json!({ "metadata": { "name": "a" }, "spec": { "holderIdentity": "me" } });
    let path = format!(
        "/apis/coordination.k8s.io/v1/namespaces/{}/leases/a",
        target.namespace
    );
    let answer = target.put(&path, &lease).await;
    assert_eq!(answer.code, 201, "{}", answer.body);
    assert!(answer.body["metadata"]["uid"].is_string());
    // After that it needs the version.
    target.put(&path, &lease).await.refused(422, "Invalid");
    target.put(&path, &answer.body).await.ok();
    let event = json!({
        "metadata": { "name": "e", "namespace": target.namespace }, "reason": "Tested", "type": "Normal",
        "involvedObject": { "kind": "Pod", "namespace": target.namespace, "name": "p" },
    });
    assert_eq!(target.put(&target.core("events/e"), &event).await.code, 201);
    let query = target.core("events?fieldSelector=involvedObject.name%3Dp,reason%3DTested");
    assert_eq!(target.get(&query).await.ok()["items"][0]["metadata"]["name"], "e");
}

pub(super) async fn unknown_paths_are_not_found(target: &Target) {
    for path in ["/apis/no.such.group/v1/things", "/api/v1/things", "/api/v2/pods"] {
        assert_eq!(target.get(path).await.code, 404, "{path}");
    }
    let status = target
        .get(&target.core("configmaps/a"))
        .await
        .refused(404, "NotFound");
    assert_eq!(status["message"], "configmaps \"a\" not found");
    assert_eq!(
        target
            .call(
                "PATCH",
                &target.core("configmaps/a"),
                "text/plain",
                Some(&json!({}))
            )
            .await
            .code,
        415
    );
    assert_eq!(
        target
            .put(&target.core("configmaps"), &config_map("a"))
            .await
            .code,
        405
    );
}

pub(super) async fn metadata_alone_can_be_read(target: &Target) {
    let mut sent = config_map("a");
    sent["data"] = json!({ "k": "v" });
    let made = target.post(&target.core("configmaps"), &sent).await.ok();
    let get = async |path: String, form: &str| {
        let accept = format!("application/json;as={form};g=meta.k8s.io;v=v1");
        let request = Request::get(path)
            .header("accept", accept)
            .body(Body::empty())
            .unwrap();
        target.send(request).await.ok()
    };
    let one = get(target.core("configmaps/a"), "PartialObjectMetadata").await;
    assert_eq!(
        (&one["kind"], &one["apiVersion"]),
        (&json!("PartialObjectMetadata"), &json!("meta.k8s.io/v1"))
    );
    assert_eq!(one["metadata"], made["metadata"]);
    assert!(one.get("data").is_none());
    let query = target.core("configmaps?fieldSelector=metadata.name%3Da");
    let list = get(query, "PartialObjectMetadataList").await;
    assert_eq!(list["kind"], "PartialObjectMetadataList");
    assert_eq!(list["items"][0]["metadata"], made["metadata"]);
}
