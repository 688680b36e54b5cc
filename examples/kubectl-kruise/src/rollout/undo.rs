//! `rollout undo`.

use std::io::Write;

use k8s_openapi::api::apps::v1::ControllerRevision;
use kruise_core::runtime::Causes;
use kruise_sidecar::api::SidecarSet;
use kruise_sidecar::api::names::SIDECARSET_CUSTOM_VERSION;
use kruise_sidecar::controller::REVISION_FIELDS;
use kruise_sidecar::inject::restore;
use kube_client::Client;
use kube_client::api::{Api, Patch, PatchParams};
use serde_json::{Value, json};

use super::{NO_REVISIONS, get_set, revisions};
use crate::cli::{DryRun, Objects, UndoFlags};
use crate::connect::Connection;
use crate::failure::{Failure, Result};

/// How often the patch is sent when the controller writes the status at the same time.
const ATTEMPTS: usize = 10;

/// Goes back to an earlier revision. As with kubectl, the strategy stays as it is.
///
/// # Errors
/// There is no such revision, or none that differs; or somebody changes the set at the same time.
pub(crate) async fn run(flags: &UndoFlags, connection: &Connection, out: &mut impl Write) -> Result<()> {
    let name = Objects::set(&flags.set.objects)?;
    let set = get_set(&connection.client, &name).await?;
    let namespace = &flags.revisions.revision_namespace;
    let found = revisions(&connection.client, namespace, &set).await?;
    let full = format!("sidecarset.apps.kruise.io/{name}");
    if found.is_empty() {
        return Err(Failure::new(format!(
            "sidecarset \"{name}\" has no revisions in namespace {namespace}"
        ))
        .next(NO_REVISIONS));
    }
    let (revision, restored) = choose(&set, &found, flags.to_revision)?;
    if restored.spec == set.spec {
        writeln!(
            out,
            "{full} skipped rollback (current template already matches revision {})",
            revision.revision
        )?;
        return Ok(());
    }
    let suffix = match flags.dry_run {
        DryRun::None => "",
        DryRun::Client => " (dry run)",
        DryRun::Server => " (server dry run)",
    };
    if flags.dry_run != DryRun::Client {
        let dry_run = flags.dry_run == DryRun::Server;
        write(&connection.client, &set, revision, &restored, dry_run).await?;
    }
    writeln!(
        out,
        "{full} rolled back to revision {}{suffix}",
        revision.revision
    )?;
    if set.spec.update_strategy.paused {
        writeln!(
            out,
            "It is paused: pods are upgraded after `kubectl kruise rollout resume sidecarset/{name}`."
        )?;
    }
    Ok(())
}

/// Writes what a revision held. A conflict in which only the status changed, as it does all the time during a rollout, is no reason to
/// give up.
async fn write(
    client: &Client,
    set: &SidecarSet,
    revision: &ControllerRevision,
    restored: &SidecarSet,
    dry_run: bool,
) -> Result<()> {
    let api: Api<SidecarSet> = Api::all(client.clone());
    let params = PatchParams {
        dry_run,
        ..PatchParams::default()
    };
    let mut now = set.clone();
    let mut attempts = 1;
    loop {
        let patch = patch(&now, revision, restored)?;
        let error = match api.patch(now.name(), &params, &Patch::Merge(&patch)).await {
            Ok(_) => return Ok(()),
            Err(error) => error,
        };
        let conflict = matches!(&error, kube_client::Error::Api(status) if status.is_conflict());
        if !conflict || attempts == ATTEMPTS {
            return Err(Failure::api("patching the sidecarset", &error));
        }
        now = get_set(client, set.name()).await?;
        if now.metadata.uid != set.metadata.uid || now.metadata.generation != set.metadata.generation {
            return Err(Failure::api("patching the sidecarset", &error));
        }
        attempts += 1;
    }
}

/// The revision of a number; for 0 the last one that differs from what the set is.
fn choose<'r>(
    set: &SidecarSet,
    found: &'r [ControllerRevision],
    number: i64,
) -> Result<(&'r ControllerRevision, SidecarSet)> {
    let history = format!(
        "List the revisions with: kubectl kruise rollout history sidecarset/{}",
        set.name()
    );
    if number > 0 {
        let revision = found.iter().find(|revision| revision.revision == number);
        let revision = revision.ok_or_else(|| {
            Failure::new(format!("unable to find the specified revision: {number}")).next(history.as_str())
        })?;
        let restored = restore(set, revision).map_err(|error| {
            Failure::new(format!("revision {number} cannot be read: {}", Causes(&error))).next(history)
        })?;
        return Ok((revision, restored));
    }
    let mut before = found
        .iter()
        .rev()
        .filter_map(|revision| Some((revision, restore(set, revision).ok()?)));
    before
        .find(|(_, restored)| restored.spec != set.spec)
        .ok_or_else(|| {
            Failure::new(format!(
                "no revision of sidecarset \"{}\" differs from its current state",
                set.name()
            ))
            .next(history)
        })
}

/// The merge patch to a revision. It fits only the state of the set that was read.
fn patch(set: &SidecarSet, revision: &ControllerRevision, restored: &SidecarSet) -> Result<Value> {
    let spec = serde_json::to_value(&restored.spec).map_err(|error| Failure::new(error.to_string()))?;
    let mut fields = serde_json::Map::new();
    for field in REVISION_FIELDS {
        fields.insert(field.to_owned(), spec.get(field).cloned().unwrap_or_default());
    }
    let mut metadata = json!({ "resourceVersion": set.metadata.resource_version });
    // The version that its user gave the state goes with it: new pods may be pinned to it by that.
    let version = revision
        .metadata
        .labels
        .as_ref()
        .and_then(|labels| labels.get(SIDECARSET_CUSTOM_VERSION));
    if version.map(String::as_str) != set.custom_version() {
        metadata["labels"] = json!({ SIDECARSET_CUSTOM_VERSION: version });
    }
    Ok(json!({ "metadata": metadata, "spec": fields }))
}
