//! What a set has to do with a pod, what differs in it, and what is read.

mod support;

use kruise_sidecar::explain::{ExplainOptions, Explanation, PodExplanation, Severity, Snapshot, Verdict};
use serde_json::{Value, json};
use support::{Pod, set};

fn pod(change: Value) -> Value {
    let mut object = Pod::old(0).of(&set(json!({})));
    json_patch::merge(&mut object, &json!({"kind": "Pod", "apiVersion": "v1"}));
    json_patch::merge(&mut object, &change);
    object
}

fn told(spec: Value, objects: impl IntoIterator<Item = Value>) -> Explanation {
    let set = set(spec);
    let mut snapshot = Snapshot::default();
    for object in objects {
        snapshot.add(object).expect("it is read");
    }
    snapshot.explain_set(&set, &ExplainOptions::default())
}

#[test]
fn numbers_and_their_verbs_agree() {
    let without = |name: &str| {
        let metadata = json!({"name": name, "annotations": {"kruise.io/sidecarset-injected-list": null}});
        pod(json!({ "metadata": metadata }))
    };
    let warned = |told: &Explanation, text: &str| told.problems.iter().any(|problem| problem.text == text);
    let single = told(json!({}), [without("a")]);
    assert!(
        warned(&single, "1 pod was created without the sidecars"),
        "{:?}",
        single.problems
    );
    let several = told(json!({}), [without("a"), without("b")]);
    assert!(warned(&several, "2 pods were created without the sidecars"));
    // The default budget of one pod.
    let waits = told(
        json!({}),
        ["a", "b"].map(|name| pod(json!({"metadata": {"name": name}}))),
    );
    let reasons: Vec<&str> = waits.pods.iter().map(|pod| pod.reason.as_str()).collect();
    assert!(
        reasons.contains(&"maxUnavailable allows 1, and 1 is unavailable: 1 pod upgraded now"),
        "{reasons:?}"
    );
}

fn one(spec: Value, object: Value) -> PodExplanation {
    let told = told(spec, [object]);
    told.pods.into_iter().next().expect("the pod is told")
}

#[test]
fn pods_that_the_set_does_not_upgrade_are_told_why_not() {
    let annotations =
        |list: Value| json!({"metadata": {"annotations": {"kruise.io/sidecarset-injected-list": list}}});
    for (spec, change, verdict, words) in [
        (
            json!({}),
            annotations(json!(null)),
            Verdict::NotInjected,
            "delete it",
        ),
        (
            json!({}),
            json!({"spec": {"containers": [{"name": "main", "image": "web:1"}]}}),
            Verdict::LacksContainer,
            "no container agent",
        ),
        (
            json!({"namespace": "bank"}),
            json!({}),
            Verdict::OtherNamespace,
            "not for namespace shop",
        ),
        (
            json!({"namespaceSelector": {"matchLabels": {"team": "a"}}}),
            json!({}),
            Verdict::NamespaceUnknown,
            "labels of namespace shop",
        ),
        (
            json!({}),
            json!({"metadata": {"labels": {"app": "db"}}}),
            Verdict::NoLongerSelected,
            "spec.selector no longer matches",
        ),
        (
            json!({}),
            json!({"metadata": {"deletionTimestamp": "2026-01-01T10:00:00Z"}}),
            Verdict::Terminating,
            "being deleted",
        ),
        (
            json!({}),
            json!({"status": {"phase": "Failed"}}),
            Verdict::Finished,
            "have ended",
        ),
    ] {
        let one = one(spec, pod(change));
        assert_eq!(one.verdict, verdict);
        assert!(one.reason.contains(words), "{verdict}: {}", one.reason);
        assert!(!verdict.is_matched());
    }
}

#[test]
fn pods_that_the_set_has_nothing_to_do_with_are_only_counted() {
    let unrelated = pod(json!({"metadata": {"name": "db", "annotations": null, "labels": {"app": "db"}}}));
    let ended = pod(
        json!({"metadata": {"name": "old", "annotations": null, "labels": {"app": "db"}}, "status": {"phase": "Failed"}}),
    );
    let told = told(json!({}), [unrelated, ended]);
    assert_eq!((told.other_pods, told.pods.len()), (2, 0));
    assert_eq!(told.summary, "it has no pods");
}

#[test]
fn labels_of_namespaces_decide_where_they_are_known() {
    let namespace = |team: &str| json!({"kind": "Namespace", "apiVersion": "v1", "metadata": {"name": "shop", "labels": {"team": team}}});
    let spec = || json!({"namespaceSelector": {"matchLabels": {"team": "a"}}});
    let verdict = |team| told(spec(), [namespace(team), pod(json!({}))]).pods[0].verdict;
    assert_eq!(verdict("a"), Verdict::Next);
    assert_eq!(verdict("b"), Verdict::OtherNamespace);
}

/// A pod that is not upgradable, with this agent.
fn immutable(agent: Value) -> Value {
    let mut object = Pod {
        immutable: true,
        ..Pod::old(0)
    }
    .of(&set(json!({})));
    let mut container = json!({"name": "agent", "image": "agent:v1", "terminationMessagePath": "/dev/termination-log",
        "terminationMessagePolicy": "File", "imagePullPolicy": "IfNotPresent", "env": [{"name": "IS_INJECTED", "value": "true"}]});
    json_patch::merge(&mut container, &agent);
    object["spec"]["containers"][1] = container;
    object["kind"] = "Pod".into();
    object["apiVersion"] = "v1".into();
    object
}

#[test]
fn the_container_and_the_fields_that_keep_a_pod_from_being_upgraded_are_named() {
    let agent = json!([{"name": "agent", "image": "agent:v2", "env": [{"name": "LEVEL", "value": "debug"}],
        "resources": {"limits": {"cpu": "1000m", "memory": "1Gi"}}, "ports": [{"containerPort": 80}]}]);
    let spec = || json!({ "containers": agent });
    let reason = |there: Value| one(spec(), immutable(there)).reason;

    let there = json!({"env": [{"name": "LEVEL", "value": "info"}], "resources": {"limits": {"cpu": "1", "memory": "2Gi"}},
        "ports": [{"containerPort": 80, "protocol": "TCP"}], "args": ["-v"]});
    let said = reason(there);
    assert!(
        said.starts_with(
            "container agent (env[LEVEL], resources.limits.memory, args (only the pod has it)) differs"
        ),
        "{said}"
    );
    let there = json!({"env": [{"name": "LEVEL", "value": "debug"}, {"name": "OLD", "value": "1"}, {"name": "IS_INJECTED", "value": "true"}],
        "resources": {"limits": {"cpu": 1, "memory": "1024Mi"}}, "ports": [{"containerPort": 80, "protocol": "TCP"}]});
    assert!(
        reason(there.clone()).contains("agent (env[OLD] (only the pod has it))"),
        "{}",
        reason(there)
    );
    let there = json!({"env": [{"name": "LEVEL", "value": "debug"}], "resources": {"limits": {"cpu": "1", "memory": "1Gi"}},
        "ports": [{"containerPort": 80, "protocol": "TCP"}]});
    assert!(reason(there).starts_with("more than images has changed in the set"));
}

#[test]
fn an_unavailable_pod_is_told_with_what_the_node_says() {
    let mut object = Pod::updated(0).not_ready().of(&set(json!({})));
    json_patch::merge(&mut object, &json!({"kind": "Pod", "apiVersion": "v1"}));
    object["status"]["containerStatuses"][1]["state"] = json!({"waiting": {"reason": "ImagePullBackOff"}});
    object["status"]["containerStatuses"][0]["ready"] = true.into();
    let told = told(json!({}), [object]);
    assert_eq!(
        told.unavailable[0].reason,
        "agent is not ready (ImagePullBackOff)"
    );
}

#[test]
fn a_hot_upgraded_pod_whose_new_container_runs_is_reset_first() {
    let spec = json!({"containers": [{"name": "envoy", "image": "envoy:2",
        "upgradeStrategy": {"upgradeType": "HotUpgrade", "hotUpgradeEmptyImage": "empty:1"}}]});
    let full = set(spec.clone());
    let mut object = Pod::updated(0).of(&full);
    json_patch::merge(
        &mut object,
        &json!({"kind": "Pod", "apiVersion": "v1", "metadata": {"annotations": {
        "kruise.io/sidecarset-working-hotupgrade-container": "{\"envoy\":\"envoy-2\"}"}}}),
    );
    object["spec"]["containers"] = json!([{"name": "main", "image": "web:1"}, {"name": "envoy-1", "image": "envoy:1"}, {"name": "envoy-2", "image": "envoy:2"}]);
    let status = |name: &str, image: &str| json!({"name": name, "image": image, "imageID": "x", "containerID": "c", "ready": true, "restartCount": 0});
    object["status"]["containerStatuses"] = json!([
        status("main", "web:1"),
        status("envoy-1", "envoy:1"),
        status("envoy-2", "envoy:2")
    ]);
    let one = one(spec, object);
    assert_eq!(one.verdict, Verdict::Resetting);
    assert!(one.reason.contains("envoy-1"), "{}", one.reason);
    assert_eq!(one.sidecars[0].container, "envoy-2");
    assert_eq!(one.sidecars[1].wanted.as_deref(), Some("empty:1"));
}

fn stored() -> Value {
    json!({"apiVersion": "apps.kruise.io/v1alpha1", "kind": "SidecarSet", "metadata": {"name": "logs"},
        "spec": {"selector": {"matchLabels": {"app": "web"}}, "containers": [{"name": "agent", "image": "agent:v2"}]}})
}

#[test]
fn lists_of_lists_and_both_versions_of_sets_are_read_and_other_kinds_passed_over() {
    let mut younger = stored();
    younger["apiVersion"] = "apps.kruise.io/v1beta1".into();
    younger["metadata"]["name"] = "young".into();
    younger["spec"]["customVersion"] = "v7".into();
    let sets = json!({"apiVersion": "apps.kruise.io/v1alpha1", "kind": "SidecarSetList", "items": [{"metadata": {"name": "bare"}, "spec": {}}]});
    let mut snapshot = Snapshot::default();
    let items = json!([stored(), younger, pod(json!({})), pod(json!({})), sets, {"apiVersion": "v1", "kind": "ConfigMap"}]);
    snapshot
        .add(json!({"apiVersion": "v1", "kind": "List", "items": items}))
        .expect("it is read");
    let names: Vec<&str> = snapshot.sets.iter().map(|set| set.name()).collect();
    assert_eq!(names, ["logs", "young", "bare"]);
    assert_eq!(snapshot.sets[1].custom_version(), Some("v7"));
    assert_eq!(snapshot.pods.len(), 1, "the same pod twice is one");
    assert!(snapshot.explain("other", &ExplainOptions::default()).is_none());
}

#[test]
fn what_can_not_be_read_is_told_with_kind_and_name() {
    let mut snapshot = Snapshot::default();
    assert_eq!(
        snapshot.add(json!({"a": 1})).expect_err("no kind").to_string(),
        "not a Kubernetes object: it has no kind"
    );
    let broken = json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p", "labels": 7}});
    let error = snapshot.add(broken).expect_err("labels are no number");
    assert_eq!(error.to_string(), "Pod \"p\" cannot be read");
    let mut unknown = stored();
    unknown["apiVersion"] = "apps.kruise.io/v9".into();
    assert!(
        snapshot
            .add(unknown)
            .expect_err("unknown")
            .to_string()
            .contains("v9")
    );
    let mut deep = json!({"apiVersion": "v1", "kind": "List", "items": []});
    for _ in 0..20 {
        deep = json!({"apiVersion": "v1", "kind": "List", "items": [deep]});
    }
    assert!(snapshot.add(deep).is_err());
}

#[test]
fn a_set_that_no_admission_has_seen_is_explained_with_a_warning() {
    let mut snapshot = Snapshot::default();
    snapshot.add(stored()).expect("it is read");
    snapshot.add(pod(json!({}))).expect("it is read");
    let told = snapshot
        .explain("logs", &ExplainOptions::default())
        .expect("it is there");
    assert!(
        told.problems
            .iter()
            .any(|problem| problem.severity == Severity::Warning
                && problem.text.contains("it has not passed the admission webhook"))
    );
    assert_eq!(told.pods[0].verdict, Verdict::Next);
}

#[test]
fn an_edited_set_is_what_it_was_until_it_is_readmitted() {
    let mut edited = set(json!({}));
    edited.spec.containers[0]
        .container
        .insert("image".to_owned(), "agent:v3".into());
    let mut snapshot = Snapshot::default();
    let mut object = Pod::updated(0).of(&edited);
    json_patch::merge(&mut object, &json!({"kind": "Pod", "apiVersion": "v1"}));
    snapshot.add(object).expect("it is read");
    let verdict = |readmit| {
        let options = ExplainOptions {
            readmit,
            ..ExplainOptions::default()
        };
        snapshot.explain_set(&edited, &options).pods[0].verdict
    };
    assert_eq!((verdict(false), verdict(true)), (Verdict::Updated, Verdict::Next));
}

#[test]
fn a_set_that_another_gets_in_the_way_of_is_told_so() {
    let mut snapshot = Snapshot::default();
    let mut other = stored();
    other["metadata"]["name"] = "other".into();
    snapshot.add(stored()).expect("it is read");
    snapshot.add(other).expect("it is read");
    let told = snapshot
        .explain("logs", &ExplainOptions::default())
        .expect("it is there");
    assert!(
        told.problems
            .iter()
            .any(|problem| problem.text.contains("\"other\"")),
        "{:?}",
        told.problems
    );
}

#[test]
fn the_explanation_is_json_and_a_table() {
    let mut pods = vec![pod(json!({}))];
    for name in ["p0001", "p0002"] {
        pods.push(pod(json!({"metadata": {"name": name}})));
    }
    let told = told(
        json!({"updateStrategy": {"partition": "34%", "maxUnavailable": 1}}),
        pods,
    );
    let json = serde_json::to_value(&told).expect("it is JSON");
    assert_eq!(json["pods"][0]["verdict"], "Next");
    assert_eq!(
        json["strategy"]["partition"],
        json!({"value": "34%", "of": 3, "means": 2})
    );
    assert_eq!(
        json["pods"][0]["sidecars"][0],
        json!({"container": "agent", "image": "agent:v1", "wanted": "agent:v2"})
    );
    let narrow = told.table(false).to_string();
    let expected = "\
SidecarSet logs: 0 of 3 pods updated, 1 upgraded next, 2 kept by partition
  strategy:     RollingUpdate
  partition:    34% of 3 = 2 stay as they are
  budget:       maxUnavailable 1, none is unavailable
  note:         the controller has not seen the last change: generation 1, observed 0

#   NAMESPACE   POD     VERDICT             WHY
1   shop        p0000   next                it is the next in order, and maxUnavailable allows one more
2   shop        p0001   kept by partition   it is one of the last 2 in order, which spec.updateStrategy.partition leaves as they are
3   shop        p0002   kept by partition   it is one of the last 2 in order, which spec.updateStrategy.partition leaves as they are
";
    assert_eq!(narrow, expected);
    let wide = told.table(true).to_string();
    assert!(
        wide.contains("agent=agent:v1->agent:v2   ready since 2026-01-01T09:00:00Z"),
        "{wide}"
    );
}
