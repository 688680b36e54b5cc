//! What goes to a plugin and what comes back.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use serde::Deserialize;
use serde_json::json;

use super::config::GoDuration;
use crate::plan::keyring::{Credential, Keyring};

/// For which images an answer holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
pub(super) enum CacheKey {
    Image,
    Registry,
    Global,
}

/// What a plugin said.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) key: CacheKey,
    /// `None`: as the configuration says.
    pub(super) cache_duration: Option<Duration>,
    pub(super) keyring: Keyring,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Response {
    api_version: String,
    kind: String,
    cache_key_type: CacheKey,
    cache_duration: Option<GoDuration>,
    auth: Option<BTreeMap<String, Auth>>,
}

#[derive(Deserialize)]
struct Auth {
    #[serde(default)]
    username: String,
    #[serde(default)]
    password: String,
}

impl fmt::Debug for Auth {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Auth(..)")
    }
}

/// Returns the standard input of a plugin.
pub(super) fn request(api_version: &str, image: &str) -> Vec<u8> {
    json!({ "apiVersion": api_version, "kind": "CredentialProviderRequest", "image": image })
        .to_string()
        .into_bytes()
}

/// Reads the standard output of a plugin. What is wrong with it is told without quoting it.
pub(super) fn response(api_version: &str, output: &[u8]) -> Result<Answer, &'static str> {
    let response: Response =
        serde_json::from_slice(output).map_err(|_| "it is not a CredentialProviderResponse in JSON")?;
    if response.kind != "CredentialProviderResponse" {
        return Err("its kind is not CredentialProviderResponse");
    }
    if response.api_version != api_version {
        return Err("its apiVersion is not that of the request");
    }
    let mut keyring = Keyring::default();
    for (key, auth) in response.auth.into_iter().flatten() {
        let Auth { username, password } = auth;
        keyring.add(&key, Credential { username, password });
    }
    Ok(Answer {
        key: response.cache_key_type,
        cache_duration: response.cache_duration.map(|duration| duration.0),
        keyring,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const VERSION: &str = "credentialprovider.kubelet.k8s.io/v1";

    fn read(change: impl FnOnce(&mut serde_json::Value)) -> Result<Answer, &'static str> {
        let mut value = json!({"apiVersion": VERSION, "kind": "CredentialProviderResponse", "cacheKeyType": "Registry",
            "cacheDuration": "6h", "auth": {"*.r.io": {"username": "u", "password": "hunter2"}}});
        change(&mut value);
        response(VERSION, value.to_string().as_bytes())
    }

    #[test]
    fn an_answer_gives_credentials_for_what_its_patterns_fit() {
        let answer = read(|_| {}).expect("readable");
        assert_eq!(
            (answer.key, answer.cache_duration),
            (CacheKey::Registry, Some(Duration::from_secs(21_600)))
        );
        assert_eq!(answer.keyring.lookup("a.r.io/x")[0].username, "u");
        assert!(answer.keyring.lookup("r.io/x").is_empty());
    }

    #[test]
    fn an_answer_may_hold_nothing() {
        let answer = read(|value| value["auth"] = json!(null)).expect("readable");
        assert!(answer.keyring.is_empty());
        let answer = read(|value| drop(value.as_object_mut().map(|value| value.remove("cacheDuration"))))
            .expect("readable");
        assert_eq!(answer.cache_duration, None);
    }

    #[test]
    fn an_answer_of_another_kind_or_version_or_without_a_key_type_is_refused_and_not_quoted() {
        for (field, value) in [
            ("kind", json!("Secret")),
            ("apiVersion", json!("credentialprovider.kubelet.k8s.io/v1beta1")),
            ("cacheKeyType", json!("Node")),
            ("cacheDuration", json!("hunter2")),
        ] {
            let why = read(|answer| answer[field] = value).expect_err(field);
            assert!(!why.contains("hunter2"), "{why}");
        }
        assert!(response(VERSION, b"hunter2").is_err());
    }
}
