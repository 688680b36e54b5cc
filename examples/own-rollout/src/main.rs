//! Runs the controller against the cluster of the kubeconfig, until Ctrl-C.

use tokio_util::sync::CancellationToken;

#[tokio::main(flavor = "current_thread")]
async fn main() -> anyhow::Result<()> {
    let client = kube_client::Client::try_default().await?;
    let stop = CancellationToken::new();
    tokio::select! {
        () = kruise_own_rollout::run(client, stop.clone()) => Ok(()),
        _ = tokio::signal::ctrl_c() => Ok(()),
    }
}
