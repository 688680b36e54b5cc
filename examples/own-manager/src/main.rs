//! Runs the manager against the cluster of the kubeconfig.

#[tokio::main(flavor = "current_thread")]
async fn main() -> anyhow::Result<()> {
    let client = kube_client::Client::try_default().await?;
    let identity = std::env::var("HOSTNAME").unwrap_or_else(|_| "me".into());
    kruise_own_manager::run(client, &identity, Default::default()).await
}
