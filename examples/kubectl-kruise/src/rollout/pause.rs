//! `rollout pause` and `rollout resume`.

use std::io::Write;

use kruise_sidecar::api::SidecarSet;
use kube_client::api::{Api, Patch, PatchParams};
use serde_json::json;

use super::get_set;
use crate::cli::{Objects, SetFlags};
use crate::connect::Connection;
use crate::failure::{Failure, Result};

/// Sets `spec.updateStrategy.paused`.
///
/// # Errors
/// It is so already, as with kubectl.
pub(crate) async fn run(
    flags: &SetFlags,
    connection: &Connection,
    pause: bool,
    out: &mut impl Write,
) -> Result<()> {
    let name = Objects::set(&flags.objects)?;
    let set = get_set(&connection.client, &name).await?;
    let full = format!("sidecarset.apps.kruise.io/{name}");
    match (set.spec.update_strategy.paused, pause) {
        (true, true) => return Err(Failure::new(format!("{full}: is already paused"))),
        (false, false) => return Err(Failure::new(format!("{full}: is not paused"))),
        _ => {}
    }
    let patch = json!({ "spec": { "updateStrategy": { "paused": pause } } });
    let api: Api<SidecarSet> = Api::all(connection.client.clone());
    let patched = api
        .patch(&name, &PatchParams::default(), &Patch::Merge(&patch))
        .await;
    patched.map_err(|error| Failure::api("patching the sidecarset", &error))?;
    writeln!(out, "{full} {}", if pause { "paused" } else { "resumed" })?;
    Ok(())
}
