//! Finds the runtime of a node, and finds it again.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use parking_lot::RwLock;
use tokio::sync::Mutex;
use tokio::time::Instant;

use crate::client::Client;
use crate::config::{ClientConfig, ClientConfigError};
use crate::endpoint::Endpoint;
use crate::error::{Error, ErrorKind};
use crate::service::{ImageService, RuntimeService};
use crate::types::{
    Container, ContainerFilter, ContainerStatus, ExecOutput, FilesystemUsage, Image, PullRequest,
    RuntimeCondition, RuntimeVersion, Sandbox, SandboxFilter, SandboxStatus,
};

/// The runtime of a node, wherever it listens and whenever it starts. Cheap to clone.
///
/// The endpoints are tried in order on the first call; the first that serves images is used. While there is none, calls fail
/// with [`ErrorKind::RuntimeUnavailable`], and the search is repeated at most every [`ClientConfig::min_backoff`] to
/// [`ClientConfig::max_backoff`].
///
/// A runtime that went away is waited for, since another one has other images: the kubelet would not find there what is pulled.
/// Another takes its place only
/// * after [`ClientConfig::switch_after`], if the socket is gone too;
/// * if it no longer serves the interface;
/// * if it stands in front in the order. Those endpoints are looked at again every [`ClientConfig::recheck_interval`], so that
///   it does not matter which runtime started first.
///
/// Nothing runs in the background: all of this happens in calls.
#[derive(Clone, Debug)]
pub struct Runtime {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    endpoints: Vec<Endpoint>,
    config: ClientConfig,
    state: RwLock<State>,
    search: Mutex<Search>,
}

/// A runtime that answered.
#[derive(Clone, Debug)]
struct Found {
    /// Its place among the endpoints.
    place: usize,
    client: Client,
}

/// Which runtime is used.
#[derive(Debug, Default)]
enum State {
    /// None was found yet.
    #[default]
    Unknown,
    Found(Found),
    /// The one at this place went away.
    Lost {
        place: usize,
        since: Instant,
    },
}

impl State {
    fn found(&self) -> Option<&Found> {
        match self {
            Self::Found(found) => Some(found),
            _ => None,
        }
    }
}

/// What only one caller does at a time.
#[derive(Debug, Default)]
struct Search {
    /// Searches in a row that failed.
    failures: u32,
    /// The last of them.
    failed: Option<(Instant, Error)>,
    /// When the endpoints in front of the one in use were looked at.
    checked: Option<Instant>,
}

impl Runtime {
    /// Takes the endpoints to try, in order. Connects to nothing yet.
    ///
    /// # Errors
    /// Names the field of `config` that makes no sense.
    pub fn new(endpoints: Vec<Endpoint>, config: ClientConfig) -> Result<Self, ClientConfigError> {
        config.validate()?;
        let inner = Inner {
            endpoints,
            config,
            state: RwLock::default(),
            search: Mutex::default(),
        };
        Ok(Self {
            inner: Arc::new(inner),
        })
    }

    /// The endpoint in use, if a runtime has been found.
    pub fn endpoint(&self) -> Option<Endpoint> {
        let place = self.inner.state.read().found()?.place;
        self.inner.endpoints.get(place).cloned()
    }

    /// A client of the runtime; searches if none is known. Cancel safe.
    ///
    /// # Errors
    /// [`ErrorKind::RuntimeUnavailable`] with what each endpoint said.
    pub async fn client(&self) -> Result<Client, Error> {
        self.client_for("Version").await
    }

    /// As [`Runtime::client`]; errors name `call`, which needs the client.
    async fn client_for(&self, call: &'static str) -> Result<Client, Error> {
        let known = self.inner.state.read().found().cloned();
        if let Some(found) = known {
            return Ok(self.recheck(found).await.client);
        }
        let mut search = self.inner.search.lock().await;
        // Another caller may have found it while this one waited.
        if let Some(found) = self.inner.state.read().found() {
            return Ok(found.client.clone());
        }
        if let Some((at, error)) = &search.failed
            && at.elapsed() < self.backoff(search.failures)
        {
            return Err(Error {
                call,
                ..error.clone()
            });
        }
        match self.find(&mut search).await {
            Ok(found) => {
                self.say(&found, "found the container runtime");
                let client = found.client.clone();
                *search = Search {
                    checked: search.checked,
                    ..Search::default()
                };
                *self.inner.state.write() = State::Found(found);
                Ok(client)
            }
            Err(error) => {
                if search.failures == 0 {
                    tracing::warn!(%error, "no container runtime");
                }
                search.failures = search.failures.saturating_add(1);
                search.failed = Some((Instant::now(), error.clone()));
                Err(Error { call, ..error })
            }
        }
    }

    fn say(&self, found: &Found, what: &str) {
        if let Some(endpoint) = self.inner.endpoints.get(found.place) {
            tracing::info!(%endpoint, api = %found.client.api_version(), "{what}");
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

    async fn find(&self, search: &mut Search) -> Result<Found, Error> {
        let mut said = Vec::new();
        let lost = match *self.inner.state.read() {
            State::Lost { place, since } => Some((place, since)),
            _ => None,
        };
        if let Some((place, since)) = lost {
            let gone = match self.connect(place, &mut said).await {
                Ok(found) => return Ok(found),
                Err(ErrorKind::Unimplemented) => true,
                Err(_) => since.elapsed() >= self.inner.config.switch_after && !self.has_socket(place),
            };
            if !gone {
                return match self.in_front(place, search, &mut said).await {
                    Some(found) => Ok(found),
                    None => Err(away(said)),
                };
            }
            said.clear();
        }
        search.checked = Some(Instant::now());
        for place in 0..self.inner.endpoints.len() {
            if let Ok(found) = self.connect(place, &mut said).await {
                return Ok(found);
            }
        }
        if said.is_empty() {
            said.push("no endpoints are configured".to_owned());
        }
        Err(away(said))
    }

    async fn connect(&self, place: usize, said: &mut Vec<String>) -> Result<Found, ErrorKind> {
        let Some(endpoint) = self.inner.endpoints.get(place) else {
            return Err(ErrorKind::RuntimeUnavailable);
        };
        match Client::connect(endpoint, self.inner.config.clone()).await {
            Ok(client) => Ok(Found { place, client }),
            Err(error) => {
                said.push(match error.kind {
                    ErrorKind::RuntimeUnavailable => format!("{endpoint}: {}", error.message),
                    kind => format!("{endpoint}: {kind}: {}", error.message),
                });
                Err(error.kind)
            }
        }
    }

    fn has_socket(&self, place: usize) -> bool {
        self.inner
            .endpoints
            .get(place)
            .is_some_and(|endpoint| endpoint.path().exists())
    }

    /// A runtime in front of `place` in the order, if it is time to look and one answers soon.
    async fn in_front(&self, place: usize, search: &mut Search, said: &mut Vec<String>) -> Option<Found> {
        if !search.is_due(self.inner.config.recheck_interval) {
            return None;
        }
        search.checked = Some(Instant::now());
        for place in (0..place).filter(|place| self.has_socket(*place)) {
            // Somebody waits for a call to the runtime in use.
            let tried =
                tokio::time::timeout(self.inner.config.connect_timeout, self.connect(place, said)).await;
            if let Ok(Ok(found)) = tried {
                return Some(found);
            }
        }
        None
    }

    /// The runtime that is known, or one in front of it that answers by now.
    async fn recheck(&self, found: Found) -> Found {
        if found.place == 0 {
            return found;
        }
        // One caller looks; the others use what is known.
        let Ok(mut search) = self.inner.search.try_lock() else {
            return found;
        };
        let Some(better) = self.in_front(found.place, &mut search, &mut Vec::new()).await else {
            return found;
        };
        self.say(
            &better,
            "a container runtime that stands in front in the order answers: taking it",
        );
        *self.inner.state.write() = State::Found(better.clone());
        better
    }

    /// Lets go of the runtime if an answer shows that it went away or was replaced by another version.
    fn judge<T>(&self, answer: Result<T, Error>) -> Result<T, Error> {
        if let Err(error) = &answer
            && matches!(
                error.kind,
                ErrorKind::RuntimeUnavailable | ErrorKind::Unimplemented
            )
        {
            let mut state = self.inner.state.write();
            if let State::Found(Found { place, .. }) = *state {
                *state = State::Lost {
                    place,
                    since: Instant::now(),
                };
            }
        }
        answer
    }
}

impl Search {
    fn is_due(&self, interval: Duration) -> bool {
        self.checked.is_none_or(|at| at.elapsed() >= interval)
    }
}

fn away(said: Vec<String>) -> Error {
    Error::new("Version", ErrorKind::RuntimeUnavailable, said.join("; "))
}

#[async_trait]
impl ImageService for Runtime {
    async fn list_images(&self, image: Option<&str>) -> Result<Vec<Image>, Error> {
        self.judge(self.client_for("ListImages").await?.list_images(image).await)
    }

    async fn image_status(&self, image: &str) -> Result<Option<Image>, Error> {
        self.judge(self.client_for("ImageStatus").await?.image_status(image).await)
    }

    async fn pull_image(&self, request: PullRequest) -> Result<String, Error> {
        self.judge(self.client_for("PullImage").await?.pull_image(request).await)
    }

    async fn remove_image(&self, image: &str) -> Result<(), Error> {
        self.judge(self.client_for("RemoveImage").await?.remove_image(image).await)
    }

    async fn image_fs_info(&self) -> Result<Vec<FilesystemUsage>, Error> {
        self.judge(self.client_for("ImageFsInfo").await?.image_fs_info().await)
    }
}

#[async_trait]
impl RuntimeService for Runtime {
    async fn version(&self) -> Result<RuntimeVersion, Error> {
        self.judge(self.client_for("Version").await?.version().await)
    }

    async fn status(&self) -> Result<Vec<RuntimeCondition>, Error> {
        self.judge(self.client_for("Status").await?.status().await)
    }

    async fn list_sandboxes(&self, filter: SandboxFilter) -> Result<Vec<Sandbox>, Error> {
        self.judge(
            self.client_for("ListPodSandbox")
                .await?
                .list_sandboxes(filter)
                .await,
        )
    }

    async fn sandbox_status(&self, id: &str) -> Result<SandboxStatus, Error> {
        self.judge(
            self.client_for("PodSandboxStatus")
                .await?
                .sandbox_status(id)
                .await,
        )
    }

    async fn list_containers(&self, filter: ContainerFilter) -> Result<Vec<Container>, Error> {
        self.judge(
            self.client_for("ListContainers")
                .await?
                .list_containers(filter)
                .await,
        )
    }

    async fn container_status(&self, id: &str) -> Result<ContainerStatus, Error> {
        self.judge(
            self.client_for("ContainerStatus")
                .await?
                .container_status(id)
                .await,
        )
    }

    async fn stop_container(&self, id: &str, grace: Duration) -> Result<(), Error> {
        self.judge(
            self.client_for("StopContainer")
                .await?
                .stop_container(id, grace)
                .await,
        )
    }

    async fn exec_sync(&self, id: &str, command: &[String], timeout: Duration) -> Result<ExecOutput, Error> {
        self.judge(
            self.client_for("ExecSync")
                .await?
                .exec_sync(id, command, timeout)
                .await,
        )
    }
}
