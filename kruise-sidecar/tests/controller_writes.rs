//! The controller on a server in memory: writes that the server refuses or fails, sets that come again under the same name,
//! and what metrics say.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests fail that way")]

mod controller_support;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use controller_support::{World, pass};
use k8s_openapi::api::apps::v1::ControllerRevision;
use kruise_core::revision::Snapshot;
use kruise_core::testing::apiserver::ApiError;
use kruise_sidecar::controller::{REVISION_FIELDS, UpgradeMetrics};
use kube_client::Api;
use kube_client::api::{Patch, PatchParams};
use prometheus_client::registry::Registry;
use serde_json::{Map, Value, json};

type Answer = fn() -> ApiError;

/// As long as the number is above zero, writes of a resource (`pods`, `pods/status`) are answered with an error, of one object
/// or of all, and counted down.
fn fail(
    world: &World,
    resource: &'static str,
    name: Option<&'static str>,
    answer: Answer,
) -> Arc<AtomicUsize> {
    let left = Arc::new(AtomicUsize::new(usize::MAX));
    let counter = left.clone();
    world.server.validate(move |review| {
        let written = match &*review.subresource {
            "" => review.resource().to_owned(),
            sub => format!("{}/{sub}", review.resource()),
        };
        if written != resource || name.is_some_and(|name| name != review.name) {
            return Ok(());
        }
        let counted = counter.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1));
        counted.map_or(Ok(()), |_| Err(answer()))
    });
    left
}

fn failures(left: &AtomicUsize) -> usize {
    usize::MAX - left.load(Ordering::SeqCst)
}

#[tokio::test(start_paused = true)]
async fn a_revision_that_is_refused_is_told_and_nothing_is_upgraded_before_it_is_there() {
    let (world, _controller) = World::with_pods(json!({}), 1).await;
    let left = fail(&world, "controllerrevisions", None, || {
        ApiError::forbidden("apps", "controllerrevisions", "logs", "no quota")
    });
    world.image("agent:v2").await;
    assert!(
        world.told().contains(&"logs FailedRevision".to_owned()),
        "{:?}",
        world.told()
    );
    assert_eq!(world.upgrades(), 0);
    left.store(0, Ordering::SeqCst);
    pass(1000.0).await;
    world.settle().await;
    assert_eq!(world.counts("logs"), (1, 1, 1, 1));
}

#[tokio::test(start_paused = true)]
async fn a_revision_that_only_has_to_be_tried_again_is_not_told() {
    for answer in [(|| ApiError::too_many_requests(1)) as Answer, || {
        ApiError::conflict("apps", "controllerrevisions", "logs", "busy")
    }] {
        let (world, _controller) = World::with_pods(json!({}), 1).await;
        let left = fail(&world, "controllerrevisions", None, answer);
        left.store(3, Ordering::SeqCst);
        world.image("agent:v2").await;
        pass(60.0).await;
        world.settle().await;
        assert_eq!(world.counts("logs"), (1, 1, 1, 1));
        assert!(
            !world.told().contains(&"logs FailedRevision".to_owned()),
            "{:?}",
            world.told()
        );
    }
}

#[tokio::test(start_paused = true)]
async fn a_name_of_a_revision_that_is_taken_is_counted_in_the_status() {
    let world = World::new().await;
    world.create_set("logs", json!({})).await;
    let set = world.set("logs");
    let spec = serde_json::to_value(&set.spec).unwrap();
    let mut kept: Map<String, Value> = REVISION_FIELDS
        .iter()
        .map(|field| ((*field).to_owned(), spec.get(*field).cloned().unwrap_or_default()))
        .collect();
    kept.insert("$patch".to_owned(), json!("replace"));
    let name = Snapshot::new(json!({ "spec": kept })).name("logs", 0);
    let taken: ControllerRevision = serde_json::from_value(json!({
        "metadata": {"name": name, "namespace": "kruise-system"}, "revision": 1, "data": {"other": "data"},
    }))
    .unwrap();
    assert!(world.server.seed_object(&taken));
    let _controller = world.start().await;
    pass(5.0).await;
    let status = world.set("logs").status.unwrap();
    assert_eq!(status.collision_count, Some(1));
    assert!(!status.latest_revision.is_empty() && status.latest_revision != name);
}

#[tokio::test(start_paused = true)]
async fn conditions_that_can_not_be_written_are_tried_ever_less_often() {
    let (world, _controller) = World::with_pods(json!({}), 3).await;
    let left = fail(&world, "pods/status", None, || ApiError::internal("broken"));
    let env =
        json!({"containers": [{"name": "agent", "image": "agent:v1", "env": [{"name": "A", "value": "1"}]}]});
    world.patch_set("logs", env).await;
    pass(600.0).await;
    // Every half second would be 3600.
    assert!((3..150).contains(&failures(&left)), "{}", failures(&left));
    left.store(0, Ordering::SeqCst);
    pass(1000.0).await;
    let conditions = world.pod("web-0")["status"]["conditions"].clone();
    assert!(
        conditions.to_string().contains("SidecarSetUpgradable"),
        "{conditions}"
    );
}

#[tokio::test(start_paused = true)]
async fn a_condition_of_a_pod_that_is_upgraded_costs_it_no_conflict() {
    let (mut world, controller) = World::with_pods(json!({}), 1).await;
    drop(controller);
    let mut registry = Registry::default();
    world.metrics = UpgradeMetrics::register(&mut registry);
    let _controller = world.start().await;
    let env =
        json!({"containers": [{"name": "agent", "image": "agent:v1", "env": [{"name": "A", "value": "1"}]}]});
    world.patch_set("logs", env).await;
    pass(5.0).await;
    // It can be upgraded again, and is at once.
    world
        .patch_set(
            "logs",
            json!({"containers": [{"name": "agent", "image": "agent:v2"}]}),
        )
        .await;
    pass(5.0).await;
    world.settle().await;
    let text = scrape(&registry);
    assert_eq!(world.counts("logs"), (1, 1, 1, 1));
    assert!(!text.contains("result=\"conflict\""), "{text}");
    let conditions = world.pod("web-0")["status"]["conditions"].to_string();
    assert!(conditions.contains(r#"{\"logs\":true}"#), "{conditions}");
}

#[tokio::test(start_paused = true)]
async fn a_status_that_can_not_be_written_stops_no_upgrade() {
    let (world, _controller) = World::with_pods(json!({}), 2).await;
    let left = fail(&world, "sidecarsets/status", None, || {
        ApiError::internal("broken")
    });
    world.image("agent:v2").await;
    pass(300.0).await;
    world.settle().await;
    pass(1000.0).await;
    world.settle().await;
    assert_eq!(world.with_image("agent:v2").len(), 2);
    assert_eq!(world.counts("logs"), (2, 2, 2, 2), "as it was before");
    assert_ne!(world.set("logs").status.unwrap().observed_generation, 2);
    left.store(0, Ordering::SeqCst);
    pass(2000.0).await;
    assert_eq!(world.set("logs").status.unwrap().observed_generation, 2);
}

#[tokio::test(start_paused = true)]
async fn a_pod_that_fails_again_and_again_is_tried_ever_less_often_and_then_upgraded() {
    let (world, _controller) = World::with_pods(json!({}), 1).await;
    let left = fail(&world, "pods", Some("web-0"), || ApiError::internal("broken"));
    world.image("agent:v2").await;
    pass(600.0).await;
    assert!((2..100).contains(&failures(&left)), "{}", failures(&left));
    left.store(0, Ordering::SeqCst);
    pass(1000.0).await;
    world.settle().await;
    assert_eq!(world.counts("logs"), (1, 1, 1, 1));
}

#[tokio::test(start_paused = true)]
async fn a_reset_that_is_refused_is_told_once_and_the_others_go_on() {
    let hot = |image: &str| {
        json!([{"name": "agent", "image": image,
        "upgradeStrategy": {"upgradeType": "HotUpgrade", "hotUpgradeEmptyImage": "empty:1"}}])
    };
    let (world, _controller) = World::with_pods(
        json!({"containers": hot("agent:v1"), "updateStrategy": {"maxUnavailable": 2}}),
        3,
    )
    .await;
    let swapped = |pod: &str| world.image_of(pod, "agent-2") == "agent:v2";
    world
        .patch_set("logs", json!({ "containers": hot("agent:v2") }))
        .await;
    pass(2.0).await;
    let first = ["web-0", "web-1", "web-2"]
        .into_iter()
        .find(|pod| swapped(pod))
        .unwrap();
    let left = fail(&world, "pods", Some(first), || {
        ApiError::forbidden("", "pods", "one", "not this one")
    });
    for _ in 0..5 {
        world.settle().await;
    }
    let events = world.told();
    let count = |event: String| events.iter().filter(|told| **told == event).count();
    assert_eq!(count(format!("{first} ResetContainerFailed")), 1, "{events:?}");
    assert_eq!(world.counts("logs"), (3, 3, 2, 2), "all but that one");
    left.store(0, Ordering::SeqCst);
    pass(400.0).await;
    world.settle().await;
    assert_eq!(world.counts("logs"), (3, 3, 3, 3));
}

#[tokio::test(start_paused = true)]
async fn a_set_that_is_deleted_and_created_again_is_followed_as_a_new_one() {
    let (world, _controller) = World::with_pods(json!({}), 2).await;
    world.image("agent:v2").await;
    let old = world.set("logs").metadata.uid;
    world.sets().delete("logs", &Default::default()).await.unwrap();
    // In the same moment, so that the controller sees the new one only.
    let object = json!({
        "apiVersion": "apps.kruise.io/v1alpha1", "kind": "SidecarSet", "metadata": {"name": "logs"},
        "spec": {"selector": {"matchLabels": {"app": "web"}}, "containers": [{"name": "agent", "image": "agent:v3"}]},
    });
    let set = serde_json::from_value(object).unwrap();
    world.sets().create(&Default::default(), &set).await.unwrap();
    assert_ne!(world.set("logs").metadata.uid, old);
    pass(5.0).await;
    world.settle().await;
    assert_eq!(world.counts("logs"), (2, 2, 2, 2));
    assert_eq!(world.with_image("agent:v3").len(), 2);
}

fn scrape(registry: &Registry) -> String {
    let mut text = String::new();
    prometheus_client::encoding::text::encode(&mut text, registry).unwrap();
    text
}

#[tokio::test(start_paused = true)]
async fn metrics_say_how_far_a_set_is_and_end_with_it() {
    let mut world = World::new().await;
    let mut registry = Registry::default();
    world.metrics = UpgradeMetrics::register(&mut registry);
    world
        .create_set("logs", json!({"updateStrategy": {"partition": 1}}))
        .await;
    let _controller = world.start().await;
    for pod in ["web-0", "web-1", "web-2"] {
        world.create_pod(pod, json!({})).await;
    }
    pass(2.0).await;
    world.image("agent:v2").await;
    let says = |lines: &[&str]| {
        let text = scrape(&registry);
        for line in lines {
            assert!(text.contains(&format!("\n{line}\n")), "{line} not in {text}");
        }
    };
    says(&[
        r#"kruise_sidecarset_pods{sidecarset="logs",state="matched"} 3"#,
        r#"kruise_sidecarset_pods{sidecarset="logs",state="updated"} 1"#,
        r#"kruise_sidecarset_pods{sidecarset="logs",state="ready"} 2"#,
        r#"kruise_sidecarset_pods{sidecarset="logs",state="not_upgradable"} 0"#,
        r#"kruise_sidecarset_upgrades_total{sidecarset="logs",result="upgraded"} 1"#,
    ]);
    world.settle().await;
    says(&[
        r#"kruise_sidecarset_pods{sidecarset="logs",state="updated"} 2"#,
        r#"kruise_sidecarset_pods{sidecarset="logs",state="updated_ready"} 2"#,
        r#"kruise_sidecarset_upgrades_total{sidecarset="logs",result="upgraded"} 2"#,
    ]);
    world.sets().delete("logs", &Default::default()).await.unwrap();
    pass(5.0).await;
    assert!(!scrape(&registry).contains("logs"));
}

#[tokio::test(start_paused = true)]
async fn a_status_makes_a_new_plan_only_if_somebody_else_wrote_it() {
    let mut world = World::new().await;
    let mut registry = Registry::default();
    world.metrics = UpgradeMetrics::register(&mut registry);
    world.create_set("logs", json!({})).await;
    let _controller = world.start().await;
    world.create_pod("web-0", json!({})).await;
    pass(60.0).await;
    let plans = || -> u64 {
        let text = scrape(&registry);
        let mut lines = text.lines();
        let count =
            lines.find_map(|line| line.strip_prefix("kruise_sidecarset_plan_duration_seconds_count "));
        count.unwrap().parse().unwrap()
    };
    let before = plans();
    let status = json!({"status": {"matchedPods": 7}});
    let api: Api<kruise_sidecar::api::SidecarSet> = world.sets();
    api.patch_status("logs", &PatchParams::default(), &Patch::Merge(status))
        .await
        .unwrap();
    pass(60.0).await;
    assert_eq!(world.counts("logs"), (1, 1, 1, 1));
    assert_eq!(plans(), before + 1, "for the edit, and not for the answer to it");
}
