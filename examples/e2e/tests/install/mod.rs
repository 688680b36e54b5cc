//! What installs anew, upgrades, takes away and puts back. These run one after the other, on a cluster of their own.

mod moving_over;

use kruise_e2e::sidecar::{Scene, image_of, scene};

use super::*;

/// What the chart installs outside of namespaces, but for what stays.
const OF_CLUSTER: &str =
    "clusterroles,clusterrolebindings,mutatingwebhookconfigurations,validatingwebhookconfigurations";

#[tokio::test]
async fn an_upgrade_rolls_the_pods_and_keeps_jobs_and_definitions() -> Result<()> {
    let Some((cluster, client)) = deployed().await? else {
        return Ok(());
    };
    let space = TestNamespace::create(&client).await?;
    let image = format!("e2e/upgrade:{}", space.name);
    cluster.push(&image, &[]).await?;
    let api = jobs(&client, &space.name);
    create_job(&api, "job", spec(&cluster.image(&image)?)).await?;
    let job = until_complete(&api, "job").await?;
    let (managers, daemons) = (
        names(&pods(&client, MANAGER).await?),
        names(&pods(&client, DAEMON).await?),
    );
    let definitions = definitions(&cluster).await?;

    let up = [
        "up",
        "--set",
        "manager.log.level=3",
        "--set",
        "daemon.log.level=3",
    ];
    cluster.deploy(&up).await?;
    for (program, before) in [(MANAGER, managers), (DAEMON, daemons)] {
        let now = names(&pods(&client, program).await?);
        ensure!(now.len() == before.len(), "{before:?}, then {now:?}");
        ensure!(
            !now.iter().any(|pod| before.contains(pod)),
            "{program} was not rolled"
        );
    }
    let after = api.get("job").await?;
    ensure!(after.metadata.uid.as_deref() == job["metadata"]["uid"].as_str());
    ensure!(after.data["status"]["completionTime"] == job["status"]["completionTime"]);
    ensure!(
        self::definitions(&cluster).await? == definitions,
        "CRDs were touched"
    );
    // Not even for the minute after which a manager looks at them.
    cluster.deploy(&up).await?;
    ensure!(
        self::definitions(&cluster).await? == definitions,
        "CRDs were touched for a moment"
    );
    // And they work.
    create_job(&api, "again", spec(&cluster.image(&image)?)).await?;
    until_complete(&api, "again").await?;
    space.remove().await
}

#[tokio::test]
async fn with_gates_off_nothing_runs_on_nodes_jobs_are_refused_and_pods_are_left_alone() -> Result<()> {
    let Some((cluster, client)) = deployed().await? else {
        return Ok(());
    };
    let space = TestNamespace::create(&client).await?;
    let api = jobs(&client, &space.name);
    create_job(&api, "old", spec(&cluster.image("e2e/old:1")?)).await?;
    cluster
        .deploy(&[
            "up",
            "--set",
            r"featureGates=KruiseDaemon=false\,PodWebhook=false",
        ])
        .await?;
    let daemons: Api<DaemonSet> = Api::namespaced(client.clone(), NAMESPACE);
    ensure!(
        daemons.get_opt(DAEMON).await?.is_none(),
        "the DaemonSet is still there"
    );
    // The last of the replicas with other gates may answer for a moment.
    let object = json!({"apiVersion": "apps.kruise.io/v1alpha1", "kind": "ImagePullJob",
        "metadata": {"name": "new"}, "spec": spec(&cluster.image("e2e/new:1")?)});
    let (object, dry) = (
        serde_json::from_value(object)?,
        PostParams {
            dry_run: true,
            ..Default::default()
        },
    );
    eventually("new jobs are refused", || async {
        match api.create(&dry, &object).await {
            Ok(_) => Ok(false),
            Err(kube_client::Error::Api(status)) => Ok(status
                .message
                .contains("the feature gate KruiseDaemon is off, so no node would pull")),
            Err(error) => Err(error.into()),
        }
    })
    .await?;
    eventually("no webhook for pods", || async {
        let get = [
            "get",
            "mutatingwebhookconfigurations",
            "-o",
            "jsonpath={..resources}",
        ];
        let said = cluster.kubectl(&get, "").await?;
        Ok(said.ok && !said.out.contains(r#""pods""#))
    })
    .await?;
    ensure!(api.get_opt("old").await?.is_some(), "a job is gone");
    api.delete("old", &DeleteParams::default()).await?;
    cluster.deploy(&["up"]).await?;
    space.remove().await
}

/// The SidecarSet of a scene, with the image of its sidecar and the name of this version of it.
fn version(scene: &Scene, image: &str, version: &str) -> Result<Value> {
    let mut set = scene.manifest(
        "logs",
        json!({"containers": [scene.container("shipper", image)?]}),
    );
    set["metadata"]["labels"] = json!({"apps.kruise.io/sidecarset-custom-version": version});
    Ok(set)
}

/// A set that names a revision needs the history, which is in the namespace of the manager.
#[tokio::test]
async fn uninstalled_it_leaves_definitions_objects_and_history_and_is_installed_over_them() -> Result<()> {
    if deployed().await?.is_none() {
        return Ok(());
    }
    scene(async |scene| {
        let cluster = &scene.cluster;
        let image = format!("e2e/kept:{}", scene.space);
        cluster.push(&image, &[]).await?;
        let api = jobs(&scene.client, &scene.space);
        create_job(&api, "job", spec(&cluster.image(&image)?)).await?;
        let (sets, name) = (scene.sets(), scene.name("logs"));
        let first = serde_json::from_value(version(scene, "side:v1", "one")?)?;
        sets.create(&PostParams::default(), &first).await?;
        scene.until_injected("logs").await?;
        let mut second = version(scene, "side:v2", "two")?;
        second["spec"]["injectionStrategy"] = json!({"revision": {"customVersion": "one"}});
        let second = Patch::Merge(second);
        eventually("the first version has a revision", || async {
            match sets.patch(&name, &PatchParams::default(), &second).await {
                Ok(_) => Ok(true),
                Err(kube_client::Error::Api(status)) if status.message.contains("no such revision") => {
                    Ok(false)
                }
                Err(error) => Err(error.into()),
            }
        })
        .await?;
        let job = until_complete(&api, "job").await?;
        let before = definitions(cluster).await?;
        ensure!(!before.is_empty(), "no definitions");

        cluster.deploy(&["down"]).await?;
        let get = [
            "get",
            OF_CLUSTER,
            "-l",
            "app.kubernetes.io/instance=kruise",
            "-o",
            "name",
        ];
        let left = cluster.kubectl(&get, "").await?;
        ensure!(left.ok && left.out.is_empty(), "left over: {}", left.out);
        // Without what kubectl remembers of versions.
        let forgetful = tempfile::tempdir()?;
        let cache = format!("--cache-dir={}", forgetful.path().display());
        let get = ["get", "sidecarsets", &name, "-o", "name", &cache];
        let set = cluster.kubectl(&get, "").await?;
        ensure!(set.ok, "sets can only be read with a manager: {}", set.err);
        // The names alone: who converted is gone as well.
        let names = |all: &[Value]| -> Vec<Value> { all.iter().map(|one| one[1].clone()).collect() };
        ensure!(
            names(&definitions(cluster).await?) == names(&before),
            "definitions are gone"
        );
        let kept = api.get("job").await?;
        ensure!(kept.metadata.uid.as_deref() == job["metadata"]["uid"].as_str());

        cluster.deploy(&["up"]).await?;
        let newer = ["get", "sidecarsets.v1beta1.apps.kruise.io", &name, "-o", "name"];
        let set = cluster.kubectl(&newer, "").await?;
        ensure!(set.ok, "nobody converts: {}", set.err);
        let kept = api.get("job").await?;
        ensure!(kept.data["status"]["completionTime"] == job["status"]["completionTime"]);
        create_job(&api, "again", spec(&cluster.image(&image)?)).await?;
        until_complete(&api, "again").await?;
        scene.until_injected("logs").await?;
        let pod = scene.create_pod("late", &json!({})).await?;
        ensure!(
            image_of(&pod, "shipper") == scene.image("side:v1")?,
            "{:#}",
            pod["spec"]
        );
        Ok(())
    })
    .await
}
