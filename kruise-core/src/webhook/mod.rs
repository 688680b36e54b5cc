//! Admission and conversion webhooks: handlers with types, and a service that answers reviews.
//!
//! A [`Router`] is a `tower::Service` over HTTP requests. It needs no server of this crate: put it into your own, or
//! call it in a test:
//! ```
//! use kruise_core::webhook::*;
//! use k8s_openapi::api::core::v1::ConfigMap;
//! use tower::ServiceExt;
//!
//! struct NoSecrets;
//!
//! impl Validator<ConfigMap> for NoSecrets {
//!     async fn validate(&self, _: &Context<ConfigMap>, object: Option<&ConfigMap>) -> Result<Warnings, Denial> {
//!         match object.and_then(|object| object.data.as_ref()) {
//!             Some(data) if data.contains_key("password") => Err(Denial::invalid("passwords belong into a Secret")),
//!             _ => Ok(Warnings::new()),
//!         }
//!     }
//! }
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let rule = Rule::new("", "v1", "configmaps", &[Operation::Create, Operation::Update]);
//! let hook = Hook::new("/validate-configmap", "vconfigmap.example.com", vec![rule]);
//! let router = Router::builder().validate::<ConfigMap>(hook, NoSecrets).build()?;
//!
//! let review = serde_json::json!({
//!     "apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview",
//!     "request": {
//!         "uid": "1", "operation": "CREATE", "namespace": "default", "name": "a",
//!         "kind": {"group": "", "version": "v1", "kind": "ConfigMap"},
//!         "resource": {"group": "", "version": "v1", "resource": "configmaps"},
//!         "object": {"metadata": {"name": "a"}, "data": {"password": "x"}},
//!     },
//! });
//! let request = http::Request::post("/validate-configmap")
//!     .header("content-type", "application/json")
//!     .body(http_body_util::Full::new(bytes::Bytes::from(review.to_string())))?;
//! let answer = http_body_util::BodyExt::collect(router.oneshot(request).await?.into_body()).await?.to_bytes();
//! let answer: serde_json::Value = serde_json::from_slice(&answer)?;
//! assert_eq!(answer["response"]["allowed"], false);
//! assert_eq!(answer["response"]["status"]["code"], 422);
//! assert_eq!(answer["response"]["status"]["message"], "passwords belong into a Secret");
//! # Ok(())
//! # }
//! ```
//!
#![cfg_attr(
    feature = "webhook-server",
    doc = "To be called by a cluster it needs HTTPS and a configuration: see [`server`]."
)]
#![cfg_attr(
    not(feature = "webhook-server"),
    doc = "To be called by a cluster it needs HTTPS and a configuration: the feature `webhook-server`."
)]

mod conversion;
mod handler;
mod hook;
mod metrics;
mod overlay;
mod review;
mod router;
#[cfg(feature = "webhook-server")]
pub mod server;

pub use conversion::{Conversion, Converter};
pub use handler::{Context, Mutator, Patched, Patcher, Validator, Warnings};
pub use hook::{HEALTH_PATH, Hook, HookKind, OnFailure, Rule, Scope, Scopes};
pub use metrics::WebhookMetrics;
pub use review::{Denial, Operation};
pub use router::{Router, RouterBuilder, RouterConfig};
