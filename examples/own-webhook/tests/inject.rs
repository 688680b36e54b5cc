//! Reviews as the API server sends them.

use base64::Engine as _;
use http_body_util::BodyExt as _;
use serde_json::{Value, json};
use tower::ServiceExt as _;

/// The containers that a pod has after admission, or why it is refused.
async fn admit(namespace: &str, labels: Value, container: &str) -> Result<Vec<String>, String> {
    let engine = kruise_own_webhook::engine(include_str!("../sets.yaml")).expect("sets");
    let mut pod = json!({"metadata": {"name": "p", "labels": labels},
        "spec": {"containers": [{"name": container, "younger-than-us": 1}]}});
    let review = json!({"request": {"uid": "7", "namespace": namespace, "object": pod}});
    let request = axum::http::Request::post("/mutate")
        .header("content-type", "application/json")
        .body(review.to_string())
        .expect("a request");
    let answer = kruise_own_webhook::routes(engine)
        .oneshot(request)
        .await
        .expect("an answer");
    let body = answer.into_body().collect().await.expect("a body").to_bytes();
    let response = serde_json::from_slice::<Value>(&body).expect("JSON")["response"].take();
    assert_eq!(response["uid"], "7");
    if response["allowed"] != true {
        return Err(response["status"]["message"].to_string());
    }
    if let Some(patch) = response["patch"].as_str() {
        let text = base64::engine::general_purpose::STANDARD
            .decode(patch)
            .expect("base64");
        let patch: json_patch::Patch = serde_json::from_slice(&text).expect("a patch");
        json_patch::patch(&mut pod, &patch).expect("it fits");
    }
    let containers = pod["spec"]["containers"].as_array().expect("containers");
    let unknown = containers.iter().find(|found| found["name"] == container);
    assert_eq!(unknown.expect("the app")["younger-than-us"], 1);
    Ok(containers
        .iter()
        .map(|found| found["name"].as_str().expect("a name").to_owned())
        .collect())
}

#[tokio::test]
async fn pods_get_what_selects_them_and_others_nothing() {
    let web = json!({"app": "web"});
    assert_eq!(
        admit("shop", web.clone(), "main").await.expect("taken"),
        ["main", "shipper"]
    );
    let both = json!({"app": "web", "mesh": "on"});
    assert_eq!(
        admit("shop", both.clone(), "main").await.expect("taken"),
        ["proxy", "main", "shipper"]
    );
    assert_eq!(
        admit("other", both, "main").await.expect("taken"),
        ["main", "shipper"]
    );
    assert_eq!(
        admit("shop", json!({"app": "db"}), "main").await.expect("taken"),
        ["main"]
    );
    let alone = json!({"app": "web", "sidecars.example.com/none": ""});
    assert_eq!(admit("shop", alone, "main").await.expect("taken"), ["main"]);
    // Words elsewhere in the pod are no label.
    let said = json!({"app": "web", "note": "sidecars.example.com/none"});
    assert_eq!(
        admit("shop", said, "main").await.expect("taken"),
        ["main", "shipper"]
    );
}

#[tokio::test]
async fn a_name_that_is_taken_is_refused_with_the_names() {
    let told = admit("shop", json!({"app": "web"}), "shipper")
        .await
        .expect_err("refused");
    assert!(told.contains("logs") && told.contains("shipper"), "{told}");
}
