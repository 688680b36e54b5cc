//! A webhook of your own that injects sidecars: its own server, its own rules, sets from a file. Of kruise-rs it has the injection
//! engine, which is a function from a pod and compiled sets to a patch.

use std::sync::Arc;

use anyhow::Context as _;
use axum::extract::State;
use axum::routing::post;
use axum::{Json, Router};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use kruise_sidecar::api::{HashForm, SidecarSet, default_sidecar_set};
use kruise_sidecar::inject::{InjectConfig, Injector, Moment, compile};
use serde::Deserialize as _;
use serde_json::{Value, json};

/// A pod with this label is left alone: a rule of your own.
const OPT_OUT: &str = "sidecars.example.com/none";

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

async fn mutate(State(engine): State<Arc<Injector>>, Json(review): Json<Value>) -> Json<Value> {
    let (request, pod) = (&review["request"], &review["request"]["object"]);
    let mut response = json!({"uid": request["uid"], "allowed": true});
    if pod["metadata"]["labels"].get(OPT_OUT).is_none() {
        let namespace = request["namespace"].as_str().unwrap_or_default();
        let moment = Moment::new(jiff::Timestamp::now()).namespace(namespace);
        match engine.inject_value(pod, &moment) {
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
    let (version, kind) = ("admission.k8s.io/v1", "AdmissionReview");
    Json(json!({"apiVersion": version, "kind": kind, "response": response}))
}
