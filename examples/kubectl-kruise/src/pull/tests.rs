use std::time::Duration;

use clap::Parser as _;
use kruise_core::testing::apiserver::{ApiError, ApiServer};
use kruise_core::testing::faults::{FaultConfig, Faults};
use kruise_imagepull::api::{ImagePullJob, NodeImage};
use serde_json::{Value, json};

use super::screen::{Screen, numbers};
use super::state::{Image, Phase, line};
use super::*;
use crate::cli::{Cli, Command};
use crate::testing::{kruise, kruise_by, seed, server};

fn flags(line: &str) -> PullFlags {
    let words = ["kubectl-kruise", "pull"]
        .into_iter()
        .chain(line.split_whitespace());
    match Cli::try_parse_from(words).expect("sound").command {
        Command::Pull(flags) => *flags,
        other => unreachable!("{other:?}"),
    }
}

fn manifest(line: &str) -> Value {
    job::build(&flags(line))
        .and_then(|job| job.to_value())
        .expect("a job")
}

#[test]
fn flags_become_the_fields_of_a_job() {
    assert_eq!(
        manifest(
            "registry.example.com/shop/web:1.4 --nodes=b,a --parallelism 10 --pull-secret x --pull-secret y --timeout 2m --backoff-limit 0 --policy Always"
        ),
        json!({"apiVersion": "apps.kruise.io/v1alpha1", "kind": "ImagePullJob", "metadata": {"generateName": "pull-web-"},
            "spec": {"image": "registry.example.com/shop/web:1.4", "selector": {"names": ["b", "a"]}, "parallelism": 10,
                "pullSecrets": ["x", "y"], "pullPolicy": {"timeoutSeconds": 120, "backoffLimit": 0}, "imagePullPolicy": "Always",
                "completionPolicy": {}}})
    );
    let labels = manifest("nginx -l pool=web,!old --name warm");
    assert_eq!(labels["metadata"], json!({"name": "warm"}));
    assert_eq!(
        labels["spec"]["selector"],
        json!({"matchLabels": {"pool": "web"}, "matchExpressions": [{"key": "old", "operator": "DoesNotExist"}]})
    );
    assert_eq!(
        manifest("nginx --pod-selector app=web")["spec"]["podSelector"],
        json!({"matchLabels": {"app": "web"}})
    );
    let list = manifest("nginx redis:7");
    assert_eq!(
        (&list["kind"], &list["spec"]["images"]),
        (&json!("ImageListPullJob"), &json!(["nginx", "redis:7"]))
    );
    assert_eq!(list["metadata"]["generateName"], "pull-list-");
}

#[test]
fn flags_that_do_not_fit_together_are_refused() {
    for line in [
        "",
        "nginx --follow x",
        "--follow x --parallelism 2",
        "nginx --nodes a -l b",
        "nginx -l a --pod-selector b",
        "nginx --parallelism=-1",
    ] {
        let words = ["k", "pull"].into_iter().chain(line.split_whitespace());
        assert!(Cli::try_parse_from(words).is_err(), "{line}");
    }
    assert!(
        job::build(&flags("nginx:::"))
            .and_then(|job| job.check())
            .is_err()
    );
    assert!(
        job::build(&flags("a a")).and_then(|job| job.check()).is_err(),
        "an image twice"
    );
}

#[test]
fn a_dry_run_of_the_client_prints_the_manifest() {
    let mut out = Vec::new();
    offline(&flags("nginx --dry-run -o yaml"), Some("shop"), &mut out).expect("valid");
    let text = String::from_utf8(out).expect("text");
    assert!(
        text.contains("kind: ImagePullJob") && text.contains("namespace: shop"),
        "{text}"
    );
    let mut out = Vec::new();
    offline(&flags("nginx --dry-run"), None, &mut out).expect("valid");
    assert_eq!(
        String::from_utf8(out).expect("text"),
        "imagepulljob.apps.kruise.io/pull-nginx-* (dry run)\n"
    );
}

fn job(status: Value) -> Value {
    json!({"apiVersion": "apps.kruise.io/v1alpha1", "kind": "ImagePullJob",
        "metadata": {"name": "warm", "namespace": "shop", "uid": "job-1"}, "spec": {"image": "nginx:1", "completionPolicy": {}}, "status": status})
}

fn node(name: &str, result: Value) -> Value {
    let owner = json!([{"kind": "ImagePullJob", "name": "warm", "namespace": "shop", "uid": "job-1"}]);
    let mut of = json!({"apiVersion": "apps.kruise.io/v1alpha1", "kind": "NodeImage", "metadata": {"name": name},
        "spec": {"images": {"nginx": {"tags": [{"tag": "1", "version": 3, "ownerReferences": owner}]}}}});
    if !result.is_null() {
        let mut tag =
            json!({"tag": "1", "version": 3, "phase": "Pulling", "startTime": "2026-01-01T10:00:00Z"});
        json_patch(&mut tag, &result);
        of["status"] = json!({"desired": 1, "imageStatuses": {"nginx": {"tags": [tag]}}});
    }
    of
}

fn json_patch(value: &mut Value, change: &Value) {
    for (field, new) in change.as_object().into_iter().flatten() {
        value[field] = new.clone();
    }
}

fn image(status: Value, nodes: &[Value]) -> Image {
    let job: ImagePullJob = serde_json::from_value(job(status)).expect("a job");
    let nodes: Vec<NodeImage> = nodes
        .iter()
        .map(|node| serde_json::from_value(node.clone()).expect("a node"))
        .collect();
    Image::of(&job, &nodes)
}

fn ended(phase: &str, message: &str) -> Value {
    json!({"phase": phase, "completionTime": "2026-01-01T10:00:07Z", "message": message})
}

#[test]
fn the_phase_of_a_node_is_that_of_its_own_round() {
    let status = || json!({"startTime": "2026-01-01T10:00:00Z", "desired": 6, "active": 3, "succeeded": 1, "failed": 1});
    let mut foreign = node("z-foreign", Value::Null);
    foreign["spec"]["images"]["nginx"]["tags"][0]["ownerReferences"][0]["uid"] = "other".into();
    let nodes = [
        node("a", Value::Null),
        node(
            "b",
            json!({"phase": "Succeeded", "version": 2, "completionTime": "2026-01-01T09:00:00Z"}),
        ),
        node("c", json!({"message": "12 MiB so far"})),
        node("d", ended("Succeeded", "")),
        node("e", ended("Failed", "no such image")),
        foreign,
    ];
    let image = image(status(), &nodes);
    let phases: Vec<(&str, Phase)> = image
        .pulls
        .iter()
        .map(|pull| (pull.node.as_str(), pull.phase))
        .collect();
    let expected = [
        ("a", Phase::Told),
        ("b", Phase::Told),
        ("c", Phase::Pulling),
        ("d", Phase::Succeeded),
        ("e", Phase::Failed),
    ];
    assert_eq!(phases, expected);
    let now = "2026-01-01T10:01:30Z".parse().expect("a time");
    let lines: Vec<String> = image.pulls.iter().skip(2).map(|pull| line(pull, now)).collect();
    assert_eq!(
        lines,
        [
            "pulling for 90s: 12 MiB so far",
            "succeeded in 7s",
            "failed after 7s: no such image"
        ]
    );
    assert_eq!(numbers(&image), "2 of 6 nodes done, 3 pulling, 1 failed");
    assert!(!image.over);
}

#[test]
fn failures_are_grouped_by_reason_with_the_most_frequent_first() {
    let status = json!({"startTime": "2026-01-01T10:00:00Z", "completionTime": "2026-01-01T10:01:00Z", "desired": 5,
        "succeeded": 1, "failed": 4, "failedNodes": ["b", "c", "d", "e"]});
    let nodes = [
        node("a", ended("Succeeded", "")),
        node("b", ended("Failed", "disk full")),
        node("c", ended("Failed", "no such image")),
        node("d", ended("Failed", "no such image")),
        node("e", json!({})),
    ];
    let report = state::Report(vec![image(status, &nodes)]);
    let failure = report
        .finish(&mut Vec::new())
        .expect_err("four failed")
        .to_string();
    let expected = "\
error: nginx:1: pulled on 1 of 5 nodes
  2 nodes: no such image (c, d)
  1 node: disk full (b)
  1 node: the job ended before the node did (e)
Details: kubectl get nodeimage b -o yaml";
    assert_eq!(failure, expected);
}

#[test]
fn a_job_that_selects_no_node_or_nodes_that_are_not_there_has_not_succeeded() {
    let done = |desired: i32| json!({"startTime": "2026-01-01T10:00:00Z", "completionTime": "2026-01-01T10:00:01Z", "desired": desired, "succeeded": desired});
    let report = state::Report(vec![image(done(0), &[])]);
    assert!(
        report
            .finish(&mut Vec::new())
            .expect_err("none")
            .to_string()
            .contains("the job selects no node")
    );
    let mut named: ImagePullJob = serde_json::from_value(job(done(1))).expect("a job");
    named.spec.selector = Some(serde_json::from_value(json!({"names": ["a", "typo"]})).expect("a selector"));
    let nodes = [serde_json::from_value(node("a", ended("Succeeded", ""))).expect("a node")];
    let report = state::Report(vec![Image::of(&named, &nodes)]);
    let failure = report.finish(&mut Vec::new()).expect_err("a typo").to_string();
    assert!(
        failure.contains("1 of 2 nodes") && failure.contains("(typo)"),
        "{failure}"
    );
}

#[test]
fn bars_take_any_state() {
    let status = json!({"startTime": "2026-01-01T10:00:00Z", "desired": 3, "active": 1});
    let mut screen = Screen::bars();
    let now = "2026-01-01T10:01:30Z".parse().expect("a time");
    for result in [Value::Null, json!({"progress": 40}), ended("Failed", "x")] {
        screen
            .show(
                &[image(status.clone(), &[node("a", result)])],
                now,
                &mut Vec::new(),
            )
            .expect("shown");
    }
    screen.clear();
}

/// What the controller and a node would do with the job that is there.
async fn work(server: &ApiServer, results: &[(&str, Value)], status: Value) {
    tokio::time::sleep(Duration::from_millis(1200)).await;
    let created: ImagePullJob = server.list().pop().expect("the job was created");
    for (name, result) in results {
        let mut object = node(name, result.clone());
        object["spec"]["images"]["nginx"]["tags"][0]["ownerReferences"][0]["uid"] =
            json!(created.metadata.uid);
        seed(server, object);
    }
    let mut object = serde_json::to_value(&created).expect("JSON");
    object["apiVersion"] = "apps.kruise.io/v1alpha1".into();
    object["kind"] = "ImagePullJob".into();
    object["status"] = status;
    seed(server, object);
}

fn finished(succeeded: i32, failed: &[&str]) -> Value {
    json!({"startTime": "2026-01-01T10:00:00Z", "completionTime": "2026-01-01T10:00:09Z", "desired": 2, "active": 0,
        "succeeded": succeeded, "failed": failed.len(), "failedNodes": failed, "message": "job has completed"})
}

#[tokio::test(start_paused = true)]
async fn a_pull_is_created_followed_and_deleted() {
    let server = server();
    let results = [("a", ended("Succeeded", "")), ("b", ended("Succeeded", ""))];
    let (told, ()) = tokio::join!(
        kruise(&server, "pull nginx:1 --name warm --rm"),
        work(&server, &results, finished(2, &[]))
    );
    let (text, done) = told;
    assert_eq!(done, Ok(()));
    let expected = "\
imagepulljob.apps.kruise.io/warm created
nginx:1: waiting for the manager
nginx:1: a: succeeded in 7s
nginx:1: b: succeeded in 7s
nginx:1: 2 of 2 nodes done
nginx:1: pulled on 2 nodes
imagepulljob.apps.kruise.io \"warm\" deleted
";
    assert_eq!(text, expected);
    assert!(server.list::<ImagePullJob>().is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_failure_is_the_exit_code_and_the_job_stays() {
    let server = server();
    let results = [
        ("a", ended("Succeeded", "")),
        ("b", ended("Failed", "no such image")),
    ];
    let (told, ()) = tokio::join!(
        kruise(&server, "pull nginx:1 --name warm"),
        work(&server, &results, finished(1, &["b"]))
    );
    let failure = told.1.expect_err("b failed");
    assert!(failure.contains("1 node: no such image (b)"), "{failure}");
    assert_eq!(server.list::<ImagePullJob>().len(), 1);
    let (_, again) = kruise(&server, "pull --follow warm").await;
    assert_eq!(again, Err(failure), "following it again tells the same");
}

#[tokio::test(start_paused = true)]
async fn a_wait_that_is_over_tells_how_to_follow_and_how_to_delete() {
    let server = server();
    let (_, done) = kruise(&server, "pull nginx:1 --name warm --wait-timeout 3s").await;
    let failure = done.expect_err("nobody works");
    assert!(
        failure.contains("kubectl kruise pull --follow warm -n shop"),
        "{failure}"
    );
    assert!(
        failure.contains("kubectl delete imagepulljob warm -n shop"),
        "{failure}"
    );
    assert_eq!(server.list::<ImagePullJob>().len(), 1);
}

#[tokio::test]
async fn without_waiting_the_job_is_only_created() {
    let server = server();
    let (text, done) = kruise(&server, "pull nginx:1 redis:7 --wait=false -o name").await;
    assert_eq!(done, Ok(()));
    assert!(
        text.starts_with("imagelistpulljob.apps.kruise.io/pull-list-"),
        "{text}"
    );
    let (text, _) = kruise(&server, "pull nginx:1 --dry-run=server").await;
    assert!(text.ends_with("(server dry run)\n"), "{text}");
    assert!(server.list::<ImagePullJob>().is_empty());
}

#[tokio::test]
async fn what_admission_says_is_printed_and_so_is_a_job_that_is_not_there() {
    let server = server();
    server.validate(|_| {
        Err(ApiError::bad_request(
            "admission webhook \"v\" denied the request: spec.image: too new",
        ))
    });
    let (_, done) = kruise(&server, "pull nginx:1").await;
    assert!(
        done.expect_err("denied")
            .contains("denied the request: spec.image: too new")
    );
    let (_, done) = kruise(&server, "pull --follow nothing").await;
    assert!(done.expect_err("none").contains("kubectl kruise get ipj,ilpj -A"));
}

#[tokio::test(start_paused = true)]
async fn a_job_is_followed_through_failed_requests_and_no_longer_than_asked_for() {
    let server = server();
    let job = json!({"apiVersion": "apps.kruise.io/v1alpha1", "kind": "ImagePullJob",
        "metadata": {"name": "warm", "namespace": "shop"}, "spec": {"image": "nginx:1", "completionPolicy": {}}});
    seed(&server, job);
    let mut config = FaultConfig::none();
    (config.too_many, config.reset_before) = (0.5, 0.5);
    let faults = Faults::new(server, config, 1);
    faults.calm();
    let script = async {
        tokio::time::sleep(Duration::from_secs(2)).await;
        faults.resume();
    };
    let began = tokio::time::Instant::now();
    let followed = kruise_by(faults.client(), "pull --follow warm --wait-timeout 20s");
    let ((_, done), ()) = tokio::join!(followed, script);
    let failure = done.expect_err("the job never ends");
    assert!(failure.contains("timed out waiting for the nodes"), "{failure}");
    assert_eq!(began.elapsed().as_secs(), 20);
    assert!(!faults.injected().is_empty());
}
