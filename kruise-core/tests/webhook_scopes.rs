//! Hooks whose scopes change, and handlers that write their own patches.
#![allow(clippy::unwrap_used, clippy::panic, reason = "helpers of tests fail that way")]

mod webhook_support;

use futures::FutureExt;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use kruise_core::runtime::{Runnable, Tasks};
use kruise_core::webhook::server::*;
use kruise_core::webhook::*;
use serde::de::IgnoredAny;
use serde_json::value::RawValue;
use serde_json::{Value, json};
use tokio::sync::watch;
use webhook_support::api::*;
use webhook_support::https::*;
use webhook_support::*;

const MUTATING: &str = "mutatingwebhookconfigurations/kruise-mutating-webhook-configuration";

fn scope(app: &str) -> Scope {
    let labels = [("app".to_owned(), app.to_owned())].into();
    Scope {
        objects: LabelSelector {
            match_labels: Some(labels),
            ..LabelSelector::default()
        },
        ..Scope::default()
    }
}

/// Patches by the name of the object.
struct ByName;

impl Patcher for ByName {
    async fn patch(&self, context: &Context<IgnoredAny>, object: &RawValue) -> Result<Patched, Denial> {
        match context.name.as_deref() {
            Some("deny") => Err(Denial::invalid("not this one")),
            Some("lost") => Err(Denial::no_verdict(503, "the namespace cannot be read")),
            Some("panic") => panic!("told to"),
            Some("a") => {
                let length = object.get().len();
                let patch = json!([{"op": "add", "path": "/length", "value": length}]);
                Ok(Patched::new(Some(patch.to_string())).warn(["long".to_owned()]))
            }
            _ => Ok(Patched::default()),
        }
    }
}

fn router(scopes: Scopes) -> Router {
    let hook = Hook::new("/mutate", "m.example.com", vec![rule()]).scopes(scopes);
    Router::builder().patch(hook, ByName).build().unwrap()
}

#[tokio::test]
async fn each_scope_becomes_an_entry_and_the_configuration_follows() {
    let (sender, receiver) = watch::channel(None);
    let scopes = Scopes::new(receiver);
    let router = router(scopes.clone());
    let (certificates, _shared) = shared(&FakeSecret::default(), &clock()).await;
    let tasks = Tasks::new();
    let address = serve(router.clone(), &certificates, &tasks).await;
    let api = FakeApi::default();
    let target = Target::Url {
        host: HOST.to_owned(),
        port: 443,
    };
    let config = WriterConfig::new(target);
    let writer = ConfigurationWriter::new(api.client(), &router, &certificates, address, config).unwrap();

    assert!(matches!(writer.write().await, Err(WriteError::NoScopes { .. })));
    assert_eq!(api.writes(), 0, "nothing is announced before it is known");
    let now = |scopes: &[Scope]| drop(sender.send_replace(Some(scopes.into())));
    now(&[scope("a")]);
    assert!(!scopes.are_announced());
    assert!(scopes.announced().now_or_never().is_none());
    writer.write().await.unwrap();
    assert!(scopes.announced().now_or_never().is_some());
    let entries = || api.object(MUTATING)["webhooks"].clone();
    assert_eq!(entries().as_array().unwrap().len(), 1);
    assert_eq!(
        entries()[0]["objectSelector"],
        json!({"matchLabels": {"app": "a"}})
    );

    now(&[scope("a"), scope("b")]);
    let mut told = Box::pin(scopes.announced());
    assert!(told.as_mut().now_or_never().is_none());
    writer.write().await.unwrap();
    assert!(told.as_mut().now_or_never().is_some(), "who waits is told");
    assert_eq!(entries()[1]["name"], "s2.m.example.com");
    assert_eq!(
        entries()[1]["objectSelector"],
        json!({"matchLabels": {"app": "b"}})
    );
    assert_eq!(
        entries()[0]["clientConfig"]["url"],
        entries()[1]["clientConfig"]["url"]
    );

    now(&[]);
    writer.write().await.unwrap();
    assert_eq!(entries(), json!([]));
    let writes = api.writes();
    writer.write().await.unwrap();
    assert_eq!(api.writes(), writes, "an empty list is written once");

    // The running writer is woken by a change, long before its interval.
    let stop = tokio_util::sync::CancellationToken::new();
    let running = Box::new(writer).run(stop.clone());
    let changed = async {
        while entries() == json!([]) {
            now(&[scope("c")]);
            tokio::task::yield_now().await;
        }
        stop.cancel();
    };
    let (done, ()) = tokio::join!(running, changed);
    done.unwrap();
    assert_eq!(entries()[0]["objectSelector"]["matchLabels"]["app"], "c");
}

#[tokio::test]
async fn what_one_replica_announces_is_not_taken_away_by_another_that_writes_at_the_same_time() {
    let api = FakeApi::default();
    let tasks = Tasks::new();
    let replica = async || {
        let (sender, receiver) = watch::channel(Some([scope("old")].into()));
        let router = router(Scopes::new(receiver));
        let (certificates, _shared) = shared(&FakeSecret::default(), &clock()).await;
        let address = serve(router.clone(), &certificates, &tasks).await;
        let target = Target::Url {
            host: HOST.to_owned(),
            port: 443,
        };
        let config = WriterConfig::new(target);
        let writer = ConfigurationWriter::new(api.client(), &router, &certificates, address, config);
        (writer.unwrap(), sender)
    };
    let ((one, one_wants), (two, two_wants)) = (replica().await, replica().await);
    let apps = || -> Vec<String> {
        let entries = api.object(MUTATING)["webhooks"].take();
        let app = |entry: &Value| {
            entry["objectSelector"]["matchLabels"]["app"]
                .as_str()
                .map(Into::into)
        };
        entries.as_array().unwrap().iter().filter_map(app).collect()
    };
    one.write().await.unwrap();

    // One admits an object that is not stored yet; two sees another one, of which one will hear soon.
    one_wants.send_replace(Some([scope("old"), scope("admitted")].into()));
    two_wants.send_replace(Some([scope("old"), scope("seen")].into()));
    one.write().await.unwrap();
    two.write().await.unwrap();
    assert_eq!(apps(), ["old", "admitted", "seen"]);
    one.write().await.unwrap();
    assert_eq!(apps(), ["old", "admitted", "seen"]);

    // Somebody writes between the look and the patch: it is looked again, at once.
    api.after_read(|object| {
        let last = object["webhooks"].as_array_mut().unwrap().last_mut().unwrap();
        last["objectSelector"]["matchLabels"]["app"] = json!("between");
    });
    one_wants.send_replace(Some([scope("old"), scope("admitted"), scope("next")].into()));
    one.write().await.unwrap();
    assert_eq!(apps(), ["old", "admitted", "between", "next"]);
}

async fn named(name: &str) -> Value {
    let (_, receiver) = watch::channel(None);
    let mut review = review(order("nothing"));
    review["request"]["name"] = json!(name);
    let (_, body) = send(
        &router(Scopes::new(receiver)),
        request("/mutate", review.to_string()),
    )
    .await;
    response(&body)
}

#[tokio::test]
async fn a_patcher_sees_the_text_and_its_patch_is_sent_as_it_is() {
    let response = named("a").await;
    let object = order("nothing");
    assert_eq!(response["warnings"], json!(["long"]));
    assert_eq!(
        patched(object.clone(), &response)["length"],
        object.to_string().len()
    );
    assert_eq!(named("b").await, json!({"uid": "7f3c", "allowed": true}));
}

#[tokio::test]
async fn a_patchers_denial_and_panic_are_answered_as_those_of_others() {
    assert_eq!(named("deny").await["status"]["code"], 422);
    assert_eq!(named("panic").await["status"]["code"], 500);
}

#[tokio::test]
async fn without_a_verdict_the_policy_decides() {
    let hook = |name: &str, policy| {
        Hook::new(format!("/{name}"), format!("{name}.example.com"), vec![rule()]).on_failure(policy)
    };
    let router = Router::builder()
        .patch(hook("strict", OnFailure::Deny), ByName)
        .patch(hook("lenient", OnFailure::Allow), ByName)
        .build()
        .unwrap();
    let ask = async |path: &str| {
        let mut review = review(json!({"metadata": {"name": "lost"}}));
        review["request"]["name"] = json!("lost");
        let (_, body) = send(&router, request(path, review.to_string())).await;
        response(&body)
    };
    let strict = ask("/strict").await;
    assert_eq!(
        (&strict["allowed"], &strict["status"]["code"]),
        (&json!(false), &json!(503))
    );
    let lenient = ask("/lenient").await;
    assert_eq!(lenient["allowed"], true);
    assert_eq!(
        lenient["warnings"],
        json!(["lenient.example.com: the namespace cannot be read"])
    );
}
