//! A server in memory, and command lines against it.

use clap::Parser as _;
use kruise_core::testing::apiserver::ApiServer;
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
    let words = std::iter::once("kubectl-kruise").chain(line.split_whitespace());
    let cli = Cli::try_parse_from(words).expect("the command line is sound");
    let connection = Connection {
        client: server.client(),
        namespace: cli.global.namespace.clone().unwrap_or_else(|| "shop".to_owned()),
    };
    let mut out = Vec::new();
    let done = run::online(&cli, &connection, false, &mut out).await;
    let text = String::from_utf8(out).expect("text");
    (text, done.map_err(|failure| failure.to_string()))
}
