//! Finds the runtime of a node, and finds it again.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use parking_lot::RwLock;
use tokio::sync::Mutex;
use tokio::time::Instant;

use crate::client::Client;
use crate::config::ClientConfig;
use crate::endpoint::Endpoint;
use crate::error::{Error, ErrorKind};
use crate::service::{ImageService, RuntimeService};
use crate::types::{
    Container, ContainerFilter, ContainerStatus, ExecOutput, FilesystemUsage, Image, PullRequest,
    RuntimeCondition, RuntimeVersion, Sandbox, SandboxFilter, SandboxStatus,
};

/// The runtime of a node, wherever it listens and whenever it starts. Cheap to clone.
///
/// The endpoints are tried in order, on the first call and again after the runtime went away; the first that serves
/// images is used. While there is none, calls fail with [`ErrorKind::RuntimeUnavailable`], and the search is repeated at
/// most every [`ClientConfig::min_backoff`] to [`ClientConfig::max_backoff`]. Nothing runs in the background.
#[derive(Clone, Debug)]
pub struct Runtime {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    endpoints: Vec<Endpoint>,
    config: ClientConfig,
    found: RwLock<Option<Found>>,
    search: Mutex<Search>,
}

#[derive(Clone, Debug)]
struct Found {
    endpoint: Endpoint,
    client: Client,
}

/// The last search that failed.
#[derive(Debug, Default)]
struct Search {
    failures: u32,
    failed: Option<(Instant, Error)>,
}

impl Runtime {
    /// Takes the endpoints to try, in order. Connects to nothing yet.
    pub fn new(endpoints: Vec<Endpoint>, config: ClientConfig) -> Self {
        let inner = Inner {
            endpoints,
            config,
            found: RwLock::default(),
            search: Mutex::default(),
        };
        Self {
            inner: Arc::new(inner),
        }
    }

    /// The endpoint in use, if a runtime has been found.
    pub fn endpoint(&self) -> Option<Endpoint> {
        self.inner
            .found
            .read()
            .as_ref()
            .map(|found| found.endpoint.clone())
    }

    /// A client of the runtime; searches if none is known. Cancel safe.
    ///
    /// # Errors
    /// [`ErrorKind::RuntimeUnavailable`] with what each endpoint said.
    pub async fn client(&self) -> Result<Client, Error> {
        if let Some(found) = self.inner.found.read().as_ref() {
            return Ok(found.client.clone());
        }
        let mut search = self.inner.search.lock().await;
        // Another caller may have found it while this one waited.
        if let Some(found) = self.inner.found.read().as_ref() {
            return Ok(found.client.clone());
        }
        if let Some((at, error)) = &search.failed
            && at.elapsed() < self.backoff(search.failures)
        {
            return Err(error.clone());
        }
        match self.find().await {
            Ok(found) => {
                tracing::info!(endpoint = %found.endpoint, api = %found.client.api_version(), "found the container runtime");
                let client = found.client.clone();
                *search = Search::default();
                *self.inner.found.write() = Some(found);
                Ok(client)
            }
            Err(error) => {
                if search.failures == 0 {
                    tracing::warn!(%error, "no container runtime");
                }
                search.failures = search.failures.saturating_add(1);
                search.failed = Some((Instant::now(), error.clone()));
                Err(error)
            }
        }
    }

    fn backoff(&self, failures: u32) -> Duration {
        let factor = 1_u32.checked_shl(failures.saturating_sub(1)).unwrap_or(u32::MAX);
        self.inner
            .config
            .min_backoff
            .saturating_mul(factor)
            .min(self.inner.config.max_backoff)
    }

    async fn find(&self) -> Result<Found, Error> {
        let mut said = Vec::new();
        for endpoint in &self.inner.endpoints {
            match Client::connect(endpoint, self.inner.config.clone()).await {
                Ok(client) => {
                    return Ok(Found {
                        endpoint: endpoint.clone(),
                        client,
                    });
                }
                Err(error) => said.push(format!("{endpoint}: {error}")),
            }
        }
        if said.is_empty() {
            said.push("no endpoints are configured".to_owned());
        }
        Err(Error::new(
            "Version",
            ErrorKind::RuntimeUnavailable,
            said.join("; "),
        ))
    }

    /// Forgets the runtime if an answer shows that it went away or was replaced by another version.
    fn judge<T>(&self, answer: Result<T, Error>) -> Result<T, Error> {
        if let Err(error) = &answer
            && matches!(
                error.kind,
                ErrorKind::RuntimeUnavailable | ErrorKind::Unimplemented
            )
        {
            *self.inner.found.write() = None;
        }
        answer
    }
}

#[async_trait]
impl ImageService for Runtime {
    async fn list_images(&self, image: Option<&str>) -> Result<Vec<Image>, Error> {
        self.judge(self.client().await?.list_images(image).await)
    }

    async fn image_status(&self, image: &str) -> Result<Option<Image>, Error> {
        self.judge(self.client().await?.image_status(image).await)
    }

    async fn pull_image(&self, request: PullRequest) -> Result<String, Error> {
        self.judge(self.client().await?.pull_image(request).await)
    }

    async fn remove_image(&self, image: &str) -> Result<(), Error> {
        self.judge(self.client().await?.remove_image(image).await)
    }

    async fn image_fs_info(&self) -> Result<Vec<FilesystemUsage>, Error> {
        self.judge(self.client().await?.image_fs_info().await)
    }
}

#[async_trait]
impl RuntimeService for Runtime {
    async fn version(&self) -> Result<RuntimeVersion, Error> {
        self.judge(self.client().await?.version().await)
    }

    async fn status(&self) -> Result<Vec<RuntimeCondition>, Error> {
        self.judge(self.client().await?.status().await)
    }

    async fn list_sandboxes(&self, filter: SandboxFilter) -> Result<Vec<Sandbox>, Error> {
        self.judge(self.client().await?.list_sandboxes(filter).await)
    }

    async fn sandbox_status(&self, id: &str) -> Result<SandboxStatus, Error> {
        self.judge(self.client().await?.sandbox_status(id).await)
    }

    async fn list_containers(&self, filter: ContainerFilter) -> Result<Vec<Container>, Error> {
        self.judge(self.client().await?.list_containers(filter).await)
    }

    async fn container_status(&self, id: &str) -> Result<ContainerStatus, Error> {
        self.judge(self.client().await?.container_status(id).await)
    }

    async fn stop_container(&self, id: &str, grace: Duration) -> Result<(), Error> {
        self.judge(self.client().await?.stop_container(id, grace).await)
    }

    async fn exec_sync(&self, id: &str, command: &[String], timeout: Duration) -> Result<ExecOutput, Error> {
        self.judge(self.client().await?.exec_sync(id, command, timeout).await)
    }
}
