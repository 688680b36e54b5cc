//! Reviews a second and their latency over HTTPS, server on one core: our webhook server with a mutator that changes nothing,
//! beside a bare hyper server that reads the body and answers a constant.
//!
//! Prints one JSON object. The client is on another core and keeps 1, then 16 connections busy. An argument sets the seconds
//! of each measurement (default 3).

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::FutureExt;
use futures::future::BoxFuture;
use http_body_util::{BodyExt, Full};
use hyper_util::rt::TokioIo;
use k8s_openapi::api::core::v1::Pod;
use kruise_core::runtime::{Runnable, SystemClock};
use kruise_core::webhook::server::{
    Certificates, SecretData, SecretError, SecretStore, Server, ServerConfig, SharedCertificates,
    SharedConfig, StoredSecret,
};
use kruise_core::webhook::{Context, Denial, Hook, Mutator, Operation, Router, Rule, Warnings};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer, ServerName};
use serde_json::{Value, json};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::Instant;
use tokio_rustls::{TlsAcceptor, TlsConnector};
use tokio_util::sync::CancellationToken;

const HOST: &str = "hooks.example.svc";

type Failed = Box<dyn std::error::Error + Send + Sync>;

struct Nothing;

impl Mutator<Pod> for Nothing {
    async fn mutate(&self, _: &Context<Pod>, _: &mut Pod) -> Result<Warnings, Denial> {
        Ok(Warnings::new())
    }
}

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

fn main() -> Result<(), Failed> {
    let seconds = std::env::args()
        .filter_map(|arg| arg.parse().ok())
        .next()
        .unwrap_or(3);
    let time = Duration::from_secs(seconds);
    let mut report = json!({"review_bytes": review().len()});
    for (name, start) in [("webhook_server", ours as fn(Told)), ("bare_hyper", bare)] {
        let (tell, told) = std::sync::mpsc::channel();
        let stop = CancellationToken::new();
        let token = stop.clone();
        let server = std::thread::spawn(move || start((tell, token)));
        let (address, authority) = told.recv()?;
        for connections in [1, 16] {
            report[name][format!("{connections}_connections")] =
                measure(address, &authority, connections, time)?;
        }
        stop.cancel();
        server.join().map_err(|_| "the server panicked")?;
    }
    println!("{report:#}");
    Ok(())
}

type Told = (std::sync::mpsc::Sender<(SocketAddr, String)>, CancellationToken);

fn runtime() -> std::io::Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_current_thread().enable_all().build()
}

fn ours((tell, stop): Told) {
    let serve = async {
        let rule = Rule::new("", "v1", "pods", &[Operation::Create]);
        let hook = Hook::new("/mutate", "m.example.com", vec![rule]);
        let router = Router::builder().mutate::<Pod>(hook, Nothing).build()?;
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

fn bare((tell, stop): Told) {
    let serve = async {
        let made = rcgen::generate_simple_self_signed([HOST.to_owned()])?;
        let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(made.signing_key.serialize_der()));
        let config =
            rustls::ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
                .with_safe_default_protocol_versions()?
                .with_no_client_auth()
                .with_single_cert(vec![made.cert.der().clone()], key)?;
        let acceptor = TlsAcceptor::from(Arc::new(config));
        let listener = TcpListener::bind(SocketAddr::from(([127, 0, 0, 1], 0))).await?;
        tell.send((listener.local_addr()?, made.cert.pem()))?;
        let mut open = futures::stream::FuturesUnordered::new();
        loop {
            let accepted = tokio::select! {
                accepted = listener.accept() => accepted?.0,
                _ = futures::StreamExt::next(&mut open), if !open.is_empty() => continue,
                () = stop.cancelled() => return Ok::<_, Failed>(()),
            };
            let acceptor = acceptor.clone();
            open.push(async move {
                accepted.set_nodelay(true)?;
                let stream = TokioIo::new(acceptor.accept(accepted).await?);
                let answer =
                    hyper::service::service_fn(|request: hyper::Request<hyper::body::Incoming>| async {
                        let read = request
                            .into_body()
                            .collect()
                            .await
                            .map(|body| body.to_bytes().len());
                        let text = format!(
                            r#"{{"response":{{"allowed":true,"read":{}}}}}"#,
                            read.unwrap_or(0)
                        );
                        Ok::<_, Infallible>(hyper::Response::new(Full::new(Bytes::from(text))))
                    });
                hyper::server::conn::http1::Builder::new()
                    .serve_connection(stream, answer)
                    .await?;
                Ok::<_, Failed>(())
            });
        }
    };
    let done = runtime()
        .map_err(Failed::from)
        .and_then(|runtime| runtime.block_on(serve));
    if let Err(error) = done {
        eprintln!("bare server: {error}");
    }
}

fn review() -> Bytes {
    let container = json!({"name": "main", "image": "nginx:1.27", "env": [{"name": "A", "value": "b"}],
        "resources": {"requests": {"cpu": "1", "memory": "1Gi"}}, "volumeMounts": [{"name": "data", "mountPath": "/data"}]});
    let pod = json!({"apiVersion": "v1", "kind": "Pod",
        "metadata": {"generateName": "web-", "namespace": "shop", "labels": {"app": "web"}},
        "spec": {"containers": [container], "volumes": [{"name": "data", "emptyDir": {}}]}});
    let request = json!({"uid": "7f3c", "operation": "CREATE", "namespace": "shop",
        "kind": {"group": "", "version": "v1", "kind": "Pod"},
        "resource": {"group": "", "version": "v1", "resource": "pods"},
        "userInfo": {"username": "jane"}, "object": pod, "oldObject": null});
    let review = json!({"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "request": request});
    Bytes::from(review.to_string())
}

fn measure(
    address: SocketAddr,
    authority: &str,
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
        let all = (0..connections).map(|_| one_connection(address, connector.clone(), until));
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
    until: Instant,
) -> Result<Vec<Duration>, Failed> {
    let stream = TcpStream::connect(address).await?;
    stream.set_nodelay(true)?;
    let stream = connector.connect(ServerName::try_from(HOST)?, stream).await?;
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
    let requests = async move {
        let (mut taken, body) = (Vec::new(), review());
        while Instant::now() < until {
            let request = hyper::Request::post("/mutate")
                .header("host", HOST)
                .header("content-type", "application/json")
                .body(Full::new(body.clone()))?;
            let start = Instant::now();
            let answer = sender.send_request(request).await?;
            let status = answer.status();
            let body = answer.into_body().collect().await?.to_bytes();
            if status != 200 || !body.windows(14).any(|part| part == br#""allowed":true"#) {
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
