//! ImagePullJob and NodeImage on a real cluster: real kubelets' nodes, real containerd, real registry, our programs.

use anyhow::{Context, Result, ensure};
use futures::StreamExt;
use kruise_e2e::{Cluster, TestNamespace, create_job, jobs, node_images, tag_status, until, until_complete};
use kube_core::params::{DeleteParams, Patch, PatchParams};
use serde_json::json;

#[tokio::test]
async fn every_node_has_a_nodeimage_with_the_nodes_labels() -> Result<()> {
    let cluster = Cluster::load().await?;
    let client = cluster.client().await?;
    for node in cluster.nodes()? {
        until(
            &node_images(&client),
            &node,
            "there with the node's host name label",
            |seen| {
                seen.is_some_and(|seen| seen["metadata"]["labels"]["kubernetes.io/hostname"] == node.as_str())
            },
        )
        .await?;
        let said = cluster
            .kubectl(
                &["label", "node", &node, "e2e.kruise.io/pool=blue", "--overwrite"],
                "",
            )
            .await?;
        ensure!(said.ok, "{}", said.err);
        until(&node_images(&client), &node, "labelled like its node", |seen| {
            seen.is_some_and(|seen| seen["metadata"]["labels"]["e2e.kruise.io/pool"] == "blue")
        })
        .await?;
        let said = cluster
            .kubectl(&["label", "node", &node, "e2e.kruise.io/pool-"], "")
            .await?;
        ensure!(said.ok, "{}", said.err);
        until(&node_images(&client), &node, "without the label again", |seen| {
            seen.is_some_and(|seen| seen["metadata"]["labels"].get("e2e.kruise.io/pool").is_none())
        })
        .await?;
    }
    Ok(())
}

#[tokio::test]
async fn a_job_pulls_its_image_on_every_node() -> Result<()> {
    let cluster = Cluster::load().await?;
    let client = cluster.client().await?;
    let space = TestNamespace::create(&client).await?;
    let image = format!("e2e/all:{}", space.name);
    cluster.push(&image, &[]).await?;
    let api = jobs(&client, &space.name);
    let nodes = cluster.nodes()?;

    let spec =
        json!({"image": cluster.image(&image)?, "parallelism": 10, "completionPolicy": {"type": "Always"}});
    create_job(&api, "all", spec).await?;
    let job = until_complete(&api, "all").await?;

    let status = &job["status"];
    ensure!(
        status["desired"] == nodes.len() && status["succeeded"] == nodes.len(),
        "{status:#}"
    );
    ensure!(status["failed"] == 0 && status["active"] == 0, "{status:#}");
    ensure!(status["message"] == "job has completed", "{status:#}");
    ensure!(status["startTime"].is_string(), "{status:#}");
    for node in &nodes {
        ensure!(
            cluster.has_image(node, &image).await?,
            "{node} does not have {image}"
        );
    }
    let table = cluster
        .kubectl(&["get", "imagepulljobs", "-n", &space.name], "")
        .await?
        .out;
    let (header, row) = table.split_once('\n').context("a table of one job")?;
    let columns: Vec<&str> = header.split_whitespace().collect();
    ensure!(
        columns == ["NAME", "TOTAL", "ACTIVE", "SUCCEED", "FAILED", "AGE", "MESSAGE"],
        "{header}"
    );
    ensure!(row.ends_with("job has completed"), "{row}");
    // What the nodes did is told where users look for it.
    let said = cluster.kubectl(&["describe", "nodeimage", &nodes[0]], "").await?;
    ensure!(said.out.contains("PullImageSucceed"), "{}", said.out);
    space.remove().await
}

#[tokio::test]
async fn selector_names_pull_on_the_named_nodes_only() -> Result<()> {
    let cluster = Cluster::load().await?;
    let client = cluster.client().await?;
    let space = TestNamespace::create(&client).await?;
    let image = format!("e2e/one:{}", space.name);
    cluster.push(&image, &[]).await?;
    let api = jobs(&client, &space.name);
    let nodes = cluster.nodes()?;
    let first = nodes.first().context("a node")?;

    let spec = json!({"image": cluster.image(&image)?, "parallelism": 10, "selector": {"names": [first, "no-such-node"]},
        "completionPolicy": {"type": "Always"}});
    create_job(&api, "one", spec).await?;
    let job = until_complete(&api, "one").await?;

    ensure!(
        job["status"]["desired"] == 1 && job["status"]["succeeded"] == 1,
        "{:#}",
        job["status"]
    );
    ensure!(cluster.has_image(first, &image).await?);
    for other in nodes.iter().skip(1) {
        ensure!(!cluster.has_image(other, &image).await?, "{other} pulled too");
    }
    space.remove().await
}

#[tokio::test]
async fn selector_labels_pull_on_the_matching_nodes_only() -> Result<()> {
    let cluster = Cluster::load().await?;
    let client = cluster.client().await?;
    let space = TestNamespace::create(&client).await?;
    let image = format!("e2e/labels:{}", space.name);
    cluster.push(&image, &[]).await?;
    let api = jobs(&client, &space.name);
    let nodes = cluster.nodes()?;
    let last = nodes.last().context("a node")?;

    let spec = json!({"image": cluster.image(&image)?, "selector": {"matchLabels": {"kubernetes.io/hostname": last},
        "matchExpressions": [{"key": "kubernetes.io/os", "operator": "In", "values": ["linux"]}]},
        "completionPolicy": {"type": "Always"}});
    create_job(&api, "labels", spec).await?;
    let job = until_complete(&api, "labels").await?;

    ensure!(
        job["status"]["desired"] == 1 && job["status"]["succeeded"] == 1,
        "{:#}",
        job["status"]
    );
    ensure!(cluster.has_image(last, &image).await?);
    space.remove().await
}

#[tokio::test]
async fn an_image_missing_in_the_registry_ends_the_job_with_failed_nodes_and_the_reason() -> Result<()> {
    let cluster = Cluster::load().await?;
    let client = cluster.client().await?;
    let space = TestNamespace::create(&client).await?;
    let api = jobs(&client, &space.name);

    let spec = json!({"image": cluster.image("e2e/nobody-pushed-this:1")?, "parallelism": 10, "pullPolicy": {"backoffLimit": 1},
        "completionPolicy": {"type": "Always"}});
    create_job(&api, "missing", spec).await?;
    let job = until_complete(&api, "missing").await?;

    let mut nodes = cluster.nodes()?;
    nodes.sort();
    ensure!(
        job["status"]["failedNodes"] == json!(nodes),
        "{:#}",
        job["status"]
    );
    ensure!(job["status"]["failed"] == nodes.len(), "{:#}", job["status"]);
    // The reason: on the NodeImage, and in what `kubectl describe` shows of the job.
    for node in &nodes {
        let node_image = until(&node_images(&client), node, "failed", |seen| {
            seen.and_then(|seen| tag_status(seen, &cluster.image("e2e/nobody-pushed-this").ok()?, "1"))
                .is_some_and(|status| status["phase"] == "Failed")
        })
        .await?;
        let status = tag_status(&node_image, &cluster.image("e2e/nobody-pushed-this")?, "1")
            .context("a tag status")?;
        let message = status["message"].as_str().unwrap_or_default();
        ensure!(message.contains("not found"), "{node}: {message}");
    }
    let events =
        kube_client::Api::<k8s_openapi::api::core::v1::Event>::namespaced(client.clone(), &space.name);
    let mut watch = std::pin::pin!(kube_runtime::WatchStreamExt::applied_objects(
        kube_runtime::watcher(events, Default::default())
    ));
    tokio::time::timeout(kruise_e2e::PATIENCE, async {
        while let Some(event) = watch.next().await {
            let event = event?;
            if event.type_.as_deref() == Some("Warning")
                && event.involved_object.name.as_deref() == Some("missing")
                && event
                    .message
                    .as_deref()
                    .is_some_and(|message| message.contains("not found"))
            {
                return Ok(());
            }
        }
        anyhow::bail!("the event watch ended")
    })
    .await
    .context("no Warning event on the job says why")??;
    space.remove().await
}

#[tokio::test]
async fn bad_manifests_are_refused_with_the_path_of_the_field() -> Result<()> {
    let cluster = Cluster::load().await?;
    let client = cluster.client().await?;
    let space = TestNamespace::create(&client).await?;
    let cases = [
        (
            "no image",
            json!({"completionPolicy": {"type": "Always"}}),
            "spec.image",
        ),
        (
            "an empty image",
            json!({"image": "", "completionPolicy": {"type": "Always"}}),
            "spec.image",
        ),
        (
            "an image that cannot be parsed",
            json!({"image": "http://x/y", "completionPolicy": {}}),
            "spec.image",
        ),
        (
            "an unknown completion type",
            json!({"image": "nginx", "completionPolicy": {"type": "Sometimes"}}),
            "spec.completionPolicy.type",
        ),
        (
            "names with matchLabels",
            json!({"image": "nginx", "completionPolicy": {"type": "Always"}, "selector": {"names": ["a"], "matchLabels": {"a": "b"}}}),
            "spec.selector",
        ),
        (
            "a percentage",
            json!({"image": "nginx", "completionPolicy": {}, "parallelism": "10%"}),
            "spec.parallelism",
        ),
        (
            "an expression without values",
            json!({"image": "nginx", "selector": {"matchExpressions": [{"key": "a", "operator": "In"}]}}),
            "spec.selector.matchExpressions[0].values",
        ),
        (
            "pods and nodes",
            json!({"image": "nginx", "selector": {}, "podSelector": {}}),
            "spec.podSelector",
        ),
        (
            "a deadline that is shorter than one attempt",
            json!({"image": "nginx", "completionPolicy": {"activeDeadlineSeconds": 10}}),
            "spec.completionPolicy.activeDeadlineSeconds",
        ),
        ("a list without images", json!({"images": []}), "spec.images"),
        (
            "a list that names an image twice",
            json!({"images": ["nginx", "redis", "nginx"]}),
            "spec.images[2]",
        ),
        (
            "a deadline on Never",
            json!({"image": "nginx", "completionPolicy": {"type": "Never", "activeDeadlineSeconds": 5}}),
            "spec.completionPolicy",
        ),
    ];
    for (what, spec, path) in cases {
        let kind = if spec["images"].is_array() {
            "ImageListPullJob"
        } else {
            "ImagePullJob"
        };
        let manifest = json!({"apiVersion": "apps.kruise.io/v1alpha1", "kind": kind,
            "metadata": {"name": "bad", "namespace": space.name}, "spec": spec});
        // --validate=false: the server has to refuse it, not kubectl.
        let said = cluster
            .kubectl(&["apply", "--validate=false", "-f", "-"], &manifest.to_string())
            .await?;
        ensure!(!said.ok, "{what} was accepted");
        ensure!(said.err.contains(path), "{what}: {}", said.err);
    }
    space.remove().await
}

#[tokio::test]
async fn parallelism_one_never_has_two_nodes_pulling() -> Result<()> {
    let cluster = Cluster::load().await?;
    let client = cluster.client().await?;
    let space = TestNamespace::create(&client).await?;
    let image = format!("e2e/serial:{}", space.name);
    cluster.push(&image, &["--size", "24"]).await?;
    let (name, tag) = (cluster.image("e2e/serial")?, space.name.clone());

    // Every state that any NodeImage goes through, from before the job exists to after it is complete.
    let watched = node_images(&client);
    let mut states = std::pin::pin!(kube_runtime::WatchStreamExt::applied_objects(
        kube_runtime::watcher(watched, Default::default())
    ));
    let api = jobs(&client, &space.name);
    let spec = json!({"image": cluster.image(&image)?, "completionPolicy": {"type": "Always"}});
    create_job(&api, "serial", spec).await?;
    let mut finish = std::pin::pin!(until_complete(&api, "serial"));
    let mut unfinished = std::collections::BTreeSet::new();
    let mut most = 0;
    loop {
        tokio::select! {
            done = &mut finish => { done?; break }
            Some(state) = states.next() => {
                let state = serde_json::to_value(state?)?;
                let node = state["metadata"]["name"].as_str().unwrap_or_default().to_owned();
                let in_spec = state["spec"]["images"][&name]["tags"].as_array().is_some_and(|tags| tags.iter().any(|entry| entry["tag"] == tag.as_str()));
                let ended = tag_status(&state, &name, &tag).is_some_and(|status| status["completionTime"].is_string());
                if in_spec && !ended { unfinished.insert(node); } else { unfinished.remove(&node); }
                most = most.max(unfinished.len());
            }
        }
    }
    ensure!(most == 1, "{most} nodes were at work at once");
    space.remove().await
}

#[tokio::test]
async fn a_digest_is_pulled_and_two_jobs_share_one_image() -> Result<()> {
    let cluster = Cluster::load().await?;
    let client = cluster.client().await?;
    let space = TestNamespace::create(&client).await?;
    let digest = cluster.push(&format!("e2e/digest:{}", space.name), &[]).await?;
    let api = jobs(&client, &space.name);
    let spec = json!({"image": format!("{}@{digest}", cluster.image("e2e/digest")?), "parallelism": 10, "completionPolicy": {"type": "Always"}});
    for name in ["first", "second"] {
        create_job(&api, name, spec.clone()).await?;
    }
    for name in ["first", "second"] {
        let job = until_complete(&api, name).await?;
        ensure!(job["status"]["failed"] == 0, "{:#}", job["status"]);
    }
    space.remove().await
}

#[tokio::test]
async fn a_deleted_job_leaves_the_nodeimages() -> Result<()> {
    let cluster = Cluster::load().await?;
    let client = cluster.client().await?;
    let space = TestNamespace::create(&client).await?;
    let image = format!("e2e/gone:{}", space.name);
    cluster.push(&image, &[]).await?;
    let name = cluster.image("e2e/gone")?;
    let api = jobs(&client, &space.name);
    create_job(
        &api,
        "gone",
        json!({"image": cluster.image(&image)?, "parallelism": 10, "completionPolicy": {"type": "Always"}}),
    )
    .await?;
    until_complete(&api, "gone").await?;
    api.delete("gone", &DeleteParams::default()).await?;
    for node in cluster.nodes()? {
        until(&node_images(&client), &node, "rid of the job's image", |seen| {
            seen.is_some_and(|seen| {
                seen["spec"]["images"].get(&name).is_none()
                    && seen["status"]["imageStatuses"].get(&name).is_none()
            })
        })
        .await?;
    }
    space.remove().await
}

#[tokio::test]
async fn a_finished_job_is_deleted_after_its_ttl() -> Result<()> {
    let cluster = Cluster::load().await?;
    let client = cluster.client().await?;
    let space = TestNamespace::create(&client).await?;
    let image = format!("e2e/ttl:{}", space.name);
    cluster.push(&image, &[]).await?;
    let api = jobs(&client, &space.name);
    let spec = json!({"image": cluster.image(&image)?, "parallelism": 10, "completionPolicy": {"type": "Always", "ttlSecondsAfterFinished": 1}});
    create_job(&api, "ttl", spec).await?;
    until_complete(&api, "ttl").await?;
    until(&api, "ttl", "deleted", |seen| seen.is_none()).await?;
    space.remove().await
}

#[tokio::test]
async fn parallelism_zero_pauses_until_it_is_raised() -> Result<()> {
    let cluster = Cluster::load().await?;
    let client = cluster.client().await?;
    let space = TestNamespace::create(&client).await?;
    let image = format!("e2e/paused:{}", space.name);
    cluster.push(&image, &[]).await?;
    let api = jobs(&client, &space.name);
    create_job(
        &api,
        "paused",
        json!({"image": cluster.image(&image)?, "parallelism": 0, "completionPolicy": {"type": "Always"}}),
    )
    .await?;
    let job = until(&api, "paused", "counted", |seen| {
        seen.is_some_and(|seen| seen["status"]["desired"].as_u64() > Some(0))
    })
    .await?;
    ensure!(
        job["status"]["active"] == 0 && job["status"]["message"] == "job is running, progress 0.0%",
        "{:#}",
        job["status"]
    );
    api.patch(
        "paused",
        &PatchParams::default(),
        &Patch::Merge(json!({"spec": {"parallelism": "5"}})),
    )
    .await?;
    let job = until_complete(&api, "paused").await?;
    ensure!(
        job["status"]["succeeded"] == cluster.nodes()?.len(),
        "{:#}",
        job["status"]
    );
    space.remove().await
}

mod alone {
    use super::*;

    #[tokio::test]
    async fn a_killed_daemon_pulls_again_when_it_is_back() -> Result<()> {
        let cluster = Cluster::load().await?;
        let client = cluster.client().await?;
        let space = TestNamespace::create(&client).await?;
        let image = format!("e2e/killed:{}", space.name);
        cluster.push(&image, &["--size", "64", "--layers", "4"]).await?;
        let (name, tag) = (cluster.image("e2e/killed")?, space.name.clone());
        let nodes = cluster.nodes()?;
        let node = nodes.first().context("a node")?;
        let api = jobs(&client, &space.name);
        let spec = json!({"image": cluster.image(&image)?, "selector": {"names": [node]}, "completionPolicy": {"type": "Always"}});
        create_job(&api, "killed", spec).await?;
        until(&node_images(&client), node, "pulling", |seen| {
            seen.is_some_and(|seen| tag_status(seen, &name, &tag).is_some())
        })
        .await?;
        cluster.kruise(&["daemon", "kill", node]).await?;
        cluster.kruise(&["daemon", "start", node]).await?;
        let job = until_complete(&api, "killed").await?;
        ensure!(job["status"]["succeeded"] == 1, "{:#}", job["status"]);
        ensure!(cluster.has_image(node, &image).await?);
        space.remove().await
    }

    #[tokio::test]
    async fn a_killed_manager_finishes_the_job_when_it_is_back() -> Result<()> {
        let cluster = Cluster::load().await?;
        let client = cluster.client().await?;
        let space = TestNamespace::create(&client).await?;
        let image = format!("e2e/manager:{}", space.name);
        cluster.push(&image, &["--size", "16"]).await?;
        let api = jobs(&client, &space.name);
        create_job(
            &api,
            "job",
            json!({"image": cluster.image(&image)?, "completionPolicy": {"type": "Always"}}),
        )
        .await?;
        until(&api, "job", "started", |seen| {
            seen.is_some_and(|seen| seen["status"]["startTime"].is_string())
        })
        .await?;
        cluster.kruise(&["manager", "kill"]).await?;
        cluster.kruise(&["manager", "start"]).await?;
        let job = until_complete(&api, "job").await?;
        ensure!(
            job["status"]["succeeded"] == cluster.nodes()?.len(),
            "{:#}",
            job["status"]
        );
        space.remove().await
    }

    #[tokio::test]
    async fn a_node_added_and_removed_takes_its_nodeimage_along() -> Result<()> {
        let cluster = Cluster::load().await?;
        if !cluster.may_be_stopped()? {
            return Ok(());
        }
        let client = cluster.client().await?;
        let api = node_images(&client);
        let before = cluster.nodes()?;
        cluster.cluster(&["node", "add"]).await?;
        let now = Cluster::load().await?.nodes()?;
        let added = now
            .iter()
            .find(|node| !before.contains(node))
            .context("a node was added")?;
        let made = until(&api, added, "made", |seen| seen.is_some()).await;
        cluster.cluster(&["node", "remove", added]).await?;
        made?;
        until(&api, added, "deleted", |seen| seen.is_none()).await?;
        Ok(())
    }
}
