//! Keeps a cache up to date from a watch, through everything that ends a watch.

use std::fmt;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use futures::future::BoxFuture;
use futures::{FutureExt, Stream, StreamExt};
use kube_client::Api;
use kube_core::Resource;
use kube_runtime::watcher::{self, Event, watcher};
use serde::de::DeserializeOwned;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::activity::listening;
use super::builder::OnUndecodable;
use super::lenient::Envelope;
use super::{Cache, CacheConfig, CacheWriter, ListStrategy, Undecodable};
use crate::runtime::{Cached, RunError, Runnable};

/// Feeds a [`Cache`] for as long as it runs. Errors are retried for ever; it ends only when it is cancelled.
#[must_use = "the cache stays empty until its driver runs"]
pub struct CacheDriver {
    name: String,
    start: Box<dyn FnOnce(CancellationToken) -> BoxFuture<'static, ()> + Send>,
}

impl fmt::Debug for CacheDriver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CacheDriver")
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}

impl CacheDriver {
    pub(super) fn new(
        name: String,
        start: impl FnOnce(CancellationToken) -> BoxFuture<'static, ()> + Send + 'static,
    ) -> Self {
        Self {
            name,
            start: Box::new(start),
        }
    }

    /// Runs until cancelled. Needs a tokio runtime. Dropping the future ends the watch; the cache keeps what it holds.
    pub async fn run(self, cancel: CancellationToken) {
        (self.start)(cancel).await;
    }
}

impl Runnable for CacheDriver {
    fn name(&self) -> &str {
        &self.name
    }

    fn run(self: Box<Self>, cancel: CancellationToken) -> BoxFuture<'static, Result<(), RunError>> {
        CacheDriver::run(*self, cancel).map(Ok).boxed()
    }
}

/// What a driver needs to know.
pub(super) struct Source<K, D, T: Cached> {
    pub(super) api: Api<K>,
    pub(super) config: CacheConfig,
    pub(super) labels: Option<String>,
    pub(super) fields: Option<String>,
    pub(super) map: Arc<dyn Fn(D) -> T + Send + Sync>,
    pub(super) on_undecodable: Vec<OnUndecodable>,
    pub(super) writer: CacheWriter<T>,
    pub(super) cache: Cache<T>,
}

/// Why a stream of events is given up for a new one.
enum Restart {
    /// The server does not do streaming lists.
    Paged,
    /// The stream cannot go on.
    AfterBackoff,
}

pub(super) async fn run<K, D, T>(source: Source<K, D, T>, cancel: CancellationToken)
where
    K: Resource<DynamicType = ()> + 'static,
    D: Cached + DeserializeOwned + Clone,
    T: Cached,
{
    let Source {
        api,
        mut config,
        labels,
        fields,
        map,
        on_undecodable,
        writer,
        cache,
    } = source;
    config.list_timeout = config.list_timeout.max(Duration::from_secs(1));
    let namespace = api.namespace().map(str::to_owned);
    let client = listening(api.into_client(), &cache);
    let mut api: Api<Envelope<K, D>> = Api::all(client);
    if let Some(namespace) = &namespace {
        api = api.constrain(namespace);
    }
    let watch = watcher::Config {
        label_selector: labels,
        field_selector: fields,
        timeout: Some(u32::try_from(config.watch_timeout.as_secs().max(1)).unwrap_or(u32::MAX)),
        page_size: Some(config.page_size.max(1)),
        ..watcher::Config::default()
    };
    let mut driving = Driving {
        paged: config.list == ListStrategy::Paged,
        errors: 0,
        last_error: None,
        config,
        map,
        on_undecodable,
        writer,
        cache,
    };
    let work = async {
        loop {
            let watch = if driving.paged {
                watch.clone()
            } else {
                watch.clone().streaming_lists()
            };
            match driving.follow(watcher(api.clone(), watch)).await {
                Restart::Paged => driving.paged = true,
                Restart::AfterBackoff => driving.back_off().await,
            }
        }
    };
    cancel.run_until_cancelled(work).await;
}

struct Driving<D, T: Cached> {
    config: CacheConfig,
    map: Arc<dyn Fn(D) -> T + Send + Sync>,
    on_undecodable: Vec<OnUndecodable>,
    writer: CacheWriter<T>,
    cache: Cache<T>,
    /// The server has refused a streaming list, or none is wanted.
    paged: bool,
    errors: u32,
    last_error: Option<Instant>,
}

impl<D: Cached, T: Cached> Driving<D, T> {
    async fn follow<K>(
        &mut self,
        events: impl Stream<Item = watcher::Result<Event<Envelope<K, D>>>>,
    ) -> Restart {
        let mut events = pin!(events);
        let started = Instant::now();
        let mut listing = true;
        let mut opened = false;
        let mut progress = started;
        loop {
            let next = tokio::select! {
                biased;
                next = events.next() => next,
                () = self.stalled(listing, started, progress) => {
                    tracing::warn!(cache = self.cache.name(), listing, "server has gone silent");
                    self.count_error();
                    let ignored = opened && listing && !self.paged;
                    return if ignored { Restart::Paged } else { Restart::AfterBackoff };
                }
            };
            match next {
                Some(Ok(event)) => {
                    progress = Instant::now();
                    match &event {
                        Event::Init => (opened, listing) = (true, true),
                        Event::InitDone => listing = false,
                        _ => {}
                    }
                    self.handle(event);
                }
                Some(Err(error)) => {
                    if listing && !self.paged && status_code(&error).is_some_and(|c| c == 400 || c == 422) {
                        tracing::info!(
                            cache = self.cache.name(),
                            "server refuses streaming lists, listing by pages"
                        );
                        return Restart::Paged;
                    }
                    self.count_error();
                    tracing::warn!(
                        cache = self.cache.name(),
                        error = %crate::runtime::Causes(&error),
                        "watch failed"
                    );
                    // An expired version in the answer to a watch request, which the stream would ask for again and
                    // again; in the watch itself it handles that by a new list.
                    let expired = matches!(error, watcher::Error::WatchStartFailed(_))
                        && status_code(&error) == Some(410);
                    if expired {
                        return Restart::AfterBackoff;
                    }
                    self.back_off().await;
                    progress = Instant::now();
                }
                None => return Restart::AfterBackoff,
            }
        }
    }

    /// Returns when nothing more is to be expected of the stream.
    async fn stalled(&self, listing: bool, started: Instant, progress: Instant) {
        if !listing {
            let limit = self.config.watch_timeout + self.config.idle_margin;
            self.cache.silent(progress, limit).await;
        } else if self.paged {
            self.cache
                .silent(progress.max(started), self.config.list_timeout)
                .await;
        } else {
            // A server that knows nothing of streaming lists may open the watch and stay busy without ever ending the
            // list, so only objects count.
            tokio::time::sleep_until(progress + self.config.list_timeout).await;
        }
    }

    fn handle<K>(&self, event: Event<Envelope<K, D>>) {
        match event {
            Event::Init => {
                if let Some(metrics) = &self.cache.0.metrics {
                    metrics.relists.inc();
                }
                self.writer.list_started();
            }
            Event::InitApply(envelope) => match envelope.body {
                Ok(object) => self.writer.listed((self.map)(object)),
                Err(bad) => {
                    self.report(&bad);
                    self.writer.listed_undecodable(&bad.key);
                }
            },
            Event::InitDone => self.writer.list_done(),
            Event::Apply(envelope) => match envelope.body {
                Ok(object) => self.writer.apply((self.map)(object)),
                Err(bad) => self.report(&bad),
            },
            Event::Delete(envelope) => match envelope.body {
                Ok(object) => self.writer.deleted((self.map)(object)),
                Err(bad) => {
                    self.report(&bad);
                    self.writer.delete(&bad.key);
                }
            },
        }
    }

    fn report(&self, bad: &Undecodable) {
        tracing::warn!(
            cache = self.cache.name(),
            object = %bad.key,
            error = bad.error,
            "object cannot be decoded, skipped"
        );
        if let Some(metrics) = &self.cache.0.metrics {
            metrics.undecodable.inc();
        }
        for handler in &self.on_undecodable {
            handler(bad);
        }
    }

    fn count_error(&mut self) {
        if let Some(metrics) = &self.cache.0.metrics {
            metrics.errors.inc();
        }
        let quiet = self
            .last_error
            .is_none_or(|last| last.elapsed() >= self.config.backoff_reset);
        self.errors = if quiet { 1 } else { self.errors.saturating_add(1) };
        self.last_error = Some(Instant::now());
    }

    async fn back_off(&self) {
        let factor = 1_u32 << self.errors.saturating_sub(1).min(16);
        let delay = self
            .config
            .backoff_base
            .saturating_mul(factor)
            .min(self.config.backoff_max);
        let draw = self.config.seed.wrapping_add(u64::from(self.errors));
        let delay = crate::runtime::config::shortened(delay, self.config.backoff_jitter, draw);
        tokio::time::sleep(delay.max(Duration::from_millis(1))).await;
    }
}

/// The HTTP status that the server answered with, if it answered.
fn status_code(error: &watcher::Error) -> Option<u16> {
    match error {
        watcher::Error::InitialListFailed(kube_client::Error::Api(status))
        | watcher::Error::WatchStartFailed(kube_client::Error::Api(status))
        | watcher::Error::WatchFailed(kube_client::Error::Api(status))
        | watcher::Error::WatchError(status) => Some(status.code),
        _ => None,
    }
}
