use std::time::Duration;

use futures::StreamExt;
use k8s_openapi::api::core::v1::{ConfigMap, Node};
use kube_client::Api;
use kube_client::api::{ListParams, Patch, PatchParams, PostParams, WatchEvent, WatchParams};
use serde_json::json;

use super::*;
use crate::testing::apiserver::ApiServer;
use crate::testing::build::NodeBuilder;

fn api(config: FaultConfig) -> (ApiServer, Faults, Api<Node>) {
    let server = ApiServer::default();
    let faults = Faults::new(server.clone(), config, 1);
    let nodes = Api::all(faults.client());
    (server, faults, nodes)
}

fn node() -> Node {
    NodeBuilder::new("n").build()
}

#[tokio::test(start_paused = true)]
async fn errors_before_leave_nothing_and_errors_after_leave_the_write() {
    let none = FaultConfig::none;
    for (config, written) in [
        (
            FaultConfig {
                error_before: 1.0,
                ..none()
            },
            0,
        ),
        (
            FaultConfig {
                reset_before: 1.0,
                ..none()
            },
            0,
        ),
        (
            FaultConfig {
                too_many: 1.0,
                ..none()
            },
            0,
        ),
        (
            FaultConfig {
                error_after: 1.0,
                ..none()
            },
            1,
        ),
        (
            FaultConfig {
                reset_after: 1.0,
                ..none()
            },
            1,
        ),
    ] {
        let (server, faults, nodes) = api(config.clone());
        assert!(nodes.create(&PostParams::default(), &node()).await.is_err());
        assert_eq!(server.list::<Node>().len(), written, "{config:?}");
        assert_eq!(faults.injected().len(), 1);
    }
}

#[tokio::test(start_paused = true)]
async fn conflicts_strike_changes_only() {
    let (_, _, nodes) = api(FaultConfig {
        conflict: 1.0,
        ..FaultConfig::none()
    });
    nodes.create(&PostParams::default(), &node()).await.unwrap();
    let patch = Patch::Merge(json!({ "metadata": { "labels": { "a": "b" } } }));
    let error = nodes
        .patch("n", &PatchParams::default(), &patch)
        .await
        .unwrap_err();
    assert!(matches!(error, kube_client::Error::Api(status) if status.code == 409));
}

#[tokio::test(start_paused = true)]
async fn slow_requests_end() {
    let (_, _, nodes) = api(FaultConfig {
        slow: 1.0,
        ..FaultConfig::none()
    });
    let started = tokio::time::Instant::now();
    nodes.list(&ListParams::default()).await.unwrap();
    assert!(started.elapsed() > Duration::ZERO && started.elapsed() <= Duration::from_secs(5));
}

#[tokio::test(start_paused = true)]
async fn stale_reads_come_only_to_those_that_allow_them() {
    let (_, _, nodes) = api(FaultConfig {
        stale: 1.0,
        stale_by: 1,
        ..FaultConfig::none()
    });
    nodes.create(&PostParams::default(), &node()).await.unwrap();
    assert_eq!(nodes.list(&ListParams::default()).await.unwrap().items.len(), 1);
    let any = ListParams::default().match_any();
    assert_eq!(nodes.list(&any).await.unwrap().items.len(), 0);
}

/// What a watch of three new nodes tells: names, or what went wrong.
async fn told(config: FaultConfig) -> (Vec<String>, Duration) {
    let (server, _, nodes) = api(config);
    for name in ["a", "b", "c"] {
        server.seed_object(&NodeBuilder::new(name).build());
    }
    let started = tokio::time::Instant::now();
    let params = WatchParams::default().timeout(60).disable_bookmarks();
    let events = nodes.watch(&params, "0").await.unwrap().boxed();
    let told = events
        .map(|event| match event {
            Ok(WatchEvent::Added(node)) => node.metadata.name.unwrap_or_default(),
            Ok(WatchEvent::Error(status)) => status.code.to_string(),
            Ok(other) => format!("{other:?}"),
            Err(_) => "reset".to_owned(),
        })
        .take(6)
        .collect()
        .await;
    (told, started.elapsed())
}

#[tokio::test(start_paused = true)]
async fn events_are_late_lost_cut_or_doubled() {
    let none = FaultConfig::none;
    let (events, after) = told(none()).await;
    assert_eq!((events.concat(), after), ("abc".into(), Duration::from_secs(60)));
    assert_eq!(
        told(FaultConfig {
            watch_twice: 1.0,
            ..none()
        })
        .await
        .0
        .concat(),
        "aabbcc"
    );
    assert_eq!(
        told(FaultConfig {
            watch_cut: 1.0,
            ..none()
        })
        .await
        .0,
        ["a", "reset"]
    );
    assert_eq!(
        told(FaultConfig {
            watch_lost: 1.0,
            ..none()
        })
        .await
        .0,
        ["410"]
    );
    assert_eq!(
        told(FaultConfig {
            watch_late: 1.0,
            ..none()
        })
        .await
        .0
        .concat(),
        "abc"
    );
}

#[tokio::test(start_paused = true)]
async fn a_watch_that_is_held_stands_still_until_its_release() {
    let (_server, faults, nodes) = api(FaultConfig::none());
    let maps: Api<ConfigMap> = Api::namespaced(nodes.clone().into_client(), "default");
    let params = WatchParams::default();
    let mut of_nodes = nodes.watch(&params, "0").await.unwrap().boxed();
    let mut of_maps = maps.watch(&params, "0").await.unwrap().boxed();
    faults.hold("nodes");
    nodes.create(&PostParams::default(), &node()).await.unwrap();
    let map = serde_json::from_value(json!({"metadata": {"name": "m"}})).unwrap();
    maps.create(&PostParams::default(), &map).await.unwrap();
    assert!(matches!(of_maps.next().await, Some(Ok(WatchEvent::Added(_)))));
    let later = Duration::from_secs(600);
    assert!(tokio::time::timeout(later, of_nodes.next()).await.is_err());
    faults.release();
    assert!(matches!(of_nodes.next().await, Some(Ok(WatchEvent::Added(_)))));
}

#[tokio::test(start_paused = true)]
async fn a_crash_before_or_after_a_write_silences_the_process() {
    for (crash, written) in [(Crash::Before, 0), (Crash::After, 1)] {
        let (server, faults, nodes) = api(FaultConfig::none());
        nodes.list(&ListParams::default()).await.unwrap();
        faults.crash_in(0, crash);
        let params = PostParams::default();
        let node = node();
        tokio::select! {
            biased;
            answer = nodes.create(&params, &node) => panic!("answered: {answer:?}"),
            () = faults.crashed() => {}
        }
        assert_eq!(server.list::<Node>().len(), written);
        let params = ListParams::default();
        let dead = tokio::time::timeout(Duration::from_secs(60), nodes.list(&params));
        assert!(dead.await.is_err());
        let next: Api<Node> = Api::all(faults.client());
        assert_eq!(next.list(&params).await.unwrap().items.len(), written);
    }
}

#[tokio::test(start_paused = true)]
async fn a_seed_always_makes_the_same_faults() {
    let run = async |seed| {
        let server = ApiServer::default();
        let faults = Faults::new(server, FaultConfig::all(0.1), seed);
        let maps: Api<ConfigMap> = Api::default_namespaced(faults.client());
        for number in 0..50 {
            let mut map = ConfigMap::default();
            map.metadata.name = Some(format!("m{number}"));
            let _ = maps.create(&PostParams::default(), &map).await;
        }
        faults.injected()
    };
    let first = run(3).await;
    assert!(first.len() > 10);
    assert_eq!(first, run(3).await);
    assert_ne!(first, run(4).await);
}

#[test]
fn shares_must_be_shares() {
    assert!(FaultConfig::default().validate().is_ok());
    let error = FaultConfig {
        slow: 1.5,
        ..FaultConfig::none()
    }
    .validate()
    .unwrap_err();
    assert!(error.to_string().contains("slow"), "{error}");
}
