//! Why a pod is not injected.

use std::sync::Arc;

use crate::api::{AnnotationError, ScopeError};

/// Why there is no patch for a pod.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum InjectError {
    /// It is not the JSON of a pod.
    #[error("the pod cannot be read")]
    Pod(#[source] serde_json::Error),
    /// An annotation that sets share is not what it should be.
    #[error("the pod's annotation {key} cannot be read")]
    Annotation {
        /// Its key.
        key: &'static str,
        /// What is wrong.
        #[source]
        source: AnnotationError,
    },
    /// A set that selects the pod cannot be injected into it, and [`Refusal::Deny`](super::Refusal::Deny) holds.
    #[error("SidecarSet {set:?} cannot be injected")]
    Set {
        /// The name of the set.
        set: Arc<str>,
        /// What is wrong.
        #[source]
        problem: Problem,
    },
}

/// What is wrong with a set, or with a set and a pod.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Problem {
    /// A selector means nothing, so it cannot be said which pods it selects.
    #[error("a selector cannot be used")]
    Selector(#[from] ScopeError),
    /// A container of the pod, which no set has injected, has the name of a sidecar.
    #[error("its sidecar {sidecar:?} has the name of the pod's {kind} {sidecar:?}")]
    NameTaken {
        /// The name of both.
        sidecar: String,
        /// `container` or `init container`.
        kind: &'static str,
    },
    /// Another set that selects the pod brings a sidecar of the same name.
    #[error("its sidecar {sidecar:?} has the name of a sidecar of SidecarSet {other:?}")]
    NameTakenBySet {
        /// The name of both.
        sidecar: String,
        /// The other set; the same where a set names two sidecars alike.
        other: Arc<str>,
    },
    /// `injectionStrategy.revision` names a revision that is not there.
    #[error("injectionStrategy.revision: there is no revision {wanted:?}")]
    NoRevision {
        /// The name or custom version that is asked for.
        wanted: String,
    },
    /// The data of a revision is not that of a SidecarSet.
    #[error("revision {name:?} cannot be read: {reason}")]
    Revision {
        /// The name of the revision.
        name: String,
        /// What is wrong.
        reason: String,
    },
    /// `updateStrategy.partition` is neither a number nor a percentage.
    #[error("updateStrategy.partition: {0}")]
    Partition(kruise_core::api::int_or_percent::IntOrPercentError),
    /// A field of a sidecar has not the form that it has in a pod.
    #[error("{path} must be {wanted}")]
    Malformed {
        /// The path of the field.
        path: String,
        /// What it must be.
        wanted: &'static str,
    },
    /// A field asks for what this crate does not do. Validation refuses it.
    #[error("{path} is not supported")]
    NotSupported {
        /// The path of the field.
        path: String,
    },
    /// `patchPodMetadata` should merge JSON, but the text of the set or the value of the pod is none.
    #[error("patchPodMetadata: annotation {key:?} of the {of} is not JSON: {reason}")]
    NotJson {
        /// The key of the annotation.
        key: String,
        /// `set` or `pod`.
        of: &'static str,
        /// What is wrong.
        reason: String,
    },
}
