//! The rights that each part needs, and no more.

use k8s_openapi::api::rbac::v1::PolicyRule;

/// Returns the rights of an [`EventWriter`](super::EventWriter), for a ClusterRole: Events are in the namespace of the
/// object that they are about, and those of objects without a namespace in `default`.
pub fn events() -> Vec<PolicyRule> {
    vec![rule("", "events", None, &["create", "patch"])]
}

/// Returns the rights of a [`LeaderElection`](super::LeaderElection) for the Lease of that name, for a Role in its
/// namespace. RBAC cannot restrict `create` to a name.
pub fn leader_election(lease: &str) -> Vec<PolicyRule> {
    let group = "coordination.k8s.io";
    vec![
        rule(group, "leases", None, &["create"]),
        rule(group, "leases", Some(lease), &["get", "patch"]),
    ]
}

/// The right to these verbs on a resource, or on one object of it.
pub(crate) fn rule(group: &str, resource: &str, name: Option<&str>, verbs: &[&str]) -> PolicyRule {
    PolicyRule {
        api_groups: Some(vec![group.to_owned()]),
        resources: Some(vec![resource.to_owned()]),
        resource_names: name.map(|name| vec![name.to_owned()]),
        verbs: verbs.iter().map(|verb| (*verb).to_owned()).collect(),
        ..PolicyRule::default()
    }
}
