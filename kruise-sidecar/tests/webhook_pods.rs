//! The pod webhook in front of an API server.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests fail that way")]

mod inject_support;

use std::sync::Arc;
use std::time::Duration;

use inject_support::{each, set};
use k8s_openapi::api::core::v1::{Namespace, Pod};
use kruise_core::manager::{Manager, ManagerConfig};
use kruise_core::runtime::{Cache, SlimPod, SystemClock};
use kruise_core::testing::apiserver::ApiServer;
use kruise_core::webhook::{OnFailure, Router, WebhookMetrics};
use kruise_sidecar::api::SidecarSet;
use kruise_sidecar::inject::{MissingReason, Problem};
use kruise_sidecar::webhook::{
    Audit, AuditConfig, InjectionMetrics, LiveConfig, LiveSets, NamespaceView, Namespaces, PodHookConfig,
    PodInjector, PodWebhook, rbac, register_pods,
};
use kube_client::Api;
use kube_client::api::PostParams;
use prometheus_client::registry::Registry;
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

fn server() -> ApiServer {
    let server = ApiServer::default();
    server.serve_definition(&kruise_sidecar::api::crd(None));
    server.seed_value(json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "shop", "labels": {"tier": "gold"}}}));
    server.seed_value(json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "kube-system"}}));
    server
}

fn pod(name: &str, labels: Value) -> Pod {
    serde_json::from_value(json!({
        "metadata": {"name": name, "labels": labels},
        "spec": {"containers": [{"name": "main", "image": "main:1"}]},
    }))
    .unwrap()
}

async fn create(server: &ApiServer, namespace: &str, pod: &Pod) -> Result<Value, String> {
    let pods: Api<Pod> = Api::namespaced(server.client(), namespace);
    match pods.create(&PostParams::default(), pod).await {
        Ok(made) => Ok(serde_json::to_value(made).unwrap()),
        Err(kube_client::Error::Api(status)) => Err(status.message.clone()),
        Err(other) => panic!("{other}"),
    }
}

fn names(pod: &Value) -> Vec<&str> {
    each(&pod["spec"]["containers"], "name")
}

fn logs() -> SidecarSet {
    set(
        "logs",
        json!({"containers": [{"name": "shipper", "image": "shipper:1"}]}),
    )
}

/// Runs the pod webhook alone in front of the server until the future is done.
async fn beside<T>(server: &ApiServer, asked: &WebhookMetrics, what: impl Future<Output = T>) -> T {
    let metrics = InjectionMetrics::default();
    let webhook = PodWebhook::new(
        server.client(),
        LiveConfig::default(),
        PodHookConfig::default(),
        "kruise-system",
        Arc::new(SystemClock),
        &metrics,
    )
    .unwrap();
    let router = Router::builder().metrics(asked);
    server.webhooks(webhook.register(router).build().unwrap());
    let mut scopes = webhook.live().scopes();
    let mut manager = Manager::new(ManagerConfig::default()).unwrap();
    webhook.run_in(&mut manager);
    let stop = CancellationToken::new();
    let work = async {
        // Until then nothing is announced, and no pod would be sent.
        known(&mut scopes).await;
        let done = what.await;
        stop.cancel();
        done
    };
    let (ran, done) = tokio::join!(manager.run(stop.clone()), work);
    ran.unwrap();
    done
}

async fn known(scopes: &mut kruise_core::webhook::Scopes) {
    while scopes.now().is_none() {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

#[tokio::test(start_paused = true)]
async fn the_webhook_alone_injects_what_sets_select_and_nothing_else_is_sent() {
    let server = server();
    server.seed_object(&logs());
    let mut registry = Registry::default();
    let asked = WebhookMetrics::register(&mut registry);
    let (web, db, system) = beside(&server, &asked, async {
        (
            create(&server, "shop", &pod("web", json!({"app": "web"})))
                .await
                .unwrap(),
            create(&server, "shop", &pod("db", json!({"app": "db"})))
                .await
                .unwrap(),
            create(&server, "kube-system", &pod("web", json!({"app": "web"}))).await,
        )
    })
    .await;
    assert_eq!(names(&web), ["shipper", "main"]);
    assert_eq!(names(&db), ["main"]);
    assert_eq!(names(&system.unwrap()), ["main"]);
    let mut shown = String::new();
    prometheus_client::encoding::text::encode(&mut shown, &registry).unwrap();
    let once = r#"kruise_webhook_requests_total{path="/mutate-pod",result="allowed"} 1"#;
    assert!(shown.contains(once), "the other two are not even sent: {shown}");
}

#[tokio::test(start_paused = true)]
async fn the_webhook_alone_needs_no_more_than_its_rights_say() {
    let server = server();
    server.seed_object(&logs());
    let web = pod("web", json!({"app": "web"}));
    beside(&server, &WebhookMetrics::default(), create(&server, "shop", &web))
        .await
        .unwrap();
    let rules = [rbac::pod_webhook(), rbac::revisions()].concat();
    let readable: Vec<String> = rules
        .iter()
        .flat_map(|rule| rule.resources.clone().unwrap())
        .collect();
    let requests = server.requests();
    assert!(!requests.is_empty());
    // The test itself creates a pod.
    for request in requests.iter().filter(|request| request.method != "POST") {
        let path = request.uri.split('?').next().unwrap_or_default();
        let resource = path.rsplit('/').next().unwrap_or_default();
        assert_eq!(request.method, "GET", "{request:?}");
        assert!(readable.iter().any(|held| held == resource), "{request:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_taken_name_is_refused_with_both_names() {
    let server = server();
    server.seed_object(&set(
        "mesh",
        json!({"containers": [{"name": "main", "image": "mesh:1"}]}),
    ));
    let told = beside(
        &server,
        &WebhookMetrics::default(),
        create(&server, "shop", &pod("web", json!({"app": "web"}))),
    )
    .await
    .unwrap_err();
    let wanted = r#"SidecarSet "mesh" cannot be injected: its sidecar "main" has the name of the pod's container "main""#;
    assert!(told.ends_with(wanted), "{told}");
}

#[tokio::test(start_paused = true)]
async fn a_namespace_that_is_not_cached_yet_is_asked_for() {
    let server = server();
    let (sets, namespaces) = (
        Cache::<SidecarSet>::offline([]).0,
        Cache::<NamespaceView>::offline([]).0,
    );
    drop(sets);
    let live = LiveSets::new(LiveConfig::default());
    let mut gold = logs();
    gold.spec.namespace_selector =
        Some(serde_json::from_value(json!({"matchLabels": {"tier": "gold"}})).unwrap());
    live.put(gold.into());
    let known_only = Namespaces::new(namespaces);
    for (namespaces, wanted) in [
        (known_only.clone(), vec!["main"]),
        (known_only.or_ask(server.client()), vec!["shipper", "main"]),
    ] {
        let injector = PodInjector::new(live.clone(), Arc::new(SystemClock)).namespaces(namespaces);
        let here = ApiServer::default();
        here.seed_object(&server.get::<Namespace>("", "shop").unwrap());
        here.webhooks(
            register_pods(Router::builder(), injector, &PodHookConfig::default(), None)
                .build()
                .unwrap(),
        );
        let made = create(&here, "shop", &pod("web", json!({"app": "web"})))
            .await
            .unwrap();
        assert_eq!(names(&made), wanted);
    }
}

#[tokio::test]
async fn a_set_that_cannot_be_used_is_told_and_stands_in_nobodys_way() {
    let told = Arc::new(parking_lot::Mutex::new(Vec::new()));
    let report = told.clone();
    let live = LiveSets::reporting(LiveConfig::default(), move |set, problem| {
        report.lock().push((set.name().to_owned(), problem.clone()));
    });
    let selector = json!({"matchExpressions": [{"key": "app", "operator": "Sometimes"}]});
    live.put(
        set(
            "bad",
            json!({"selector": selector, "containers": [{"name": "c"}]}),
        )
        .into(),
    );
    live.put(
        set(
            "half",
            json!({"selector": {"matchLabels": {"app": "db"}},
        "containers": [{"name": "c", "env": "none"}]}),
        )
        .into(),
    );
    live.put(logs().into());
    let injector = PodInjector::new(live.clone(), Arc::new(SystemClock));
    let server = server();
    server.webhooks(
        register_pods(Router::builder(), injector, &PodHookConfig::default(), None)
            .build()
            .unwrap(),
    );
    let web = create(&server, "shop", &pod("web", json!({"app": "web"})))
        .await
        .unwrap();
    assert_eq!(names(&web), ["shipper", "main"]);
    let refused = create(&server, "shop", &pod("db", json!({"app": "db"})))
        .await
        .unwrap_err();
    assert!(
        refused.contains("containers[0].env must be a list of objects"),
        "{refused}"
    );

    let problems: Vec<String> = live.problems().iter().map(|(set, _)| set.to_string()).collect();
    assert_eq!(problems, ["bad", "half"]);
    let told = told.lock();
    assert!(
        matches!(&told[..], [(bad, Problem::Selector(_)), (half, Problem::Malformed { .. })] if bad == "bad" && half == "half")
    );
}

#[tokio::test(start_paused = true)]
async fn before_all_sets_are_known_pods_wait_and_then_the_policy_holds() {
    for (policy, passes) in [(OnFailure::Deny, false), (OnFailure::Allow, true)] {
        let live = LiveSets::new(LiveConfig::default());
        // A cache whose watch never begins.
        let server = server();
        let (cache, _driver) = kruise_sidecar::webhook::sidecar_set_cache(server.client()).build();
        live.follow(&cache);
        assert!(!live.is_synced());
        let mut config = PodHookConfig::default();
        config.on_failure = policy;
        let injector = PodInjector::new(live.clone(), Arc::new(SystemClock));
        server.webhooks(
            register_pods(Router::builder(), injector, &config, None)
                .build()
                .unwrap(),
        );
        let started = tokio::time::Instant::now();
        let made = create(&server, "shop", &pod("web", json!({"app": "web"}))).await;
        assert_eq!(made.is_ok(), passes, "{made:?}");
        assert!(started.elapsed() >= config.timeout);
    }
}

#[tokio::test]
async fn an_update_of_a_pod_is_left_alone_even_if_it_is_sent() {
    use tower::ServiceExt;
    let live = LiveSets::new(LiveConfig::default());
    live.put(logs().into());
    let injector = PodInjector::new(live, Arc::new(SystemClock));
    let router = register_pods(Router::builder(), injector, &PodHookConfig::default(), None)
        .build()
        .unwrap();
    for (operation, sub_resource, is_patched) in [
        ("CREATE", "", true),
        ("UPDATE", "", false),
        ("CREATE", "eviction", false),
    ] {
        let object =
            json!({"metadata": {"labels": {"app": "web"}}, "spec": {"containers": [{"name": "main"}]}});
        let review = json!({"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "request": {
            "uid": "1", "operation": operation, "subResource": sub_resource, "namespace": "shop",
            "kind": {"group": "", "version": "v1", "kind": "Pod"},
            "resource": {"group": "", "version": "v1", "resource": "pods"},
            "object": object, "oldObject": (operation == "UPDATE").then_some(&object), "dryRun": true,
        }});
        let request = http::Request::post("/mutate-pod").header("content-type", "application/json");
        let request = request.body(review.to_string()).unwrap();
        let body = router.clone().oneshot(request).await.unwrap().into_body();
        let body = http_body_util::BodyExt::collect(body).await.unwrap().to_bytes();
        let answer: Value = serde_json::from_slice(&body).unwrap();
        assert_eq!(answer["response"]["allowed"], true);
        assert_eq!(
            answer["response"].get("patch").is_some(),
            is_patched,
            "{operation} {sub_resource}"
        );
    }
}

#[tokio::test]
async fn a_pod_of_an_excluded_namespace_is_left_alone_even_if_it_is_sent() {
    let live = LiveSets::new(LiveConfig::default());
    live.put(logs().into());
    let injector = PodInjector::new(live.clone(), Arc::new(SystemClock));
    let server = server();
    // As before Kubernetes 1.21, where no label says the name of a namespace: the selectors leave nothing out.
    let mut config = PodHookConfig::default();
    let excluded = std::mem::take(&mut config.excluded_namespaces);
    let hook = config.hook(None);
    let router = Router::builder().patch(hook, injector.excluding(&excluded));
    server.webhooks(router.build().unwrap());
    let web = pod("web", json!({"app": "web"}));
    let system = create(&server, "kube-system", &web).await.unwrap();
    let shop = create(&server, "shop", &web).await.unwrap();
    assert_eq!(
        (names(&system), names(&shop)),
        (vec!["main"], vec!["shipper", "main"])
    );
}

#[tokio::test]
async fn scopes_follow_the_sets() {
    let live = LiveSets::new(LiveConfig::default());
    let config = PodHookConfig::default();
    let keeper = live.scope_keeper(config.clone());
    let scopes = live.scopes();
    assert_eq!(scopes.now(), None, "not known yet");
    keeper.refresh();
    assert_eq!(scopes.now().unwrap().len(), 0, "no set, no pod");
    live.put(logs().into());
    keeper.refresh();
    let now = scopes.now().unwrap();
    assert_eq!(
        json!(now[0].objects),
        json!({"matchExpressions": [{"key": "app", "operator": "In", "values": ["web"]}]})
    );
    assert_eq!(
        json!(now[0].namespaces),
        json!({"matchExpressions": [
            {"key": "control-plane", "operator": "NotIn", "values": ["openkruise"]},
            {"key": "kubernetes.io/metadata.name", "operator": "NotIn", "values": ["kube-system", "kruise-system"]},
        ]})
    );
    live.remove("logs");
    keeper.refresh();
    assert_eq!(scopes.now().unwrap().len(), 0);
}

fn slim(name: &str, created: &str, rest: Value) -> SlimPod {
    let mut pod = json!({"metadata": {"name": name, "namespace": "shop", "uid": name, "labels": {"app": "web"},
        "creationTimestamp": created}, "spec": {"containers": [{"name": "main"}]}});
    json_patch::merge(&mut pod, &rest);
    serde_json::from_value(pod).unwrap()
}

#[tokio::test]
async fn an_audit_finds_pods_that_slipped_through_and_says_why() {
    let live = LiveSets::new(LiveConfig::default());
    let mut logs = logs();
    logs.metadata.creation_timestamp = serde_json::from_value(json!("2030-01-02T00:00:00Z")).unwrap();
    live.put(logs.into());
    let (before, after) = ("2030-01-01T00:00:00Z", "2030-01-03T00:00:00Z");
    let hash = r#"{"logs":{"hash":"h","sidecarSetName":"logs","sidecarList":["shipper"]}}"#;
    let annotations =
        json!({"kruise.io/sidecarset-hash": hash, "kruise.io/sidecarset-injected-list": "logs"});
    let (pods, _writer) = Cache::offline([
        slim("old", before, json!({})),
        slim("slipped", after, json!({})),
        slim("copied", after, json!({"metadata": {"annotations": annotations}})),
        slim(
            "good",
            after,
            json!({"metadata": {"annotations": annotations}, "spec": {"containers": [{"name": "shipper"}]}}),
        ),
        slim("other", after, json!({"metadata": {"labels": {"app": "db"}}})),
        slim("ended", after, json!({"status": {"phase": "Succeeded"}})),
        slim("system", after, json!({"metadata": {"namespace": "kube-system"}})),
    ]);
    let told = Arc::new(parking_lot::Mutex::new(Vec::new()));
    let report = told.clone();
    let mut config = AuditConfig::default();
    config.max_named = 3;
    let audit = Audit::new(pods, live, config, move |found| report.lock().push(found.clone())).unwrap();
    let found = audit.look().await;
    let mut missing: Vec<_> = found
        .missing
        .iter()
        .map(|missing| (&*missing.pod.name, &missing.reason))
        .collect();
    missing.sort_by_key(|(name, _)| *name);
    assert_eq!(
        missing,
        [
            ("copied", &MissingReason::NoContainers(vec!["shipper".to_owned()])),
            ("old", &MissingReason::OlderThanSet),
            ("slipped", &MissingReason::NotInjected),
        ]
    );
    assert_eq!(found.counts, [("logs".into(), 3)].into());
    assert_eq!(*told.lock(), [found]);
}
