//! The rights that the webhook needs, and no more.

use k8s_openapi::api::rbac::v1::PolicyRule;

use crate::api::names::{GROUP, KRUISE_CONFIGURATION, PLURAL};

/// Returns the rights of the [pod webhook](super::PodWebhook), for a ClusterRole. Those of certificates and webhook
/// configurations come on top: see `kruise_core::webhook::server`.
pub fn pod_webhook() -> Vec<PolicyRule> {
    vec![
        rule(GROUP, PLURAL, &["list", "watch"]),
        // `get` is for namespaces that the cache does not have yet.
        rule("", "namespaces", &["get", "list", "watch"]),
    ]
}

/// Returns the rights of the pod webhook in the namespace of the revisions, for a Role there.
pub fn revisions() -> Vec<PolicyRule> {
    vec![rule("apps", "controllerrevisions", &["list", "watch"])]
}

/// Returns the rights of admission of SidecarSets in the namespace of `kruise-configuration`, for a Role there.
pub fn configuration() -> Vec<PolicyRule> {
    let named = PolicyRule {
        resource_names: Some(vec![KRUISE_CONFIGURATION.to_owned()]),
        ..rule("", "configmaps", &["list", "watch"])
    };
    vec![named]
}

/// Returns the rights of an [audit](super::Audit) beside those of the pod webhook.
pub fn audit() -> Vec<PolicyRule> {
    vec![rule("", "pods", &["list", "watch"])]
}

fn rule(group: &str, resource: &str, verbs: &[&str]) -> PolicyRule {
    let owned = |text: &str| text.to_owned();
    PolicyRule {
        api_groups: Some(vec![owned(group)]),
        resources: Some(vec![owned(resource)]),
        verbs: verbs.iter().copied().map(owned).collect(),
        ..PolicyRule::default()
    }
}
