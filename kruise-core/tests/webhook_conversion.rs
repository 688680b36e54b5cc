//! Conversion reviews against a router, and what is written into the definition.
#![allow(clippy::unwrap_used, clippy::panic, reason = "helpers of tests fail that way")]

mod webhook_support;

use http::StatusCode;
use kruise_core::runtime::Tasks;
use kruise_core::webhook::server::*;
use kruise_core::webhook::*;
use serde_json::{Value, json};
use webhook_support::api::*;
use webhook_support::https::*;
use webhook_support::*;

/// `v1` says `size` where `v1beta1` says `replicas`; tries to rename everything, and does what `spec.do` says.
struct Sizes;

impl Converter for Sizes {
    fn convert(&self, object: &mut Value, to: &str) -> Result<(), String> {
        match object["spec"]["do"].as_str() {
            Some("panic") => panic!("told to"),
            Some("fail") => return Err("spec.do: Invalid value".into()),
            _ => {}
        }
        let (from, to) = if to == "example.com/v1" {
            ("replicas", "size")
        } else {
            ("size", "replicas")
        };
        let spec = object["spec"].as_object_mut().ok_or("spec: Required value")?;
        if let Some(value) = spec.remove(from) {
            spec.insert(to.into(), value);
        }
        object["metadata"]["name"] = json!("renamed");
        object["metadata"]["labels"] = json!({"converted": "yes"});
        Ok(())
    }
}

fn converter() -> Router {
    Router::builder()
        .convert(
            Conversion::new("/convert", "boxes.example.com").serves("v1beta1"),
            Sizes,
        )
        .build()
        .unwrap()
}

fn a_box(version: &str, name: &str, spec: Value) -> Value {
    let metadata = json!({"name": name, "namespace": "shop", "uid": name, "annotations": {"a": "b"}});
    json!({"apiVersion": version, "kind": "Box", "metadata": metadata, "spec": spec})
}

async fn convert(objects: Vec<Value>) -> Value {
    let review = json!({"apiVersion": "apiextensions.k8s.io/v1", "kind": "ConversionReview",
        "request": {"uid": "7f3c", "desiredAPIVersion": "example.com/v1", "objects": objects}});
    let (status, body) = send(&converter(), request("/convert", review.to_string())).await;
    assert_eq!(status, StatusCode::OK, "{body:?}");
    let answer: Value = serde_json::from_slice(&body).unwrap();
    assert_eq!(answer["apiVersion"], "apiextensions.k8s.io/v1");
    assert_eq!(answer["kind"], "ConversionReview");
    assert_eq!(answer["response"]["uid"], "7f3c");
    answer["response"].clone()
}

#[tokio::test]
async fn objects_are_converted_in_order_and_those_of_the_version_are_left_alone() {
    let same = a_box("example.com/v1", "b", json!({"size": 7}));
    let response = convert(vec![
        a_box("example.com/v1beta1", "a", json!({"replicas": 3})),
        same.clone(),
    ])
    .await;
    assert_eq!(response["result"], json!({"status": "Success"}));
    let converted = &response["convertedObjects"][0];
    assert_eq!(converted["apiVersion"], "example.com/v1");
    assert_eq!(converted["spec"], json!({"size": 3}));
    assert_eq!(response["convertedObjects"][1], same);
}

#[tokio::test]
async fn of_metadata_only_labels_and_annotations_may_change() {
    let response = convert(vec![a_box("example.com/v1beta1", "a", json!({"replicas": 3}))]).await;
    let metadata = json!({"name": "a", "namespace": "shop", "uid": "a", "annotations": {"a": "b"}, "labels": {"converted": "yes"}});
    assert_eq!(response["convertedObjects"][0]["metadata"], metadata);
    // What is applied at the server's side may have none.
    let bare = json!({"apiVersion": "example.com/v1beta1", "kind": "Box", "spec": {"replicas": 3}});
    let response = convert(vec![bare]).await;
    let metadata = json!({"labels": {"converted": "yes"}});
    assert_eq!(response["convertedObjects"][0]["metadata"], metadata);
}

#[tokio::test]
async fn a_failure_names_the_object_and_nothing_is_converted() {
    let good = a_box("example.com/v1beta1", "a", json!({"replicas": 3}));
    let response = convert(vec![
        good.clone(),
        a_box("example.com/v1beta1", "b", json!({"do": "fail"})),
    ])
    .await;
    assert_eq!(
        response["result"],
        json!({"status": "Failed", "message": "shop/b: spec.do: Invalid value"})
    );
    assert_eq!(response["convertedObjects"], json!([]));

    let response = convert(vec![
        good,
        a_box("example.com/v1beta1", "b", json!({"do": "panic"})),
    ])
    .await;
    assert_eq!(
        response["result"],
        json!({"status": "Failed", "message": "internal error"})
    );
}

#[tokio::test]
async fn something_else_than_a_conversion_review_is_a_bad_request() {
    let (status, _) = send(&converter(), request("/convert", review(json!({})).to_string())).await;
    assert_eq!(status, StatusCode::BAD_REQUEST);
    let (status, _) = send(&converter(), request("/convert", "{")).await;
    assert_eq!(status, StatusCode::BAD_REQUEST);
}

#[test]
fn a_path_belongs_to_one_handler() {
    let twice = Router::builder()
        .convert(Conversion::new("/convert", "boxes.example.com"), Sizes)
        .convert(Conversion::new("/convert", "bags.example.com"), Sizes);
    assert!(twice.build().unwrap_err().to_string().contains("is taken"));
    let unnamed = Router::builder().convert(Conversion::new("/convert", "boxes"), Sizes);
    assert!(unnamed.build().unwrap_err().to_string().contains("definition"));
}

const DEFINITION: &str = "customresourcedefinitions/boxes.example.com";

/// `v1` is stored; the other two are not served.
fn definition(conversion: Value) -> Value {
    json!({"apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
        "metadata": {"name": "boxes.example.com", "resourceVersion": "5"},
        "spec": {"group": "example.com", "scope": "Namespaced", "names": {"plural": "boxes", "kind": "Box"},
            "versions": [{"name": "v1", "served": true, "storage": true}, {"name": "v1beta1", "served": false, "storage": false},
                {"name": "v1alpha1", "served": false, "storage": false}],
            "conversion": conversion}})
}

fn service() -> Target {
    Target::Service {
        namespace: "example".to_owned(),
        name: "hooks".to_owned(),
        port: 443,
    }
}

/// Which versions of the definition are served.
fn served(api: &FakeApi) -> Vec<bool> {
    let versions = api.object(DEFINITION)["spec"]["versions"].clone();
    let versions = versions.as_array().unwrap().iter();
    versions.map(|version| version["served"] == true).collect()
}

#[tokio::test]
async fn the_definition_gets_the_converter_once() {
    let (certificates, shared) = shared(&FakeSecret::default(), &clock()).await;
    let tasks = Tasks::new();
    let address = serve(converter(), &certificates, &tasks).await;
    let api = FakeApi::default();
    api.put(DEFINITION, definition(json!({"strategy": "None"})));
    let writer = ConfigurationWriter::new(
        api.client(),
        &converter(),
        &certificates,
        address,
        WriterConfig::new(service()),
    )
    .unwrap();
    writer.write().await.unwrap();
    let conversion = &api.object(DEFINITION)["spec"]["conversion"];
    assert_eq!(conversion["strategy"], "Webhook");
    assert_eq!(conversion["webhook"]["conversionReviewVersions"], json!(["v1"]));
    assert_eq!(
        conversion["webhook"]["clientConfig"]["service"]["path"],
        "/convert"
    );
    let served = || served(&api);
    assert_eq!(
        served(),
        [true, true, false],
        "what needs the converter comes with it"
    );
    let written = api.writes();
    writer.write().await.unwrap();
    assert_eq!(api.writes(), written, "nothing differs, but it was written again");
    // As when the manifest is applied anew.
    api.change(DEFINITION, |definition| {
        definition["spec"]["versions"][1]["served"] = json!(false)
    });
    writer.write().await.unwrap();
    assert_eq!(served(), [true, true, false]);
    drop(shared);
}

/// As a writer has entered it, under an authority that nobody remembers.
fn entered(name: &str) -> Value {
    let service = json!({"namespace": "example", "name": name, "path": "/convert", "port": 443});
    let mut definition = definition(
        json!({"strategy": "Webhook", "webhook": {"conversionReviewVersions": ["v1"],
        "clientConfig": {"caBundle": "b2xk", "service": service}}}),
    );
    definition["spec"]["versions"][1]["served"] = json!(true);
    definition
}

async fn withdraw(api: &FakeApi) -> Result<Withdrawal, WriteError> {
    let router = converter();
    let conversion = router.conversions().next().unwrap();
    withdraw_converter(api.client(), conversion, &service()).await
}

#[tokio::test]
async fn a_converter_that_is_withdrawn_takes_the_versions_that_need_it_along() {
    let api = FakeApi::default();
    assert_eq!(withdraw(&api).await.unwrap(), Withdrawal::NoDefinition);
    api.put(DEFINITION, entered("hooks"));
    // The status is written at any time.
    api.after_read(|definition| definition["status"]["storedVersions"] = json!(["v1"]));
    assert_eq!(withdraw(&api).await.unwrap(), Withdrawal::Done);
    assert_eq!(
        api.object(DEFINITION)["spec"]["conversion"],
        json!({"strategy": "None"})
    );
    assert_eq!(served(&api), [true, false, false]);
    let written = api.writes();
    assert_eq!(withdraw(&api).await.unwrap(), Withdrawal::NoConverter);
    assert_eq!(api.writes(), written);
}

#[tokio::test]
async fn a_converter_of_another_program_is_not_withdrawn() {
    let api = FakeApi::default();
    api.put(DEFINITION, entered("others"));
    assert_eq!(withdraw(&api).await.unwrap(), Withdrawal::Other);
    assert_eq!(api.writes(), 0);

    // One that comes while ours is being withdrawn.
    api.put(DEFINITION, entered("hooks"));
    api.after_read(|definition| *definition = entered("others"));
    assert_eq!(withdraw(&api).await.unwrap(), Withdrawal::Other);
    assert_eq!(api.object(DEFINITION)["spec"], entered("others")["spec"]);
}

/// The server would drop what the other version does not have.
#[tokio::test]
async fn a_converter_is_not_withdrawn_while_objects_are_stored_in_a_version_that_needs_it() {
    let api = FakeApi::default();
    let stored = |change: fn(&mut Value)| {
        let mut definition = entered("hooks");
        change(&mut definition);
        api.put(DEFINITION, definition);
    };
    let cases: [fn(&mut Value); 2] = [
        |definition| definition["status"]["storedVersions"] = json!(["v1beta1", "v1"]),
        |definition| {
            definition["spec"]["versions"][0]["storage"] = json!(false);
            definition["spec"]["versions"][1]["storage"] = json!(true);
        },
    ];
    for case in cases {
        stored(case);
        let refused = withdraw(&api).await.unwrap_err().to_string();
        assert!(refused.contains("v1beta1"), "{refused}");
        assert_eq!(api.writes(), 0);
    }
}

/// Changes nothing.
struct Idle;

impl Mutator<Value> for Idle {
    async fn mutate(&self, _: &Context<Value>, _: &mut Value) -> Result<Warnings, Denial> {
        Ok(Warnings::new())
    }
}

#[tokio::test]
async fn the_converter_does_not_wait_for_scopes_that_are_made_of_what_it_converts() {
    let (certificates, _shared) = shared(&FakeSecret::default(), &clock()).await;
    let tasks = Tasks::new();
    let (_sender, receiver) = tokio::sync::watch::channel(None);
    let hook = Hook::new("/mutate", "m.example.com", vec![rule()]).scopes(Scopes::new(receiver));
    let router = Router::builder()
        .mutate::<Value>(hook, Idle)
        .convert(Conversion::new("/convert", "boxes.example.com"), Sizes)
        .build()
        .unwrap();
    let address = serve(router.clone(), &certificates, &tasks).await;
    let api = FakeApi::default();
    // As another program has left it, which is gone.
    let other = json!({"strategy": "Webhook", "webhook": {"conversionReviewVersions": ["v1"],
        "clientConfig": {"url": "https://gone.example.com/convert"}}});
    api.put(DEFINITION, definition(other));
    let target = |port| Target::Url {
        host: HOST.to_owned(),
        port,
    };
    let mut config = WriterConfig::new(target(443));
    config.conversion_target = Some(target(8443));
    let writer = ConfigurationWriter::new(api.client(), &router, &certificates, address, config).unwrap();
    assert!(matches!(writer.write().await, Err(WriteError::NoScopes { .. })));
    let url = &api.object(DEFINITION)["spec"]["conversion"]["webhook"]["clientConfig"]["url"];
    assert_eq!(*url, format!("https://{HOST}:8443/convert"));
    assert!(!writer.ready().is_ready(), "pods are not sent yet");
}
