//! What is written to the cluster, and when.
#![allow(clippy::unwrap_used, reason = "helpers of tests fail that way")]

mod webhook_support;

use std::net::SocketAddr;
use std::time::Duration;

use base64::Engine;
use k8s_openapi::api::core::v1::ConfigMap;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use kruise_core::runtime::{Runnable, Tasks};
use kruise_core::webhook::server::*;
use kruise_core::webhook::*;
use serde_json::{Value, json};
use webhook_support::api::*;
use webhook_support::https::*;
use webhook_support::*;

const VALIDATING: &str = "validatingwebhookconfigurations/kruise-validating-webhook-configuration";
const MUTATING: &str = "mutatingwebhookconfigurations/kruise-mutating-webhook-configuration";

fn service() -> Target {
    Target::Service {
        namespace: "example".to_owned(),
        name: "hooks".to_owned(),
        port: 443,
    }
}

struct World {
    api: FakeApi,
    certificates: Certificates,
    shared: SharedCertificates<FakeSecret>,
    router: Router,
    address: SocketAddr,
    _tasks: Tasks,
}

impl World {
    async fn new() -> Self {
        Self::with(router()).await
    }

    async fn with(router: Router) -> Self {
        let (certificates, shared) = shared(&FakeSecret::default(), &clock()).await;
        let tasks = Tasks::new();
        let address = serve(router.clone(), &certificates, &tasks).await;
        Self {
            api: FakeApi::default(),
            certificates,
            shared,
            router,
            address,
            _tasks: tasks,
        }
    }

    fn writer(&self, target: Target) -> ConfigurationWriter {
        let config = WriterConfig::new(target);
        let client = self.api.client();
        ConfigurationWriter::new(client, &self.router, &self.certificates, self.address, config).unwrap()
    }
}

#[tokio::test]
async fn both_configurations_are_made_from_the_hooks() {
    let world = World::new().await;
    let writer = world.writer(service());
    let ready = writer.ready();
    assert!(!ready.is_ready());
    writer.write().await.unwrap();
    assert!(ready.is_ready());

    let bundle = base64::engine::general_purpose::STANDARD.encode(&*world.certificates.authority().unwrap());
    let rule = json!({
        "apiGroups": [""], "apiVersions": ["v1"], "resources": ["configmaps"],
        "operations": ["CREATE", "UPDATE"], "scope": "*",
    });
    let webhook = |name: &str, path: &str, policy: &str| {
        json!({
            "name": name,
            "admissionReviewVersions": ["v1"],
            "clientConfig": {
                "caBundle": bundle,
                "service": {"namespace": "example", "name": "hooks", "path": path, "port": 443},
            },
            "rules": [rule],
            "failurePolicy": policy,
            "timeoutSeconds": 12,
            "sideEffects": "None",
            "matchPolicy": "Equivalent",
            "namespaceSelector": {},
            "objectSelector": {},
        })
    };
    let validating = world.api.object(VALIDATING);
    assert_eq!(validating["kind"], "ValidatingWebhookConfiguration");
    assert_eq!(
        validating["webhooks"],
        json!([
            webhook("v.example.com", "/validate", "Fail"),
            webhook("lenient.example.com", "/validate-lenient", "Ignore"),
        ])
    );
    let mut mutating = webhook("m.example.com", "/mutate", "Fail");
    mutating["reinvocationPolicy"] = json!("Never");
    assert_eq!(world.api.object(MUTATING)["webhooks"], json!([mutating]));
}

#[tokio::test]
async fn one_timeout_for_all_handlers_is_announced_for_each() {
    let hook = |path: &str, name: &str| Hook::new(path, name, vec![rule()]);
    let router = Router::builder()
        .validate::<ConfigMap>(hook("/a", "a.example.com"), Obedient)
        .validate::<ConfigMap>(
            hook("/b", "b.example.com").timeout(Duration::from_secs(3)),
            Obedient,
        )
        .timeout(Duration::from_secs(28))
        .build()
        .unwrap();
    let world = World::with(router).await;
    world.writer(service()).write().await.unwrap();
    let webhooks = world.api.object(VALIDATING)["webhooks"].take();
    let timeouts: Vec<_> = webhooks
        .as_array()
        .unwrap()
        .iter()
        .map(|one| one["timeoutSeconds"].clone())
        .collect();
    assert_eq!(timeouts, [json!(30), json!(30)]);
}

#[tokio::test]
async fn nothing_is_written_without_a_difference() {
    let world = World::new().await;
    let writer = world.writer(service());
    writer.write().await.unwrap();
    assert_eq!(world.api.writes(), 2);
    for _ in 0..3 {
        writer.write().await.unwrap();
    }
    assert_eq!(world.api.writes(), 2);
    // Somebody's labels are none of its business.
    world.api.change(VALIDATING, |object| {
        object["metadata"]["labels"] = json!({"team": "a"})
    });
    writer.write().await.unwrap();
    assert_eq!(world.api.writes(), 2);
}

#[tokio::test]
async fn a_difference_is_repaired_and_the_rest_left_alone() {
    let world = World::new().await;
    let writer = world.writer(service());
    writer.write().await.unwrap();
    let wanted = world.api.object(VALIDATING)["webhooks"].clone();
    type Change = fn(&mut Value);
    let changes: [Change; 5] = [
        |object| object["webhooks"][0]["failurePolicy"] = json!("Ignore"),
        |object| object["webhooks"][0]["objectSelector"] = json!({"matchLabels": {"a": "b"}}),
        |object| object["webhooks"][1]["clientConfig"]["caBundle"] = json!("AAAA"),
        |object| object["webhooks"].as_array_mut().unwrap().truncate(1),
        |object| object["webhooks"] = json!(null),
    ];
    for (number, change) in changes.into_iter().enumerate() {
        world.api.change(VALIDATING, |object| {
            change(object);
            object["metadata"]["annotations"] = json!({"kept": "yes"});
        });
        writer.write().await.unwrap();
        assert_eq!(world.api.object(VALIDATING)["webhooks"], wanted);
        assert_eq!(
            world.api.object(VALIDATING)["metadata"]["annotations"]["kept"],
            "yes"
        );
        assert_eq!(world.api.writes(), 3 + number);
    }
}

#[tokio::test]
async fn a_failed_self_check_writes_and_reads_nothing() {
    let world = World::new().await;
    let writer = |address: SocketAddr, host: &str, certificates: &Certificates| {
        let target = Target::Url {
            host: host.to_owned(),
            port: 443,
        };
        let client = world.api.client();
        ConfigurationWriter::new(
            client,
            &world.router,
            certificates,
            address,
            WriterConfig::new(target),
        )
        .unwrap()
    };
    // Nobody listens there.
    let gone = std::net::TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap();
    let unreachable = writer(gone, HOST, &world.certificates);
    assert!(matches!(unreachable.write().await, Err(WriteError::SelfCheck(_))));
    // The certificate is for another host.
    let misnamed = writer(world.address, "other.example.svc", &world.certificates);
    assert!(matches!(misnamed.write().await, Err(WriteError::SelfCheck(_))));
    // The authority announced is not that of the server.
    let (stranger, _other) = shared(&FakeSecret::default(), &clock()).await;
    let foreign = writer(world.address, HOST, &stranger);
    assert!(matches!(foreign.write().await, Err(WriteError::SelfCheck(_))));
    // No certificate yet.
    let none = writer(world.address, HOST, &Certificates::new(provider()));
    assert!(matches!(none.write().await, Err(WriteError::NoAuthority)));
    assert!(!none.ready().is_ready());
    assert!(world.api.log().is_empty());
}

#[tokio::test]
async fn a_refusal_of_the_api_server_is_told_and_does_not_unready_the_server() {
    let world = World::new().await;
    let writer = world.writer(service());
    world.api.refuse(true);
    assert!(matches!(
        writer.write().await,
        Err(WriteError::Api { verb: "read", .. })
    ));
    assert!(!writer.ready().is_ready());
    world.api.refuse(false);
    writer.write().await.unwrap();
    world.api.refuse(true);
    assert!(writer.write().await.is_err());
    assert!(writer.ready().is_ready());
}

#[tokio::test]
async fn a_url_is_announced_with_brackets_for_version_6() {
    let selector = LabelSelector {
        match_labels: Some([("a".to_owned(), "b".to_owned())].into()),
        ..LabelSelector::default()
    };
    let hook = Hook::new("/validate", "v.example.com", vec![rule()])
        .objects(selector.clone())
        .namespaces(selector)
        .timeout(std::time::Duration::from_millis(2500));
    let silent = Hook::new("/silent", "silent.example.com", vec![]);
    let router = Router::builder()
        .validate(hook, Obedient)
        .validate(silent, Obedient)
        .build()
        .unwrap();
    let mut world = World::with(router).await;
    let config = SharedConfig::new(["2001:db8::7"]);
    let secret = FakeSecret::default();
    world.shared = SharedCertificates::new(secret, &world.certificates, clock(), config).unwrap();
    // The old one is refused for the new host, so the new one is served at once.
    world.shared.refresh().await.unwrap();
    let writer = world.writer(Target::Url {
        host: "2001:db8::7".to_owned(),
        port: 9876,
    });
    writer.write().await.unwrap();
    let object = world.api.object(VALIDATING);
    let webhook = &object["webhooks"][0];
    assert_eq!(
        webhook["clientConfig"]["url"],
        "https://[2001:db8::7]:9876/validate"
    );
    assert_eq!(webhook["objectSelector"], json!({"matchLabels": {"a": "b"}}));
    assert_eq!(webhook["namespaceSelector"], json!({"matchLabels": {"a": "b"}}));
    assert_eq!(webhook["timeoutSeconds"], 5);
    assert_eq!(object["webhooks"].as_array().unwrap().len(), 1);
    // No mutators: that configuration is not even read.
    assert!(world.api.log().iter().all(|line| line.contains("validating")));
    writer.write().await.unwrap();
    assert_eq!(world.api.writes(), 1);
}

#[tokio::test]
async fn a_running_writer_announces_a_new_authority_without_waiting_for_its_turn() {
    let folder_free = FakeSecret::default();
    let clock = clock();
    let world = World::new().await;
    let writer = world.writer(service());
    let mut ready = writer.ready();
    let tasks = Tasks::new();
    let token = tasks.token();
    tasks.spawn(
        "writer",
        async move { Box::new(writer).run(token).await.unwrap() },
    );
    ready.wait().await;
    let before = world.api.object(VALIDATING);
    // Another replica's new Secret: other authority, so both are announced.
    let (_other, _shared) = shared(&folder_free, &clock).await;
    let config = SharedConfig::new([HOST]);
    let mut moved = SharedCertificates::new(folder_free, &world.certificates, clock, config).unwrap();
    moved.refresh().await.unwrap();
    while world.api.object(VALIDATING)["webhooks"] == before["webhooks"] {
        tokio::task::yield_now().await;
    }
    let text = world.api.object(VALIDATING)["webhooks"][0]["clientConfig"]["caBundle"].clone();
    let bundle = base64::engine::general_purpose::STANDARD
        .decode(text.as_str().unwrap())
        .unwrap();
    let bundle = String::from_utf8(bundle).unwrap();
    assert_eq!(bundle.matches("BEGIN CERTIFICATE").count(), 2);
    assert!(tasks.shutdown(std::time::Duration::from_secs(5)).await);
}

#[tokio::test]
async fn settings_that_cannot_work_are_refused_by_name() {
    let field = |change: fn(&mut WriterConfig)| {
        let mut config = WriterConfig::new(service());
        change(&mut config);
        config.validate().unwrap_err().field().to_owned()
    };
    assert_eq!(field(|config| config.mutating_name.clear()), "mutating_name");
    assert_eq!(
        field(|config| config.interval = std::time::Duration::ZERO),
        "interval"
    );
    let nowhere = |config: &mut WriterConfig| {
        config.target = Target::Url {
            host: String::new(),
            port: 1,
        };
    };
    assert_eq!(field(nowhere), "target.url");
}
