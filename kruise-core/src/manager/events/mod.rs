//! Kubernetes Events: what `kubectl describe` shows of what controllers did.
//!
//! Controllers publish through an [`EventRecorder`], which never waits: what does not fit the queue is dropped and
//! counted. An [`EventWriter`] sends them: an Event like one before it only raises the count of that one, many Events
//! that differ only in their message become one, and an object that has too many of them loses the rest.
//!
//! Events are written as `core/v1`. All servers from Kubernetes 1.20 to 1.37 serve that version, it is what OpenKruise
//! writes, and only it has what `kubectl describe` shows as `From` and `x5 over 10m` for clients of all these versions:
//! `source.component` and `count` with its first and last time. In `events.k8s.io/v1` those fields are marked as
//! deprecated and may not be written; the objects are the same ones, so readers of that version see ours as well.
//!
//! ```
//! use std::sync::Arc;
//! use k8s_openapi::api::core::v1::Pod;
//! use kruise_core::manager::{EventConfig, EventRecorder};
//! use kruise_core::runtime::SystemClock;
//! use kube_core::Resource;
//! # use bytes::Bytes;
//! # use http_body_util::Full;
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let client = kube_client::Client::new(
//! #     tower::service_fn(|_: http::Request<kube_client::client::Body>| async {
//! #         Ok::<_, std::convert::Infallible>(http::Response::new(Full::new(Bytes::from("{}"))))
//! #     }),
//! #     "default",
//! # );
//! let (recorder, writer) = EventRecorder::new(client, Arc::new(SystemClock), EventConfig::default())?;
//! let events = recorder.source("pod-controller");
//! events.normal(&Pod::default().object_ref(&()), "SuccessfulUpdate", "updated in place");
//! // `writer` is a Runnable: give it to a manager, or run it.
//! # drop(writer);
//! # Ok(())
//! # }
//! ```

mod config;
mod correlate;
mod recent;
mod recorder;
mod writer;

pub use config::EventConfig;
pub use recorder::{EventKind, EventRecorder};
pub use writer::EventWriter;
