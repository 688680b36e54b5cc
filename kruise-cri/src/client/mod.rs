//! One runtime over one socket, in one version of the interface.

mod call;
mod convert;
mod images;
mod runtime;

use std::time::Duration;

use hyper_util::rt::TokioIo;
use tokio::net::UnixStream;
use tonic::transport::{Channel, Endpoint as Dummy};

use crate::config::ClientConfig;
use crate::endpoint::Endpoint;
use crate::error::{Error, ErrorKind};
use crate::types::ApiVersion;
use crate::wire;

/// A client of one runtime. Cheap to clone; clones share the connection, which is made again when it is lost.
///
/// It keeps the version that was found at the beginning. Use [`Runtime`](crate::Runtime) to look for the runtime again
/// whenever it goes away.
#[derive(Clone, Debug)]
pub struct Client {
    channel: Channel,
    api: ApiVersion,
    config: ClientConfig,
}

impl Client {
    /// Connects, and finds out which version the runtime serves: v1, else v1alpha2.
    ///
    /// `Version` tells it and is the cheapest call; `ImageFsInfo` then shows that images are served too, which a
    /// runtime with the interface switched off does not.
    ///
    /// # Errors
    /// [`ErrorKind::RuntimeUnavailable`] if nothing answers on the socket, [`ErrorKind::Unimplemented`] if what answers
    /// serves neither version, [`ErrorKind::InvalidArgument`] if `config` makes no sense.
    pub async fn connect(endpoint: &Endpoint, config: ClientConfig) -> Result<Self, Error> {
        let mut last = None;
        for api in [ApiVersion::V1, ApiVersion::V1Alpha2] {
            match Self::connect_as(endpoint, config.clone(), api).await {
                Err(error) if error.kind == ErrorKind::Unimplemented => last = Some(error),
                done => return done,
            }
        }
        Err(last.unwrap_or_else(|| Error::new("Version", ErrorKind::Unimplemented, "no version was tried")))
    }

    /// Connects and insists on one version.
    ///
    /// # Errors
    /// As [`Client::connect`].
    pub async fn connect_as(
        endpoint: &Endpoint,
        config: ClientConfig,
        api: ApiVersion,
    ) -> Result<Self, Error> {
        config
            .validate()
            .map_err(|error| Error::new("Version", ErrorKind::InvalidArgument, error.to_string()))?;
        let client = Self {
            channel: channel(endpoint, &config),
            api,
            config,
        };
        let probe = client.config.call_timeout.min(Duration::from_secs(10));
        let _: wire::VersionResponse = client
            .runtime_call(
                "Version",
                wire::VersionRequest {
                    version: api.to_string(),
                },
                probe,
            )
            .await?;
        match client
            .image_call::<_, wire::ImageFsInfoResponse>("ImageFsInfo", wire::Empty {}, probe, &[])
            .await
        {
            // Served, whatever it had to complain about.
            Err(error)
                if !matches!(
                    error.kind,
                    ErrorKind::Unimplemented | ErrorKind::RuntimeUnavailable
                ) =>
            {
                Ok(client)
            }
            Err(error) => Err(error),
            Ok(_) => Ok(client),
        }
    }

    /// The version in use.
    pub fn api_version(&self) -> ApiVersion {
        self.api
    }
}

/// A channel that connects on first use and again after a loss. The URI gives `:authority` its value, localhost: strict
/// servers refuse a socket path there.
fn channel(endpoint: &Endpoint, config: &ClientConfig) -> Channel {
    let path = endpoint.path().to_path_buf();
    let connector = tower::service_fn(move |_| {
        let path = path.clone();
        async move { UnixStream::connect(path).await.map(TokioIo::new) }
    });
    Dummy::from_static("http://localhost")
        .connect_timeout(config.connect_timeout)
        .connect_with_connector_lazy(connector)
}
