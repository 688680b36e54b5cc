//! Kubernetes Events as this crate makes them. Whoever embeds it says where they go.

pub use kruise_core::runtime::{EventSink, Note};

/// A pull that succeeded; on the NodeImage.
pub const REASON_PULLED: &str = "PullImageSucceed";
/// A pull that failed; on the NodeImage and on the owners of the task.
pub const REASON_PULL_FAILED: &str = "PullImageFailed";
/// A job that can not be acted on.
pub const REASON_INVALID_JOB: &str = "InvalidImagePullJob";
/// Something keeps a job from what it should do: a pull secret is missing, say.
pub const REASON_JOB_TROUBLE: &str = "ImagePullJobTrouble";
/// Nodes of a job failed.
pub const REASON_NODES_FAILED: &str = "NodesFailed";
/// The API server refuses to take the task of a job.
pub const REASON_DISPATCH_REFUSED: &str = "DispatchRefused";
/// A job that ended.
pub const REASON_JOB_COMPLETED: &str = "ImagePullJobCompleted";

/// A list of images that can not be acted on.
pub const REASON_INVALID_LIST: &str = "InvalidImageListPullJob";
/// Jobs of a list can not be created.
pub const REASON_CREATE_FAILED: &str = "FailedCreate";
/// Some images of a list failed.
pub const REASON_IMAGES_FAILED: &str = "ImagesFailed";
/// A list that ended.
pub const REASON_LIST_COMPLETED: &str = "ImageListPullJobCompleted";
