//! The controller on a server in memory: revisions, annotations of pods, hot upgrades.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests fail that way")]

mod controller_support;

use controller_support::{World, pass};
use kruise_core::api::names::SIDECARSET_NAME;
use serde_json::{Value, json};

fn names(world: &World) -> Vec<String> {
    world
        .revisions()
        .into_iter()
        .map(|revision| revision.metadata.name.unwrap())
        .collect()
}

fn latest(world: &World) -> String {
    world.set("logs").status.unwrap().latest_revision
}

#[tokio::test(start_paused = true)]
async fn each_state_of_a_set_is_a_revision_and_an_old_one_comes_back() {
    let (world, _controller) =
        World::with_pods(json!({"volumes": [{"name": "tmp", "emptyDir": {}}]}), 1).await;
    let first = names(&world);
    assert_eq!(first, [latest(&world)]);
    let revision = &world.revisions()[0];
    let metadata = &revision.metadata;
    let set = world.set("logs");
    assert_eq!(metadata.namespace.as_deref(), Some("kruise-system"));
    assert_eq!(metadata.labels.as_ref().unwrap()[SIDECARSET_NAME], "logs");
    assert_eq!(
        metadata.annotations.as_ref().unwrap(),
        set.metadata.annotations.as_ref().unwrap()
    );
    let owner = &metadata.owner_references.as_ref().unwrap()[0];
    assert_eq!(
        (&owner.uid, owner.controller),
        (set.metadata.uid.as_ref().unwrap(), Some(true))
    );
    let data = &revision.data.as_ref().unwrap().0["spec"];
    assert_eq!(data["$patch"], "replace");
    assert_eq!(data["containers"][0]["image"], "agent:v1");
    assert_eq!(data["volumes"][0]["name"], "tmp");
    assert_eq!(
        (&data["initContainers"], data.as_object().unwrap().len()),
        (&Value::Null, 6)
    );
    world.image("agent:v2").await;
    assert_eq!(names(&world), [first[0].clone(), latest(&world)]);
    world.image("agent:v1").await;
    assert_eq!(
        (names(&world)[1].clone(), latest(&world)),
        (first[0].clone(), first[0].clone())
    );
    assert_eq!(world.revisions()[1].revision, 3);
    assert_eq!(world.set("logs").status.unwrap().collision_count, None);
}

#[tokio::test(start_paused = true)]
async fn what_is_not_kept_makes_no_revision() {
    let (world, _controller) = World::with_pods(json!({}), 1).await;
    world
        .patch_set(
            "logs",
            json!({"updateStrategy": {"paused": true}, "revisionHistoryLimit": 3}),
        )
        .await;
    pass(5.0).await;
    assert_eq!(names(&world).len(), 1);
}

#[tokio::test(start_paused = true)]
async fn old_revisions_go_but_none_that_a_pod_has_or_that_is_pinned() {
    let (world, _controller) = World::with_pods(
        json!({"revisionHistoryLimit": 2, "updateStrategy": {"type": "NotUpdate"}}),
        1,
    )
    .await;
    let of_pod = latest(&world);
    world.image("agent:v2").await;
    let pinned = latest(&world);
    world
        .patch_set(
            "logs",
            json!({"injectionStrategy": {"revision": {"revisionName": pinned}}}),
        )
        .await;
    for image in ["agent:v3", "agent:v4", "agent:v5"] {
        world.image(image).await;
    }
    assert_eq!(names(&world), [of_pod.clone(), pinned.clone(), latest(&world)]);
    world.delete_pod("web-0").await;
    world.image("agent:v6").await;
    assert_eq!(names(&world), [pinned.clone(), latest(&world)]);
    world.create_pod("web-new", json!({})).await;
    assert_eq!(world.image_of("web-new", "agent"), "agent:v2", "the pinned one");
}

#[tokio::test(start_paused = true)]
async fn a_custom_version_is_on_the_revision_and_pins_it() {
    let (world, _controller) = World::with_pods(json!({}), 1).await;
    let version = |version: &str| json!({"metadata": {"labels": {"apps.kruise.io/sidecarset-custom-version": version}}});
    let patch = kube_client::api::Patch::Merge(version("one"));
    world
        .sets()
        .patch("logs", &Default::default(), &patch)
        .await
        .unwrap();
    pass(5.0).await;
    let labels = world.revisions()[0].metadata.labels.clone().unwrap();
    assert_eq!(labels["apps.kruise.io/sidecarset-custom-version"], "one");
    let mut patch = version("two");
    patch["spec"] = json!({"containers": [{"name": "agent", "image": "agent:v2"}], "updateStrategy": {"type": "NotUpdate"},
        "injectionStrategy": {"revision": {"customVersion": "one"}}});
    let patch = kube_client::api::Patch::Merge(patch);
    world
        .sets()
        .patch("logs", &Default::default(), &patch)
        .await
        .unwrap();
    pass(5.0).await;
    world.create_pod("web-new", json!({})).await;
    assert_eq!(world.image_of("web-new", "agent"), "agent:v1");
}

#[tokio::test(start_paused = true)]
async fn revisions_go_with_their_set_and_one_that_is_deleted_comes_back() {
    let (world, _controller) = World::with_pods(json!({}), 1).await;
    let name = latest(&world);
    let api: kube_client::Api<k8s_openapi::api::apps::v1::ControllerRevision> =
        kube_client::Api::namespaced(world.server.client(), "kruise-system");
    api.delete(&name, &Default::default()).await.unwrap();
    pass(5.0).await;
    assert_eq!(names(&world), [name]);
    world.sets().delete("logs", &Default::default()).await.unwrap();
    pass(5.0).await;
    assert_eq!(names(&world), [""; 0]);
}

#[tokio::test(start_paused = true)]
async fn annotations_that_a_set_patches_come_with_the_upgrade_and_not_before() {
    let patches = |value: &str| {
        json!([
            {"annotations": {"example.com/over": value}, "patchPolicy": "Overwrite"},
            {"annotations": {"example.com/json": format!("{{\"{value}\":1}}")}, "patchPolicy": "MergePatchJson"},
            {"annotations": {"example.com/kept": value}, "patchPolicy": "Retain"},
        ])
    };
    let (world, _controller) = World::with_pods(json!({"patchPodMetadata": patches("a")}), 1).await;
    world
        .patch_set("logs", json!({"patchPodMetadata": patches("b")}))
        .await;
    pass(5.0).await;
    assert_eq!(world.upgrades(), 0);
    world.image("agent:v2").await;
    let annotations = world.pod("web-0")["metadata"]["annotations"].clone();
    assert_eq!(annotations["example.com/over"], "b");
    assert_eq!(annotations["example.com/json"], r#"{"a":1,"b":1}"#);
    assert_eq!(annotations["example.com/kept"], "a");
}

fn hot(image: &str) -> Value {
    json!({"containers": [{"name": "envoy", "image": image, "upgradeStrategy": {"upgradeType": "HotUpgrade", "hotUpgradeEmptyImage": "e"}}]})
}

#[tokio::test(start_paused = true)]
async fn examples_l1_to_l5_a_hot_upgrade_takes_turns_and_resets_before_it_goes_on() {
    let (world, _controller) = World::with_pods(hot("v1"), 2).await;
    let images = |pod: &str| (world.image_of(pod, "envoy-1"), world.image_of(pod, "envoy-2"));
    let pair = |one: &str, two: &str| (one.to_owned(), two.to_owned());
    assert_eq!(images("web-0"), pair("v1", "e"), "L-1");
    world.patch_set("logs", hot("v2")).await;
    pass(2.0).await;
    let taken = if images("web-0").1 == "v2" {
        ["web-0", "web-1"]
    } else {
        ["web-1", "web-0"]
    };
    assert_eq!(
        (images(taken[0]), images(taken[1])),
        (pair("v1", "v2"), pair("v1", "e")),
        "L-2"
    );
    let annotations = world.pod(taken[0])["metadata"]["annotations"].clone();
    assert_eq!(
        annotations["kruise.io/sidecarset-working-hotupgrade-container"],
        r#"{"envoy":"envoy-2"}"#
    );
    pass(60.0).await;
    assert_eq!(world.counts("logs"), (2, 1, 1, 0), "L-3");
    world.report(taken[0]);
    pass(2.0).await;
    assert_eq!(
        (images(taken[0]), images(taken[1])),
        (pair("e", "v2"), pair("v1", "e")),
        "L-4"
    );
    assert_eq!(
        world.pod(taken[0])["metadata"]["annotations"]["version.sidecarset.kruise.io/envoy-1"],
        "0"
    );
    assert_eq!(world.told(), [format!("{} ResetContainerSucceed", taken[0])]);
    pass(60.0).await;
    assert_eq!(world.counts("logs"), (2, 1, 1, 0));
    world.report(taken[0]);
    pass(2.0).await;
    assert_eq!(images(taken[1]), pair("v1", "v2"), "L-5");
    assert_eq!(
        world.statuses_of("logs"),
        [(2, 0, 2, 0), (2, 1, 1, 0), (2, 1, 2, 1), (2, 2, 1, 1)]
    );
    world.settle().await;
    assert_eq!(
        (images("web-0"), images("web-1")),
        (pair("e", "v2"), pair("e", "v2"))
    );
    assert_eq!(world.counts("logs"), (2, 2, 2, 2));
    // And back to the first containers.
    world.patch_set("logs", hot("v3")).await;
    pass(2.0).await;
    world.settle().await;
    assert_eq!(
        (images("web-0"), images("web-1")),
        (pair("v3", "e"), pair("v3", "e"))
    );
}
