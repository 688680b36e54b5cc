//! Sidecars come with pods, on a real cluster: what new pods get, and who is told when they do not.

use anyhow::{Context, Result, ensure};
use kruise_e2e::sidecar::{Scene, annotation, containers, image_of, scene};
use kruise_e2e::{core, eventually, until};
use kube_client::Api;
use kube_core::DynamicObject;
use kube_core::params::{DeleteParams, ListParams, PostParams};
use serde_json::{Value, json};

fn one(scene: &Scene, image: &str) -> Result<Value> {
    Ok(json!({"containers": [scene.container("shipper", image)?]}))
}

#[tokio::test]
async fn a_sidecar_sees_the_volumes_and_variables_of_the_app() -> Result<()> {
    scene(async |scene| {
        scene.push(&["app:v1", "side:v1"]).await?;
        let mut spec = json!({"containers": [scene.container("shipper", "side:v1")?],
            "initContainers": [scene.container("prepare", "side:v1")?],
            "volumes": [{"name": "conf", "emptyDir": {}}]});
        spec["initContainers"][0]["args"] = json!(["sh", "-c", "echo ready >/conf/state"]);
        spec["initContainers"][0]["volumeMounts"] = json!([{"name": "conf", "mountPath": "/conf"}]);
        let shipper = &mut spec["containers"][0];
        shipper["podInjectPolicy"] = json!("AfterAppContainer");
        shipper["shareVolumePolicy"] = json!({"type": "enabled"});
        shipper["transferEnv"] = json!([{"sourceContainerName": "main", "envName": "REGION"}]);
        shipper["volumeMounts"] = json!([{"name": "conf", "mountPath": "/conf"}]);
        scene.create_set("logs", spec).await?;
        let mut main = scene.container("main", "app:v1")?;
        main["args"] = json!(["sh", "-c", "echo hello >/data/greeting; exec /app"]);
        main["env"] = json!([{"name": "POD_NAME", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}},
            {"name": "REGION", "value": "north"}]);
        main["volumeMounts"] = json!([{"name": "data", "mountPath": "/data", "subPathExpr": "of/$(POD_NAME)"}]);
        let change = json!({"spec": {"containers": [main], "volumes": [{"name": "data", "emptyDir": {}}]}});
        let made = scene.create_pod("web", &change).await?;
        ensure!(containers(&made) == ["main", "shipper"], "{:?}", containers(&made));
        scene.until_ready(1).await?;
        let look = "until [ -e /data/greeting ]; do sleep 0.1; done; cat /data/greeting /conf/state; echo $REGION $POD_NAME $IS_INJECTED";
        let said = scene
            .cluster
            .kubectl(&["exec", "-n", &scene.space, "web", "-c", "shipper", "--", "sh", "-c", look], "")
            .await?;
        ensure!(said.out == "hello\nready\nnorth web true", "{said:?}");
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_deployment_that_is_applied_together_with_its_set_gets_it() -> Result<()> {
    scene(async |scene| {
        scene.push(&["app:v1", "side:v1"]).await?;
        // A label that no other set has ever asked for.
        let mut spec = one(scene, "side:v1")?;
        spec["selector"] = json!({"matchLabels": {"first": scene.space}});
        let labels = json!({"app": "web", "first": scene.space});
        let template = json!({"metadata": {"labels": labels}, "spec": scene.pod("", &json!({}))["spec"]});
        let deployment = json!({"apiVersion": "apps/v1", "kind": "Deployment",
            "metadata": {"name": "web", "namespace": scene.space},
            "spec": {"replicas": 3, "selector": {"matchLabels": {"app": "web"}}, "template": template}});
        let list =
            json!({"apiVersion": "v1", "kind": "List", "items": [scene.manifest("logs", spec), deployment]});
        let said = scene
            .cluster
            .kubectl(&["apply", "-f", "-"], &list.to_string())
            .await?;
        ensure!(said.ok, "{}", said.err);
        for (name, pod) in scene.until_ready(3).await? {
            ensure!(
                containers(&pod) == ["shipper", "main"],
                "{name}: {:?}",
                containers(&pod)
            );
        }
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_sidecar_with_the_name_of_an_app_container_is_refused_with_both_names() -> Result<()> {
    scene(async |scene| {
        scene.push(&["app:v1", "side:v1"]).await?;
        scene.create_set("logs", one(scene, "side:v1")?).await?;
        let change = json!({"spec": {"containers": [scene.container("shipper", "app:v1")?]}});
        let told = format!("{:#}", scene.create_pod("web", &change).await.err().context("it was taken")?);
        let set = scene.name("logs");
        let wanted = format!(
            r#"SidecarSet "{set}" cannot be injected: its sidecar "shipper" has the name of the pod's container "shipper""#
        );
        ensure!(told.contains(&wanted), "{told}");
        Ok(())
    })
    .await
}

#[tokio::test]
async fn pods_of_the_managers_own_namespace_are_left_alone() -> Result<()> {
    scene(async |scene| {
        // A container that sets of other tests do not have, since this one is for all namespaces.
        let mut spec = json!({"containers": [scene.container("everywhere", "side:v1")?]});
        spec["namespaceSelector"] =
            json!({"matchExpressions": [{"key": "nobody-has-this", "operator": "DoesNotExist"}]});
        spec["selector"] = json!({"matchLabels": {"app": "web", "only": scene.space}});
        let object = serde_json::from_value(scene.manifest("all", spec))?;
        scene.sets().create(&PostParams::default(), &object).await?;
        let pod = serde_json::from_value(
            scene.pod("asked", &json!({"metadata": {"labels": {"only": scene.space}}})),
        )?;
        let params = PostParams {
            dry_run: true,
            ..PostParams::default()
        };
        let made = async |namespace: &str| {
            let pods: Api<DynamicObject> =
                Api::namespaced_with(scene.client.clone(), namespace, &core("v1", "Pod", "pods"));
            anyhow::Ok(json!(pods.create(&params, &pod).await?))
        };
        eventually("pods of the test get it", || async {
            Ok(containers(&made(&scene.space).await?) == ["everywhere", "main"])
        })
        .await?;
        for namespace in ["kruise-system", "kube-system"] {
            ensure!(
                containers(&made(namespace).await?) == ["main"],
                "a pod of {namespace} got it"
            );
        }
        Ok(())
    })
    .await
}

#[tokio::test]
async fn new_pods_get_the_revision_that_is_pinned() -> Result<()> {
    scene(async |scene| {
        scene.create_set("logs", one(scene, "side:v1")?).await?;
        let first = scene.until_status("logs", json!({"matchedPods": 0})).await?;
        let revision = first["status"]["latestRevision"]
            .as_str()
            .context("a revision")?
            .to_owned();
        scene.upgrade("logs", "side:v2").await?;
        let got = async || {
            let made = scene.create_pod("web", &json!({})).await?;
            scene
                .pods()
                .delete("web", &DeleteParams::default().grace_period(0))
                .await?;
            until(&scene.pods(), "web", "gone", |seen| seen.is_none()).await?;
            anyhow::Ok(image_of(&made, "shipper").to_owned())
        };
        let (old, new) = (scene.image("side:v1")?, scene.image("side:v2")?);
        eventually("new pods get the new image", async || Ok(got().await? == new)).await?;
        let pin = |pin: Value| json!({"spec": {"injectionStrategy": pin}});
        let missing = scene
            .patch_set("logs", pin(json!({"revision": {"revisionName": "no-such"}})))
            .await;
        let told = format!(
            "{:#}",
            missing.err().context("a revision that is not there was taken")?
        );
        ensure!(
            told.contains("spec.injectionStrategy.revision: there is no such revision"),
            "{told}"
        );
        scene
            .patch_set("logs", pin(json!({"revision": {"revisionName": revision}})))
            .await?;
        eventually("new pods get the old image", async || Ok(got().await? == old)).await?;
        scene.patch_set("logs", pin(json!({"paused": true}))).await?;
        eventually("new pods get nothing", async || Ok(got().await?.is_empty())).await
    })
    .await
}

mod alone {
    use super::*;

    #[tokio::test]
    async fn a_pod_that_slipped_through_is_reported() -> Result<()> {
        scene(async |scene| {
            scene.create_set("logs", one(scene, "side:v1")?).await?;
            scene.cluster.kruise(&["manager", "stop"]).await?;
            let slipped = scene.create_pod("slipped", &json!({})).await;
            scene.cluster.kruise(&["manager", "start"]).await?;
            ensure!(containers(&slipped?) == ["main"]);
            let events: Api<DynamicObject> =
                Api::namespaced_with(scene.client.clone(), "default", &core("v1", "Event", "events"));
            let set = scene.name("logs");
            let of_set = ListParams::default().fields(&format!("involvedObject.name={set}"));
            let wanted = format!(
                "1 pods do not have its containers: {}/slipped (the pod was created without it)",
                scene.space
            );
            eventually("an Event tells of the pod", || async {
                let events = events.list(&of_set).await?;
                Ok(events.items.iter().any(|event| {
                    event.data["message"] == wanted && event.data["reason"] == "PodsWithoutSidecars"
                }))
            })
            .await?;
            let port: u16 = scene.cluster.var("CLUSTER_PORT_BASE")?.parse()?;
            let metrics = format!("http://127.0.0.1:{}/metrics", port + 900);
            let said = scene.cluster.command("curl", &["-s", &metrics], "").await?;
            let line = format!(r#"kruise_sidecarset_pods_without_injection{{sidecarset="{set}"}} 1"#);
            ensure!(said.out.contains(&line), "{line} is not among the metrics");
            let made = scene.create_pod("whole", &json!({})).await?;
            ensure!(
                annotation(&made, "kruise.io/sidecarset-injected-list") == set,
                "{made:#}"
            );
            Ok(())
        })
        .await
    }
}
