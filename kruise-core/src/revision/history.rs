//! Carries a plan out.

use std::collections::BTreeMap;

use k8s_openapi::api::apps::v1::ControllerRevision;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, OwnerReference};
use k8s_openapi::apimachinery::pkg::runtime::RawExtension;
use kube_client::{Api, Client};
use kube_core::params::{DeleteParams, Patch, PatchParams, PostParams, Preconditions};
use serde_json::{Map, Value, json};

use super::plan::{is_orphan, may_own};
use super::{Current, HistoryPlan, Snapshot};
use crate::runtime::{ApiError, ReconcileError, Retry};

/// Names that are tried for one revision.
const TRIES: usize = 16;

/// What revisions of a workload carry beside their data.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct RevisionTemplate {
    /// The name of the workload, with which names of revisions begin.
    pub workload: String,
    /// The workload, as controller.
    pub owner: OwnerReference,
    /// Labels, with that by which revisions of the workload are found.
    pub labels: BTreeMap<String, String>,
    /// Annotations.
    pub annotations: BTreeMap<String, String>,
}

/// What came of a plan.
#[derive(Clone, Debug, PartialEq)]
pub struct Synced {
    /// The revision of the present state.
    pub current: ControllerRevision,
    /// How often a name of the workload's revisions was taken, for its status.
    pub collisions: i32,
    /// Whether something was written.
    pub changed: bool,
}

/// Why the history is not as it should be.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RevisionError {
    /// A request failed.
    #[error(transparent)]
    Api(#[from] ApiError),
    /// All names that were tried are taken by other data.
    #[error("no name is free for a revision of {workload}")]
    NoName {
        /// The workload.
        workload: String,
    },
}

impl ReconcileError for RevisionError {
    fn retry(&self) -> Retry {
        match self {
            Self::Api(error) => error.retry(),
            Self::NoName { .. } => Retry::Backoff,
        }
    }
}

/// The revisions of one namespace. Clones share the client.
#[derive(Clone)]
pub struct RevisionHistory(Api<ControllerRevision>);

impl std::fmt::Debug for RevisionHistory {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("RevisionHistory")
            .field(&self.0.resource_url())
            .finish()
    }
}

impl RevisionHistory {
    /// The revisions of this namespace.
    pub fn new(client: Client, namespace: &str) -> Self {
        Self(Api::namespaced(client, namespace))
    }

    /// Carries a plan for `existing` out: the current revision first, then adoptions and deletions. A revision that
    /// changed in the meantime is left to the next plan. `collisions` is what the status of the workload says.
    ///
    /// Cancel safe: what is missing is planned again.
    ///
    /// # Errors
    /// A request failed, or no name is free.
    pub async fn sync<R: AsRef<ControllerRevision>>(
        &self,
        plan: &HistoryPlan,
        existing: &[R],
        snapshot: &Snapshot,
        template: &RevisionTemplate,
        collisions: i32,
    ) -> Result<Synced, RevisionError> {
        let at = |at: usize| existing.get(at).map(AsRef::as_ref);
        let (mut synced, number) = match plan.current {
            Current::Create { revision } => {
                (self.create(revision, snapshot, template, collisions).await?, None)
            }
            Current::Raise { at: place, revision } => (held(at(place), collisions), Some(revision)),
            Current::Reuse { at: place } => (held(at(place), collisions), None),
        };
        if let Some(patch) = refresh(&synced.current, template, number) {
            synced.current = self.patch(&synced.current, patch).await?;
            synced.changed = true;
        }
        for orphan in plan.adopt.iter().filter_map(|place| at(*place)) {
            let patch = json!({ "metadata": { "ownerReferences": owners(orphan, template) } });
            match self.patch(orphan, patch).await {
                Ok(_) => synced.changed = true,
                Err(ApiError::Conflict { .. } | ApiError::Gone { .. }) => {}
                Err(error) => return Err(error.into()),
            }
        }
        for old in plan.delete.iter().filter_map(|place| at(*place)) {
            let params = DeleteParams {
                preconditions: Some(Preconditions {
                    uid: old.metadata.uid.clone(),
                    resource_version: old.metadata.resource_version.clone(),
                }),
                ..DeleteParams::background()
            };
            let name = old.metadata.name.as_deref().unwrap_or_default();
            let deleted = self.0.delete(name, &params).await;
            match deleted.map_err(|source| ApiError::new("deleting a revision", source)) {
                Ok(_) => synced.changed = true,
                Err(ApiError::Conflict { .. } | ApiError::Gone { .. }) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(synced)
    }

    async fn create(
        &self,
        revision: i64,
        snapshot: &Snapshot,
        template: &RevisionTemplate,
        mut collisions: i32,
    ) -> Result<Synced, RevisionError> {
        for _ in 0..TRIES {
            let name = snapshot.name(&template.workload, collisions);
            let new = ControllerRevision {
                metadata: ObjectMeta {
                    name: Some(name.clone()),
                    labels: Some(template.labels.clone()).filter(|labels| !labels.is_empty()),
                    annotations: Some(template.annotations.clone()).filter(|held| !held.is_empty()),
                    owner_references: Some(vec![template.owner.clone()]),
                    ..ObjectMeta::default()
                },
                data: Some(RawExtension(snapshot.data().clone())),
                revision,
            };
            let created = self.0.create(&PostParams::default(), &new).await;
            match created.map_err(|source| ApiError::new("creating a revision", source)) {
                Ok(current) => {
                    return Ok(Synced {
                        current,
                        collisions,
                        changed: true,
                    });
                }
                Err(ApiError::Conflict { .. }) => {}
                Err(error) => return Err(error.into()),
            }
            let there = self.0.get_opt(&name).await;
            match there.map_err(|source| ApiError::new("reading a revision", source))? {
                // Created before, and not seen yet.
                Some(current) if may_own(&template.owner.uid, &current) && snapshot.is_of(&current) => {
                    return Ok(Synced {
                        current,
                        collisions,
                        changed: true,
                    });
                }
                Some(_) => collisions = collisions.saturating_add(1),
                None => {}
            }
        }
        Err(RevisionError::NoName {
            workload: template.workload.clone(),
        })
    }

    /// Patches this very state of a revision.
    async fn patch(
        &self,
        revision: &ControllerRevision,
        mut patch: Value,
    ) -> Result<ControllerRevision, ApiError> {
        let metadata = &revision.metadata;
        patch["metadata"]["uid"] = json!(metadata.uid);
        patch["metadata"]["resourceVersion"] = json!(metadata.resource_version);
        let name = metadata.name.as_deref().unwrap_or_default();
        let (params, patch) = (PatchParams::default(), Patch::Merge(&patch));
        let patched = self.0.patch(name, &params, &patch).await;
        patched.map_err(|source| ApiError::new("writing a revision", source))
    }
}

fn held(current: Option<&ControllerRevision>, collisions: i32) -> Synced {
    Synced {
        current: current.cloned().unwrap_or_default(),
        collisions,
        changed: false,
    }
}

/// The patch that gives the current revision its number, an owner, and the labels and annotations that it lacks.
fn refresh(current: &ControllerRevision, template: &RevisionTemplate, number: Option<i64>) -> Option<Value> {
    let lacking = |wanted: &BTreeMap<String, String>, held: &Option<BTreeMap<String, String>>| {
        let held = held.as_ref();
        let lacks = wanted
            .iter()
            .filter(|(key, value)| held.and_then(|held| held.get(*key)) != Some(*value));
        let lacks: Map<String, Value> = lacks.map(|(key, value)| (key.clone(), json!(value))).collect();
        (!lacks.is_empty()).then_some(lacks)
    };
    let mut patch = json!({});
    if let Some(number) = number.filter(|number| *number != current.revision) {
        patch["revision"] = json!(number);
    }
    if let Some(labels) = lacking(&template.labels, &current.metadata.labels) {
        patch["metadata"]["labels"] = Value::Object(labels);
    }
    if let Some(annotations) = lacking(&template.annotations, &current.metadata.annotations) {
        patch["metadata"]["annotations"] = Value::Object(annotations);
    }
    if is_orphan(current) {
        patch["metadata"]["ownerReferences"] = json!(owners(current, template));
    }
    (patch != json!({})).then_some(patch)
}

fn owners(orphan: &ControllerRevision, template: &RevisionTemplate) -> Vec<OwnerReference> {
    let others = orphan.metadata.owner_references.iter().flatten();
    let others = others.filter(|owner| owner.uid != template.owner.uid).cloned();
    others.chain([template.owner.clone()]).collect()
}
