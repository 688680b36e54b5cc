use serde_json::{Value, json};

use super::load::add;
use super::*;
use crate::testing::{kruise, seed, server};

const DUMP: &str = r#"
apiVersion: v1
kind: List
items:
- apiVersion: apps.kruise.io/v1alpha1
  kind: SidecarSet
  metadata: {name: logs}
  spec:
    selector: {matchLabels: {app: web}}
    containers: [{name: agent, image: "agent:2"}]
---
apiVersion: v1
kind: Pod
metadata: {name: web-1, namespace: shop, labels: {app: web}}
---
apiVersion: v1
kind: ConfigMap
"#;

fn pod(name: &str, namespace: &str, tier: &str) -> Value {
    json!({"apiVersion": "v1", "kind": "Pod",
        "metadata": {"name": name, "namespace": namespace, "labels": {"app": "web", "tier": tier}},
        "spec": {"containers": [{"name": "main", "image": "web:1"}]}})
}

fn set() -> Value {
    json!({"apiVersion": "apps.kruise.io/v1alpha1", "kind": "SidecarSet", "metadata": {"name": "logs"},
        "spec": {"selector": {"matchLabels": {"app": "web"}}, "containers": [{"name": "agent", "image": "agent:2"}]}})
}

#[test]
fn a_stream_of_yaml_documents_is_read_and_json_too() {
    let mut snapshot = Snapshot::default();
    add(DUMP, "dump.yaml", &mut snapshot).expect("it is read");
    assert_eq!((snapshot.sets.len(), snapshot.pods.len()), (1, 1));
    // One after the other, as `kubectl get -o json` several times into one file leaves them.
    let mut submitted = set();
    submitted["status"] = json!({});
    let text = format!(
        "{submitted:#}\n{}{}",
        pod("web-1", "shop", "gold"),
        pod("web-2", "shop", "gold")
    );
    let mut snapshot = Snapshot::default();
    add(&text, "dump.json", &mut snapshot).expect("it is read");
    assert_eq!((snapshot.sets.len(), snapshot.pods.len()), (1, 2));
}

#[test]
fn what_is_no_dump_is_told_with_the_file_and_the_command_that_makes_one() {
    for (text, says) in [("a: [", "neither YAML nor JSON"), ("a: 1", "it has no kind")] {
        let failure = add(text, "x.yaml", &mut Snapshot::default()).expect_err("no dump");
        let failure = failure.to_string();
        assert!(failure.starts_with("error: x.yaml"), "{failure}");
        assert!(
            failure.contains(says) && failure.contains("kubectl get sidecarsets"),
            "{failure}"
        );
    }
}

#[test]
fn a_dump_without_the_set_is_told_which_sets_it_has() {
    let mut snapshot = Snapshot::default();
    let none = explain(&snapshot, &["mesh".to_owned()], &ExplainOptions::default());
    assert!(
        none.unwrap_err()
            .to_string()
            .contains("There is no SidecarSet at all")
    );
    add(DUMP, "-", &mut snapshot).expect("it is read");
    let other = explain(&snapshot, &["mesh".to_owned()], &ExplainOptions::default());
    assert_eq!(
        other.unwrap_err().to_string(),
        "error: there is no SidecarSet \"mesh\"\nThere are: logs."
    );
}

#[tokio::test]
async fn a_live_set_is_explained_and_only_its_pods_are_asked_for() {
    let server = server();
    seed(&server, set());
    seed(&server, pod("web-1", "shop", "gold"));
    seed(&server, pod("web-2", "default", "silver"));
    seed(
        &server,
        json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "db", "namespace": "shop"},
        "spec": {"containers": [{"name": "main", "image": "db:1"}]}}),
    );
    let (text, done) = kruise(&server, "explain sidecarset logs").await;
    assert_eq!(done, Ok(()));
    assert!(
        text.contains("web-1") && text.contains("web-2") && text.contains("not injected"),
        "{text}"
    );
    assert!(!text.contains("other pods"), "{text}");
    let (text, _) = kruise(&server, "explain scs/logs -n shop").await;
    assert!(text.contains("web-1") && !text.contains("web-2"), "{text}");
    let (text, _) = kruise(&server, "explain scs -l tier=silver -o json").await;
    let told: Value = serde_json::from_str(&text).expect("JSON");
    assert_eq!(told["pods"][0]["name"], "web-2");
    assert_eq!(told["pods"][1], Value::Null);
    let (text, _) = kruise(&server, "explain scs logs -o jsonpath={.pods[*].verdict}").await;
    assert_eq!(text, "NotInjected NotInjected");
}

#[tokio::test]
async fn an_unknown_set_and_flags_that_do_not_fit_are_errors() {
    let server = server();
    for (line, says) in [
        ("explain scs other", "there is no SidecarSet \"other\""),
        ("explain pods web", "no resource type \"pods\""),
        ("explain scs -A -n shop", "cannot be used together"),
        ("explain scs -o name", "no such output format"),
        ("explain scs -l a(", "has no )"),
    ] {
        let (_, done) = kruise(&server, line).await;
        let failure = done.expect_err(line);
        assert!(failure.contains(says), "{line}: {failure}");
    }
}
