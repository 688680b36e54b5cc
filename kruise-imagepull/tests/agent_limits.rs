//! What holds pulls back: free space, limits per registry, the spread of starts; and what is told of a long pull.

mod support;

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use jiff::{SignedDuration, Timestamp};
use kruise_cri::ErrorKind;
use kruise_imagepull::agent::{AgentConfig, DiskSpace, NoSecrets, Space};
use kruise_imagepull::api::{ImageTagStatus, PullPhase};
use serde_json::{Value, json};
use support::runtime::{Answer, ScriptedRuntime};
use support::{World, pass, until};
use tokio::time::Instant;

const LIMIT: Duration = Duration::from_secs(24 * 3600);
const NODE: &str = "n";
const GIB: u64 = 1 << 30;

fn task(tag: &str, policy: Value) -> Value {
    json!({"tag": tag, "createdAt": "2027-01-15T08:00:00Z", "pullPolicy": policy, "imagePullPolicy": "IfNotPresent"})
}

fn world(images: &[(&str, Value)]) -> World {
    let world = World::new();
    let images: serde_json::Map<_, _> = images
        .iter()
        .map(|(image, task)| ((*image).to_owned(), json!({"tags": [task]})))
        .collect();
    world
        .api
        .create_node_image(NODE, json!({}), json!({"images": images}));
    world
}

fn result(world: &World, image: &str) -> Option<ImageTagStatus> {
    world.api.node_image(NODE)?.result(image, "1").cloned()
}

async fn ended(world: &World, image: &str) -> ImageTagStatus {
    until("the task ends", LIMIT, || {
        result(world, image).is_some_and(|result| result.is_terminal())
    })
    .await;
    result(world, image).expect("there")
}

/// A disk of 100 GiB.
struct Disk(Arc<AtomicU64>);

#[async_trait]
impl DiskSpace for Disk {
    async fn space(&self, folder: &str) -> io::Result<Space> {
        assert_eq!(folder, "/images");
        match self.0.load(Ordering::SeqCst) {
            u64::MAX => Err(io::ErrorKind::NotFound.into()),
            available => Ok(Space {
                capacity: 100 * GIB,
                available,
            }),
        }
    }
}

fn disk(world: &World, available: u64) -> Arc<AtomicU64> {
    let available = Arc::new(AtomicU64::new(available));
    *world.disk.lock() = Some(Arc::new(Disk(available.clone())));
    available
}

#[tokio::test(start_paused = true)]
async fn a_full_disk_holds_a_pull_back_with_the_reason_until_there_is_space() {
    let world = world(&[("nginx", task("1", json!({"backoffLimit": 0})))]);
    let available = disk(&world, 10 * GIB);
    let runtime = ScriptedRuntime::taking(Duration::from_secs(60));
    runtime.set_used(1);
    let _agent = world.start_agent(NODE, &runtime);
    pass(300).await;
    let waiting = result(&world, "nginx").expect("told");
    assert_eq!(waiting.phase, PullPhase::Pulling);
    assert_eq!(
        waiting.message,
        "waiting for disk space: 10.0 GiB (10 %) free, pulls start from 15 %"
    );
    assert_eq!((runtime.pulls().len(), world.api.count(&["agent PATCH"])), (0, 2));
    available.store(20 * GIB, Ordering::SeqCst);
    pass(40).await;
    assert_eq!(result(&world, "nginx").expect("told").message, "", "it pulls now");
    assert_eq!(ended(&world, "nginx").await.phase, PullPhase::Succeeded);
}

#[tokio::test(start_paused = true)]
async fn a_disk_that_stays_full_fails_the_task_when_its_time_is_over() {
    for (policy, seconds) in [
        (json!({"activeDeadlineSeconds": 90}), 60..=90),
        (json!({"timeoutSeconds": 60, "backoffLimit": 1}), 220..=252),
    ] {
        let world = world(&[("nginx", task("1", policy))]);
        disk(&world, 0);
        let runtime = ScriptedRuntime::new();
        runtime.set_used(1);
        let begin = Instant::now();
        let _agent = world.start_agent(NODE, &runtime);
        let failed = ended(&world, "nginx").await;
        assert_eq!(failed.phase, PullPhase::Failed);
        assert!(
            failed
                .message
                .contains("waiting for disk space: 0 KiB (0 %) free"),
            "{}",
            failed.message
        );
        assert!(
            seconds.contains(&begin.elapsed().as_secs()),
            "{:?}",
            begin.elapsed()
        );
        assert_eq!(runtime.pulls().len(), 0);
    }
}

#[tokio::test(start_paused = true)]
async fn a_full_disk_does_not_matter_to_an_image_that_is_there_nor_a_disk_that_can_not_be_seen() {
    let world = world(&[("nginx", task("1", json!({}))), ("redis", task("1", json!({})))]);
    let available = disk(&world, 0);
    let runtime = ScriptedRuntime::new();
    runtime.set_used(1);
    runtime.add("docker.io/library/nginx:1");
    let _agent = world.start_agent(NODE, &runtime);
    assert_eq!(ended(&world, "nginx").await.phase, PullPhase::Succeeded);
    pass(60).await;
    assert!(result(&world, "redis").is_some_and(|result| !result.is_terminal()));
    available.store(u64::MAX, Ordering::SeqCst);
    assert_eq!(ended(&world, "redis").await.phase, PullPhase::Succeeded);
}

#[tokio::test(start_paused = true)]
async fn one_registry_gets_as_many_pulls_as_it_may_and_others_pass() {
    let world = world(&[
        ("a.io/1", task("1", json!({}))),
        ("a.io/2", task("1", json!({}))),
        ("a.io/3", task("1", json!({}))),
        ("b.io/1", task("1", json!({}))),
    ]);
    let runtime = ScriptedRuntime::taking(Duration::from_secs(60));
    let mut config = AgentConfig::default();
    config.max_pulls_per_registry = 1;
    let _agent = world.start_agent_with(NODE, runtime.clone(), Arc::new(NoSecrets), config);
    pass(1).await;
    let started: Vec<_> = runtime
        .pulls()
        .into_iter()
        .map(|(_, request)| request.image)
        .collect();
    assert_eq!(started, ["a.io/1:1", "b.io/1:1"]);
    let waiting = result(&world, "a.io/2").expect("told");
    assert_eq!(
        (waiting.phase, waiting.message.as_str()),
        (PullPhase::Waiting, "waits for other pulls from a.io")
    );
    assert_eq!(ended(&world, "a.io/3").await.phase, PullPhase::Succeeded);
    assert_eq!(runtime.most_running(), 2);
}

#[tokio::test(start_paused = true)]
async fn starts_of_different_nodes_are_spread_but_images_that_are_there_do_not_wait() {
    let mut starts = Vec::new();
    for seed in 0..8 {
        let world = world(&[("nginx", task("1", json!({}))), ("redis", task("1", json!({})))]);
        let runtime = ScriptedRuntime::new();
        runtime.add("docker.io/library/redis:1");
        let mut config = AgentConfig::default();
        config.start_jitter = Duration::from_secs(100);
        config.seed = seed;
        let begin = Instant::now();
        let _agent = world.start_agent_with(NODE, runtime.clone(), Arc::new(NoSecrets), config);
        ended(&world, "redis").await;
        assert!(begin.elapsed() < Duration::from_secs(1));
        ended(&world, "nginx").await;
        starts.push((runtime.pulls()[0].0 - begin).as_secs());
    }
    let (first, last) = (starts.iter().min(), starts.iter().max());
    assert!(starts.iter().all(|start| *start <= 100), "{starts:?}");
    assert!(
        last.zip(first).is_some_and(|(last, first)| last - first > 40),
        "{starts:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn an_old_task_is_not_spread_again_after_a_restart() {
    let old = Timestamp::from_second(1_800_000_000).expect("a time") - SignedDuration::from_secs(200);
    let mut task = task("1", json!({}));
    task["createdAt"] = json!(old.to_string());
    let world = world(&[("nginx", task)]);
    let runtime = ScriptedRuntime::new();
    let mut config = AgentConfig::default();
    config.start_jitter = Duration::from_secs(200);
    let begin = Instant::now();
    let _agent = world.start_agent_with(NODE, runtime, Arc::new(NoSecrets), config);
    ended(&world, "nginx").await;
    assert!(begin.elapsed() < Duration::from_secs(1));
}

#[tokio::test(start_paused = true)]
async fn a_long_pull_tells_what_the_disk_has_grown_by_and_no_percentage() {
    let world = world(&[("nginx", task("1", json!({})))]);
    let runtime = ScriptedRuntime::taking(Duration::from_secs(300));
    runtime.set_used(GIB);
    let _agent = world.start_agent(NODE, &runtime);
    pass(10).await;
    runtime.set_used(GIB + (500 << 20));
    pass(25).await;
    let now = result(&world, "nginx").expect("told");
    assert_eq!(
        (now.progress, now.message.as_str()),
        (0, "500 MiB on disk after 30 s")
    );
    runtime.set_used(GIB + (510 << 20));
    pass(60).await;
    assert_eq!(
        result(&world, "nginx").expect("told").message,
        now.message,
        "a fiftieth more is no news"
    );
    let done = ended(&world, "nginx").await;
    assert_eq!((done.progress, done.message.as_str()), (100, ""));
    assert_eq!(world.api.count(&["agent PATCH"]), 3);
}

#[tokio::test(start_paused = true)]
async fn bytes_of_two_pulls_at_once_are_told_of_neither() {
    let world = world(&[("nginx", task("1", json!({}))), ("redis", task("1", json!({})))]);
    let runtime = ScriptedRuntime::taking(Duration::from_secs(300));
    runtime.set_used(0);
    let _agent = world.start_agent(NODE, &runtime);
    pass(10).await;
    runtime.set_used(GIB);
    pass(100).await;
    for image in ["nginx", "redis"] {
        assert_eq!(result(&world, image).expect("told").message, "");
    }
    assert_eq!(world.api.count(&["agent PATCH"]), 1, "both starts in one write");
}

#[tokio::test(start_paused = true)]
async fn what_a_task_waits_for_is_told_while_it_waits() {
    for (kind, text) in [
        (
            ErrorKind::RateLimited,
            "attempt 1 of 4: PullImage: rate limited by the registry",
        ),
        (
            ErrorKind::NoSpace,
            "attempt 1 of 4: PullImage: no space left on the node",
        ),
    ] {
        let world = world(&[("nginx", task("1", json!({})))]);
        let runtime = ScriptedRuntime::new();
        runtime.script([Answer::Fail(kind)]);
        let _agent = world.start_agent(NODE, &runtime);
        pass(5).await;
        let waiting = result(&world, "nginx").expect("told");
        assert_eq!(waiting.phase, PullPhase::Pulling);
        assert!(waiting.message.starts_with(text), "{}", waiting.message);
        assert_eq!(ended(&world, "nginx").await.message, "");
    }
}

#[tokio::test(start_paused = true)]
async fn an_empty_policy_pulls_an_image_that_is_there() {
    let mut task = task("1", json!({}));
    task["imagePullPolicy"] = Value::Null;
    let world = world(&[("nginx", task)]);
    let runtime = ScriptedRuntime::new();
    runtime.add("docker.io/library/nginx:1");
    let _agent = world.start_agent(NODE, &runtime);
    ended(&world, "nginx").await;
    assert_eq!(runtime.pulls().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_failure_forged_while_a_pull_runs_is_put_right_and_the_pull_goes_on() {
    let world = world(&[("nginx", task("1", json!({})))]);
    let runtime = ScriptedRuntime::taking(Duration::from_secs(100));
    let _agent = world.start_agent(NODE, &runtime);
    pass(1).await;
    for message in [
        "",
        "node has not responded for a long time",
        "pulling exceeds the activeDeadlineSeconds",
    ] {
        world.api.edit_node_image(NODE, |node| {
            let result = &mut node["status"]["imageStatuses"]["nginx"]["tags"][0];
            result["phase"] = json!("Failed");
            result["message"] = json!(message);
            result["completionTime"] = json!("2027-01-15T08:00:01Z");
        });
        pass(2).await;
        let now = result(&world, "nginx").expect("there");
        assert_eq!(
            (now.phase, now.completion_time),
            (PullPhase::Pulling, None),
            "{message}"
        );
    }
    assert_eq!(ended(&world, "nginx").await.phase, PullPhase::Succeeded);
    assert_eq!((runtime.pulls().len(), runtime.dropped()), (1, 0));
}
