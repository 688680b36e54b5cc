//! The manager itself.

use std::fmt;

use futures::FutureExt;
use futures::future::{BoxFuture, join};
use tokio::time::{Instant, timeout_at};
use tokio_util::sync::CancellationToken;

use super::group::Group;
use super::{Component, ManagerConfig, ManagerError};
use crate::gates::Gates;
use crate::manager::{EventWriter, Health, LeaderElection, Leadership, ManagerMetrics};
use crate::runtime::{Cache, CacheDriver, Cached, ConfigError};

/// Starts and stops all that a process does, in order.
///
/// 1. The event writer, the caches and what runs on every replica (servers, certificate loops) start.
/// 2. When all caches are synced, the replica takes part in the leader election, if there is one.
/// 3. On the leader, the controllers start.
/// 4. When cancelled: controllers and what runs everywhere end, then the caches, then the event writer; then the lease
///    is given back. Each has its time ([`ManagerConfig`]), after which it is dropped.
///
/// A component that fails or panics ends the manager in the same order, with an error that names it, unless it is
/// [optional](Component::optional). When the lease is lost, the controllers end before it can pass on, and then the
/// manager.
///
/// Nothing is global: any number of managers can run in a process. All parts can be used without it.
///
/// ```
/// use futures::future::{BoxFuture, FutureExt};
/// use kruise_core::manager::{Manager, ManagerConfig};
/// use kruise_core::runtime::{RunError, Runnable};
/// use tokio_util::sync::CancellationToken;
///
/// struct Greeter;
///
/// impl Runnable for Greeter {
///     fn name(&self) -> &str {
///         "greeter"
///     }
///
///     fn run(self: Box<Self>, cancel: CancellationToken) -> BoxFuture<'static, Result<(), RunError>> {
///         async move {
///             println!("hello");
///             cancel.cancelled().await;
///             println!("goodbye");
///             Ok(())
///         }
///         .boxed()
///     }
/// }
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let mut manager = Manager::new(ManagerConfig::default())?;
/// manager.on_leader(Greeter);
///
/// let stop = CancellationToken::new();
/// stop.cancel(); // In a program, when a signal comes.
/// manager.run(stop).await?;
/// # Ok(())
/// # }
/// ```
pub struct Manager {
    config: ManagerConfig,
    health: Health,
    events: Vec<Component>,
    caches: Vec<Component>,
    synced: Vec<(String, BoxFuture<'static, ()>)>,
    everywhere: Vec<Component>,
    on_leader: Vec<Component>,
    election: Option<LeaderElection>,
}

impl fmt::Debug for Manager {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Manager")
            .field("caches", &self.caches)
            .field("everywhere", &self.everywhere)
            .field("on_leader", &self.on_leader)
            .field("election", &self.election)
            .finish_non_exhaustive()
    }
}

impl Manager {
    /// A manager of nothing.
    ///
    /// # Errors
    /// Names the setting that cannot be used.
    pub fn new(config: ManagerConfig) -> Result<Self, ConfigError> {
        config.validate()?;
        Ok(Self {
            config,
            health: Health::new(),
            events: Vec::new(),
            caches: Vec::new(),
            synced: Vec::new(),
            everywhere: Vec::new(),
            on_leader: Vec::new(),
            election: None,
        })
    }

    /// Feeds a cache, on every replica. Controllers wait for it, and the check `cache/<name>` of readiness fails until
    /// it is synced and while it has not heard of its server for long.
    pub fn cache<T: Cached>(&mut self, cache: &Cache<T>, driver: CacheDriver) -> &mut Self {
        let driver = Component::new(driver);
        let name = driver.runnable.name().to_owned();
        let (checked, max_age) = (cache.clone(), self.config.cache_max_age);
        self.health.readiness.add(format!("cache/{name}"), move || {
            if !checked.is_synced() {
                Err("not synced yet".into())
            } else if !checked.is_ready(max_age) {
                Err("has not heard of its server for too long".into())
            } else {
                Ok(())
            }
        });
        let cache = cache.clone();
        self.synced
            .push((name, async move { cache.synced().await }.boxed()));
        self.caches.push(driver);
        self
    }

    /// Runs on every replica from the start: webhook servers, probes, certificate loops.
    pub fn everywhere(&mut self, component: impl Into<Component>) -> &mut Self {
        self.everywhere.push(component.into());
        self
    }

    /// Runs on the leader only, after all caches are synced: controllers.
    pub fn on_leader(&mut self, component: impl Into<Component>) -> &mut Self {
        self.on_leader.push(component.into());
        self
    }

    /// Sends events, on every replica.
    pub fn events(&mut self, writer: EventWriter) -> &mut Self {
        self.events.push(Component::new(writer));
        self
    }

    /// Only one replica at a time shall run what is [on the leader](Manager::on_leader). Without an election, every
    /// manager does.
    pub fn election(&mut self, election: LeaderElection) -> &mut Self {
        self.election = Some(election);
        self
    }

    /// Logs the feature gates, and what dependencies changed in them, and shows them in the metrics.
    pub fn gates(&mut self, gates: &Gates, metrics: Option<&ManagerMetrics>) -> &mut Self {
        tracing::info!(%gates, "feature gates");
        for forced in gates.forced() {
            tracing::warn!("feature gate {forced}");
        }
        for fixed in gates.fixed() {
            tracing::warn!("feature gate {fixed}");
        }
        if let Some(metrics) = metrics {
            metrics.gates(gates);
        }
        self
    }

    /// The checks of this manager, to add to and to mount in a server.
    pub fn health(&self) -> &Health {
        &self.health
    }

    /// Runs until cancelled, or until something fails. Dropping the future drops all components, and the lease expires
    /// by itself.
    ///
    /// # Errors
    /// What failed.
    pub async fn run(self, cancel: CancellationToken) -> Result<(), ManagerError> {
        let Self {
            config,
            events,
            caches,
            synced,
            everywhere,
            on_leader,
            election,
            ..
        } = self;
        let mut started = Started {
            events: Group::start(events),
            caches: Group::start(caches),
            everywhere: Some(Group::start(everywhere)),
            config,
        };
        // Of its own, because a failure ends the rest as well.
        let stop = cancel.child_token();
        let leading = match started.become_leader(synced, election, &stop).await {
            Ok(Some(leading)) => leading,
            Ok(None) => return started.stop_with(Ok(())).await,
            Err(error) => return started.stop_with(Err(error)).await,
        };
        let Leading::Elected(leadership) = leading else {
            let result = started.lead(on_leader, &stop, &stop).await;
            return started.stop_with(result).await;
        };
        let mut started = Some(started);
        let (remaining, stop) = (&mut started, &stop);
        let held = leadership.hold(stop, |stop_leading| async move {
            // Always there: nobody has taken it yet.
            let Some(running) = remaining.as_mut() else {
                return Ok(());
            };
            let result = running.lead(on_leader, &stop_leading, stop).await;
            // The rest before the lease is given back, unless it is the lease that is lost: then after it.
            match remaining.take_if(|_| stop.is_cancelled() || result.is_err()) {
                Some(running) => running.stop_with(result).await,
                None => result,
            }
        });
        let result = held.await.map_err(ManagerError::from).flatten();
        match started {
            Some(started) => started.stop_with(result).await,
            None => result,
        }
    }
}

/// Why the controllers of this replica may run.
enum Leading {
    Alone,
    Elected(Box<Leadership>),
}

/// All but the controllers.
struct Started {
    events: Group,
    caches: Group,
    /// None when it has stopped.
    everywhere: Option<Group>,
    config: ManagerConfig,
}

impl Started {
    /// Waits for the caches, then for the leadership. `None` when cancelled before.
    async fn become_leader(
        &mut self,
        synced: Vec<(String, BoxFuture<'static, ()>)>,
        election: Option<LeaderElection>,
        stop: &CancellationToken,
    ) -> Result<Option<Leading>, ManagerError> {
        let timeout = self.config.cache_sync_timeout;
        let work = async {
            let deadline = Instant::now() + timeout;
            for (cache, synced) in synced {
                if timeout_at(deadline, synced).await.is_err() {
                    return Err(ManagerError::CacheNotSynced { cache, timeout });
                }
            }
            tracing::info!("caches are synced");
            match election {
                None => Ok(Some(Leading::Alone)),
                Some(election) => Ok(election
                    .acquire(stop)
                    .await
                    .map(|leadership| Leading::Elected(Box::new(leadership)))),
            }
        };
        tokio::select! {
            biased;
            () = stop.cancelled() => Ok(None),
            error = self.failure() => Err(error),
            result = work => result,
        }
    }

    /// Runs controllers until they shall stop, or something fails; then lets them end. The servers end beside them,
    /// unless only the leadership ends: then there is no time to wait for them.
    async fn lead(
        &mut self,
        controllers: Vec<Component>,
        stop_leading: &CancellationToken,
        stop: &CancellationToken,
    ) -> Result<(), ManagerError> {
        let mut controllers = Group::start(controllers);
        let result = tokio::select! {
            biased;
            () = stop_leading.cancelled() => Ok(()),
            error = controllers.failure() => Err(error),
            error = self.failure() => Err(error),
        };
        let controllers = controllers.stop("controllers", self.config.drain_timeout);
        if stop.is_cancelled() || result.is_err() {
            join(controllers, self.stop_everywhere()).await;
        } else {
            controllers.await;
        }
        result
    }

    async fn failure(&mut self) -> ManagerError {
        let everywhere = async {
            match &mut self.everywhere {
                Some(group) => group.failure().await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            error = self.events.failure() => error,
            error = self.caches.failure() => error,
            error = everywhere => error,
        }
    }

    async fn stop_everywhere(&mut self) {
        if let Some(group) = self.everywhere.take() {
            group.stop("servers", self.config.drain_timeout).await;
        }
    }

    /// Stops what is left, in order, and passes the result on.
    async fn stop_with(mut self, result: Result<(), ManagerError>) -> Result<(), ManagerError> {
        self.stop_everywhere().await;
        self.caches.stop("caches", self.config.cache_stop_timeout).await;
        self.events.stop("event writer", self.config.flush_timeout).await;
        result
    }
}
