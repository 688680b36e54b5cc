//! Reviews, and handlers that do as they are told, for the tests of webhooks.
#![allow(dead_code, unreachable_pub, reason = "each test file uses a part")]
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::expect_used,
    reason = "tests fail that way"
)]

pub mod api;
pub mod https;

use base64::Engine;
use bytes::Bytes;
use http::{Request, StatusCode};
use http_body_util::{BodyExt, Full};
use k8s_openapi::api::core::v1::ConfigMap;
use kruise_core::webhook::*;
use serde_json::{Value, json};
use tower::ServiceExt;

/// Does what the key `do` of the data says.
pub struct Obedient;

impl Obedient {
    async fn obey(object: Option<&ConfigMap>) -> Result<Warnings, Denial> {
        let order = object.and_then(|object| object.data.as_ref()?.get("do"));
        match order.map(String::as_str) {
            Some("panic") => panic!("told to"),
            Some("hang") => std::future::pending().await,
            Some("deny") => Err(Denial::forbidden("not you").warn("think again")),
            Some("warn") => Ok(vec!["careful".to_owned()]),
            _ => Ok(Warnings::new()),
        }
    }
}

impl Validator<ConfigMap> for Obedient {
    async fn validate(
        &self,
        context: &Context<ConfigMap>,
        object: Option<&ConfigMap>,
    ) -> Result<Warnings, Denial> {
        Self::obey(object.or(context.old.as_ref())).await
    }
}

impl Mutator<ConfigMap> for Obedient {
    async fn mutate(&self, context: &Context<ConfigMap>, object: &mut ConfigMap) -> Result<Warnings, Denial> {
        let warnings = Self::obey(Some(object)).await?;
        let user = context.user.username.clone().unwrap_or_default();
        object
            .metadata
            .labels
            .get_or_insert_default()
            .insert("creator".to_owned(), user);
        Ok(warnings)
    }
}

pub fn rule() -> Rule {
    Rule::new("", "v1", "configmaps", &[Operation::Create, Operation::Update])
}

/// `/validate`, `/validate-lenient` and `/mutate`.
pub fn router() -> Router {
    Router::builder()
        .validate::<ConfigMap>(Hook::new("/validate", "v.example.com", vec![rule()]), Obedient)
        .validate::<ConfigMap>(
            Hook::new("/validate-lenient", "lenient.example.com", vec![rule()]).on_failure(OnFailure::Allow),
            Obedient,
        )
        .mutate::<ConfigMap>(Hook::new("/mutate", "m.example.com", vec![rule()]), Obedient)
        .build()
        .unwrap()
}

pub fn review(object: Value) -> Value {
    json!({
        "apiVersion": "admission.k8s.io/v1",
        "kind": "AdmissionReview",
        "request": {
            "uid": "7f3c",
            "operation": "CREATE",
            "namespace": "default",
            "name": "a",
            "kind": {"group": "", "version": "v1", "kind": "ConfigMap"},
            "resource": {"group": "", "version": "v1", "resource": "configmaps"},
            "userInfo": {"username": "jane"},
            "object": object,
            "oldObject": null,
        },
    })
}

/// A config map with an order for [`Obedient`].
pub fn order(order: &str) -> Value {
    json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a"}, "data": {"do": order}})
}

pub fn request(path: &str, body: impl Into<Bytes>) -> Request<Full<Bytes>> {
    Request::post(path)
        .header("content-type", "application/json")
        .body(Full::new(body.into()))
        .unwrap()
}

pub async fn send(router: &Router, request: Request<Full<Bytes>>) -> (StatusCode, Bytes) {
    let response = router.clone().oneshot(request).await.unwrap();
    let status = response.status();
    (status, response.into_body().collect().await.unwrap().to_bytes())
}

/// The `response` of the answer to a review of `object`.
pub async fn ask(router: &Router, path: &str, object: Value) -> Value {
    let (status, body) = send(router, request(path, review(object).to_string())).await;
    assert_eq!(status, StatusCode::OK, "{body:?}");
    response(&body)
}

pub fn response(body: &[u8]) -> Value {
    let mut answer: Value = serde_json::from_slice(body).unwrap();
    assert_eq!(answer["apiVersion"], "admission.k8s.io/v1");
    assert_eq!(answer["kind"], "AdmissionReview");
    answer["response"].take()
}

/// `object` with the patch of a response.
pub fn patched(mut object: Value, response: &Value) -> Value {
    assert_eq!(response["patchType"], "JSONPatch");
    let text = response["patch"]
        .as_str()
        .expect("a string, not an array of numbers");
    let bytes = base64::engine::general_purpose::STANDARD.decode(text).unwrap();
    let patch: json_patch::Patch = serde_json::from_slice(&bytes).unwrap();
    json_patch::patch(&mut object, &patch).unwrap();
    object
}
