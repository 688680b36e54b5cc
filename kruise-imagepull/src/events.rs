//! Kubernetes Events as this crate makes them. Whoever embeds it says where they go.

use std::fmt;
use std::sync::Arc;

use k8s_openapi::api::core::v1::ObjectReference;

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

/// One Event.
#[derive(Clone, Debug, PartialEq)]
pub struct Note {
    /// What it is about.
    pub about: ObjectReference,
    /// Whether somebody should worry.
    pub warning: bool,
    /// Machine-readable reason, one of the constants of this module.
    pub reason: &'static str,
    /// Text for people.
    pub message: String,
}

/// Takes Events. Clones share the destination. Must not block; the destination limits their rate.
#[derive(Clone)]
pub struct EventSink(Arc<dyn Fn(Note) + Send + Sync>);

impl EventSink {
    /// Makes a sink of a closure.
    pub fn new(emit: impl Fn(Note) + Send + Sync + 'static) -> Self {
        Self(Arc::new(emit))
    }

    /// Makes a sink that drops everything.
    pub fn none() -> Self {
        Self::new(drop)
    }

    pub(crate) fn emit(&self, note: Note) {
        (self.0)(note);
    }
}

impl fmt::Debug for EventSink {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("EventSink(..)")
    }
}
