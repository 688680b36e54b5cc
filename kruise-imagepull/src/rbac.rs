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
        // Those that jobs name, in the namespaces of the jobs.
        rule("", "secrets", &["get"]),
    ]
}

/// Returns the rights of the [controller of lists](crate::list) and the caches it reads.
pub fn list_controller() -> Vec<PolicyRule> {
    vec![
        rule(GROUP, "imagelistpulljobs", &["list", "watch", "patch", "delete"]),
        rule(GROUP, "imagelistpulljobs/status", &["patch"]),
        rule(GROUP, "imagepulljobs", &["list", "watch", "create", "delete"]),
        // Where the API server lets only those name an owner to be deleted after who may change that owner's finalizers.
        rule(GROUP, "imagelistpulljobs/finalizers", &["update"]),
    ]
}

/// Returns the rights of the job controller and of the [controller of copies](crate::secrets) in the namespace of the
/// copies, for a Role there. The latter needs `list` and `watch` of jobs beside them.
pub fn secret_copies() -> Vec<PolicyRule> {
    vec![rule(
        "",
        "secrets",
        &["list", "watch", "create", "patch", "delete"],
    )]
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

/// Returns the rights of the [agent](crate::agent) and the cache it reads, for all nodes alike. It never writes a spec.
/// Where each node has credentials of its own, [`agent_of`] is narrower.
pub fn agent() -> Vec<PolicyRule> {
    vec![
        rule(GROUP, "nodeimages", &["list", "watch"]),
        rule(GROUP, "nodeimages/status", &["patch"]),
    ]
}

/// Returns the rights of the [agent](crate::agent) of one node: its own NodeImage, and no other.
pub fn agent_of(node: &str) -> Vec<PolicyRule> {
    let mut rules = agent();
    for rule in &mut rules {
        // The API server compares the field selector `metadata.name` of a list or watch with the names of a rule.
        rule.resource_names = Some(vec![node.to_owned()]);
    }
    rules
}

/// Returns the right of agents to read the copies of pull secrets, for a Role in their namespace.
pub fn agent_secrets() -> Vec<PolicyRule> {
    vec![rule("", "secrets", &["get"])]
}

fn rule(group: &str, resource: &str, verbs: &[&str]) -> PolicyRule {
    PolicyRule {
        api_groups: Some(vec![group.to_owned()]),
        resources: Some(vec![resource.to_owned()]),
        verbs: verbs.iter().map(|verb| (*verb).to_owned()).collect(),
        ..PolicyRule::default()
    }
}
