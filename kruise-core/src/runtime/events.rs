//! Kubernetes Events as controllers make them. Whoever embeds a controller says where they go.

use std::fmt;
use std::sync::Arc;

use k8s_openapi::api::core::v1::ObjectReference;

/// One Event.
#[derive(Clone, Debug, PartialEq)]
pub struct Note {
    /// What it is about.
    pub about: ObjectReference,
    /// Whether somebody should worry.
    pub warning: bool,
    /// Machine-readable reason, in `CamelCase`.
    pub reason: &'static str,
    /// Text for people.
    pub message: String,
}

/// Takes Events. Clones share the destination. Must not block; the destination limits their rate.
#[derive(Clone)]
pub struct EventSink(Arc<dyn Fn(Note) + Send + Sync>);

impl EventSink {
    /// Makes a sink of a closure.
    pub fn new(emit: impl Fn(Note) + Send + Sync + 'static) -> Self {
        Self(Arc::new(emit))
    }

    /// Makes a sink that drops everything.
    pub fn none() -> Self {
        Self::new(drop)
    }

    /// Hands an Event over.
    pub fn emit(&self, note: Note) {
        (self.0)(note);
    }
}

impl fmt::Debug for EventSink {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("EventSink(..)")
    }
}
