//! Watches.

use std::time::Duration;

use serde_json::{Value, json};

use super::{Target, config_map, name, version};

/// Where a watch may begin.
async fn now(target: &Target) -> String {
    let list = target
        .get(&format!("{}?limit=1", target.core("secrets")))
        .await
        .ok();
    version(&list).to_owned()
}

pub(super) async fn a_watch_tells_of_changes_in_order(target: &Target) {
    let path = target.core("configmaps");
    let begin = now(target).await;
    let mut watch = target
        .watch(
            &path,
            &format!("&resourceVersion={begin}&fieldSelector=metadata.name%3Da"),
        )
        .await;
    let made = target.post(&path, &config_map("a")).await.ok();
    let changed = target
        .patch(&format!("{path}/a"), "merge", &json!({ "data": { "k": "v" } }))
        .await
        .ok();
    target.delete(&format!("{path}/a")).await.ok();
    assert_eq!(
        watch.next().await.unwrap(),
        json!({ "type": "ADDED", "object": made })
    );
    assert_eq!(
        watch.next().await.unwrap(),
        json!({ "type": "MODIFIED", "object": changed })
    );
    let deleted = watch.next().await.unwrap();
    assert_eq!(
        (&deleted["type"], &deleted["object"]["data"]),
        (&json!("DELETED"), &json!({ "k": "v" }))
    );
    // The version is that of the deletion, so that a watch can go on from it.
    let number = |text: &str| text.parse::<u64>().unwrap();
    assert!(number(version(&deleted["object"])) > number(version(&changed)));
}

pub(super) async fn a_watch_resumes_where_it_is_told_to(target: &Target) {
    let path = target.core("configmaps");
    let a = target.post(&path, &config_map("a")).await.ok();
    target.post(&path, &config_map("b")).await.ok();
    target.delete(&format!("{path}/a")).await.ok();
    let mut watch = target
        .watch(
            &path,
            &format!(
                "&resourceVersion={}&fieldSelector=metadata.name%21%3Dkube-root-ca.crt",
                version(&a)
            ),
        )
        .await;
    assert_eq!([watch.told().await, watch.told().await], ["ADDED b", "DELETED a"]);
    // Nothing twice, and live from there.
    target.post(&path, &config_map("c")).await.ok();
    assert_eq!(watch.told().await, "ADDED c");
}

pub(super) async fn a_watch_without_a_version_begins_with_what_is_there(target: &Target) {
    let path = target.core("configmaps");
    target.post(&path, &config_map("a")).await.ok();
    for query in ["", "&resourceVersion=0"] {
        let query = format!("{query}&fieldSelector=metadata.name%3Da");
        let mut watch = target.watch(&path, &query).await;
        assert_eq!(watch.told().await, "ADDED a");
        let patch = json!({ "data": { "k": query } });
        target.patch(&format!("{path}/a"), "merge", &patch).await.ok();
        assert_eq!(watch.told().await, "MODIFIED a");
    }
}

pub(super) async fn objects_enter_and_leave_a_selector(target: &Target) {
    let path = target.core("configmaps");
    let begin = now(target).await;
    let mut watch = target
        .watch(&path, &format!("&resourceVersion={begin}&labelSelector=in%3Dyes"))
        .await;
    target.post(&path, &config_map("a")).await.ok();
    for mark in [json!("yes"), json!("no"), json!("yes")] {
        let patch = json!({ "metadata": { "labels": { "in": mark } } });
        target.patch(&format!("{path}/a"), "merge", &patch).await.ok();
    }
    assert_eq!(
        [watch.told().await, watch.told().await, watch.told().await],
        ["ADDED a", "DELETED a", "ADDED a"]
    );
    let patch = json!({ "data": { "k": "v" } });
    target.patch(&format!("{path}/a"), "merge", &patch).await.ok();
    assert_eq!(watch.told().await, "MODIFIED a");
}

pub(super) async fn a_watch_from_the_far_past_skips_nothing(target: &Target) {
    let path = target.core("configmaps");
    for object in ["a", "b"] {
        target.post(&path, &config_map(object)).await.ok();
    }
    // A server that is young knows its whole history. An older one has forgotten the beginning and says so, by an event or by
    // a refusal, by the age of its own cache. None may begin in the middle.
    let answer = target
        .get(&format!("{path}?watch=true&resourceVersion=1&timeoutSeconds=1"))
        .await;
    let status = match (answer.code, answer.body.as_str()) {
        (200, Some(events)) => {
            let told: Vec<Value> = serde_json::Deserializer::from_str(events)
                .into_iter()
                .map(Result::unwrap)
                .collect();
            let names: Vec<&str> = told
                .iter()
                .map(|event| name(&event["object"]))
                .filter(|told| ["a", "b"].contains(told))
                .collect();
            return assert_eq!(names, ["a", "b"]);
        }
        (200, None) => &answer.body["object"],
        _ => &answer.body,
    };
    assert_eq!(
        (&status["code"], &status["reason"]),
        (&json!(410), &json!("Expired"))
    );
}

pub(super) async fn a_watch_of_one_object_sees_no_other(target: &Target) {
    let path = target.core("configmaps");
    target.post(&path, &config_map("a")).await.ok();
    let mut watch = target.watch(&path, "&fieldSelector=metadata.name%3Da").await;
    assert_eq!(watch.told().await, "ADDED a");
    target.post(&path, &config_map("b")).await.ok();
    target.delete(&format!("{path}/a")).await.ok();
    assert_eq!(watch.told().await, "DELETED a");
}

pub(super) async fn a_watch_ends_after_its_time_with_a_bookmark(target: &Target) {
    let path = target.core("configmaps");
    let begin = now(target).await;
    let query =
        format!("&resourceVersion={begin}&allowWatchBookmarks=true&timeoutSeconds=3&labelSelector=a%3Db");
    let mut watch = target.watch(&path, &query).await;
    let late = target.post(&path, &config_map("x")).await.ok();
    let started = tokio::time::Instant::now();
    let mut last = None;
    while let Some(event) = watch.next_of_any_type().await {
        assert_eq!((&event["type"], name(&event["object"])), (&json!("BOOKMARK"), ""));
        last = Some(event);
    }
    assert!(started.elapsed() > Duration::from_secs(2) && started.elapsed() < Duration::from_secs(10));
    if let Some(last) = last {
        let number = |text: &str| text.parse::<u64>().unwrap();
        assert!(
            number(version(&last["object"])) >= number(version(&late)),
            "{last}"
        );
        assert_eq!(last["object"]["kind"], "ConfigMap");
    }
}
