//! Taking, renewing and giving back the Lease.

use std::fmt;
use std::pin::pin;
use std::sync::Arc;

use kube_client::{Client, Error};
use tokio::time::{Instant, sleep, timeout, timeout_at};
use tokio_util::sync::CancellationToken;

use super::config::JITTER;
use super::fence::{Fence, Moment};
use super::lease::{LeaseStore, Record, Seen};
use super::{ElectionConfig, ElectionError};
use crate::manager::ManagerMetrics;
use crate::manager::jitter::{jitter, random};
use crate::runtime::{Clock, ConfigError};

/// A candidate for the leadership. See the [module](crate::manager::election) for what is guaranteed.
///
/// Needs the verbs `get`, `create` and `patch` on Leases in its namespace. Its client should be one of its own, so that
/// no controller makes renewals wait for a rate limit.
///
/// ```
/// # use std::convert::Infallible;
/// # use http::{Method, Request, Response};
/// # use kube_client::client::Body;
/// # // A server without a Lease that takes what it is given.
/// # async fn answer(request: Request<Body>) -> Result<Response<Body>, Infallible> {
/// #     let found = *request.method() != Method::GET;
/// #     let missing = Body::from(br#"{"status":"Failure","code":404,"reason":"NotFound"}"#.to_vec());
/// #     let mut response = Response::new(if found { request.into_body() } else { missing });
/// #     *response.status_mut() = if found { 200 } else { 404 }.try_into().unwrap();
/// #     Ok(response)
/// # }
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let client = kube_client::Client::new(tower::service_fn(answer), "default");
/// use std::sync::Arc;
/// use kruise_core::manager::{ElectionConfig, LeaderElection};
/// use kruise_core::runtime::SystemClock;
/// use tokio_util::sync::CancellationToken;
///
/// let stop = CancellationToken::new();
/// let election = LeaderElection::new(client, ElectionConfig::default(), Arc::new(SystemClock))?;
/// if let Some(leadership) = election.acquire(&stop).await {
///     leadership
///         .hold(&stop, async |stop_leading| {
///             // Work here until told to stop.
/// #           stop.cancel();
///             stop_leading.cancelled().await;
///         })
///         .await?;
/// }
/// # Ok(())
/// # }
/// ```
pub struct LeaderElection {
    store: LeaseStore,
    config: ElectionConfig,
    identity: String,
    clock: Arc<dyn Clock>,
    fence: Fence,
    metrics: Option<ManagerMetrics>,
    /// The Lease as last seen, and when it was first seen like that.
    observed: Option<(Seen, Instant)>,
    /// Set while nothing else than the last write can have changed the Lease.
    written: Option<Seen>,
}

impl fmt::Debug for LeaderElection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LeaderElection")
            .field("config", &self.config)
            .field("identity", &self.identity)
            .finish_non_exhaustive()
    }
}

/// What came of one attempt to take or renew the Lease.
enum Attempt {
    /// Ours, counted from this moment.
    Ours(Moment),
    Others(String),
}

impl LeaderElection {
    /// A candidate. The clock is for the times of day in the Lease.
    ///
    /// # Errors
    /// Names the setting that cannot be used.
    pub fn new(client: Client, config: ElectionConfig, clock: Arc<dyn Clock>) -> Result<Self, ConfigError> {
        config.validate()?;
        Ok(Self {
            store: LeaseStore::new(client, &config.namespace, &config.name),
            identity: format!("{}_{:016x}", config.identity, random()),
            fence: Fence::new(clock.clone()),
            config,
            clock,
            metrics: None,
            observed: None,
            written: None,
        })
    }

    /// Reports to these metrics.
    #[must_use]
    pub fn metrics(mut self, metrics: &ManagerMetrics) -> Self {
        self.metrics = Some(metrics.clone());
        self
    }

    /// Tells at any time whether this candidate leads.
    pub fn fence(&self) -> Fence {
        self.fence.clone()
    }

    /// What this candidate writes into the Lease; no other candidate has the same.
    pub fn identity(&self) -> &str {
        &self.identity
    }

    /// Waits until this candidate has the Lease. `None` if cancelled before. Failures are logged, counted and tried
    /// again without end.
    ///
    /// When the future is dropped, the Lease may have been taken, and expires by itself.
    pub async fn acquire(mut self, cancel: &CancellationToken) -> Option<Leadership> {
        self.report(false);
        let mut told: Option<String> = None;
        let patience = self.config.renew_deadline;
        loop {
            match cancel
                .run_until_cancelled(timeout(patience, self.attempt()))
                .await?
            {
                Ok(Ok(Attempt::Ours(from))) => {
                    self.extend(from);
                    // Not if the answer took longer than the Lease holds.
                    if self.fence.is_held() {
                        tracing::info!(lease = %self.config.name, identity = %self.identity, "leadership acquired");
                        self.report(true);
                        return Some(Leadership { election: self, from });
                    }
                }
                Ok(Ok(Attempt::Others(holder))) => {
                    if told.as_ref() != Some(&holder) {
                        tracing::info!(lease = %self.config.name, %holder, "waiting for leadership");
                        told = Some(holder);
                    }
                }
                Ok(Err(error)) => self.failed(&error),
                Err(elapsed) => self.failed(&elapsed),
            }
            cancel
                .run_until_cancelled(sleep(jitter(self.config.retry_period, JITTER)))
                .await?;
        }
    }

    fn extend(&self, from: Moment) {
        self.fence
            .hold(from, self.config.lease_duration - self.config.stop_margin);
    }

    fn report(&self, leads: bool) {
        if let Some(metrics) = &self.metrics {
            metrics.leader(&self.config.name, leads);
        }
    }

    fn failed(&self, error: &(dyn std::error::Error + 'static)) {
        tracing::warn!(lease = %self.config.name, error, "lease could not be taken or renewed");
        if let Some(metrics) = &self.metrics {
            metrics.election_failure(&self.config.name);
        }
    }

    /// Takes or renews the Lease if nobody else has it. Cancel safe: the next attempt looks anew.
    async fn attempt(&mut self) -> Result<Attempt, Error> {
        // Taken out, so that after a failure, which may have come after the write, the Lease is read again.
        if let Some(written) = self.written.take() {
            match self.write(&written).await {
                Err(error) if has_code(&error, 409) || has_code(&error, 404) => {}
                result => return result,
            }
        }
        let seen = self.store.get().await?;
        self.observe(seen.as_ref());
        if let Some(holder) = self.holder() {
            return Ok(Attempt::Others(holder));
        }
        match seen {
            Some(seen) => self.write(&seen).await,
            None => {
                let from = self.fence.now();
                self.written = Some(self.store.create(&self.next_record(None)).await?);
                Ok(Attempt::Ours(from))
            }
        }
    }

    async fn write(&mut self, seen: &Seen) -> Result<Attempt, Error> {
        let from = self.fence.now();
        let record = self.next_record(Some(&seen.record));
        self.written = Some(self.store.replace(&seen.version, &record).await?);
        Ok(Attempt::Ours(from))
    }

    fn next_record(&self, last: Option<&Record>) -> Record {
        let now = self.clock.now();
        let (acquired, transitions) = match last {
            Some(last) if last.holder == self.identity => (last.acquired, last.transitions),
            Some(last) => (Some(now), last.transitions.saturating_add(1)),
            None => (Some(now), 0),
        };
        Record {
            holder: self.identity.clone(),
            duration: self.config.lease_duration,
            acquired,
            renewed: Some(now),
            transitions,
        }
    }

    /// Remembers since when the Lease has been as it is. By its version, because a holder whose clock stands still
    /// renews as well. One that vanished is remembered as it was: its holder may not have noticed.
    fn observe(&mut self, seen: Option<&Seen>) {
        let Some(seen) = seen else { return };
        if self
            .observed
            .as_ref()
            .is_none_or(|(last, _)| last.version != seen.version)
        {
            self.observed = Some((seen.clone(), Instant::now()));
        }
    }

    /// Who else may act now.
    fn holder(&self) -> Option<String> {
        let (Seen { record, .. }, since) = self.observed.as_ref()?;
        // What the holder was promised counts, and what it should have been promised.
        let held = since.elapsed() < record.duration.max(self.config.lease_duration);
        (held && !record.holder.is_empty() && record.holder != self.identity).then(|| record.holder.clone())
    }
}

/// The Lease, taken. Dropping it stops renewing.
#[derive(Debug)]
#[must_use = "the lease expires unless it is held"]
pub struct Leadership {
    election: LeaderElection,
    /// Before the last renewal was sent.
    from: Moment,
}

impl Leadership {
    /// Runs `lead` while the Lease is renewed, and gives the Lease back after `lead` has ended. Returns what `lead`
    /// returns.
    ///
    /// The token given to `lead` is cancelled when `cancel` is (then `lead` may take its time, the Lease is still
    /// renewed), and when the leadership is about to be lost (then `lead` is dropped if it does not end in time; see
    /// the [module](super)). What `lead` has spawned must stop when its future is dropped, as
    /// [`Tasks`](crate::runtime::Tasks) does.
    ///
    /// Dropping the future drops `lead`, and the Lease expires by itself.
    ///
    /// # Errors
    /// How the leadership was lost.
    pub async fn hold<F: Future>(
        mut self,
        cancel: &CancellationToken,
        lead: impl FnOnce(CancellationToken) -> F,
    ) -> Result<F::Output, ElectionError> {
        let stop = CancellationToken::new();
        let result = {
            let mut lead = pin!(lead(stop.clone()));
            let lost = {
                let mut renewals = pin!(self.renew());
                loop {
                    // Renewals first: after a halt the work must not go on before the loss is seen.
                    tokio::select! {
                        biased;
                        lost = &mut renewals => break Err(lost),
                        output = &mut lead => break Ok(output),
                        () = cancel.cancelled(), if !stop.is_cancelled() => stop.cancel(),
                    }
                }
            };
            if let Err(lost) = &lost {
                tracing::error!(lease = %self.election.config.name, error = %lost, "stopping work");
                stop.cancel();
                self.wind_down(lost, lead).await;
            }
            lost
        };
        self.election.fence.release();
        if result.is_ok() {
            self.give_back().await;
        }
        result
    }

    /// Lets the work end for as long as nobody else can act.
    async fn wind_down(&self, lost: &ElectionError, work: impl Future) {
        let config = &self.election.config;
        let in_time = match lost {
            ElectionError::Expired => {
                let end = self.from.monotonic + config.lease_duration - config.stop_margin;
                timeout_at(end, work).await.is_ok()
            }
            // Somebody else may act already.
            ElectionError::Taken { .. } | ElectionError::Halted => false,
        };
        if !in_time {
            tracing::warn!(lease = %config.name, "work dropped that did not end before the lease");
        }
    }

    /// Renews until that is no longer possible.
    async fn renew(&mut self) -> ElectionError {
        let config = self.election.config.clone();
        loop {
            let deadline = self.from.monotonic + config.renew_deadline;
            let _ = timeout_at(deadline, sleep(config.retry_period)).await;
            if !self.election.fence.is_held() {
                return ElectionError::Halted;
            }
            let now = Instant::now();
            if now >= deadline {
                return ElectionError::Expired;
            }
            // Half, so that one lost request leaves time for another.
            let patience = deadline.min(now + config.renew_deadline / 2);
            match timeout_at(patience, self.election.attempt()).await {
                Ok(Ok(Attempt::Ours(from))) => {
                    self.from = from;
                    self.election.extend(from);
                }
                Ok(Ok(Attempt::Others(holder))) => return ElectionError::Taken { holder },
                Ok(Err(error)) => self.election.failed(&error),
                Err(elapsed) => self.election.failed(&elapsed),
            }
        }
    }

    /// Says that the Lease is free, so that others need not wait for its end.
    async fn give_back(&mut self) {
        let election = &mut self.election;
        let released = timeout(election.config.release_timeout, async {
            let seen = match election.written.take() {
                Some(written) => Some(written),
                None => election.store.get().await?,
            };
            let Some(seen) = seen.filter(|seen| seen.record.holder == election.identity) else {
                return Ok(());
            };
            let record = Record {
                holder: String::new(),
                duration: std::time::Duration::from_secs(1),
                renewed: Some(election.clock.now()),
                ..seen.record
            };
            election.store.replace(&seen.version, &record).await.map(drop)
        });
        match released.await {
            Ok(Ok(())) => tracing::info!(lease = %election.config.name, "lease given back"),
            Ok(Err(error)) => election.failed(&error),
            Err(elapsed) => election.failed(&elapsed),
        }
    }
}

impl Drop for Leadership {
    fn drop(&mut self) {
        self.election.fence.release();
        self.election.report(false);
    }
}

fn has_code(error: &Error, code: u16) -> bool {
    matches!(error, Error::Api(status) if status.code == code)
}
