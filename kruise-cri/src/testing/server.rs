//! The server side: any method of any version arrives as bytes and is answered as bytes.

use std::convert::Infallible;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use prost::bytes::{Buf, BufMut, Bytes};
use tokio::net::UnixListener;
use tokio::sync::oneshot;
use tokio_stream::wrappers::UnixListenerStream;
use tonic::body::Body;
use tonic::codec::{Codec, DecodeBuf, Decoder, EncodeBuf, Encoder};
use tonic::server::{NamedService, UnaryService};
use tonic::{Request, Response, Status};

use super::{Reply, Shared, answers};
use crate::types::ApiVersion;

/// Far above any client's limit, so that the client's is the one that counts.
const LIMIT: usize = 256 * 1024 * 1024;
const NAMES: [&str; 4] = [
    "runtime.v1.ImageService",
    "runtime.v1.RuntimeService",
    "runtime.v1alpha2.ImageService",
    "runtime.v1alpha2.RuntimeService",
];

/// Serves until it is told to stop, or a script says to die.
pub(super) fn run(
    listener: std::os::unix::net::UnixListener,
    shared: Arc<Shared>,
    stopped: oneshot::Receiver<()>,
) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a test machine can make a runtime");
    runtime.block_on(async {
        let listener = UnixListener::from_std(listener).expect("the listener is fresh and does not block");
        let mut died = std::pin::pin!(shared.die.notified());
        died.as_mut().enable();
        let server = tonic::transport::Server::builder()
            .add_service(Served::<0>(Arc::clone(&shared)))
            .add_service(Served::<1>(Arc::clone(&shared)))
            .add_service(Served::<2>(Arc::clone(&shared)))
            .add_service(Served::<3>(Arc::clone(&shared)))
            .serve_with_incoming(UnixListenerStream::new(listener));
        tokio::select! {
            _ = server => {}
            _ = stopped => {}
            () = died => {}
        }
    });
    // Dropping the runtime here drops the tasks of all connections.
}

/// One service of one version, by its place in [`NAMES`].
#[derive(Clone, Debug)]
struct Served<const PLACE: usize>(Arc<Shared>);

impl<const PLACE: usize> NamedService for Served<PLACE> {
    const NAME: &'static str = NAMES[PLACE];
}

impl<const PLACE: usize> tower::Service<http::Request<Body>> for Served<PLACE> {
    type Response = http::Response<Body>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Self::Error>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        let method = Method {
            name: request
                .uri()
                .path()
                .rsplit('/')
                .next()
                .unwrap_or_default()
                .to_owned(),
            api: if PLACE < 2 {
                ApiVersion::V1
            } else {
                ApiVersion::V1Alpha2
            },
            authority: request
                .uri()
                .authority()
                .map(ToString::to_string)
                .unwrap_or_default(),
            shared: Arc::clone(&self.0),
        };
        Box::pin(async move {
            let mut grpc = tonic::server::Grpc::new(Raw)
                .max_decoding_message_size(LIMIT)
                .max_encoding_message_size(LIMIT);
            Ok(grpc.unary(method, request).await)
        })
    }
}

/// One call.
struct Method {
    name: String,
    api: ApiVersion,
    authority: String,
    shared: Arc<Shared>,
}

impl UnaryService<Bytes> for Method {
    type Response = Bytes;
    type Future = Pin<Box<dyn Future<Output = Result<Response<Bytes>, Status>> + Send>>;

    fn call(&mut self, request: Request<Bytes>) -> Self::Future {
        let (name, api, authority) = (self.name.clone(), self.api, self.authority.clone());
        let shared = Arc::clone(&self.shared);
        Box::pin(async move {
            let body = request.into_inner();
            let call = answers::record(&name, api, &authority, &body)?;
            let reply = {
                let mut state = shared.state.lock();
                state.calls.push(call.clone());
                if !state.versions.contains(&api) {
                    Reply::fail(tonic::Code::Unimplemented, "unknown service")
                } else {
                    state
                        .scripts
                        .get_mut(&name)
                        .and_then(|replies| replies.pop_front())
                        .unwrap_or(Reply::Normal)
                }
            };
            shared.changed.notify_waiters();
            let mut given_up = CountIfDropped(Some(Arc::clone(&shared)));
            match reply {
                Reply::Normal => {}
                Reply::Fail { code, message } => {
                    given_up.0 = None;
                    return Err(Status::new(code, message));
                }
                Reply::Hang => std::future::pending().await,
                Reply::Wait(gate) => gate.passed().await,
                Reply::Die => {
                    given_up.0 = None;
                    shared.die.notify_waiters();
                    std::future::pending::<()>().await;
                }
            }
            given_up.0 = None;
            let answered = answers::answer(&mut shared.state.lock(), &call, &body);
            answered.map(|bytes| Response::new(Bytes::from(bytes)))
        })
    }
}

/// Counts a call that the other side gave up: its future is dropped before it ends.
struct CountIfDropped(Option<Arc<Shared>>);

impl Drop for CountIfDropped {
    fn drop(&mut self) {
        if let Some(shared) = self.0.take() {
            shared.state.lock().cancelled += 1;
            shared.changed.notify_waiters();
        }
    }
}

/// Passes messages on as they are.
#[derive(Clone, Copy, Debug)]
struct Raw;

impl Codec for Raw {
    type Encode = Bytes;
    type Decode = Bytes;
    type Encoder = Self;
    type Decoder = Self;

    fn encoder(&mut self) -> Self {
        *self
    }

    fn decoder(&mut self) -> Self {
        *self
    }
}

impl Encoder for Raw {
    type Item = Bytes;
    type Error = Status;

    fn encode(&mut self, item: Bytes, out: &mut EncodeBuf<'_>) -> Result<(), Status> {
        out.put(item);
        Ok(())
    }
}

impl Decoder for Raw {
    type Item = Bytes;
    type Error = Status;

    fn decode(&mut self, from: &mut DecodeBuf<'_>) -> Result<Option<Bytes>, Status> {
        Ok(Some(from.copy_to_bytes(from.remaining())))
    }
}
