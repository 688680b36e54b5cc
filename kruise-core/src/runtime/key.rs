//! How the runtime names objects, and how it compares their versions.

use std::cmp::Ordering;
use std::fmt;
use std::sync::Arc;

use kube_core::Resource;

/// Namespace and name of an object: what queues hold and reconcilers are given.
///
/// Cheap to clone (two reference counts). Displays as `namespace/name`, or `name` for a cluster-scoped object.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ObjectKey {
    /// Namespace; `None` for cluster-scoped kinds.
    pub namespace: Option<Arc<str>>,
    /// Name, unique for the kind inside the namespace.
    pub name: Arc<str>,
}

impl ObjectKey {
    /// The key of a namespaced object.
    pub fn new(namespace: impl Into<Arc<str>>, name: impl Into<Arc<str>>) -> Self {
        Self {
            namespace: Some(namespace.into()),
            name: name.into(),
        }
    }

    /// The key of a cluster-scoped object.
    pub fn cluster(name: impl Into<Arc<str>>) -> Self {
        Self {
            namespace: None,
            name: name.into(),
        }
    }

    /// The key of any Kubernetes object. An object without a name (never sent by a server) has an empty one.
    pub fn of<K: Resource>(object: &K) -> Self {
        let meta = object.meta();
        Self {
            namespace: meta.namespace.as_deref().map(Arc::from),
            name: Arc::from(meta.name.as_deref().unwrap_or_default()),
        }
    }

    /// The namespace, or `""` for a cluster-scoped object.
    pub fn namespace_str(&self) -> &str {
        self.namespace.as_deref().unwrap_or_default()
    }
}

impl fmt::Display for ObjectKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.namespace {
            Some(namespace) => write!(f, "{namespace}/{}", self.name),
            None => f.write_str(&self.name),
        }
    }
}

impl fmt::Debug for ObjectKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// What a [`Cache`](super::Cache) must know of the objects it holds.
///
/// Implemented for every Kubernetes type; implement it by hand for a projected type that keeps only what is read.
///
/// ```
/// use kruise_core::runtime::{Cache, Cached, ObjectKey};
///
/// /// A node as a scheduler of yours may need it.
/// struct SmallNode { name: String, uid: String, version: String, zone: String }
///
/// impl Cached for SmallNode {
///     fn key(&self) -> ObjectKey { ObjectKey::cluster(self.name.as_str()) }
///     fn uid(&self) -> &str { &self.uid }
///     fn resource_version(&self) -> &str { &self.version }
/// }
/// let node = SmallNode { name: "n1".into(), uid: "7".into(), version: "1".into(), zone: "a".into() };
/// let (cache, _writer) = Cache::offline([node]);
/// let by_zone = cache.index(|node: &SmallNode| [node.zone.clone()]);
/// assert_eq!(cache.count_by_index(&by_zone, &"a".to_owned()), 1);
/// ```
pub trait Cached: Send + Sync + 'static {
    /// Namespace and name.
    fn key(&self) -> ObjectKey;
    /// The uid; empty only for objects that no server has seen.
    fn uid(&self) -> &str;
    /// The resourceVersion; empty only for objects that no server has seen.
    fn resource_version(&self) -> &str;
}

impl<K: Resource<DynamicType = ()> + Send + Sync + 'static> Cached for K {
    fn key(&self) -> ObjectKey {
        ObjectKey::of(self)
    }

    fn uid(&self) -> &str {
        self.meta().uid.as_deref().unwrap_or_default()
    }

    fn resource_version(&self) -> &str {
        self.meta().resource_version.as_deref().unwrap_or_default()
    }
}

/// Orders two resourceVersions of one kind as unsigned integers, which Kubernetes promises since 1.35 and has always
/// done. `None` when one of them is no integer and they differ.
pub fn compare_versions(left: &str, right: &str) -> Option<Ordering> {
    match (left.parse::<u64>(), right.parse::<u64>()) {
        (Ok(left), Ok(right)) => Some(left.cmp(&right)),
        _ => (left == right).then_some(Ordering::Equal),
    }
}

/// Whether something seen at version `observed` includes the write that returned version `expected`.
///
/// An expected version that is empty or no integer can only be met by equality, or, when it is empty, always.
pub fn version_at_least(observed: &str, expected: &str) -> bool {
    expected.is_empty() || compare_versions(observed, expected).is_some_and(Ordering::is_ge)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_compare_as_numbers_and_not_as_text() {
        assert!(version_at_least("100", "99"));
        assert!(!version_at_least("99", "100"));
        assert!(version_at_least("99", "99"));
    }

    #[test]
    fn versions_that_are_no_numbers_are_met_by_equality_alone() {
        assert!(version_at_least("abc", "abc"));
        assert!(!version_at_least("abd", "abc"));
        assert!(!version_at_least("12", "abc"));
        assert_eq!(compare_versions("abc", "abd"), None);
    }

    #[test]
    fn an_empty_expected_version_is_always_met() {
        assert!(version_at_least("", ""));
        assert!(version_at_least("5", ""));
        assert!(!version_at_least("", "5"));
    }

    #[test]
    fn keys_display_their_namespace_only_when_they_have_one() {
        assert_eq!(ObjectKey::new("default", "web").to_string(), "default/web");
        assert_eq!(ObjectKey::cluster("node-1").to_string(), "node-1");
        assert_eq!(ObjectKey::cluster("node-1").namespace_str(), "");
    }
}
