//! What happens to ImagePullJobs besides going well, on a real cluster.

use anyhow::{Context, Result, ensure};
use k8s_openapi::api::core::v1::Secret;
use kruise_e2e::{
    Cluster, TestNamespace, create_job, eventually, jobs, kruise_kind, node_images, tag_status, until,
    until_complete,
};
use kube_client::Api;
use kube_core::params::{DeleteParams, Patch, PatchParams, PostParams};
use serde_json::{Value, json};

/// The manifest of a pull secret for the registry that asks for a password.
fn pull_secret(cluster: &Cluster, name: &str, password: &str) -> Result<Secret> {
    let auth = json!({"username": cluster.var("CLUSTER_REGISTRY_USER")?, "password": password});
    let config = json!({"auths": {cluster.var("CLUSTER_REGISTRY_AUTH")?: auth}});
    Ok(serde_json::from_value(
        json!({"metadata": {"name": name}, "type": "kubernetes.io/dockerconfigjson",
        "stringData": {".dockerconfigjson": config.to_string()}}),
    )?)
}

#[tokio::test]
async fn a_private_image_needs_its_secret_whose_copy_goes_with_the_job() -> Result<()> {
    let cluster = Cluster::load().await?;
    if !cluster.may_be_stopped()? {
        return Ok(());
    }
    let client = cluster.client().await?;
    let space = TestNamespace::create(&client).await?;
    let image = format!("e2e/private:{}", space.name);
    cluster.push(&image, &[]).await?;
    let image = format!("{}/{image}", cluster.var("CLUSTER_REGISTRY_AUTH")?);
    let secrets: Api<Secret> = Api::namespaced(client.clone(), &space.name);
    let copies: Api<Secret> = Api::namespaced(client.clone(), "kruise-daemon-config");
    let right = cluster.var("CLUSTER_REGISTRY_PASSWORD")?.to_owned();
    for (name, password) in [("right", right.as_str()), ("wrong", "not-the-password")] {
        secrets
            .create(&PostParams::default(), &pull_secret(&cluster, name, password)?)
            .await?;
    }
    let api = jobs(&client, &space.name);
    let spec = |secret: &str| json!({"image": image, "parallelism": 9, "pullSecrets": [secret], "pullPolicy": {"backoffLimit": 1}});
    for name in ["wrong", "missing", "right"] {
        create_job(&api, name, spec(name)).await?;
        let job = until_complete(&api, name).await?;
        let status = &job["status"];
        ensure!((status["failed"] == 0) == (name == "right"), "{name}: {status:#}");
        ensure!(!job.to_string().contains(&right), "the password is in the job");
        if name == "wrong" {
            let reason = status["failedReasons"][0]["message"].as_str().unwrap_or_default();
            ensure!(reason.contains("access denied by the registry"), "{status:#}");
        }
    }
    // Nobody needs the copies any more.
    let of_test = |secret: &Secret| format!("{:?}", secret.metadata.annotations).contains(&space.name);
    eventually("no copies of pull secrets are left", || async {
        Ok(!copies.list(&Default::default()).await?.items.iter().any(of_test))
    })
    .await?;
    space.remove().await
}

#[tokio::test]
async fn pods_select_the_nodes_they_are_on() -> Result<()> {
    let cluster = Cluster::load().await?;
    let client = cluster.client().await?;
    let space = TestNamespace::create(&client).await?;
    let image = format!("e2e/pods:{}", space.name);
    cluster.push(&image, &[]).await?;
    let node = cluster.nodes()?.remove(0);
    let api = jobs(&client, &space.name);
    create_job(
        &api,
        "job",
        json!({"image": cluster.image(&image)?, "podSelector": {"matchLabels": {"app": "web"}},
            "completionPolicy": {"type": "Never"}}),
    )
    .await?;
    until(&api, "job", "without nodes", |seen| {
        seen.is_some_and(|seen| seen["status"]["message"] == "job is running, no progress")
    })
    .await?;
    let pod = json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "web", "namespace": space.name, "labels": {"app": "web"}},
        "spec": {"nodeName": node, "terminationGracePeriodSeconds": 0,
            "containers": [{"name": "web", "image": cluster.image(&image)?}]}});
    let said = cluster
        .kubectl(&["create", "--validate=false", "-f", "-"], &pod.to_string())
        .await?;
    ensure!(said.ok, "{}", said.err);
    let job = until(&api, "job", "done with the node of the pod", |seen| {
        seen.is_some_and(|seen| seen["status"]["succeeded"] == 1)
    })
    .await?;
    ensure!(job["status"]["desired"] == 1, "{:#}", job["status"]);
    ensure!(cluster.has_image(&node, &image).await?);
    // The pod goes, and the node is no longer one of the job's.
    let said = cluster
        .kubectl(&["delete", "pod", "web", "-n", &space.name, "--wait=false"], "")
        .await?;
    ensure!(said.ok, "{}", said.err);
    until(&api, "job", "without nodes again", |seen| {
        seen.is_some_and(|seen| seen["status"]["desired"] == 0)
    })
    .await?;
    space.remove().await
}

#[tokio::test]
async fn each_image_of_a_list_is_pulled_by_a_job_of_its_own() -> Result<()> {
    let cluster = Cluster::load().await?;
    let client = cluster.client().await?;
    let space = TestNamespace::create(&client).await?;
    let mut images = Vec::new();
    for name in ["one", "two"] {
        let image = format!("e2e/list-{name}:{}", space.name);
        cluster.push(&image, &[]).await?;
        images.push(cluster.image(&image)?);
    }
    images.push(cluster.image("e2e/nobody-pushed-this:1")?);
    let lists = Api::namespaced_with(client.clone(), &space.name, &kruise_kind("ImageListPullJob"));
    let object = json!({"apiVersion": "apps.kruise.io/v1alpha1", "kind": "ImageListPullJob", "metadata": {"name": "list"},
        "spec": {"images": images, "parallelism": 9, "pullPolicy": {"backoffLimit": 0},
            "completionPolicy": {"type": "Always", "ttlSecondsAfterFinished": 3}}});
    lists
        .create(&PostParams::default(), &serde_json::from_value(object)?)
        .await?;
    let list = until_complete(&lists, "list").await?;
    let status = &list["status"];
    ensure!(
        status["desired"] == 3 && status["completed"] == 3 && status["succeeded"] == 2,
        "{status:#}"
    );
    let failed = &status["failedImageStatuses"][0];
    ensure!(
        failed["name"] == images[2]
            && failed["message"]
                .as_str()
                .is_some_and(|text| text.contains("nodes failed: ")),
        "{status:#}"
    );
    let shown = cluster
        .kubectl(&["get", "imagelistpulljobs", "-n", &space.name], "")
        .await?;
    // It may be gone by now.
    ensure!(
        shown.out.is_empty() || shown.out.contains("TOTAL   SUCCEEDED   COMPLETED   AGE"),
        "{}",
        shown.out
    );
    until(&lists, "list", "deleted", |seen| seen.is_none()).await?;
    let api = jobs(&client, &space.name);
    eventually("the jobs are gone with their list", || async {
        Ok(api.list(&Default::default()).await?.items.is_empty())
    })
    .await?;
    space.remove().await
}

mod alone {
    use super::*;

    #[tokio::test]
    async fn a_job_deleted_in_the_middle_of_a_pull_stops_it() -> Result<()> {
        let cluster = Cluster::load().await?;
        if !cluster.may_be_stopped()? {
            return Ok(());
        }
        let client = cluster.client().await?;
        let space = TestNamespace::create(&client).await?;
        let image = format!("e2e/stopped:{}", space.name);
        cluster.push(&image, &[]).await?;
        let node = cluster.nodes()?.remove(0);
        // A pull that takes as long as the test wants: the runtime is away.
        cluster.cluster(&["node", "runtime", "stop", &node]).await?;
        let api = jobs(&client, &space.name);
        create_job(
            &api,
            "job",
            json!({"image": cluster.image(&image)?, "selector": {"names": [node]}}),
        )
        .await?;
        let name = cluster.image("e2e/stopped")?;
        let pulling = until(&node_images(&client), &node, "pulling", |seen| {
            seen.and_then(|seen| tag_status(seen, &name, &space.name))
                .is_some_and(|status| status["phase"] == "Pulling")
        })
        .await;
        api.delete("job", &DeleteParams::default()).await?;
        let rid = until(&node_images(&client), &node, "rid of the task", |seen| {
            seen.is_some_and(|seen| tag_status(seen, &name, &space.name).is_none())
        })
        .await;
        cluster.cluster(&["node", "runtime", "start", &node]).await?;
        pulling?;
        rid?;
        // A later job on the node shows that the daemon has gone on without that pull.
        let other = format!("e2e/afterwards:{}", space.name);
        cluster.push(&other, &[]).await?;
        create_job(
            &api,
            "other",
            json!({"image": cluster.image(&other)?, "selector": {"names": [node]}}),
        )
        .await?;
        until_complete(&api, "other").await?;
        ensure!(
            !cluster.has_image(&node, &image).await?,
            "the pull of the deleted job went on"
        );
        space.remove().await
    }

    #[tokio::test]
    async fn a_job_at_its_deadline_ends_and_names_the_nodes_that_did_not() -> Result<()> {
        let cluster = Cluster::load().await?;
        if !cluster.may_be_stopped()? {
            return Ok(());
        }
        let client = cluster.client().await?;
        let space = TestNamespace::create(&client).await?;
        let image = format!("e2e/deadline:{}", space.name);
        cluster.push(&image, &[]).await?;
        let nodes = cluster.nodes()?;
        let away = nodes.first().context("a node")?;
        cluster.cluster(&["node", "runtime", "stop", away]).await?;
        let api = jobs(&client, &space.name);
        let spec = json!({"image": cluster.image(&image)?, "parallelism": 9, "pullPolicy": {"timeoutSeconds": 5},
        "completionPolicy": {"type": "Always", "activeDeadlineSeconds": 6}});
        create_job(&api, "job", spec).await?;
        let job = until_complete(&api, "job").await;
        cluster.cluster(&["node", "runtime", "start", away]).await?;
        let status = &job?["status"];
        // The node may say so a moment before the job: then all nodes have ended, and the job with them.
        ensure!(
            status["failedNodes"] == json!([away]) && status["active"] == 0,
            "{status:#}"
        );
        ensure!(status["succeeded"] == nodes.len() - 1, "{status:#}");
        let told = ["job exceeds activeDeadlineSeconds", "job has completed"];
        ensure!(told.iter().any(|text| status["message"] == *text), "{status:#}");
        space.remove().await
    }

    #[tokio::test]
    async fn a_node_removed_in_the_middle_of_a_pull_no_longer_counts() -> Result<()> {
        let cluster = Cluster::load().await?;
        if !cluster.may_be_stopped()? {
            return Ok(());
        }
        let client = cluster.client().await?;
        let space = TestNamespace::create(&client).await?;
        let image = format!("e2e/removed:{}", space.name);
        cluster.push(&image, &[]).await?;
        let before = cluster.nodes()?;
        cluster.cluster(&["node", "add"]).await?;
        let now = Cluster::load().await?.nodes()?;
        let added = now
            .iter()
            .find(|node| !before.contains(node))
            .context("a node was added")?;
        let api = jobs(&client, &space.name);
        // No daemon runs there, so the pull does not end.
        let begun = async {
            until(&node_images(&client), added, "made", |seen| seen.is_some()).await?;
            create_job(
                &api,
                "job",
                json!({"image": cluster.image(&image)?, "parallelism": 9}),
            )
            .await?;
            let all = before.len() + 1;
            until(&api, "job", "waiting for the new node alone", |seen| {
                let status = |field: &str| seen.and_then(|seen| seen["status"][field].as_u64());
                status("desired") == Some(all as u64)
                    && status("active") == Some(1)
                    && status("succeeded") == Some(all as u64 - 1)
            })
            .await
        };
        let begun = begun.await;
        cluster.cluster(&["node", "remove", added]).await?;
        begun?;
        let job = until_complete(&api, "job").await?;
        ensure!(
            job["status"]["desired"] == before.len() && job["status"]["failed"] == 0,
            "{:#}",
            job["status"]
        );
        space.remove().await
    }

    #[tokio::test]
    async fn a_full_node_is_waited_for_and_the_job_says_so() -> Result<()> {
        let cluster = Cluster::load().await?;
        let client = cluster.client().await?;
        let space = TestNamespace::create(&client).await?;
        let node = format!("full-{}", space.name);
        let entry = json!({"tags": [{"tag": "1", "pullPolicy": {"ttlSecondsAfterFinished": 600}}]});
        let images = |count: usize| -> Value {
            (0..count)
                .map(|number| (format!("image-{number}"), entry.clone()))
                .collect::<serde_json::Map<_, _>>()
                .into()
        };
        let object = json!({"apiVersion": "apps.kruise.io/v1alpha1", "kind": "NodeImage",
        "metadata": {"name": node, "labels": {"apps.kruise.io/fake-nodeimage": "true"}}, "spec": {"images": images(256)}});
        let api = node_images(&client);
        api.create(&PostParams::default(), &serde_json::from_value(object)?)
            .await?;
        let more = Patch::Merge(json!({"spec": {"images": {"image-256": entry}}}));
        let refused = format!("{:?}", api.patch(&node, &PatchParams::default(), &more).await);
        let jobs = jobs(&client, &space.name);
        create_job(
            &jobs,
            "job",
            json!({"image": "nginx", "selector": {"names": [node]}}),
        )
        .await?;
        let waits = until(&jobs, "job", "waiting", |seen| {
            seen.and_then(|seen| seen["status"]["message"].as_str())
                .is_some_and(|text| text.contains("256 images already"))
        })
        .await;
        // An image less, and the job goes on.
        let fewer = Patch::Merge(json!({"spec": {"images": {"image-0": null}}}));
        api.patch(&node, &PatchParams::default(), &fewer).await?;
        let told = until(&api, &node, "told to pull", |seen| {
            seen.is_some_and(|seen| seen["spec"]["images"]["nginx"].is_object())
        })
        .await;
        jobs.delete("job", &DeleteParams::default()).await?;
        api.delete(&node, &DeleteParams::default()).await?;
        ensure!(
            refused.contains("spec.images: holds 257 images, the limit is 256"),
            "{refused}"
        );
        waits?;
        told?;
        space.remove().await
    }

    #[tokio::test]
    async fn without_the_daemon_jobs_are_refused_and_what_exists_stays() -> Result<()> {
        let cluster = Cluster::load().await?;
        let client = cluster.client().await?;
        let space = TestNamespace::create(&client).await?;
        let before = node_images(&client).list(&Default::default()).await?.items.len();
        cluster.kruise(&["manager", "stop"]).await?;
        let started = cluster
            .kruise_with(
                "KRUISE_MANAGER_ARGS=--feature-gates=KruiseDaemon=false",
                &["manager", "start"],
            )
            .await;
        let mut said = Vec::new();
        for (kind, spec) in [
            ("ImagePullJob", json!({"image": "a"})),
            ("ImageListPullJob", json!({"images": ["a"]})),
        ] {
            let manifest = json!({"apiVersion": "apps.kruise.io/v1alpha1", "kind": kind,
            "metadata": {"name": "refused", "namespace": space.name}, "spec": spec});
            said.push(
                cluster
                    .kubectl(&["apply", "-f", "-"], &manifest.to_string())
                    .await?,
            );
        }
        let after = node_images(&client).list(&Default::default()).await?.items.len();
        cluster.kruise(&["manager", "stop"]).await?;
        cluster.kruise(&["manager", "start"]).await?;
        started?;
        for said in said {
            ensure!(
                !said.ok && said.err.contains("the feature gate KruiseDaemon is off"),
                "{}",
                said.err
            );
        }
        ensure!(before == after, "NodeImages have gone");
        space.remove().await
    }

    #[tokio::test]
    async fn a_manager_at_another_address_makes_a_certificate_for_it_and_keeps_the_authority() -> Result<()> {
        let cluster = Cluster::load().await?;
        if !cluster.may_be_stopped()? {
            return Ok(());
        }
        let before = served(&cluster).await?;
        cluster.kruise(&["manager", "stop"]).await?;
        let started = cluster
            .kruise_with("KRUISE_WEBHOOK_HOST=127.0.0.9", &["manager", "start"])
            .await;
        let there = served(&cluster).await;
        let refused = cluster
            .kubectl(
                &["create", "-f", "-"],
                r#"{"apiVersion": "apps.kruise.io/v1alpha1", "kind": "ImagePullJob",
                    "metadata": {"name": "refused"}, "spec": {"image": "not an image"}}"#,
            )
            .await;
        cluster.kruise(&["manager", "stop"]).await?;
        cluster.kruise(&["manager", "start"]).await?;
        started?;
        let (there, refused) = (there?, refused?);
        ensure!(
            !refused.ok && refused.err.contains("spec.image"),
            "not refused by the webhook: {refused:?}"
        );
        ensure!(
            there.certificate != before.certificate,
            "the old certificate is served"
        );
        ensure!(there.authority == before.authority, "made a new authority");
        ensure!(there.url.starts_with("https://127.0.0.9:"), "{}", there.url);
        Ok(())
    }

    /// What the API server is told of the webhooks, and what they serve.
    struct Served {
        url: String,
        authority: String,
        certificate: String,
    }

    async fn served(cluster: &Cluster) -> Result<Served> {
        let read = async |args: &[&str]| -> Result<String> {
            let said = cluster.kubectl(args, "").await?;
            ensure!(said.ok && !said.out.is_empty(), "{args:?}: {said:?}");
            Ok(said.out)
        };
        let hook = async |field: &str| {
            let path = format!("jsonpath={{.items[0].webhooks[0].clientConfig.{field}}}");
            read(&["get", "validatingwebhookconfigurations", "-o", &path]).await
        };
        Ok(Served {
            url: hook("url").await?,
            authority: hook("caBundle").await?,
            certificate: read(&[
                "-n",
                "kruise-system",
                "get",
                "secret",
                "kruise-webhook-certs",
                "-o",
                "jsonpath={.data.tls\\.crt}",
            ])
            .await?,
        })
    }
}
