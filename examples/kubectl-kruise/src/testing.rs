//! A server in memory, and command lines against it.

use std::time::Duration;

use clap::Parser as _;
use kruise_core::testing::apiserver::ApiServer;
use kube_client::Client;
use serde_json::Value;

use crate::cli::Cli;
use crate::connect::Connection;
use crate::run;

/// A server with Kruise's definitions.
pub(crate) fn server() -> ApiServer {
    let server = ApiServer::default();
    assert!(server.serve_definition(&kruise_sidecar::api::crd(None)));
    for definition in kruise_imagepull::api::crds() {
        assert!(server.serve_definition(&definition));
    }
    for namespace in ["shop", "kruise-system"] {
        seed(
            &server,
            serde_json::json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace}}),
        );
    }
    server
}

/// Puts an object into a server.
pub(crate) fn seed(server: &ApiServer, object: Value) {
    assert!(server.seed_value(object.clone()), "{object}");
}

/// Runs a command line in namespace `shop`: what it prints, and how it fails.
pub(crate) async fn kruise(server: &ApiServer, line: &str) -> (String, Result<(), String>) {
    kruise_by(server.client(), line).await
}

/// The same with a client.
pub(crate) async fn kruise_by(client: Client, line: &str) -> (String, Result<(), String>) {
    let mut out = Vec::new();
    let done = run(client, line, &mut out).await;
    (String::from_utf8(out).expect("text"), done)
}

/// What a command line that does not end by itself prints within a time.
pub(crate) async fn kruise_for(server: &ApiServer, line: &str, limit: Duration) -> String {
    let mut out = Vec::new();
    let ended = tokio::time::timeout(limit, run(server.client(), line, &mut out)).await;
    assert!(ended.is_err(), "{line}: {ended:?}");
    String::from_utf8(out).expect("text")
}

async fn run(client: Client, line: &str, out: &mut Vec<u8>) -> Result<(), String> {
    let words = std::iter::once("kubectl-kruise").chain(line.split_whitespace());
    let cli = Cli::try_parse_from(words).expect("the command line is sound");
    let connection = Connection {
        client,
        namespace: cli.global.namespace.clone().unwrap_or_else(|| "shop".to_owned()),
    };
    let done = run::online(&cli, &connection, false, out).await;
    done.map_err(|failure| failure.to_string())
}
