//! Settings of a cache, and putting one together.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use kube_client::Api;
use kube_core::Resource;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::watch::{self, Source};
use super::{Cache, CacheDriver, CacheWriter, Undecodable};
use crate::runtime::metrics::RuntimeMetrics;
use crate::runtime::{Cached, ConfigError};

/// How a cache gets its first state, and a new one when the watch has been cut for too long.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub enum ListStrategy {
    /// By a streaming list (Kubernetes 1.32 and later), or page by page from a server that refuses it; the refusal is
    /// remembered. A streaming list may come from a replica that lags a little.
    #[default]
    Auto,
    /// Page by page. Always the newest state.
    Paged,
}

/// Settings of one cache.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase", deny_unknown_fields)]
#[non_exhaustive]
pub struct CacheConfig {
    /// How to list. Default [`ListStrategy::Auto`].
    pub list: ListStrategy,
    /// Objects in a page; one page at a time is held in memory. Default 500.
    pub page_size: u32,
    /// After this time, in whole seconds, the server ends a watch and another begins where it ended. Default 290 s.
    pub watch_timeout: Duration,
    /// A watch whose server has not been heard of for this long beyond `watch_timeout` is dead and is begun again.
    /// Default 30 s.
    pub idle_margin: Duration,
    /// A list whose server has not been heard of for this long is given up and begun again. Default 60 s.
    pub list_timeout: Duration,
    /// Delay after the first error; each further one doubles it. Default 800 ms.
    pub backoff_base: Duration,
    /// The longest delay after an error. Default 30 s.
    pub backoff_max: Duration,
    /// Part of the delay, from 0 to 1, that is taken off at random, so that the caches of many processes do not come back
    /// together when the server does. The same seed gives the same delays. Default 0: exact delays.
    pub backoff_jitter: f64,
    /// Seed of the jitter; another one in each process. Default 0.
    pub seed: u64,
    /// After this time without an error the delay starts anew. Default 120 s.
    pub backoff_reset: Duration,
}

impl Default for CacheConfig {
    fn default() -> Self {
        Self {
            list: ListStrategy::Auto,
            page_size: 500,
            watch_timeout: Duration::from_secs(290),
            idle_margin: Duration::from_secs(30),
            list_timeout: Duration::from_secs(60),
            backoff_base: Duration::from_millis(800),
            backoff_max: Duration::from_secs(30),
            backoff_jitter: 0.0,
            seed: 0,
            backoff_reset: Duration::from_secs(120),
        }
    }
}

impl CacheConfig {
    /// Checks the fields.
    ///
    /// # Errors
    /// Names the field that cannot be used.
    pub fn validate(&self) -> Result<(), ConfigError> {
        if self.page_size == 0 {
            return Err(ConfigError::new("pageSize", "must be above zero"));
        }
        if self.watch_timeout < Duration::from_secs(1) || self.watch_timeout.as_secs() > u64::from(u32::MAX) {
            return Err(ConfigError::new(
                "watchTimeout",
                "must be at least one second and fit 32 bits",
            ));
        }
        if self.idle_margin.is_zero() {
            return Err(ConfigError::new("idleMargin", "must be above zero"));
        }
        if self.list_timeout.is_zero() {
            return Err(ConfigError::new("listTimeout", "must be above zero"));
        }
        if self.backoff_base.is_zero() {
            return Err(ConfigError::new("backoffBase", "must be above zero"));
        }
        if self.backoff_max < self.backoff_base {
            return Err(ConfigError::new("backoffMax", "must not be below backoffBase"));
        }
        if !(0.0..=1.0).contains(&self.backoff_jitter) {
            return Err(ConfigError::new("backoffJitter", "must be from 0 to 1"));
        }
        Ok(())
    }
}

/// Called with what cannot be decoded.
pub(super) type OnUndecodable = Arc<dyn Fn(&Undecodable) + Send + Sync>;

/// Puts a cache together: objects of kind `K` are decoded as `D` and held as `T`.
pub struct CacheBuilder<K, D = K, T = D> {
    api: Api<K>,
    name: Option<String>,
    config: CacheConfig,
    labels: Option<String>,
    fields: Option<String>,
    map: Arc<dyn Fn(D) -> T + Send + Sync>,
    on_undecodable: Vec<OnUndecodable>,
    metrics: Option<RuntimeMetrics>,
}

impl<K, D, T> fmt::Debug for CacheBuilder<K, D, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CacheBuilder")
            .field("name", &self.name)
            .field("config", &self.config)
            .field("labels", &self.labels)
            .field("fields", &self.fields)
            .finish_non_exhaustive()
    }
}

/// Where `kubectl apply` keeps a copy of the whole object.
const LAST_APPLIED: &str = "kubectl.kubernetes.io/last-applied-configuration";

/// Drops managedFields and the last-applied annotation: often more than half of an object, read by nobody here.
fn trim<K: Resource>(mut object: K) -> K {
    let meta = object.meta_mut();
    meta.managed_fields = None;
    if let Some(annotations) = &mut meta.annotations {
        annotations.remove(LAST_APPLIED);
    }
    object
}

impl<K: Resource<DynamicType = ()> + 'static> CacheBuilder<K> {
    /// A cache of all objects that `api` lists, whole except for managedFields and the last-applied annotation.
    pub fn new(api: Api<K>) -> Self {
        Self {
            api,
            name: None,
            config: CacheConfig::default(),
            labels: None,
            fields: None,
            map: Arc::new(trim),
            on_undecodable: Vec::new(),
            metrics: None,
        }
    }

    /// Keeps managedFields and the last-applied annotation. Call it before [`CacheBuilder::project`].
    #[must_use]
    pub fn untrimmed(mut self) -> Self {
        self.map = Arc::new(|object| object);
        self
    }

    /// Decodes the server's JSON straight into `E`, which need not be a Kubernetes type: `K` only says where to ask.
    /// What `E` skips is never built. See [`SlimPod`](crate::runtime::SlimPod).
    #[must_use]
    pub fn decode<E: Cached + DeserializeOwned>(self) -> CacheBuilder<K, E> {
        self.with_map(Arc::new(|object| object))
    }
}

impl<K, D, T> CacheBuilder<K, D, T> {
    fn with_map<E, U>(self, map: Arc<dyn Fn(E) -> U + Send + Sync>) -> CacheBuilder<K, E, U> {
        CacheBuilder {
            api: self.api,
            name: self.name,
            config: self.config,
            labels: self.labels,
            fields: self.fields,
            map,
            on_undecodable: self.on_undecodable,
            metrics: self.metrics,
        }
    }

    /// Keeps only what `projection` makes of each object. Must not panic.
    #[must_use]
    pub fn project<U>(self, projection: impl Fn(T) -> U + Send + Sync + 'static) -> CacheBuilder<K, D, U>
    where
        D: 'static,
        T: 'static,
    {
        let map = self.map.clone();
        self.with_map(Arc::new(move |object| projection(map(object))))
    }

    /// The name in logs and metrics. Default: the plural of the kind.
    #[must_use]
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.name = Some(name.into());
        self
    }

    /// Settings other than the default. What does not pass [`CacheConfig::validate`] is bent to the nearest that does.
    #[must_use]
    pub fn config(mut self, config: CacheConfig) -> Self {
        self.config = config;
        self
    }

    /// Only objects that match this label selector.
    #[must_use]
    pub fn labels(mut self, selector: impl Into<String>) -> Self {
        self.labels = Some(selector.into());
        self
    }

    /// Only objects that match this field selector.
    #[must_use]
    pub fn fields(mut self, selector: impl Into<String>) -> Self {
        self.fields = Some(selector.into());
        self
    }

    /// Called for every object that cannot be decoded, each time the server sends it; must not block. They are logged
    /// and counted in any case.
    #[must_use]
    pub fn on_undecodable(mut self, handler: impl Fn(&Undecodable) + Send + Sync + 'static) -> Self {
        self.on_undecodable.push(Arc::new(handler));
        self
    }

    /// Reports to these metrics.
    #[must_use]
    pub fn metrics(mut self, metrics: &RuntimeMetrics) -> Self {
        self.metrics = Some(metrics.clone());
        self
    }
}

impl<K, D, T> CacheBuilder<K, D, T>
where
    K: Resource<DynamicType = ()> + 'static,
    D: Cached + DeserializeOwned + Clone,
    T: Cached,
{
    /// The cache, empty until its driver runs. Dropping the driver ends the watch.
    pub fn build(self) -> (Cache<T>, CacheDriver) {
        let name = self.name.unwrap_or_else(|| K::plural(&()).into_owned());
        let cache = Cache::new(&name, self.metrics.as_ref());
        let source = Source {
            api: self.api,
            config: self.config,
            labels: self.labels,
            fields: self.fields,
            map: self.map,
            on_undecodable: self.on_undecodable,
            writer: CacheWriter::new(cache.clone()),
            cache: cache.clone(),
        };
        let driver = CacheDriver::new(name, |cancel| Box::pin(watch::run(source, cancel)));
        (cache, driver)
    }
}
