//! What a request asks for: path and query taken apart.

use std::collections::BTreeMap;

/// A path of the API.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Route {
    /// `/api`
    CoreVersions,
    /// `/apis`
    Groups,
    /// `/apis/{group}`
    Group(String),
    /// `/api/v1` or `/apis/{group}/{version}`
    Resources { group: String, version: String },
    /// `/version`
    Version,
    /// `/healthz`, `/livez`, `/readyz`
    Health,
    /// A collection or an object.
    Resource(ResourcePath),
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct ResourcePath {
    pub(crate) group: String,
    pub(crate) version: String,
    pub(crate) namespace: Option<String>,
    pub(crate) plural: String,
    pub(crate) name: Option<String>,
    pub(crate) subresource: Option<String>,
}

impl Route {
    /// `None` for a path no server knows.
    pub(crate) fn parse(path: &str) -> Option<Self> {
        let parts: Vec<String> = path
            .split('/')
            .filter(|part| !part.is_empty())
            .map(|part| decode(part, false))
            .collect();
        let parts: Vec<&str> = parts.iter().map(String::as_str).collect();
        match &*parts {
            ["version"] => Some(Self::Version),
            ["healthz" | "livez" | "readyz", ..] => Some(Self::Health),
            ["api"] => Some(Self::CoreVersions),
            ["apis"] => Some(Self::Groups),
            ["apis", group] => Some(Self::Group((*group).to_owned())),
            ["api", version] => Some(Self::Resources {
                group: String::new(),
                version: (*version).to_owned(),
            }),
            ["apis", group, version] => Some(Self::Resources {
                group: (*group).to_owned(),
                version: (*version).to_owned(),
            }),
            ["api", version, rest @ ..] => ResourcePath::parse("", version, rest).map(Self::Resource),
            ["apis", group, version, rest @ ..] => {
                ResourcePath::parse(group, version, rest).map(Self::Resource)
            }
            _ => None,
        }
    }
}

impl ResourcePath {
    fn parse(group: &str, version: &str, rest: &[&str]) -> Option<Self> {
        let (namespace, rest) = match rest {
            // These two are parts of a namespace, not resources in it.
            ["namespaces", _, "status" | "finalize"] if group.is_empty() => (None, rest),
            ["namespaces", namespace, rest @ ..] if !rest.is_empty() => (Some((*namespace).to_owned()), rest),
            _ => (None, rest),
        };
        let (plural, name, subresource) = match rest {
            [plural] => (plural, None, None),
            [plural, name] => (plural, Some(name), None),
            [plural, name, subresource] => (plural, Some(name), Some(subresource)),
            _ => return None,
        };
        Some(Self {
            group: group.to_owned(),
            version: version.to_owned(),
            namespace,
            plural: (*plural).to_owned(),
            name: name.map(|name| (*name).to_owned()),
            subresource: subresource.map(|subresource| (*subresource).to_owned()),
        })
    }
}

/// The query. Of a parameter given twice the first counts.
#[derive(Clone, Debug, Default)]
pub(crate) struct Query(BTreeMap<String, String>);

impl Query {
    /// Takes `&` at odd places, as clients send.
    pub(crate) fn parse(query: &str) -> Self {
        let mut values = BTreeMap::new();
        for pair in query.split('&').filter(|pair| !pair.is_empty()) {
            let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
            values
                .entry(decode(key, true))
                .or_insert_with(|| decode(value, true));
        }
        Self(values)
    }

    /// A value that is not empty.
    pub(crate) fn get(&self, key: &str) -> Option<&str> {
        self.0
            .get(key)
            .map(String::as_str)
            .filter(|value| !value.is_empty())
    }

    /// Adds to a comma-separated value.
    pub(crate) fn append(&mut self, key: &str, value: &str) {
        let old = self.0.entry(key.to_owned()).or_default();
        if !old.is_empty() {
            old.push(',');
        }
        old.push_str(value);
    }

    pub(crate) fn flag(&self, key: &str) -> bool {
        matches!(self.0.get(key).map(String::as_str), Some("" | "true" | "1"))
    }
}

/// Undoes percent encoding.
fn decode(text: &str, plus_is_space: bool) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, tail @ ..] = rest {
        rest = tail;
        let escaped = match (first, tail) {
            (b'%', [high, low, after @ ..]) => hex(*high)
                .zip(hex(*low))
                .map(|(high, low)| (high * 16 + low, after)),
            _ => None,
        };
        match escaped {
            Some((byte, after)) => {
                bytes.push(byte);
                rest = after;
            }
            None if *first == b'+' && plus_is_space => bytes.push(b' '),
            None => bytes.push(*first),
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

fn hex(digit: u8) -> Option<u8> {
    char::from(digit)
        .to_digit(16)
        .and_then(|digit| u8::try_from(digit).ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn resource(path: &str) -> ResourcePath {
        match Route::parse(path) {
            Some(Route::Resource(path)) => path,
            other => panic!("{path} is {other:?}"),
        }
    }

    #[test]
    fn paths_name_group_version_namespace_name_and_subresource() {
        let path = resource("/apis/apps.kruise.io/v1alpha1/namespaces/ns/clonesets/a/status");
        assert_eq!(
            path,
            ResourcePath {
                group: "apps.kruise.io".into(),
                version: "v1alpha1".into(),
                namespace: Some("ns".into()),
                plural: "clonesets".into(),
                name: Some("a".into()),
                subresource: Some("status".into()),
            }
        );
        let path = resource("/api/v1/nodes");
        assert_eq!((&*path.plural, path.name, path.namespace), ("nodes", None, None));
    }

    #[test]
    fn a_namespace_is_an_object_and_a_folder() {
        assert_eq!(resource("/api/v1/namespaces/a").name.as_deref(), Some("a"));
        let finalize = resource("/api/v1/namespaces/a/finalize");
        assert_eq!(finalize.subresource.as_deref(), Some("finalize"));
        let pods = resource("/api/v1/namespaces/a/pods");
        assert_eq!((&*pods.plural, pods.namespace.as_deref()), ("pods", Some("a")));
    }

    #[test]
    fn queries_may_begin_with_an_ampersand_and_are_decoded() {
        let query = Query::parse("&limit=500&labelSelector=a%3Db%2Cc+in+%28d%29&watch=true&x");
        assert_eq!(query.get("limit"), Some("500"));
        assert_eq!(query.get("labelSelector"), Some("a=b,c in (d)"));
        assert!(query.flag("watch") && query.flag("x") && !query.flag("y"));
        assert_eq!(decode("%zz%4", true), "%zz%4");
    }
}
