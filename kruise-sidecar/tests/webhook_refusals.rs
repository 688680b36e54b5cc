//! The pod webhook where it cannot do what the sets say, and where it is asked twice.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests fail that way")]

mod inject_support;

use std::sync::Arc;

use inject_support::set;
use k8s_openapi::api::apps::v1::ControllerRevision;
use k8s_openapi::api::core::v1::Pod;
use kruise_core::runtime::{Cache, EventSink, Note, SystemClock};
use kruise_core::testing::apiserver::ApiServer;
use kruise_core::webhook::{OnFailure, Router};
use kruise_sidecar::inject::Refusal;
use kruise_sidecar::webhook::{
    InjectionMetrics, LiveConfig, LiveSets, NamespaceView, Namespaces, PodHookConfig, PodInjector,
    register_pods,
};
use kube_client::Api;
use kube_client::api::PostParams;
use parking_lot::Mutex;
use prometheus_client::registry::Registry;
use serde_json::{Value, json};

/// A server that injects pods so. Without a keeper of scopes all pods are sent.
fn server(injector: PodInjector, config: &PodHookConfig, scopes: Option<&LiveSets>) -> ApiServer {
    let server = ApiServer::default();
    let namespace = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "shop", "labels": {"tier": "gold"}}});
    server.seed_value(namespace);
    let router = register_pods(Router::builder(), injector, config, scopes.map(LiveSets::scopes));
    server.webhooks(router.build().unwrap());
    server
}

async fn create(server: &ApiServer, name: &str, labels: Value) -> Result<Value, kube_client::Error> {
    let pod: Pod = serde_json::from_value(json!({
        "metadata": {"name": name, "labels": labels},
        "spec": {"containers": [{"name": "main", "image": "main:1"}]},
    }))
    .unwrap();
    let pods: Api<Pod> = Api::namespaced(server.client(), "shop");
    let made = pods.create(&PostParams::default(), &pod).await?;
    Ok(serde_json::to_value(made).unwrap())
}

#[tokio::test]
async fn a_pod_that_is_created_without_a_set_is_told_by_an_event_on_the_set() {
    let mut config = LiveConfig::default();
    config.inject.refusal = Refusal::Skip;
    let live = LiveSets::new(config);
    live.put(
        set(
            "mesh",
            json!({"containers": [{"name": "main", "image": "mesh:1"}]}),
        )
        .into(),
    );
    let told = Arc::new(Mutex::new(Vec::<Note>::new()));
    let sink = told.clone();
    let injector = PodInjector::new(live, Arc::new(SystemClock))
        .events(EventSink::new(move |note| sink.lock().push(note)));
    let server = server(injector, &PodHookConfig::default(), None);
    create(&server, "web", json!({"app": "web"})).await.unwrap();
    let told = told.lock();
    let [note] = &told[..] else { panic!("{told:?}") };
    assert!(note.warning);
    assert_eq!(
        (note.reason, note.about.name.as_deref()),
        ("InjectionSkipped", Some("mesh"))
    );
    let wanted = r#"a pod in namespace "shop" is created without it: its sidecar "main" has the name of the pod's container "main""#;
    assert_eq!(note.message, wanted);
}

#[tokio::test]
async fn a_namespace_that_cannot_be_read_is_answered_by_the_policy() {
    for (policy, code) in [(OnFailure::Deny, Some(503)), (OnFailure::Allow, None)] {
        let live = LiveSets::new(LiveConfig::default());
        let gold = json!({"containers": [{"name": "side", "image": "side:1"}],
            "namespaceSelector": {"matchLabels": {"tier": "gold"}}});
        live.put(set("gold", gold).into());
        // A server that has no answer to anything but its name.
        let dead = tower::service_fn(|_: http::Request<kube_client::client::Body>| async {
            let status = json!({"apiVersion": "v1", "kind": "Status", "status": "Failure", "code": 429,
                "reason": "TooManyRequests", "message": "later"});
            let answer = http::Response::builder().status(429);
            let answer = answer.body(kube_client::client::Body::from(status.to_string().into_bytes()));
            Ok::<_, std::convert::Infallible>(answer.unwrap())
        });
        let cache = Cache::<NamespaceView>::offline([]).0;
        let namespaces = Namespaces::new(cache).or_ask(kube_client::Client::new(dead, "default"));
        let injector = PodInjector::new(live, Arc::new(SystemClock)).namespaces(namespaces);
        let mut config = PodHookConfig::default();
        config.on_failure = policy;
        let made = create(&server(injector, &config, None), "web", json!({"app": "web"})).await;
        let found = match made {
            Ok(_) => None,
            Err(kube_client::Error::Api(status)) => Some(status.code),
            Err(other) => panic!("{other}"),
        };
        assert_eq!(found, code);
    }
}

#[tokio::test]
async fn a_pod_in_two_scopes_gets_one_revision_and_is_counted_once() {
    let live = LiveSets::new(LiveConfig::default());
    let old = json!({
        "metadata": {"name": "s-1", "namespace": "kruise-system",
            "labels": {"kruise.io/sidecarset-name": "s", "apps.kruise.io/sidecarset-custom-version": "v1"},
            "annotations": {"kruise.io/sidecarset-hash": "old", "kruise.io/sidecarset-hash-without-image": "plain"}},
        "revision": 1, "data": {"spec": {"containers": [{"name": "side", "image": "side:old"}]}},
    });
    let old: ControllerRevision = serde_json::from_value(old).unwrap();
    let (revisions, held) = Cache::offline([]);
    live.follow_revisions(&revisions);
    held.apply(old);
    let half = json!({
        "containers": [{"name": "side", "image": "side:new"}], "updateStrategy": {"partition": "50%"},
        "injectionStrategy": {"revision": {"customVersion": "v1", "policy": "Partial"}},
    });
    live.put(set("s", half).into());
    let tier = json!({"selector": {"matchLabels": {"tier": "x"}}, "containers": [{"name": "other", "image": "other:1"}]});
    live.put(set("t", tier).into());
    let keeper = live.scope_keeper(PodHookConfig::default());
    keeper.refresh();
    assert_eq!(live.scopes().now().unwrap().len(), 2);
    let mut registry = Registry::default();
    let metrics = InjectionMetrics::register(&mut registry);
    let injector = PodInjector::new(live.clone(), Arc::new(SystemClock)).metrics(&metrics);
    let server = server(injector, &PodHookConfig::default(), Some(&live));
    let mut seen = std::collections::BTreeMap::new();
    for at in 0..40 {
        let pod = create(&server, &format!("web-{at}"), json!({"app": "web", "tier": "x"}))
            .await
            .unwrap();
        let containers = pod["spec"]["containers"].as_array().unwrap();
        let image = containers
            .iter()
            .find(|container| container["name"] == "side")
            .unwrap()["image"]
            .clone();
        let hashes = pod["metadata"]["annotations"]["kruise.io/sidecarset-hash"]
            .as_str()
            .unwrap();
        let hashes: Value = serde_json::from_str(hashes).unwrap();
        let hash = if image == "side:old" { "old" } else { "hash-s" };
        assert_eq!(hashes["s"]["hash"], hash, "the annotation tells what is there");
        *seen.entry(image.to_string()).or_insert(0) += 1;
    }
    // Were it drawn for each of the two requests, a quarter would stay old.
    assert!(seen.values().all(|count| (12..=28).contains(count)), "{seen:?}");
    let mut shown = String::new();
    prometheus_client::encoding::text::encode(&mut shown, &registry).unwrap();
    let once = r#"kruise_sidecarset_injections_total{sidecarset="s",result="injected"} 40"#;
    assert!(shown.contains(once), "{shown}");
}
