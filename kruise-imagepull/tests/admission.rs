//! What a user is told who applies something wrong, through the real definitions and webhooks.

use std::sync::Arc;

use kruise_core::runtime::SystemClock;
use kruise_core::testing::apiserver::ApiServer;
use kruise_core::webhook::Router;
use kruise_imagepull::api::{ImageListPullJob, ImagePullJob, NodeImage, crds};
use kruise_imagepull::webhook;
use kube_client::{Api, Client};
use kube_core::params::{Patch, PatchParams, PostParams};
use kube_core::{ApiResource, DynamicObject, GroupVersionKind};
use serde_json::{Value, json};

fn server(enabled: bool) -> ApiServer {
    let server = ApiServer::default();
    for crd in crds() {
        assert!(server.serve_definition(&crd));
    }
    let router = webhook::register(Router::builder(), Arc::new(SystemClock), enabled);
    server.webhooks(router.build().expect("the paths differ"));
    server
}

fn api(client: Client, kind: &str) -> Api<DynamicObject> {
    let resource = ApiResource::from_gvk(&GroupVersionKind::gvk("apps.kruise.io", "v1alpha1", kind));
    match kind {
        "NodeImage" => Api::all_with(client, &resource),
        _ => Api::namespaced_with(client, "default", &resource),
    }
}

/// Code and message of the refusal.
async fn refusal(server: &ApiServer, kind: &str, spec: Value) -> (u16, String) {
    let object = json!({"apiVersion": "apps.kruise.io/v1alpha1", "kind": kind, "metadata": {"name": "x"}, "spec": spec});
    let object: DynamicObject = serde_json::from_value(object).expect("an object");
    let created = api(server.client(), kind)
        .create(&PostParams::default(), &object)
        .await;
    match created.expect_err("it is wrong") {
        kube_client::Error::Api(status) => (status.code, status.message.clone()),
        other => (0, other.to_string()),
    }
}

#[tokio::test]
async fn every_rule_is_told_with_the_path_of_its_field() {
    let server = server(true);
    let images: Vec<_> = (0..256).map(|number| format!("i{number}")).collect();
    let cases = [
        ("ImagePullJob", json!({}), "spec.image: Required value"),
        (
            "ImagePullJob",
            json!({"image": ""}),
            "spec.image: is required and must not be empty",
        ),
        ("ImagePullJob", json!({"image": "UPPER/image"}), "spec.image: "),
        (
            "ImagePullJob",
            json!({"image": "a", "parallelism": "10%"}),
            r#"spec.parallelism: "10%" is a percentage"#,
        ),
        (
            "ImagePullJob",
            json!({"image": "a", "parallelism": -1}),
            "spec.parallelism: must not be negative",
        ),
        (
            "ImagePullJob",
            json!({"image": "a", "parallelism": true}),
            "spec.parallelism: Invalid value",
        ),
        (
            "ImagePullJob",
            json!({"image": "a", "selector": {"names": ["a"], "matchLabels": {"a": "b"}}}),
            "spec.selector: names can not",
        ),
        (
            "ImagePullJob",
            json!({"image": "a", "selector": {"names": ["a", "a"]}}),
            "spec.selector.names[1]: the name",
        ),
        (
            "ImagePullJob",
            json!({"image": "a", "selector": {"matchExpressions": [{"key": "a", "operator": "In"}]}}),
            "spec.selector.matchExpressions[0].values: the operator In needs values",
        ),
        (
            "ImagePullJob",
            json!({"image": "a", "selector": {}, "podSelector": {}}),
            "spec.podSelector: can not be used together with selector",
        ),
        (
            "ImagePullJob",
            json!({"image": "a", "podSelector": {"matchExpressions": [{"key": "a", "operator": "Near"}]}}),
            "spec.podSelector.matchExpressions[0].operator: ",
        ),
        (
            "ImagePullJob",
            json!({"image": "a", "completionPolicy": {"type": "Sometimes"}}),
            "spec.completionPolicy.type: ",
        ),
        (
            "ImagePullJob",
            json!({"image": "a", "completionPolicy": {"type": "Never", "ttlSecondsAfterFinished": 1}}),
            "spec.completionPolicy.ttlSecondsAfterFinished: can only be set",
        ),
        (
            "ImagePullJob",
            json!({"image": "a", "completionPolicy": {"activeDeadlineSeconds": 5}}),
            "spec.completionPolicy.activeDeadlineSeconds: must not be shorter",
        ),
        ("ImageListPullJob", json!({}), "spec.images: Required value"),
        (
            "ImageListPullJob",
            json!({"images": []}),
            "spec.images: is required",
        ),
        (
            "ImageListPullJob",
            json!({"images": images}),
            "spec.images: holds 256 images, the limit is 255",
        ),
        (
            "ImageListPullJob",
            json!({"images": ["a", "b", "a"]}),
            r#"spec.images[2]: the image "a" is listed twice"#,
        ),
        (
            "ImageListPullJob",
            json!({"images": ["a", "UPPER/b"]}),
            "spec.images[1]: ",
        ),
        (
            "ImageListPullJob",
            json!({"images": ["a"], "parallelism": "x"}),
            "spec.parallelism: ",
        ),
        (
            "NodeImage",
            json!({"images": {"nginx": {"tags": [{"tag": "1"}]}}}),
            "spec.images[nginx].tags[0].pullPolicy.ttlSecondsAfterFinished: is required",
        ),
        (
            "NodeImage",
            json!({"images": {"nginx": {"tags": [{"version": 1}]}}}),
            "tags[0].tag: Required value",
        ),
    ];
    for (kind, spec, expected) in cases {
        let (code, message) = refusal(&server, kind, spec).await;
        assert!(
            matches!(code, 400 | 422) && message.contains(expected),
            "{expected}\n{code} {message}"
        );
    }
}

#[tokio::test]
async fn nothing_is_taken_while_the_gate_is_off() {
    let server = server(false);
    for (kind, spec) in [
        ("ImagePullJob", json!({"image": "a"})),
        ("ImageListPullJob", json!({"images": ["a"]})),
        ("NodeImage", json!({})),
    ] {
        let (code, message) = refusal(&server, kind, spec).await;
        assert!(
            code == 403 && message.contains("KruiseDaemon"),
            "{code} {message}"
        );
    }
}

#[tokio::test]
async fn what_is_left_out_is_filled_in() {
    let server = server(true);
    let jobs: Api<ImagePullJob> = Api::namespaced(server.client(), "default");
    let object = json!({"apiVersion": "apps.kruise.io/v1alpha1", "kind": "ImagePullJob", "metadata": {"name": "x"},
        "spec": {"image": "a", "sandboxConfig": {"labels": {"l": "1"}, "annotations": {"a": "2"}},
            "podSelector": {"matchLabels": {"app": "web"}}}});
    let job: ImagePullJob = serde_json::from_value(object).expect("a job");
    let stored = jobs.create(&PostParams::default(), &job).await.expect("taken");
    let expected = json!({
        "image": "a", "completionPolicy": {"type": "Always"}, "imagePullPolicy": "IfNotPresent",
        "pullPolicy": {"timeoutSeconds": 600, "backoffLimit": 3}, "podSelector": {"matchLabels": {"app": "web"}},
        "sandboxConfig": {"labels": {"l": "1"}, "annotations": {"a": "2"}},
    });
    assert_eq!(serde_json::to_value(stored.spec).expect("JSON"), expected);
    let lists: Api<ImageListPullJob> = Api::namespaced(server.client(), "default");
    let mut list = ImageListPullJob::default();
    list.metadata.name = Some("x".into());
    list.spec.images = vec!["a".into(), "b:1".into()];
    let stored = lists.create(&PostParams::default(), &list).await.expect("taken");
    assert_eq!(
        stored
            .spec
            .job_of("a")
            .pull_policy
            .and_then(|policy| policy.backoff_limit),
        Some(3)
    );
}

#[tokio::test]
async fn pull_secrets_of_a_job_stay_as_they_are() {
    let server = server(true);
    let jobs: Api<ImagePullJob> = Api::namespaced(server.client(), "default");
    let mut job = ImagePullJob::default();
    job.metadata.name = Some("x".into());
    job.spec.image = "a".into();
    job.spec.pull_secrets = vec!["one".into()];
    jobs.create(&PostParams::default(), &job).await.expect("taken");
    let change = |spec: Value| Patch::Merge(json!({"spec": spec}));
    let params = PatchParams::default();
    jobs.patch("x", &params, &change(json!({"parallelism": 5})))
        .await
        .expect("taken");
    let refused = jobs
        .patch("x", &params, &change(json!({"pullSecrets": ["one", "two"]})))
        .await;
    let text = format!("{refused:?}");
    assert!(text.contains("spec.pullSecrets: can not be changed"), "{text}");
}

#[tokio::test]
async fn a_node_holds_256_images_and_no_more() {
    let server = server(true);
    let nodes: Api<NodeImage> = Api::all(server.client());
    let images = |count: usize| -> Value {
        let entry = json!({"tags": [{"tag": "1", "pullPolicy": {"ttlSecondsAfterFinished": 1}}]});
        (0..count)
            .map(|number| (format!("i{number}"), entry.clone()))
            .collect::<serde_json::Map<_, _>>()
            .into()
    };
    let object = json!({"apiVersion": "apps.kruise.io/v1alpha1", "kind": "NodeImage", "metadata": {"name": "n"},
        "spec": {"images": images(256)}});
    let node: NodeImage = serde_json::from_value(object).expect("a NodeImage");
    nodes.create(&PostParams::default(), &node).await.expect("taken");
    let more = Patch::Merge(json!({"spec": {"images": images(257)}}));
    let refused = format!("{:?}", nodes.patch("n", &PatchParams::default(), &more).await);
    assert!(
        refused.contains("spec.images: holds 257 images, the limit is 256"),
        "{refused}"
    );
}
