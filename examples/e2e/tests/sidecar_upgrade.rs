//! Sidecars of running pods are upgraded in place, on a real cluster with real kubelets.

use anyhow::{Context, Result, ensure};
use kruise_e2e::sidecar::{Pods, Scene, annotation, containers, ensure_untouched, image_of, scene, status};
use serde_json::{Value, json};

/// One sidecar `shipper`, and so many pods may be down.
fn set(scene: &Scene, image: &str, max_unavailable: usize) -> Result<Value> {
    Ok(json!({"containers": [scene.container("shipper", image)?],
        "updateStrategy": {"maxUnavailable": max_unavailable}}))
}

fn with_image(scene: &Scene, pods: &Pods, image: &str) -> Result<Vec<String>> {
    let image = scene.image(image)?;
    let found = pods.iter().filter(|(_, pod)| image_of(pod, "shipper") == image);
    Ok(found.map(|(name, _)| name.clone()).collect())
}

#[tokio::test]
async fn an_upgrade_restarts_the_sidecars_and_leaves_the_app_alone() -> Result<()> {
    scene(async |scene| {
        scene.push(&["app:v1", "side:v1", "side:v2"]).await?;
        scene.create_set("logs", set(scene, "side:v1", 1)?).await?;
        let before = scene.deploy(3).await?;
        let work = async {
            scene.upgrade("logs", "side:v2").await?;
            scene
                .until_status(
                    "logs",
                    json!({"matchedPods": 3, "updatedPods": 3, "readyPods": 3, "updatedReadyPods": 3}),
                )
                .await
        };
        let (_, order) = scene.within_budget(1, work).await?;
        let after = scene.list().await?;
        ensure_untouched(&before, &after)?;
        ensure!(order.len() == 3, "written: {order:?}");
        for pod in after.values() {
            let shipper = status(pod, "shipper");
            ensure!(
                shipper["restartCount"] == 1 && shipper["image"] == scene.image("side:v2")?,
                "{shipper}"
            );
        }
        Ok(())
    })
    .await
}

#[tokio::test]
async fn an_image_that_is_not_there_takes_down_no_more_than_it_may() -> Result<()> {
    scene(async |scene| {
        scene.push(&["app:v1", "side:v1", "side:v3"]).await?;
        scene.create_set("logs", set(scene, "side:v1", 2)?).await?;
        let before = scene.deploy(4).await?;
        let bad = async {
            scene.upgrade("logs", "nobody-pushed-this:1").await?;
            let stopped = json!({"updatedPods": 2, "readyPods": 2, "updatedReadyPods": 0});
            scene.until_status("logs", stopped).await
        };
        let (_, stuck) = scene.within_budget(2, bad).await?;
        // Those that are down are free, and so are taken at once with as many others as may be down.
        let good = async {
            scene.upgrade("logs", "side:v3").await?;
            let done = json!({"updatedPods": 4, "updatedReadyPods": 4});
            scene.until_status("logs", done).await
        };
        let (_, order) = scene.within_budget(4, good).await?;
        ensure!(
            stuck.len() == 2 && order.len() == 4,
            "written: {stuck:?}, then {order:?}"
        );
        ensure_untouched(&before, &scene.list().await?)
    })
    .await
}

#[tokio::test]
async fn paused_then_a_canary_then_by_partition() -> Result<()> {
    scene(async |scene| {
        scene.push(&["app:v1", "side:v1", "side:v2"]).await?;
        scene.create_set("logs", set(scene, "side:v1", 4)?).await?;
        for (name, track) in [
            ("web-0", "stable"),
            ("web-1", "stable"),
            ("web-2", "canary"),
            ("web-3", "stable"),
        ] {
            scene
                .create_pod(name, &json!({"metadata": {"labels": {"track": track}}}))
                .await?;
        }
        let before = scene.until_ready(4).await?;
        let strategy = async |strategy: Value, updated: usize| {
            scene
                .patch_set("logs", json!({"spec": {"updateStrategy": strategy}}))
                .await?;
            let done = json!({"updatedPods": updated, "updatedReadyPods": updated, "readyPods": 4});
            scene.until_status("logs", done).await?;
            with_image(scene, &scene.list().await?, "side:v2")
        };
        strategy(json!({"paused": true}), 4).await?;
        scene.upgrade("logs", "side:v2").await?;
        scene
            .until_status(
                "logs",
                json!({"matchedPods": 4, "updatedPods": 0, "readyPods": 4}),
            )
            .await?;
        let canary = json!({"matchLabels": {"track": "canary"}});
        ensure!(strategy(json!({"paused": false, "selector": canary}), 1).await? == ["web-2"]);
        ensure!(
            strategy(json!({"selector": null, "partition": 2}), 2)
                .await?
                .len()
                == 2
        );
        ensure!(strategy(json!({"partition": "25%"}), 3).await?.len() == 3);
        ensure!(strategy(json!({"partition": 0}), 4).await?.len() == 4);
        ensure_untouched(&before, &scene.list().await?)
    })
    .await
}

#[tokio::test]
async fn pods_of_one_zone_do_not_go_all_at_once() -> Result<()> {
    scene(async |scene| {
        scene.push(&["app:v1", "side:v1", "side:v2"]).await?;
        let mut spec = set(scene, "side:v1", 4)?;
        spec["updateStrategy"]["scatterStrategy"] = json!([{"key": "zone", "value": "a"}]);
        scene.create_set("logs", spec).await?;
        // The younger go first if nothing else counts: three of zone a.
        for (zone, count) in [("b", 3), ("a", 6)] {
            for number in 0..3 {
                scene
                    .create_pod(
                        &format!("{zone}{number}"),
                        &json!({"metadata": {"labels": {"zone": zone}}}),
                    )
                    .await?;
            }
            scene.until_ready(count).await?;
        }
        let work = async {
            scene.upgrade("logs", "side:v2").await?;
            scene.until_status("logs", json!({"updatedReadyPods": 6})).await
        };
        let (_, order) = scene.within_budget(4, work).await?;
        let first = order.iter().take(4).filter(|name| name.starts_with('a')).count();
        ensure!(order.len() == 6 && first == 2, "written: {order:?}");
        Ok(())
    })
    .await
}

#[tokio::test]
async fn pods_of_more_weight_go_first() -> Result<()> {
    scene(async |scene| {
        scene.push(&["app:v1", "side:v1", "side:v2"]).await?;
        let weight = |weight: usize, tier: &str| json!({"weight": weight, "matchSelector": {"matchLabels": {"tier": tier}}});
        let mut spec = set(scene, "side:v1", 1)?;
        spec["updateStrategy"]["priorityStrategy"] = json!({"weightPriority": [weight(30, "silver"), weight(50, "gold")]});
        scene.create_set("logs", spec).await?;
        for tier in ["gold", "silver", "none"] {
            scene.create_pod(tier, &json!({"metadata": {"labels": {"tier": tier}}})).await?;
        }
        scene.until_ready(3).await?;
        let work = async {
            scene.upgrade("logs", "side:v2").await?;
            scene.until_status("logs", json!({"updatedReadyPods": 3})).await
        };
        let (_, order) = scene.within_budget(1, work).await?;
        ensure!(order == ["gold", "silver", "none"], "written: {order:?}");
        Ok(())
    })
    .await
}

#[tokio::test]
async fn two_sets_upgrade_the_same_pods_and_one_that_goes_leaves_them_as_they_are() -> Result<()> {
    scene(async |scene| {
        scene.push(&["app:v1", "side:v1", "side:v2", "mesh:v1", "mesh:v2"]).await?;
        scene.create_set("logs", set(scene, "side:v1", 1)?).await?;
        let mesh = json!({"containers": [scene.container("mesh", "mesh:v1")?], "updateStrategy": {"maxUnavailable": 1}});
        scene.create_set("mesh", mesh).await?;
        let before = scene.deploy(2).await?;
        for pod in before.values() {
            ensure!(containers(pod) == ["shipper", "mesh", "main"], "{:?}", containers(pod));
        }
        scene.upgrade("logs", "side:v2").await?;
        scene.upgrade("mesh", "mesh:v2").await?;
        for set in ["logs", "mesh"] {
            scene.until_status(set, json!({"matchedPods": 2, "updatedReadyPods": 2})).await?;
        }
        let after = scene.list().await?;
        ensure_untouched(&before, &after)?;
        scene.sets().delete(&scene.name("mesh"), &Default::default()).await?;
        scene.upgrade("logs", "side:v1").await?;
        scene.until_status("logs", json!({"updatedReadyPods": 2})).await?;
        let last = scene.list().await?;
        for (name, pod) in &last {
            let old = after.get(name).context("a pod")?;
            ensure!(status(old, "mesh")["containerID"] == status(pod, "mesh")["containerID"], "{name}");
        }
        // New pods do not get what is gone.
        let made = scene.create_pod("new", &json!({})).await?;
        ensure!(containers(&made) == ["shipper", "main"], "{:?}", containers(&made));
        Ok(())
    })
    .await
}

#[tokio::test]
async fn of_a_hot_upgraded_sidecar_one_container_always_works() -> Result<()> {
    scene(async |scene| {
        scene.push(&["app:v1", "side:v1", "side:v2", "empty:v1"]).await?;
        let empty = scene.image("empty:v1")?;
        let mut spec = set(scene, "side:v1", 1)?;
        spec["containers"][0]["upgradeStrategy"] =
            json!({"upgradeType": "HotUpgrade", "hotUpgradeEmptyImage": empty});
        scene.create_set("logs", spec).await?;
        let before = scene.deploy(2).await?;
        for pod in before.values() {
            ensure!(
                containers(pod) == ["shipper-1", "shipper-2", "main"],
                "{:?}",
                containers(pod)
            );
        }
        let works = |pods: &Pods| {
            for (name, pod) in pods {
                let serving = ["shipper-1", "shipper-2"].map(|container| status(pod, container));
                ensure!(
                    serving
                        .iter()
                        .any(|status| status["ready"] == true && status["image"] != empty),
                    "nothing works in {name}"
                );
            }
            Ok(())
        };
        let new = scene.image("side:v2")?;
        let work = async {
            scene.upgrade("logs", "side:v2").await?;
            let moved = |pod: &Value| {
                status(pod, "shipper-2")["image"] == new
                    && status(pod, "shipper-1")["image"] == empty
                    && status(pod, "shipper-1")["ready"] == true
            };
            scene.until_pods("moved", |pods| pods.values().all(moved)).await
        };
        let after = scene.watching(works, work).await?;
        ensure_untouched(&before, &after)?;
        for pod in after.values() {
            let working = annotation(pod, "kruise.io/sidecarset-working-hotupgrade-container");
            ensure!(working == r#"{"shipper":"shipper-2"}"#, "{working}");
        }
        scene.until_status("logs", json!({"updatedReadyPods": 2})).await?;
        Ok(())
    })
    .await
}
