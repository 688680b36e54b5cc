//! Admission of SidecarSets, and their two versions, on a real cluster.

use anyhow::{Context, Result, ensure};
use kruise_e2e::sidecar::{Scene, containers, scene};
use kruise_e2e::{core, eventually, kruise_kind};
use kube_client::Api;
use kube_core::DynamicObject;
use kube_core::params::{DeleteParams, Patch, PatchParams, PostParams};
use serde_json::{Value, json};

fn one(scene: &Scene) -> Result<Value> {
    Ok(json!({"containers": [scene.container("shipper", "side:v1")?]}))
}

/// What `kubectl apply` says to a manifest that it must not take.
async fn refused(scene: &Scene, manifest: &Value) -> Result<String> {
    let said = scene
        .cluster
        .kubectl(&["apply", "-f", "-"], &manifest.to_string())
        .await?;
    ensure!(!said.ok, "taken: {manifest:#}");
    Ok(said.err)
}

#[tokio::test]
async fn what_is_wrong_with_a_set_is_told_with_its_path() -> Result<()> {
    scene(async |scene| {
        scene.create_set("other", one(scene)?).await?;
        let side = |change: Value| json!([{"name": "side", "image": "side:1"}, change]);
        let mesh = |field: &str, value: Value| json!({"containers": [{"name": "mesh", "image": "mesh:1", field: value}]});
        let strategy = |strategy: Value| json!({"containers": [{"name": "mesh", "image": "mesh:1"}], "updateStrategy": strategy});
        let zone = json!({"key": "zone", "value": "a"});
        let bad = [
            ("spec.selector", json!({"selector": {}, "containers": [{"name": "mesh", "image": "mesh:1"}]})),
            ("spec.containers", json!({"containers": []})),
            ("spec.containers[1].image", json!({"containers": side(json!({"name": "mesh"}))})),
            ("spec.containers[1].name", json!({"containers": side(json!({"name": "side", "image": "side:1"}))})),
            ("spec.containers[0].volumeMounts[0].name", mesh("volumeMounts", json!([{"name": "conf", "mountPath": "/conf"}]))),
            ("spec.containers[0].podInjectPolicy", mesh("podInjectPolicy", json!("BetweenAppContainers"))),
            ("spec.containers[0].shareVolumePolicy.type", mesh("shareVolumePolicy", json!({"type": "sometimes"}))),
            ("spec.containers[0].upgradeStrategy.hotUpgradeEmptyImage", mesh("upgradeStrategy", json!({"upgradeType": "HotUpgrade"}))),
            ("spec.containers[0].resources.requests[cpu]", mesh("resources", json!({"requests": {"cpu": "2"}, "limits": {"cpu": "1"}}))),
            ("spec.updateStrategy.maxUnavailable", strategy(json!({"maxUnavailable": "many"}))),
            ("spec.updateStrategy.partition", strategy(json!({"partition": -1}))),
            ("spec.updateStrategy.partition", strategy(json!({"partition": 1, "selector": {"matchLabels": {"a": "b"}}}))),
            ("spec.updateStrategy.scatterStrategy[1]", strategy(json!({"scatterStrategy": [zone, zone]}))),
            ("spec.updateStrategy.priorityStrategy", strategy(json!({"priorityStrategy": {
                "orderPriority": [{"orderedKey": "k"}], "weightPriority": [{"weight": 1, "matchSelector": {"matchLabels": {"a": "b"}}}]}}))),
            ("spec.initContainers[0].restartPolicy", json!({"initContainers": [{"name": "mesh", "image": "mesh:1", "restartPolicy": "Always"}]})),
            ("spec.patchPodMetadata[0].annotations[example.com/a]", json!({"containers": [{"name": "mesh", "image": "mesh:1"}],
                "patchPodMetadata": [{"annotations": {"example.com/a": "b"}, "patchPolicy": "Retain"}]})),
            ("spec.containers[0].name", one(scene)?),
        ];
        for (path, spec) in bad {
            let told = refused(scene, &scene.manifest("bad", spec)).await?;
            ensure!(told.contains(&format!("{path}: ")), "{path}: {told}");
            if path == "spec.containers[0].name" {
                ensure!(told.contains(&scene.name("other")), "the other set is not named: {told}");
            }
        }
        let mut named = scene.manifest("bad", one(scene)?);
        named["metadata"]["name"] = json!(format!("{}.dot", scene.space));
        let told = refused(scene, &named).await?;
        ensure!(told.contains("metadata.name: "), "{told}");
        Ok(())
    })
    .await
}

#[tokio::test]
async fn both_versions_show_the_same_set() -> Result<()> {
    scene(async |scene| {
        scene.create_set("logs", one(scene)?).await?;
        let name = scene.name("logs");
        let mut kind = kruise_kind("SidecarSet");
        kind.version = "v1beta1".into();
        kind.api_version = "apps.kruise.io/v1beta1".into();
        let younger: Api<DynamicObject> = Api::all_with(scene.client.clone(), &kind);
        let seen = younger.get(&name).await?;
        ensure!(seen.data["spec"].get("namespace").is_none(), "{:#}", seen.data);
        let pause = Patch::Merge(json!({"spec": {"updateStrategy": {"paused": true}}}));
        younger.patch(&name, &PatchParams::default(), &pause).await?;
        let seen = scene.sets().get(&name).await?;
        let spec = &seen.data["spec"];
        ensure!(
            spec["namespace"] == scene.space && spec["updateStrategy"]["paused"] == true,
            "{spec:#}"
        );
        // Whoever keeps the older manifest applies it again.
        let manifest = scene.manifest("logs", one(scene)?).to_string();
        let said = scene.cluster.kubectl(&["apply", "-f", "-"], &manifest).await?;
        ensure!(said.ok, "{}", said.err);
        scene.until_injected("logs").await?;
        // Written in the younger version, read in the older one.
        let mut manifest = scene.manifest(
            "young",
            json!({"namespaceSelector": {"matchLabels": {"team": "a"}},
            "containers": [{"name": "mesh", "image": "mesh:1"}]}),
        );
        manifest["apiVersion"] = json!("apps.kruise.io/v1beta1");
        younger
            .create(&PostParams::default(), &serde_json::from_value(manifest)?)
            .await?;
        let seen = scene.sets().get(&scene.name("young")).await?;
        ensure!(
            seen.data["spec"]["namespaceSelector"]["matchLabels"]["team"] == "a",
            "{:#}",
            seen.data
        );
        // A manifest in the younger version is judged by the same rules.
        let mut bad = scene.manifest(
            "bad",
            json!({"namespaceSelector": {"matchLabels": {"team": "a"}}, "containers": []}),
        );
        bad["apiVersion"] = json!("apps.kruise.io/v1beta1");
        let told = refused(scene, &bad).await?;
        ensure!(told.contains("spec.containers: "), "{told}");
        scene.until_status("logs", json!({"matchedPods": 0})).await?;
        for resource in ["sidecarsets", "sidecarsets.v1alpha1.apps.kruise.io"] {
            let shown = scene.cluster.kubectl(&["get", resource, &name], "").await?;
            let words: Vec<&str> = shown.out.split_whitespace().collect();
            ensure!(
                words[..9] == ["NAME", "MATCHED", "UPDATED", "READY", "AGE", &name, "0", "0", "0"],
                "{}",
                shown.out
            );
        }
        Ok(())
    })
    .await
}

mod alone {
    use super::*;

    #[tokio::test]
    async fn openkruises_configmap_says_which_annotations_sets_may_patch() -> Result<()> {
        scene(async |scene| {
        let maps: Api<DynamicObject> =
            Api::namespaced_with(scene.client.clone(), "kruise-system", &core("v1", "ConfigMap", "configmaps"));
        let rules = r#"{"rules": [{"allowedAnnotationKeyExprs": ["^example.com/"]}]}"#;
        let map = json!({"metadata": {"name": "kruise-configuration"}, "data": {"SidecarSet_PatchPodMetadata_WhiteList": rules}});
        maps.create(&PostParams::default(), &serde_json::from_value(map)?).await?;
        let mut spec = one(scene)?;
        spec["patchPodMetadata"] = json!([{"annotations": {"example.com/a": "b"}, "patchPolicy": "Retain"}]);
        let set = serde_json::from_value(scene.manifest("logs", spec))?;
        let sets = scene.sets();
        let done = eventually("the set is taken", || async { Ok(sets.create(&PostParams::default(), &set).await.is_ok()) }).await;
        maps.delete("kruise-configuration", &DeleteParams::default()).await?;
        done?;
        scene.until_injected("logs").await?;
        let made = scene.create_pod("web", &json!({})).await?;
        ensure!(made["metadata"]["annotations"]["example.com/a"] == "b", "{made:#}");
        Ok(())
    })
    .await
    }

    #[tokio::test]
    async fn without_the_pod_webhook_sets_are_refused_and_what_is_there_can_go() -> Result<()> {
        scene(async |scene| {
            scene.create_set("logs", one(scene)?).await?;
            scene.cluster.kruise(&["manager", "stop"]).await?;
            let started = scene
                .cluster
                .kruise_with(
                    "KRUISE_MANAGER_ARGS=--feature-gates=PodWebhook=false",
                    &["manager", "start"],
                )
                .await;
            let tried = async {
                started?;
                let told = refused(scene, &scene.manifest("new", one(scene)?)).await?;
                ensure!(
                    told.contains("the feature gate PodWebhook is off, so no pod would be injected"),
                    "{told}"
                );
                let changed = scene.upgrade("logs", "side:v2").await;
                ensure!(format!("{:#}", changed.err().context("taken")?).contains("PodWebhook is off"));
                let made = scene.create_pod("web", &json!({})).await?;
                ensure!(containers(&made) == ["main"], "{:?}", containers(&made));
                let hooks = scene
                    .cluster
                    .kubectl(
                        &[
                            "get",
                            "mutatingwebhookconfigurations",
                            "-o",
                            "jsonpath={..webhooks[*].name}",
                        ],
                        "",
                    )
                    .await?;
                ensure!(hooks.ok && !hooks.out.contains("mpod.kb.io"), "{hooks:?}");
                // Read, written in metadata, deleted.
                scene
                .patch_set(
                    "logs",
                    json!({"metadata": {"labels": {"seen": "yes"}, "finalizers": ["e2e.kruise.io/wait"]}}),
                )
                .await?;
                scene
                    .sets()
                    .delete(&scene.name("logs"), &DeleteParams::default())
                    .await?;
                scene
                    .patch_set("logs", json!({"metadata": {"finalizers": null}}))
                    .await?;
                ensure!(scene.sets().get_opt(&scene.name("logs")).await?.is_none());
                Ok(())
            };
            let tried = tried.await;
            scene.cluster.kruise(&["manager", "stop"]).await?;
            scene.cluster.kruise(&["manager", "start"]).await?;
            tried
        })
        .await
    }
}
