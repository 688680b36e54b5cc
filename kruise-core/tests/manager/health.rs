use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use http::Request;
use http_body_util::BodyExt;
use kruise_core::manager::{Health, HealthService, ManagerMetrics, MetricsService};
use prometheus_client::registry::Registry;

use crate::support::Answer;

async fn read(answer: Answer) -> (u16, String) {
    let code = answer.status().as_u16();
    let body = answer.into_body().collect().await.unwrap().to_bytes();
    (code, String::from_utf8(body.to_vec()).unwrap())
}

async fn probe(health: &Health, uri: &str) -> (u16, String) {
    read(HealthService::new(health).respond(&Request::get(uri).body(()).unwrap())).await
}

#[tokio::test]
async fn a_probe_answers_ok_or_500_with_the_first_failing_check() {
    let health = Health::new();
    assert_eq!(probe(&health, "/healthz").await, (200, "ok".into()));
    let synced = Arc::new(AtomicBool::new(false));
    let seen = synced.clone();
    health.liveness.add("nodeImageInformerSynced", move || {
        if seen.load(Ordering::SeqCst) {
            Ok(())
        } else {
            Err("not synced".into())
        }
    });
    health.liveness.add("other", || Err("also".into()));
    assert_eq!(
        probe(&health, "/healthz").await,
        (500, "nodeImageInformerSynced: not synced".into())
    );
    health.liveness.add("other", || Ok(()));
    synced.store(true, Ordering::SeqCst);
    assert_eq!(probe(&health, "/livez").await, (200, "ok".into()));
}

#[tokio::test]
async fn liveness_and_readiness_are_asked_apart() {
    let health = Health::new();
    health.readiness.add("cache", || Err("empty".into()));
    assert_eq!(probe(&health, "/healthz").await.0, 200);
    assert_eq!(probe(&health, "/readyz").await, (500, "cache: empty".into()));
    assert_eq!(probe(&health, "/else").await.0, 404);
}

#[tokio::test]
async fn a_verbose_probe_lists_all_checks() {
    let health = Health::new();
    health.readiness.add("a", || Ok(()));
    health.readiness.add("b", || Err("broken".into()));
    let (code, text) = probe(&health, "/readyz?verbose").await;
    assert_eq!(
        (code, text.as_str()),
        (500, "[+]a ok\n[-]b failed: broken\ncheck failed")
    );
}

#[tokio::test]
async fn metrics_are_shown_as_text() {
    let mut registry = Registry::default();
    let metrics = ManagerMetrics::register(&mut registry);
    let gates = kruise_core::gates::GateRegistry::kruise()
        .parse("PodWebhook=false")
        .unwrap();
    metrics.gates(&gates);
    let service = MetricsService::new(Arc::new(registry));
    let answer = service.respond(&Request::get("/metrics").body(()).unwrap());
    assert!(
        answer.headers()["content-type"]
            .to_str()
            .unwrap()
            .starts_with("application/openmetrics-text")
    );
    let (code, text) = read(answer).await;
    assert_eq!(code, 200);
    assert!(
        text.contains("kruise_feature_enabled{name=\"PodWebhook\"} 0\n"),
        "{text}"
    );
    assert!(
        text.contains("kruise_feature_enabled{name=\"KruiseDaemon\"} 1\n"),
        "{text}"
    );
    assert!(text.ends_with("# EOF\n"));
}
