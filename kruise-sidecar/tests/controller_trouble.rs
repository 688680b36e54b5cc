//! The controller on a server in memory: what goes wrong, and what is told of it.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests fail that way")]

mod controller_support;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use controller_support::process::controller;
use controller_support::{World, pass};
use k8s_openapi::api::rbac::v1::PolicyRule;
use kruise_core::runtime::Tasks;
use kruise_core::testing::apiserver::ApiError;
use kruise_core::testing::faults::{FaultConfig, Faults};
use kruise_sidecar::controller::rbac;
use serde_json::{Value, json};

const CONDITION: &str = "SidecarSetUpgradable";

fn condition(pod: &Value) -> Option<(String, String)> {
    let conditions = pod["status"]["conditions"].as_array()?;
    let found = conditions.iter().find(|one| one["type"] == CONDITION)?;
    Some((
        found["status"].as_str()?.to_owned(),
        found["message"].as_str()?.to_owned(),
    ))
}

/// The server refuses to change this pod while the flag is up.
fn refuse(world: &World, name: &'static str) -> Arc<AtomicBool> {
    let refuses = Arc::new(AtomicBool::new(true));
    let flag = refuses.clone();
    world.server.validate(
        move |review| match review.name == name && flag.load(Ordering::SeqCst) {
            true => Err(ApiError::forbidden("", "pods", name, "not this one")),
            false => Ok(()),
        },
    );
    refuses
}

#[tokio::test(start_paused = true)]
async fn a_pod_that_the_server_refuses_is_told_and_the_others_go_on() {
    let (world, _controller) = World::with_pods(json!({}), 3).await;
    let refuses = refuse(&world, "web-0");
    world.image("agent:v2").await;
    world.settle().await;
    assert_eq!(world.counts("logs"), (3, 2, 3, 2));
    let told = world.told();
    for note in ["web-0 SidecarUpgradeRefused", "logs SidecarUpgradeRefused"] {
        assert!(told.contains(&note.to_owned()), "{told:?}");
    }
    assert!(world.upgrades() <= 4, "not tried again and again");
    refuses.store(false, Ordering::SeqCst);
    pass(310.0).await;
    world.settle().await;
    assert_eq!(world.counts("logs"), (3, 3, 3, 3));
}

#[tokio::test(start_paused = true)]
async fn a_refused_pod_is_tried_again_when_it_changes() {
    let (world, _controller) = World::with_pods(json!({}), 2).await;
    let refuses = refuse(&world, "web-0");
    world.image("agent:v2").await;
    world.settle().await;
    refuses.store(false, Ordering::SeqCst);
    let patch = kube_client::api::Patch::Merge(json!({"metadata": {"labels": {"new": "label"}}}));
    world
        .pods()
        .patch("web-0", &Default::default(), &patch)
        .await
        .unwrap();
    pass(2.0).await;
    world.settle().await;
    assert_eq!(world.counts("logs"), (2, 2, 2, 2));
}

#[tokio::test(start_paused = true)]
async fn kruise_1272_pods_of_which_more_differs_say_so_and_the_set_too() {
    let (world, _controller) = World::with_pods(json!({}), 2).await;
    let changed = |value: &str| json!({"containers": [{"name": "agent", "image": "agent:v2", "env": [{"name": "A", "value": value}]}]});
    world.patch_set("logs", changed("1")).await;
    pass(5.0).await;
    assert_eq!(world.counts("logs"), (2, 0, 2, 0));
    let no = Some(("False".to_owned(), r#"{"logs":false}"#.to_owned()));
    for pod in ["web-0", "web-1"] {
        assert_eq!(condition(&world.pod(pod)), no);
    }
    assert_eq!(world.told(), ["logs NotUpgradablePods"]);
    assert_eq!(world.upgrades(), 0);
    world.forget();
    pass(600.0).await;
    assert_eq!(world.writes(), [""; 0], "told once");
    // Back to what can be upgraded.
    world
        .patch_set(
            "logs",
            json!({"containers": [{"name": "agent", "image": "agent:v3"}]}),
        )
        .await;
    pass(5.0).await;
    world.settle().await;
    assert_eq!(world.counts("logs"), (2, 2, 2, 2));
    let yes = Some(("True".to_owned(), r#"{"logs":true}"#.to_owned()));
    assert_eq!(condition(&world.pod("web-0")), yes);
}

#[tokio::test(start_paused = true)]
async fn the_condition_of_a_pod_is_that_of_all_its_sets() {
    let (world, controller) = World::with_pods(json!({}), 0).await;
    world
        .create_set(
            "mesh",
            json!({"containers": [{"name": "proxy", "image": "proxy:1"}]}),
        )
        .await;
    world.create_pod("web-0", json!({})).await;
    let env = |name: &str, image: &str| json!({"containers": [{"name": name, "image": image, "env": [{"name": "A", "value": "1"}]}]});
    world.patch_set("logs", env("agent", "agent:v1")).await;
    world.patch_set("mesh", env("proxy", "proxy:1")).await;
    pass(5.0).await;
    let says = condition(&world.pod("web-0")).unwrap();
    assert_eq!(says.0, "False");
    world
        .patch_set(
            "logs",
            json!({"containers": [{"name": "agent", "image": "agent:v1"}]}),
        )
        .await;
    pass(5.0).await;
    assert_eq!(condition(&world.pod("web-0")).unwrap().0, "False", "mesh can not");
    // Another process sees the same.
    drop(controller);
    world.forget();
    let _controller = world.start().await;
    pass(30.0).await;
    assert_eq!(world.writes(), [""; 0]);
    world
        .patch_set(
            "mesh",
            json!({"containers": [{"name": "proxy", "image": "proxy:1"}]}),
        )
        .await;
    pass(5.0).await;
    let yes = (String::from("True"), r#"{"logs":true,"mesh":true}"#.to_owned());
    assert_eq!(condition(&world.pod("web-0")), Some(yes));
}

#[tokio::test(start_paused = true)]
async fn a_strategy_that_means_nothing_is_told_once() {
    let (world, _controller) = World::with_pods(json!({}), 2).await;
    let mut set = serde_json::to_value(world.set("logs")).unwrap();
    set["spec"]["updateStrategy"]["maxUnavailable"] = json!("many");
    set["spec"]["containers"][0]["image"] = json!("agent:v2");
    // Past admission.
    assert!(world.server.seed_value(set));
    pass(600.0).await;
    assert_eq!(world.told(), ["logs InvalidSidecarSet"]);
    assert_eq!(world.upgrades(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_process_that_takes_over_asks_the_server_before_it_upgrades() {
    let (world, controller) = World::with_pods(json!({}), 3).await;
    world.image("agent:v2").await;
    assert_eq!(world.upgrades(), 1);
    drop(controller);
    world.forget();
    let _controller = world.start().await;
    pass(10.0).await;
    assert_eq!(world.upgrades(), 0, "one is on its way");
    world.settle().await;
    assert_eq!(world.counts("logs"), (3, 3, 3, 3));
    let requests = world.server.requests();
    let asked = requests
        .iter()
        .filter(|one| one.method == "GET" && one.uri.contains("labelSelector=app"));
    assert_eq!(asked.count(), 1, "once");
}

/// Pods of a set `logs`, each with a label of its own, and watches that can be held.
async fn world_of_three() -> (World, Faults) {
    let world = World::new().await;
    world.create_set("logs", json!({})).await;
    for number in 0..3 {
        let name = format!("web-{number}");
        world.create_pod(&name, json!({"pod": name})).await;
    }
    let faults = Faults::new(world.server.clone(), FaultConfig::none(), 1);
    (world, faults)
}

/// Changes the order of upgrades: a pod goes first that has not been upgraded.
async fn another_goes_first(world: &World) {
    let upgraded = world.with_image("agent:v2");
    let names = ["web-0", "web-1", "web-2"];
    let first = names.iter().find(|name| !upgraded.contains(&(**name).to_owned()));
    let order = json!([{"weight": 100, "matchSelector": {"matchLabels": {"pod": first.unwrap()}}}]);
    let strategy = json!({"priorityStrategy": {"weightPriority": order}});
    world.patch_set("logs", json!({"updateStrategy": strategy})).await;
}

#[tokio::test(start_paused = true)]
async fn a_plan_waits_until_the_cache_has_what_was_written_even_if_its_order_changes() {
    let (world, faults) = world_of_three().await;
    let _controller = world.start_on(faults.client(), World::config()).await;
    faults.hold("pods");
    world.image("agent:v2").await;
    assert_eq!(world.with_image("agent:v2").len(), 1);
    another_goes_first(&world).await;
    pass(1000.0).await;
    assert_eq!(world.with_image("agent:v2").len(), 1, "one is on its way");
    faults.release();
    pass(10.0).await;
    world.settle().await;
    assert_eq!(world.counts("logs"), (3, 3, 3, 3));
}

#[tokio::test(start_paused = true)]
async fn a_process_that_takes_over_with_old_caches_upgrades_nothing_until_they_are_new() {
    let (world, faults) = world_of_three().await;
    let first = world.start().await;
    let standby = Tasks::new();
    let clock = world.clock.clone();
    let second = controller(&standby, &faults.client(), |all| all, clock, World::config());
    pass(1.0).await;
    faults.hold("pods");
    world.image("agent:v2").await;
    drop(first);
    assert_eq!(world.with_image("agent:v2").len(), 1);
    another_goes_first(&world).await;
    standby.spawn("controller", second.run(standby.token()));
    pass(1000.0).await;
    assert_eq!(world.with_image("agent:v2").len(), 1, "one is on its way");
    faults.release();
    pass(10.0).await;
    world.settle().await;
    assert_eq!(world.counts("logs"), (3, 3, 3, 3));
}

#[tokio::test(start_paused = true)]
async fn a_pod_that_is_deleted_while_it_is_upgraded_holds_nothing_up() {
    let (world, _controller) = World::with_pods(json!({}), 3).await;
    world.image("agent:v2").await;
    let taken = world.with_image("agent:v2").remove(0);
    world.delete_pod(&taken).await;
    pass(2.0).await;
    world.settle().await;
    assert_eq!(world.counts("logs"), (2, 2, 2, 2));
}

/// Group, resource and verb of a request.
fn right(method: &str, uri: &str) -> (String, String) {
    let path = uri.split('?').next().unwrap();
    let mut parts = path.split('/').skip(1).peekable();
    let core = parts.next() == Some("api");
    let parts: Vec<&str> = parts.skip(if core { 1 } else { 2 }).collect();
    let parts = match parts.as_slice() {
        ["namespaces", _, rest @ ..] if !rest.is_empty() => rest,
        all => all,
    };
    let resource = match parts {
        [resource, _, sub] => format!("{resource}/{sub}"),
        [resource, ..] => (*resource).to_owned(),
        [] => String::new(),
    };
    let verb = match method {
        "GET" if uri.contains("watch=true") => "watch",
        "GET" if parts.len() == 1 => "list",
        "GET" => "get",
        "POST" => "create",
        "DELETE" => "delete",
        _ => "patch",
    };
    (resource, verb.to_owned())
}

#[tokio::test(start_paused = true)]
async fn every_request_has_a_right() {
    let (world, controller) = World::with_pods(
        json!({"revisionHistoryLimit": 1, "patchPodMetadata": [{"annotations": {"k": "v"}, "patchPolicy": "Overwrite"}]}),
        2,
    )
    .await;
    drop(controller);
    world
        .patch_set(
            "logs",
            json!({"containers": [{"name": "agent", "image": "agent:v1", "tty": true}]}),
        )
        .await;
    world.forget();
    let _controller = world.start().await;
    pass(5.0).await;
    world
        .patch_set(
            "logs",
            json!({"containers": [{"name": "agent", "image": "agent:v2"}]}),
        )
        .await;
    pass(5.0).await;
    world.settle().await;
    let granted = |rules: Vec<PolicyRule>| -> BTreeSet<(String, String)> {
        let each = rules.into_iter().flat_map(|rule| {
            let verbs = rule.verbs.clone();
            let resources = rule.resources.unwrap_or_default().into_iter();
            resources.flat_map(move |resource| {
                verbs
                    .clone()
                    .into_iter()
                    .map(move |verb| (resource.clone(), verb))
            })
        });
        each.collect()
    };
    let granted = granted([rbac::controller(), rbac::revisions()].concat());
    let requests = world.server.requests();
    let used: BTreeSet<_> = requests.iter().map(|one| right(&one.method, &one.uri)).collect();
    // What the test itself does.
    let used: BTreeSet<_> = used
        .into_iter()
        .filter(|right| *right != ("sidecarsets".into(), "patch".into()))
        .collect();
    let missing: Vec<_> = used.difference(&granted).collect();
    assert!(missing.is_empty(), "{missing:?}");
    for right in [
        ("pods", "get"),
        ("pods/status", "patch"),
        ("sidecarsets", "get"),
        ("controllerrevisions", "create"),
    ] {
        assert!(used.contains(&(right.0.into(), right.1.into())), "{right:?}");
    }
}
