//! Credential providers: in what order they are tried, and programs that speak the kubelet's protocol.
#![cfg(all(unix, feature = "exec-plugins"))]

mod support;

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use kruise_cri::ErrorKind;
use kruise_imagepull::agent::plugins::{ExecPlugins, PluginLimits};
use kruise_imagepull::agent::{
    AgentConfig, AgentMetrics, CredentialError, CredentialProvider, PullSecret, SecretError, SecretSource,
};
use kruise_imagepull::api::SecretReference;
use kruise_imagepull::plan::keyring::{Credential, Keyring};
use serde_json::{Value, json};
use support::runtime::{Answer, ScriptedRuntime};
use support::{World, until};

const VERSION: &str = "credentialprovider.kubelet.k8s.io/v1";

/// A plugin that counts its calls in `calls`, keeps its input in `input`, and then runs `script`.
fn plugin(folder: &Path, name: &str, script: &str) {
    let path = folder.join(name);
    let dir = folder.display();
    let text = format!("#!/bin/sh\necho x >>{dir}/calls\ncat >{dir}/input\n{script}\n");
    std::fs::write(&path, text).expect("written");
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).expect("executable");
}

fn calls(folder: &Path) -> usize {
    std::fs::read_to_string(folder.join("calls")).map_or(0, |text| text.lines().count())
}

/// A script that answers with this user for `r.io`.
fn says(user: &str, more: Value) -> String {
    let mut answer = json!({"apiVersion": VERSION, "kind": "CredentialProviderResponse", "cacheKeyType": "Registry",
        "auth": {"r.io": {"username": user, "password": "hunter2"}}});
    for (field, value) in more.as_object().into_iter().flatten() {
        answer[field] = value.clone();
    }
    format!("cat <<'J'\n{answer}\nJ")
}

fn provider(name: &str, cache: &str) -> Value {
    json!({"name": name, "matchImages": ["r.io", "*.r.io"], "defaultCacheDuration": cache, "apiVersion": VERSION,
        "args": ["get"], "env": [{"name": "WHO", "value": "from-env"}]})
}

fn plugins(folder: &Path, providers: &[Value], limits: PluginLimits) -> ExecPlugins {
    let config = json!({"apiVersion": "kubelet.config.k8s.io/v1", "kind": "CredentialProviderConfig", "providers": providers});
    let config = serde_json::from_value(config).expect("the shape is right");
    ExecPlugins::new(config, folder, limits).expect("the configuration is valid")
}

async fn users(plugins: &ExecPlugins, repository: &str) -> Result<Vec<String>, String> {
    let keyring = plugins
        .credentials(repository)
        .await
        .map_err(|error| std::error::Error::source(&error).map_or_else(String::new, ToString::to_string))?;
    Ok(keyring
        .lookup(repository)
        .into_iter()
        .map(|credential| credential.username.clone())
        .collect())
}

#[tokio::test]
async fn a_plugin_gets_the_image_its_arguments_and_its_environment() {
    let folder = tempfile::tempdir().expect("a folder");
    let dir = folder.path().display();
    plugin(
        folder.path(),
        "p",
        &format!("echo $1 $WHO >{dir}/saw\n{}", says("u", json!({}))),
    );
    let plugins = plugins(folder.path(), &[provider("p", "1h")], PluginLimits::default());
    assert_eq!(users(&plugins, "r.io/a/b").await, Ok(vec!["u".to_owned()]));
    let input = std::fs::read_to_string(folder.path().join("input")).expect("kept");
    let input: Value = serde_json::from_str(&input).expect("JSON");
    assert_eq!(
        input,
        json!({"apiVersion": VERSION, "kind": "CredentialProviderRequest", "image": "r.io/a/b"})
    );
    let saw = std::fs::read_to_string(folder.path().join("saw")).expect("kept");
    assert_eq!(saw, "get from-env\n");
}

#[tokio::test]
async fn a_plugin_is_asked_only_for_images_that_match_and_once_as_long_as_its_answer_holds() {
    let folder = tempfile::tempdir().expect("a folder");
    plugin(folder.path(), "p", &says("u", json!({})));
    let kept = plugins(folder.path(), &[provider("p", "1h")], PluginLimits::default());
    assert_eq!(users(&kept, "other.io/a").await, Ok(Vec::new()));
    assert_eq!(users(&kept, "r.io:5000/a").await, Ok(Vec::new()), "another port");
    assert_eq!(calls(folder.path()), 0);
    let (one, two) = tokio::join!(users(&kept, "r.io/a"), users(&kept, "r.io/b"));
    assert_eq!((one, two), (Ok(vec!["u".to_owned()]), Ok(vec!["u".to_owned()])));
    assert_eq!(
        calls(folder.path()),
        1,
        "the second waits for the answer of the first, which holds for its registry"
    );

    let fresh = plugins(folder.path(), &[provider("p", "0s")], PluginLimits::default());
    users(&fresh, "r.io/a").await.expect("answered");
    users(&fresh, "r.io/a").await.expect("answered");
    assert_eq!(
        calls(folder.path()),
        3,
        "an answer that is not kept is asked for again"
    );
}

#[tokio::test]
async fn a_plugin_that_fails_gives_nothing_and_its_words_are_not_told() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut limits = PluginLimits::default();
    limits.timeout = Duration::from_millis(300);
    limits.max_output_bytes = 10_000;
    for (name, script, why) in [
        (
            "fails",
            "echo hunter2; echo hunter2 >&2; exit 3".to_owned(),
            "failed with exit status: 3",
        ),
        (
            "talks",
            "echo hunter2".to_owned(),
            "it is not a CredentialProviderResponse",
        ),
        (
            "lies",
            says("u", json!({"apiVersion": "v1"})),
            "its apiVersion is not that of the request",
        ),
        ("hangs", "exec sleep 60".to_owned(), "did not answer within"),
        (
            "floods",
            "yes hunter2".to_owned(),
            "answered with more than 10000 bytes",
        ),
    ] {
        plugin(folder.path(), name, &script);
        let plugins = plugins(folder.path(), &[provider(name, "1h")], limits.clone());
        let error = users(&plugins, "r.io/a").await.expect_err(name);
        assert!(
            error.contains(why) && !error.contains("hunter2"),
            "{name}: {error}"
        );
    }
    let absent = plugins(folder.path(), &[provider("absent", "1h")], limits);
    let error = users(&absent, "r.io/a").await.expect_err("not there");
    assert!(error.contains("absent can not be run"), "{error}");
}

#[tokio::test]
async fn one_broken_plugin_does_not_spoil_the_next_and_calls_are_counted() {
    let folder = tempfile::tempdir().expect("a folder");
    plugin(folder.path(), "broken", "exit 1");
    plugin(folder.path(), "good", &says("u", json!({})));
    let mut registry = prometheus_client::registry::Registry::default();
    let metrics = AgentMetrics::register(&mut registry);
    let both = [provider("broken", "1h"), provider("good", "1h")];
    let plugins = plugins(folder.path(), &both, PluginLimits::default()).metrics(&metrics);
    assert_eq!(users(&plugins, "r.io/a").await, Ok(vec!["u".to_owned()]));
    let mut text = String::new();
    prometheus_client::encoding::text::encode(&mut text, &registry).expect("encodes");
    for line in [
        r#"kruise_imagepull_credential_plugin_calls_total{plugin="broken",result="failed"} 1"#,
        r#"kruise_imagepull_credential_plugin_calls_total{plugin="good",result="succeeded"} 1"#,
    ] {
        assert!(text.contains(line), "{text}");
    }
}

struct Fixed(&'static str, Option<&'static str>);

#[async_trait]
impl CredentialProvider for Fixed {
    fn name(&self) -> &str {
        self.0
    }

    async fn credentials(&self, _: &str) -> Result<Keyring, CredentialError> {
        let username = self.1.ok_or_else(|| CredentialError("away".into()))?.to_owned();
        let mut keyring = Keyring::default();
        let password = "hunter2".to_owned();
        keyring.add("r.io", Credential { username, password });
        Ok(keyring)
    }
}

struct OneSecret;

#[async_trait]
impl SecretSource for OneSecret {
    async fn get(&self, _: &SecretReference) -> Result<Option<PullSecret>, SecretError> {
        let config = json!({"auths": {"r.io": {"username": "secret", "password": "hunter2"}}});
        Ok(Some(PullSecret {
            type_: "kubernetes.io/dockerconfigjson".to_owned(),
            data: [(".dockerconfigjson".to_owned(), config.to_string().into_bytes())].into(),
        }))
    }
}

#[tokio::test(start_paused = true)]
async fn secrets_come_before_providers_and_anonymous_last_each_credential_once() {
    let world = World::new();
    world.api.create_node_image(
        "n",
        json!({}),
        json!({"images": {"r.io/a": {"pullSecrets": [{"namespace": "x", "name": "s"}], "tags": [{"tag": "1", "pullPolicy": {}}]}}}),
    );
    *world.providers.lock() = vec![
        Arc::new(Fixed("first", Some("one"))),
        Arc::new(Fixed("away", None)),
        Arc::new(Fixed("second", Some("two"))),
        Arc::new(Fixed("again", Some("one"))),
    ];
    let runtime = ScriptedRuntime::new();
    runtime.script([Answer::Fail(ErrorKind::Unauthorized); 9]);
    let _agent = world.start_agent_with("n", runtime.clone(), Arc::new(OneSecret), AgentConfig::default());
    until("all have been tried", Duration::from_secs(60), || {
        runtime.pulls().len() == 4
    })
    .await;
    let users: Vec<_> = runtime
        .pulls()
        .into_iter()
        .map(|(_, request)| request.credentials.map(|credentials| credentials.username))
        .collect();
    let expected = [Some("secret"), Some("one"), Some("two"), None];
    assert_eq!(users, expected.map(|user| user.map(str::to_owned)));
    until("it has failed", Duration::from_secs(60), || {
        world.api.node_image("n").is_some_and(|node| {
            node.result("r.io/a", "1")
                .is_some_and(|result| result.is_terminal())
        })
    })
    .await;
    let shown = format!("{:?} {:?}", world.api.node_image("n"), world.notes.lock());
    assert!(!shown.contains("hunter2"), "{shown}");
}
