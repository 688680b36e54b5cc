//! What the credentials of a node's daemon can do, and what they can not.

use anyhow::{Context, Result, ensure};
use k8s_openapi::api::core::v1::{ConfigMap, Node, Pod, Secret};
use kruise_e2e::{Cluster, TestNamespace, eventually, kruise_kind, node_images};
use kube_client::{Api, Client, Config};
use kube_core::DynamicObject;
use kube_core::params::{DeleteParams, GetParams, ListParams, Patch, PatchParams, PostParams};
use serde_json::{Value, json};

/// A client with the credentials that the daemon of a node runs with.
async fn daemon(cluster: &Cluster, node: &str) -> Result<Client> {
    let path = cluster
        .credentials(&format!("kruise-system/kruise-daemon-{node}"))
        .await?;
    client_of(cluster.config(&path).await?)
}

fn client_of(mut config: Config) -> Result<Client> {
    // Refusals are what is looked at.
    config.default_retry = false;
    Ok(Client::try_from(config)?)
}

/// The text of a refusal for lack of rights.
fn forbidden<T>(what: &str, answer: Result<T, kube_client::Error>) -> Result<String> {
    match answer {
        Err(kube_client::Error::Api(status)) if status.code == 403 => Ok(status.message.clone()),
        Err(other) => anyhow::bail!("{what}: {other}"),
        Ok(_) => anyhow::bail!("{what} is allowed"),
    }
}

fn nothing() -> Patch<Value> {
    Patch::Merge(json!({"metadata": {"annotations": {}}}))
}

#[tokio::test]
async fn the_daemon_of_a_node_reads_and_reports_its_own_nodeimage_and_nothing_else() -> Result<()> {
    let cluster = Cluster::load().await?;
    let (admin, nodes) = (cluster.client().await?, cluster.nodes()?);
    let [own, other] = nodes.as_slice() else {
        anyhow::bail!("two nodes are wanted, not {nodes:?}")
    };
    let client = daemon(&cluster, own).await?;
    let (api, params) = (node_images(&client), PatchParams::default());
    let of = |node: &str| ListParams::default().fields(&format!("metadata.name={node}"));

    ensure!(api.list(&of(own)).await?.items.len() == 1, "its own NodeImage");
    api.patch_status(own, &params, &nothing())
        .await
        .context("its own status")?;

    forbidden("to list all NodeImages", api.list(&ListParams::default()).await)?;
    forbidden("to list another NodeImage", api.list(&of(other)).await)?;
    forbidden("to read another NodeImage", api.get(other).await)?;
    forbidden(
        "to write the status of another",
        api.patch_status(other, &params, &nothing()).await,
    )?;
    forbidden("to write its own spec", api.patch(own, &params, &nothing()).await)?;
    forbidden(
        "to delete its NodeImage",
        api.delete(own, &DeleteParams::default()).await,
    )?;
    let jobs: Api<DynamicObject> = Api::all_with(client.clone(), &kruise_kind("ImagePullJob"));
    forbidden("to list jobs", jobs.list(&ListParams::default()).await)?;
    forbidden(
        "to list pods",
        Api::<Pod>::all(client.clone()).list(&ListParams::default()).await,
    )?;
    forbidden(
        "to read its node",
        Api::<Node>::all(client.clone()).get(own).await,
    )?;
    let maps: Api<ConfigMap> = Api::namespaced(client.clone(), "kruise-system");
    forbidden("to list ConfigMaps", maps.list(&ListParams::default()).await)?;

    // Of Secrets: the copies, by name.
    let space = TestNamespace::create(&admin).await?;
    let secret: Secret = serde_json::from_value(json!({"metadata": {"name": space.name}}))?;
    for namespace in ["kruise-daemon-config", &space.name] {
        Api::namespaced(admin.clone(), namespace)
            .create(&PostParams::default(), &secret)
            .await?;
    }
    let secrets = |namespace: &str| Api::<Secret>::namespaced(client.clone(), namespace);
    secrets("kruise-daemon-config")
        .get_with(&space.name, &GetParams::default())
        .await
        .context("a copy")?;
    forbidden(
        "to list the copies",
        secrets("kruise-daemon-config").list(&ListParams::default()).await,
    )?;
    forbidden(
        "to read other Secrets",
        secrets(&space.name).get(&space.name).await,
    )?;
    forbidden(
        "to read the manager's keys",
        secrets("kruise-system").get("kruise-webhook-certs").await,
    )?;
    let copies: Api<Secret> = Api::namespaced(admin, "kruise-daemon-config");
    copies.delete(&space.name, &DeleteParams::default()).await?;
    space.remove().await
}

/// As in a DaemonSet: one account, and tokens that are bound to the pods.
#[tokio::test]
async fn where_daemons_share_an_account_admission_keeps_them_to_their_node() -> Result<()> {
    let cluster = Cluster::load().await?;
    let (admin, nodes) = (cluster.client().await?, cluster.nodes()?);
    let [own, other] = nodes.as_slice() else {
        anyhow::bail!("two nodes are wanted, not {nodes:?}")
    };
    let pods: Api<Pod> = Api::namespaced(admin.clone(), "kruise-system");
    let name = format!("daemon-{}", std::process::id());
    let pod = json!({"metadata": {"name": name}, "spec": {"nodeName": own, "serviceAccountName": "kruise-daemon",
        "terminationGracePeriodSeconds": 0, "containers": [{"name": "daemon", "image": "nobody-pushed-this"}]}});
    let pod = pods
        .create(&PostParams::default(), &serde_json::from_value(pod)?)
        .await?;
    let of_pod = json!({"kind": "Pod", "apiVersion": "v1", "name": name, "uid": pod.metadata.uid});
    let tried = async {
        let bound = shared(&cluster, &admin, Some(of_pod)).await?;
        let (api, params) = (node_images(&bound), PatchParams::default());
        // The manager has to see the pod first.
        eventually("the daemon can write its own status", || async {
            Ok(api.patch_status(own, &params, &nothing()).await.is_ok())
        })
        .await?;
        let told = forbidden(
            "to write the status of another",
            api.patch_status(other, &params, &nothing()).await,
        )?;
        ensure!(
            told.contains(&format!(
                "the agent of node {own} may not write the status of node {other}"
            )),
            "{told}"
        );
        forbidden("to write a spec", api.patch(own, &params, &nothing()).await)?;
        // A token of the account that is bound to no pod says nothing of a node.
        let unbound = shared(&cluster, &admin, None).await?;
        let told = forbidden(
            "without a pod",
            node_images(&unbound).patch_status(own, &params, &nothing()).await,
        )?;
        ensure!(told.contains("bound to no pod"), "{told}");
        Ok(())
    };
    let tried = tried.await;
    pods.delete(&name, &DeleteParams::default().grace_period(0))
        .await?;
    tried
}

/// A client with the account that the daemons of a DaemonSet share, with a token bound to a pod or to none.
async fn shared(cluster: &Cluster, admin: &Client, bound_to: Option<Value>) -> Result<Client> {
    let request = json!({"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest",
        "spec": {"audiences": [], "expirationSeconds": 600, "boundObjectRef": bound_to}});
    let path = "/api/v1/namespaces/kruise-system/serviceaccounts/kruise-daemon/token";
    let answer: Value = admin
        .request(http::Request::post(path).body(serde_json::to_vec(&request)?)?)
        .await?;
    let token = answer["status"]["token"].as_str().context("a token")?.to_owned();
    let mut config = cluster.config(cluster.var("KUBECONFIG")?).await?;
    config.auth_info = kube_client::config::AuthInfo {
        token: Some(token.into()),
        ..Default::default()
    };
    client_of(config)
}
