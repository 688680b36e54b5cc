//! Registry credentials out of pull secrets, by the rules of the kubelet: which entries fit an image, in which order.

use std::collections::{BTreeMap, HashMap};
use std::fmt;

use base64::engine::DecodePaddingMode;
use base64::engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig};
use base64::{Engine as _, alphabet};
use serde::Deserialize;
use thiserror::Error;

mod glob;
#[cfg(test)]
mod tests;

/// Type and data key of the current kind of pull secret.
pub const DOCKER_CONFIG_JSON: (&str, &str) = ("kubernetes.io/dockerconfigjson", ".dockerconfigjson");
/// Type and data key of the old kind of pull secret.
pub const DOCKER_CFG: (&str, &str) = ("kubernetes.io/dockercfg", ".dockercfg");

const DOCKER_HUB_KEY: &str = "index.docker.io";

/// User name and password for a registry. Its `Debug` form shows neither.
#[derive(Clone, PartialEq, Eq)]
pub struct Credential {
    /// User name.
    pub username: String,
    /// Password or token.
    pub password: String,
}

impl fmt::Debug for Credential {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Credential(..)")
    }
}

/// A pull secret that can not be read. Never quotes its content.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum KeyringError {
    /// The secret lacks the data key that its type promises.
    #[error("the data key {0} is missing")]
    MissingKey(&'static str),
    /// The configuration is not the JSON that is expected.
    #[error("the registry configuration is not valid JSON")]
    Json,
    /// A field `auth` is not base64 of `user:password`.
    #[error("a field auth is not base64 of user:password")]
    Auth,
}

/// Credentials by registry key.
#[derive(Clone, Debug, Default)]
pub struct Keyring {
    /// Sorted by key, ascending.
    entries: BTreeMap<String, Vec<Credential>>,
}

#[derive(Deserialize)]
struct ConfigJson {
    #[serde(default)]
    auths: HashMap<String, AuthEntry>,
}

#[derive(Deserialize)]
struct AuthEntry {
    #[serde(default)]
    username: String,
    #[serde(default)]
    password: String,
    #[serde(default)]
    auth: String,
}

impl Keyring {
    /// Adds what a Secret of type `type_` holds. Secrets of other types hold nothing for us and are no error.
    ///
    /// # Errors
    /// The secret says that it holds credentials but can not be read; nothing is added then.
    pub fn add_secret<V: AsRef<[u8]>>(
        &mut self,
        type_: &str,
        data: &BTreeMap<String, V>,
    ) -> Result<(), KeyringError> {
        let get = |key: &'static str| {
            data.get(key)
                .map(|value| value.as_ref())
                .ok_or(KeyringError::MissingKey(key))
        };
        let auths = if type_ == DOCKER_CONFIG_JSON.0 {
            let config: ConfigJson =
                serde_json::from_slice(get(DOCKER_CONFIG_JSON.1)?).map_err(|_| KeyringError::Json)?;
            config.auths
        } else if type_ == DOCKER_CFG.0 {
            serde_json::from_slice(get(DOCKER_CFG.1)?).map_err(|_| KeyringError::Json)?
        } else {
            return Ok(());
        };
        let read: Result<Vec<_>, _> = auths
            .into_iter()
            .map(|(key, entry)| Ok((key, credential(entry)?)))
            .collect();
        let mut read = read?;
        // The order inside a JSON object means nothing; make the outcome the same every time.
        read.sort_by(|a, b| (&a.0, &a.1.username).cmp(&(&b.0, &b.1.username)));
        for (key, credential) in read {
            self.add(&key, credential);
        }
        Ok(())
    }

    /// Adds a credential for all images that `key` fits: a host such as `r.io`, `*.r.io:5000` or `https://r.io/v1/`, with
    /// or without the beginning of a path.
    pub fn add(&mut self, key: &str, credential: Credential) {
        let known = self.entries.entry(index_key(key)).or_default();
        if !known.contains(&credential) {
            known.push(credential);
        }
    }

    /// Returns the credentials to try for `repository` (fully qualified, without tag: `docker.io/library/nginx`), the
    /// most specific key first. Without a fitting key, images of Docker Hub get those of `index.docker.io`.
    pub fn lookup(&self, repository: &str) -> Vec<&Credential> {
        let target = Location::of(repository);
        let mut found: Vec<&Credential> = Vec::new();
        for (key, credentials) in self.entries.iter().rev() {
            if Location::of(key).fits(&target) {
                found.extend(credentials);
            }
        }
        if found.is_empty() && is_docker_hub(repository) {
            found.extend(self.entries.get(DOCKER_HUB_KEY).into_iter().flatten());
        }
        found
    }

    /// Adds all that another holds, behind what is there for the same key.
    pub fn extend(&mut self, other: Self) {
        for (key, credentials) in other.entries {
            for credential in credentials {
                self.add(&key, credential);
            }
        }
    }

    /// Returns whether there is nothing in it.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }
}

/// Registry users write keys with scheme, API path and trailing slash; what counts is host and path.
fn index_key(key: &str) -> String {
    let rest = key
        .strip_prefix("https://")
        .or_else(|| key.strip_prefix("http://"))
        .unwrap_or(key);
    let (host, path) = rest.find('/').map_or((rest, ""), |slash| rest.split_at(slash));
    let api = ["/v1/", "/v2/"].iter().find_map(|api| path.strip_prefix(api));
    let path = match api {
        Some(rest) => rest,
        None => path.strip_prefix('/').unwrap_or(path),
    };
    if path.is_empty() {
        host.to_owned()
    } else {
        format!("{host}/{path}")
    }
}

fn credential(entry: AuthEntry) -> Result<Credential, KeyringError> {
    if entry.auth.is_empty() {
        return Ok(Credential {
            username: entry.username,
            password: entry.password,
        });
    }
    // Written with and without padding in the field.
    let config = GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent);
    let decoded = GeneralPurpose::new(&alphabet::STANDARD, config)
        .decode(entry.auth.trim())
        .ok()
        .and_then(|bytes| String::from_utf8(bytes).ok())
        .ok_or(KeyringError::Auth)?;
    let (username, password) = decoded.split_once(':').ok_or(KeyringError::Auth)?;
    Ok(Credential {
        username: username.to_owned(),
        password: password.to_owned(),
    })
}

/// Returns whether `key`, a host with an optional beginning of a path, fits `repository`. Parts of the host may be globs.
pub fn fits(key: &str, repository: &str) -> bool {
    let key = index_key(key);
    Location::of(&key).fits(&Location::of(repository))
}

struct Location<'a> {
    host: &'a str,
    port: Option<&'a str>,
    path: &'a str,
}

impl<'a> Location<'a> {
    fn of(text: &'a str) -> Self {
        let (authority, path) = text.find('/').map_or((text, ""), |slash| text.split_at(slash));
        let (host, port) = authority
            .split_once(':')
            .map_or((authority, None), |(host, port)| (host, Some(port)));
        Self { host, port, path }
    }

    /// Returns whether this key, whose host parts may be globs, fits `target`.
    fn fits(&self, target: &Location<'_>) -> bool {
        self.port == target.port
            && self.host.split('.').count() == target.host.split('.').count()
            && self
                .host
                .split('.')
                .zip(target.host.split('.'))
                .all(|(pattern, part)| glob::fits(pattern, part))
            && target.path.starts_with(self.path)
    }
}

fn is_docker_hub(repository: &str) -> bool {
    match repository.split_once('/') {
        None => true,
        Some(("docker.io" | "index.docker.io", _)) => true,
        Some((first, _)) => !first.contains(['.', ':']) && first != "localhost",
    }
}
