//! What a controller author writes.

use std::error::Error;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use crate::runtime::{Cached, ObjectKey};

/// How a reconcile that did not fail ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Nothing more to do until something changes.
    Done,
    /// Look again after this time, or earlier if something changes.
    RequeueAfter(Duration),
}

/// When a failed reconcile is to be tried again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Retry {
    /// At once: a conflict, say. After three such failures in a row it becomes [`Retry::Backoff`].
    Now,
    /// After a delay that doubles with each failure.
    Backoff,
    /// After this time.
    After(Duration),
    /// Not before something changes: trying again cannot help. Tell of it in the status or by an Event.
    Never,
}

/// An error that says when to try again.
pub trait ReconcileError: Error + Send + Sync + 'static {
    /// When to try again. Default [`Retry::Backoff`].
    fn retry(&self) -> Retry {
        Retry::Backoff
    }
}

/// Brings one object into its wanted state.
///
/// It is told which object, never what happened: read the whole state from caches, plan, act. It must cope with being
/// dropped at any await point (shut-down, timeout), and is then called again.
pub trait Reconciler: Send + Sync + 'static {
    /// The kind of object.
    type Object: Cached;
    /// What can go wrong.
    type Error: ReconcileError;

    /// `object` is what the cache holds now; `None` once it is deleted.
    ///
    /// Never called for one key twice at once. A panic is caught, counted, and retried with backoff.
    fn reconcile(
        &self,
        key: ObjectKey,
        object: Option<Arc<Self::Object>>,
    ) -> impl Future<Output = Result<Outcome, Self::Error>> + Send;
}
