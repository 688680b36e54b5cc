//! A webhook of your own that injects sidecars: its own server, its own rules, sets from a file. Of kruise-rs it has the injection
//! engine, which is a function from the text of a pod and compiled sets to a patch.

use std::sync::Arc;

use anyhow::Context as _;
use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::post;
use axum::{Json, Router};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use kruise_sidecar::api::{HashForm, SidecarSet, default_sidecar_set};
use kruise_sidecar::inject::{InjectConfig, Injector, Moment, compile};
use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Value, json};

/// The engine, from a file of SidecarSets: documents of YAML. They are compiled once, for all pods to come.
pub fn engine(sets: &str) -> anyhow::Result<Injector> {
    let mut compiled = Vec::new();
    for document in serde_yaml::Deserializer::from_str(sets) {
        let mut set = SidecarSet::deserialize(document).context("a document is no SidecarSet")?;
        default_sidecar_set(&mut set, HashForm::default());
        compiled.push(Arc::new(compile(&set, &[], HashForm::default())?));
    }
    Ok(Injector::new(compiled, InjectConfig::default()))
}

/// The server's routes. TLS, and who may call it, are yours.
pub fn routes(engine: Injector) -> Router {
    let router = Router::new().route("/mutate", post(mutate));
    router.with_state(Arc::new(engine))
}

#[derive(Deserialize)]
struct Review<'a> {
    #[serde(borrow)]
    request: Request<'a>,
}

#[derive(Deserialize)]
struct Request<'a> {
    uid: String,
    #[serde(default)]
    namespace: String,
    /// The pod stays text: what is not looked at is not decoded.
    #[serde(borrow)]
    object: &'a RawValue,
}

type Answer = Result<Json<Value>, (StatusCode, String)>;

async fn mutate(State(engine): State<Arc<Injector>>, body: String) -> Answer {
    let read = serde_json::from_str(&body);
    let Review { request } = read.map_err(|error| (StatusCode::BAD_REQUEST, error.to_string()))?;
    let mut response = json!({"uid": request.uid, "allowed": true});
    // A rule of your own comes before: here, a label with which a pod asks to be left alone.
    if !request.object.get().contains(r#""sidecars.example.com/none""#) {
        let moment = Moment::new(jiff::Timestamp::now()).namespace(&request.namespace);
        match engine.inject(request.object.get(), &moment) {
            Ok(done) => {
                if let Some(patch) = done.patch {
                    response["patchType"] = json!("JSONPatch");
                    response["patch"] = json!(STANDARD.encode(patch));
                }
                response["warnings"] = json!(done.warnings);
            }
            Err(error) => {
                response["allowed"] = json!(false);
                let message = format!("{:#}", anyhow::Error::from(error));
                response["status"] = json!({"code": 400, "message": message});
            }
        }
    }
    let kind = "AdmissionReview";
    Ok(Json(
        json!({"apiVersion": "admission.k8s.io/v1", "kind": kind, "response": response}),
    ))
}
