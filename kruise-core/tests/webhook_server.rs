//! Reviews over real HTTPS on loopback.
#![allow(clippy::unwrap_used, reason = "helpers of tests fail that way")]

mod webhook_support;

use std::net::SocketAddr;
use std::time::Duration;

use http::StatusCode;
use k8s_openapi::api::core::v1::ConfigMap;
use kruise_core::runtime::Tasks;
use kruise_core::webhook::server::*;
use kruise_core::webhook::*;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use webhook_support::https::*;
use webhook_support::*;

const JSON: &str = "application/json";

#[tokio::test]
async fn reviews_go_there_and_back_over_https() {
    let (certificates, _shared) = shared(&FakeSecret::default(), &clock()).await;
    let authority = certificates.authority().unwrap();
    let tasks = Tasks::new();
    let address = serve(router(), &certificates, &tasks).await;
    let ask = async |path: &str, content_type: &str, body: Vec<u8>| {
        post(address, &authority, path, content_type, &body)
            .await
            .unwrap()
    };
    let body = |what: &str| review(order(what)).to_string().into_bytes();

    let (status, answer) = ask("/mutate", JSON, body("nothing")).await;
    assert_eq!(status, StatusCode::OK);
    let mut wanted = order("nothing");
    wanted["metadata"]["labels"] = serde_json::json!({"creator": "jane"});
    assert_eq!(patched(order("nothing"), &response(&answer)), wanted);

    let (status, answer) = ask("/validate", JSON, body("panic")).await;
    assert_eq!(status, StatusCode::OK);
    assert_eq!(response(&answer)["status"]["code"], 500);
    let (_, answer) = ask("/validate-lenient", JSON, body("panic")).await;
    assert_eq!(response(&answer)["allowed"], true);

    let (status, _) = ask("/validate", "text/plain", body("nothing")).await;
    assert_eq!(status, StatusCode::UNSUPPORTED_MEDIA_TYPE);
    let (status, _) = ask("/elsewhere", JSON, body("nothing")).await;
    assert_eq!(status, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn a_long_body_is_refused_over_https_without_reading_it() {
    let (certificates, _shared) = shared(&FakeSecret::default(), &clock()).await;
    let tasks = Tasks::new();
    let address = serve(router(), &certificates, &tasks).await;
    let mut stream = connect(address, HOST, &certificates.authority().unwrap())
        .await
        .unwrap();
    // Only the head: the length alone is too much.
    stream
        .write_all(head("/validate", JSON, 3 * 1024 * 1024 + 1).as_bytes())
        .await
        .unwrap();
    let (status, _) = answer(&mut stream).await.unwrap();
    assert_eq!(status, StatusCode::PAYLOAD_TOO_LARGE);
}

#[tokio::test]
async fn a_client_that_does_not_know_the_authority_or_asks_for_another_host_is_not_served() {
    let clock = clock();
    let (certificates, _shared) = shared(&FakeSecret::default(), &clock).await;
    let (stranger, _other) = shared(&FakeSecret::default(), &clock).await;
    let tasks = Tasks::new();
    let address = serve(router(), &certificates, &tasks).await;
    let (own, foreign) = (certificates.authority().unwrap(), stranger.authority().unwrap());
    assert!(connect(address, HOST, &foreign).await.is_err());
    assert!(connect(address, "other.example.svc", &own).await.is_err());
    assert!(connect(address, HOST, &own).await.is_ok());
}

#[tokio::test]
async fn a_taken_port_is_an_error_before_the_start() {
    let certificates = Certificates::new(provider());
    let any = SocketAddr::from(([127, 0, 0, 1], 0));
    let config = ServerConfig::default();
    let first = Server::bind(any, router(), &certificates, config.clone())
        .await
        .unwrap();
    let second = Server::bind(first.local_addr(), router(), &certificates, config).await;
    assert!(matches!(second, Err(ServerError::Bind { .. })));
}

#[tokio::test]
async fn a_client_that_never_shakes_hands_is_hung_up_on() {
    let (certificates, _shared) = shared(&FakeSecret::default(), &clock()).await;
    let tasks = Tasks::new();
    let mut config = ServerConfig::default();
    config.handshake_timeout = Duration::from_millis(20);
    let address = serve_with(router(), &certificates, &tasks, config).await;
    let mut silent = tokio::net::TcpStream::connect(address).await.unwrap();
    assert_eq!(silent.read(&mut [0]).await.unwrap_or(0), 0);
}

#[tokio::test]
async fn an_idle_connection_is_closed() {
    let (certificates, _shared) = shared(&FakeSecret::default(), &clock()).await;
    let tasks = Tasks::new();
    let mut config = ServerConfig::default();
    // Long enough for the request to be sent even on a busy machine.
    config.idle_timeout = Duration::from_millis(400);
    let address = serve_with(router(), &certificates, &tasks, config).await;
    let mut idle = connect(address, HOST, &certificates.authority().unwrap())
        .await
        .unwrap();
    idle.write_all(b"GET /healthz HTTP/1.1\r\nhost: x\r\n\r\n")
        .await
        .unwrap();
    let mut all = Vec::new();
    // Ends only because the server closes; whether with a farewell does not matter.
    let _ = idle.read_to_end(&mut all).await;
    assert!(all.starts_with(b"HTTP/1.1 200"));
}

#[tokio::test]
async fn connections_above_the_cap_wait_for_their_turn() {
    let (certificates, _shared) = shared(&FakeSecret::default(), &clock()).await;
    let authority = certificates.authority().unwrap();
    let tasks = Tasks::new();
    let mut config = ServerConfig::default();
    config.max_connections = 1;
    let address = serve_with(router(), &certificates, &tasks, config).await;
    let first = connect(address, HOST, &authority).await.unwrap();
    let mut second = Box::pin(connect(address, HOST, &authority));
    let early = tokio::time::timeout(Duration::from_millis(50), &mut second).await;
    assert!(early.is_err());
    drop(first);
    assert!(second.await.is_ok());
}

/// Says when it starts, and ends when it may.
struct Slow(tokio::sync::mpsc::Sender<()>, std::sync::Arc<tokio::sync::Notify>);

impl Validator<ConfigMap> for Slow {
    async fn validate(&self, _: &Context<ConfigMap>, _: Option<&ConfigMap>) -> Result<Warnings, Denial> {
        self.0.send(()).await.unwrap();
        self.1.notified().await;
        Ok(Warnings::new())
    }
}

#[tokio::test]
async fn a_request_that_runs_at_the_end_is_answered() {
    let (certificates, _shared) = shared(&FakeSecret::default(), &clock()).await;
    let authority = certificates.authority().unwrap();
    let (started, mut wait) = tokio::sync::mpsc::channel(1);
    let go = std::sync::Arc::new(tokio::sync::Notify::new());
    let router = Router::builder()
        .validate(
            Hook::new("/slow", "slow.example.com", vec![]),
            Slow(started, go.clone()),
        )
        .build()
        .unwrap();
    let tasks = Tasks::new();
    let address = serve(router, &certificates, &tasks).await;
    let body = review(order("x")).to_string().into_bytes();
    let request = post(address, &authority, "/slow", JSON, &body);
    let end = async {
        wait.recv().await.unwrap();
        let shutdown = tasks.shutdown(Duration::from_secs(5));
        let release = async {
            // By now the listener may be gone, but not the request.
            tokio::task::yield_now().await;
            go.notify_one();
        };
        tokio::join!(shutdown, release).0
    };
    let (answered, ended) = tokio::join!(request, end);
    assert_eq!(answered.unwrap().0, StatusCode::OK);
    assert!(ended);
    assert!(connect(address, HOST, &authority).await.is_err());
}
