//! Health and metrics over HTTP.

use std::convert::Infallible;
use std::fmt::Write;
use std::future::{Ready, ready};
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::{HeaderValue, Request, Response, StatusCode};
use http_body_util::Full;
use prometheus_client::encoding::text;
use prometheus_client::registry::Registry;
use tower::Service;

use super::{Checks, Health};

type Answer = Response<Full<Bytes>>;

/// Answers probes: `/healthz` and `/livez` with the liveness checks, `/readyz` with the readiness checks, 404 elsewhere.
///
/// The answer is 200 with the body `ok`, or 500 with the first failing check. With the query `verbose` the body lists
/// all checks. Mount it in any HTTP server that takes tower services.
///
/// ```
/// use http::Request;
/// use kruise_core::manager::{Health, HealthService};
/// use tower::ServiceExt;
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let health = Health::new();
/// let service = HealthService::new(&health);
/// let response = service.clone().oneshot(Request::get("/healthz").body(())?).await?;
/// assert_eq!(response.status(), 200);
///
/// health.liveness.add("disk", || Err("full".into()));
/// let response = service.oneshot(Request::get("/healthz").body(())?).await?;
/// assert_eq!(response.status(), 500);
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct HealthService(Health);

impl HealthService {
    /// Answers with these checks, those included that are added later.
    pub fn new(health: &Health) -> Self {
        Self(health.clone())
    }

    /// The answer to a request, for servers that do not take tower services.
    pub fn respond<B>(&self, request: &Request<B>) -> Answer {
        let checks = match request.uri().path() {
            "/healthz" | "/livez" => &self.0.liveness,
            "/readyz" => &self.0.readiness,
            _ => return plain(StatusCode::NOT_FOUND, "not found".into()),
        };
        if request
            .uri()
            .query()
            .is_some_and(|query| query.split('&').any(|part| part.starts_with("verbose")))
        {
            return verbose(checks);
        }
        match checks.first_failure() {
            None => plain(StatusCode::OK, "ok".into()),
            Some(check) => {
                let text = format!("{}: {}", check.name, check.result.err().unwrap_or_default());
                plain(StatusCode::INTERNAL_SERVER_ERROR, text)
            }
        }
    }
}

fn verbose(checks: &Checks) -> Answer {
    let checks = checks.run();
    let mut text = String::new();
    for check in &checks {
        // Writing to a String does not fail.
        let _ = match &check.result {
            Ok(()) => writeln!(text, "[+]{} ok", check.name),
            Err(error) => writeln!(text, "[-]{} failed: {error}", check.name),
        };
    }
    let failed = checks.iter().any(|check| check.result.is_err());
    text.push_str(if failed { "check failed" } else { "ok" });
    plain(
        if failed {
            StatusCode::INTERNAL_SERVER_ERROR
        } else {
            StatusCode::OK
        },
        text,
    )
}

fn plain(status: StatusCode, text: String) -> Answer {
    answer(status, "text/plain; charset=utf-8", text)
}

fn answer(status: StatusCode, content_type: &'static str, text: String) -> Answer {
    let mut response = Response::new(Full::new(Bytes::from(text)));
    *response.status_mut() = status;
    response
        .headers_mut()
        .insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    response
}

/// Answers `/metrics` with a registry in the text format of OpenMetrics, which Prometheus reads; 404 elsewhere.
#[derive(Clone, Debug)]
pub struct MetricsService(Arc<Registry>);

impl MetricsService {
    /// Shows this registry.
    pub fn new(registry: Arc<Registry>) -> Self {
        Self(registry)
    }

    /// The answer to a request, for servers that do not take tower services.
    pub fn respond<B>(&self, request: &Request<B>) -> Answer {
        if request.uri().path() != "/metrics" {
            return plain(StatusCode::NOT_FOUND, "not found".into());
        }
        let mut text = String::new();
        match text::encode(&mut text, &self.0) {
            Ok(()) => answer(
                StatusCode::OK,
                "application/openmetrics-text; version=1.0.0; charset=utf-8",
                text,
            ),
            Err(error) => plain(StatusCode::INTERNAL_SERVER_ERROR, error.to_string()),
        }
    }
}

impl<B> Service<Request<B>> for HealthService {
    type Response = Answer;
    type Error = Infallible;
    type Future = Ready<Result<Answer, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        ready(Ok(self.respond(&request)))
    }
}

impl<B> Service<Request<B>> for MetricsService {
    type Response = Answer;
    type Error = Infallible;
    type Future = Ready<Result<Answer, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        ready(Ok(self.respond(&request)))
    }
}
