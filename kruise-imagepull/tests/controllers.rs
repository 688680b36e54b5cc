//! The two controllers, and agents where nodes have to answer, against a small API server with paused time.

mod support;

use std::sync::Arc;
use std::time::Duration;

use kruise_core::testing::build::PodBuilder;
use kruise_imagepull::agent::{AgentConfig, NoSecrets};
use kruise_imagepull::api::{ImagePullJobStatus, NodeImage, PullPhase};
use kruise_imagepull::caches::NodeView;
use kruise_imagepull::job::JobConfig;
use kruise_imagepull::nodeimage::NodeImageConfig;
use kruise_imagepull::plan::nodeimage::NodeFacts;
use serde_json::json;
use support::api::Fault;
use support::runtime::ScriptedRuntime;
use support::{World, pass, until};

const LIMIT: Duration = Duration::from_secs(24 * 3600);

fn status(world: &World, job: &str) -> ImagePullJobStatus {
    world.api.job(job).and_then(|job| job.status).unwrap_or_default()
}

async fn completed(world: &World, job: &str) -> ImagePullJobStatus {
    until("the job completes", LIMIT, || {
        status(world, job).completion_time.is_some()
    })
    .await;
    status(world, job)
}

/// Nodes that have a task and no final result of its version.
fn active(world: &World) -> usize {
    let unfinished = |node: &NodeImage| {
        node.spec.images.iter().any(|(image, tasks)| {
            tasks.tags.iter().any(|task| {
                let result = node
                    .result(image, &task.tag)
                    .filter(|result| result.version == task.version);
                !result.is_some_and(|result| result.is_terminal())
            })
        })
    };
    world
        .api
        .all_node_images()
        .iter()
        .filter(|node| unfinished(node))
        .count()
}

fn tasks(world: &World, node: &str) -> usize {
    world.api.node_image(node).map_or(0, |node| node.task_count())
}

#[tokio::test(start_paused = true)]
async fn a_job_pulls_on_every_node_a_few_at_a_time_and_completes() {
    let world = World::new();
    let runtimes: Vec<Arc<ScriptedRuntime>> = (0..5)
        .map(|_| ScriptedRuntime::taking(Duration::from_secs(30)))
        .collect();
    let mut agents = Vec::new();
    for (index, runtime) in runtimes.iter().enumerate() {
        let name = format!("n{index}");
        world.api.create_fake_node(&name);
        agents.push(world.start_agent(&name, runtime));
    }
    world.start_controllers();
    world
        .api
        .create_job("j", json!({"image": "nginx:1", "parallelism": 2}));
    let mut most = 0;
    until("the job completes", LIMIT, || {
        most = most.max(active(&world));
        status(&world, "j").completion_time.is_some()
    })
    .await;
    let status = status(&world, "j");
    assert_eq!(
        (status.desired, status.succeeded, status.failed, status.active),
        (5, 5, 0, 0)
    );
    assert_eq!((most, status.message.as_str()), (2, "job has completed"));
    assert_eq!(runtimes[0].pulls()[0].1.image, "docker.io/library/nginx:1");
    assert_eq!(world.reasons("ImagePullJob"), ["ImagePullJobCompleted"]);
    // One write hands a task out; two tell of its start and its end.
    assert_eq!(world.api.count(&["jobs PATCH", "nodeimages"]), 5);
    assert_eq!(world.api.count(&["agent PATCH"]), 10);
}

#[tokio::test(start_paused = true)]
async fn a_watch_that_lags_behind_does_not_break_the_limit() {
    let world = World::new();
    for name in ["a", "b", "c"] {
        world.api.create_fake_node(name);
    }
    world.start_job_controller(JobConfig::default());
    world.api.create_job("j", json!({"image": "nginx"}));
    world.api.hold_watches();
    pass(120).await;
    assert_eq!((tasks(&world, "a"), active(&world)), (1, 1));
    world.api.create_fake_node("0");
    world.api.deliver();
    pass(60).await;
    assert_eq!(active(&world), 1);
}

#[tokio::test(start_paused = true)]
async fn a_write_whose_answer_is_lost_is_neither_repeated_nor_forgotten() {
    let world = World::new();
    for name in ["a", "b"] {
        world.api.create_fake_node(name);
    }
    world.api.fault("nodeimages/a", [Fault::LoseAnswer]);
    world.start_job_controller(JobConfig::default());
    world.api.create_job("j", json!({"image": "nginx"}));
    world.api.hold_watches();
    pass(30).await;
    // A node that sorts first appears while nobody has seen the write to `a`.
    world.api.create_fake_node("0");
    pass(30).await;
    world.api.deliver();
    pass(30).await;
    assert_eq!(active(&world), 1);
    assert_eq!(
        world
            .api
            .node_image("a")
            .and_then(|node| node.task("nginx", "latest").map(|task| task.version)),
        Some(0)
    );
}

#[tokio::test(start_paused = true)]
async fn a_conflict_or_refusal_on_one_node_keeps_no_other_from_its_turn() {
    let world = World::new();
    for name in ["a", "b", "c"] {
        world.api.create_fake_node(name);
    }
    world.api.fault("nodeimages/a", [Fault::Refuse(409)]);
    world
        .api
        .fault("nodeimages/b", [Fault::Refuse(403), Fault::Refuse(403)]);
    world.start_job_controller(JobConfig::default());
    world
        .api
        .create_job("j", json!({"image": "nginx", "parallelism": 3}));
    until("all nodes have the task", LIMIT, || active(&world) == 3).await;
    assert!(world.reasons("ImagePullJob").contains(&"DispatchRefused"));
}

#[tokio::test(start_paused = true)]
async fn a_job_ends_at_its_deadline_though_nothing_happens() {
    let world = World::new();
    world.api.create_fake_node("silent");
    world.start_job_controller(JobConfig::default());
    let spec = json!({"image": "nginx", "completionPolicy": {"activeDeadlineSeconds": 900}});
    world.api.create_job("j", spec);
    let status = completed(&world, "j").await;
    assert_eq!(
        (status.failed, status.message.as_str()),
        (1, "job exceeds activeDeadlineSeconds")
    );
    assert_eq!(status.failed_nodes, ["silent"]);
    let (start, end) = (
        status.start_time.expect("set").0,
        status.completion_time.expect("set").0,
    );
    assert!((900..=902).contains(&(end.as_second() - start.as_second())));
}

#[tokio::test(start_paused = true)]
async fn a_node_that_never_answers_fails_and_the_reason_is_told() {
    let world = World::new();
    world.api.create_fake_node("silent");
    world.start_controllers();
    world.api.create_job("j", json!({"image": "nginx"}));
    let status = completed(&world, "j").await;
    assert_eq!(status.failed_nodes, ["silent"]);
    assert_eq!(
        status.failed_reasons[0].message,
        "node has not responded for a long time"
    );
    let reasons = world.reasons("ImagePullJob");
    assert_eq!(
        reasons,
        ["PullImageFailed", "NodesFailed", "ImagePullJobCompleted"]
    );
    assert_eq!(world.reasons("NodeImage"), ["PullImageFailed"]);
}

#[tokio::test(start_paused = true)]
async fn an_invalid_job_that_got_past_admission_says_so() {
    let world = World::new();
    world.api.create_fake_node("a");
    world.start_job_controller(JobConfig::default());
    world.api.create_job("j", json!({"image": "UPPER/case"}));
    until("the job has a message", LIMIT, || {
        status(&world, "j")
            .message
            .starts_with("job is not valid: spec.image")
    })
    .await;
    pass(3600).await;
    assert_eq!(world.reasons("ImagePullJob"), ["InvalidImagePullJob"]);
    assert_eq!((tasks(&world, "a"), world.api.count(&["jobs PATCH"])), (0, 1));
}

#[tokio::test(start_paused = true)]
async fn a_finished_job_goes_after_its_time_and_takes_its_tasks_along() {
    let world = World::new();
    world.api.create_fake_node("a");
    let _agent = world.start_agent("a", &ScriptedRuntime::new());
    world.start_controllers();
    let spec = json!({"image": "nginx", "completionPolicy": {"ttlSecondsAfterFinished": 20}});
    world.api.create_job("j", spec);
    completed(&world, "j").await;
    pass(19).await;
    assert!(world.api.job("j").is_some());
    pass(10).await;
    assert!(world.api.job("j").is_none());
    let node = world.api.node_image("a").expect("stays");
    assert!(node.spec.images.is_empty());
    assert!(
        node.status
            .is_some_and(|status| status.image_statuses.is_empty() && status.desired == 0)
    );
}

#[tokio::test(start_paused = true)]
async fn results_are_dropped_some_time_after_their_job_has_completed() {
    let world = World::new();
    world.api.create_fake_node("a");
    let _agent = world.start_agent("a", &ScriptedRuntime::new());
    world.start_controllers();
    world.api.create_job("j", json!({"image": "nginx"}));
    completed(&world, "j").await;
    pass(2000).await;
    assert_eq!(tasks(&world, "a"), 1);
    pass(600).await;
    assert_eq!(tasks(&world, "a"), 0);
}

#[tokio::test(start_paused = true)]
async fn a_never_job_serves_nodes_that_come_later_and_pulls_again_every_day() {
    let world = World::new();
    let runtime = ScriptedRuntime::new();
    world.start_controllers();
    let spec = json!({"image": "nginx", "imagePullPolicy": "Always", "completionPolicy": {"type": "Never"}});
    world.api.create_job("j", spec);
    pass(60).await;
    assert_eq!(status(&world, "j").message, "job is running, no progress");
    world.api.create_fake_node("late");
    let _agent = world.start_agent("late", &runtime);
    until("the late node has the image", LIMIT, || {
        status(&world, "j").succeeded == 1
    })
    .await;
    assert_eq!(runtime.pulls().len(), 1);
    pass(25 * 3600).await;
    assert_eq!(runtime.pulls().len(), 2);
    assert_eq!(status(&world, "j").completion_time, None);
}

#[tokio::test(start_paused = true)]
async fn a_labelled_node_is_found_when_its_label_comes_later() {
    let world = World::new();
    world.api.create_fake_node("a");
    world.start_job_controller(JobConfig::default());
    let spec = json!({"image": "nginx", "selector": {"matchLabels": {"pool": "gpu"}}, "completionPolicy": {"type": "Never"}});
    world.api.create_job("j", spec);
    pass(10).await;
    assert_eq!(tasks(&world, "a"), 0);
    world
        .api
        .edit_node_image("a", |node| node["metadata"]["labels"]["pool"] = json!("gpu"));
    pass(10).await;
    assert_eq!(tasks(&world, "a"), 1);
}

fn view(name: &str, version: &str, zone: &str, ready_since: Option<jiff::Timestamp>) -> NodeView {
    NodeView {
        name: name.to_owned(),
        uid: format!("node-{name}"),
        resource_version: version.to_owned(),
        facts: NodeFacts {
            labels: [("zone".to_owned(), zone.to_owned())].into(),
            ready_since,
            deleting: false,
        },
    }
}

#[tokio::test(start_paused = true)]
async fn a_node_image_lives_with_its_node() {
    use kruise_core::runtime::Clock as _;
    let world = World::new();
    world.start_node_image_controller(NodeImageConfig::default());
    world.api.set_node(view("a", "1", "1", None));
    pass(60).await;
    assert!(world.api.node_image("a").is_none(), "the node is not ready");
    world.api.set_node(view("a", "2", "1", Some(world.clock.now())));
    pass(29).await;
    assert!(world.api.node_image("a").is_none(), "its agent may not be up");
    pass(5).await;
    let labels = |world: &World| {
        world
            .api
            .node_image("a")
            .and_then(|node| node.metadata.labels)
            .unwrap_or_default()
    };
    assert_eq!(labels(&world).get("zone").map(String::as_str), Some("1"));
    world.api.set_node(view("a", "3", "2", Some(world.clock.now())));
    pass(1).await;
    assert_eq!(labels(&world).get("zone").map(String::as_str), Some("2"));
    let writes = world.api.log().len();
    world.api.set_node(view("a", "4", "2", Some(world.clock.now())));
    pass(60).await;
    assert_eq!(world.api.log().len(), writes, "heartbeats cost nothing");
    world.api.delete_node("a");
    pass(1).await;
    assert!(world.api.node_image("a").is_none());
}

#[tokio::test(start_paused = true)]
async fn two_worlds_in_one_process_do_not_meet() {
    let worlds = [World::new(), World::new()];
    for world in &worlds {
        world.api.create_fake_node("a");
        world.start_controllers();
    }
    worlds[0].api.create_job("j", json!({"image": "nginx"}));
    pass(10).await;
    assert_eq!((tasks(&worlds[0], "a"), tasks(&worlds[1], "a")), (1, 0));
}

#[tokio::test(start_paused = true)]
async fn kruise_1089_nothing_is_asked_of_the_server_while_nothing_happens() {
    let world = World::new();
    world.api.create_fake_node("a");
    let _agent = world.start_agent("a", &ScriptedRuntime::new());
    world.start_controllers();
    world.api.create_job("j", json!({"image": "nginx"}));
    completed(&world, "j").await;
    pass(5).await;
    let requests = world.api.log().len();
    pass(1800).await;
    assert_eq!(world.api.log().len(), requests);
    let phase = world
        .api
        .node_image("a")
        .and_then(|node| node.result("nginx", "latest").map(|r| r.phase.clone()));
    assert_eq!(phase, Some(PullPhase::Succeeded));
}

#[tokio::test(start_paused = true)]
async fn nodes_that_end_together_are_told_in_a_few_status_writes() {
    let world = World::new();
    let mut agents = Vec::new();
    for index in 0..40_u64 {
        let name = format!("n{index}");
        world.api.create_fake_node(&name);
        // Spread over two seconds.
        let runtime = ScriptedRuntime::taking(Duration::from_millis(5000 + index * 50));
        agents.push(world.start_agent(&name, &runtime));
    }
    world.start_controllers();
    world
        .api
        .create_job("j", json!({"image": "nginx", "parallelism": 40}));
    assert_eq!(completed(&world, "j").await.succeeded, 40);
    let writes = world.api.count(&["jobs PATCH", "imagepulljobs"]);
    assert!(writes <= 6, "{writes}");
}

#[tokio::test(start_paused = true)]
async fn a_job_follows_the_pods_it_selects() {
    let world = World::new();
    for name in ["a", "b", "c"] {
        world.api.create_fake_node(name);
    }
    let pod = |name: &str, node: &str| PodBuilder::new(name).label("app", "web").on_node(node);
    world.api.set_pod(pod("one", "b"), "1");
    world.start_controllers();
    let spec = json!({"image": "nginx", "parallelism": 9, "podSelector": {"matchLabels": {"app": "web"}},
        "completionPolicy": {"type": "Never"}});
    world.api.create_job("j", spec);
    pass(10).await;
    assert_eq!(["a", "b", "c"].map(|name| tasks(&world, name)), [0, 1, 0]);
    world.api.set_pod(pod("two", "c"), "2");
    pass(10).await;
    assert_eq!((tasks(&world, "c"), status(&world, "j").desired), (1, 2));
    world.api.delete_pod("one");
    pass(10).await;
    assert_eq!(status(&world, "j").desired, 1);
}

#[tokio::test(start_paused = true)]
async fn ten_jobs_over_the_same_nodes_write_each_node_about_once() {
    let world = World::new();
    let mut agents = Vec::new();
    for index in 0..20 {
        let name = format!("n{index}");
        world.api.create_fake_node(&name);
        let config = {
            let mut config = AgentConfig::default();
            config.max_pulls = 10;
            config
        };
        let runtime = ScriptedRuntime::taking(Duration::from_secs(30));
        agents.push(world.start_agent_with(&name, runtime, Arc::new(NoSecrets), config));
    }
    world.start_controllers();
    for index in 0..10 {
        let spec = json!({"image": format!("image{index}"), "parallelism": 20});
        world.api.create_job(&format!("j{index}"), spec);
    }
    for index in 0..10 {
        assert_eq!(completed(&world, &format!("j{index}")).await.succeeded, 20);
    }
    let writes = world.api.count(&["jobs PATCH", "/nodeimages/"]);
    assert!(writes <= 40, "{writes} writes for 200 tasks on 20 nodes");
    let reports = world.api.count(&["agent PATCH"]);
    assert!(reports <= 3 * 200, "{reports}");
}

#[tokio::test(start_paused = true)]
async fn writes_that_are_refused_are_tried_again_ever_more_slowly() {
    let world = World::new();
    world.api.create_fake_node("a");
    world.api.fault("nodeimages/a", [Fault::Refuse(403); 40]);
    world.start_job_controller(JobConfig::default());
    world.api.create_job("j", json!({"image": "nginx"}));
    pass(600).await;
    let tries = world.api.count(&["jobs PATCH", "nodeimages/a"]);
    assert!((8..=16).contains(&tries), "{tries}");
    assert!(world.reasons("ImagePullJob").contains(&"DispatchRefused"));
}

/// Found by fault seed 374: a manager that has just become leader sees nodes before it sees the jobs.
#[tokio::test(start_paused = true)]
async fn a_task_whose_job_the_cache_has_not_seen_is_kept_until_the_server_says_that_the_job_is_gone() {
    let world = World::new();
    let owner = |name: &str| {
        json!([{"apiVersion": "apps.kruise.io/v1alpha1", "kind": "ImagePullJob", "namespace": "team", "name": name,
            "uid": format!("uid-{name}")}])
    };
    let task = |owner: &str, tags: serde_json::Value| {
        json!({"tags": [{"tag": "1", "createdAt": "2027-01-01T00:00:00Z", "ownerReferences": tags,
            "pullPolicy": {"ttlSecondsAfterFinished": 300}}], "pullSecrets": [{"namespace": "team", "name": owner}]})
    };
    let images = json!({"kept": task("j", owner("j")), "dropped": task("k", owner("k"))});
    let fake = json!({"apps.kruise.io/fake-nodeimage": "true"});
    world.api.create_node_image("a", fake, json!({"images": images}));
    world.api.hold_watches();
    world.api.create_job("j", json!({"image": "kept:1"}));
    world.start_node_image_controller(NodeImageConfig::default());
    pass(60).await;
    let left: Vec<_> = world
        .api
        .node_image("a")
        .expect("there")
        .spec
        .images
        .into_keys()
        .collect();
    assert_eq!(left, ["kept"]);
    // What is gone is gone: it is asked for once.
    assert!(
        world.api.count(&["nodeimages GET"]) <= 3,
        "{:#?}",
        world.api.log()
    );
}
