//! A unary call: path by version, deadline on both sides, typed errors.

use std::error::Error as _;
use std::time::Duration;

use http::uri::PathAndQuery;
use prost::Message;
use tokio::time::Instant;
use tonic::{Code, Request};
use tonic_prost::ProstCodec;

use super::Client;
use crate::config::LONGEST;
use crate::error::{Error, ErrorKind, from_status, with_causes};
use crate::types::ApiVersion;

/// The channel ends a request that was sent at its timeout. This much later the call ends, whatever it waits for: the channel
/// itself while it connects, for example.
const LOCAL_GRACE: Duration = Duration::from_secs(1);

impl Client {
    pub(super) async fn image_call<Q, A>(
        &self,
        call: &'static str,
        request: Q,
        timeout: Duration,
        secrets: &[&str],
    ) -> Result<A, Error>
    where
        Q: Message + 'static,
        A: Message + Default + 'static,
    {
        self.call("ImageService", call, request, timeout, secrets).await
    }

    pub(super) async fn runtime_call<Q, A>(
        &self,
        call: &'static str,
        request: Q,
        timeout: Duration,
    ) -> Result<A, Error>
    where
        Q: Message + 'static,
        A: Message + Default + 'static,
    {
        self.call("RuntimeService", call, request, timeout, &[]).await
    }

    async fn call<Q, A>(
        &self,
        service: &str,
        call: &'static str,
        request: Q,
        timeout: Duration,
        secrets: &[&str],
    ) -> Result<A, Error>
    where
        Q: Message + 'static,
        A: Message + Default + 'static,
    {
        let package = match self.api {
            ApiVersion::V1 => "runtime.v1",
            ApiVersion::V1Alpha2 => "runtime.v1alpha2",
        };
        let path = PathAndQuery::try_from(format!("/{package}.{service}/{call}"))
            .map_err(|error| Error::new(call, ErrorKind::Protocol, error.to_string()))?;
        // The header has no room for more, and nobody waits that long.
        let timeout = timeout.min(LONGEST);
        let mut request = Request::new(request);
        request.set_timeout(timeout);
        let started = Instant::now();
        let work = async {
            let mut grpc = tonic::client::Grpc::new(self.channel.clone())
                .max_decoding_message_size(self.config.max_message_bytes)
                .max_encoding_message_size(self.config.max_message_bytes);
            grpc.ready().await.map_err(|error| {
                Error::new(
                    call,
                    ErrorKind::RuntimeUnavailable,
                    with_causes(&error.to_string(), error.source()),
                )
            })?;
            match grpc.unary(request, path, ProstCodec::<Q, A>::default()).await {
                Ok(answer) => Ok(answer.into_inner()),
                // A runtime that ends the call at its deadline may call that a cancellation.
                Err(status)
                    if matches!(status.code(), Code::Cancelled | Code::DeadlineExceeded)
                        && started.elapsed() >= timeout =>
                {
                    Err(deadline(call, timeout))
                }
                Err(status) => Err(from_status(call, &status, secrets)),
            }
        };
        match tokio::time::timeout(timeout + LOCAL_GRACE, work).await {
            Ok(done) => done,
            Err(_) => Err(deadline(call, timeout)),
        }
    }
}

fn deadline(call: &'static str, timeout: Duration) -> Error {
    Error::new(call, ErrorKind::Deadline, format!("no answer within {timeout:?}"))
}
