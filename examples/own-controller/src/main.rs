//! Runs the controller against the cluster of the kubeconfig.

#[tokio::main(flavor = "current_thread")]
async fn main() -> anyhow::Result<()> {
    let client = kube_client::Client::try_default().await?;
    kruise_own_controller::run(client, Default::default()).await
}
