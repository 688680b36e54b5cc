use serde_json::{Value, json};

use crate::testing::{kruise, seed, server};

fn job(name: &str, namespace: &str) -> Value {
    json!({"apiVersion": "apps.kruise.io/v1alpha1", "kind": "ImagePullJob",
        "metadata": {"name": name, "namespace": namespace, "labels": {"of": name}},
        "spec": {"image": "nginx:1", "completionPolicy": {}}})
}

#[tokio::test]
async fn objects_are_printed_as_data_and_by_name() {
    let server = server();
    seed(&server, job("warm", "shop"));
    seed(&server, job("cold", "default"));
    seed(
        &server,
        json!({"apiVersion": "apps.kruise.io/v1alpha1", "kind": "NodeImage", "metadata": {"name": "n"}, "spec": {}}),
    );
    for (line, printed) in [
        ("get ipj -o name", "imagepulljob.apps.kruise.io/warm\n"),
        (
            "get ipj/warm ni/n -o name",
            "imagepulljob.apps.kruise.io/warm\nnodeimage.apps.kruise.io/n\n",
        ),
        (
            "get ipj -A -l of=cold -o jsonpath={.items[*].metadata.name}",
            "cold",
        ),
        ("get ipj warm -o jsonpath={.spec.image}", "nginx:1"),
        (
            "get ipj -A --field-selector metadata.name=cold -o jsonpath={.items[*].metadata.namespace}",
            "default",
        ),
        ("get ipj -n default -o jsonpath={.items[*].metadata.name}", "cold"),
    ] {
        assert_eq!(
            kruise(&server, line).await,
            (printed.to_owned(), Ok(())),
            "{line}"
        );
    }
    let (text, _) = kruise(&server, "get ipj -o yaml").await;
    assert!(text.starts_with("apiVersion: v1\nitems:\n"), "{text}");
    let (text, _) = kruise(&server, "get ipj warm -o json").await;
    assert_eq!(
        serde_json::from_str::<Value>(&text).expect("JSON")["kind"],
        "ImagePullJob"
    );
}

#[tokio::test]
async fn what_can_not_be_shown_is_told() {
    let server = server();
    for (line, says) in [
        ("get pods", "There are: sidecarsets (scs), imagepulljobs (ipj)"),
        ("get ipj nothing -o yaml", "\"nothing\" not found"),
        ("get ipj warm -l a=b", "when a selector is specified"),
        ("get ipj warm -A", "across all namespaces"),
        ("get ipj,ni -w", "a single resource type"),
        ("get ipj -w -o yaml", "tables only"),
    ] {
        let (_, done) = kruise(&server, line).await;
        let failure = done.expect_err(line);
        assert!(
            failure.starts_with("error: ") && failure.contains(says),
            "{line}: {failure}"
        );
    }
}
