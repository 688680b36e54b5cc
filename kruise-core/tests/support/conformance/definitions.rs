//! CustomResourceDefinitions and discovery.

use serde_json::json;

use super::{DEFINITIONS, GROUP, Target, fields, names};

pub(super) async fn definitions_serve_a_kind_until_they_are_gone(target: &Target) {
    let path = target.define(&json!({ "type": "object" }), |_| {}).await;
    let definition = format!("{DEFINITIONS}/{}.{GROUP}", target.plural());
    let stored = target.get(&definition).await.ok();
    let conditions = stored["status"]["conditions"].as_array().unwrap();
    assert!(
        conditions
            .iter()
            .any(|one| one["type"] == "Established" && one["status"] == "True")
    );
    assert_eq!(stored["status"]["storedVersions"], json!(["v1"]));
    target.post(&path, &target.widget("a", json!({}))).await.ok();
    let list = target.get(&path).await.ok();
    assert_eq!(
        (&list["kind"], names(&list)),
        (&json!(format!("{}List", target.kind())), vec!["a"])
    );
    let mut nameless = target.widget("b", json!({}));
    nameless["kind"] = json!("Other");
    assert!((400..=422).contains(&target.post(&path, &nameless).await.code));
    target.undefine().await;
    target.gone(&path).await;
    target.gone(&definition).await;
    let wrong = json!({
        "metadata": { "name": "wrong" },
        "spec": { "group": GROUP, "scope": "Namespaced", "names": { "plural": "x", "kind": "X" }, "versions": [] },
    });
    target.post(DEFINITIONS, &wrong).await.refused(422, "Invalid");
}

pub(super) async fn objects_are_pruned_and_defaulted(target: &Target) {
    let schema = json!({
        "type": "object",
        "properties": {
            "n": { "type": "integer", "default": 3 },
            "inner": {
                "type": "object", "default": {},
                "properties": { "deep": { "type": "string", "default": "yes" } },
            },
            "free": { "type": "object", "x-kubernetes-preserve-unknown-fields": true },
            "map": { "type": "object", "additionalProperties": { "type": "string" } },
            "list": { "type": "array", "items": { "type": "object", "properties": { "k": { "type": "string", "default": "d" } } } },
        },
    });
    let path = target.define(&schema, |_| {}).await;
    let mut sent = target.widget("a", json!({
        "unknown": 1, "free": { "any": { "thing": 1 } }, "map": { "x": "y" }, "list": [{}, { "k": "v", "l": 1 }],
    }));
    sent["top"] = json!(1);
    let made = target.post(&path, &sent).await.ok();
    assert!(made.get("top").is_none());
    assert_eq!(
        made["spec"],
        json!({
            "n": 3, "inner": { "deep": "yes" }, "free": { "any": { "thing": 1 } }, "map": { "x": "y" },
            "list": [{ "k": "d" }, { "k": "v" }],
        })
    );
    target.undefine().await;
}

pub(super) async fn objects_are_validated(target: &Target) {
    let schema = json!({
        "type": "object",
        "required": ["n"],
        "properties": {
            "n": { "type": "integer", "minimum": 1, "maximum": 5 },
            "s": { "type": "string", "minLength": 2, "enum": ["one", "two"] },
            "l": { "type": "array", "maxItems": 1, "items": { "type": "string" } },
            "p": { "x-kubernetes-int-or-string": true },
            "o": { "type": "string", "nullable": true },
        },
    });
    let path = target.define(&schema, |_| {}).await;
    for (index, (spec, field)) in [
        (json!({}), "spec.n"),
        (json!({ "n": 0 }), "spec.n"),
        (json!({ "n": 6 }), "spec.n"),
        (json!({ "n": "x" }), "spec.n"),
        (json!({ "n": 1, "s": "three" }), "spec.s"),
        (json!({ "n": 1, "l": ["a", "b"] }), "spec.l"),
        (json!({ "n": 1, "l": [1] }), "spec.l[0]"),
        (json!({ "n": 1, "p": true }), "spec.p"),
    ]
    .into_iter()
    .enumerate()
    {
        let status = target
            .post(&path, &target.widget(&format!("w{index}"), spec))
            .await
            .refused(422, "Invalid");
        let told = fields(&status);
        let bare = |field: &str| field.replace("[0]", "");
        assert!(
            told.iter().any(|one| bare(one) == bare(field)),
            "{field}: {told:?}"
        );
    }
    for (index, spec) in [
        json!({ "n": 5, "p": 1, "o": null }),
        json!({ "n": 1, "p": "50%", "s": "two", "l": [] }),
    ]
    .into_iter()
    .enumerate()
    {
        target
            .post(&path, &target.widget(&format!("r{index}"), spec))
            .await
            .ok();
    }
    target.undefine().await;
}

pub(super) async fn every_version_shows_the_same_object(target: &Target) {
    let path = target
        .define(
            &json!({ "type": "object", "x-kubernetes-preserve-unknown-fields": true }),
            |definition| {
                let versions = definition["spec"]["versions"].as_array_mut().unwrap();
                let mut newer = versions[0].clone();
                newer["name"] = json!("v2");
                newer["storage"] = json!(false);
                let mut dead = newer.clone();
                dead["name"] = json!("v0");
                dead["served"] = json!(false);
                versions.extend([newer, dead]);
            },
        )
        .await;
    target
        .post(&path, &target.widget("a", json!({ "n": 1 })))
        .await
        .ok();
    let newer = path.replace("/v1/", "/v2/");
    let seen = target.get(&format!("{newer}/a")).await.ok();
    assert_eq!(
        (&seen["apiVersion"], &seen["spec"]["n"]),
        (&json!(format!("{GROUP}/v2")), &json!(1))
    );
    target
        .patch(&format!("{newer}/a"), "merge", &json!({ "spec": { "n": 2 } }))
        .await
        .ok();
    let seen = target.get(&format!("{path}/a")).await.ok();
    assert_eq!(
        (&seen["apiVersion"], &seen["spec"]["n"]),
        (&json!(format!("{GROUP}/v1")), &json!(2))
    );
    target
        .post(&newer, &target.widget("b", json!({})))
        .await
        .refused(400, "BadRequest");
    assert_eq!(target.get(&path.replace("/v1/", "/v0/")).await.code, 404);
    target.undefine().await;
}

pub(super) async fn discovery_lists_what_is_served(target: &Target) {
    let path = target.define(&json!({ "type": "object" }), |_| {}).await;
    let groups = target.get("/apis").await.ok();
    let has = |name: &str| {
        groups["groups"]
            .as_array()
            .unwrap()
            .iter()
            .any(|group| group["name"] == name)
    };
    assert!(has("apps") && has(GROUP));
    let named = |list: &serde_json::Value, name: &str| {
        let resources = list["resources"].as_array().unwrap();
        resources.iter().find(|one| one["name"] == name).cloned()
    };
    let core = target.get("/api/v1").await.ok();
    let pods = named(&core, "pods").unwrap();
    assert_eq!(
        (&pods["kind"], &pods["namespaced"]),
        (&json!("Pod"), &json!(true))
    );
    assert!(named(&core, "pods/status").is_some());
    let own = format!("/apis/{GROUP}/v1");
    target
        .until("discovery", || async {
            named(&target.get(&own).await.body, &target.plural()).is_some()
        })
        .await;
    let widgets = named(&target.get(&own).await.ok(), &target.plural()).unwrap();
    assert_eq!(widgets["kind"], target.kind());
    assert_eq!(target.get("/version").await.ok()["major"], "1");
    assert_eq!(target.get(&path).await.code, 200);
    target.undefine().await;
}
