//! `kruise-own-rollout VERSION`: moves the databases of the current namespace to a version.

#[tokio::main(flavor = "current_thread")]
async fn main() -> anyhow::Result<()> {
    let version = std::env::args().nth(1).unwrap_or_default();
    let api = kube_client::Api::default_namespaced(kube_client::Client::try_default().await?);
    loop {
        kruise_own_rollout::step(&api, &version).await?;
        tokio::time::sleep(std::time::Duration::from_secs(5)).await;
    }
}
