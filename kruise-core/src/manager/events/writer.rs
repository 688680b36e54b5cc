//! Sending events.

use std::fmt;
use std::sync::Arc;

use futures::FutureExt;
use futures::future::BoxFuture;
use k8s_openapi::api::core::v1::{Event, EventSource};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, Time};
use kube_client::api::{Patch, PatchParams, PostParams};
use kube_client::{Api, Client, Error};
use serde_json::json;
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep, timeout};
use tokio_util::sync::CancellationToken;

use super::EventConfig;
use super::correlate::{Correlator, Decision, Note, Posted};
use super::recorder::shortened;
use crate::manager::ManagerMetrics;
use crate::runtime::{Clock, RunError, Runnable};

/// Where Events go that are about objects without a namespace; the server takes them nowhere else.
const CLUSTER_EVENTS: &str = "default";

/// The longest name of an Event, less the suffix that makes it unique: a dot and 16 hexadecimal digits.
const MAX_NAME: usize = 253 - 17;

/// Sends the Events of an [`EventRecorder`](super::EventRecorder). A [`Runnable`] that after its cancellation sends
/// what waits, within [`EventConfig::flush_timeout`]. Events that cannot be sent are logged, counted and given up.
///
/// Needs the verbs `create` and `patch` on Events.
#[must_use = "events are not sent until the writer runs"]
pub struct EventWriter {
    client: Client,
    clock: Arc<dyn Clock>,
    config: EventConfig,
    notes: mpsc::Receiver<Note>,
    correlator: Correlator,
    metrics: Option<ManagerMetrics>,
    /// The suffix of the last name, so that no two are the same.
    last_suffix: u64,
}

impl fmt::Debug for EventWriter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EventWriter")
            .field("config", &self.config)
            .finish_non_exhaustive()
    }
}

impl EventWriter {
    pub(super) fn new(
        client: Client,
        clock: Arc<dyn Clock>,
        config: EventConfig,
        notes: mpsc::Receiver<Note>,
    ) -> Self {
        let correlator = Correlator::new(config.clone());
        Self {
            client,
            clock,
            config,
            notes,
            correlator,
            metrics: None,
            last_suffix: 0,
        }
    }

    /// Counts what becomes of Events.
    pub fn metrics(mut self, metrics: &ManagerMetrics) -> Self {
        self.metrics = Some(metrics.clone());
        self
    }

    /// Runs until cancelled, or until all recorders are gone. Dropping the future drops what waits.
    pub async fn run(mut self, cancel: CancellationToken) {
        let flush_timeout = self.config.flush_timeout;
        let work = async {
            loop {
                // After the cancellation nothing new is taken, and what is there is sent.
                match cancel.run_until_cancelled(self.notes.recv()).await {
                    Some(Some(note)) => self.send(note).await,
                    Some(None) => return,
                    None => break,
                }
            }
            self.notes.close();
            while let Some(note) = self.notes.recv().await {
                self.send(note).await;
            }
        };
        let overtime = async {
            cancel.cancelled().await;
            sleep(flush_timeout).await;
        };
        tokio::select! {
            () = work => {}
            () = overtime => tracing::warn!("events dropped that could not be sent in time"),
        }
    }

    async fn send(&mut self, note: Note) {
        let Some(decision) = self.correlator.decide(&note, Instant::now()) else {
            self.count("filtered");
            return;
        };
        let mut fresh = None;
        for attempt in 1..=self.config.attempts {
            let sent = timeout(self.config.timeout, self.send_once(&note, &decision, &mut fresh)).await;
            let error = match sent {
                Ok(Ok((posted, result))) => {
                    self.correlator.remember(&decision.key, Some(posted));
                    self.count(result);
                    return;
                }
                Ok(Err(error)) if is_refusal(&error) => {
                    tracing::debug!(reason = %note.reason, %error, "event refused");
                    break;
                }
                Ok(Err(error)) => error.to_string(),
                Err(elapsed) => elapsed.to_string(),
            };
            tracing::warn!(reason = %note.reason, attempt, error, "event could not be sent");
            if attempt < self.config.attempts {
                sleep(self.config.retry_delay).await;
            }
        }
        self.correlator.remember(&decision.key, None);
        self.count("failed");
    }

    /// Counts up the Event that is there, or creates one. `fresh` keeps the new one from attempt to attempt, so that one
    /// that was created without our hearing of it is not created twice.
    async fn send_once(
        &mut self,
        note: &Note,
        decision: &Decision,
        fresh: &mut Option<Event>,
    ) -> Result<(Posted, &'static str), Error> {
        if fresh.is_none()
            && let Some(posted) = &decision.posted
        {
            let posted = Posted {
                count: posted.count.saturating_add(1),
                ..posted.clone()
            };
            let patch = json!({
                "count": posted.count,
                "lastTimestamp": Time(self.clock.now()),
                "message": decision.message,
            });
            let api: Api<Event> = Api::namespaced(self.client.clone(), &posted.namespace);
            match api
                .patch(&posted.name, &PatchParams::default(), &Patch::Merge(patch))
                .await
            {
                Ok(_) => return Ok((posted, "counted")),
                // Events live for an hour; a new one takes its place.
                Err(Error::Api(status)) if status.code == 404 => {}
                Err(error) => return Err(error),
            }
        }
        let event = match fresh {
            Some(event) => event,
            None => fresh.insert(self.event(note, &decision.message)),
        };
        let namespace = event.metadata.namespace.clone().unwrap_or_default();
        let api: Api<Event> = Api::namespaced(self.client.clone(), &namespace);
        match api.create(&PostParams::default(), event).await {
            Ok(_) => {}
            Err(Error::Api(status)) if status.code == 409 => {}
            Err(error) => return Err(error),
        }
        let posted = Posted {
            namespace,
            name: event.metadata.name.clone().unwrap_or_default(),
            count: 1,
        };
        Ok((posted, "created"))
    }

    fn event(&mut self, note: &Note, message: &str) -> Event {
        let now = self.clock.now();
        let suffix = u64::try_from(now.as_nanosecond())
            .unwrap_or(0)
            .max(self.last_suffix + 1);
        self.last_suffix = suffix;
        let name = shortened(note.object.name.clone().unwrap_or_default(), MAX_NAME);
        let namespace = note.object.namespace.clone().unwrap_or_default();
        let namespace = if namespace.is_empty() {
            CLUSTER_EVENTS.to_owned()
        } else {
            namespace
        };
        Event {
            metadata: ObjectMeta {
                name: Some(format!("{name}.{suffix:x}")),
                namespace: Some(namespace),
                ..ObjectMeta::default()
            },
            involved_object: note.object.clone(),
            type_: Some(note.kind.name().to_owned()),
            reason: Some(note.reason.clone()),
            message: Some(message.to_owned()),
            source: Some(EventSource {
                component: Some(note.source.to_string()),
                host: None,
            }),
            reporting_component: Some(note.source.to_string()),
            count: Some(1),
            first_timestamp: Some(Time(now)),
            last_timestamp: Some(Time(now)),
            ..Event::default()
        }
    }

    fn count(&self, result: &'static str) {
        if let Some(metrics) = &self.metrics {
            metrics.event(result);
        }
    }
}

/// Whether the server will never take this Event: it is wrong, forbidden, or its namespace is going away.
fn is_refusal(error: &Error) -> bool {
    matches!(error, Error::Api(status) if (400..500).contains(&status.code) && status.code != 429)
}

impl Runnable for EventWriter {
    fn name(&self) -> &str {
        "events"
    }

    fn run(self: Box<Self>, cancel: CancellationToken) -> BoxFuture<'static, Result<(), RunError>> {
        EventWriter::run(*self, cancel).map(Ok).boxed()
    }
}
