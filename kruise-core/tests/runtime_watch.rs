//! The watch of a cache against a server whose answers the test gives by hand.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by them")]

mod common;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use common::{Asked, Server, pod, server};
use k8s_openapi::api::core::v1::Pod;
use kruise_core::runtime::{
    Cache, CacheBuilder, CacheConfig, Cached, Delta, ListStrategy, ObjectKey, RuntimeMetrics, SlimPod, Tasks,
};
use kube_client::Api;
use kube_core::ResourceExt;
use parking_lot::Mutex;
use prometheus_client::registry::Registry;
use serde_json::json;

fn paged() -> CacheConfig {
    let mut config = CacheConfig::default();
    config.list = ListStrategy::Paged;
    config
}

fn key(name: &str) -> ObjectKey {
    ObjectKey::new("ns", name)
}

/// Starts a cache of all pods.
fn start(config: CacheConfig) -> (Cache<Pod>, Server, Tasks) {
    let (client, server) = server();
    let (cache, driver) = CacheBuilder::new(Api::<Pod>::all(client)).config(config).build();
    let tasks = Tasks::new();
    tasks.spawn("watch", driver.run(tasks.token()));
    (cache, server, tasks)
}

/// Waits, without time passing, until `met`.
async fn until(met: impl Fn() -> bool) {
    for _ in 0..10_000 {
        if met() {
            return;
        }
        tokio::task::yield_now().await;
    }
    panic!("it never came to be");
}

fn record(cache: &Cache<Pod>) -> Arc<Mutex<Vec<String>>> {
    let log = Arc::new(Mutex::new(Vec::new()));
    let sink = log.clone();
    cache.on_delta(move |delta| {
        let word = match delta {
            Delta::Added { initial: true, .. } => "initial",
            Delta::Added { .. } => "added",
            Delta::Updated { .. } => "updated",
            Delta::Deleted { tombstone: false, .. } => "deleted",
            _ => "tombstone",
        };
        sink.lock().push(format!(
            "{word} {} {}",
            delta.object().name_any(),
            Cached::resource_version(&**delta.object())
        ));
    });
    log
}

fn taken(log: &Mutex<Vec<String>>) -> Vec<String> {
    let mut entries = std::mem::take(&mut *log.lock());
    entries.sort();
    entries
}

#[tokio::test(start_paused = true)]
async fn a_paged_list_and_a_watch_fill_the_cache() {
    let (cache, mut server, _tasks) = start(paged());
    let log = record(&cache);
    let asked = server.next().await;
    assert!(
        asked.uri.starts_with("/api/v1/pods?") && asked.uri.contains("limit=500"),
        "{}",
        asked.uri
    );
    assert!(!cache.is_synced());
    asked.json(
        &json!({"metadata": {"resourceVersion": "10", "continue": "more"}, "items": [pod("a", "ua", "1")]}),
    );
    let asked = server.next().await;
    assert!(asked.uri.contains("continue=more"), "{}", asked.uri);
    asked.list("10", &[pod("b", "ub", "2")]);
    cache.synced().await;
    assert_eq!(taken(&log), ["initial a 1", "initial b 2"]);
    let asked = server.next().await;
    assert!(
        asked.uri.contains("resourceVersion=10") && asked.uri.contains("timeoutSeconds=290"),
        "{}",
        asked.uri
    );
    let watch = asked.open();
    watch.send("ADDED", &pod("c", "uc", "11"));
    watch.send("MODIFIED", &pod("a", "ua", "12"));
    watch.send("DELETED", &pod("b", "ub", "13"));
    cache.wait_for("ub", "13", Duration::from_secs(1)).await.unwrap();
    assert_eq!(taken(&log), ["added c 11", "deleted b 13", "updated a 12"]);
    assert_eq!(cache.len(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_namespaced_api_with_selectors_asks_for_just_that() {
    let (client, mut server) = server();
    let (_cache, driver) = CacheBuilder::new(Api::<Pod>::namespaced(client, "apps"))
        .config(paged())
        .labels("app=web")
        .fields("spec.nodeName=n1")
        .build();
    let tasks = Tasks::new();
    tasks.spawn("watch", driver.run(tasks.token()));
    let uri = server.next().await.uri;
    assert!(uri.starts_with("/api/v1/namespaces/apps/pods?"), "{uri}");
    assert!(
        uri.contains("labelSelector=app%3Dweb") && uri.contains("fieldSelector=spec.nodeName%3Dn1"),
        "{uri}"
    );
}

#[tokio::test(start_paused = true)]
async fn kube_1590_deletions_missed_while_the_watch_was_expired_are_tombstones() {
    let (cache, mut server, _tasks) = start(paged());
    server.next().await.list(
        "10",
        &[pod("a", "ua", "1"), pod("b", "ub", "2"), pod("c", "uc", "3")],
    );
    cache.synced().await;
    let log = record(&cache);
    taken(&log);
    let kept = cache.get(&key("b")).unwrap();
    let watch = server.next().await.open();
    watch.gone();
    // An expired version means a new list; what is unchanged makes no delta and keeps its place in memory.
    let asked = server.next().await;
    assert!(!asked.is_watch(), "{}", asked.uri);
    asked.list(
        "50",
        &[pod("b", "ub", "2"), pod("c", "other", "40"), pod("d", "ud", "41")],
    );
    until(|| cache.get(&key("a")).is_none()).await;
    assert_eq!(
        taken(&log),
        ["added c 40", "added d 41", "tombstone a 1", "tombstone c 3"]
    );
    assert!(Arc::ptr_eq(&kept, &cache.get(&key("b")).unwrap()));
    assert!(cache.is_synced());
}

#[tokio::test(start_paused = true)]
async fn an_expired_version_in_the_answer_to_a_watch_request_means_a_new_list() {
    let (cache, mut server, _tasks) = start(paged());
    server.next().await.list("10", &[pod("a", "ua", "1")]);
    cache.synced().await;
    server.next().await.refuse(410, "Expired");
    let asked = server.next().await;
    assert!(
        !asked.is_watch(),
        "{} asks for the expired version again",
        asked.uri
    );
    asked.list("50", &[]);
    until(|| cache.is_empty()).await;
}

#[tokio::test(start_paused = true)]
async fn kube_774_one_bad_object_is_reported_and_the_watch_goes_on() {
    let (client, mut server) = server();
    let mut registry = Registry::default();
    let metrics = RuntimeMetrics::register(&mut registry);
    let bad = Arc::new(Mutex::new(Vec::new()));
    let sink = bad.clone();
    let (cache, driver) = CacheBuilder::new(Api::<Pod>::all(client))
        .config(paged())
        .on_undecodable(move |object| sink.lock().push(object.key.to_string()))
        .metrics(&metrics)
        .build();
    let tasks = Tasks::new();
    tasks.spawn("watch", driver.run(tasks.token()));
    let broken = |name: &str, uid: &str, version: &str| {
        let mut object = pod(name, uid, version);
        object["spec"] = json!({"containers": "not a list"});
        object
    };
    server
        .next()
        .await
        .list("10", &[broken("x", "ux", "1"), pod("a", "ua", "2")]);
    cache.synced().await;
    assert_eq!((cache.len(), taken(&bad)), (1, vec!["ns/x".to_owned()]));
    let watch = server.next().await.open();
    watch.send("MODIFIED", &broken("a", "ua", "11"));
    watch.send("ADDED", &pod("b", "ub", "12"));
    cache.wait_for("ub", "12", Duration::from_secs(1)).await.unwrap();
    // The last good state stays, until the object is deleted, which needs no decoding.
    assert_eq!(Cached::resource_version(&*cache.get(&key("a")).unwrap()), "2");
    watch.send("DELETED", &broken("a", "ua", "13"));
    until(|| cache.get(&key("a")).is_none()).await;
    assert_eq!(taken(&bad), ["ns/a", "ns/a"]);
    let mut text = String::new();
    prometheus_client::encoding::text::encode(&mut text, &registry).unwrap();
    assert!(
        text.contains("kruise_cache_undecodable_total{name=\"pods\"} 3"),
        "{text}"
    );
}

async fn stream_list(asked: Asked, version: &str, objects: &[serde_json::Value]) -> common::Watch {
    assert!(asked.is_streaming_list(), "{}", asked.uri);
    let watch = asked.open();
    for object in objects {
        watch.send("ADDED", object);
    }
    watch.bookmark(version, true);
    watch
}

#[tokio::test(start_paused = true)]
async fn kube_1844_a_streaming_list_makes_the_same_deltas_as_a_paged_one() {
    let (cache, mut server, _tasks) = start(CacheConfig::default());
    let log = record(&cache);
    let watch = stream_list(
        server.next().await,
        "10",
        &[pod("a", "ua", "1"), pod("b", "ub", "2")],
    )
    .await;
    cache.synced().await;
    assert_eq!(taken(&log), ["initial a 1", "initial b 2"]);
    watch.send("DELETED", &pod("a", "ua", "11"));
    watch.gone();
    let _watch = stream_list(server.next().await, "50", &[pod("c", "uc", "40")]).await;
    until(|| cache.get(&key("b")).is_none()).await;
    assert_eq!(taken(&log), ["added c 40", "deleted a 11", "tombstone b 2"]);
}

#[tokio::test(start_paused = true)]
async fn a_server_that_refuses_streaming_lists_is_asked_for_pages_and_never_again_for_streams() {
    for code in [400, 422] {
        let (cache, mut server, _tasks) = start(CacheConfig::default());
        let asked = server.next().await;
        assert!(asked.is_streaming_list());
        asked.refuse(code, "Invalid");
        server.next().await.list("10", &[pod("a", "ua", "1")]);
        cache.synced().await;
        server.next().await.open().gone();
        let asked = server.next().await;
        assert!(!asked.is_watch(), "{}", asked.uri);
        asked.list("20", &[]);
        until(|| cache.is_empty()).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_server_that_never_ends_a_streaming_list_is_asked_for_pages() {
    let (cache, mut server, _tasks) = start(CacheConfig::default());
    let watch = server.next().await.open();
    watch.send("ADDED", &pod("a", "ua", "1"));
    // Only bookmarks follow, none of which ends the list.
    let asked = loop {
        tokio::select! {
            asked = server.next_whenever() => break asked,
            () = tokio::time::sleep(Duration::from_secs(10)) => watch.bookmark("5", false),
        }
    };
    assert!(!asked.is_watch(), "{}", asked.uri);
    asked.list("10", &[pod("a", "ua", "1")]);
    cache.synced().await;
}

#[tokio::test(start_paused = true)]
async fn kube_1316_a_watch_that_dies_silently_is_opened_again() {
    let (cache, mut server, _tasks) = start(paged());
    server.next().await.list("10", &[]);
    cache.synced().await;
    let dead = server.next().await.open();
    let started = tokio::time::Instant::now();
    let asked = server.next_whenever().await;
    assert!(
        started.elapsed() <= Duration::from_secs(330),
        "{:?}",
        started.elapsed()
    );
    assert!(asked.uri.contains("resourceVersion=10"), "{}", asked.uri);
    let watch = asked.open();
    watch.send("ADDED", &pod("a", "ua", "11"));
    cache.wait_for("ua", "11", Duration::from_secs(1)).await.unwrap();
    drop(dead);
}

#[tokio::test(start_paused = true)]
async fn requests_that_are_never_answered_are_given_up() {
    let (cache, mut server, _tasks) = start(paged());
    let unanswered = server.next().await;
    let started = tokio::time::Instant::now();
    server.next_whenever().await.list("10", &[]);
    assert!(started.elapsed() >= Duration::from_secs(60) && started.elapsed() < Duration::from_secs(65));
    cache.synced().await;
    let unanswered_watch = server.next().await;
    assert!(unanswered_watch.is_watch());
    let asked = server.next_whenever().await;
    assert!(!asked.is_watch());
    drop((unanswered, unanswered_watch));
}

#[tokio::test(start_paused = true)]
async fn errors_are_retried_with_growing_delays() {
    let (cache, mut server, _tasks) = start(paged());
    let mut waits = Vec::new();
    for _ in 0..8 {
        let started = tokio::time::Instant::now();
        let asked = server.next().await;
        waits.push(started.elapsed().as_millis());
        asked.refuse(500, "InternalError");
    }
    assert_eq!(waits, [0, 800, 1600, 3200, 6400, 12_800, 25_600, 30_000]);
    server.next().await.list("10", &[]);
    cache.synced().await;
}

#[tokio::test(start_paused = true)]
async fn readiness_follows_what_was_heard_of_the_server() {
    let (cache, mut server, _tasks) = start(paged());
    let limit = Duration::from_secs(100);
    assert_eq!(cache.last_event_age(), None);
    assert!(!cache.is_ready(limit));
    server.next().await.list("10", &[]);
    cache.synced().await;
    let watch = server.next().await.open();
    until(|| cache.is_ready(limit)).await;
    tokio::time::sleep(Duration::from_secs(101)).await;
    assert!(!cache.is_ready(limit));
    // A bookmark is no event, but a sign of life.
    watch.bookmark("11", false);
    until(|| cache.is_ready(limit)).await;
}

#[tokio::test(start_paused = true)]
async fn controller_runtime_2791_managed_fields_and_last_applied_are_dropped_unless_they_are_asked_for() {
    let heavy = json!({"metadata": {
        "namespace": "ns", "name": "a", "uid": "ua", "resourceVersion": "1",
        "annotations": {"kubectl.kubernetes.io/last-applied-configuration": "{}", "keep": "me"},
        "managedFields": [{"manager": "kubectl", "fieldsV1": {"f:spec": {}}}]}});
    for untrimmed in [false, true] {
        let (client, mut server) = server();
        let builder = CacheBuilder::new(Api::<Pod>::all(client)).config(paged());
        let builder = if untrimmed { builder.untrimmed() } else { builder };
        let (cache, driver) = builder.build();
        let tasks = Tasks::new();
        tasks.spawn("watch", driver.run(tasks.token()));
        server.next().await.list("10", std::slice::from_ref(&heavy));
        cache.synced().await;
        let held = cache.get(&key("a")).unwrap();
        assert_eq!(held.metadata.managed_fields.is_some(), untrimmed);
        assert_eq!(held.annotations().len(), if untrimmed { 2 } else { 1 });
        assert_eq!(held.annotations()["keep"], "me");
    }
}

struct Named {
    key: ObjectKey,
    version: String,
}

impl Cached for Named {
    fn key(&self) -> ObjectKey {
        self.key.clone()
    }
    fn uid(&self) -> &str {
        ""
    }
    fn resource_version(&self) -> &str {
        &self.version
    }
}

#[tokio::test(start_paused = true)]
async fn a_projection_is_all_that_is_kept() {
    let (client, mut server) = server();
    let made = Arc::new(AtomicUsize::new(0));
    let count = made.clone();
    let (cache, driver) = CacheBuilder::new(Api::<Pod>::all(client))
        .config(paged())
        .project(move |pod: Pod| {
            count.fetch_add(1, Ordering::SeqCst);
            Named {
                key: ObjectKey::of(&pod),
                version: Cached::resource_version(&pod).to_owned(),
            }
        })
        .name("names")
        .build();
    assert_eq!(cache.name(), "names");
    let tasks = Tasks::new();
    tasks.spawn("watch", driver.run(tasks.token()));
    server
        .next()
        .await
        .list("10", &[pod("a", "ua", "1"), pod("b", "ub", "2")]);
    cache.synced().await;
    assert_eq!((cache.len(), made.load(Ordering::SeqCst)), (2, 2));
    assert_eq!(cache.get(&key("b")).unwrap().version, "2");
}

#[tokio::test(start_paused = true)]
async fn cancelling_the_driver_closes_the_watch() {
    let (cache, mut server, tasks) = start(paged());
    server.next().await.list("10", &[pod("a", "ua", "1")]);
    cache.synced().await;
    let _watch = server.next().await.open();
    assert!(tasks.shutdown(Duration::from_secs(1)).await);
    assert_eq!(cache.len(), 1);
    assert!(cache.wait_for("ua", "99", Duration::from_secs(1)).await.is_err());
}

#[tokio::test(start_paused = true)]
async fn slim_pods_are_decoded_straight_from_the_watch() {
    let (client, mut server) = server();
    let (cache, driver) = CacheBuilder::new(Api::<Pod>::all(client))
        .config(paged())
        .decode::<SlimPod>()
        .build();
    let by_node = cache.index(|pod: &SlimPod| pod.node_name.clone());
    let tasks = Tasks::new();
    tasks.spawn("watch", driver.run(tasks.token()));
    let mut scheduled = pod("a", "ua", "1");
    scheduled["spec"] = json!({"nodeName": "n1", "containers": [{"name": "main", "image": "web:1"}]});
    let mut broken = pod("b", "ub", "2");
    broken["spec"] = json!({"containers": 7});
    server.next().await.list("10", &[scheduled.clone(), broken]);
    cache.synced().await;
    assert_eq!((cache.name(), cache.len()), ("pods", 1));
    let watch = server.next().await.open();
    scheduled["metadata"]["resourceVersion"] = json!("11");
    scheduled["status"] = json!({"phase": "Running", "conditions": [{"type": "Ready", "status": "True"}]});
    watch.send("MODIFIED", &scheduled);
    cache.wait_for("ua", "11", Duration::from_secs(1)).await.unwrap();
    let on_node = cache.by_index(&by_node, &"n1".into());
    assert!(on_node[0].is_ready() && &*on_node[0].containers[0].image == "web:1");
}
