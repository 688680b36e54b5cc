//! The custom resources `ImagePullJob`, `ImageListPullJob` and `NodeImage` (`apps.kruise.io/v1alpha1`): types, defaults, validation, CRDs.
//!
//! Everything here is data and pure functions. The JSON is OpenKruise's: the same names, the same fields left out when
//! empty, times in UTC with whole seconds.

mod crds;
mod defaults;
mod image;
mod job;
mod list_job;
mod nodeimage;
mod policy;
mod validation;

pub use crds::crds;
pub use defaults::{
    DEFAULT_BACKOFF_LIMIT, DEFAULT_PARALLELISM, DEFAULT_TIMEOUT_SECONDS, default_job, default_list_job,
    default_node_image,
};
pub use image::{ImageKey, ImageKeyError};
pub use job::{
    FailedReason, ImagePullJob, ImagePullJobNodeSelector, ImagePullJobPullPolicy, ImagePullJobSpec,
    ImagePullJobStatus, MAX_FAILED_REASONS,
};
pub use list_job::{FailedImageStatus, ImageListPullJob, ImageListPullJobSpec, ImageListPullJobStatus};
pub use nodeimage::{
    ImageSpec, ImageStatus, ImageTagPullPolicy, ImageTagSpec, ImageTagStatus, NodeImage, NodeImageSpec,
    NodeImageStatus, PullPhase, SecretReference,
};
pub use policy::{CompletionPolicy, CompletionPolicyType, ImagePullPolicy, SandboxConfig};
pub use validation::{
    MAX_IMAGES_PER_LIST, MAX_IMAGES_PER_NODE, ValidationError, ValidationErrorKind, parse_parallelism,
    validate_job, validate_job_update, validate_list_job, validate_node_image,
};

/// The served and stored version.
pub const VERSION: &str = "v1alpha1";
/// Group and version as owner references carry it.
pub const API_VERSION: &str = "apps.kruise.io/v1alpha1";
/// Namespace where nodes read the copies of pull secrets, unless another is configured.
pub const DAEMON_CONFIG_NAMESPACE: &str = "kruise-daemon-config";
/// Kind of the job, as owner references carry it.
pub const JOB_KIND: &str = "ImagePullJob";
/// Kind of the list of jobs, as owner references carry it.
pub const LIST_JOB_KIND: &str = "ImageListPullJob";
/// Kind of the per-node object.
pub const NODE_IMAGE_KIND: &str = "NodeImage";

#[cfg(test)]
mod tests;
