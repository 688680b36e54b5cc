//! The two services, as traits: what an agent depends on, and what tests replace.

use std::time::Duration;

use async_trait::async_trait;

use crate::error::Error;
use crate::types::{
    Container, ContainerFilter, ContainerStatus, ExecOutput, FilesystemUsage, Image, PullRequest,
    RuntimeCondition, RuntimeVersion, Sandbox, SandboxFilter, SandboxStatus,
};

/// Images of a node.
///
/// Every call has a deadline. Dropping a call cancels it on the runtime's side as far as the runtime follows: containerd
/// stops the pull, CRI-O goes on with one that others joined.
#[async_trait]
pub trait ImageService: Send + Sync {
    /// All images, or those of one reference. containerd ignores the filter and returns all.
    async fn list_images(&self, image: Option<&str>) -> Result<Vec<Image>, Error>;

    /// The image of a tag, digest or id; `None` if the node does not have it. The cheapest test of presence.
    async fn image_status(&self, image: &str) -> Result<Option<Image>, Error>;

    /// Pulls an image and returns what the runtime calls it: an id, or a digest reference from older runtimes. Blocks until
    /// the end; the interface tells no progress.
    async fn pull_image(&self, request: PullRequest) -> Result<String, Error>;

    /// Removes an image with **all** its tags. Succeeds if it is not there.
    async fn remove_image(&self, image: &str) -> Result<(), Error>;

    /// How full the filesystems of images are.
    async fn image_fs_info(&self) -> Result<Vec<FilesystemUsage>, Error>;
}

/// Sandboxes and containers of a node. Deadlines as for [`ImageService`].
#[async_trait]
pub trait RuntimeService: Send + Sync {
    /// Name and version of the runtime.
    async fn version(&self) -> Result<RuntimeVersion, Error>;

    /// Conditions of the runtime, such as `RuntimeReady` and `NetworkReady`.
    async fn status(&self) -> Result<Vec<RuntimeCondition>, Error>;

    /// Sandboxes that match.
    async fn list_sandboxes(&self, filter: SandboxFilter) -> Result<Vec<Sandbox>, Error>;

    /// One sandbox.
    async fn sandbox_status(&self, id: &str) -> Result<SandboxStatus, Error>;

    /// Containers that match.
    async fn list_containers(&self, filter: ContainerFilter) -> Result<Vec<Container>, Error>;

    /// One container.
    async fn container_status(&self, id: &str) -> Result<ContainerStatus, Error>;

    /// Asks a container to stop and kills it after `grace`. Succeeds if it has stopped already.
    async fn stop_container(&self, id: &str, grace: Duration) -> Result<(), Error>;

    /// Runs a command in a container, for at most `timeout`.
    async fn exec_sync(&self, id: &str, command: &[String], timeout: Duration) -> Result<ExecOutput, Error>;
}
