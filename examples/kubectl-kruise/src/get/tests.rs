use std::time::Duration;

use serde_json::{Value, json};

use crate::testing::{kruise, kruise_for, seed, server};

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
async fn what_cannot_be_shown_is_an_error_that_says_why() {
    let server = server();
    seed(&server, job("warm", "shop"));
    for (line, says) in [
        ("get pods", "There are: sidecarsets (scs), imagepulljobs (ipj)"),
        ("get ipj nothing -o yaml", "\"nothing\" not found"),
        ("get ipj warm -l a=b", "when a selector is specified"),
        ("get ipj warm -A", "across all namespaces"),
        ("get ipj,ni -w", "a single resource type"),
        ("get ipj -o yaml --sort-by .spec.imgae", "no object has the field"),
    ] {
        let (_, done) = kruise(&server, line).await;
        let failure = done.expect_err(line);
        assert!(
            failure.starts_with("error: ") && failure.contains(says),
            "{line}: {failure}"
        );
    }
}

#[tokio::test]
async fn custom_columns_are_a_table_that_can_be_sorted_and_have_no_headers() {
    let server = server();
    for name in ["job-10", "job-9"] {
        seed(&server, job(name, "shop"));
    }
    let line =
        "get ipj -o custom-columns=NAME:.metadata.name,IMAGE:.spec.image,NO:.no --sort-by=.metadata.name";
    let (text, done) = kruise(&server, line).await;
    assert_eq!(done, Ok(()));
    assert_eq!(
        text,
        "NAME     IMAGE     NO\njob-9    nginx:1   <none>\njob-10   nginx:1   <none>\n"
    );
    let (text, _) = kruise(
        &server,
        "get ipj job-9 --no-headers -o custom-columns=N:metadata.name",
    )
    .await;
    assert_eq!(text, "job-9\n");
}

#[tokio::test]
async fn objects_that_are_there_are_printed_though_others_are_not() {
    let server = server();
    seed(&server, job("warm", "shop"));
    let (text, done) = kruise(&server, "get ipj nothing warm -o name").await;
    assert_eq!(text, "imagepulljob.apps.kruise.io/warm\n");
    assert!(
        done.expect_err("one is missing")
            .contains("\"nothing\" not found")
    );
}

#[tokio::test(start_paused = true)]
async fn a_watch_prints_what_there_is_and_each_change_in_the_format() {
    let server = server();
    seed(&server, job("warm", "shop"));
    let changes = async {
        for name in ["warm", "second"] {
            tokio::time::sleep(Duration::from_secs(1)).await;
            seed(&server, job(name, "shop"));
        }
    };
    let limit = Duration::from_secs(5);
    let line = "get ipj -w -o custom-columns=N:.metadata.name";
    let (text, ()) = tokio::join!(kruise_for(&server, line, limit), changes);
    assert_eq!(text, "N\nwarm\nwarm\nsecond\n");
    let text = kruise_for(&server, "get ipj warm -w -o name", limit).await;
    assert_eq!(text, "imagepulljob.apps.kruise.io/warm\n");
    let text = kruise_for(&server, "get ipj -w -o yaml", limit).await;
    assert_eq!(text.matches("\n---\n").count(), 1, "{text}");
}
