//! Admission of SidecarSets through an API server.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests fail that way")]

mod inject_support;

use inject_support::set;
use k8s_openapi::api::core::v1::ConfigMap;
use kruise_core::runtime::{Cache, CacheWriter};
use kruise_core::testing::apiserver::ApiServer;
use kruise_core::webhook::Router;
use kruise_sidecar::api::{PatchWhitelist, SidecarSet};
use kruise_sidecar::webhook::{LiveConfig, LiveSets, SetRules, register_sets};
use kube_client::Api;
use kube_client::api::{Patch, PatchParams, PostParams};
use serde_json::{Value, json};

struct World {
    server: ApiServer,
    held: CacheWriter<SidecarSet>,
}

impl World {
    fn new(change: impl FnOnce(SetRules) -> SetRules) -> Self {
        let server = ApiServer::default();
        server.serve_definition(&kruise_sidecar::api::crd(None));
        let (cache, held) = Cache::offline([]);
        let live = LiveSets::new(LiveConfig::default());
        live.follow(&cache);
        let router = register_sets(Router::builder(), change(SetRules::new(live)))
            .build()
            .unwrap();
        server.webhooks(router);
        Self { server, held }
    }

    fn sets(&self) -> Api<SidecarSet> {
        Api::all(self.server.client())
    }

    /// The set as it is stored, or why it is not.
    async fn create(&self, name: &str, spec: Value) -> Result<SidecarSet, String> {
        let made = self.sets().create(&PostParams::default(), &set(name, spec)).await;
        match made {
            Ok(made) => {
                self.held.apply(made.clone());
                Ok(made)
            }
            Err(kube_client::Error::Api(status)) => Err(status.message.clone()),
            Err(other) => panic!("{other}"),
        }
    }
}

fn spec(container: &str) -> Value {
    json!({"containers": [{"name": container, "image": "side:1"}]})
}

#[tokio::test]
async fn defaults_and_hashes_are_filled_in() {
    let world = World::new(|rules| rules);
    let made = world.create("logs", spec("c")).await.unwrap();
    let policy = made.spec.containers[0].pod_inject_policy.as_ref().unwrap();
    assert_eq!(policy.as_str(), "BeforeAppContainer");
    assert_eq!(
        made.hash().unwrap().len(),
        64,
        "what a user writes there is overwritten"
    );
    assert_eq!(made.spec.revision_history_limit, Some(10));
}

#[tokio::test]
async fn everything_that_is_wrong_is_told_at_once() {
    let world = World::new(|rules| rules);
    let told = world
        .create("log.agent", json!({"selector": {}}))
        .await
        .unwrap_err();
    for field in ["metadata.name", "spec.selector", "spec.containers"] {
        assert!(told.contains(field), "{told}");
    }
}

#[tokio::test]
async fn a_set_in_the_way_of_another_is_refused_unless_no_pod_has_both() {
    let world = World::new(|rules| rules);
    world.create("one", spec("same")).await.unwrap();
    let told = world.create("two", spec("same")).await.unwrap_err();
    assert!(told.contains("one") && told.contains("same"), "{told}");
    let mut apart = spec("same");
    apart["selector"] = json!({"matchLabels": {"app": "db"}});
    world.create("three", apart).await.unwrap();
}

#[tokio::test]
async fn an_update_may_not_add_a_sidecar_but_a_set_that_goes_may_be_anything() {
    let world = World::new(|rules| rules);
    world.create("one", spec("a")).await.unwrap();
    let renamed = json!({"spec": {"containers": [{"name": "b", "image": "side:1"}]}});
    let patch = |patch: Value| {
        let sets = world.sets();
        async move {
            sets.patch("one", &PatchParams::default(), &Patch::Merge(patch))
                .await
        }
    };
    assert!(
        patch(renamed.clone())
            .await
            .unwrap_err()
            .to_string()
            .contains("spec.containers[0].name")
    );
    patch(json!({"metadata": {"finalizers": ["example.com/wait"]}}))
        .await
        .unwrap();
    world.sets().delete("one", &Default::default()).await.unwrap();
    patch(renamed).await.unwrap();
}

#[tokio::test]
async fn annotations_are_patched_as_the_whitelist_says() {
    let mut with_metadata = spec("c");
    with_metadata["patchPodMetadata"] =
        json!([{"annotations": {"example.com/a": "1"}, "patchPolicy": "Retain"}]);
    let without = World::new(|rules| rules);
    assert!(without.create("s", with_metadata.clone()).await.is_err());
    let whitelist = r#"{"rules": [{"allowedAnnotationKeyExprs": ["^example.com/"]}]}"#;
    let whitelist = std::sync::Arc::new(PatchWhitelist::parse(whitelist).unwrap());
    let with = World::new(|rules| rules.whitelist(move || Ok(Some(whitelist.clone()))));
    with.create("s", with_metadata.clone()).await.unwrap();
    let any = World::new(|mut rules| {
        rules.allow_any_metadata = true;
        rules
    });
    any.create("s", with_metadata).await.unwrap();
}

#[tokio::test]
async fn a_revision_that_is_asked_for_must_be_there_if_that_is_looked_at() {
    let mut pinned = spec("c");
    pinned["injectionStrategy"] = json!({"revision": {"revisionName": "s-1"}});
    let strict = World::new(|mut rules| {
        rules.check_revisions = true;
        rules
    });
    assert!(
        strict
            .create("s", pinned.clone())
            .await
            .unwrap_err()
            .contains("injectionStrategy.revision")
    );
    strict.create("t", spec("d")).await.unwrap();
    World::new(|rules| rules).create("s", pinned).await.unwrap();
}

#[tokio::test]
async fn openkruises_configmap_says_which_annotations_sets_may_patch() {
    let map = |text: &str| -> ConfigMap {
        serde_json::from_value(
            json!({"metadata": {"namespace": "kruise-system", "name": "kruise-configuration"},
            "data": {"SidecarSet_PatchPodMetadata_WhiteList": text, "other": "?"}}),
        )
        .unwrap()
    };
    let (cache, held) = Cache::offline([]);
    let world = World::new(|rules| rules.configuration(&cache));
    let mut patching = spec("c");
    patching["patchPodMetadata"] = json!([{"annotations": {"example.com/a": "1"}, "patchPolicy": "Retain"}]);
    for text in [
        None,
        Some("{"),
        Some(r#"{"rules": [{"allowedAnnotationKeyExprs": ["^other/"]}]}"#),
    ] {
        text.into_iter().for_each(|text| held.apply(map(text)));
        let told = world.create("s", patching.clone()).await.unwrap_err();
        assert!(told.contains("spec.patchPodMetadata"), "{told}");
    }
    held.apply(map(
        r#"{"rules": [{"allowedAnnotationKeyExprs": ["^example.com/"]}]}"#,
    ));
    world.create("s", patching).await.unwrap();
}

#[tokio::test]
async fn with_the_gate_off_sets_are_refused_and_what_is_there_can_go() {
    // As they were stored while the gate was on, by a program that filled in nothing.
    let server = ApiServer::default();
    server.serve_definition(&kruise_sidecar::api::crd(None));
    server.seed_object(&set("logs", spec("c")));
    let mut rules = SetRules::new(LiveSets::new(LiveConfig::default()));
    rules.pod_webhook = false;
    server.webhooks(register_sets(Router::builder(), rules).build().unwrap());
    let sets: Api<SidecarSet> = Api::all(server.client());
    let patch = async |patch: Value| {
        let done = sets
            .patch("logs", &PatchParams::default(), &Patch::Merge(patch))
            .await;
        done.map_err(|error| error.to_string())
    };
    let off = "the feature gate PodWebhook is off, so no pod would be injected";
    let made = sets.create(&PostParams::default(), &set("two", spec("d"))).await;
    assert!(made.unwrap_err().to_string().contains(off));
    let changed = json!({"spec": {"updateStrategy": {"paused": true}}});
    assert!(patch(changed.clone()).await.unwrap_err().contains(off));
    patch(json!({"metadata": {"labels": {"a": "b"}, "finalizers": ["example.com/wait"]}}))
        .await
        .unwrap();
    sets.delete("logs", &Default::default()).await.unwrap();
    patch(json!({"metadata": {"finalizers": null}})).await.unwrap();
    assert!(sets.get_opt("logs").await.unwrap().is_none());
}

#[tokio::test]
async fn sets_of_old_releases_that_share_a_volume_can_be_updated() {
    let world = World::new(|rules| rules);
    // As OpenKruise 0.9 stored them: without the defaults of volumes.
    for (name, container) in [("one", "a"), ("two", "b")] {
        let mut spec = spec(container);
        spec["volumes"] = json!([{"name": "logs", "hostPath": {"path": "/var/log"}}, {"name": "tmp"}]);
        let set = set(name, spec);
        world.server.seed_object(&set);
        world.held.apply(set);
    }
    let patch = json!({"spec": {"updateStrategy": {"paused": true}}});
    let sets = world.sets();
    for name in ["one", "two"] {
        let done = sets
            .patch(name, &PatchParams::default(), &Patch::Merge(&patch))
            .await
            .unwrap();
        world.held.apply(done);
    }
}

#[tokio::test(start_paused = true)]
async fn a_set_that_was_let_pass_a_moment_ago_conflicts_before_the_cache_has_it() {
    let world = World::new(|rules| rules);
    let sets = world.sets();
    let create = async |name: &str| {
        sets.create(&PostParams::default(), &set(name, spec("same")))
            .await
    };
    create("one").await.unwrap();
    let told = create("two").await.unwrap_err().to_string();
    assert!(told.contains("one") && told.contains("same"), "{told}");
    // One that never came, since another webhook has refused it, is in nobody's way for long.
    tokio::time::advance(std::time::Duration::from_secs(4)).await;
    create("two").await.unwrap();
}
