//! Revisions of SidecarSets, and pods that cannot follow one, on a real cluster.

use anyhow::{Result, ensure};
use kruise_e2e::sidecar::{Scene, scene};
use kruise_e2e::{core, eventually};
use kube_client::Api;
use kube_core::params::ListParams;
use kube_core::{ApiResource, DynamicObject};
use serde_json::{Value, json};

fn revisions(scene: &Scene) -> Api<DynamicObject> {
    let kind = ApiResource {
        group: "apps".into(),
        api_version: "apps/v1".into(),
        ..core("v1", "ControllerRevision", "controllerrevisions")
    };
    Api::namespaced_with(scene.client.clone(), "kruise-system", &kind)
}

#[tokio::test]
async fn old_revisions_go_and_all_go_with_their_set() -> Result<()> {
    scene(async |scene| {
        let spec = |image: &str| -> Result<Value> {
            Ok(json!({"revisionHistoryLimit": 1, "containers": [scene.container("shipper", image)?]}))
        };
        scene.create_set("logs", spec("side:v1")?).await?;
        let (api, label) = (
            revisions(scene),
            format!("kruise.io/sidecarset-name={}", scene.name("logs")),
        );
        let numbers = async || -> Result<Vec<i64>> {
            let found = api.list(&ListParams::default().labels(&label)).await?;
            let mut numbers: Vec<_> = found
                .items
                .iter()
                .filter_map(|one| one.data["revision"].as_i64())
                .collect();
            numbers.sort_unstable();
            Ok(numbers)
        };
        eventually("the first state is kept", || async {
            Ok(numbers().await? == [1])
        })
        .await?;
        for (number, image) in [(2, "side:v2"), (3, "side:v3"), (4, "side:v4")] {
            scene.upgrade("logs", image).await?;
            eventually("the newest state is kept", || async {
                Ok(numbers().await?.last() == Some(&number))
            })
            .await?;
        }
        eventually("old states are gone", || async {
            let left = numbers().await?;
            Ok(left.len() <= 2 && left.last() == Some(&4))
        })
        .await?;
        let params = kube_core::params::DeleteParams::default();
        scene.sets().delete(&scene.name("logs"), &params).await?;
        eventually("all go with their set", || async {
            Ok(numbers().await?.is_empty())
        })
        .await
    })
    .await
}

#[tokio::test]
async fn a_pod_of_which_more_than_the_image_would_change_says_so_and_is_left_alone() -> Result<()> {
    scene(async |scene| {
        scene.push(&["app:v1", "side:v1"]).await?;
        let spec = json!({"containers": [scene.container("shipper", "side:v1")?]});
        scene.create_set("logs", spec).await?;
        scene.create_pod("web", &json!({})).await?;
        let before = scene.until_ready(1).await?;
        let mut shipper = scene.container("shipper", "side:v1")?;
        shipper["env"] = json!([{"name": "LEVEL", "value": "debug"}]);
        scene
            .patch_set("logs", json!({"spec": {"containers": [shipper]}}))
            .await?;
        let says_so = |pod: &Value| {
            let conditions = pod["status"]["conditions"].as_array().into_iter().flatten();
            conditions
                .into_iter()
                .any(|one| one["type"] == "SidecarSetUpgradable" && one["status"] == "False")
        };
        let after = scene
            .until_pods("told to be not upgradable", |pods| pods.values().all(says_so))
            .await?;
        scene
            .until_status(
                "logs",
                json!({"matchedPods": 1, "updatedPods": 0, "readyPods": 1}),
            )
            .await?;
        ensure!(
            before["web"]["spec"] == after["web"]["spec"],
            "written: {:#}",
            after["web"]["spec"]
        );
        Ok(())
    })
    .await
}
