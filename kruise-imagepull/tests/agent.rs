//! The agent against a small API server and a scripted runtime, with paused time; once against a runtime on a socket.

mod support;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use kruise_cri::ErrorKind;
use kruise_cri::testing::FakeRuntime;
use kruise_imagepull::agent::{AgentConfig, KubeSecrets, NoSecrets, PullSecret, SecretError, SecretSource};
use kruise_imagepull::api::{ImageTagStatus, PullPhase, SecretReference};
use serde_json::{Value, json};
use support::api::Fault;
use support::runtime::{Answer, ScriptedRuntime};
use support::{World, pass, until};
use tokio::time::Instant;

const LIMIT: Duration = Duration::from_secs(24 * 3600);
const NODE: &str = "n";

fn task(tag: &str, version: i64, policy: Value) -> Value {
    json!({"tag": tag, "version": version, "createdAt": "2027-01-15T08:00:00Z", "pullPolicy": policy,
        "imagePullPolicy": "IfNotPresent"})
}

fn world(image: &str, tasks: &[Value]) -> World {
    let world = World::new();
    world
        .api
        .create_node_image(NODE, json!({}), json!({"images": {image: {"tags": tasks}}}));
    world
}

fn result(world: &World, image: &str, tag: &str) -> Option<ImageTagStatus> {
    world.api.node_image(NODE)?.result(image, tag).cloned()
}

async fn ended(world: &World, image: &str, tag: &str) -> ImageTagStatus {
    let terminal = || result(world, image, tag).is_some_and(|result| result.is_terminal());
    until("the task ends", LIMIT, terminal).await;
    result(world, image, tag).expect("there")
}

fn writes(world: &World) -> usize {
    world.api.count(&["agent PATCH"])
}

/// Whole seconds between the starts of pulls.
fn gaps(runtime: &ScriptedRuntime) -> Vec<u64> {
    let starts: Vec<Instant> = runtime.pulls().iter().map(|(at, _)| *at).collect();
    starts
        .windows(2)
        .map(|pair| (pair[1] - pair[0]).as_secs())
        .collect()
}

#[tokio::test(start_paused = true)]
async fn an_image_that_is_there_is_not_pulled_unless_the_policy_says_always() {
    let world = world(
        "nginx",
        &[task("1", 0, json!({})), {
            let mut always = task("2", 0, json!({}));
            always["imagePullPolicy"] = json!("Always");
            always
        }],
    );
    let runtime = ScriptedRuntime::new();
    runtime.add("docker.io/library/nginx:1");
    runtime.add("docker.io/library/nginx:2");
    let _agent = world.start_agent(NODE, &runtime);
    let first = ended(&world, "nginx", "1").await;
    assert_eq!((first.phase, first.progress), (PullPhase::Succeeded, 100));
    assert_eq!(first.image_id, "nginx@id-of-docker.io/library/nginx:1");
    ended(&world, "nginx", "2").await;
    let pulled: Vec<_> = runtime
        .pulls()
        .into_iter()
        .map(|(_, request)| request.image)
        .collect();
    assert_eq!(pulled, ["docker.io/library/nginx:2"]);
}

#[tokio::test(start_paused = true)]
async fn the_runtime_is_told_of_the_sandbox_of_the_job_and_of_the_agent() {
    let world = world("nginx", &[task("1", 0, json!({}))]);
    world.api.edit_node_image(NODE, |node| {
        node["spec"]["images"]["nginx"]["sandboxConfig"] = json!({
            "labels": {"l": "1"}, "annotations": {"a": "2", "apps.kruise.io/pulling-image-by": "me"},
        });
    });
    let runtime = ScriptedRuntime::new();
    let _agent = world.start_agent(NODE, &runtime);
    ended(&world, "nginx", "1").await;
    let request = runtime.pulls()[0].1.clone();
    assert_eq!(request.labels, [("l".to_owned(), "1".to_owned())].into());
    let annotations = [("a", "2"), ("apps.kruise.io/pulling-image-by", "kruise-daemon")];
    assert_eq!(
        request.annotations,
        annotations.map(|(k, v)| (k.to_owned(), v.to_owned())).into()
    );
}

#[tokio::test(start_paused = true)]
async fn pulling_is_published_at_the_start() {
    let world = world("nginx", &[task("1", 3, json!({}))]);
    let runtime = ScriptedRuntime::taking(Duration::from_secs(300));
    let _agent = world.start_agent(NODE, &runtime);
    pass(1).await;
    let started = result(&world, "nginx", "1").expect("published");
    assert_eq!((started.phase, started.version), (PullPhase::Pulling, 3));
    ended(&world, "nginx", "1").await;
    assert_eq!(writes(&world), 2);
}

#[tokio::test(start_paused = true)]
async fn failures_that_may_pass_are_retried_with_growing_waits() {
    let world = world("nginx", &[task("1", 0, json!({"backoffLimit": 2}))]);
    let runtime = ScriptedRuntime::new();
    runtime.script([Answer::Fail(ErrorKind::Protocol); 9]);
    let _agent = world.start_agent(NODE, &runtime);
    let failed = ended(&world, "nginx", "1").await;
    assert_eq!(failed.phase, PullPhase::Failed);
    assert!(failed.message.contains("unexpected answer"), "{}", failed.message);
    assert_eq!(gaps(&runtime), [1, 2]);
    assert_eq!(world.reasons("NodeImage"), ["PullImageFailed"]);
}

#[tokio::test(start_paused = true)]
async fn a_registry_that_cannot_be_reached_is_given_ten_seconds() {
    let world = world("nginx", &[task("1", 0, json!({"backoffLimit": 2}))]);
    let runtime = ScriptedRuntime::new();
    runtime.script([Answer::Fail(ErrorKind::RegistryUnavailable); 9]);
    let _agent = world.start_agent(NODE, &runtime);
    let failed = ended(&world, "nginx", "1").await;
    assert!(
        failed.message.contains("registry unavailable"),
        "{}",
        failed.message
    );
    assert_eq!(gaps(&runtime), [10, 10]);
}

#[tokio::test(start_paused = true)]
async fn failures_that_stay_end_the_task_at_once() {
    let kinds = [
        ErrorKind::NotFound,
        ErrorKind::Unauthorized,
        ErrorKind::NoMatchingPlatform,
    ];
    for kind in kinds {
        let world = world("nginx", &[task("1", 0, json!({}))]);
        let runtime = ScriptedRuntime::new();
        runtime.script([Answer::Fail(kind); 9]);
        let _agent = world.start_agent(NODE, &runtime);
        assert_eq!(ended(&world, "nginx", "1").await.phase, PullPhase::Failed);
        assert_eq!(runtime.pulls().len(), 1, "{kind:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_registry_that_throttles_is_left_alone_for_half_a_minute() {
    let world = world("nginx", &[task("1", 0, json!({}))]);
    let runtime = ScriptedRuntime::new();
    runtime.script([Answer::Fail(ErrorKind::RateLimited)]);
    let _agent = world.start_agent(NODE, &runtime);
    assert_eq!(ended(&world, "nginx", "1").await.phase, PullPhase::Succeeded);
    assert!(gaps(&runtime)[0] >= 30);
}

#[tokio::test(start_paused = true)]
async fn one_attempt_may_take_its_timeout_and_the_task_its_deadline() {
    let policy = json!({"timeoutSeconds": 600, "activeDeadlineSeconds": 30});
    let world = world("nginx", &[task("1", 0, policy)]);
    let runtime = ScriptedRuntime::new();
    runtime.script([Answer::Hang; 9]);
    let begin = Instant::now();
    let _agent = world.start_agent(NODE, &runtime);
    let failed = ended(&world, "nginx", "1").await;
    assert!(
        failed
            .message
            .starts_with("pulling exceeds the activeDeadlineSeconds"),
        "{}",
        failed.message
    );
    assert_eq!((runtime.pulls().len(), runtime.dropped()), (1, 1));
    assert_eq!(begin.elapsed().as_secs(), 30);
}

#[tokio::test(start_paused = true)]
async fn a_runtime_that_is_away_costs_no_attempt_and_is_told() {
    let world = world("nginx", &[task("1", 0, json!({"backoffLimit": 0}))]);
    let runtime = ScriptedRuntime::new();
    runtime.set_away(true);
    let _agent = world.start_agent(NODE, &runtime);
    pass(600).await;
    let waiting = result(&world, "nginx", "1").expect("published");
    assert_eq!(
        (waiting.phase, waiting.message.as_str()),
        (PullPhase::Pulling, "runtime unavailable: scripted")
    );
    runtime.set_away(false);
    let back = Instant::now();
    assert_eq!(ended(&world, "nginx", "1").await.phase, PullPhase::Succeeded);
    assert!(back.elapsed() <= Duration::from_secs(34));
}

#[tokio::test(start_paused = true)]
async fn a_new_version_stops_the_pull_and_a_removed_task_too() {
    let world = world("nginx", &[task("1", 2, json!({})), task("2", 0, json!({}))]);
    let runtime = ScriptedRuntime::new();
    runtime.script([Answer::Hang; 2]);
    let _agent = world.start_agent(NODE, &runtime);
    pass(5).await;
    world.api.edit_node_image(NODE, |node| {
        node["spec"]["images"]["nginx"]["tags"] = json!([task("1", 3, json!({}))]);
    });
    let done = ended(&world, "nginx", "1").await;
    assert_eq!((done.phase, done.version), (PullPhase::Succeeded, 3));
    assert_eq!((runtime.dropped(), result(&world, "nginx", "2")), (2, None));
    assert_eq!(
        world.reasons("NodeImage"),
        ["PullImageSucceed"],
        "what was stopped has not failed"
    );
}

#[tokio::test(start_paused = true)]
async fn a_stop_interrupts_the_wait_before_an_attempt() {
    let world = world("nginx", &[task("1", 0, json!({}))]);
    let runtime = ScriptedRuntime::new();
    runtime.script([Answer::Fail(ErrorKind::RateLimited)]);
    let _agent = world.start_agent(NODE, &runtime);
    pass(5).await;
    world.api.edit_node_image(NODE, |node| node["spec"] = json!({}));
    pass(120).await;
    assert_eq!(runtime.pulls().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_restart_adopts_results_and_begins_cut_off_pulls_anew() {
    let world = world("nginx", &[task("1", 0, json!({})), task("2", 0, json!({}))]);
    let runtime = ScriptedRuntime::new();
    runtime.add("docker.io/library/nginx:1");
    runtime.script([Answer::Hang]);
    let agent = world.start_agent(NODE, &runtime);
    ended(&world, "nginx", "1").await;
    drop(agent);
    pass(60).await;
    assert_eq!((runtime.pulls().len(), runtime.dropped()), (1, 1));
    let restarted = ScriptedRuntime::new();
    let _agent = world.start_agent(NODE, &restarted);
    ended(&world, "nginx", "2").await;
    let pulled: Vec<_> = restarted
        .pulls()
        .into_iter()
        .map(|(_, request)| request.image)
        .collect();
    assert_eq!(pulled, ["docker.io/library/nginx:2"]);
}

#[tokio::test(start_paused = true)]
async fn an_erased_or_forged_result_is_put_right_without_a_pull() {
    let world = world("nginx", &[task("1", 0, json!({}))]);
    let runtime = ScriptedRuntime::new();
    let _agent = world.start_agent(NODE, &runtime);
    let own = ended(&world, "nginx", "1").await;
    world.api.edit_node_image(NODE, |node| {
        drop(node.as_object_mut().map(|node| node.remove("status")))
    });
    pass(1).await;
    assert_eq!(result(&world, "nginx", "1"), Some(own.clone()));
    world.api.edit_node_image(NODE, |node| {
        node["status"]["imageStatuses"]["nginx"]["tags"][0]["phase"] = json!("Failed");
    });
    pass(1).await;
    assert_eq!(result(&world, "nginx", "1"), Some(own));
    assert_eq!(runtime.pulls().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn kruise_2409_only_so_many_images_are_pulled_at_once() {
    let tags: Vec<Value> = (0..12).map(|tag| task(&tag.to_string(), 0, json!({}))).collect();
    let limited = world("nginx", &tags);
    let runtime = ScriptedRuntime::taking(Duration::from_secs(60));
    let _agent = limited.start_agent(NODE, &runtime);
    pass(1).await;
    let status = limited
        .api
        .node_image(NODE)
        .and_then(|node| node.status)
        .expect("published");
    assert_eq!((status.desired, status.pulling, status.waiting), (12, 5, 7));
    until("all have ended", LIMIT, || {
        limited
            .api
            .node_image(NODE)
            .and_then(|node| node.status)
            .is_some_and(|status| status.succeeded == 12)
    })
    .await;
    assert_eq!(runtime.most_running(), 5);

    let unlimited = world("nginx", &tags);
    let runtime = ScriptedRuntime::taking(Duration::from_secs(60));
    let mut config = AgentConfig::default();
    config.max_pulls = kruise_imagepull::agent::UNLIMITED;
    let _agent = unlimited.start_agent_with(NODE, runtime.clone(), Arc::new(NoSecrets), config);
    pass(1).await;
    assert_eq!(runtime.most_running(), 12);
}

#[tokio::test(start_paused = true)]
async fn failed_status_writes_are_repeated_and_a_quiet_agent_writes_nothing() {
    let world = world("nginx", &[task("1", 0, json!({}))]);
    world.api.fault(
        "nodeimages",
        [Fault::Refuse(500), Fault::Refuse(409), Fault::LoseAnswer],
    );
    let _agent = world.start_agent(NODE, &ScriptedRuntime::new());
    ended(&world, "nginx", "1").await;
    pass(60).await;
    let quiet = writes(&world);
    pass(24 * 3600).await;
    assert_eq!(writes(&world), quiet);
}

struct Secrets(Vec<(&'static str, Value)>);

#[async_trait]
impl SecretSource for Secrets {
    async fn get(&self, reference: &SecretReference) -> Result<Option<PullSecret>, SecretError> {
        let Some((_, config)) = self.0.iter().find(|(name, _)| *name == reference.name) else {
            return Ok(None);
        };
        Ok(Some(PullSecret {
            type_: "kubernetes.io/dockerconfigjson".to_owned(),
            data: [(".dockerconfigjson".to_owned(), config.to_string().into_bytes())].into(),
        }))
    }
}

fn auths(key: &str, username: &str) -> Value {
    json!({"auths": {key: {"username": username, "password": "hunter2"}}})
}

fn private_world() -> World {
    let world = world("r.io/a/b", &[task("1", 0, json!({}))]);
    world.api.edit_node_image(NODE, |node| {
        let secret = |name: &str| json!({"namespace": "team", "name": name});
        node["spec"]["images"]["r.io/a/b"]["pullSecrets"] = json!([
            secret("host"),
            secret("missing"),
            secret("broken"),
            secret("path")
        ]);
    });
    world
}

#[tokio::test(start_paused = true)]
async fn credentials_are_tried_from_the_most_specific_to_none_in_one_attempt() {
    let world = private_world();
    let secrets = Secrets(vec![
        ("host", auths("r.io", "host")),
        ("broken", json!("hunter2")),
        ("path", auths("https://r.io/a", "path")),
    ]);
    let runtime = ScriptedRuntime::new();
    runtime.script([Answer::Fail(ErrorKind::Unauthorized); 2]);
    let _agent = world.start_agent_with(NODE, runtime.clone(), Arc::new(secrets), AgentConfig::default());
    assert_eq!(ended(&world, "r.io/a/b", "1").await.phase, PullPhase::Succeeded);
    let users: Vec<_> = runtime
        .pulls()
        .into_iter()
        .map(|(_, request)| request.credentials.map(|credentials| credentials.username))
        .collect();
    assert_eq!(users, [Some("path".to_owned()), Some("host".to_owned()), None]);
    assert_eq!(gaps(&runtime), [0, 0]);
}

#[tokio::test(start_paused = true)]
async fn secrets_are_read_by_name_alone_and_shown_to_nobody() {
    let world = private_world();
    let config = auths("r.io", "host").to_string();
    world.api.put_secret(
        "host",
        json!({
            "apiVersion": "v1", "kind": "Secret", "metadata": {"name": "host", "namespace": "team"},
            "type": "kubernetes.io/dockerconfigjson",
            "data": {".dockerconfigjson": k8s_openapi::ByteString(config.into_bytes())},
        }),
    );
    let runtime = ScriptedRuntime::new();
    runtime.script([Answer::Fail(ErrorKind::Unauthorized); 9]);
    let secrets = Arc::new(KubeSecrets::new(world.api.client("secrets"), "team"));
    let _agent = world.start_agent_with(NODE, runtime.clone(), secrets, AgentConfig::default());
    ended(&world, "r.io/a/b", "1").await;
    assert_eq!(
        runtime.pulls()[0]
            .1
            .credentials
            .as_ref()
            .map(|c| c.password.as_str()),
        Some("hunter2")
    );
    let requests: Vec<_> = world
        .api
        .log()
        .into_iter()
        .filter(|line| line.starts_with("secrets"))
        .collect();
    let expected = ["host", "missing", "broken", "path"]
        .map(|name| format!("secrets GET /api/v1/namespaces/team/secrets/{name}"));
    assert_eq!(requests, expected);
    let shown = format!("{:?} {:?}", world.api.node_image(NODE), world.notes.lock());
    assert!(!shown.contains("hunter2"), "{shown}");
}

#[tokio::test]
async fn an_image_is_pulled_from_a_runtime_on_a_socket() {
    let folder = tempfile::tempdir().expect("a folder");
    let fake = FakeRuntime::start(folder.path().join("cri.sock")).expect("the socket is free");
    let digest = format!("sha256:{}", "a".repeat(64));
    fake.publish("docker.io/library/nginx:1.9");
    fake.publish(&format!("docker.io/library/nginx@{digest}"));
    let world = world("nginx", &[task("1.9", 0, json!({})), task(&digest, 0, json!({}))]);
    let runtime = kruise_cri::Runtime::new(vec![fake.endpoint()], kruise_cri::ClientConfig::default())
        .expect("sound limits");
    let _agent = world.start_agent_with(
        NODE,
        Arc::new(runtime),
        Arc::new(NoSecrets),
        AgentConfig::default(),
    );
    assert_eq!(ended(&world, "nginx", "1.9").await.phase, PullPhase::Succeeded);
    let pinned = ended(&world, "nginx", &digest).await;
    assert_eq!(
        (pinned.phase, pinned.message.as_str()),
        (PullPhase::Succeeded, ""),
        "kruise#2534"
    );
    assert!(fake.has_image("docker.io/library/nginx:1.9"));
}
