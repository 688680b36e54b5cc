//! What is told of a set: its status, conditions of its pods, Events.

use std::sync::Arc;

use kruise_core::runtime::{ApiError, Cached as _, Causes, Note, ObjectKey};
use kube_client::Api;
use kube_core::params::{Patch, PatchParams};
use parking_lot::Mutex;
use serde_json::{Value, json};
use tokio::time::Instant;

use super::history::Latest;
use super::notes;
use super::reconcile::{SidecarSetReconciler, Wait};
use super::rosters::Entry;
use crate::api::{SidecarSet, SidecarSetStatus};
use crate::plan::upgrade::{Counts, upgradable};

impl SidecarSetReconciler {
    /// Writes the status if it differs and it is time for that.
    pub(super) async fn report(
        &self,
        set: &SidecarSet,
        entry: &Mutex<Entry>,
        counts: &Counts,
        latest: Option<&Latest>,
        wait: &mut Wait,
    ) -> Result<(), ApiError> {
        self.tell_not_upgradable(set, entry, counts);
        let absent = SidecarSetStatus::default();
        let old = set.status.as_ref().unwrap_or(&absent);
        let mut status = counts.status(old, set.metadata.generation.unwrap_or(0));
        if let Some(latest) = latest {
            status.latest_revision.clone_from(&latest.name);
            if latest.collisions > 0 {
                status.collision_count = Some(latest.collisions);
            }
        }
        if set.status.is_some() && status == *old {
            return Ok(());
        }
        let over = counts.updated_ready == counts.matched && counts.ready == counts.matched;
        let urgent = over
            || set.status.is_none()
            || status.observed_generation != old.observed_generation
            || status.latest_revision != old.latest_revision;
        let reported = entry.lock().reported;
        let rest = reported.map(|at| self.config.status_interval.saturating_sub(at.elapsed()));
        if let Some(rest) = rest.filter(|rest| !rest.is_zero() && !urgent) {
            wait.at_most(rest);
            return Ok(());
        }
        let api: Api<SidecarSet> = Api::all(self.writer.client.clone());
        let patch = Patch::Merge(status_patch(set, &status));
        // Before the request, since the watch may be quicker than the answer.
        entry.lock().wrote = Some(status);
        let written = api
            .patch_status(set.name(), &PatchParams::default(), &patch)
            .await;
        match written.map_err(|source| ApiError::new("writing the status of a SidecarSet", source)) {
            Ok(written) => {
                entry.lock().reported = Some(Instant::now());
                // Else the same would be written once more.
                let (uid, version) = (written.uid(), written.resource_version());
                if let Err(error) = self.sets.wait_for(uid, version, self.config.settle_retry).await {
                    tracing::debug!(set = set.name(), %error, "a status has not come back");
                }
                Ok(())
            }
            Err(ApiError::Gone { .. }) => Ok(()),
            Err(error) => Err(error),
        }
    }

    fn tell_not_upgradable(&self, set: &SidecarSet, entry: &Mutex<Entry>, counts: &Counts) {
        let stuck = match set.spec.update_strategy.updates() {
            true => counts.not_upgradable,
            false => 0,
        };
        let told = std::mem::replace(&mut entry.lock().told, stuck);
        if stuck > told {
            self.events.emit(notes::not_upgradable(set, stuck));
        }
    }

    /// What has gone wrong with the set since it was last told.
    pub(super) fn troubles(&self, set: &SidecarSet, entry: &mut Entry) -> Option<Note> {
        let trouble = match entry.target.error() {
            Some(error) => Some(Causes(&error).to_string()),
            None if entry.asks_for_namespace_labels() && !self.rosters.knows_namespaces() => {
                Some("spec.namespaceSelector matches no pods here: namespaces are not watched".to_owned())
            }
            None => None,
        };
        if entry.trouble == trouble {
            return None;
        }
        entry.trouble.clone_from(&trouble);
        let trouble = trouble?;
        tracing::warn!(set = set.name(), trouble, "SidecarSet can not be followed");
        Some(notes::invalid(set, trouble))
    }

    /// Writes the conditions of pods that have to be written.
    ///
    /// # Errors
    /// The first one that could not be, for a reason that may pass.
    pub(super) async fn conditions(&self, entry: &Mutex<Entry>, wait: &mut Wait) -> Result<(), ApiError> {
        let suspects: Vec<ObjectKey> = {
            let mut entry = entry.lock();
            let some: Vec<_> = entry
                .suspects
                .iter()
                .take(self.config.writes_per_round)
                .cloned()
                .collect();
            some.iter().for_each(|key| {
                entry.suspects.remove(key);
            });
            if !entry.suspects.is_empty() {
                wait.at_most(self.config.conflict_retry);
            }
            some
        };
        let pods = suspects.iter().filter_map(|key| self.rosters.pods.get(key));
        let wanted = pods.filter_map(|pod| {
            let targets: Vec<_> = pod
                .set_names()
                .filter_map(|name| self.rosters.target(name, &self.sets))
                .collect();
            let find = |name: &str| {
                targets
                    .iter()
                    .find(|target| target.name() == name)
                    .map(Arc::as_ref)
            };
            let condition = upgradable(&pod, find)?;
            Some((pod, condition))
        });
        let wanted: Vec<_> = wanted.collect();
        let mut failure = None;
        for (key, error) in self.writer.conditions(wanted).await {
            entry.lock().suspects.insert(key);
            failure.get_or_insert(error);
        }
        failure.map_or(Ok(()), Err)
    }
}

/// The merge patch of the status of this very set.
fn status_patch(set: &SidecarSet, status: &SidecarSetStatus) -> Value {
    // All fields, since one that is left out would stay as it was.
    json!({
        "metadata": { "uid": set.metadata.uid },
        "status": {
            "observedGeneration": status.observed_generation,
            "matchedPods": status.matched_pods,
            "updatedPods": status.updated_pods,
            "readyPods": status.ready_pods,
            "updatedReadyPods": status.updated_ready_pods,
            "latestRevision": Some(&status.latest_revision).filter(|name| !name.is_empty()),
            "collisionCount": status.collision_count,
        },
    })
}
