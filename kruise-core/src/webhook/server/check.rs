//! Asks the own server over HTTPS, as the API server would.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use rustls::crypto::CryptoProvider;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use super::error::WriteError;
use super::material;
use crate::webhook::HEALTH_PATH;

/// Succeeds if the server at `address` answers, and its certificate is good for `host` under these authorities.
///
/// The address is the listener's own: through a Service it would not be reached before it is ready, and it is not ready
/// before this.
pub(crate) async fn self_check(
    address: SocketAddr,
    host: &str,
    authority: &str,
    provider: &Arc<CryptoProvider>,
    timeout: Duration,
) -> Result<(), WriteError> {
    let authorities = material::certificates("authority", authority)?;
    let tls = rustls::ClientConfig::builder_with_provider(provider.clone())
        .with_safe_default_protocol_versions()
        .map_err(|error| WriteError::SelfCheck(std::io::Error::other(error)))?
        .with_root_certificates(material::roots(&authorities)?)
        .with_no_client_auth();
    let name = material::server_name(host)?;
    let ask = async {
        let stream = TcpStream::connect(reachable(address)).await?;
        let mut stream = TlsConnector::from(Arc::new(tls)).connect(name, stream).await?;
        let head = format!("GET {HEALTH_PATH} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n");
        stream.write_all(head.as_bytes()).await?;
        stream.flush().await?;
        let mut line = [0u8; 12];
        stream.read_exact(&mut line).await?;
        Ok(String::from_utf8_lossy(&line).into_owned())
    };
    let answer = tokio::time::timeout(timeout, ask).await;
    match answer.unwrap_or_else(|late| Err(late.into())) {
        Ok(line) if line == "HTTP/1.1 200" => Ok(()),
        Ok(line) => Err(WriteError::SelfCheckAnswer(line)),
        Err(error) => Err(WriteError::SelfCheck(error)),
    }
}

/// A server that listens on all addresses is asked on loopback.
fn reachable(address: SocketAddr) -> SocketAddr {
    let ip = match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => IpAddr::V4(Ipv4Addr::LOCALHOST),
        IpAddr::V6(ip) if ip.is_unspecified() => IpAddr::V6(Ipv6Addr::LOCALHOST),
        ip => ip,
    };
    SocketAddr::new(ip, address.port())
}
