//! Writes pods. Whatever nobody can be sure of is remembered: before its set is upgraded further, the server is asked.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use futures::{StreamExt as _, TryStreamExt as _, stream};
use k8s_openapi::api::core::v1::Pod;
use kruise_core::runtime::{ApiError, Cache, Cached as _, Causes, Clock, Expectations, ObjectKey};
use kube_client::{Api, Client};
use kube_core::params::{Patch, PatchParams};
use parking_lot::Mutex;

use super::metrics::{CONFLICT, FAILED, REFUSED, RESET, UPGRADED, UpgradeMetrics};
use super::rosters::same_state;
use crate::api::SidecarSet;
use crate::plan::upgrade::{PatchError, PodPatch, Stamp, Upgradable, reset_patch, upgrade_patch};
use crate::plan::{SidecarPod, Target};

/// See the [module](self).
pub(super) struct Writer {
    pub(super) client: Client,
    pub(super) sets: Cache<SidecarSet>,
    pub(super) pods: Cache<SidecarPod>,
    pub(super) expectations: Expectations,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) metrics: UpgradeMetrics,
    pub(super) concurrent: usize,
    /// Pods by the uid of the set for which they were written, of which the cache may know too little. A pod is put here
    /// before its request is made, so that a request that is dropped in the middle is not forgotten.
    pub(super) in_doubt: Mutex<HashMap<String, BTreeSet<ObjectKey>>>,
}

impl std::fmt::Debug for Writer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Writer").finish_non_exhaustive()
    }
}

/// What is to become of pods.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Change {
    /// They come to the state of the set.
    Upgrade,
    /// Their idle containers get the empty image.
    Reset,
}

/// What is done to pods, for which state of a set.
#[derive(Debug)]
pub(super) struct Order {
    pub(super) set: Arc<SidecarSet>,
    pub(super) target: Arc<Target>,
    /// Name of the ControllerRevision.
    pub(super) revision: String,
    pub(super) change: Change,
}

/// What came of it.
#[derive(Debug, Default)]
pub(super) struct Round {
    /// Pods that were written.
    pub(super) written: Vec<Arc<SidecarPod>>,
    /// How many had changed, or were gone.
    pub(super) conflicts: usize,
    /// Pods that the server does not let write, and why.
    pub(super) refused: Vec<(Arc<SidecarPod>, Refusal)>,
    /// The first failure that ended the round.
    pub(super) failure: Option<ApiError>,
}

/// Why a pod is left alone for some time.
#[derive(Debug, thiserror::Error)]
pub(super) enum Refusal {
    /// The server says so.
    #[error(transparent)]
    Api(ApiError),
    /// There is no patch for it.
    #[error(transparent)]
    Patch(#[from] PatchError),
}

enum Written {
    Done,
    Conflict,
    Refused(Refusal),
    Failed(ApiError),
    /// The set has changed, or the round is over.
    Skipped,
}

impl Writer {
    /// Writes pods, some at a time, until the set changes or the server fails.
    pub(super) async fn round(self: &Arc<Self>, order: Order, pods: Vec<Arc<SidecarPod>>) -> Round {
        let over = Arc::new(AtomicBool::new(false));
        let order = Arc::new(order);
        let writes = stream::iter(pods).map(|pod| {
            let (writer, order, over) = (self.clone(), order.clone(), over.clone());
            async move {
                let written = match over.load(Ordering::Relaxed) || !writer.is_current(&order.set) {
                    true => Written::Skipped,
                    false => writer.write(&order, &pod).await,
                };
                if matches!(written, Written::Failed(_)) {
                    over.store(true, Ordering::Relaxed);
                }
                (pod, written)
            }
        });
        let mut writes = std::pin::pin!(writes.buffer_unordered(self.concurrent));
        let mut round = Round::default();
        while let Some((pod, written)) = writes.next().await {
            let result = match written {
                Written::Done => {
                    round.written.push(pod);
                    match order.change {
                        Change::Upgrade => UPGRADED,
                        Change::Reset => RESET,
                    }
                }
                Written::Conflict => {
                    round.conflicts += 1;
                    CONFLICT
                }
                Written::Refused(why) => {
                    round.refused.push((pod, why));
                    REFUSED
                }
                Written::Failed(error) => {
                    round.failure.get_or_insert(error);
                    FAILED
                }
                Written::Skipped => continue,
            };
            self.metrics.count(order.set.name(), result);
        }
        round
    }

    /// Whether the set is still as it was when the round began.
    fn is_current(&self, set: &Arc<SidecarSet>) -> bool {
        let now = self.sets.get(&set.key());
        now.is_some_and(|now| Arc::ptr_eq(&now, set) || same_state(&now, set))
    }

    async fn write(&self, order: &Order, pod: &SidecarPod) -> Written {
        let (set, key) = (order.set.uid(), pod.key());
        let api: Api<Pod> = Api::namespaced(self.client.clone(), key.namespace_str());
        let patch = match self.patch(order, pod, &api).await {
            Ok(patch) => patch,
            Err(written) => return written,
        };
        self.doubt(set, &key);
        let patch = Patch::Strategic(patch.to_strategic_merge());
        let written = api
            .patch_metadata(&key.name, &PatchParams::default(), &patch)
            .await;
        match written.map_err(|source| ApiError::new("upgrading a pod", source)) {
            Ok(written) => {
                self.expectations
                    .expect_update(set, pod.uid(), written.resource_version());
                self.settled(set, &key);
                Written::Done
            }
            // They stay in doubt: the cache is behind, or the next plan would only try the same again.
            Err(ApiError::Conflict { .. } | ApiError::Gone { .. }) => Written::Conflict,
            Err(error @ ApiError::Refused { .. }) => {
                self.settled(set, &key);
                Written::Refused(Refusal::Api(error))
            }
            Err(error) => {
                tracing::debug!(pod = %key, error = %Causes(&error), "pod not upgraded");
                Written::Failed(error)
            }
        }
    }

    async fn patch(&self, order: &Order, pod: &SidecarPod, api: &Api<Pod>) -> Result<PodPatch, Written> {
        let stamp = Stamp {
            now: self.clock.now(),
            revision: &order.revision,
        };
        if order.change == Change::Reset {
            return Ok(reset_patch(&order.target, pod, &stamp));
        }
        let mut annotations = None;
        if order.target.patches_metadata() {
            let found = api.get_metadata_opt(&pod.key().name).await;
            let found = found.map_err(|source| Written::Failed(ApiError::new("reading a pod", source)))?;
            let same = found.filter(|found| {
                found.uid() == pod.uid() && found.resource_version() == pod.resource_version()
            });
            let Some(found) = same else {
                self.doubt(order.set.uid(), &pod.key());
                return Err(Written::Conflict);
            };
            annotations = Some(found.metadata.annotations.unwrap_or_default());
        }
        let patch = upgrade_patch(&order.target, pod, &stamp, annotations.as_ref());
        patch.map_err(|error| Written::Refused(error.into()))
    }

    fn doubt(&self, set: &str, pod: &ObjectKey) {
        let mut in_doubt = self.in_doubt.lock();
        in_doubt.entry(set.to_owned()).or_default().insert(pod.clone());
    }

    fn settled(&self, set: &str, pod: &ObjectKey) {
        let mut in_doubt = self.in_doubt.lock();
        if let Some(pods) = in_doubt.get_mut(set) {
            pods.remove(pod);
            if pods.is_empty() {
                in_doubt.remove(set);
            }
        }
    }

    /// Finds out about every pod of a set of which the cache may know too little: asks for its version, and expects the
    /// cache to come to it.
    ///
    /// # Errors
    /// The server can not be asked now; nothing may be decided for this set.
    pub(super) async fn settle(&self, set: &str) -> Result<(), ApiError> {
        let pods = self.in_doubt.lock().get(set).cloned().unwrap_or_default();
        let asked = stream::iter(pods).map(|key| self.settle_pod(set, key));
        asked
            .buffer_unordered(self.concurrent)
            .try_for_each(|()| std::future::ready(Ok(())))
            .await
    }

    async fn settle_pod(&self, set: &str, key: ObjectKey) -> Result<(), ApiError> {
        let api: Api<Pod> = Api::namespaced(self.client.clone(), key.namespace_str());
        let found = api.get_metadata_opt(&key.name).await;
        let found = found.map_err(|source| ApiError::new("reading a pod", source))?;
        let held = self.pods.get(&key);
        if let Some(found) = &found {
            self.expectations
                .expect_update(set, found.uid(), found.resource_version());
        }
        // The pod that the cache has is gone.
        let gone = held.filter(|held| found.as_ref().is_none_or(|found| found.uid() != held.uid()));
        if let Some(gone) = gone {
            self.expectations.expect_deletion(set, gone.uid());
            if self.pods.get_by_uid(gone.uid()).is_none() {
                self.expectations.withdraw_deletion(set, gone.uid());
            }
        }
        self.settled(set, &key);
        Ok(())
    }

    /// Forgets a set.
    pub(super) fn forget(&self, set: &str) {
        self.in_doubt.lock().remove(set);
        self.expectations.forget(set);
    }

    /// Writes conditions of pods, some at a time. Returns the pods that have to be looked at again, and why.
    pub(super) async fn conditions(
        self: &Arc<Self>,
        wanted: Vec<(Arc<SidecarPod>, Upgradable)>,
    ) -> Vec<(ObjectKey, ApiError)> {
        let writes = stream::iter(wanted).map(|(pod, condition)| {
            let writer = self.clone();
            async move {
                let written = writer.condition(&pod, &condition).await;
                written.err().map(|error| (pod.key(), error))
            }
        });
        let again = writes.buffer_unordered(self.concurrent);
        again.filter_map(std::future::ready).collect().await
    }

    /// # Errors
    /// It has to be looked at again.
    async fn condition(&self, pod: &SidecarPod, condition: &Upgradable) -> Result<(), ApiError> {
        let key = pod.key();
        let api: Api<Pod> = Api::namespaced(self.client.clone(), key.namespace_str());
        let patch = Patch::Strategic(condition.to_strategic_merge(pod, self.clock.now()));
        let written = api.patch_status(&key.name, &PatchParams::default(), &patch).await;
        match written.map_err(|source| ApiError::new("writing a condition", source)) {
            // A pod that has changed is looked at again for that.
            Ok(_) | Err(ApiError::Gone { .. } | ApiError::Conflict { .. }) => Ok(()),
            Err(error @ ApiError::Refused { .. }) => {
                tracing::warn!(pod = %key, error = %Causes(&error), "condition of a pod not written");
                Ok(())
            }
            Err(error) => {
                tracing::debug!(pod = %key, error = %Causes(&error), "condition of a pod not written yet");
                Err(error)
            }
        }
    }
}
