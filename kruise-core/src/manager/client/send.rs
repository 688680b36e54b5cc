//! Sending one request, as often as it takes.

use std::sync::Arc;

use http::header::USER_AGENT;
use http::{HeaderValue, Method, Request, Response};
use kube_client::Client;
use kube_client::client::Body;
use tokio::time::Instant;
use tower::BoxError;

use super::RetryConfig;
use super::limiter::Limiter;
use super::retry::{Repeatable, retry_after};
use super::verb::verb;
use crate::manager::election::Fence;
use crate::manager::metrics::ClientMetrics;

/// A write was refused, because this process does not hold the lease.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("this process is not the leader, it must not write")]
pub struct NotLeader;

/// What the clones of a client share.
pub(super) struct Sender {
    pub(super) base: Client,
    pub(super) user_agent: HeaderValue,
    pub(super) limiter: Limiter,
    pub(super) retry: RetryConfig,
    pub(super) metrics: Option<ClientMetrics>,
    pub(super) fence: Option<Fence>,
}

impl Sender {
    pub(super) async fn send(
        self: Arc<Self>,
        mut request: Request<Body>,
    ) -> Result<Response<Body>, BoxError> {
        request.headers_mut().insert(USER_AGENT, self.user_agent.clone());
        let repeatable = Repeatable::of(&request);
        let verb = verb(&request);
        let start = Instant::now();
        let mut retries = 0;
        loop {
            let waited = self.limiter.acquire().await;
            self.check_fence(request.method())?;
            let again = copy(&request);
            let result = self.base.send(request).await;
            let status = result.as_ref().ok().map(Response::status);
            if let Some(metrics) = &self.metrics {
                metrics.request(verb, status, waited);
            }
            let (Some(again), Some(reason)) = (again, retry_reason(repeatable, &result)) else {
                return result.map_err(Into::into);
            };
            let asked = result
                .as_ref()
                .ok()
                .and_then(|response| retry_after(response.headers()));
            let delay = self.retry.delay(retries, asked);
            let time_left = self.retry.total_time.saturating_sub(start.elapsed());
            if retries >= self.retry.max_retries || delay > time_left {
                return result.map_err(Into::into);
            }
            drop(result);
            if let Some(metrics) = &self.metrics {
                metrics.retry(reason);
            }
            tracing::debug!(verb, reason, ?delay, "request will be sent again");
            tokio::time::sleep(delay).await;
            retries += 1;
            request = again;
        }
    }

    fn check_fence(&self, method: &Method) -> Result<(), NotLeader> {
        let reads = matches!(*method, Method::GET | Method::HEAD | Method::OPTIONS);
        match &self.fence {
            Some(fence) if !reads && !fence.is_held() => Err(NotLeader),
            _ => Ok(()),
        }
    }
}

/// Why another try might help. Errors before anything was sent (credentials, TLS settings) are not of that kind.
fn retry_reason(
    repeatable: Repeatable,
    result: &Result<Response<Body>, kube_client::Error>,
) -> Option<&'static str> {
    match result {
        Ok(response) => repeatable.reason(Some(response.status())),
        Err(kube_client::Error::HyperError(_) | kube_client::Error::Service(_)) => repeatable.reason(None),
        Err(_) => None,
    }
}

/// The same request once more; `None` if its body is a stream, which kube makes of none.
fn copy(request: &Request<Body>) -> Option<Request<Body>> {
    let mut copy = Request::new(request.body().try_clone()?);
    *copy.method_mut() = request.method().clone();
    *copy.uri_mut() = request.uri().clone();
    *copy.version_mut() = request.version();
    *copy.headers_mut() = request.headers().clone();
    *copy.extensions_mut() = request.extensions().clone();
    Some(copy)
}
