//! The programs as pods, installed by the Helm chart. `examples/e2e/run pods` installs it and runs these, beside all other tests that
//! need no processes; `examples/e2e/run chart` runs those of `install`, on a cluster of their own.

use anyhow::{Context, Result, ensure};
use k8s_openapi::api::apps::v1::{DaemonSet, Deployment};
use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::api::core::v1::{Pod, Secret};
use kruise_core::api::names::FAKE_NODE_IMAGE;
use kruise_e2e::{
    Cluster, TestNamespace, create_job, eventually, jobs, node_images, tag_status, until, until_complete,
};
use kube_client::{Api, Client};
use kube_core::params::{DeleteParams, ListParams, Patch, PatchParams, PostParams};
use serde_json::{Value, json};

const NAMESPACE: &str = "kruise-system";
const MANAGER: &str = "kruise-controller-manager";
const DAEMON: &str = "kruise-daemon";

/// The cluster, if the programs are pods in it. Says so if not.
async fn deployed() -> Result<Option<(Cluster, Client)>> {
    if std::env::var_os("KRUISE_DEPLOYED").is_none() {
        eprintln!("left out: the programs do not run as pods");
        return Ok(None);
    }
    let cluster = Cluster::load().await?;
    let client = cluster.client().await?;
    Ok(Some((cluster, client)))
}

/// The pods of a program that are not on their way out.
async fn pods(client: &Client, program: &str) -> Result<Vec<Pod>> {
    let api: Api<Pod> = Api::namespaced(client.clone(), NAMESPACE);
    let of = match program {
        DAEMON => "control-plane=daemon",
        _ => "control-plane=controller-manager",
    };
    let mut found = api.list(&ListParams::default().labels(of)).await?.items;
    found.retain(|pod| pod.metadata.deletion_timestamp.is_none());
    Ok(found)
}

fn names(pods: &[Pod]) -> Vec<String> {
    pods.iter().filter_map(|pod| pod.metadata.name.clone()).collect()
}

/// The name of the pod that leads, as the Lease has it.
async fn leader(client: &Client) -> Result<Option<String>> {
    let api: Api<Lease> = Api::namespaced(client.clone(), NAMESPACE);
    let lease = api.get_opt("kruise-manager").await?;
    let holder = lease.and_then(|lease| lease.spec?.holder_identity);
    Ok(holder
        .filter(|holder| !holder.is_empty())
        .map(|holder| holder.split('_').next().unwrap_or_default().to_owned()))
}

async fn ready_replicas(client: &Client) -> Result<Option<i32>> {
    let api: Api<Deployment> = Api::namespaced(client.clone(), NAMESPACE);
    Ok(api
        .get(MANAGER)
        .await?
        .status
        .and_then(|status| status.ready_replicas))
}

#[tokio::test]
async fn two_replicas_are_ready_and_one_of_them_leads() -> Result<()> {
    let Some((_, client)) = deployed().await? else {
        return Ok(());
    };
    eventually("two replicas are ready", || async {
        Ok(ready_replicas(&client).await? == Some(2))
    })
    .await?;
    let replicas = names(&pods(&client, MANAGER).await?);
    eventually("one of the replicas leads", || async {
        Ok(leader(&client)
            .await?
            .is_some_and(|leader| replicas.contains(&leader)))
    })
    .await
}

#[tokio::test]
async fn nobody_but_the_daemon_is_root_and_nobody_gains_rights() -> Result<()> {
    let Some((_, client)) = deployed().await? else {
        return Ok(());
    };
    for program in [MANAGER, DAEMON] {
        let found = pods(&client, program).await?;
        ensure!(!found.is_empty(), "no pod of {program}");
        for pod in found {
            let pod = serde_json::to_value(&pod.spec)?;
            let own = &pod["containers"][0]["securityContext"];
            ensure!(own["readOnlyRootFilesystem"] == true, "{own}");
            ensure!(own["allowPrivilegeEscalation"] == false, "{own}");
            ensure!(own["capabilities"]["drop"] == json!(["ALL"]), "{own}");
            let root = program == DAEMON;
            ensure!(
                (pod["securityContext"]["runAsUser"] == 0) == root,
                "{program}: {:#}",
                pod["securityContext"]
            );
        }
    }
    Ok(())
}

#[tokio::test]
async fn the_daemons_of_the_daemonset_pull_on_both_nodes() -> Result<()> {
    let Some((cluster, client)) = deployed().await? else {
        return Ok(());
    };
    let space = TestNamespace::create(&client).await?;
    let image = format!("e2e/deployed:{}", space.name);
    cluster.push(&image, &[]).await?;
    let api = jobs(&client, &space.name);
    create_job(&api, "job", spec(&cluster.image(&image)?)).await?;
    let job = until_complete(&api, "job").await?;
    let nodes = cluster.nodes()?;
    ensure!(job["status"]["succeeded"] == nodes.len(), "{:#}", job["status"]);
    for node in &nodes {
        ensure!(cluster.has_image(node, &image).await?, "{node} lacks it");
    }
    space.remove().await
}

fn spec(image: &str) -> Value {
    json!({"image": image, "parallelism": 9, "completionPolicy": {"type": "Always"}})
}

/// With the token that a pod of the DaemonSet has: of the shared account, and bound to that pod.
#[tokio::test]
async fn a_daemon_may_not_write_the_status_of_another_node() -> Result<()> {
    let Some((cluster, client)) = deployed().await? else {
        return Ok(());
    };
    let found = pods(&client, DAEMON).await?;
    let [pod, other, ..] = found.as_slice() else {
        anyhow::bail!("two daemons are wanted, not {:?}", names(&found))
    };
    let node = |pod: &Pod| {
        let spec = pod.spec.clone().unwrap_or_default();
        spec.node_name.context("a pod without a node")
    };
    let bound_to =
        json!({"kind": "Pod", "apiVersion": "v1", "name": pod.metadata.name, "uid": pod.metadata.uid});
    let request = json!({"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest",
        "spec": {"audiences": [], "expirationSeconds": 600, "boundObjectRef": bound_to}});
    let path = format!("/api/v1/namespaces/{NAMESPACE}/serviceaccounts/{DAEMON}/token");
    let answer: Value = client
        .request(http::Request::post(path).body(serde_json::to_vec(&request)?)?)
        .await?;
    let token = answer["status"]["token"].as_str().context("a token")?.to_owned();
    let mut config = cluster.config(cluster.var("KUBECONFIG")?).await?;
    config.auth_info = kube_client::config::AuthInfo {
        token: Some(token.into()),
        ..Default::default()
    };
    config.default_retry = false;
    let api = node_images(&Client::try_from(config)?);
    let (params, nothing) = (
        PatchParams::default(),
        Patch::Merge(json!({"metadata": {"annotations": {}}})),
    );
    api.patch_status(&node(pod)?, &params, &nothing)
        .await
        .context("its own status")?;
    let refused = api.patch_status(&node(other)?, &params, &nothing).await;
    let Err(kube_client::Error::Api(status)) = refused else {
        anyhow::bail!("the status of another node was written: {refused:?}")
    };
    let told = format!(
        "the agent of node {} may not write the status of node {}",
        node(pod)?,
        node(other)?
    );
    ensure!(
        status.code == 403 && status.message.contains(&told),
        "{}",
        status.message
    );
    Ok(())
}

/// Name, uid, conversion and served versions of our definitions: what an upgrade must leave alone, also what the manager has written.
async fn definitions(cluster: &Cluster) -> Result<Vec<Value>> {
    let said = cluster.kubectl(&["get", "crd", "-o", "json"], "").await?;
    ensure!(said.ok, "{}", said.err);
    let list: Value = serde_json::from_str(&said.out)?;
    let ours = |crd: &&Value| crd["spec"]["group"] == "apps.kruise.io";
    let items = list["items"].as_array().context("a list of definitions")?;
    let definition = |crd: &Value| {
        let (meta, spec) = (&crd["metadata"], &crd["spec"]);
        let versions = spec["versions"].as_array().into_iter().flatten();
        let served: Vec<_> = versions
            .map(|version| json!([version["name"], version["served"]]))
            .collect();
        json!([meta["name"], meta["uid"], spec["conversion"], served])
    };
    Ok(items.iter().filter(ours).map(definition).collect())
}

/// The second job is entered into the copy that the first one has made.
#[tokio::test]
async fn two_jobs_share_the_copy_of_their_pull_secret() -> Result<()> {
    let Some((cluster, client)) = deployed().await? else {
        return Ok(());
    };
    if !cluster.may_be_stopped()? {
        return Ok(());
    }
    let space = TestNamespace::create(&client).await?;
    let image = format!("e2e/shared:{}", space.name);
    cluster.push(&image, &[]).await?;
    let host = cluster.var("CLUSTER_REGISTRY_AUTH")?;
    let auth = json!({"username": cluster.var("CLUSTER_REGISTRY_USER")?, "password": cluster.var("CLUSTER_REGISTRY_PASSWORD")?});
    let config = json!({"auths": {host: auth}}).to_string();
    let secret = json!({"metadata": {"name": "login"}, "type": "kubernetes.io/dockerconfigjson", "stringData": {".dockerconfigjson": config}});
    let secrets: Api<Secret> = Api::namespaced(client.clone(), &space.name);
    secrets
        .create(&PostParams::default(), &serde_json::from_value(secret)?)
        .await?;
    let api = jobs(&client, &space.name);
    // They end when they are deleted, so the copy is there for both.
    let spec = json!({"image": format!("{host}/{image}"), "parallelism": 9, "pullSecrets": ["login"], "completionPolicy": {"type": "Never"}});
    let nodes = cluster.nodes()?.len();
    for name in ["one", "two"] {
        create_job(&api, name, spec.clone()).await?;
        until(&api, name, "done with all nodes", |job| {
            job.is_some_and(|job| job["status"]["succeeded"] == nodes)
        })
        .await?;
    }
    let copies: Api<Secret> = Api::namespaced(client.clone(), "kruise-daemon-config");
    let of_test = || async {
        let all = copies.list(&ListParams::default()).await?.items;
        let ours = |secret: &&Secret| format!("{:?}", secret.metadata.annotations).contains(&space.name);
        anyhow::Ok(all.iter().filter(ours).count())
    };
    ensure!(of_test().await? == 1, "{} copies", of_test().await?);
    for name in ["one", "two"] {
        api.delete(name, &DeleteParams::default()).await?;
    }
    eventually("the copy is gone with the jobs", || async {
        Ok(of_test().await? == 0)
    })
    .await?;
    space.remove().await
}

mod alone {
    use super::*;

    #[tokio::test]
    async fn a_leader_deleted_in_the_middle_of_a_job_is_followed_by_the_other_who_ends_it() -> Result<()> {
        let Some((cluster, client)) = deployed().await? else {
            return Ok(());
        };
        if !cluster.may_be_stopped()? {
            return Ok(());
        }
        let space = TestNamespace::create(&client).await?;
        let image = format!("e2e/failover:{}", space.name);
        cluster.push(&image, &[]).await?;
        let api = jobs(&client, &space.name);
        eventually("there is a leader", || async {
            Ok(leader(&client).await?.is_some())
        })
        .await?;
        let first = leader(&client).await?.context("a leader")?;
        cluster.cluster(&["registry", "pause", "open"]).await?;
        let story = async {
            create_job(&api, "job", spec(&cluster.image(&image)?)).await?;
            until(&api, "job", "active", |job| {
                job.is_some_and(|job| job["status"]["active"].as_i64() > Some(0))
            })
            .await?;
            let pods: Api<Pod> = Api::namespaced(client.clone(), NAMESPACE);
            pods.delete(&first, &DeleteParams::default().grace_period(0))
                .await?;
            eventually("another leads", || async {
                Ok(leader(&client).await?.is_some_and(|leader| leader != first))
            })
            .await
        };
        let told: Result<()> = story.await;
        cluster.cluster(&["registry", "resume", "open"]).await?;
        told?;
        let job = until_complete(&api, "job").await?;
        ensure!(
            job["status"]["succeeded"] == cluster.nodes()?.len(),
            "{:#}",
            job["status"]
        );
        eventually("two replicas are ready again", || async {
            Ok(ready_replicas(&client).await? == Some(2))
        })
        .await?;
        space.remove().await
    }

    #[tokio::test]
    async fn a_task_that_no_agent_answers_for_is_failed_by_the_manager() -> Result<()> {
        let Some((_, client)) = deployed().await? else {
            return Ok(());
        };
        let name = format!("e2e-nobody-{}", std::process::id());
        let api = node_images(&client);
        let object = json!({"apiVersion": "apps.kruise.io/v1alpha1", "kind": "NodeImage",
        "metadata": {"name": name, "labels": {FAKE_NODE_IMAGE: "true"}},
        "spec": {"images": {"e2e/nobody": {"tags": [{"tag": "1", "version": 0, "createdAt": "2020-01-01T00:00:00Z",
            "pullPolicy": {"timeoutSeconds": 60, "backoffLimit": 0, "ttlSecondsAfterFinished": 600, "activeDeadlineSeconds": 3600}}]}}}});
        api.create(&PostParams::default(), &serde_json::from_value(object)?)
            .await?;
        let failed = until(&api, &name, "failed", |seen| {
            let status = seen.and_then(|seen| tag_status(seen, "e2e/nobody", "1"));
            status.is_some_and(|status| status["phase"] == "Failed")
        })
        .await;
        api.delete(&name, &DeleteParams::default()).await?;
        let failed = failed?;
        let status = tag_status(&failed, "e2e/nobody", "1").context("a result")?;
        ensure!(
            status["message"] == "node has not responded for a long time",
            "{status}"
        );
        Ok(())
    }
}

mod install;
