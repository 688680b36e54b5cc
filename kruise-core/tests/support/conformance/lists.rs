//! Selectors, pages, versions of lists.

use serde_json::json;

use super::{Target, config_map, name, names, pod, version};

async fn some(target: &Target) {
    for (name, labels) in [
        ("a", json!({ "app": "web", "tier": "1" })),
        ("b", json!({ "app": "db" })),
        ("c", json!({ "app": "web", "tier": "2" })),
        ("d", json!({ "mark": "d" })),
    ] {
        let mut object = config_map(name);
        object["metadata"]["labels"] = labels;
        object["metadata"]["labels"]["case"] = json!("lists");
        target.post(&target.core("configmaps"), &object).await.ok();
    }
}

async fn found(target: &Target, path: &str, query: &str) -> Vec<String> {
    let list = target.get(&format!("{path}?{query}")).await.ok();
    names(&list).into_iter().map(str::to_owned).collect()
}

pub(super) async fn label_selectors_choose(target: &Target) {
    some(target).await;
    for (selector, expected) in [
        ("case", "abcd"),
        ("app=web", "ac"),
        ("app==web,tier=2", "c"),
        ("case,app!=web", "bd"),
        ("app+in+(web,db)", "abc"),
        ("case,app+notin+(web)", "bd"),
        ("case,!app", "d"),
        ("case,tier", "ac"),
        ("tier>1", "c"),
        ("tier<2", "a"),
    ] {
        let query = format!(
            "labelSelector={}",
            selector.replace('>', "%3E").replace('<', "%3C")
        );
        assert_eq!(
            found(target, &target.core("configmaps"), &query).await.concat(),
            expected,
            "{selector}"
        );
    }
}

pub(super) async fn field_selectors_choose(target: &Target) {
    let pods = target.core("pods");
    for (name, node) in [("a", None), ("b", Some("no-such-node"))] {
        let mut pod = pod(name);
        if let Some(node) = node {
            pod["spec"]["nodeName"] = json!(node);
        }
        target.post(&pods, &pod).await.ok();
    }
    for (selector, expected) in [
        ("metadata.name=a", "a"),
        ("metadata.name!=a", "b"),
        ("spec.nodeName=no-such-node", "b"),
        ("spec.nodeName=", "a"),
        ("status.phase=Pending,spec.nodeName!=", "b"),
        ("status.phase=Running", ""),
    ] {
        let query = format!(
            "fieldSelector={}",
            selector.replace('=', "%3D").replace('!', "%21")
        );
        assert_eq!(
            found(target, &pods, &query).await.concat(),
            expected,
            "{selector}"
        );
    }
}

pub(super) async fn lists_are_paged_with_tokens_of_one_snapshot(target: &Target) {
    some(target).await;
    let path = target.core("configmaps");
    let first = target
        .get(&format!("{path}?limit=2&labelSelector=case"))
        .await
        .ok();
    assert_eq!(names(&first), ["a", "b"]);
    assert!(first["metadata"].get("remainingItemCount").is_none());
    // What comes later is not in the snapshot.
    let mut late = config_map("c2");
    late["metadata"]["labels"] = json!({ "case": "lists" });
    target.post(&path, &late).await.ok();
    target.delete(&format!("{path}/d")).await.ok();
    let token = first["metadata"]["continue"].as_str().unwrap();
    let query = format!("limit=2&labelSelector=case&continue={token}");
    let second = target.get(&format!("{path}?{query}")).await.ok();
    assert_eq!(names(&second), ["c", "d"]);
    assert_eq!(version(&first), version(&second));
    // A server that does not know whether more would match says to go on, and then there is nothing.
    if let Some(token) = second["metadata"]["continue"]
        .as_str()
        .filter(|token| !token.is_empty())
    {
        let query = format!("limit=2&labelSelector=case&continue={token}");
        assert_eq!(found(target, &path, &query).await.concat(), "");
    }
    // Without a selector the server tells how many remain.
    let all = names(&target.get(&path).await.ok()).len();
    let counted = target.get(&format!("{path}?limit=1")).await.ok();
    assert_eq!(counted["metadata"]["remainingItemCount"], all - 1);
    target
        .get(&format!("{path}?limit=2&continue=nonsense"))
        .await
        .refused(400, "BadRequest");
}

pub(super) async fn lists_at_a_version_show_that_version(target: &Target) {
    let path = target.core("configmaps");
    let first = target.post(&path, &config_map("a")).await.ok();
    target.post(&path, &config_map("b")).await.ok();
    let exact = format!("resourceVersion={}&resourceVersionMatch=Exact", version(&first));
    let listed = found(target, &path, &exact).await;
    assert!(listed.contains(&"a".to_owned()) && !listed.contains(&"b".to_owned()));
    let newer = format!(
        "resourceVersion={}&resourceVersionMatch=NotOlderThan",
        version(&first)
    );
    assert!(found(target, &path, &newer).await.contains(&"a".to_owned()));
    let status = target.get(&format!("{path}?resourceVersionMatch=Exact")).await;
    assert_eq!(status.code, 422);
    assert!(
        found(target, &path, "resourceVersion=0&limit=1")
            .await
            .contains(&"a".to_owned())
    );
}

pub(super) async fn lists_from_the_future_are_refused(target: &Target) {
    let path = format!("{}?resourceVersion=9000000000000", target.core("configmaps"));
    target.get(&path).await.refused(504, "Timeout");
}

pub(super) async fn selectors_that_make_no_sense_are_refused(target: &Target) {
    for query in [
        "fieldSelector=spec.foo%3Dx",
        "labelSelector=a%20b",
        "labelSelector=a%20in%20b",
        "fieldSelector=nonsense",
        "resourceVersion=old",
    ] {
        let answer = target.get(&format!("{}?{query}", target.core("pods"))).await;
        let expected = if query.starts_with("resourceVersion") {
            500
        } else {
            400
        };
        assert_eq!(answer.code, expected, "{query} {}", answer.body);
    }
    let one = target.get(&target.core("pods?limit=5")).await.ok();
    assert_eq!((&one["kind"], name(&one)), (&json!("PodList"), ""));
}
