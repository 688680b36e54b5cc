//! The subresource `scale`.

use http::Method;
use kruise_core::manager::{ScaleClient, ScaleError, ScaleTarget};
use kruise_core::runtime::ObjectKey;
use serde_json::json;

use crate::support::{Server, json_answer};

/// Serves boxes of example.com with a scale, and bags without.
fn server() -> Server {
    Server::new(|_, parts, body| {
        let scale = json!({"apiVersion": "autoscaling/v1", "kind": "Scale",
            "metadata": {"name": "web", "namespace": "shop", "resourceVersion": "7"},
            "spec": {"replicas": 3}, "status": {"replicas": 2, "selector": "app=web"}});
        let (code, answer) = match (&parts.method, parts.uri.path()) {
            (&Method::GET, "/apis/example.com/v1") => (
                200,
                json!({
                "kind": "APIResourceList", "apiVersion": "v1", "groupVersion": "example.com/v1", "resources": [
                    {"name": "boxes", "singularName": "box", "namespaced": true, "kind": "Box", "verbs": ["get"]},
                    {"name": "boxes/scale", "singularName": "", "namespaced": true, "group": "autoscaling", "version": "v1", "kind": "Scale", "verbs": ["get", "patch"]},
                    {"name": "bags", "singularName": "bag", "namespaced": true, "kind": "Bag", "verbs": ["get"]},
                ]}),
            ),
            (&Method::GET, "/apis/example.com/v1/namespaces/shop/boxes/web/scale") => (200, scale),
            (&Method::PATCH, "/apis/example.com/v1/namespaces/shop/boxes/web/scale") => {
                if body["metadata"]["resourceVersion"] == "7" {
                    (200, scale)
                } else {
                    (
                        409,
                        json!({"kind": "Status", "status": "Failure", "code": 409, "reason": "Conflict", "message": "changed"}),
                    )
                }
            }
            _ => (
                404,
                json!({"kind": "Status", "status": "Failure", "code": 404, "reason": "NotFound", "message": "none"}),
            ),
        };
        Ok(json_answer(code, &answer))
    })
}

fn target(kind: &str, name: &str) -> ScaleTarget {
    ScaleTarget::new("example.com/v1", kind, ObjectKey::new("shop", name))
}

#[tokio::test]
async fn the_size_of_any_kind_is_read_and_set_and_the_kind_asked_for_once() {
    let server = server();
    let scales = ScaleClient::new(server.client.clone());
    let web = target("Box", "web");
    let read = scales.get(&web).await.unwrap().unwrap();
    assert_eq!(read.spec.as_ref().unwrap().replicas, Some(3));
    scales.set(&web, &read, 6).await.unwrap();
    assert!(scales.get(&target("Box", "gone")).await.unwrap().is_none());

    let log = server.log();
    assert_eq!(
        log.iter()
            .filter(|asked| asked.uri.ends_with("/apis/example.com/v1"))
            .count(),
        1
    );
    let patch = log.iter().find(|asked| asked.method == Method::PATCH).unwrap();
    assert_eq!(
        patch.body,
        json!({"metadata": {"resourceVersion": "7"}, "spec": {"replicas": 6}})
    );
}

#[tokio::test]
async fn an_object_that_changed_since_it_was_read_is_a_conflict() {
    let scales = ScaleClient::new(server().client);
    let mut read = scales.get(&target("Box", "web")).await.unwrap().unwrap();
    read.metadata.resource_version = Some("6".into());
    let error = scales.set(&target("Box", "web"), &read, 6).await.unwrap_err();
    assert_eq!(error.to_string(), "Box shop/web: size not set");
    assert!(
        matches!(error, ScaleError::Api { source: kube_client::Error::Api(status), .. } if status.code == 409)
    );
}

#[tokio::test]
async fn kinds_without_scale_or_unknown_are_told_apart() {
    let scales = ScaleClient::new(server().client);
    let error = scales.get(&target("Bag", "web")).await.unwrap_err();
    assert_eq!(
        error.to_string(),
        "Bag shop/web: kind Bag of example.com/v1 has no subresource scale"
    );
    let error = scales.get(&target("Barrel", "web")).await.unwrap_err();
    assert!(matches!(error, ScaleError::Unknown { .. }), "{error:?}");
    let odd = ScaleTarget::new("a/b/c", "Box", ObjectKey::new("shop", "web"));
    assert!(matches!(
        scales.get(&odd).await.unwrap_err(),
        ScaleError::ApiVersion(..)
    ));
}
