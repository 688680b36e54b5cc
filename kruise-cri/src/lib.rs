//! Client of the container runtime interface (CRI): pull images, look at containers, on any runtime of a Kubernetes node.
//!
//! Works with containerd, CRI-O and cri-dockerd, in `runtime.v1` and, where a runtime has no better, `runtime.v1alpha2`. Needs
//! no Kubernetes, no protobuf compiler and no generated code.
//!
//! ```
//! use kruise_cri::{ClientConfig, Endpoint, ImageService, PullRequest, Reference, Retry, Runtime};
//! use std::path::Path;
//!
//! # use kruise_cri::testing::FakeRuntime;
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let folder = tempfile::tempdir()?;
//! # let run_folder = folder.path();
//! # let fake = FakeRuntime::start(run_folder.join("containerd.sock"))?;
//! # fake.publish("docker.io/library/nginx:1.9");
//! // On a node, `run_folder` is "/run". Nothing is connected to before the first call.
//! let runtime = Runtime::new(Endpoint::candidates(run_folder), ClientConfig::default())?;
//! let image = Reference::parse("nginx:1.9")?.full();
//! if runtime.image_status(&image).await?.is_none() {
//!     match runtime.pull_image(PullRequest { image, ..Default::default() }).await {
//!         Ok(id) => println!("pulled {id}"),
//!         Err(error) if error.retry() == Retry::Never => println!("cannot be pulled: {error}"),
//!         Err(error) => println!("try again later: {error}"),
//!     }
//! }
//! # Ok(()) }
//! ```
//!
//! ```text
//!   your agent ──ImageService, RuntimeService──▶ Runtime ──▶ Client ──▶ unix socket ──▶ containerd, CRI-O, ...
//!                                                  │  looks through the endpoints,
//!                                                  └─ again when the runtime goes away
//! ```
//!
//! | feature | what it adds |
//! | --- | --- |
//! | `testing` | `testing::FakeRuntime`: a runtime on a socket that does as it is told |
//!
//! # What this does not do
//! It does not watch pull progress (the interface has none), create pods, stream logs, or read registries itself. It keeps no
//! credentials. It spawns no tasks: a dropped call is a cancelled call.

mod client;
mod config;
mod endpoint;
mod error;
mod finder;
mod reference;
mod service;
#[cfg(feature = "testing")]
pub mod testing;
mod types;
mod wire;

pub use client::Client;
pub use config::{ClientConfig, ClientConfigError};
pub use endpoint::{CANDIDATES, Endpoint, EndpointError};
pub use error::{Error, ErrorKind, Retry};
pub use finder::Runtime;
pub use reference::{ParseReferenceError, Reference};
pub use service::{ImageService, RuntimeService};
pub use types::{
    ApiVersion, Container, ContainerFilter, ContainerState, ContainerStatus, Credentials, ExecOutput,
    FilesystemUsage, Image, PullRequest, RuntimeCondition, RuntimeVersion, Sandbox, SandboxFilter,
    SandboxState, SandboxStatus,
};
