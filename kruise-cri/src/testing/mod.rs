//! A container runtime for tests: it serves the interface on a unix socket, pulls from a registry that exists only in
//! memory, and fails, hangs or waits as it is told.
//!
//! ```
//! use kruise_cri::testing::{FakeRuntime, Reply};
//! use kruise_cri::{ClientConfig, ErrorKind, ImageService, PullRequest, Runtime};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let folder = tempfile::tempdir()?;
//! let fake = FakeRuntime::start(folder.path().join("cri.sock"))?;
//! fake.publish("docker.io/library/nginx:1.9");
//! fake.script("PullImage", Reply::fail(tonic::Code::Unknown, "429 Too Many Requests"));
//!
//! let runtime = Runtime::new(vec![fake.endpoint()], ClientConfig::default())?;
//! let pull = || PullRequest { image: "docker.io/library/nginx:1.9".into(), ..Default::default() };
//! assert_eq!(runtime.pull_image(pull()).await.unwrap_err().kind, ErrorKind::RateLimited);
//! assert!(runtime.pull_image(pull()).await.is_ok());
//! assert!(runtime.image_status("docker.io/library/nginx:1.9").await?.is_some());
//! # Ok(()) }
//! ```

mod answers;
mod server;

use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use parking_lot::Mutex;
use tokio::sync::{Notify, Semaphore, oneshot};
use tonic::Code;

use crate::endpoint::Endpoint;
use crate::types::{ApiVersion, Container, Credentials, Image, Sandbox};

/// What the fake does with one call.
#[derive(Clone, Debug)]
pub enum Reply {
    /// Answers as it would without a script.
    Normal,
    /// Fails.
    Fail {
        /// The gRPC code.
        code: Code,
        /// The text.
        message: String,
    },
    /// Never answers.
    Hang,
    /// Answers normally once the gate opens.
    Wait(Gate),
    /// Ends the whole runtime, connections and all, without an answer.
    Die,
}

impl Reply {
    /// A failure.
    pub fn fail(code: Code, message: impl Into<String>) -> Self {
        Self::Fail {
            code,
            message: message.into(),
        }
    }
}

/// Holds calls back until it is opened. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Gate(Arc<Semaphore>);

impl Default for Gate {
    fn default() -> Self {
        Self(Arc::new(Semaphore::new(0)))
    }
}

impl Gate {
    /// Lets all calls through, waiting ones and later ones.
    pub fn open(&self) {
        self.0.close();
    }

    async fn passed(&self) {
        // Nobody adds permits: this ends with the error of a closed semaphore.
        let _ = self.0.acquire().await;
    }
}

/// A call as it arrived.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Call {
    /// Method, such as `PullImage`.
    pub method: String,
    /// Version it was asked for in.
    pub api: ApiVersion,
    /// The `:authority` of the request.
    pub authority: String,
    /// The image it is about, if it is about one.
    pub image: String,
    /// Credentials of a pull.
    pub credentials: Option<Credentials>,
    /// Annotations of a pull's sandbox; `None` if there was no sandbox.
    pub annotations: Option<BTreeMap<String, String>>,
}

/// What the fake has and knows; survives a restart.
#[derive(Debug, Default)]
struct State {
    versions: Vec<ApiVersion>,
    registry: BTreeMap<String, Published>,
    images: BTreeMap<String, Image>,
    sandboxes: Vec<Sandbox>,
    containers: Vec<Container>,
    scripts: BTreeMap<String, VecDeque<Reply>>,
    calls: Vec<Call>,
    cancelled: usize,
}

#[derive(Clone, Debug)]
struct Published {
    image: Image,
    needs: Option<Credentials>,
}

#[derive(Debug, Default)]
struct Shared {
    state: Mutex<State>,
    changed: Notify,
    die: Notify,
}

/// A server on a thread and a runtime of its own, so that its end is the end of all its connections, and paused time in a
/// test does not pause it.
#[derive(Debug)]
struct Server {
    stop: oneshot::Sender<()>,
    thread: std::thread::JoinHandle<()>,
}

/// A running fake; stops when dropped.
#[derive(Debug)]
pub struct FakeRuntime {
    path: PathBuf,
    shared: Arc<Shared>,
    server: Option<Server>,
}

impl FakeRuntime {
    /// Serves both versions on a socket.
    ///
    /// # Errors
    /// The socket cannot be made.
    pub fn start(path: impl Into<PathBuf>) -> io::Result<Self> {
        Self::start_as(path, &[ApiVersion::V1, ApiVersion::V1Alpha2])
    }

    /// Serves the given versions only; none is a runtime with the interface switched off.
    ///
    /// # Errors
    /// The socket cannot be made.
    pub fn start_as(path: impl Into<PathBuf>, versions: &[ApiVersion]) -> io::Result<Self> {
        let shared = Arc::new(Shared::default());
        shared.state.lock().versions = versions.to_vec();
        let mut fake = Self {
            path: path.into(),
            shared,
            server: None,
        };
        fake.restart()?;
        Ok(fake)
    }

    /// Where it listens.
    pub fn endpoint(&self) -> Endpoint {
        Endpoint::from(self.path.clone())
    }

    /// The socket.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Ends the server with all its connections and removes the socket. Images stay.
    pub fn stop(&mut self) {
        if let Some(Server { stop, thread }) = self.server.take() {
            let _ = stop.send(());
            let _ = thread.join();
        }
        let _ = std::fs::remove_file(&self.path);
    }

    /// Serves again on the same path, with the images of before.
    ///
    /// # Errors
    /// The socket cannot be made.
    pub fn restart(&mut self) -> io::Result<()> {
        self.stop();
        let listener = std::os::unix::net::UnixListener::bind(&self.path)?;
        listener.set_nonblocking(true)?;
        let (stop, stopped) = oneshot::channel();
        let shared = Arc::clone(&self.shared);
        let thread = std::thread::Builder::new()
            .name("fake-cri".to_owned())
            .spawn(move || server::run(listener, shared, stopped))?;
        self.server = Some(Server { stop, thread });
        Ok(())
    }

    /// Changes which versions are served, as an upgrade of the runtime would.
    pub fn serve_versions(&self, versions: &[ApiVersion]) {
        self.shared.state.lock().versions = versions.to_vec();
    }

    /// Puts an image into the registry; returns the id it has once pulled.
    pub fn publish(&self, image: &str) -> String {
        self.publish_for(image, None)
    }

    /// Puts an image into the registry that only these credentials may pull.
    pub fn publish_private(&self, image: &str, username: &str, password: &str) -> String {
        let needs = Credentials {
            username: username.to_owned(),
            password: password.to_owned(),
        };
        self.publish_for(image, Some(needs))
    }

    fn publish_for(&self, image: &str, needs: Option<Credentials>) -> String {
        let id = answers::id_of(image);
        let made = Image {
            id: id.clone(),
            repo_tags: if image.contains('@') {
                vec![]
            } else {
                vec![image.to_owned()]
            },
            repo_digests: vec![],
            size: 1024,
            pinned: false,
        };
        self.shared
            .state
            .lock()
            .registry
            .insert(image.to_owned(), Published { image: made, needs });
        id
    }

    /// Puts an image onto the node without a pull.
    pub fn preload(&self, image: &str) -> String {
        let id = self.publish(image);
        let mut state = self.shared.state.lock();
        if let Some(published) = state.registry.get(image).cloned() {
            state.images.insert(image.to_owned(), published.image);
        }
        id
    }

    /// Whether the node has an image.
    pub fn has_image(&self, image: &str) -> bool {
        self.shared.state.lock().images.contains_key(image)
    }

    /// Sets the sandboxes that are listed.
    pub fn set_sandboxes(&self, sandboxes: Vec<Sandbox>) {
        self.shared.state.lock().sandboxes = sandboxes;
    }

    /// Sets the containers that are listed.
    pub fn set_containers(&self, containers: Vec<Container>) {
        self.shared.state.lock().containers = containers;
    }

    /// What to do with the next call of a method; several scripts of one method are used in order.
    pub fn script(&self, method: &str, reply: Reply) {
        self.shared
            .state
            .lock()
            .scripts
            .entry(method.to_owned())
            .or_default()
            .push_back(reply);
    }

    /// All calls so far.
    pub fn calls(&self) -> Vec<Call> {
        self.shared.state.lock().calls.clone()
    }

    /// How often a method was called so far.
    pub fn count(&self, method: &str) -> usize {
        self.shared
            .state
            .lock()
            .calls
            .iter()
            .filter(|call| call.method == method)
            .count()
    }

    /// How many calls the other side gave up before they were answered.
    pub fn cancelled(&self) -> usize {
        self.shared.state.lock().cancelled
    }

    /// Waits until a method has been called this often. Cancel safe.
    pub async fn called(&self, method: &str, times: usize) {
        self.until(|| self.count(method) >= times).await;
    }

    /// Waits until this many calls were given up. Cancel safe.
    pub async fn gave_up(&self, times: usize) {
        self.until(|| self.cancelled() >= times).await;
    }

    async fn until(&self, is_so: impl Fn() -> bool) {
        loop {
            let mut changed = std::pin::pin!(self.shared.changed.notified());
            changed.as_mut().enable();
            if is_so() {
                return;
            }
            changed.await;
        }
    }
}

impl Drop for FakeRuntime {
    fn drop(&mut self) {
        self.stop();
    }
}
