//! Reviews a second and their latency over HTTPS, server on one core: our webhook server with a mutator that changes nothing,
//! beside a bare hyper server that reads the body and answers a constant.
//!
//! Prints one JSON object. The client is on another core and keeps 1, then 16 connections busy. An argument sets the seconds
//! of each measurement (default 3).

mod support;

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper_util::rt::TokioIo;
use k8s_openapi::api::core::v1::Pod;
use kruise_core::webhook::{Context, Denial, Hook, Mutator, Operation, Router, Rule, Warnings};
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use serde_json::json;
use support::{Failed, HOST, Load, Told, measure, runtime, serve};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;

struct Nothing;

impl Mutator<Pod> for Nothing {
    async fn mutate(&self, _: &Context<Pod>, _: &mut Pod) -> Result<Warnings, Denial> {
        Ok(Warnings::new())
    }
}

fn main() -> Result<(), Failed> {
    let seconds = std::env::args()
        .filter_map(|arg| arg.parse().ok())
        .next()
        .unwrap_or(3);
    let time = Duration::from_secs(seconds);
    let load = Load {
        path: "/mutate",
        body: review(),
        wanted: r#""allowed":true"#,
    };
    let mut report = json!({"review_bytes": load.body.len()});
    for (name, start) in [("webhook_server", ours as fn(Told)), ("bare_hyper", bare)] {
        let (tell, told) = std::sync::mpsc::channel();
        let stop = CancellationToken::new();
        let token = stop.clone();
        let server = std::thread::spawn(move || start((tell, token)));
        let (address, authority) = told.recv()?;
        for connections in [1, 16] {
            report[name][format!("{connections}_connections")] =
                measure(address, &authority, &load, connections, time)?;
        }
        stop.cancel();
        server.join().map_err(|_| "the server panicked")?;
    }
    println!("{report:#}");
    Ok(())
}

fn ours(told: Told) {
    let rule = Rule::new("", "v1", "pods", &[Operation::Create]);
    let hook = Hook::new("/mutate", "m.example.com", vec![rule]);
    match Router::builder().mutate::<Pod>(hook, Nothing).build() {
        Ok(router) => serve(router, told),
        Err(error) => eprintln!("router: {error}"),
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
