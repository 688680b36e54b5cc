//! The rights that the controller needs, and no more.

use k8s_openapi::api::rbac::v1::PolicyRule;

use crate::api::names::{GROUP, PLURAL};

/// Returns the rights of the controller, for a ClusterRole.
pub fn controller() -> Vec<PolicyRule> {
    vec![
        rule(GROUP, &[PLURAL], &["get", "list", "watch"]),
        rule(GROUP, &["sidecarsets/status"], &["patch"]),
        rule("", &["pods"], &["get", "list", "watch", "patch"]),
        rule("", &["pods/status"], &["patch"]),
        rule("", &["namespaces"], &["list", "watch"]),
    ]
}

/// Returns the rights of the controller in the namespace of the revisions, for a Role there.
pub fn revisions() -> Vec<PolicyRule> {
    let verbs = ["get", "list", "watch", "create", "patch", "delete"];
    vec![rule("apps", &["controllerrevisions"], &verbs)]
}

fn rule(group: &str, resources: &[&str], verbs: &[&str]) -> PolicyRule {
    let owned = |text: &&str| (*text).to_owned();
    PolicyRule {
        api_groups: Some(vec![group.to_owned()]),
        resources: Some(resources.iter().map(owned).collect()),
        verbs: verbs.iter().map(owned).collect(),
        ..PolicyRule::default()
    }
}
