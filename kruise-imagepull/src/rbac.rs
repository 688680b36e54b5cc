//! The rights that each part needs, and no more: for ClusterRoles, and for those who embed a part alone.
//!
//! Rights to write Events come on top if Events are recorded.

use k8s_openapi::api::rbac::v1::PolicyRule;
use kruise_core::api::names::GROUP;

/// Returns the rights of the [job controller](crate::job) and the caches it reads.
pub fn job_controller() -> Vec<PolicyRule> {
    vec![
        rule(GROUP, "imagepulljobs", &["list", "watch", "delete"]),
        rule(GROUP, "imagepulljobs/status", &["patch"]),
        rule(GROUP, "nodeimages", &["get", "list", "watch", "patch"]),
        rule("", "pods", &["list", "watch"]),
    ]
}

/// Returns the rights of the [NodeImage controller](crate::nodeimage) and the caches it reads.
pub fn node_image_controller() -> Vec<PolicyRule> {
    vec![
        rule(GROUP, "imagepulljobs", &["list", "watch"]),
        rule(
            GROUP,
            "nodeimages",
            &["list", "watch", "create", "patch", "delete"],
        ),
        rule(GROUP, "nodeimages/status", &["patch"]),
        rule("", "nodes", &["list", "watch"]),
    ]
}

/// Returns the rights of the [agent](crate::agent) and the cache it reads. It never writes a spec, and it may read no
/// Secret: add [`pull_secrets`] where private images are pulled.
pub fn agent() -> Vec<PolicyRule> {
    vec![
        rule(GROUP, "nodeimages", &["list", "watch"]),
        rule(GROUP, "nodeimages/status", &["patch"]),
    ]
}

/// Returns the right to read exactly these Secrets, for a Role in their namespace.
pub fn pull_secrets(names: impl IntoIterator<Item = String>) -> PolicyRule {
    PolicyRule {
        resource_names: Some(names.into_iter().collect()),
        ..rule("", "secrets", &["get"])
    }
}

fn rule(group: &str, resource: &str, verbs: &[&str]) -> PolicyRule {
    PolicyRule {
        api_groups: Some(vec![group.to_owned()]),
        resources: Some(vec![resource.to_owned()]),
        verbs: verbs.iter().map(|verb| (*verb).to_owned()).collect(),
        ..PolicyRule::default()
    }
}
