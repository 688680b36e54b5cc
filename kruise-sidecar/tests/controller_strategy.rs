//! The controller on a server in memory: which pods, in which order, how many.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests fail that way")]

mod controller_support;

use controller_support::{World, pass};
use kruise_core::runtime::Tasks;
use serde_json::{Value, json};

fn strategy(strategy: Value) -> Value {
    json!({ "updateStrategy": strategy })
}

/// A world with pods of these labels, with the strategy from the start.
async fn labelled(spec: Value, labels: &[Value]) -> (World, Tasks) {
    let (world, controller) = World::with_pods(spec, 0).await;
    for (number, labels) in labels.iter().enumerate() {
        world.create_pod(&format!("web-{number}"), labels.clone()).await;
    }
    pass(2.0).await;
    world.forget();
    (world, controller)
}

/// The order in which pods come to `agent:v2`, one at a time.
async fn order(world: &World) -> Vec<String> {
    world.image("agent:v2").await;
    let mut order = Vec::new();
    loop {
        let new: Vec<String> = world
            .with_image("agent:v2")
            .into_iter()
            .filter(|pod| !order.contains(pod))
            .collect();
        let [next] = new.as_slice() else {
            assert!(new.is_empty(), "one at a time: {new:?}");
            return order;
        };
        world.report(next);
        order.extend(new);
        pass(2.0).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_paused_set_upgrades_nothing_and_still_counts_until_it_goes_on() {
    let (world, _controller) = World::with_pods(strategy(json!({"paused": true})), 3).await;
    world.image("agent:v2").await;
    pass(60.0).await;
    assert_eq!((world.upgrades(), world.counts("logs")), (0, (3, 0, 3, 0)));
    world.create_pod("web-new", json!({})).await;
    pass(2.0).await;
    assert_eq!(
        world.image_of("web-new", "agent"),
        "agent:v2",
        "new pods are injected"
    );
    assert_eq!(world.counts("logs"), (4, 1, 4, 1));
    world.patch_set("logs", strategy(json!({"paused": false}))).await;
    pass(2.0).await;
    world.settle().await;
    assert_eq!(world.counts("logs"), (4, 4, 4, 4));
}

#[tokio::test(start_paused = true)]
async fn kruise_825_a_set_that_does_not_update_keeps_its_status_fresh() {
    let (world, _controller) = World::with_pods(strategy(json!({"type": "NotUpdate"})), 3).await;
    world.image("agent:v2").await;
    assert_eq!(world.counts("logs"), (3, 0, 3, 0));
    world.delete_pod("web-0").await;
    pass(2.0).await;
    assert_eq!((world.counts("logs"), world.upgrades()), ((2, 0, 2, 0), 0));
}

#[tokio::test(start_paused = true)]
async fn the_partition_stays_as_it_was_by_number() {
    partition(&[(json!(2), 2), (json!(9), 5)]).await;
}

#[tokio::test(start_paused = true)]
async fn the_partition_stays_as_it_was_by_percent() {
    partition(&[(json!("35%"), 2), (json!("100%"), 5)]).await;
}

async fn partition(cases: &[(Value, usize)]) {
    for (partition, kept) in cases {
        let spec = strategy(json!({"partition": partition, "maxUnavailable": 5}));
        let (world, _controller) = World::with_pods(spec, 5).await;
        world.image("agent:v2").await;
        world.settle().await;
        assert_eq!(world.with_image("agent:v1").len(), *kept, "{partition}");
        world.patch_set("logs", strategy(json!({"partition": 0}))).await;
        pass(2.0).await;
        world.settle().await;
        assert_eq!(world.counts("logs"), (5, 5, 5, 5));
    }
}

#[tokio::test(start_paused = true)]
async fn the_selector_is_for_canaries() {
    let canary = json!({"canary": "true"});
    let spec = strategy(json!({"selector": {"matchLabels": canary}, "maxUnavailable": "100%"}));
    let (world, _controller) = labelled(spec, &[json!({}), canary, json!({})]).await;
    world.image("agent:v2").await;
    world.settle().await;
    assert_eq!(world.with_image("agent:v2"), ["web-1"]);
    world.patch_set("logs", strategy(json!({"selector": null}))).await;
    pass(2.0).await;
    world.settle().await;
    assert_eq!(world.counts("logs"), (3, 3, 3, 3));
}

#[tokio::test(start_paused = true)]
async fn a_pod_that_gets_the_label_of_the_canaries_becomes_one() {
    let spec = strategy(json!({"selector": {"matchLabels": {"canary": "true"}}}));
    let (world, _controller) = World::with_pods(spec, 2).await;
    world.image("agent:v2").await;
    assert_eq!(world.upgrades(), 0);
    let patch = kube_client::api::Patch::Merge(json!({"metadata": {"labels": {"canary": "true"}}}));
    world
        .pods()
        .patch("web-1", &Default::default(), &patch)
        .await
        .unwrap();
    pass(2.0).await;
    assert_eq!(world.with_image("agent:v2"), ["web-1"]);
}

#[tokio::test(start_paused = true)]
async fn example_s12_pods_that_are_scattered_take_turns_with_the_others() {
    let spec = strategy(json!({"scatterStrategy": [{"key": "foo", "value": "bar"}], "maxUnavailable": 3}));
    let labels: Vec<Value> = (0..10)
        .map(|number| {
            if number < 3 {
                json!({"foo": "bar"})
            } else {
                json!({})
            }
        })
        .collect();
    let (world, _controller) = labelled(spec, &labels).await;
    world.image("agent:v2").await;
    assert_eq!(world.with_image("agent:v2"), ["web-0", "web-3", "web-4"]);
}

#[tokio::test(start_paused = true)]
async fn example_l12_weights_go_before_the_order() {
    let tier = |value: &str| json!({ "tier": value });
    let weight = |weight: i64, value: &str| json!({"weight": weight, "matchSelector": {"matchLabels": {"tier": value}}});
    let spec =
        strategy(json!({"priorityStrategy": {"weightPriority": [weight(40, "gold"), weight(25, "silver")]}}));
    let (world, _controller) = labelled(spec, &[json!({}), tier("silver"), tier("gold"), json!({})]).await;
    assert_eq!(order(&world).await, ["web-2", "web-1", "web-0", "web-3"]);
}

#[tokio::test(start_paused = true)]
async fn two_sets_on_one_pod_upgrade_their_own_sidecar_and_keep_what_the_other_says() {
    let (world, _controller) = World::with_pods(json!({}), 0).await;
    world
        .create_set(
            "mesh",
            json!({"containers": [{"name": "proxy", "image": "proxy:1"}]}),
        )
        .await;
    for number in 0..3 {
        world.create_pod(&format!("web-{number}"), json!({})).await;
    }
    pass(2.0).await;
    world
        .patch_set(
            "mesh",
            json!({"containers": [{"name": "proxy", "image": "proxy:2"}]}),
        )
        .await;
    world.image("agent:v2").await;
    world.settle().await;
    for set in ["logs", "mesh"] {
        assert_eq!(world.counts(set), (3, 3, 3, 3), "{set}");
    }
    for pod in ["web-0", "web-1", "web-2"] {
        assert_eq!(
            (world.image_of(pod, "agent"), world.image_of(pod, "proxy")),
            ("agent:v2".into(), "proxy:2".into())
        );
        assert_eq!(world.image_of(pod, "main"), "web:1");
        assert_eq!(
            Some(world.hash_of(pod, "mesh").hash.as_str()),
            world.set("mesh").hash()
        );
    }
}

#[tokio::test(start_paused = true)]
async fn a_set_for_namespaces_with_a_label_follows_the_labels() {
    let (world, _controller) =
        World::with_pods(json!({"namespaceSelector": {"matchLabels": {"team": "shop"}}}), 2).await;
    assert_eq!(world.counts("logs"), (2, 2, 2, 2));
    let namespace = |team: &str| json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "shop", "labels": {"team": team}}});
    assert!(world.server.seed_value(namespace("other")));
    pass(2.0).await;
    assert_eq!(world.counts("logs"), (0, 0, 0, 0));
    world.image("agent:v2").await;
    assert!(world.server.seed_value(namespace("shop")));
    pass(2.0).await;
    world.settle().await;
    assert_eq!(world.counts("logs"), (2, 2, 2, 2));
}

#[tokio::test(start_paused = true)]
async fn pods_keep_the_sidecars_of_a_set_that_is_deleted() {
    let (world, _controller) = World::with_pods(json!({}), 3).await;
    world.image("agent:v2").await;
    let upgraded = world.with_image("agent:v2");
    assert_eq!(upgraded.len(), 1);
    world.sets().delete("logs", &Default::default()).await.unwrap();
    pass(2.0).await;
    world.forget();
    world.report(&upgraded[0]);
    pass(600.0).await;
    assert_eq!(world.writes(), [""; 0]);
    assert_eq!(world.image_of("web-2", "agent"), "agent:v1");
}

#[tokio::test(start_paused = true)]
async fn finished_and_terminating_pods_and_those_that_were_not_injected_do_not_count() {
    let (world, _controller) = World::with_pods(json!({}), 3).await;
    let mut done = world.pod("web-0");
    done["status"]["phase"] = json!("Succeeded");
    done["apiVersion"] = json!("v1");
    done["kind"] = json!("Pod");
    assert!(world.server.seed_value(done.clone()));
    let mut bare = done;
    bare["metadata"] = json!({"name": "bare", "namespace": "shop", "labels": {"app": "web"}});
    bare["status"]["phase"] = json!("Running");
    assert!(world.server.seed_value(bare));
    world
        .pods()
        .delete(
            "web-1",
            &kube_client::api::DeleteParams::default().grace_period(30),
        )
        .await
        .unwrap();
    pass(2.0).await;
    assert_eq!(world.counts("logs"), (1, 1, 1, 1));
}
