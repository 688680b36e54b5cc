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
///
/// ```
/// use kruise_core::runtime::{ReconcileError, Retry};
///
/// #[derive(Debug, thiserror::Error)]
/// enum WebError {
///     #[error("spec.image: Required value")]
///     NoImage,
///     #[error("web not written")]
///     Api(#[from] kube_client::Error),
/// }
///
/// impl ReconcileError for WebError {
///     fn retry(&self) -> Retry {
///         match self {
///             Self::NoImage => Retry::Never, // until the user mends it
///             Self::Api(kube_client::Error::Api(status)) if status.code == 409 => Retry::Now,
///             Self::Api(_) => Retry::Backoff,
///         }
///     }
/// }
/// assert_eq!(WebError::NoImage.retry(), Retry::Never);
/// ```
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
///
/// ```
/// use std::sync::Arc;
/// use k8s_openapi::api::core::v1::ConfigMap;
/// use kruise_core::runtime::{Cache, ObjectKey, Outcome, ReconcileError, Reconciler};
///
/// # #[derive(Debug, thiserror::Error)]
/// # #[error("never")]
/// # struct Never;
/// # impl ReconcileError for Never {}
/// /// Counts the entries of a ConfigMap.
/// struct Count(std::sync::atomic::AtomicUsize);
///
/// impl Reconciler for Count {
///     type Object = ConfigMap;
///     type Error = Never;
///     async fn reconcile(&self, _: ObjectKey, map: Option<Arc<ConfigMap>>) -> Result<Outcome, Never> {
///         let entries = map.and_then(|map| map.data.as_ref().map(|data| data.len())).unwrap_or(0);
///         self.0.store(entries, std::sync::atomic::Ordering::Relaxed);
///         Ok(Outcome::Done)
///     }
/// }
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Never> {
/// // In a test it is called like any function.
/// let count = Count(9.into());
/// assert_eq!(count.reconcile(ObjectKey::new("shop", "gone"), None).await?, Outcome::Done);
/// assert_eq!(count.0.into_inner(), 0);
/// # Ok(())
/// # }
/// ```
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
