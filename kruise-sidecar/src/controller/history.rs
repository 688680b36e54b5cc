//! The revisions of a set.

use std::cell::OnceCell;
use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::api::apps::v1::ControllerRevision;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
use kruise_core::revision::{RevisionError, RevisionHistory, RevisionTemplate, Snapshot, plan_history};
use kruise_core::runtime::{Cache, Cached as _, Index};
use serde_json::{Map, Value, json};

use super::rosters::Rosters;
use crate::api::names::{API_VERSION, KIND, SIDECARSET_CUSTOM_VERSION, SIDECARSET_NAME};
use crate::api::{DEFAULT_REVISION_HISTORY_LIMIT, SidecarSet};

/// Where `kubectl apply` keeps a copy of the whole set, which is not for a revision to have.
const LAST_APPLIED: &str = "kubectl.kubernetes.io/last-applied-configuration";

/// Fields of a set's spec that a revision keeps. Going back to a revision changes these, and no others.
pub const REVISION_FIELDS: [&str; 5] = [
    "volumes",
    "containers",
    "initContainers",
    "imagePullSecrets",
    "patchPodMetadata",
];

/// The revision of a set as it is now.
#[derive(Debug)]
pub(super) struct Latest {
    pub(super) name: String,
    pub(super) collisions: i32,
}

/// Keeps the revisions of all sets.
#[derive(Debug)]
pub(super) struct Histories {
    history: RevisionHistory,
    revisions: Cache<ControllerRevision>,
    by_set: Index<ControllerRevision, String>,
    patience: Duration,
}

/// The set of which a revision is.
pub(super) fn set_of(revision: &ControllerRevision) -> Option<&String> {
    revision.metadata.labels.as_ref()?.get(SIDECARSET_NAME)
}

impl Histories {
    pub(super) fn new(
        history: RevisionHistory,
        revisions: Cache<ControllerRevision>,
        patience: Duration,
    ) -> Self {
        let by_set = revisions.index(|revision: &ControllerRevision| set_of(revision).cloned());
        Self {
            history,
            revisions,
            by_set,
            patience,
        }
    }

    /// Brings the history of a set up to it. Writes nothing if it is.
    ///
    /// # Errors
    /// It can not be written now.
    pub(super) async fn sync(&self, set: &SidecarSet, rosters: &Rosters) -> Result<Latest, RevisionError> {
        let existing = self.revisions.by_index(&self.by_set, &set.name().to_owned());
        let snapshot = snapshot(set);
        let plan = {
            let used = OnceCell::new();
            let in_use = |revision: &ControllerRevision| {
                let used = used.get_or_init(|| in_use(set, &existing, rosters));
                let name = revision.metadata.name.as_ref();
                name.is_some_and(|name| used.contains(name))
            };
            let limit = set
                .spec
                .revision_history_limit
                .unwrap_or(DEFAULT_REVISION_HISTORY_LIMIT);
            let limit = usize::try_from(limit).unwrap_or(0);
            plan_history(set.uid(), &existing, &snapshot, in_use, limit)
        };
        let collisions = set.status.as_ref().and_then(|status| status.collision_count);
        let template = template(set);
        let synced = self
            .history
            .sync(&plan, &existing, &snapshot, &template, collisions.unwrap_or(0))
            .await?;
        if synced.changed {
            let (uid, version) = (synced.current.uid(), synced.current.resource_version());
            if let Err(error) = self.revisions.wait_for(uid, version, self.patience).await {
                tracing::debug!(set = set.name(), %error, "a revision has not come back");
            }
        }
        Ok(Latest {
            name: synced.current.metadata.name.unwrap_or_default(),
            collisions: synced.collisions,
        })
    }
}

/// What a revision keeps of a set.
pub(super) fn snapshot(set: &SidecarSet) -> Snapshot {
    let spec = serde_json::to_value(&set.spec).unwrap_or_default();
    let field = |name: &&str| ((*name).to_owned(), spec.get(*name).cloned().unwrap_or_default());
    let mut kept: Map<String, Value> = REVISION_FIELDS.iter().map(field).collect();
    kept.insert("$patch".to_owned(), json!("replace"));
    Snapshot::new(json!({ "spec": kept }))
}

fn template(set: &SidecarSet) -> RevisionTemplate {
    let mut labels = set.metadata.labels.clone().unwrap_or_default();
    labels.insert(SIDECARSET_NAME.to_owned(), set.name().to_owned());
    let mut annotations: BTreeMap<_, _> = set.metadata.annotations.clone().unwrap_or_default();
    annotations.remove(LAST_APPLIED);
    RevisionTemplate {
        workload: set.name().to_owned(),
        owner: OwnerReference {
            api_version: API_VERSION.to_owned(),
            kind: KIND.to_owned(),
            name: set.name().to_owned(),
            uid: set.uid().to_owned(),
            controller: Some(true),
            // Nothing waits for a revision to go, and some clusters want a right for it.
            block_owner_deletion: None,
        },
        labels,
        annotations,
    }
}

/// Names of revisions that pods have, or that new pods are to get.
fn in_use(set: &SidecarSet, existing: &[Arc<ControllerRevision>], rosters: &Rosters) -> HashSet<String> {
    let pods = rosters.speaking_of(set.name());
    let injected = pods.iter().filter_map(|pod| pod.set(set.name()));
    let mut used: HashSet<String> = HashSet::new();
    for injected in injected {
        // Many pods have the same one.
        if !used.contains(injected.revision()) {
            used.insert(injected.revision().to_owned());
        }
    }
    let Some(pinned) = &set.spec.injection_strategy.revision else {
        return used;
    };
    used.extend(pinned.revision_name.clone());
    if let Some(version) = &pinned.custom_version {
        let of_version = existing.iter().filter(|revision| {
            let labels = revision.metadata.labels.as_ref();
            labels.and_then(|labels| labels.get(SIDECARSET_CUSTOM_VERSION)) == Some(version)
        });
        let newest = of_version.max_by_key(|revision| revision.revision);
        used.extend(newest.and_then(|revision| revision.metadata.name.clone()));
    }
    used
}
