//! The controller on a server in memory: the timelines of the specification.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests fail that way")]

mod controller_support;

use controller_support::{World, pass};
use kruise_sidecar::api::InPlaceStates;
use serde_json::json;

const STATE: &str = "kruise.io/sidecarset-inplace-update-state";

fn at_once(pods: i64) -> serde_json::Value {
    json!({"updateStrategy": {"maxUnavailable": pods}})
}

#[tokio::test(start_paused = true)]
async fn timeline_t1_three_pods_two_at_a_time() {
    let (world, _controller) = World::with_pods(at_once(2), 3).await;
    world.image("agent:v2").await;
    assert_eq!(world.with_image("agent:v2"), ["web-0", "web-1"]);
    world.report("web-0");
    pass(2.0).await;
    assert_eq!(world.with_image("agent:v2").len(), 3);
    world.report("web-1");
    world.report("web-2");
    pass(2.0).await;
    assert_eq!(
        world.statuses_of("logs"),
        [
            (3, 0, 3, 0),
            (3, 2, 1, 0),
            (3, 2, 2, 1),
            (3, 3, 1, 1),
            (3, 3, 3, 3)
        ]
    );
    assert_eq!(world.upgrades(), 3, "one patch for each pod");
}

#[tokio::test(start_paused = true)]
async fn timeline_t2_a_bad_image_stops_and_a_good_one_takes_the_stuck_pod_and_one_more() {
    let (world, _controller) = World::with_pods(json!({}), 3).await;
    world.image("agent:bad").await;
    let stuck = world.with_image("agent:bad");
    assert_eq!(stuck.len(), 1);
    world.report_as(&stuck[0], false);
    pass(600.0).await;
    assert_eq!(world.counts("logs"), (3, 1, 2, 0));
    assert_eq!(world.upgrades(), 1);
    world.image("agent:good").await;
    let taken = world.with_image("agent:good");
    assert_eq!((taken.len(), taken.contains(&stuck[0])), (2, true));
    world.settle().await;
    assert_eq!(world.counts("logs"), (3, 3, 3, 3));
}

#[tokio::test(start_paused = true)]
async fn timeline_t3_a_bad_image_stops_at_half_of_six() {
    let spec = json!({"updateStrategy": {"maxUnavailable": "50%"}});
    let (world, _controller) = World::with_pods(spec, 6).await;
    world.image("agent:bad").await;
    for pod in world.with_image("agent:bad") {
        world.report_as(&pod, false);
    }
    pass(600.0).await;
    assert_eq!(world.counts("logs"), (6, 3, 3, 0));
}

#[tokio::test(start_paused = true)]
async fn timeline_t4_another_init_container_changes_no_pod_that_runs() {
    let (world, _controller) = World::with_pods(
        json!({"initContainers": [{"name": "prep", "image": "prep:1"}]}),
        4,
    )
    .await;
    world
        .patch_set(
            "logs",
            json!({"initContainers": [{"name": "prep", "image": "prep:2"}]}),
        )
        .await;
    pass(30.0).await;
    assert_eq!(world.counts("logs"), (4, 4, 4, 4), "as since OpenKruise 0.9");
    assert_eq!(world.upgrades(), 0);
}

#[tokio::test(start_paused = true)]
async fn an_upgrade_changes_the_image_and_what_the_pod_says_of_it_and_nothing_else() {
    let (world, _controller) = World::with_pods(json!({}), 1).await;
    let before = world.pod("web-0");
    world.image("agent:v2").await;
    let mut after = world.pod("web-0");
    assert_eq!(after["metadata"]["uid"], before["metadata"]["uid"]);
    let entry = world.hash_of("web-0", "logs");
    let set = world.set("logs");
    assert_eq!(Some(entry.hash.as_str()), set.hash());
    assert_eq!(entry.controller_revision, set.status.unwrap().latest_revision);
    assert_eq!(entry.sidecar_list, ["agent"]);
    let states = InPlaceStates::parse(after["metadata"]["annotations"][STATE].as_str().unwrap()).unwrap();
    let ran = &states.0["logs"].last_container_statuses["agent"];
    assert_eq!(ran.image_id, "sha256:agent:v1");
    assert_eq!(ran.container_id.as_deref(), Some("containerd://agent-0"));
    // All the rest is as it was.
    let containers = after["spec"]["containers"].as_array_mut().unwrap();
    let agent = containers.iter_mut().find(|one| one["name"] == "agent").unwrap();
    agent["image"] = json!("agent:v1");
    assert_eq!(after["spec"], before["spec"]);
    assert_eq!(after["metadata"]["labels"], before["metadata"]["labels"]);
}

#[tokio::test(start_paused = true)]
async fn when_nothing_changes_nothing_is_written_and_nothing_asked() {
    let (world, _controller) = World::with_pods(json!({}), 3).await;
    world.image("agent:v2").await;
    world.settle().await;
    world.forget();
    pass(1800.0).await;
    assert_eq!(world.writes(), [""; 0]);
    let asked = world.server.requests();
    let asked: Vec<_> = asked
        .iter()
        .filter(|one| !one.uri.contains("watch=true"))
        .collect();
    assert!(asked.is_empty(), "{asked:?}");
    assert!(world.told().is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_status_that_only_counts_is_not_written_more_than_once_a_second() {
    let world = World::new().await;
    let mut config = World::config();
    config.status_interval = std::time::Duration::from_secs(1);
    world.create_set("logs", at_once(20)).await;
    let _controller = world.start_with(config).await;
    for number in 0..20 {
        world.create_pod(&format!("web-{number}"), json!({})).await;
    }
    pass(2.0).await;
    world.image("agent:v2").await;
    world.forget();
    for number in 0..20 {
        world.report(&format!("web-{number}"));
        pass(0.2).await;
    }
    pass(5.0).await;
    let written = world.writes();
    assert!(written.len() <= 6, "{written:?}");
    assert_eq!(world.counts("logs"), (20, 20, 20, 20));
}
