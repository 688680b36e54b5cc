//! Hearing of the server below the watch: answers and bookmarks, which the stream of events does not show.

use std::sync::Arc;
use std::time::Duration;

use http_body_util::BodyExt;
use kube_client::Client;
use kube_client::client::Body;
use tokio::time::Instant;

use super::Cache;
use crate::runtime::Cached;

impl<T: Cached> Cache<T> {
    pub(super) fn heard(&self) {
        *self.0.upstream.last_event.lock() = Some(Instant::now());
    }

    /// Returns when the server has not been heard of for `limit`, counted from `since` at the earliest.
    pub(super) async fn silent(&self, since: Instant, limit: Duration) {
        loop {
            let last = self
                .0
                .upstream
                .last_event
                .lock()
                .map_or(since, |last| last.max(since));
            if last.elapsed() >= limit {
                return;
            }
            tokio::time::sleep_until(last + limit).await;
        }
    }
}

/// A client on top of `client` that notes in the cache every answer and every piece of a body.
///
/// Must be called inside a tokio runtime.
pub(super) fn listening<T: Cached>(client: Client, cache: &Cache<T>) -> Client {
    let namespace = client.default_namespace().to_owned();
    let heard: Arc<dyn Fn() + Send + Sync> = {
        let cache = cache.clone();
        Arc::new(move || cache.heard())
    };
    let service = tower::service_fn(move |request: http::Request<Body>| {
        let client = client.clone();
        let heard = heard.clone();
        async move {
            let response = client.send(request).await?;
            heard();
            Ok::<_, kube_client::Error>(response.map(|body| {
                body.map_frame(move |frame| {
                    heard();
                    frame
                })
            }))
        }
    });
    Client::new(service, namespace)
}
