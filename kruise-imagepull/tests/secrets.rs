//! Pull secrets on their way to the nodes: copied, shared, kept up to date, taken back.

mod support;

use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::Secret;
use kruise_imagepull::agent::{AgentConfig, KubeSecrets};
use kruise_imagepull::api::{PullPhase, SecretReference};
use kruise_imagepull::job::JobConfig;
use serde_json::{Value, json};
use support::api::{DAEMON_NAMESPACE, Fault};
use support::runtime::ScriptedRuntime;
use support::{World, pass, until};

const LIMIT: Duration = Duration::from_secs(3600);

fn pull_secret(name: &str, password: &str) -> Value {
    let config = json!({"auths": {"r.io": {"username": "me", "password": password}}}).to_string();
    json!({
        "metadata": {"name": name, "namespace": "team"}, "type": "kubernetes.io/dockerconfigjson",
        "data": {".dockerconfigjson": ByteString(config.into_bytes())},
    })
}

fn users(copy: &Secret) -> String {
    let annotations = copy.metadata.annotations.clone().unwrap_or_default();
    annotations
        .get("imagepulljobs.kruise.io/references")
        .cloned()
        .unwrap_or_default()
}

fn message(world: &World, job: &str) -> String {
    let job = world.api.job(job).expect("there");
    job.status.map(|status| status.message).unwrap_or_default()
}

fn references(world: &World, node: &str) -> Vec<SecretReference> {
    let node = world.api.node_image(node).expect("there");
    node.spec
        .images
        .into_values()
        .flat_map(|image| image.pull_secrets)
        .collect()
}

#[tokio::test(start_paused = true)]
async fn a_node_pulls_with_a_copy_that_goes_with_the_last_job() {
    let world = World::new();
    world.api.create_fake_node("a");
    world.api.put_secret("pull", pull_secret("pull", "hunter2"));
    let runtime = ScriptedRuntime::taking(Duration::from_secs(60));
    let secrets = Arc::new(KubeSecrets::new(world.api.client("agent"), DAEMON_NAMESPACE));
    let _agent = world.start_agent_with("a", runtime.clone(), secrets, AgentConfig::default());
    world.start_controllers();
    let spec = |image: &str| json!({"image": image, "pullSecrets": ["pull"]});
    world.api.create_job("j", spec("r.io/a:1"));
    world.api.create_job("k", spec("r.io/b:1"));
    pass(10).await;
    let [copy] = &world.api.copies()[..] else {
        panic!("{:?}", world.api.copies())
    };
    assert_eq!(users(copy), "team/j,team/k");
    let name = copy.metadata.name.clone().expect("named");
    let expected = SecretReference {
        namespace: DAEMON_NAMESPACE.into(),
        name,
    };
    assert_eq!(references(&world, "a"), [expected.clone(), expected]);
    let password = runtime.pulls()[0]
        .1
        .credentials
        .clone()
        .map(|credentials| credentials.password);
    assert_eq!(password.as_deref(), Some("hunter2"));
    world.api.delete_job("j");
    pass(5).await;
    assert_eq!(users(&world.api.copies()[0]), "team/k");
    until("the other job completes and the copy goes", LIMIT, || {
        world.api.copies().is_empty()
    })
    .await;
    assert!(message(&world, "k").starts_with("job has completed"));
    assert_eq!(
        world.api.count(&["agent GET", "namespaces/team"]),
        0,
        "the node reads copies only"
    );
    let shown = format!("{:?} {:?}", world.api.node_image("a"), world.notes.lock());
    assert!(!shown.contains("hunter2"), "{shown}");
}

#[tokio::test(start_paused = true)]
async fn a_changed_secret_reaches_its_copy_while_the_job_runs() {
    let world = World::new();
    world.api.create_fake_node("silent");
    world.api.put_secret("pull", pull_secret("pull", "old"));
    world.start_job_controller(JobConfig::default());
    world
        .api
        .create_job("j", json!({"image": "r.io/a", "pullSecrets": ["pull"]}));
    pass(5).await;
    let before = world.api.copies();
    world.api.put_secret("pull", pull_secret("pull", "new"));
    pass(180).await;
    let after = world.api.copies();
    assert_ne!(before[0].data, after[0].data);
    assert_eq!(before[0].metadata.name, after[0].metadata.name);
}

#[tokio::test(start_paused = true)]
async fn a_missing_or_useless_secret_is_told_and_does_not_stop_the_job() {
    let world = World::new();
    world.api.create_fake_node("a");
    let mut opaque = pull_secret("opaque", "x");
    opaque["type"] = json!("Opaque");
    world.api.put_secret("opaque", opaque);
    world.start_job_controller(JobConfig::default());
    let spec =
        json!({"image": "r.io/a", "pullSecrets": ["ghost", "opaque"], "completionPolicy": {"type": "Never"}});
    world.api.create_job("j", spec);
    pass(10).await;
    assert_eq!(world.api.node_image("a").map(|node| node.task_count()), Some(1));
    assert_eq!(
        message(&world, "j"),
        "job is running, progress 0.0%; pull secret ghost does not exist; secret opaque holds no registry credentials"
    );
    assert_eq!(world.api.copies(), []);
    world.api.put_secret("ghost", pull_secret("ghost", "x"));
    pass(180).await;
    assert_eq!(world.api.copies().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_job_whose_secrets_can_not_be_copied_waits_and_says_so() {
    let world = World::new();
    world.api.create_fake_node("a");
    world.api.put_secret("pull", pull_secret("pull", "x"));
    // As if the namespace were not there.
    world.api.fault(DAEMON_NAMESPACE, [Fault::Refuse(404); 3]);
    world.start_job_controller(JobConfig::default());
    world
        .api
        .create_job("j", json!({"image": "r.io/a", "pullSecrets": ["pull"]}));
    pass(10).await;
    assert!(
        message(&world, "j").contains("is there a namespace kruise-daemon-config?"),
        "{}",
        message(&world, "j")
    );
    assert_eq!(world.api.node_image("a").map(|node| node.task_count()), Some(0));
    until("the node has the task", LIMIT, || {
        world
            .api
            .node_image("a")
            .is_some_and(|node| node.task_count() == 1)
    })
    .await;
    assert_eq!(world.api.copies().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_lost_answer_or_a_lagging_cache_makes_no_second_copy() {
    let world = World::new();
    world.api.create_fake_node("a");
    world.api.put_secret("pull", pull_secret("pull", "x"));
    world.api.fault(DAEMON_NAMESPACE, [Fault::LoseAnswer]);
    world.start_controllers();
    world
        .api
        .create_job("j", json!({"image": "r.io/a", "pullSecrets": ["pull"]}));
    pass(1).await;
    world.api.hold_watches();
    world
        .api
        .create_job("k", json!({"image": "r.io/b", "pullSecrets": ["pull"]}));
    pass(30).await;
    world.api.deliver();
    pass(30).await;
    assert_eq!(
        world.api.copies().iter().map(users).collect::<Vec<_>>(),
        ["team/j,team/k"]
    );
}

#[tokio::test(start_paused = true)]
async fn a_node_asks_for_nothing_outside_the_namespace_of_the_copies() {
    let world = World::new();
    world.api.create_fake_node("a");
    world.api.put_secret("pull", pull_secret("pull", "x"));
    world.api.edit_node_image("a", |node| {
        node["spec"] = json!({"images": {"r.io/a": {"pullSecrets": [{"namespace": "team", "name": "pull"}], "tags": [{"tag": "1"}]}}});
    });
    let secrets = Arc::new(KubeSecrets::new(world.api.client("agent"), DAEMON_NAMESPACE));
    let runtime = ScriptedRuntime::new();
    let _agent = world.start_agent_with("a", runtime.clone(), secrets, AgentConfig::default());
    until("it is pulled", LIMIT, || {
        let node = world.api.node_image("a").expect("there");
        node.result("r.io/a", "1")
            .is_some_and(|result| result.phase == PullPhase::Succeeded)
    })
    .await;
    assert_eq!(runtime.pulls()[0].1.credentials, None);
    assert_eq!(world.api.count(&["agent GET"]), 0);
}
