//! What the services take and give, free of wire details.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

/// The two versions of the interface. Their messages are the same for the methods of this crate.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ApiVersion {
    /// `runtime.v1`: containerd from 1.6, CRI-O from 1.23.
    V1,
    /// `runtime.v1alpha2`: containerd up to 1.7, older CRI-O.
    V1Alpha2,
}

impl fmt::Display for ApiVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::V1 => "v1",
            Self::V1Alpha2 => "v1alpha2",
        })
    }
}

/// An image on the node.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Image {
    /// The runtime's id: the digest of the image's configuration.
    pub id: String,
    /// Full references with tags, such as `docker.io/library/nginx:1.9`.
    pub repo_tags: Vec<String>,
    /// Full references with digests.
    pub repo_digests: Vec<String>,
    /// Bytes on disk.
    pub size: u64,
    /// The runtime leaves it out of garbage collection.
    pub pinned: bool,
}

/// User name and password for a registry. `Debug` hides the password.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Credentials {
    /// User name.
    pub username: String,
    /// Password or token.
    pub password: String,
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Credentials")
            .field("username", &self.username)
            .finish_non_exhaustive()
    }
}

/// One pull.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PullRequest {
    /// The image; best in full form, see [`Reference::full`](crate::Reference::full).
    pub image: String,
    /// Credentials; without them the runtime's own configuration applies.
    pub credentials: Option<Credentials>,
    /// Labels of the sandbox the image is for. A sandbox is always sent, since some runtimes fail without one.
    pub labels: BTreeMap<String, String>,
    /// Annotations of that sandbox.
    pub annotations: BTreeMap<String, String>,
    /// Longest time this pull may take; default [`ClientConfig::pull_timeout`](crate::ClientConfig::pull_timeout).
    pub timeout: Option<Duration>,
}

/// How full one filesystem of images is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FilesystemUsage {
    /// Where it is mounted, or the folder of the images.
    pub mountpoint: String,
    /// Bytes that images use.
    pub used_bytes: u64,
    /// Inodes that images use.
    pub used_inodes: u64,
}

/// Names and versions of a runtime.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RuntimeVersion {
    /// `containerd`, `cri-o`, ...
    pub name: String,
    /// Its version.
    pub version: String,
    /// The version of the interface in use.
    pub api: ApiVersion,
}

/// One condition of a runtime, such as `RuntimeReady`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RuntimeCondition {
    /// Type of the condition.
    pub type_: String,
    /// Whether it holds.
    pub status: bool,
    /// One word on why not.
    pub reason: String,
    /// A sentence on why not.
    pub message: String,
}

/// State of a sandbox.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SandboxState {
    /// Ready.
    Ready,
    /// Not ready, or of a state that this crate does not know.
    NotReady,
}

/// A pod's sandbox.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sandbox {
    /// Id in the runtime.
    pub id: String,
    /// Name of the pod.
    pub pod_name: String,
    /// UID of the pod.
    pub pod_uid: String,
    /// Namespace of the pod.
    pub pod_namespace: String,
    /// How often it was made anew.
    pub attempt: u32,
    /// Its state.
    pub state: SandboxState,
    /// Nanoseconds since the epoch.
    pub created_at: i64,
    /// Labels.
    pub labels: BTreeMap<String, String>,
    /// Annotations.
    pub annotations: BTreeMap<String, String>,
}

/// A sandbox with its addresses.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SandboxStatus {
    /// The sandbox.
    pub sandbox: Sandbox,
    /// Addresses of the pod, the primary one first; empty on the host's network.
    pub ips: Vec<String>,
}

/// Which sandboxes to list; the default is all.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SandboxFilter {
    /// Only this id, or ids that begin so.
    pub id: Option<String>,
    /// Only of this state.
    pub state: Option<SandboxState>,
    /// Only with all these labels.
    pub labels: BTreeMap<String, String>,
}

/// State of a container.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ContainerState {
    /// Made, not started.
    Created,
    /// Running.
    Running,
    /// Ended.
    Exited,
    /// The runtime does not know.
    Unknown,
}

/// A container.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Container {
    /// Id in the runtime.
    pub id: String,
    /// Sandbox it is in; empty in a [`ContainerStatus`].
    pub sandbox_id: String,
    /// Name in the pod.
    pub name: String,
    /// How often it was made anew.
    pub attempt: u32,
    /// The image as asked for.
    pub image: String,
    /// The image as resolved: an id or a digest reference.
    pub image_ref: String,
    /// Its state.
    pub state: ContainerState,
    /// Nanoseconds since the epoch.
    pub created_at: i64,
    /// Labels.
    pub labels: BTreeMap<String, String>,
    /// Annotations.
    pub annotations: BTreeMap<String, String>,
}

/// A container with its times and end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ContainerStatus {
    /// The container.
    pub container: Container,
    /// Nanoseconds since the epoch; 0 before the start.
    pub started_at: i64,
    /// Nanoseconds since the epoch; 0 before the end.
    pub finished_at: i64,
    /// Exit code, once ended.
    pub exit_code: i32,
    /// One word on the state.
    pub reason: String,
    /// A sentence on the state.
    pub message: String,
}

/// Which containers to list; the default is all.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ContainerFilter {
    /// Only this id, or ids that begin so.
    pub id: Option<String>,
    /// Only of this state.
    pub state: Option<ContainerState>,
    /// Only in this sandbox.
    pub sandbox_id: Option<String>,
    /// Only with all these labels.
    pub labels: BTreeMap<String, String>,
}

/// What a command said.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ExecOutput {
    /// Standard output.
    pub stdout: Vec<u8>,
    /// Standard error.
    pub stderr: Vec<u8>,
    /// Exit code.
    pub exit_code: i32,
}
