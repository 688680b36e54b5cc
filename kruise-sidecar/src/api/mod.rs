//! The custom resource `SidecarSet` (`apps.kruise.io`): types, defaults, validation, hashes, conversion, CRD.
//!
//! Everything here is data and pure functions. The JSON is OpenKruise's: the same names, the same fields left out when
//! empty. [`SidecarSet`] is `v1alpha1`, which everything in this crate works with; [`v1beta1`] is beside it for users of
//! that version, and [`SidecarSetConverter`] turns one into the other.
//!
//! Containers and volumes are kept as JSON, so that fields which are younger than this crate reach the pod.

mod annotations;
mod container;
mod convert;
mod crds;
mod defaults;
mod hash;
pub(crate) mod image;
pub mod names;
mod object;
pub(crate) mod quantity;
mod scope;
mod sidecarset;
mod strategy;
pub mod v1beta1;
pub(crate) mod validation;
mod words;

pub use annotations::{
    AnnotationError, InPlaceState, InPlaceStates, InjectedHash, InjectedHashes, LastStatus,
    WorkingContainers, format_injected_list, injected_list,
};
pub use container::{
    Container, ResourceExpressions, ResourcesExpr, ResourcesPolicy, ShareVolumePolicy, SidecarContainer,
    SourceContainerNameSource, TransferEnvVar, UpgradeStrategy, Volume,
};
pub use convert::SidecarSetConverter;
pub use crds::crd;
pub use defaults::{DEFAULT_REVISION_HISTORY_LIMIT, default_sidecar_set};
pub use hash::{HashForm, Hashes, hashes};
pub(crate) use scope::keys as selector_keys;
pub use scope::{Mismatch, NamespaceFacts, Scope, ScopeError};
pub use sidecarset::{SidecarSet, SidecarSetSpec, SidecarSetStatus};
pub use strategy::{InjectRevision, InjectionStrategy, PatchPodMetadata, UpdateStrategy};
pub use validation::{
    MAX_NAME_LENGTH, PatchWhitelist, ValidationContext, ValidationError, ValidationErrorKind, Whitelist,
    WhitelistError, validate_conflicts, validate_sidecar_set, validate_update,
};
pub(crate) use words::or_default;
pub use words::{
    InjectRevisionPolicy, PatchPolicy, PodInjectPolicy, ShareVolumeType, TargetContainersMode,
    UpdateStrategyType, UpgradeType,
};

#[cfg(test)]
mod tests;
