//! The rights that each part needs, and no more.

use k8s_openapi::api::rbac::v1::PolicyRule;

use super::WriterConfig;
use crate::manager::rbac::rule;

/// Returns the rights of [`SharedCertificates`](super::SharedCertificates) in a [`KubeSecret`](super::KubeSecret) of
/// that name, for a Role in its namespace. RBAC cannot restrict `create` to a name.
pub fn certificates(secret: &str) -> Vec<PolicyRule> {
    vec![
        rule("", "secrets", None, &["create"]),
        rule("", "secrets", Some(secret), &["get", "patch"]),
    ]
}

/// Returns the rights of a [`ConfigurationWriter`](super::ConfigurationWriter) on the two webhook configurations, for a
/// ClusterRole. They must exist: to let the writer create them, add `create` on both kinds.
pub fn configurations(config: &WriterConfig) -> Vec<PolicyRule> {
    let group = "admissionregistration.k8s.io";
    let named = |resource, name: &str| rule(group, resource, Some(name), &["get", "patch"]);
    vec![
        named("mutatingwebhookconfigurations", &config.mutating_name),
        named("validatingwebhookconfigurations", &config.validating_name),
    ]
}

/// Returns the rights of a [`ConfigurationWriter`](super::ConfigurationWriter) on a definition whose objects the router
/// converts, for a ClusterRole.
pub fn conversion(definition: &str) -> Vec<PolicyRule> {
    let (group, resource) = ("apiextensions.k8s.io", "customresourcedefinitions");
    vec![rule(group, resource, Some(definition), &["get", "patch"])]
}
