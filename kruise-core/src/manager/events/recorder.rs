//! Publishing events without waiting.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use k8s_openapi::api::core::v1::ObjectReference;
use kube_client::Client;
use tokio::sync::mpsc;

use super::correlate::Note;
use super::{EventConfig, EventWriter};
use crate::api::names;
use crate::manager::ManagerMetrics;
use crate::runtime::{Clock, ConfigError};

/// The longest message that is written, in bytes; the rest is cut off. What `events.k8s.io/v1` accepts.
const MAX_MESSAGE: usize = 1024;

/// How an Event is meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum EventKind {
    /// Something happened.
    Normal,
    /// Something is wrong.
    Warning,
}

impl EventKind {
    pub(super) fn name(self) -> &'static str {
        match self {
            EventKind::Normal => "Normal",
            EventKind::Warning => "Warning",
        }
    }
}

/// Publishes Events. Clones share the queue. See the [module](super).
#[derive(Clone)]
pub struct EventRecorder {
    source: Arc<str>,
    queue: mpsc::Sender<Note>,
    dropped: Arc<AtomicU64>,
    metrics: Option<ManagerMetrics>,
}

impl fmt::Debug for EventRecorder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EventRecorder")
            .field("source", &self.source)
            .finish_non_exhaustive()
    }
}

impl EventRecorder {
    /// A recorder and the writer that sends what is published. The clock is for the times in the Events. The source is
    /// `kruise-manager` until changed by [`EventRecorder::source`].
    ///
    /// # Errors
    /// Names the setting that cannot be used.
    pub fn new(
        client: Client,
        clock: Arc<dyn Clock>,
        config: EventConfig,
    ) -> Result<(Self, EventWriter), ConfigError> {
        config.validate()?;
        let (queue, notes) = mpsc::channel(config.queue);
        let recorder = Self {
            source: names::MANAGER.into(),
            queue,
            dropped: Arc::default(),
            metrics: None,
        };
        Ok((recorder, EventWriter::new(client, clock, config, notes)))
    }

    /// Counts what is published through this recorder and its clones.
    #[must_use]
    pub fn metrics(mut self, metrics: &ManagerMetrics) -> Self {
        self.metrics = Some(metrics.clone());
        self
    }

    /// A recorder into the same queue for another source, by custom the name of a controller.
    #[must_use]
    pub fn source(&self, source: &str) -> Self {
        Self {
            source: source.into(),
            ..self.clone()
        }
    }

    /// Publishes that something happened to `object`. The reason is a word in `CamelCase`, the message is for people.
    /// Events about objects without a namespace go to namespace `default`.
    pub fn normal(&self, object: &ObjectReference, reason: &str, message: impl Into<String>) {
        self.publish(object, EventKind::Normal, reason, message);
    }

    /// Publishes that something is wrong with `object`. See [`EventRecorder::normal`].
    pub fn warning(&self, object: &ObjectReference, reason: &str, message: impl Into<String>) {
        self.publish(object, EventKind::Warning, reason, message);
    }

    /// Publishes an Event. See [`EventRecorder::normal`].
    pub fn publish(
        &self,
        object: &ObjectReference,
        kind: EventKind,
        reason: &str,
        message: impl Into<String>,
    ) {
        let note = Note {
            source: self.source.clone(),
            object: object.clone(),
            kind,
            reason: reason.to_owned(),
            message: shortened(message.into(), MAX_MESSAGE),
        };
        if self.queue.try_send(note).is_err() {
            self.dropped.fetch_add(1, Ordering::Relaxed);
            if let Some(metrics) = &self.metrics {
                metrics.event("dropped");
            }
        }
    }

    /// Events that were dropped because the queue was full or the writer had ended.
    pub fn dropped(&self) -> u64 {
        self.dropped.load(Ordering::Relaxed)
    }
}

/// At most `max` bytes of `text`, whole characters.
pub(super) fn shortened(mut text: String, max: usize) -> String {
    let end = (0..=max.min(text.len()))
        .rev()
        .find(|end| text.is_char_boundary(*end))
        .unwrap_or(0);
    text.truncate(end);
    text
}
