//! Reviews against a router, without a server.
#![allow(clippy::unwrap_used, reason = "helpers of tests fail that way")]

mod webhook_support;

use std::time::Duration;

use http::{Request, StatusCode};
use http_body_util::Full;
use kruise_core::webhook::*;
use serde_json::{Value, json};
use webhook_support::*;

#[tokio::test]
async fn an_accepted_review_carries_its_uid_and_nothing_else() {
    let response = ask(&router(), "/validate", order("nothing")).await;
    assert_eq!(response, json!({"uid": "7f3c", "allowed": true}));
}

#[tokio::test]
async fn a_denial_carries_code_reason_message_and_warnings() {
    let response = ask(&router(), "/validate", order("deny")).await;
    let status = json!({"status": "Failure", "code": 403, "reason": "Forbidden", "message": "not you"});
    assert_eq!(
        response,
        json!({"uid": "7f3c", "allowed": false, "status": status, "warnings": ["think again"]})
    );
}

#[tokio::test]
async fn an_accepted_review_carries_warnings() {
    let response = ask(&router(), "/validate", order("warn")).await;
    assert_eq!(response["warnings"], json!(["careful"]));
}

#[tokio::test]
async fn a_patch_applies_and_leaves_alone_what_the_type_does_not_know() {
    let mut object = order("nothing");
    object["future"] = json!({"field": [1, 2]});
    object["metadata"]["new"] = json!(true);
    let response = ask(&router(), "/mutate", object.clone()).await;
    let mut wanted = object.clone();
    wanted["metadata"]["labels"] = json!({"creator": "jane"});
    assert_eq!(patched(object, &response), wanted);
}

#[tokio::test]
async fn a_mutator_that_changes_nothing_sends_no_patch() {
    let mut object = order("nothing");
    object["metadata"]["labels"] = json!({"creator": "jane"});
    let response = ask(&router(), "/mutate", object).await;
    assert_eq!(response, json!({"uid": "7f3c", "allowed": true}));
}

#[tokio::test]
async fn a_deletion_shows_the_old_object_to_validators_and_passes_by_mutators() {
    let mut review = review(Value::Null);
    review["request"]["operation"] = json!("DELETE");
    review["request"]["oldObject"] = order("deny");
    let (_, body) = send(&router(), request("/validate", review.to_string())).await;
    assert_eq!(response(&body)["allowed"], false);
    let (_, body) = send(&router(), request("/mutate", review.to_string())).await;
    assert_eq!(response(&body), json!({"uid": "7f3c", "allowed": true}));
}

#[tokio::test]
async fn a_panic_is_answered_by_policy() {
    let router = router();
    let response = ask(&router, "/validate", order("panic")).await;
    assert_eq!(response["allowed"], false);
    assert_eq!(response["status"]["code"], 500);
    let response = ask(&router, "/mutate", order("panic")).await;
    assert_eq!(response["allowed"], false);
    let response = ask(&router, "/validate-lenient", order("panic")).await;
    assert_eq!(response["allowed"], true);
    assert_eq!(
        response["warnings"],
        json!(["lenient.example.com: internal error"])
    );
}

#[tokio::test(start_paused = true)]
async fn a_handler_that_hangs_is_answered_by_policy_after_ten_seconds() {
    let start = tokio::time::Instant::now();
    let response = ask(&router(), "/validate", order("hang")).await;
    assert_eq!(start.elapsed(), Duration::from_secs(10));
    assert_eq!(response["allowed"], false);
    assert_eq!(response["status"]["code"], 504);
    let response = ask(&router(), "/validate-lenient", order("hang")).await;
    assert_eq!(response["allowed"], true);
}

#[tokio::test]
async fn an_object_that_cannot_be_read_is_answered_by_policy() {
    let object = json!({"metadata": {"name": 7}});
    let response = ask(&router(), "/validate", object.clone()).await;
    assert_eq!(response["status"]["code"], 400);
    let response = ask(&router(), "/validate-lenient", object).await;
    assert_eq!(response["allowed"], true);
    assert!(
        response["warnings"][0]
            .as_str()
            .unwrap()
            .contains("cannot be read: metadata.name: Invalid value: ")
    );
}

#[tokio::test]
async fn a_long_body_is_answered_with_413() {
    let mut config = RouterConfig::default();
    config.max_body_bytes = 2000;
    let router = Router::builder()
        .validate::<Value>(Hook::new("/v", "v.example.com", vec![]), Always)
        .config(config)
        .build()
        .unwrap();
    let (status, _) = send(&router, request("/v", vec![b' '; 2001])).await;
    assert_eq!(status, StatusCode::PAYLOAD_TOO_LARGE);
    // Not told beforehand.
    let chunk = || http_body::Frame::data(bytes::Bytes::from_static(&[b' '; 1500]));
    let chunks = futures::stream::iter(vec![Ok::<_, std::io::Error>(chunk()), Ok(chunk())]);
    let late = Request::post("/v").header("content-type", "application/json");
    let late = late.body(http_body_util::StreamBody::new(chunks)).unwrap();
    let response = tower::ServiceExt::oneshot(router.clone(), late).await.unwrap();
    assert_eq!(response.status(), StatusCode::PAYLOAD_TOO_LARGE);
    let mut fits = review(order("x")).to_string().into_bytes();
    fits.resize(2000, b' ');
    let (status, _) = send(&router, request("/v", fits)).await;
    assert_eq!(status, StatusCode::OK);
}

/// Accepts all.
struct Always;

impl Validator<Value> for Always {
    async fn validate(&self, context: &Context<Value>, object: Option<&Value>) -> Result<Warnings, Denial> {
        Ok(vec![format!(
            "{} {} {} {:?} {} {}",
            context.operation.as_str(),
            context.namespace.as_deref().unwrap_or("-"),
            context.name.as_deref().unwrap_or("-"),
            context.sub_resource,
            context.dry_run,
            object.map_or_else(String::new, Value::to_string),
        )])
    }
}

#[tokio::test]
async fn a_raw_handler_sees_the_object_as_it_came() {
    let router = Router::builder()
        .validate::<Value>(Hook::new("/v", "v.example.com", vec![]), Always)
        .build()
        .unwrap();
    let mut review = review(json!({"any": "thing"}));
    review["request"]["subResource"] = json!("status");
    review["request"]["dryRun"] = json!(true);
    let (_, body) = send(&router, request("/v", review.to_string())).await;
    assert_eq!(
        response(&body)["warnings"],
        json!([r#"CREATE default a Some("status") true {"any":"thing"}"#])
    );
}

#[tokio::test]
async fn requests_that_are_not_reviews_are_refused_by_status() {
    let router = router();
    let body = || review(order("x")).to_string();
    let (status, _) = send(&router, request("/elsewhere", body())).await;
    assert_eq!(status, StatusCode::NOT_FOUND);
    let get = Request::get("/validate").body(Full::default()).unwrap();
    assert_eq!(send(&router, get).await.0, StatusCode::METHOD_NOT_ALLOWED);
    let mut plain = request("/validate", body());
    plain
        .headers_mut()
        .insert("content-type", "text/plain".parse().unwrap());
    assert_eq!(send(&router, plain).await.0, StatusCode::UNSUPPORTED_MEDIA_TYPE);
    let mut charset = request("/validate", body());
    charset
        .headers_mut()
        .insert("content-type", "application/JSON; charset=utf-8".parse().unwrap());
    assert_eq!(send(&router, charset).await.0, StatusCode::OK);
    for malformed in [
        "",
        "{",
        "[]",
        r#"{"apiVersion":"admission.k8s.io/v1","kind":"AdmissionReview"}"#,
    ] {
        let (status, _) = send(&router, request("/validate", malformed)).await;
        assert_eq!(status, StatusCode::BAD_REQUEST, "{malformed}");
    }
    let old = body().replace("admission.k8s.io/v1", "admission.k8s.io/v1beta1");
    assert_eq!(
        send(&router, request("/validate", old)).await.0,
        StatusCode::BAD_REQUEST
    );
    let health = Request::get(HEALTH_PATH).body(Full::default()).unwrap();
    assert_eq!(send(&router, health).await.0, StatusCode::OK);
}

#[tokio::test(start_paused = true)]
async fn a_body_that_does_not_arrive_is_answered_with_408() {
    use tower::ServiceExt;
    let stuck = http_body_util::StreamBody::new(futures::stream::pending::<
        Result<http_body::Frame<bytes::Bytes>, std::io::Error>,
    >());
    let request = Request::post("/validate").header("content-type", "application/json");
    let response = router().oneshot(request.body(stuck).unwrap()).await.unwrap();
    assert_eq!(response.status(), StatusCode::REQUEST_TIMEOUT);
}

#[test]
fn hooks_that_cannot_work_are_refused_by_name_of_the_field() {
    let build = |hooks: Vec<Hook>| {
        let builder = Router::builder();
        let builder = hooks
            .into_iter()
            .fold(builder, |all, hook| all.validate::<Value>(hook, Always));
        builder.build().map_err(|error| error.field().to_owned())
    };
    let hook = |path: &str| Hook::new(path, "v.example.com", vec![]);
    assert_eq!(build(vec![hook("v")]).unwrap_err(), "v.path");
    assert_eq!(build(vec![hook("/healthz")]).unwrap_err(), "/healthz.path");
    assert_eq!(
        build(vec![hook("/v").timeout(Duration::ZERO)]).unwrap_err(),
        "/v.timeout"
    );
    assert_eq!(
        build(vec![Hook::new("/v", "short", vec![])]).unwrap_err(),
        "/v.name"
    );
    assert_eq!(build(vec![hook("/v"), hook("/w")]).unwrap_err(), "/w.name");
    let twice = vec![hook("/v"), Hook::new("/v", "w.example.com", vec![])];
    assert_eq!(build(twice).unwrap_err(), "/v.path");
    let empty = Rule::new("", "v1", "pods", &[]);
    assert_eq!(
        build(vec![Hook::new("/v", "v.example.com", vec![empty])]).unwrap_err(),
        "/v.rules"
    );
}

#[tokio::test]
async fn verdicts_and_panics_are_counted_by_path() {
    let mut registry = prometheus_client::registry::Registry::default();
    let metrics = WebhookMetrics::register(&mut registry);
    let hook = Hook::new("/v", "v.example.com", vec![]);
    let router = Router::builder()
        .metrics(&metrics)
        .validate(hook, Obedient)
        .build()
        .unwrap();
    for order_ in ["panic", "deny", "deny"] {
        ask(&router, "/v", order(order_)).await;
    }
    let mut text = String::new();
    prometheus_client::encoding::text::encode(&mut text, &registry).unwrap();
    assert!(
        text.contains(r#"kruise_webhook_requests_total{path="/v",result="denied"} 2"#),
        "{text}"
    );
    assert!(
        text.contains(r#"kruise_webhook_requests_total{path="/v",result="panic"} 1"#),
        "{text}"
    );
}
