//! Plain HTTP servers for health checks and metrics.

use std::net::SocketAddr;
use std::sync::Arc;

use anyhow::{Context, Result};
use axum::Router;
use kruise_core::manager::{Health, HealthService, MetricsService};
use prometheus_client::registry::Registry;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

/// `GET /metrics` in the OpenMetrics text format.
pub fn metrics(registry: Registry) -> Router {
    Router::new().route_service("/metrics", MetricsService::new(Arc::new(registry)))
}

/// `GET /healthz`, `/livez`, `/readyz`: 200 and `ok`, or 500 and the first check that fails; `?verbose` lists all.
pub fn health(health: &Health) -> Router {
    let service = HealthService::new(health);
    Router::new()
        .route_service("/healthz", service.clone())
        .route_service("/livez", service.clone())
        .route_service("/readyz", service)
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
