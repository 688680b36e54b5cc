//! `rollout`.

mod history;
mod pause;
mod status;
#[cfg(test)]
mod tests;
mod undo;

pub(crate) use history::run as history;
pub(crate) use pause::run as pause;
pub(crate) use status::run as status;
pub(crate) use undo::run as undo;

use k8s_openapi::api::apps::v1::ControllerRevision;
use kruise_sidecar::api::SidecarSet;
use kruise_sidecar::api::names::SIDECARSET_NAME;
use kube_client::Client;
use kube_client::api::{Api, ListParams};

use crate::failure::{Failure, Result};

async fn get_set(client: &Client, name: &str) -> Result<SidecarSet> {
    let found = Api::<SidecarSet>::all(client.clone()).get(name).await;
    found.map_err(|error| {
        let missing = matches!(&error, kube_client::Error::Api(status) if status.code == 404 && status.reason == "NotFound");
        let failure = Failure::api("getting the sidecarset", &error);
        match missing {
            true => failure.next("List the sets with: kubectl get sidecarsets"),
            false => failure,
        }
    })
}

/// The revisions of a set, the oldest first.
async fn revisions(client: &Client, namespace: &str, set: &SidecarSet) -> Result<Vec<ControllerRevision>> {
    let params = ListParams::default().labels(&format!("{SIDECARSET_NAME}={}", set.name()));
    let listed = Api::<ControllerRevision>::namespaced(client.clone(), namespace)
        .list(&params)
        .await;
    let mut revisions = listed
        .map_err(|error| Failure::api("listing revisions", &error))?
        .items;
    // Those of a set that was deleted, and had the same name, do not count.
    revisions.retain(|revision| {
        let mut owners = revision.metadata.owner_references.iter().flatten();
        let uid = set.metadata.uid.as_deref();
        owners.all(|owner| owner.controller != Some(true) || Some(owner.uid.as_str()) == uid)
    });
    revisions.sort_by_key(|revision| revision.revision);
    Ok(revisions)
}

/// What to do if there are no revisions.
const NO_REVISIONS: &str = "The manager writes revisions: is it running, and is this its namespace? Name another with --revision-namespace.";
