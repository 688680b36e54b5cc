//! A server on loopback, a client that trusts given authorities, and a Secret in memory.

use std::net::SocketAddr;
use std::sync::Arc;

use futures::FutureExt;
use futures::future::BoxFuture;
use http::StatusCode;
use kruise_core::runtime::{Runnable, Tasks};
use kruise_core::testing::clock::FakeClock;
use kruise_core::webhook::Router;
use kruise_core::webhook::server::*;
use parking_lot::Mutex;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::client::TlsStream;

pub const HOST: &str = "hooks.example.svc";

pub fn provider() -> Arc<CryptoProvider> {
    Arc::new(rustls::crypto::ring::default_provider())
}

/// 2026-11-23, near enough to the real time for a client that looks at the real clock.
pub fn clock() -> Arc<FakeClock> {
    Arc::new(FakeClock::new(jiff::Timestamp::now()))
}

/// One Secret that any number of replicas share.
#[derive(Clone, Default)]
pub struct FakeSecret(Arc<Mutex<Inner>>);

#[derive(Default)]
struct Inner {
    stored: Option<StoredSecret>,
    version: u64,
    writes: usize,
    /// Written by somebody else right before the next write of anybody.
    rival: Option<SecretData>,
}

impl FakeSecret {
    pub fn data(&self) -> SecretData {
        self.0.lock().stored.clone().unwrap().data
    }

    pub fn text(&self, key: &str) -> String {
        String::from_utf8(self.data()[key].clone()).unwrap()
    }

    pub fn writes(&self) -> usize {
        self.0.lock().writes
    }

    pub fn put(&self, data: SecretData) {
        self.0.lock().put(data);
    }

    pub fn delete(&self) {
        self.0.lock().stored = None;
    }

    pub fn race(&self, data: SecretData) {
        self.0.lock().rival = Some(data);
    }
}

impl Inner {
    fn put(&mut self, data: SecretData) {
        self.version += 1;
        let resource_version = self.version.to_string();
        self.stored = Some(StoredSecret {
            data,
            resource_version,
        });
    }

    fn write(&mut self, data: SecretData, version: Option<String>) -> Result<(), SecretError> {
        if let Some(rival) = self.rival.take() {
            self.put(rival);
        }
        if self.stored.as_ref().map(|stored| stored.resource_version.clone()) != version {
            return Err(SecretError::Raced);
        }
        let mut all = self.stored.take().map(|stored| stored.data).unwrap_or_default();
        all.extend(data);
        self.put(all);
        self.writes += 1;
        Ok(())
    }
}

impl SecretStore for FakeSecret {
    fn read(&self) -> BoxFuture<'_, Result<Option<StoredSecret>, SecretError>> {
        let stored = self.0.lock().stored.clone();
        async move { Ok(stored) }.boxed()
    }

    fn create(&self, data: SecretData) -> BoxFuture<'_, Result<(), SecretError>> {
        let result = self.0.lock().write(data, None);
        async move { result }.boxed()
    }

    fn update(&self, data: SecretData, resource_version: String) -> BoxFuture<'_, Result<(), SecretError>> {
        let result = self.0.lock().write(data, Some(resource_version));
        async move { result }.boxed()
    }
}

/// A replica's certificates, made or taken over from `secret`.
pub async fn shared(
    secret: &FakeSecret,
    clock: &Arc<FakeClock>,
) -> (Certificates, SharedCertificates<FakeSecret>) {
    let certificates = Certificates::new(provider());
    let config = SharedConfig::new([HOST]);
    let mut shared = SharedCertificates::new(secret.clone(), &certificates, clock.clone(), config).unwrap();
    shared.refresh().await.unwrap();
    (certificates, shared)
}

/// A server that runs as long as the tasks live.
pub async fn serve(router: Router, certificates: &Certificates, tasks: &Tasks) -> SocketAddr {
    serve_with(router, certificates, tasks, ServerConfig::default()).await
}

pub async fn serve_with(
    router: Router,
    certificates: &Certificates,
    tasks: &Tasks,
    config: ServerConfig,
) -> SocketAddr {
    let any = SocketAddr::from(([127, 0, 0, 1], 0));
    let server = Server::bind(any, router, certificates, config).await.unwrap();
    let address = server.local_addr();
    let token = tasks.token();
    tasks.spawn(
        "server",
        async move { Box::new(server).run(token).await.unwrap() },
    );
    address
}

pub async fn connect(
    address: SocketAddr,
    host: &str,
    authority: &str,
) -> std::io::Result<TlsStream<TcpStream>> {
    let mut roots = rustls::RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(authority.as_bytes()) {
        roots.add(certificate.unwrap()).unwrap();
    }
    let config = rustls::ClientConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let stream = TcpStream::connect(address).await?;
    let name = ServerName::try_from(host.to_owned()).unwrap();
    tokio_rustls::TlsConnector::from(Arc::new(config))
        .connect(name, stream)
        .await
}

/// One POST on a connection of its own: status and body.
pub async fn post(
    address: SocketAddr,
    authority: &str,
    path: &str,
    content_type: &str,
    body: &[u8],
) -> std::io::Result<(StatusCode, Vec<u8>)> {
    let mut stream = connect(address, HOST, authority).await?;
    stream
        .write_all(head(path, content_type, body.len()).as_bytes())
        .await?;
    stream.write_all(body).await?;
    stream.flush().await?;
    answer(&mut stream).await
}

pub fn head(path: &str, content_type: &str, length: usize) -> String {
    format!(
        "POST {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-type: {content_type}\r\ncontent-length: {length}\r\n\r\n"
    )
}

pub async fn answer(stream: &mut TlsStream<TcpStream>) -> std::io::Result<(StatusCode, Vec<u8>)> {
    let mut all = Vec::new();
    let result = stream.read_to_end(&mut all).await;
    let Some(end) = all.windows(4).position(|four| four == b"\r\n\r\n") else {
        result?;
        return Err(std::io::ErrorKind::UnexpectedEof.into());
    };
    let status = std::str::from_utf8(&all[9..12]).unwrap().parse().unwrap();
    Ok((status, all[end + 4..].to_vec()))
}
