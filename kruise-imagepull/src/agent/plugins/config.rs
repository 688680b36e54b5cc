//! The configuration file of the kubelet for credential providers.

use std::collections::HashSet;
use std::time::Duration;

use jiff::SignedDuration;
use serde::{Deserialize, Deserializer};
use thiserror::Error;

const GROUP: &str = "kubelet.config.k8s.io";
const PROVIDER_GROUP: &str = "credentialprovider.kubelet.k8s.io";
const VERSIONS: [&str; 3] = ["v1", "v1beta1", "v1alpha1"];
/// Most providers of one configuration.
const MAX_PROVIDERS: usize = 64;

/// `CredentialProviderConfig` of `kubelet.config.k8s.io/v1`, `v1beta1` or `v1alpha1`, which have the same fields.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct CredentialProviderConfig {
    /// One of the three versions.
    pub api_version: String,
    /// `CredentialProviderConfig`.
    pub kind: String,
    /// The providers, in the order in which their credentials are tried.
    #[serde(default)]
    pub providers: Vec<ProviderConfig>,
}

/// One provider: a program and the images it is asked for.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ProviderConfig {
    /// File name of the program.
    pub name: String,
    /// Images it is asked for: hosts, whose parts may be globs, with an optional port and beginning of a path.
    #[serde(default)]
    pub match_images: Vec<String>,
    /// How long an answer is kept that does not say so itself, such as `12h`; `0s` is not at all.
    pub default_cache_duration: GoDuration,
    /// Version of the protocol the program speaks: `credentialprovider.kubelet.k8s.io/v1`, `v1beta1` or `v1alpha1`.
    pub api_version: String,
    /// Arguments of the program.
    #[serde(default)]
    pub args: Option<Vec<String>>,
    /// Variables for the program, on top of the environment of this process.
    #[serde(default)]
    pub env: Option<Vec<EnvVar>>,
}

/// A variable of the environment.
#[derive(Clone, Debug, Deserialize)]
pub struct EnvVar {
    /// Its name.
    pub name: String,
    /// Its value.
    #[serde(default)]
    pub value: String,
}

/// A time span as Go writes it: `12h`, `1h30m`, `0s`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GoDuration(pub Duration);

impl<'de> Deserialize<'de> for GoDuration {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        if text == "0" {
            return Ok(Self(Duration::ZERO));
        }
        let parsed: Option<SignedDuration> = text.parse().ok();
        parsed
            .and_then(|parsed| Duration::try_from(parsed).ok())
            .map(Self)
            .ok_or_else(|| serde::de::Error::custom("a duration such as 12h or 1h30m is expected"))
    }
}

/// A configuration that can not be used.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{field}: {problem}")]
pub struct PluginConfigError {
    /// Path of the field, such as `providers[0].name`.
    pub field: String,
    /// What is wrong with it.
    pub problem: String,
}

impl CredentialProviderConfig {
    /// Checks the fields, by the rules of the kubelet.
    ///
    /// # Errors
    /// Names the field that can not be used.
    pub fn validate(&self) -> Result<(), PluginConfigError> {
        check(
            self.kind == "CredentialProviderConfig",
            "kind",
            "must be CredentialProviderConfig",
        )?;
        check(
            is_version(&self.api_version, GROUP),
            "apiVersion",
            "must be kubelet.config.k8s.io/v1, v1beta1 or v1alpha1",
        )?;
        check(!self.providers.is_empty(), "providers", "must not be empty")?;
        check(
            self.providers.len() <= MAX_PROVIDERS,
            "providers",
            "must not be more than 64",
        )?;
        let mut names = HashSet::new();
        for (index, provider) in self.providers.iter().enumerate() {
            let field = |name: &str| format!("providers[{index}].{name}");
            let name = provider.name.as_str();
            let is_file =
                !name.is_empty() && !name.contains(['/', '\\', ' ', '\0']) && ![".", ".."].contains(&name);
            check(is_file, &field("name"), "must be the name of a file")?;
            check(names.insert(name), &field("name"), "is there twice")?;
            check(
                is_version(&provider.api_version, PROVIDER_GROUP),
                &field("apiVersion"),
                "must be credentialprovider.kubelet.k8s.io/v1, v1beta1 or v1alpha1",
            )?;
            check(
                !provider.match_images.is_empty(),
                &field("matchImages"),
                "must not be empty",
            )?;
            for image in &provider.match_images {
                let is_host = !image.is_empty() && !image.contains("://") && !image.starts_with('/');
                check(
                    is_host,
                    &field("matchImages"),
                    "must hold hosts with an optional path",
                )?;
            }
            for variable in provider.env.iter().flatten() {
                let is_name = !variable.name.is_empty() && !variable.name.contains(['=', '\0']);
                check(is_name, &field("env"), "must have usable names")?;
            }
        }
        Ok(())
    }
}

fn is_version(text: &str, group: &str) -> bool {
    text.split_once('/')
        .is_some_and(|(of, version)| of == group && VERSIONS.contains(&version))
}

fn check(is_so: bool, field: &str, problem: &str) -> Result<(), PluginConfigError> {
    if is_so {
        return Ok(());
    }
    Err(PluginConfigError {
        field: field.to_owned(),
        problem: problem.to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn config() -> Value {
        json!({"apiVersion": "kubelet.config.k8s.io/v1", "kind": "CredentialProviderConfig", "providers": [{
            "name": "ecr", "matchImages": ["*.dkr.ecr.*.amazonaws.com"], "defaultCacheDuration": "1h30m",
            "apiVersion": "credentialprovider.kubelet.k8s.io/v1", "args": ["get"], "env": [{"name": "A", "value": "b"}],
        }]})
    }

    fn problem(path: &str, value: Value) -> String {
        let mut config = config();
        *config.pointer_mut(path).expect("there") = value;
        let config: CredentialProviderConfig = serde_json::from_value(config).expect("the shape is right");
        config.validate().expect_err("refused").field
    }

    #[test]
    fn the_file_of_the_kubelet_is_understood_in_all_versions() {
        for version in VERSIONS {
            let mut value = config();
            value["apiVersion"] = json!(format!("{GROUP}/{version}"));
            value["providers"][0]["apiVersion"] = json!(format!("{PROVIDER_GROUP}/{version}"));
            let config: CredentialProviderConfig = serde_json::from_value(value).expect("understood");
            assert_eq!(config.validate(), Ok(()));
            assert_eq!(
                config.providers[0].default_cache_duration.0,
                Duration::from_secs(5400)
            );
        }
    }

    #[test]
    fn what_the_kubelet_refuses_is_refused_with_the_path_of_the_field() {
        assert_eq!(problem("/kind", json!("Config")), "kind");
        assert_eq!(problem("/apiVersion", json!("v1")), "apiVersion");
        assert_eq!(problem("/providers", json!([])), "providers");
        for name in ["", ".", "..", "a/b", "a b"] {
            assert_eq!(
                problem("/providers/0/name", json!(name)),
                "providers[0].name",
                "{name}"
            );
        }
        assert_eq!(
            problem(
                "/providers/0/apiVersion",
                json!("credentialprovider.kubelet.k8s.io/v2")
            ),
            "providers[0].apiVersion"
        );
        assert_eq!(
            problem("/providers/0/matchImages", json!([])),
            "providers[0].matchImages"
        );
        assert_eq!(
            problem("/providers/0/matchImages/0", json!("https://r.io")),
            "providers[0].matchImages"
        );
        assert_eq!(
            problem("/providers/0/env/0/name", json!("A=B")),
            "providers[0].env"
        );
        let mut twice = config();
        let first = twice["providers"][0].clone();
        twice["providers"].as_array_mut().expect("a list").push(first);
        let config: CredentialProviderConfig = serde_json::from_value(twice).expect("the shape is right");
        assert_eq!(config.validate().expect_err("refused").field, "providers[1].name");
    }

    #[test]
    fn durations_are_those_of_go() {
        for (text, seconds) in [
            ("12h", Some(43_200)),
            ("0s", Some(0)),
            ("0", Some(0)),
            ("-1s", None),
            ("soon", None),
        ] {
            let read: Option<GoDuration> = serde_json::from_value(json!(text)).ok();
            assert_eq!(read.map(|read| read.0.as_secs()), seconds, "{text}");
        }
    }
}
