//! Whether a pod is one of a set's, and what stands against its upgrade.

use std::fmt;

use crate::api::{Mismatch, NamespaceFacts};
use crate::plan::{SidecarPod, Target};

/// Why a pod is not one of a set's.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Unmatched {
    /// A selector of the set means nothing.
    BadSelector,
    /// The set is not for it.
    Scope(Mismatch),
    /// It is being deleted.
    Terminating,
    /// All its containers have ended.
    Finished,
    /// The set was not injected when it was created, and can not be any more.
    NotInjected,
    /// It lacks a container of the set, which was added to the set later, say.
    NoContainer(Box<str>),
    /// It does not say which container of a hot-upgraded sidecar works.
    NoWorkingContainer(Box<str>),
}

impl fmt::Display for Unmatched {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::BadSelector => f.write_str("a selector of the set is not valid"),
            Self::Scope(mismatch) => mismatch.fmt(f),
            Self::Terminating => f.write_str("it is being deleted"),
            Self::Finished => f.write_str("it has ended"),
            Self::NotInjected => f.write_str("the set was not injected when it was created"),
            Self::NoContainer(name) => write!(f, "it has no container {name:?}"),
            Self::NoWorkingContainer(name) => {
                write!(f, "it does not say which container of {name:?} works")
            }
        }
    }
}

/// Returns whether a pod is one of the matched pods of a set, which are counted and upgraded.
///
/// # Errors
/// Why it is not.
pub fn membership(
    target: &Target,
    pod: &SidecarPod,
    namespace: &NamespaceFacts<'_>,
) -> Result<(), Unmatched> {
    if pod.pod().is_terminating() {
        return Err(Unmatched::Terminating);
    }
    if !pod.is_active() {
        return Err(Unmatched::Finished);
    }
    let scope = target.scope().map_err(|_| Unmatched::BadSelector)?;
    scope.matches(namespace, pod).map_err(Unmatched::Scope)?;
    if !pod.set(target.name()).is_some_and(|set| set.is_listed()) {
        return Err(Unmatched::NotInjected);
    }
    for sidecar in target.sidecars() {
        let lacks = |name: &str| pod.container(name).is_none();
        match &sidecar.hot {
            None if lacks(&sidecar.name) => return Err(Unmatched::NoContainer(sidecar.name.clone())),
            None => {}
            Some(hot) => {
                if let Some(name) = hot.containers.iter().find(|name| lacks(name)) {
                    return Err(Unmatched::NoContainer(name.clone()));
                }
                if pod.working(&sidecar.name).is_none() {
                    return Err(Unmatched::NoWorkingContainer(sidecar.name.clone()));
                }
            }
        }
    }
    Ok(())
}

/// What stands against the upgrade of a matched pod that is not at the set's state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Obstacle {
    /// The set does not upgrade pods that run.
    NotUpdate,
    /// The update strategy of the set means nothing; see [`Target::error`].
    BadStrategy,
    /// More than images differs, and nothing else of a container can be changed while the pod runs.
    Immutable,
    /// Its previous upgrade is still under way: a container is about to be restarted.
    InFlight,
    /// Idle containers of other pods get the empty image first.
    ResetsFirst,
    /// The API server does not take its patch; it is tried again later.
    Refused,
}

impl fmt::Display for Obstacle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NotUpdate => "the set does not upgrade pods (updateStrategy.type is NotUpdate)",
            Self::BadStrategy => "the updateStrategy of the set is not valid",
            Self::Immutable => "more than images differs; it has to be created anew",
            Self::InFlight => "its previous upgrade is still under way",
            Self::ResetsFirst => "idle containers get the empty image first",
            Self::Refused => "the API server refuses its upgrade; it is tried again later",
        })
    }
}
