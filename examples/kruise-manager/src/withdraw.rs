//! What remains to be done once the manager is uninstalled: `kruise-manager withdraw`.

use anyhow::{Context, Result};
use kruise_core::webhook::server::withdraw_converters;
use kruise_sidecar::webhook::conversion;
use kruise_support::config::client_config;
use kube_client::Client;

use crate::flags::Reach;

/// Takes the converter that a manager reached this way has announced out of the definition.
pub(crate) async fn run(reach: &Reach) -> Result<()> {
    let client = Client::try_from(client_config().await?).context("making the API client")?;
    let conversion = conversion();
    let config = reach.writer_config();
    let changed = withdraw_converters(client, [&conversion], config.converter()).await?;
    if changed.is_empty() {
        tracing::info!(name = conversion.definition, "converter is not ours, left alone");
    }
    for name in changed {
        tracing::info!(name, "converter withdrawn");
    }
    Ok(())
}
