use std::sync::Arc;
use std::time::Duration;

use http::Method;
use k8s_openapi::api::core::v1::{Node, ObjectReference, Pod};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kruise_core::manager::{EventConfig, EventKind, EventRecorder, EventWriter, ManagerMetrics};
use kruise_core::runtime::Tasks;
use kruise_core::testing::clock::FakeClock;
use kube_client::Client;
use kube_core::Resource;
use prometheus_client::registry::Registry;
use serde_json::json;
use tokio::time::{Instant, sleep};

use crate::support::{Asked, Server, encode, ok, silent, status};

fn pod() -> ObjectReference {
    let metadata = ObjectMeta {
        name: Some("web-0".into()),
        namespace: Some("shop".into()),
        uid: Some("u-1".into()),
        ..ObjectMeta::default()
    };
    Pod {
        metadata,
        ..Pod::default()
    }
    .object_ref(&())
}

fn recorder(client: Client) -> (EventRecorder, EventWriter) {
    EventRecorder::new(client, Arc::new(FakeClock::default()), EventConfig::default()).unwrap()
}

/// Publishes, lets the writer send all, and returns what the server saw.
async fn sent(server: &Server, publish: impl FnOnce(&EventRecorder)) -> Vec<Asked> {
    let (recorder, writer) = recorder(server.client.clone());
    publish(&recorder.source("cloneset-controller"));
    drop(recorder);
    writer.run(Default::default()).await;
    server.log()
}

fn accepting() -> Server {
    Server::new(|_, _, _| Ok(ok(&json!({}))))
}

#[tokio::test(start_paused = true)]
async fn an_event_has_what_kubectl_describe_shows() {
    let log = sent(&accepting(), |events| {
        events.normal(&pod(), "SuccessfulUpdate", "updated in place")
    })
    .await;
    assert_eq!(log.len(), 1);
    assert_eq!(
        (&log[0].method, log[0].uri.as_str()),
        (&Method::POST, "/api/v1/namespaces/shop/events?")
    );
    let time = "2001-09-09T01:46:40Z";
    assert_eq!(
        log[0].body,
        json!({
            "apiVersion": "v1", "kind": "Event",
            "metadata": { "name": "web-0.de0b6b3a7640000", "namespace": "shop" },
            "involvedObject": { "apiVersion": "v1", "kind": "Pod", "namespace": "shop", "name": "web-0", "uid": "u-1" },
            "type": "Normal", "reason": "SuccessfulUpdate", "message": "updated in place",
            "source": { "component": "cloneset-controller" },
            "reportingComponent": "cloneset-controller",
            "count": 1, "firstTimestamp": time, "lastTimestamp": time,
        })
    );
}

#[tokio::test(start_paused = true)]
async fn an_event_about_an_object_without_a_namespace_goes_to_default() {
    let metadata = ObjectMeta {
        name: Some("n1".into()),
        ..ObjectMeta::default()
    };
    let node = Node {
        metadata,
        ..Node::default()
    }
    .object_ref(&());
    let log = sent(&accepting(), |events| {
        events.warning(&node, "PullFailed", "no space")
    })
    .await;
    assert_eq!(log[0].uri, "/api/v1/namespaces/default/events?");
    assert_eq!(
        (&log[0].body["type"], &log[0].body["metadata"]["namespace"]),
        (&json!("Warning"), &json!("default"))
    );
}

#[tokio::test(start_paused = true)]
async fn an_equal_event_raises_the_count_of_the_first() {
    let log = sent(&accepting(), |events| {
        for _ in 0..3 {
            events.normal(&pod(), "Pulled", "image");
        }
        events.warning(&pod(), "Pulled", "image");
    })
    .await;
    let methods: Vec<_> = log.iter().map(|asked| asked.method.clone()).collect();
    assert_eq!(
        methods,
        [Method::POST, Method::PATCH, Method::PATCH, Method::POST]
    );
    assert_eq!(
        log[1].uri,
        "/api/v1/namespaces/shop/events/web-0.de0b6b3a7640000?"
    );
    assert_eq!(
        (&log[1].body["count"], &log[2].body["count"]),
        (&json!(2), &json!(3))
    );
    assert_ne!(log[3].body["metadata"]["name"], log[0].body["metadata"]["name"]);
}

#[tokio::test(start_paused = true)]
async fn an_event_that_has_expired_on_the_server_is_created_anew() {
    let server = Server::new(|_, parts, _| {
        Ok(if parts.method == Method::PATCH {
            status(404, "NotFound")
        } else {
            ok(&json!({}))
        })
    });
    let log = sent(&server, |events| {
        events.normal(&pod(), "Pulled", "image");
        events.normal(&pod(), "Pulled", "image");
    })
    .await;
    let methods: Vec<_> = log.iter().map(|asked| asked.method.clone()).collect();
    assert_eq!(methods, [Method::POST, Method::PATCH, Method::POST]);
    assert_eq!(log[2].body["count"], 1);
}

#[tokio::test(start_paused = true)]
async fn spam_about_one_object_does_not_reach_the_server() {
    let log = sent(&accepting(), |events| {
        for number in 0..100 {
            events.normal(&pod(), "Reason", format!("message {number}"));
        }
    })
    .await;
    assert_eq!(log.len(), 25);
    // Ten of them by themselves, the others as one.
    assert_eq!(
        log.iter().filter(|asked| asked.method == Method::POST).count(),
        11
    );
    assert_eq!(
        log[24].body["message"],
        "(combined from similar events): message 24"
    );
}

#[tokio::test(start_paused = true)]
async fn a_create_without_an_answer_is_repeated_under_the_same_name() {
    let server = Server::new(|number, _, _| {
        Ok(match number {
            0 => status(503, "ServiceUnavailable"),
            _ => status(409, "AlreadyExists"),
        })
    });
    let log = sent(&server, |events| events.normal(&pod(), "Pulled", "image")).await;
    assert_eq!(log.len(), 2);
    assert_eq!(log[0].body, log[1].body);
}

#[tokio::test(start_paused = true)]
async fn a_refused_event_is_given_up_at_once_and_a_failed_one_after_three_tries() {
    let server = Server::new(|_, _, _| Ok(status(403, "Forbidden")));
    assert_eq!(
        sent(&server, |events| events.normal(&pod(), "A", "a"))
            .await
            .len(),
        1
    );
    let server = Server::new(|_, _, _| Ok(status(500, "InternalError")));
    assert_eq!(
        sent(&server, |events| events.normal(&pod(), "A", "a"))
            .await
            .len(),
        3
    );
}

#[tokio::test(start_paused = true)]
async fn a_full_queue_drops_and_counts_without_waiting() {
    let mut config = EventConfig::default();
    config.queue = 2;
    let (recorder, _writer) = EventRecorder::new(silent(), Arc::new(FakeClock::default()), config).unwrap();
    let mut registry = Registry::default();
    let recorder = recorder.metrics(&ManagerMetrics::register(&mut registry));
    for _ in 0..5 {
        recorder.publish(&pod(), EventKind::Normal, "A", "a");
    }
    assert_eq!(recorder.source("other").dropped(), 3);
    assert!(encode(&registry).contains(r#"kruise_events_total{result="dropped"} 3"#));
}

#[tokio::test(start_paused = true)]
async fn a_cancelled_writer_sends_what_waits_within_its_time() {
    let server = accepting();
    let (events, writer) = recorder(server.client.clone());
    let tasks = Tasks::new();
    tasks.spawn("events", writer.run(tasks.token()));
    events.normal(&pod(), "A", "a");
    events.normal(&pod(), "B", "b");
    assert!(tasks.shutdown(Duration::from_secs(5)).await);
    assert_eq!(server.log().len(), 2);
    events.normal(&pod(), "C", "c");
    assert_eq!(events.dropped(), 1);

    let (events, writer) = recorder(silent());
    events.normal(&pod(), "A", "a");
    let tasks = Tasks::new();
    tasks.spawn("events", writer.run(tasks.token()));
    sleep(Duration::from_secs(1)).await;
    let start = Instant::now();
    assert!(tasks.shutdown(Duration::from_secs(60)).await);
    assert_eq!(start.elapsed().as_secs(), 4);
}

#[tokio::test(start_paused = true)]
async fn long_messages_are_cut_at_a_character() {
    let log = sent(&accepting(), |events| events.normal(&pod(), "A", "ä".repeat(600))).await;
    assert_eq!(log[0].body["message"].as_str().unwrap().len(), 1024);
    let log = sent(&accepting(), |events| {
        events.normal(&pod(), "A", format!("a{}", "ä".repeat(600)))
    })
    .await;
    assert_eq!(log[0].body["message"].as_str().unwrap().len(), 1023);
}

#[test]
fn settings_that_cannot_be_used_are_named() {
    let mut config = EventConfig::default();
    assert_eq!(config.validate(), Ok(()));
    config.queue = 0;
    assert_eq!(config.validate().unwrap_err().field(), "queue");
}
