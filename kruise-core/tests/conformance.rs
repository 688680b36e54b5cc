//! The conformance suite against the in-memory server and, where `KUBECONFIG` names one, against a real cluster.
#![allow(clippy::unwrap_used, clippy::panic, reason = "helpers of tests")]

#[path = "support/conformance/mod.rs"]
mod conformance;

use std::panic::AssertUnwindSafe;

use conformance::{CASES, Target};
use futures::{FutureExt, StreamExt};
use kruise_core::testing::apiserver::ApiServer;

#[tokio::test(start_paused = true)]
async fn the_in_memory_server_conforms() {
    let mut failed = Vec::new();
    for (name, case) in CASES {
        let server = ApiServer::default();
        let target = Target::new(server.client(), "own");
        let run = async {
            target.begin(false).await;
            case(&target).await;
            target.end().await;
        };
        if AssertUnwindSafe(run).catch_unwind().await.is_err() {
            for request in server.requests() {
                eprintln!("  {} {} -> {}", request.method, request.uri, request.code);
            }
            failed.push(*name);
        }
    }
    assert!(failed.is_empty(), "failed: {failed:#?}");
}

/// Run by the end-to-end tests with `KRUISE_CONFORMANCE=1`, and never by accident: it makes and deletes objects in the cluster
/// that `KUBECONFIG` names. `CASE` picks cases by a part of
/// their name.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_cluster_of_kubeconfig_conforms() {
    if std::env::var_os("KRUISE_CONFORMANCE").is_none() {
        return;
    }
    let picked = std::env::var("CASE").unwrap_or_default();
    let mut config = kube_client::Config::infer().await.unwrap();
    // Refusals are what is looked at.
    config.default_retry = false;
    let client = kube_client::Client::try_from(config).unwrap();
    let run = std::process::id();
    let cases = CASES
        .iter()
        .filter(|(name, _)| name.contains(&*picked))
        .enumerate();
    let failed: Vec<&str> = futures::stream::iter(cases)
        .map(|(number, (name, case))| {
            let target = Target::new(client.clone(), &format!("conformance-{run}-{number}"));
            async move {
                let ran = AssertUnwindSafe(async {
                    target.begin(true).await;
                    case(&target).await;
                })
                .catch_unwind()
                .await;
                target.end().await;
                eprintln!("{} {name}", if ran.is_ok() { "passed" } else { "FAILED" });
                ran.is_err().then_some(*name)
            }
        })
        .buffer_unordered(8)
        .filter_map(|failed| async move { failed })
        .collect()
        .await;
    assert!(failed.is_empty(), "failed: {failed:#?}");
}
