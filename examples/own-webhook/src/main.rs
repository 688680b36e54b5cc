//! Serves on 127.0.0.1:8081, behind something that does TLS. The first argument is the file of sets.

#[tokio::main(flavor = "current_thread")]
async fn main() -> anyhow::Result<()> {
    let file = std::env::args().nth(1).unwrap_or_else(|| "sets.yaml".into());
    let engine = kruise_own_webhook::engine(&std::fs::read_to_string(file)?)?;
    let listener = tokio::net::TcpListener::bind("127.0.0.1:8081").await?;
    Ok(axum::serve(listener, kruise_own_webhook::routes(engine)).await?)
}
