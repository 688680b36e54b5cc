//! Which pods a set is for.

use std::fmt;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{LabelSelector, LabelSelectorRequirement};
use kruise_core::policy::{Labels, Selector, SelectorError};

use super::names::NAMESPACE_NAME;
use super::sidecarset::SidecarSetSpec;

/// A selector of a set that means nothing.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{field} is not valid")]
pub struct ScopeError {
    /// Path of the field.
    pub field: &'static str,
    /// What is wrong with it.
    #[source]
    pub source: SelectorError,
}

/// Why a pod is not one of a set's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Mismatch {
    /// The set has no selector, or an empty one, and so is for no pod.
    NoSelector,
    /// The set is for other namespaces.
    Namespace,
    /// The set looks at labels of the namespace, and those are not known.
    NamespaceUnknown,
    /// The labels of the pod are not those that the set asks for.
    Labels,
}

impl fmt::Display for Mismatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NoSelector => "the set has no selector",
            Self::Namespace => "the set is for other namespaces",
            Self::NamespaceUnknown => "the labels of the namespace are not known",
            Self::Labels => "its labels are not those of the selector",
        })
    }
}

/// The namespace of a pod, as far as it is known.
#[derive(Clone, Copy)]
pub struct NamespaceFacts<'n> {
    /// Its name.
    pub name: &'n str,
    /// Its labels; `None` if they can not be read.
    pub labels: Option<&'n dyn Labels>,
}

impl fmt::Debug for NamespaceFacts<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NamespaceFacts")
            .field("name", &self.name)
            .field("has_labels", &self.labels.is_some())
            .finish()
    }
}

impl Labels for NamespaceFacts<'_> {
    fn label(&self, key: &str) -> Option<&str> {
        let own = self.labels.and_then(|labels| labels.label(key));
        // Servers before 1.21 do not set the label.
        own.or_else(|| (key == NAMESPACE_NAME).then_some(self.name))
    }
}

/// Which pods a set is for, compiled once: by namespace, by the labels of the namespace, by the labels of the pod.
///
/// No namespace is left out by itself: release 0.8 ignored `kube-system` and `kube-public`, later ones do not.
///
/// ```
/// use kruise_sidecar::api::{Mismatch, NamespaceFacts, Scope, SidecarSetSpec};
/// use std::collections::BTreeMap;
///
/// let spec: SidecarSetSpec =
///     serde_json::from_str(r#"{"selector": {"matchLabels": {"app": "web"}}, "namespace": "shop"}"#)?;
/// let scope = Scope::compile(&spec).unwrap();
/// let labels = BTreeMap::from([("app".to_owned(), "web".to_owned())]);
/// let shop = NamespaceFacts { name: "shop", labels: None };
/// assert_eq!(scope.matches(&shop, &labels), Ok(()));
/// let bank = NamespaceFacts { name: "bank", labels: None };
/// assert_eq!(scope.matches(&bank, &labels), Err(Mismatch::Namespace));
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Scope {
    /// `namespace` and `namespaceSelector` in one.
    namespaces: Selector,
    /// Whether the name of a namespace is all that has to be known of it.
    by_name: bool,
    /// `None` matches nothing.
    pods: Option<Selector>,
}

impl Scope {
    /// Compiles the selectors of a set.
    ///
    /// # Errors
    /// One of them means nothing.
    pub fn compile(spec: &SidecarSetSpec) -> Result<Self, ScopeError> {
        let compile = |field, selector: &LabelSelector| {
            Selector::compile(selector).map_err(|source| ScopeError { field, source })
        };
        let mut namespaces = spec.namespace_selector.clone().unwrap_or_default();
        if !spec.namespace.is_empty() {
            namespaces
                .match_expressions
                .get_or_insert_default()
                .push(LabelSelectorRequirement {
                    key: NAMESPACE_NAME.to_owned(),
                    operator: "In".to_owned(),
                    values: Some(vec![spec.namespace.clone()]),
                });
        }
        let by_name = keys(&namespaces).all(|key| key == NAMESPACE_NAME);
        let pods = spec.selector.as_ref().filter(|selector| !is_empty(selector));
        Ok(Self {
            namespaces: compile("spec.namespaceSelector", &namespaces)?,
            by_name,
            pods: pods
                .map(|selector| compile("spec.selector", selector))
                .transpose()?,
        })
    }

    /// Returns whether a pod with these labels in this namespace is one of the set's, or why it is not.
    ///
    /// # Errors
    /// Why it is not.
    pub fn matches(&self, namespace: &NamespaceFacts<'_>, labels: &impl Labels) -> Result<(), Mismatch> {
        let Some(pods) = &self.pods else {
            return Err(Mismatch::NoSelector);
        };
        if !pods.matches(labels) {
            return Err(Mismatch::Labels);
        }
        if !self.by_name && namespace.labels.is_none() {
            return Err(Mismatch::NamespaceUnknown);
        }
        match self.namespaces.matches(namespace) {
            true => Ok(()),
            false => Err(Mismatch::Namespace),
        }
    }

    /// Whether labels of namespaces have to be read.
    pub fn needs_namespace_labels(&self) -> bool {
        !self.by_name
    }

    /// Whether some pod in some namespace may be one of both sets. Exact, but that all labels are taken for possible.
    pub fn overlaps(&self, other: &Self) -> bool {
        let pods = self.pods.as_ref().zip(other.pods.as_ref());
        pods.is_some_and(|(one, other)| one.overlaps(other)) && self.namespaces.overlaps(&other.namespaces)
    }
}

/// Whether a selector asks for nothing.
pub(in crate::api) fn is_empty(selector: &LabelSelector) -> bool {
    keys(selector).next().is_none()
}

/// The keys of labels that a selector asks for.
pub(crate) fn keys(selector: &LabelSelector) -> impl Iterator<Item = &str> {
    let labels = selector
        .match_labels
        .iter()
        .flatten()
        .map(|(key, _)| key.as_str());
    let expressions = selector.match_expressions.iter().flatten();
    labels.chain(expressions.map(|requirement| requirement.key.as_str()))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use serde_json::{Value, json};

    use super::*;

    fn scope(spec: Value) -> Scope {
        Scope::compile(&serde_json::from_value(spec).expect("a spec")).expect("valid")
    }

    fn labels(of: &[(&str, &str)]) -> BTreeMap<String, String> {
        of.iter()
            .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
            .collect()
    }

    fn named(name: &str) -> NamespaceFacts<'_> {
        NamespaceFacts { name, labels: None }
    }

    #[test]
    fn a_set_without_a_selector_is_for_no_pod() {
        for spec in [
            json!({}),
            json!({"selector": {}}),
            json!({"selector": {"matchLabels": {}}}),
        ] {
            assert_eq!(
                scope(spec).matches(&named("a"), &labels(&[])),
                Err(Mismatch::NoSelector)
            );
        }
    }

    #[test]
    fn the_namespace_by_name_needs_no_labels() {
        let by_field = scope(json!({"selector": {"matchLabels": {"app": "web"}}, "namespace": "shop"}));
        let by_label = scope(json!({"selector": {"matchLabels": {"app": "web"}},
            "namespaceSelector": {"matchLabels": {NAMESPACE_NAME: "shop"}}}));
        assert_eq!(by_field, by_label);
        let web = labels(&[("app", "web")]);
        assert!(!by_field.needs_namespace_labels());
        assert_eq!(by_field.matches(&named("shop"), &web), Ok(()));
        assert_eq!(by_field.matches(&named("bank"), &web), Err(Mismatch::Namespace));
        assert_eq!(
            by_field.matches(&named("shop"), &labels(&[])),
            Err(Mismatch::Labels)
        );
    }

    #[test]
    fn a_namespace_whose_labels_are_not_known_matches_no_selector() {
        let scope = scope(json!({"selector": {"matchLabels": {"app": "web"}},
            "namespaceSelector": {"matchExpressions": [{"key": "team", "operator": "DoesNotExist"}]}}));
        let web = labels(&[("app", "web")]);
        assert!(scope.needs_namespace_labels());
        assert_eq!(
            scope.matches(&named("shop"), &web),
            Err(Mismatch::NamespaceUnknown)
        );
        for (of, result) in [
            (labels(&[]), Ok(())),
            (labels(&[("team", "a")]), Err(Mismatch::Namespace)),
        ] {
            let shop = NamespaceFacts {
                name: "shop",
                labels: Some(&of),
            };
            assert_eq!(scope.matches(&shop, &web), result);
        }
    }

    #[test]
    fn an_invalid_selector_is_told_with_its_field() {
        let bad = json!({"matchExpressions": [{"key": "a", "operator": "Is"}]});
        for field in ["selector", "namespaceSelector"] {
            let spec = serde_json::from_value(json!({ field: bad })).expect("a spec");
            let error = Scope::compile(&spec).expect_err("an unknown operator");
            assert_eq!(error.to_string(), format!("spec.{field} is not valid"));
        }
    }
}
