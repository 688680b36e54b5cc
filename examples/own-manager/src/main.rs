//! Runs the manager against the cluster of the kubeconfig, until Ctrl-C.

use tokio_util::sync::CancellationToken;

#[tokio::main(flavor = "current_thread")]
async fn main() -> anyhow::Result<()> {
    let client = kube_client::Client::try_default().await?;
    let identity = std::env::var("HOSTNAME").unwrap_or_else(|_| "me".into());
    tokio::select! {
        done = kruise_own_manager::run(client, &identity, CancellationToken::new()) => done,
        _ = tokio::signal::ctrl_c() => Ok(()),
    }
}
