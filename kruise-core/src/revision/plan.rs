//! Which revisions there are to be.

use std::borrow::Borrow;

use k8s_openapi::api::apps::v1::ControllerRevision;
use k8s_openapi::jiff::Timestamp;

use super::Snapshot;

/// What becomes of the revision of the present state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Current {
    /// There is none: it is created with this number.
    Create {
        /// Its number.
        revision: i64,
    },
    /// The one at this position is it again, and gets this number.
    Raise {
        /// Its position.
        at: usize,
        /// Its new number.
        revision: i64,
    },
    /// The one at this position is it still.
    Reuse {
        /// Its position.
        at: usize,
    },
}

/// What to do with the revisions of a workload.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HistoryPlan {
    /// The one of the present state.
    pub current: Current,
    /// Positions of those that nobody owns, other than the current one.
    pub adopt: Vec<usize>,
    /// Positions of those that are too many, oldest first.
    pub delete: Vec<usize>,
}

/// Plans the history of the workload with uid `owner`. `existing` are all that bear its label, whoever owns them;
/// `in_use` is asked of those alone that would have to go. `limit` counts the current one, and is at least one.
pub fn plan_history<R: Borrow<ControllerRevision>>(
    owner: &str,
    existing: &[R],
    snapshot: &Snapshot,
    in_use: impl Fn(&ControllerRevision) -> bool,
    limit: usize,
) -> HistoryPlan {
    let revisions = existing.iter().map(Borrow::borrow).enumerate();
    let mut own: Vec<(usize, &ControllerRevision)> = revisions
        .filter(|(_, revision)| may_own(owner, revision))
        .collect();
    own.sort_by_key(|(_, revision)| age(revision));
    let newest = own.last().map_or(0, |(_, revision)| revision.revision);
    let equal = own.iter().rposition(|(_, revision)| snapshot.is_of(revision));
    let current = match equal.and_then(|place| own.get(place).map(|(at, revision)| (place, *at, *revision))) {
        None => Current::Create {
            revision: newest.saturating_add(1),
        },
        Some((place, at, revision)) => {
            let others = own.iter().enumerate().filter(|(other, _)| *other != place);
            let highest = others.map(|(_, (_, other))| other.revision).max();
            let raised = highest.map_or(revision.revision, |highest| highest.saturating_add(1));
            match revision.revision >= raised {
                true => Current::Reuse { at },
                false => Current::Raise { at, revision: raised },
            }
        }
    };
    let (current_at, created) = match current {
        Current::Create { .. } => (None, 1),
        Current::Raise { at, .. } | Current::Reuse { at } => (Some(at), 0),
    };
    let excess = (own.len() + created).saturating_sub(limit.max(1));
    let others = || own.iter().filter(|(at, _)| Some(*at) != current_at);
    let delete: Vec<usize> = match excess {
        0 => Vec::new(),
        _ => {
            let unused = others().filter(|(_, revision)| !in_use(revision));
            unused.take(excess).map(|(at, _)| *at).collect()
        }
    };
    let orphans = others().filter(|(at, revision)| is_orphan(revision) && !delete.contains(at));
    HistoryPlan {
        current,
        adopt: orphans.map(|(at, _)| *at).collect(),
        delete,
    }
}

/// The older of two comes first, in whatever order they are given.
fn age(revision: &ControllerRevision) -> (i64, Option<Timestamp>, Option<&str>) {
    let metadata = &revision.metadata;
    let created = metadata.creation_timestamp.as_ref().map(|time| time.0);
    (revision.revision, created, metadata.name.as_deref())
}

/// Whether a revision is this owner's, or nobody's.
pub(super) fn may_own(owner: &str, revision: &ControllerRevision) -> bool {
    controller(revision).is_none_or(|uid| uid == owner) && revision.metadata.deletion_timestamp.is_none()
}

pub(super) fn is_orphan(revision: &ControllerRevision) -> bool {
    controller(revision).is_none()
}

fn controller(revision: &ControllerRevision) -> Option<&str> {
    let mut owners = revision.metadata.owner_references.iter().flatten();
    owners
        .find(|owner| owner.controller == Some(true))
        .map(|owner| owner.uid.as_str())
}
