use std::io;
use std::sync::Arc;
use std::time::Duration;

use http::{HeaderValue, Method};
use k8s_openapi::api::core::v1::ConfigMap;
use kruise_core::manager::{
    ClientConfig, ClientFactory, ElectionConfig, LeaderElection, ManagerMetrics, NotLeader, without_retry,
};
use kruise_core::testing::clock::FakeClock;
use kube_client::api::{DeleteParams, Patch, PatchParams, PostParams};
use kube_client::{Api, Client};
use prometheus_client::registry::Registry;
use serde_json::json;
use tokio::time::Instant;

use crate::support::{Answer, Server, encode, ok, silent, status};

fn maps(client: Client) -> Api<ConfigMap> {
    Api::namespaced(client, "ns")
}

fn map() -> ConfigMap {
    ConfigMap {
        data: Some([("k".to_owned(), "v".to_owned())].into()),
        ..ConfigMap::default()
    }
}

fn factory(server: &Server) -> ClientFactory {
    ClientFactory::new(server.client.clone(), ClientConfig::default()).unwrap()
}

fn empty() -> Answer {
    ok(&json!({ "metadata": { "name": "a" } }))
}

/// Fails the first `times` requests.
fn failing(times: usize, code: u16) -> Server {
    Server::new(move |number, _, _| {
        Ok(if number < times {
            status(code, "no")
        } else {
            empty()
        })
    })
}

#[tokio::test(start_paused = true)]
async fn each_controller_has_its_own_user_agent() {
    let server = failing(0, 0);
    let factory = factory(&server);
    for client in [
        factory.client("cloneset-controller").unwrap(),
        factory.client("nodeimage-controller").unwrap(),
        factory.base_client().unwrap(),
    ] {
        maps(client).get("a").await.unwrap();
    }
    let agents: Vec<_> = server.log().into_iter().map(|asked| asked.user_agent).collect();
    assert_eq!(
        agents,
        [
            "kruise-manager/cloneset-controller",
            "kruise-manager/nodeimage-controller",
            "kruise-manager"
        ]
    );
    assert!(factory.client("no\nheader").is_err());
}

#[tokio::test(start_paused = true)]
async fn a_client_asks_fifty_at_once_and_then_thirty_a_second() {
    let server = failing(0, 0);
    let factory = factory(&server);
    let client = factory.client("a").unwrap();
    let start = Instant::now();
    let requests = (0..110).map(|_| {
        let maps = maps(client.clone());
        async move { maps.get("a").await }
    });
    futures::future::try_join_all(requests).await.unwrap();
    let log = server.log();
    assert!(log[..50].iter().all(|asked| asked.at.is_zero()));
    assert!(log[50..].windows(2).all(|pair| pair[1].at > pair[0].at));
    let took = start.elapsed();
    assert!(
        took >= Duration::from_secs(2) && took < Duration::from_millis(2200),
        "{took:?}"
    );
    // Others have a limit of their own.
    let start = Instant::now();
    maps(factory.client("b").unwrap()).get("a").await.unwrap();
    assert_eq!(start.elapsed(), Duration::ZERO);
}

#[tokio::test(start_paused = true)]
async fn a_throttled_create_is_repeated_with_its_body_when_the_server_says() {
    let server = Server::new(|number, _, _| {
        if number > 0 {
            return Ok(empty());
        }
        let mut answer = status(429, "TooManyRequests");
        answer
            .headers_mut()
            .insert("retry-after", HeaderValue::from_static("7"));
        Ok(answer)
    });
    maps(factory(&server).client("a").unwrap())
        .create(&PostParams::default(), &map())
        .await
        .unwrap();
    let log = server.log();
    assert_eq!(log.len(), 2);
    assert_eq!(log[0].body["data"]["k"], "v");
    assert_eq!(log[0].body, log[1].body);
    assert_eq!((log[1].at - log[0].at).as_secs(), 7);
    assert_eq!(log[1].user_agent, "kruise-manager/a");
}

#[tokio::test(start_paused = true)]
async fn a_create_is_never_repeated_after_a_server_error() {
    for code in [500, 502, 503, 504] {
        let server = failing(1, code);
        let result = maps(factory(&server).client("a").unwrap())
            .create(&PostParams::default(), &map())
            .await;
        assert!(matches!(result, Err(kube_client::Error::Api(status)) if status.code == code));
        assert_eq!(server.methods(), [Method::POST]);
    }
}

#[tokio::test(start_paused = true)]
async fn what_can_be_done_twice_is_repeated_after_a_server_error() {
    let server = failing(2, 503);
    let api = maps(factory(&server).client("a").unwrap());
    api.get("a").await.unwrap();
    assert_eq!(server.log().len(), 3);

    let server = failing(1, 500);
    let api = maps(factory(&server).client("a").unwrap());
    let merge = Patch::Merge(json!({ "data": { "k": "v" } }));
    api.patch("a", &PatchParams::default(), &merge).await.unwrap();
    assert_eq!(server.methods(), [Method::PATCH, Method::PATCH]);

    let server = failing(1, 500);
    let api = maps(factory(&server).client("a").unwrap());
    api.delete("a", &DeleteParams::default()).await.unwrap();
    assert_eq!(server.methods(), [Method::DELETE, Method::DELETE]);

    let server = failing(1, 500);
    let api = maps(factory(&server).client("a").unwrap());
    let json =
        Patch::Json::<()>(serde_json::from_value(json!([{ "op": "remove", "path": "/data" }])).unwrap());
    assert!(api.patch("a", &PatchParams::default(), &json).await.is_err());
    assert_eq!(server.methods(), [Method::PATCH]);
}

#[tokio::test(start_paused = true)]
async fn a_failed_connection_is_like_a_server_error() {
    let broken = || {
        Server::new(|number, _, _| {
            if number == 0 {
                Err(io::Error::other("cut"))
            } else {
                Ok(empty())
            }
        })
    };
    let server = broken();
    maps(factory(&server).client("a").unwrap())
        .get("a")
        .await
        .unwrap();
    assert_eq!(server.log().len(), 2);
    let server = broken();
    let api = maps(factory(&server).client("a").unwrap());
    assert!(api.create(&PostParams::default(), &map()).await.is_err());
    assert_eq!(server.log().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn tries_and_time_are_bounded_and_the_last_answer_is_returned() {
    let server = failing(100, 429);
    let result = maps(factory(&server).client("a").unwrap()).get("a").await;
    assert!(matches!(result, Err(kube_client::Error::Api(status)) if status.code == 429));
    assert_eq!(server.log().len(), 6);

    // The server asks for more time than there is: no retry, and no waiting.
    let server = Server::new(|_, _, _| {
        let mut answer = status(429, "TooManyRequests");
        answer
            .headers_mut()
            .insert("retry-after", HeaderValue::from_static("31"));
        Ok(answer)
    });
    let start = Instant::now();
    assert!(
        maps(factory(&server).client("a").unwrap())
            .get("a")
            .await
            .is_err()
    );
    assert_eq!((server.log().len(), start.elapsed()), (1, Duration::ZERO));
}

#[tokio::test(start_paused = true)]
async fn a_fenced_client_reads_but_does_not_write_without_the_lease() {
    let server = failing(0, 0);
    let election = LeaderElection::new(
        silent(),
        ElectionConfig::default(),
        Arc::new(FakeClock::default()),
    )
    .unwrap();
    let client = factory(&server).fenced(&election.fence()).client("a").unwrap();
    maps(client.clone()).get("a").await.unwrap();
    let error = maps(client)
        .create(&PostParams::default(), &map())
        .await
        .unwrap_err();
    let kube_client::Error::Service(source) = error else {
        panic!("{error}")
    };
    assert!(source.is::<NotLeader>());
    assert_eq!(server.methods(), [Method::GET]);
}

#[tokio::test(start_paused = true)]
async fn requests_are_counted_by_controller_verb_and_code() {
    let server = failing(1, 503);
    let mut registry = Registry::default();
    let metrics = ManagerMetrics::register(&mut registry);
    let api = maps(
        factory(&server)
            .metrics(&metrics)
            .client("cloneset-controller")
            .unwrap(),
    );
    api.get("a").await.unwrap();
    let text = encode(&registry);
    for line in [
        r#"kruise_client_requests_total{controller="cloneset-controller",verb="get",code="503"} 1"#,
        r#"kruise_client_requests_total{controller="cloneset-controller",verb="get",code="200"} 1"#,
        r#"kruise_client_retries_total{controller="cloneset-controller",reason="server_error"} 1"#,
        r#"kruise_client_limiter_wait_seconds_count{controller="cloneset-controller"} 2"#,
    ] {
        assert!(text.contains(line), "{line} not in\n{text}");
    }
}

#[test]
fn settings_that_cannot_be_used_are_named() {
    let check = |change: fn(&mut ClientConfig)| {
        let mut config = ClientConfig::default();
        change(&mut config);
        config.validate().map_err(|error| error.field().to_owned())
    };
    assert_eq!(check(|_| {}), Ok(()));
    assert_eq!(check(|config| config.qps = 0), Err("qps".into()));
    assert_eq!(check(|config| config.burst = 0), Err("burst".into()));
    assert_eq!(
        check(|config| config.user_agent = "a\n".into()),
        Err("userAgent".into())
    );
    assert_eq!(
        check(|config| config.retry.backoff_max = Duration::ZERO),
        Err("retry.backoffMax".into())
    );
}

#[test]
fn the_base_configuration_has_no_retries_of_its_own() {
    let config = kube_client::Config::new("http://127.0.0.1:1".parse().unwrap());
    assert!(config.default_retry);
    assert!(!without_retry(config).default_retry);
}
