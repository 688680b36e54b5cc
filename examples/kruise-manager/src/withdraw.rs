//! What remains to be done once the manager is uninstalled: `kruise-manager withdraw`.

use anyhow::{Context, Result};
use kruise_core::webhook::server::{Withdrawal, withdraw_converter};
use kruise_sidecar::webhook::conversion;
use kruise_support::config::client_config;
use kube_client::Client;

use crate::flags::Reach;

/// Takes the converter that a manager reached this way has announced out of the definition.
pub(crate) async fn run(reach: &Reach) -> Result<()> {
    let client = Client::try_from(client_config().await?).context("making the API client")?;
    let conversion = conversion();
    let config = reach.writer_config();
    let done = withdraw_converter(client, &conversion, config.converter()).await?;
    let name = conversion.definition;
    match done {
        Withdrawal::Done => tracing::info!(name, "converter withdrawn"),
        Withdrawal::NoDefinition => tracing::info!(name, "there is no such definition"),
        Withdrawal::NoConverter => tracing::info!(name, "there is no converter"),
        _ => tracing::warn!(
            name,
            expected = ?config.converter(),
            "the converter is another program's, or that of a manager with other flags: left alone"
        ),
    }
    Ok(())
}
