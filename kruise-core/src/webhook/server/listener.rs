//! The HTTPS listener.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt;
use futures::future::BoxFuture;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::{GracefulShutdown, Watcher};
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;

use super::certificates::Certificates;
use super::error::ServerError;
use crate::runtime::{ConfigError, RunError, Runnable, Tasks};
use crate::webhook::Router;

/// Limits of a [`Server`].
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct ServerConfig {
    /// Connections at a time; more wait to be accepted. Each may hold one request of the router's `max_body_bytes`.
    /// Default: 256. At least 1.
    pub max_connections: usize,
    /// How long a TLS handshake may take. Default: 10 s. At least 1 ms.
    pub handshake_timeout: Duration,
    /// How long a connection may wait for the next request, head included. Default: 120 s, which is more than the 90 s
    /// of Kubernetes' own clients, so that they close first. At least 1 ms.
    pub idle_timeout: Duration,
    /// How long requests may take to end after cancellation. Default: 10 s.
    pub drain_timeout: Duration,
}

impl Default for ServerConfig {
    fn default() -> Self {
        Self {
            max_connections: 256,
            handshake_timeout: Duration::from_secs(10),
            idle_timeout: Duration::from_secs(120),
            drain_timeout: Duration::from_secs(10),
        }
    }
}

impl ServerConfig {
    /// Checks that every setting can be used; the error names the one that cannot.
    pub fn validate(&self) -> Result<(), ConfigError> {
        if self.max_connections == 0 || self.max_connections > Semaphore::MAX_PERMITS {
            return Err(ConfigError::new("max_connections", "must be above zero"));
        }
        let least = Duration::from_millis(1);
        for (field, value) in [
            ("handshake_timeout", self.handshake_timeout),
            ("idle_timeout", self.idle_timeout),
        ] {
            if value < least {
                return Err(ConfigError::new(field, "must be at least 1 ms"));
            }
        }
        Ok(())
    }
}

/// Serves a [`Router`] over HTTPS (HTTP/1.1, TLS 1.2 and 1.3).
///
/// When cancelled it accepts no more, lets running requests end, and closes idle connections.
pub struct Server {
    listener: TcpListener,
    address: SocketAddr,
    acceptor: TlsAcceptor,
    router: Router,
    config: ServerConfig,
}

impl std::fmt::Debug for Server {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Server")
            .field("address", &self.address)
            .finish_non_exhaustive()
    }
}

impl Server {
    /// Takes the port, so that a taken one is known now. Connections wait until the server runs.
    pub async fn bind(
        address: SocketAddr,
        router: Router,
        certificates: &Certificates,
        config: ServerConfig,
    ) -> Result<Self, ServerError> {
        config.validate()?;
        let mut tls = rustls::ServerConfig::builder_with_provider(certificates.provider().clone())
            .with_safe_default_protocol_versions()
            .map_err(ServerError::Tls)?
            .with_no_client_auth()
            .with_cert_resolver(Arc::new(certificates.clone()));
        tls.alpn_protocols = vec![b"http/1.1".to_vec()];
        let bind = |source| ServerError::Bind { address, source };
        let listener = TcpListener::bind(address).await.map_err(bind)?;
        let address = listener.local_addr().map_err(bind)?;
        Ok(Self {
            listener,
            address,
            acceptor: TlsAcceptor::from(Arc::new(tls)),
            router,
            config,
        })
    }

    /// The address, with the real port if it was bound to port 0.
    pub fn local_addr(&self) -> SocketAddr {
        self.address
    }

    async fn run_until(self, cancel: CancellationToken) {
        let tasks = Tasks::new();
        let graceful = GracefulShutdown::new();
        let permits = Arc::new(Semaphore::new(self.config.max_connections));
        loop {
            let next = async {
                // The semaphore is never closed.
                let permit = permits.clone().acquire_owned().await.ok()?;
                Some((permit, self.listener.accept().await))
            };
            let Some(Some((permit, accepted))) = cancel.run_until_cancelled(next).await else {
                break;
            };
            let stream = match accepted {
                Ok((stream, _)) => stream,
                Err(error) => {
                    // Such as too many open files: some will be closed soon.
                    tracing::warn!(%error, "webhook connection not accepted");
                    let pause = tokio::time::sleep(Duration::from_millis(100));
                    let _ = cancel.run_until_cancelled(pause).await;
                    continue;
                }
            };
            let connection = connection(
                stream,
                self.acceptor.clone(),
                self.router.clone(),
                graceful.watcher(),
                self.config.clone(),
            );
            tasks.spawn("webhook connection", async move {
                connection.await;
                drop(permit);
            });
        }
        drop(self.listener);
        if tokio::time::timeout(self.config.drain_timeout, graceful.shutdown())
            .await
            .is_err()
        {
            tracing::warn!("webhook requests were cut off at the end");
        }
        tasks.shutdown(Duration::ZERO).await;
    }
}

async fn connection(
    stream: TcpStream,
    acceptor: TlsAcceptor,
    router: Router,
    watcher: Watcher,
    config: ServerConfig,
) {
    // Answers are small and awaited by people.
    let _ = stream.set_nodelay(true);
    let stream = match tokio::time::timeout(config.handshake_timeout, acceptor.accept(stream)).await {
        Ok(Ok(stream)) => stream,
        Ok(Err(error)) => return tracing::debug!(%error, "webhook handshake failed"),
        Err(_) => return tracing::debug!("webhook handshake took too long"),
    };
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new())
        .header_read_timeout(config.idle_timeout);
    let served = http.serve_connection(TokioIo::new(stream), TowerToHyperService::new(router));
    if let Err(error) = watcher.watch(served).await {
        tracing::debug!(%error, "webhook connection failed");
    }
}

impl Runnable for Server {
    fn name(&self) -> &str {
        "webhook server"
    }

    fn run(self: Box<Self>, cancel: CancellationToken) -> BoxFuture<'static, Result<(), RunError>> {
        self.run_until(cancel).map(Ok).boxed()
    }
}
