use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use kruise_core::testing::apiserver::{ApiError, ApiServer};
use kruise_core::testing::faults::{FaultConfig, Faults};
use kruise_sidecar::api::{HashForm, SidecarSet, default_sidecar_set};
use kruise_sidecar::explain::{ExplainOptions, Snapshot};
use serde_json::{Value, json};

use super::status::{Progress, progress};
use crate::testing::{kruise, kruise_by, kruise_for, seed, server};

/// A set with its defaults, at an image.
fn set(image: &str, strategy: Value) -> SidecarSet {
    let mut set: SidecarSet = serde_json::from_value(json!({"metadata": {"name": "logs", "uid": "uid-1"},
        "spec": {"selector": {"matchLabels": {"app": "web"}}, "updateStrategy": strategy,
            "containers": [{"name": "agent", "image": image}]}, "status": {"observedGeneration": 1, "matchedPods": 0, "updatedPods": 0, "readyPods": 0}}))
    .expect("a set");
    default_sidecar_set(&mut set, HashForm::default());
    set
}

fn revision(set: &SidecarSet, number: i64, version: Option<&str>) -> Value {
    let mut labels = json!({"kruise.io/sidecarset-name": "logs"});
    if let Some(version) = version {
        labels["apps.kruise.io/sidecarset-custom-version"] = version.into();
    }
    let spec = serde_json::to_value(&set.spec).expect("JSON");
    json!({"apiVersion": "apps/v1", "kind": "ControllerRevision", "revision": number,
        "metadata": {"name": format!("logs-{number}"), "namespace": "kruise-system", "annotations": set.metadata.annotations,
            "labels": labels,
            "ownerReferences": [{"apiVersion": "apps.kruise.io/v1alpha1", "kind": "SidecarSet", "name": "logs", "uid": "uid-1", "controller": true}]},
        "data": {"spec": {"$patch": "replace", "containers": spec["containers"], "volumes": null, "initContainers": null,
            "imagePullSecrets": null, "patchPodMetadata": null}}})
}

/// A set at its third revision, which is the first again.
fn history() -> ApiServer {
    let server = server();
    let now = set("agent:2", json!({}));
    assert!(server.seed_object(&now));
    seed(&server, revision(&set("agent:1", json!({})), 1, Some("v1")));
    seed(&server, revision(&now, 2, None));
    server
}

fn stored(server: &ApiServer) -> SidecarSet {
    server.get("", "logs").expect("the set is there")
}

#[tokio::test]
async fn a_rollout_is_paused_and_resumed_and_twice_is_an_error() {
    let server = history();
    let (text, done) = kruise(&server, "rollout pause sidecarset/logs").await;
    assert_eq!(
        (text.as_str(), done),
        ("sidecarset.apps.kruise.io/logs paused\n", Ok(()))
    );
    assert!(stored(&server).spec.update_strategy.paused);
    let (_, done) = kruise(&server, "rollout pause sidecarset logs").await;
    assert_eq!(
        done,
        Err("error: sidecarset.apps.kruise.io/logs: is already paused".to_owned())
    );
    let (text, _) = kruise(&server, "rollout resume scs/logs").await;
    assert_eq!(text, "sidecarset.apps.kruise.io/logs resumed\n");
    let (_, done) = kruise(&server, "rollout resume scs/logs").await;
    assert!(done.expect_err("it runs").ends_with("is not paused"));
}

#[tokio::test]
async fn the_history_is_told_with_images_and_versions_and_the_present_state_marked() {
    let server = history();
    let (text, done) = kruise(&server, "rollout history sidecarset/logs").await;
    assert_eq!(done, Ok(()));
    let expected = "\
sidecarset.apps.kruise.io/logs
REVISION   NAME     VERSION   IMAGES    CHANGE-CAUSE
1          logs-1   v1        agent:1   <none>
2*         logs-2   <none>    agent:2   <none>
";
    assert_eq!(text, expected);
    let (text, _) = kruise(&server, "rollout history sidecarset/logs --revision=1").await;
    assert!(
        text.contains("with revision #1\nTemplate:\n  containers:\n  - image: agent:1\n"),
        "{text}"
    );
    assert!(!text.contains("patch"), "{text}");
    let (text, _) = kruise(&server, "rollout history scs/logs -o name").await;
    assert_eq!(
        text,
        "controllerrevision.apps/logs-1\ncontrollerrevision.apps/logs-2\n"
    );
    let (_, done) = kruise(&server, "rollout history scs/logs --revision=7").await;
    assert!(
        done.expect_err("none")
            .starts_with("error: unable to find the specified revision: 7")
    );
}

#[tokio::test]
async fn undo_goes_back_to_the_last_state_that_differs_with_its_version_and_keeps_the_strategy() {
    let server = history();
    let (text, done) = kruise(&server, "rollout undo sidecarset/logs").await;
    assert_eq!(done, Ok(()));
    assert_eq!(text, "sidecarset.apps.kruise.io/logs rolled back to revision 1\n");
    let now = stored(&server);
    assert_eq!(now.spec.containers[0].image(), "agent:1");
    assert_eq!(now.custom_version(), Some("v1"));
    assert_eq!(now.spec.selector, set("x", json!({})).spec.selector);
    // To the one without a version: the label goes.
    let (_, done) = kruise(&server, "rollout undo sidecarset/logs --to-revision=2").await;
    assert_eq!(done, Ok(()));
    let now = stored(&server);
    assert_eq!(
        (now.spec.containers[0].image(), now.custom_version()),
        ("agent:2", None)
    );
}

#[tokio::test]
async fn undo_writes_nothing_in_a_dry_run_and_to_where_it_is() {
    let server = history();
    for (line, says) in [
        (
            "rollout undo scs/logs --dry-run=client",
            "rolled back to revision 1 (dry run)",
        ),
        (
            "rollout undo scs/logs --dry-run=server",
            "rolled back to revision 1 (server dry run)",
        ),
        (
            "rollout undo scs/logs --to-revision=2",
            "skipped rollback (current template already matches revision 2)",
        ),
    ] {
        let (text, done) = kruise(&server, line).await;
        assert_eq!(done, Ok(()), "{line}");
        assert!(text.contains(says), "{line}: {text}");
        assert_eq!(stored(&server).spec.containers[0].image(), "agent:2", "{line}");
    }
    let (_, done) = kruise(&server, "rollout undo scs/logs --to-revision=9").await;
    assert!(
        done.expect_err("none")
            .contains("rollout history sidecarset/logs")
    );
}

#[tokio::test]
async fn undo_outlasts_writes_of_the_status_and_gives_up_if_the_set_is_replaced() {
    for (changed, succeeds) in [("status", true), ("set", false)] {
        let server = history();
        let times = Arc::new(AtomicUsize::new(0));
        let (writer, counted) = (server.clone(), times.clone());
        // Somebody writes whenever the patch is on its way.
        server.validate(move |review| {
            if review.kind() != "SidecarSet" || counted.fetch_add(1, Relaxed) > 2 {
                return Ok(());
            }
            let mut now = stored(&writer);
            match changed {
                "status" => now.status.get_or_insert_default().matched_pods += 1,
                _ => now.metadata.uid = Some("uid-2".to_owned()),
            }
            assert!(writer.seed_object(&now));
            Err(ApiError::conflict(
                "apps.kruise.io",
                "sidecarsets",
                "logs",
                "the object has been modified",
            ))
        });
        let (_, done) = kruise(&server, "rollout undo scs/logs").await;
        assert_eq!(done.is_ok(), succeeds, "{changed}: {done:?}");
        assert!(times.load(Relaxed) > 0);
        let image = stored(&server).spec.containers[0].image().to_owned();
        assert_eq!(image == "agent:1", succeeds, "{changed}");
    }
}

#[tokio::test]
async fn without_revisions_or_without_the_set_it_is_told_what_to_look_at() {
    let server = server();
    let (_, done) = kruise(&server, "rollout undo scs/logs").await;
    let failure = done.expect_err("no set");
    assert!(
        failure.contains("not found") && failure.contains("kubectl get sidecarsets"),
        "{failure}"
    );
    assert!(server.seed_object(&set("agent:1", json!({}))));
    let (_, done) = kruise(&server, "rollout undo scs/logs").await;
    assert!(done.expect_err("no revisions").contains("--revision-namespace"));
    // As kubectl does.
    let (text, done) = kruise(&server, "rollout history scs/logs").await;
    assert_eq!((text.as_str(), done), ("No rollout history found.\n", Ok(())));
    // Revisions of a set of the same name that was deleted are not this one's.
    let mut foreign = revision(&set("agent:0", json!({})), 1, None);
    foreign["metadata"]["ownerReferences"][0]["uid"] = "uid-0".into();
    seed(&server, foreign);
    let (_, done) = kruise(&server, "rollout undo scs/logs").await;
    assert!(done.expect_err("foreign").contains("has no revisions"));
}

/// A pod at an image, with what injection writes.
fn pod(name: &str, of: &SidecarSet, ready: bool) -> Value {
    let entry = |hash: Option<&str>| json!({"logs": {"hash": hash, "sidecarSetName": "logs"}}).to_string();
    let image = of.spec.containers[0].image();
    let status = if ready { "True" } else { "False" };
    json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "namespace": "shop", "labels": {"app": "web"},
            "annotations": {"kruise.io/sidecarset-injected-list": "logs", "kruise.io/sidecarset-hash": entry(of.hash()),
                "kruise.io/sidecarset-hash-without-image": entry(of.hash_without_image())}},
        "spec": {"nodeName": "n", "containers": [{"name": "agent", "image": image}]},
        "status": {"phase": "Running", "conditions": [{"type": "Ready", "status": status}],
            "containerStatuses": [{"name": "agent", "image": image, "imageID": "x", "containerID": "c", "ready": ready, "restartCount": 0}]}})
}

fn of(set: &SidecarSet, pods: &[Value]) -> Progress {
    let mut snapshot = Snapshot::default();
    for pod in pods {
        snapshot.add(pod.clone()).expect("a pod");
    }
    progress(&snapshot.explain_set(set, &ExplainOptions::default()))
}

#[test]
fn how_far_a_rollout_is_follows_from_its_pods() {
    let (old, new) = (set("agent:1", json!({})), set("agent:2", json!({})));
    let (a, b) = (pod("a", &new, true), pod("b", &old, true));
    let done = Progress::Done("sidecarset \"logs\" successfully rolled out".to_owned());
    assert_eq!(of(&new, &[a.clone(), pod("b", &new, true)]), done);
    assert_eq!(of(&new, &[]), done, "no pods, nothing to do");
    let Progress::UnderWay(text) = of(&new, &[pod("a", &new, false), b.clone()]) else {
        unreachable!("a is not available")
    };
    assert_eq!(
        text,
        "Waiting for sidecarset \"logs\" rollout to finish: 1 of 2 pods have been updated, shop/a is not available (agent is not ready)..."
    );
    let kept = set("agent:2", json!({"partition": 1}));
    assert_eq!(
        of(&kept, &[a.clone(), b.clone()]),
        Progress::Done(
            "partitioned roll out complete: 1 of 2 pods have been updated, 1 kept by the partition"
                .to_owned()
        )
    );
    let paused = set("agent:2", json!({"paused": true}));
    assert!(
        matches!(of(&paused, &[a.clone(), b.clone()]), Progress::Stopped(text) if text.contains("rollout resume sidecarset/logs"))
    );
    let off = set("agent:2", json!({"type": "NotUpdate"}));
    assert!(
        matches!(of(&off, std::slice::from_ref(&b)), Progress::Failed { what, .. } if what.contains("RollingUpdate"))
    );
    let bad = set("agent:2", json!({"partition": "x"}));
    assert!(
        matches!(of(&bad, std::slice::from_ref(&b)), Progress::Failed { what, .. } if what.contains("partition"))
    );
    let mut other = b;
    other["metadata"]["annotations"]["kruise.io/sidecarset-hash-without-image"] =
        json!({"logs": {"hash": "z"}}).to_string().into();
    assert!(matches!(of(&new, &[a, other]), Progress::Failed { what, .. } if what.contains("1 of 2 pods")));
}

#[tokio::test(start_paused = true)]
async fn status_waits_for_the_end_and_prints_each_change_once() {
    let server = server();
    let (old, new) = (set("agent:1", json!({})), set("agent:2", json!({})));
    assert!(server.seed_object(&new));
    seed(&server, pod("a", &old, true));
    let script = async {
        tokio::time::sleep(std::time::Duration::from_millis(2500)).await;
        seed(&server, pod("a", &new, true));
    };
    let ((text, done), ()) = tokio::join!(kruise(&server, "rollout status sidecarset/logs"), script);
    assert_eq!(done, Ok(()));
    let expected = "\
Waiting for sidecarset \"logs\" rollout to finish: 0 of 1 pods have been updated...
sidecarset \"logs\" successfully rolled out
";
    assert_eq!(text, expected);
}

#[tokio::test(start_paused = true)]
async fn status_fails_at_its_timeout_and_asks_once_without_watch() {
    let server = server();
    let (old, new) = (set("agent:1", json!({})), set("agent:2", json!({})));
    assert!(server.seed_object(&new));
    seed(&server, pod("a", &old, true));
    let (text, done) = kruise(&server, "rollout status sidecarset/logs --watch=false").await;
    assert_eq!(done, Ok(()));
    assert_eq!(text.lines().count(), 1);
    let (_, done) = kruise(&server, "rollout status sidecarset/logs --timeout=5s").await;
    let failure = done.expect_err("it never ends");
    assert!(
        failure.starts_with("error: timed out waiting for the condition\nWaiting for"),
        "{failure}"
    );
    assert!(
        failure.ends_with("kubectl kruise explain sidecarset logs"),
        "{failure}"
    );
}

#[tokio::test(start_paused = true)]
async fn status_is_bound_by_its_timeout_though_the_server_never_answers() {
    let server = server();
    assert!(server.seed_object(&set("agent:2", json!({}))));
    let mut config = FaultConfig::none();
    config.slow = 1.0;
    config.slowest = Duration::from_secs(1_000_000);
    let faults = Faults::new(server, config, 1);
    let began = tokio::time::Instant::now();
    let (_, done) = kruise_by(faults.client(), "rollout status sidecarset/logs --timeout=7s").await;
    assert!(done.expect_err("no answer").contains("timed out waiting"));
    assert_eq!(began.elapsed().as_secs(), 7);
}

#[tokio::test(start_paused = true)]
async fn status_goes_on_after_requests_that_fail_for_a_while() {
    let server = server();
    let (old, new) = (set("agent:1", json!({})), set("agent:2", json!({})));
    assert!(server.seed_object(&new));
    seed(&server, pod("a", &old, true));
    let mut config = FaultConfig::none();
    (config.too_many, config.error_before, config.reset_before) = (0.3, 0.3, 0.4);
    let faults = Faults::new(server.clone(), config, 1);
    faults.calm();
    let script = async {
        tokio::time::sleep(Duration::from_secs(2)).await;
        faults.resume();
        tokio::time::sleep(Duration::from_secs(20)).await;
        seed(&server, pod("a", &new, true));
        faults.calm();
    };
    let client = faults.client();
    let ((text, done), ()) = tokio::join!(kruise_by(client, "rollout status sidecarset/logs"), script);
    assert_eq!(done, Ok(()));
    assert!(text.ends_with("successfully rolled out\n"), "{text}");
    assert!(faults.injected().len() > 1, "{:?}", faults.injected());
}

#[tokio::test(start_paused = true)]
async fn status_reads_pods_seldom_while_nothing_changes() {
    let server = server();
    let (old, new) = (set("agent:1", json!({})), set("agent:2", json!({})));
    assert!(server.seed_object(&new));
    seed(&server, pod("a", &old, true));
    server.clear_requests();
    kruise_for(&server, "rollout status sidecarset/logs", Duration::from_secs(60)).await;
    let lists = server
        .requests()
        .into_iter()
        .filter(|logged| logged.uri.contains("/pods"));
    assert!((5..=13).contains(&lists.count()), "once in five seconds");
}

#[tokio::test]
async fn status_of_another_revision_is_an_error() {
    let server = history();
    let mut now = stored(&server);
    now.status.get_or_insert_default().latest_revision = "logs-2".to_owned();
    assert!(server.seed_object(&now));
    let (_, done) = kruise(&server, "rollout status scs/logs --revision=2").await;
    assert_eq!(done, Ok(()));
    let (_, done) = kruise(&server, "rollout status scs/logs --revision=1").await;
    assert_eq!(
        done.expect_err("another"),
        "error: desired revision (1) is different from the running revision (2)"
    );
}
