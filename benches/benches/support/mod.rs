//! A webhook server on one thread, and a client that measures it from another.
#![allow(unreachable_pub, reason = "each bench uses what it needs")]

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::FutureExt;
use futures::future::BoxFuture;
use http_body_util::{BodyExt, Full};
use hyper_util::rt::TokioIo;
use kruise_core::runtime::{Runnable, SystemClock};
use kruise_core::webhook::Router;
use kruise_core::webhook::server::{
    Certificates, SecretData, SecretError, SecretStore, Server, ServerConfig, SharedCertificates,
    SharedConfig, StoredSecret,
};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio::time::Instant;
use tokio_rustls::TlsConnector;
use tokio_util::sync::CancellationToken;

/// The name in the certificate.
pub const HOST: &str = "hooks.example.svc";

/// Whatever goes wrong.
pub type Failed = Box<dyn std::error::Error + Send + Sync>;

/// No Secret: the certificates are made anew.
struct NoSecret;

impl SecretStore for NoSecret {
    fn read(&self) -> BoxFuture<'_, Result<Option<StoredSecret>, SecretError>> {
        async { Ok(None) }.boxed()
    }

    fn create(&self, _: SecretData) -> BoxFuture<'_, Result<(), SecretError>> {
        async { Ok(()) }.boxed()
    }

    fn update(&self, _: SecretData, _: String) -> BoxFuture<'_, Result<(), SecretError>> {
        async { Ok(()) }.boxed()
    }
}

/// Where a server tells its address and authority, and what ends it.
pub type Told = (std::sync::mpsc::Sender<(SocketAddr, String)>, CancellationToken);

/// A runtime of one thread.
pub fn runtime() -> std::io::Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_current_thread().enable_all().build()
}

/// Serves a router until it is told to stop; tells its address and authority.
pub fn serve(router: Router, (tell, stop): Told) {
    let serve = async {
        let certificates = Certificates::new(Arc::new(rustls::crypto::ring::default_provider()));
        let config = SharedConfig::new([HOST]);
        SharedCertificates::new(NoSecret, &certificates, Arc::new(SystemClock), config)?
            .refresh()
            .await?;
        let any = SocketAddr::from(([127, 0, 0, 1], 0));
        let server = Server::bind(any, router, &certificates, ServerConfig::default()).await?;
        let authority = certificates.authority().ok_or("no authority")?.to_string();
        tell.send((server.local_addr(), authority))?;
        Box::new(server).run(stop).await?;
        Ok::<_, Failed>(())
    };
    let done = runtime()
        .map_err(Failed::from)
        .and_then(|runtime| runtime.block_on(serve));
    if let Err(error) = done {
        eprintln!("webhook server: {error}");
    }
}

/// A request that is sent again and again.
#[derive(Clone)]
pub struct Load {
    /// Path of the URL.
    pub path: &'static str,
    /// The review.
    pub body: Bytes,
    /// What every answer has in it.
    pub wanted: &'static str,
}

/// Sends it over each of the connections, one after the other, for this time.
pub fn measure(
    address: SocketAddr,
    authority: &str,
    load: &Load,
    connections: usize,
    time: Duration,
) -> Result<Value, Failed> {
    runtime()?.block_on(async {
        let mut roots = rustls::RootCertStore::empty();
        for certificate in CertificateDer::pem_slice_iter(authority.as_bytes()) {
            roots.add(certificate?)?;
        }
        let config =
            rustls::ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
                .with_safe_default_protocol_versions()?
                .with_root_certificates(roots)
                .with_no_client_auth();
        let connector = TlsConnector::from(Arc::new(config));
        let until = Instant::now() + time;
        let all = (0..connections).map(|_| one_connection(address, connector.clone(), load.clone(), until));
        let mut taken: Vec<Duration> = futures::future::try_join_all(all).await?.concat();
        taken.sort_unstable();
        let at = |share: f64| {
            taken
                .get((taken.len() as f64 * share) as usize)
                .map_or(0, |time| time.as_micros())
        };
        Ok(json!({
            "requests_per_second": (taken.len() as f64 / time.as_secs_f64()).round(),
            "p50_microseconds": at(0.5) as u64,
            "p99_microseconds": at(0.99) as u64,
        }))
    })
}

/// The times of one request after the other on one connection.
async fn one_connection(
    address: SocketAddr,
    connector: TlsConnector,
    load: Load,
    until: Instant,
) -> Result<Vec<Duration>, Failed> {
    let stream = TcpStream::connect(address).await?;
    stream.set_nodelay(true)?;
    let stream = connector.connect(ServerName::try_from(HOST)?, stream).await?;
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
    let requests = async move {
        let mut taken = Vec::new();
        while Instant::now() < until {
            let request = hyper::Request::post(load.path)
                .header("host", HOST)
                .header("content-type", "application/json")
                .body(Full::new(load.body.clone()))?;
            let start = Instant::now();
            let answer = sender.send_request(request).await?;
            let status = answer.status();
            let body = answer.into_body().collect().await?.to_bytes();
            if status != 200 || !contains(&body, load.wanted) {
                return Err(format!("{status}: {body:?}").into());
            }
            taken.push(start.elapsed());
        }
        Ok::<_, Failed>(taken)
    };
    let connection = async { connection.await.map_err(Failed::from) };
    tokio::pin!(requests, connection);
    loop {
        tokio::select! {
            taken = &mut requests => return taken,
            ended = &mut connection => ended?,
        }
    }
}

fn contains(body: &[u8], wanted: &str) -> bool {
    body.windows(wanted.len()).any(|part| part == wanted.as_bytes())
}
