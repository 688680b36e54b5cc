//! Requests and what happens to them.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use futures::FutureExt;
use futures::future::BoxFuture;
use http::{Method, Request, Response};
use http_body_util::BodyExt;
use kube_client::Client;
use kube_client::client::Body;
use parking_lot::Mutex;
use tokio::sync::{Notify, watch};

use super::config::FaultConfig;
use super::watch::{Still, faulty};
use crate::testing::apiserver::{AnswerBody, ApiError, ApiServer, Twist, error_response};
use crate::testing::random::Random;

/// The most faults that are told of later.
const TOLD: usize = 10_000;

/// Where in a request a process dies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Crash {
    /// Before the server has carried it out.
    Before,
    /// After it, but before the answer is read.
    After,
}

#[derive(Debug)]
struct State {
    random: Random,
    calm: bool,
    /// Processes that began so far; only the last one lives.
    process: u64,
    requests: u64,
    crash: Option<(u64, Crash)>,
    injected: Vec<String>,
}

struct Shared {
    server: ApiServer,
    config: FaultConfig,
    state: Mutex<State>,
    crashed: Notify,
    /// Resources whose watches stand still.
    held: watch::Sender<BTreeSet<String>>,
}

/// The layer. Clones share everything.
#[derive(Clone)]
pub struct Faults(Arc<Shared>);

impl fmt::Debug for Faults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Faults")
            .field("config", &self.0.config)
            .finish_non_exhaustive()
    }
}

/// What strikes one request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fault {
    Conflict,
    TooMany,
    ErrorBefore,
    ErrorAfter,
    ResetBefore,
    ResetAfter,
    Stale,
}

/// All that was drawn for one request.
struct Plan {
    fault: Option<Fault>,
    before: Duration,
    after: Duration,
    stale_by: u64,
    crash: Option<Crash>,
    watch: Random,
}

/// What a broken connection looks like to the client.
#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error("connection reset by peer")]
pub(super) struct Reset;

type Error = Box<dyn std::error::Error + Send + Sync>;

impl Faults {
    /// A layer over a server. Which requests fail follows from the seed and the order of requests. Shares outside of 0.0
    /// to 1.0 are taken for the nearest of these.
    pub fn new(server: ApiServer, config: FaultConfig, seed: u64) -> Self {
        Self(Arc::new(Shared {
            server,
            config,
            state: Mutex::new(State {
                random: Random::new(seed),
                calm: false,
                process: 0,
                requests: 0,
                crash: None,
                injected: Vec::new(),
            }),
            crashed: Notify::new(),
            held: watch::Sender::default(),
        }))
    }

    /// A client whose requests meet the faults, for the one process that lives: requests of clients made earlier are
    /// neither carried out nor answered from now on, as those of a process that is dead.
    ///
    /// Must be called inside a tokio runtime.
    pub fn client(&self) -> Client {
        let process = {
            let mut state = self.0.state.lock();
            state.process += 1;
            state.process
        };
        let service = Service {
            shared: self.0.clone(),
            process,
        };
        Client::new(service, "default")
    }

    /// No more faults from now on; watches that are open go on undisturbed.
    pub fn calm(&self) {
        let mut state = self.0.state.lock();
        state.calm = true;
        state.crash = None;
    }

    /// Faults again.
    pub fn resume(&self) {
        self.0.state.lock().calm = false;
    }

    /// Watches of a resource, as `pods`, stand still from now on, so that caches stay as they are; see [`Faults::release`].
    pub fn hold(&self, resource: &str) {
        self.0
            .held
            .send_modify(|held| _ = held.insert(resource.to_owned()));
    }

    /// All watches go on with the events that were held back.
    pub fn release(&self) {
        self.0.held.send_modify(BTreeSet::clear);
    }

    /// The process dies in the `after`th request from now (0 is the next), which is not answered any more, nor is any
    /// other of it. See [`Faults::crashed`].
    pub fn crash_in(&self, after: u64, crash: Crash) {
        let mut state = self.0.state.lock();
        state.crash = Some((state.requests + after, crash));
    }

    /// Waits for the crash that [`Faults::crash_in`] asked for. Whoever waits should drop the process and begin another
    /// one with a new [`Faults::client`].
    pub async fn crashed(&self) {
        self.0.crashed.notified().await;
    }

    /// What was done to whom, oldest first, up to 10 000.
    pub fn injected(&self) -> Vec<String> {
        self.0.state.lock().injected.clone()
    }
}

impl Shared {
    /// `None` for a process that is dead.
    fn plan(&self, process: u64, request: &Request<Body>) -> Option<Plan> {
        let mut state = self.state.lock();
        if state.process != process {
            return None;
        }
        let number = state.requests;
        state.requests += 1;
        // Draws of its own for each request, so that a change of one does not shift those of others.
        let mut random = state.random.stream(number);
        let crash = state
            .crash
            .filter(|(at, _)| *at <= number)
            .map(|(_, crash)| crash);
        let mut plan = Plan {
            fault: None,
            before: Duration::ZERO,
            after: Duration::ZERO,
            stale_by: 0,
            crash,
            watch: random.stream(1),
        };
        if crash.is_some() {
            state.crash = None;
        } else if !state.calm {
            plan.fault = self.draw(&mut random, request);
            if random.chance(self.config.slow) {
                plan.before = random.duration(self.config.slowest / 2);
                plan.after = random.duration(self.config.slowest / 2);
            }
            plan.stale_by = 1 + random.below(self.config.stale_by.max(1));
        }
        let what = match (&plan.crash, &plan.fault) {
            (Some(crash), _) => format!("crash {crash:?}"),
            (None, Some(fault)) => format!("{fault:?}"),
            (None, None) if !plan.before.is_zero() => format!("slow {:?}+{:?}", plan.before, plan.after),
            (None, None) => return Some(plan),
        };
        if state.injected.len() < TOLD {
            state.injected.push(format!(
                "#{number} {what}: {} {}",
                request.method(),
                request.uri()
            ));
        }
        Some(plan)
    }

    fn draw(&self, random: &mut Random, request: &Request<Body>) -> Option<Fault> {
        let writes = request.method() != Method::GET;
        let changes = matches!(*request.method(), Method::PUT | Method::PATCH);
        let query = request.uri().query().unwrap_or_default();
        let may_be_stale =
            !writes && !query.contains("watch=") && query.split('&').any(|part| part == "resourceVersion=0");
        let config = &self.config;
        let choices = [
            (Fault::Conflict, config.conflict, changes),
            (Fault::TooMany, config.too_many, true),
            (Fault::ErrorBefore, config.error_before, true),
            (Fault::ErrorAfter, config.error_after, writes),
            (Fault::ResetBefore, config.reset_before, true),
            (Fault::ResetAfter, config.reset_after, writes),
            (Fault::Stale, config.stale, may_be_stale),
        ];
        // One draw for each, so that the shares are what they say.
        let struck = choices.map(|(fault, share, possible)| (fault, random.chance(share) && possible));
        struck
            .into_iter()
            .find_map(|(fault, struck)| struck.then_some(fault))
    }

    fn is_alive(&self, process: u64) -> bool {
        self.state.lock().process == process
    }

    fn is_calm(&self) -> bool {
        self.state.lock().calm
    }

    fn die(&self) {
        self.state.lock().process += 1;
        self.crashed.notify_one();
    }

    async fn serve(
        self: Arc<Self>,
        process: u64,
        request: Request<Body>,
    ) -> Result<Response<AnswerBody>, Error> {
        let Some(plan) = self.plan(process, &request) else {
            return std::future::pending().await;
        };
        let name = request
            .uri()
            .path()
            .rsplit('/')
            .next()
            .unwrap_or_default()
            .to_owned();
        let is_watch = request.uri().query().unwrap_or_default().contains("watch=");
        if !plan.before.is_zero() {
            tokio::time::sleep(plan.before).await;
        }
        if plan.crash == Some(Crash::Before) {
            self.die();
        }
        if !self.is_alive(process) {
            return std::future::pending().await;
        }
        match plan.fault {
            Some(Fault::Conflict) => return Ok(error_response(&ApiError::modified("", "", &name))),
            Some(Fault::TooMany) => return Ok(error_response(&ApiError::too_many_requests(1))),
            Some(Fault::ErrorBefore) => return Ok(error_response(&ApiError::internal("injected before"))),
            Some(Fault::ResetBefore) => return Err(Reset.into()),
            _ => {}
        }
        let twist = Twist {
            stale_by: if plan.fault == Some(Fault::Stale) {
                plan.stale_by
            } else {
                0
            },
        };
        let response = self.server.0.clone().serve(request, twist).await;
        if plan.crash == Some(Crash::After) {
            self.die();
        }
        if !plan.after.is_zero() {
            tokio::time::sleep(plan.after).await;
        }
        if !self.is_alive(process) {
            return std::future::pending().await;
        }
        match plan.fault {
            Some(Fault::ErrorAfter) => Ok(error_response(&ApiError::internal("injected after"))),
            Some(Fault::ResetAfter) => Err(Reset.into()),
            _ if is_watch && response.status() == 200 => {
                let shared = self.clone();
                let calm = move || shared.is_calm() || !shared.is_alive(process);
                let still = Still {
                    held: self.held.subscribe(),
                    resource: name,
                };
                Ok(response
                    .map(|body| faulty(body, self.config.clone(), plan.watch, calm, still).boxed_unsync()))
            }
            _ => Ok(response),
        }
    }
}

#[derive(Clone)]
struct Service {
    shared: Arc<Shared>,
    process: u64,
}

impl tower::Service<Request<Body>> for Service {
    type Response = Response<AnswerBody>;
    type Error = Error;
    type Future = BoxFuture<'static, Result<Self::Response, Error>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        self.shared.clone().serve(self.process, request).boxed()
    }
}
