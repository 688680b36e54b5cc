//! What the in-memory server does besides conforming: hooks, compaction, observers, its log.
#![allow(clippy::unwrap_used, clippy::panic, reason = "helpers of tests")]

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use futures::{StreamExt, TryStreamExt};
use k8s_openapi::api::core::v1::{ConfigMap, Event, Namespace, Pod};
use k8s_openapi::api::events::v1::Event as NewEvent;
use kruise_core::runtime::{CacheBuilder, CacheConfig, Delta, Tasks};
use kruise_core::testing::apiserver::{ApiError, ApiServer, Operation as Doing, ServerConfig};
use kruise_core::testing::build::{PodBuilder, namespace};
use kruise_core::testing::clock::FakeClock;
use kruise_core::webhook::{Context, Denial, Hook, Mutator, Operation, Router, Rule, Validator, Warnings};
use kube_client::api::{DeleteParams, ListParams, Patch, PatchParams, PostParams, WatchEvent, WatchParams};
use kube_client::{Api, Error};
use serde_json::json;

fn server(change: impl FnOnce(&mut ServerConfig)) -> ApiServer {
    let mut config = ServerConfig::default();
    change(&mut config);
    ApiServer::new(config, Arc::new(FakeClock::default()))
}

fn map(name: &str) -> ConfigMap {
    let mut map = ConfigMap::default();
    map.metadata.name = Some(name.to_owned());
    map
}

fn code<T: std::fmt::Debug>(result: Result<T, Error>) -> u16 {
    match result.unwrap_err() {
        Error::Api(status) => status.code,
        other => panic!("{other}"),
    }
}

#[tokio::test(start_paused = true)]
async fn closures_change_and_refuse_objects_before_they_are_stored() {
    let server = ApiServer::default();
    server.mutate(|review| {
        if let Some(object) = review
            .object
            .as_mut()
            .filter(|_| review.operation == Doing::Create)
        {
            object["metadata"]["annotations"] = json!({ "seen": "yes" });
        }
        Ok(())
    });
    server.validate(|review| match (review.operation, &*review.name) {
        (Doing::Delete, "kept") => Err(ApiError::new(403, "Forbidden", "it stays")),
        _ => Ok(()),
    });
    let maps: Api<ConfigMap> = Api::default_namespaced(server.client());
    let made = maps.create(&PostParams::default(), &map("kept")).await.unwrap();
    assert_eq!(made.metadata.annotations.unwrap()["seen"], "yes");
    assert_eq!(code(maps.delete("kept", &DeleteParams::default()).await), 403);
    assert_eq!(server.list::<ConfigMap>().len(), 1);
}

struct Webhook;

impl Mutator<Pod> for Webhook {
    async fn mutate(&self, context: &Context<Pod>, pod: &mut Pod) -> Result<Warnings, Denial> {
        assert_eq!(context.operation, Operation::Create);
        pod.metadata
            .labels
            .get_or_insert_default()
            .insert("injected".into(), "yes".into());
        Ok(Vec::new())
    }
}

impl Validator<Pod> for Webhook {
    async fn validate(&self, _: &Context<Pod>, pod: Option<&Pod>) -> Result<Warnings, Denial> {
        let labels = pod
            .and_then(|pod| pod.metadata.labels.clone())
            .unwrap_or_default();
        match labels.get("injected") {
            Some(_) if !labels.contains_key("bad") => Ok(Vec::new()),
            _ => Err(Denial::invalid("no good")),
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_router_of_webhooks_is_asked_as_its_configuration_says() {
    let server = ApiServer::default();
    let rules = || vec![Rule::new("", "v1", "pods", &[Operation::Create])];
    let router = Router::builder()
        .mutate::<Pod>(Hook::new("/mutate", "mutate.example.io", rules()), Webhook)
        .validate::<Pod>(Hook::new("/validate", "validate.example.io", rules()), Webhook)
        .build()
        .unwrap();
    server.webhooks(router);
    let pods: Api<Pod> = Api::default_namespaced(server.client());
    let made = pods
        .create(&PostParams::default(), &PodBuilder::new("a").build())
        .await
        .unwrap();
    assert_eq!(made.metadata.labels.unwrap()["injected"], "yes");
    let bad = PodBuilder::new("b").label("bad", "yes").build();
    let Err(Error::Api(status)) = pods.create(&PostParams::default(), &bad).await else {
        panic!("not refused");
    };
    assert_eq!(status.code, 422);
    assert_eq!(
        status.message,
        "admission webhook \"validate.example.io\" denied the request: no good"
    );
    // Updates are none of its business.
    let patch = Patch::Merge(json!({ "metadata": { "labels": { "bad": "yes" } } }));
    pods.patch("a", &PatchParams::default(), &patch).await.unwrap();
}

/// Notes the ids of requests.
struct Ids(Arc<parking_lot::Mutex<Vec<String>>>);

impl Mutator<Pod> for Ids {
    async fn mutate(&self, context: &Context<Pod>, _: &mut Pod) -> Result<Warnings, Denial> {
        self.0.lock().push(context.uid.clone());
        Ok(Warnings::new())
    }
}

#[tokio::test(start_paused = true)]
async fn an_object_in_two_scopes_of_a_webhook_is_sent_twice_with_ids_of_their_own() {
    let server = ApiServer::default();
    let scope = |key: &str| {
        let objects = json!({"matchExpressions": [{"key": key, "operator": "Exists"}]});
        kruise_core::webhook::Scope {
            objects: serde_json::from_value(objects).unwrap(),
            ..Default::default()
        }
    };
    let scopes: Arc<[_]> = [scope("a"), scope("b")].into();
    let (_sender, receiver) = tokio::sync::watch::channel(Some(scopes));
    let rules = vec![Rule::new("", "v1", "pods", &[Operation::Create])];
    let hook = Hook::new("/mutate", "mutate.example.io", rules);
    let hook = hook.scopes(kruise_core::webhook::Scopes::new(receiver));
    let ids = Arc::new(parking_lot::Mutex::new(Vec::new()));
    let router = Router::builder().mutate::<Pod>(hook, Ids(ids.clone()));
    server.webhooks(router.build().unwrap());
    let pods: Api<Pod> = Api::default_namespaced(server.client());
    for (name, labels, sent) in [("x", &["a"][..], 1), ("y", &["a", "b"], 2), ("z", &[], 0)] {
        ids.lock().clear();
        let pod = labels
            .iter()
            .fold(PodBuilder::new(name), |pod, key| pod.label(*key, "1"));
        pods.create(&PostParams::default(), &pod.build()).await.unwrap();
        let mut seen = ids.lock().clone();
        assert_eq!(seen.len(), sent, "{name}");
        seen.dedup();
        assert_eq!(seen.len(), sent, "{name}");
    }
}

#[tokio::test(start_paused = true)]
async fn after_a_compaction_old_watches_and_pages_are_gone() {
    let server = ApiServer::default();
    let maps: Api<ConfigMap> = Api::default_namespaced(server.client());
    let first = maps.create(&PostParams::default(), &map("a")).await.unwrap();
    maps.create(&PostParams::default(), &map("b")).await.unwrap();
    let page = maps.list(&ListParams::default().limit(1)).await.unwrap();
    maps.create(&PostParams::default(), &map("c")).await.unwrap();
    server.compact();
    let version = first.metadata.resource_version.unwrap();
    let events: Vec<_> = maps
        .watch(&WatchParams::default(), &version)
        .await
        .unwrap()
        .try_collect()
        .await
        .unwrap();
    assert!(
        matches!(&*events, [WatchEvent::Error(status)] if status.code == 410),
        "{events:?}"
    );
    let next = ListParams::default()
        .limit(1)
        .continue_token(&page.metadata.continue_.unwrap());
    assert_eq!(code(maps.list(&next).await), 410);
}

#[tokio::test(start_paused = true)]
async fn a_short_history_expires_by_itself() {
    let server = server(|config| config.history = 2);
    let maps: Api<ConfigMap> = Api::default_namespaced(server.client());
    let first = maps.create(&PostParams::default(), &map("a")).await.unwrap();
    for name in ["b", "c", "d"] {
        maps.create(&PostParams::default(), &map(name)).await.unwrap();
    }
    let version = first.metadata.resource_version.unwrap();
    let mut events = maps
        .watch(&WatchParams::default(), &version)
        .await
        .unwrap()
        .boxed();
    assert!(matches!(events.next().await, Some(Ok(WatchEvent::Error(status))) if status.code == 410));
}

#[tokio::test(start_paused = true)]
async fn kruise_cache_sees_a_deletion_that_it_slept_through_as_a_tombstone() {
    for streaming in [true, false] {
        let server = server(|config| config.streaming_lists = streaming);
        let (cache, driver) = CacheBuilder::new(Api::<ConfigMap>::all(server.client()))
            .config({
                let mut config = CacheConfig::default();
                config.watch_timeout = Duration::from_secs(5);
                config
            })
            .build();
        server.seed_object(&{
            let mut map = map("a");
            map.metadata.namespace = Some("default".into());
            map
        });
        let tombstones = Arc::new(AtomicUsize::new(0));
        let count = tombstones.clone();
        cache.on_delta(move |delta| {
            count.fetch_add(
                usize::from(matches!(delta, Delta::Deleted { .. })),
                Ordering::SeqCst,
            );
        });
        let tasks = Tasks::new();
        tasks.spawn("watch", driver.run(tasks.token()));
        cache.synced().await;
        assert_eq!(cache.len(), 1);
        let maps: Api<ConfigMap> = Api::default_namespaced(server.client());
        maps.delete("a", &DeleteParams::default()).await.unwrap();
        server.compact();
        while !cache.is_empty() {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        assert_eq!(tombstones.load(Ordering::SeqCst), 1);
    }
}

#[tokio::test(start_paused = true)]
async fn events_of_both_groups_are_the_same_objects() {
    let server = ApiServer::default();
    let old: Api<Event> = Api::default_namespaced(server.client());
    let event = json!({
        "metadata": { "name": "e" }, "involvedObject": { "kind": "Pod", "name": "p" }, "reason": "Tested", "message": "m",
    });
    old.create(&PostParams::default(), &serde_json::from_value(event).unwrap())
        .await
        .unwrap();
    let new: Api<NewEvent> = Api::default_namespaced(server.client());
    let seen = new.get("e").await.unwrap();
    assert_eq!(
        (seen.note.as_deref(), seen.regarding.unwrap().name.as_deref()),
        (Some("m"), Some("p"))
    );
    let of_pod = ListParams::default().fields("involvedObject.name=p,reason=Tested");
    assert_eq!(old.list(&of_pod).await.unwrap().items.len(), 1);
}

#[tokio::test(start_paused = true)]
async fn garbage_waits_for_the_test_where_it_is_told_to() {
    let server = server(|config| config.collect_garbage = false);
    server.seed_object(&namespace("own"));
    let pods: Api<Pod> = Api::namespaced(server.client(), "own");
    let owner = pods
        .create(
            &PostParams::default(),
            &PodBuilder::new("o").namespace("own").build(),
        )
        .await
        .unwrap();
    let child = PodBuilder::new("c")
        .namespace("own")
        .controlled_by(&owner)
        .build();
    pods.create(&PostParams::default(), &child).await.unwrap();
    pods.delete("o", &DeleteParams::default()).await.unwrap();
    assert_eq!(server.list::<Pod>().len(), 1);
    server.collect_garbage();
    assert!(server.list::<Pod>().is_empty());
    let namespaces: Api<Namespace> = Api::all(server.client());
    namespaces.delete("own", &DeleteParams::default()).await.unwrap();
    assert!(server.get::<Namespace>("", "own").is_some());
    server.collect_garbage();
    assert!(server.get::<Namespace>("", "own").is_none());
}

#[tokio::test(start_paused = true)]
async fn requests_are_logged_and_writes_observed_up_to_the_limits() {
    let server = server(|config| {
        config.log = 2;
        config.max_body_bytes = 1000;
    });
    let writes = Arc::new(AtomicUsize::new(0));
    let count = writes.clone();
    server.observe(move || {
        count.fetch_add(1, Ordering::SeqCst);
    });
    let maps: Api<ConfigMap> = Api::default_namespaced(server.client());
    maps.create(&PostParams::default(), &map("a")).await.unwrap();
    let mut large = map("b");
    large.data = Some([("k".to_owned(), "v".repeat(1000))].into());
    assert_eq!(code(maps.create(&PostParams::default(), &large).await), 413);
    assert!(maps.get_opt("none").await.unwrap().is_none());
    let codes: Vec<_> = server.requests().iter().map(|request| request.code).collect();
    assert_eq!((codes, writes.load(Ordering::SeqCst)), (vec![413, 404], 1));
    server.clear_requests();
    assert!(server.requests().is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_write_that_races_with_admission_is_tried_again() {
    let server = ApiServer::default();
    let maps: Api<ConfigMap> = Api::default_namespaced(server.client());
    maps.create(&PostParams::default(), &map("a")).await.unwrap();
    let raced = Arc::new(AtomicUsize::new(0));
    let (other, count) = (server.clone(), raced.clone());
    server.mutate(move |_| {
        // Somebody else writes while the first two attempts are in admission.
        if count.fetch_add(1, Ordering::SeqCst) < 2 {
            other.seed_value(json!({
                "apiVersion": "v1", "kind": "ConfigMap", "metadata": { "name": "a", "namespace": "default" },
                "data": { "other": count.load(Ordering::SeqCst).to_string() },
            }));
        }
        Ok(())
    });
    let patch = Patch::Merge(json!({ "data": { "k": "v" } }));
    let data = maps
        .patch("a", &PatchParams::default(), &patch)
        .await
        .unwrap()
        .data
        .unwrap();
    assert_eq!(
        (&*data["k"], &*data["other"], raced.load(Ordering::SeqCst)),
        ("v", "2", 3)
    );
}
