//! Plain HTTP servers for health checks and metrics.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use anyhow::{Context, Result};
use axum::Router;
use axum::http::{StatusCode, header};
use axum::routing::get;
use prometheus_client::encoding::text::encode;
use prometheus_client::registry::Registry;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

/// `GET /metrics` in the OpenMetrics text format.
pub fn metrics(registry: Arc<Mutex<Registry>>) -> Router {
    Router::new().route(
        "/metrics",
        get(move || async move {
            let mut body = String::new();
            let encoded = registry
                .lock()
                .is_ok_and(|registry| encode(&mut body, &registry).is_ok());
            let status = if encoded {
                StatusCode::OK
            } else {
                StatusCode::INTERNAL_SERVER_ERROR
            };
            (
                status,
                [(
                    header::CONTENT_TYPE,
                    "application/openmetrics-text; version=1.0.0; charset=utf-8",
                )],
                body,
            )
        }),
    )
}

/// `GET path`: 200 and `ok`, or 500 and what is wrong.
pub fn check(path: &str, check: impl Fn() -> Result<(), String> + Clone + Send + Sync + 'static) -> Router {
    Router::new().route(
        path,
        get(move || async move {
            match check() {
                Ok(()) => (StatusCode::OK, "ok".to_owned()),
                Err(why) => (StatusCode::INTERNAL_SERVER_ERROR, why),
            }
        }),
    )
}

/// Binds now, so that a taken port is known at start.
///
/// # Errors
/// When the address cannot be bound.
pub async fn bind(flag: &str, address: SocketAddr) -> Result<TcpListener> {
    TcpListener::bind(address)
        .await
        .with_context(|| format!("{flag}: listening on {address}"))
}

/// Serves until `stop` is cancelled.
///
/// # Errors
/// When the listener fails.
pub async fn serve(listener: TcpListener, router: Router, stop: CancellationToken) -> Result<()> {
    axum::serve(listener, router)
        .with_graceful_shutdown(stop.cancelled_owned())
        .await?;
    Ok(())
}
