//! The rights that the crate names are the ones that its parts use.

mod support;

use std::collections::BTreeSet;
use std::time::Duration;

use k8s_openapi::api::rbac::v1::PolicyRule;
use kruise_core::runtime::Clock as _;
use kruise_imagepull::caches::NodeView;
use kruise_imagepull::plan::nodeimage::NodeFacts;
use kruise_imagepull::rbac;
use serde_json::json;
use support::api::Fault;
use support::runtime::ScriptedRuntime;
use support::{World, pass, until};

/// Resource and verb of a line of the log.
fn right(line: &str) -> (String, String) {
    let mut words = line.split(' ').skip(1);
    let verb = match words.next().unwrap_or_default() {
        "GET" => "get",
        "POST" => "create",
        "PATCH" => "patch",
        "DELETE" => "delete",
        other => other,
    };
    let path = words
        .next()
        .unwrap_or_default()
        .trim_start_matches("/apis/apps.kruise.io/v1alpha1/")
        .trim_start_matches("/api/v1/");
    let mut parts = path.split('/');
    let mut resource = parts.next().unwrap_or_default();
    if resource == "namespaces" {
        resource = parts.nth(1).unwrap_or_default();
    }
    let name = parts.next();
    let subresource = parts.next().map(|sub| format!("/{sub}")).unwrap_or_default();
    let verb = if verb == "get" && name.is_none() {
        "list"
    } else {
        verb
    };
    (format!("{resource}{subresource}"), verb.to_owned())
}

/// The rights of these rules but those of the caches, which the test does not drive by requests.
fn granted(rules: Vec<PolicyRule>) -> BTreeSet<(String, String)> {
    let of = |rule: PolicyRule| {
        let resource = rule.resources.unwrap_or_default().remove(0);
        rule.verbs.into_iter().map(move |verb| (resource.clone(), verb))
    };
    rules
        .into_iter()
        .flat_map(of)
        .filter(|(_, verb)| verb != "list" && verb != "watch")
        .collect()
}

#[tokio::test(start_paused = true)]
async fn every_right_is_used_and_every_use_has_a_right() {
    let world = World::new();
    world.start_controllers();
    let node = |version: &str, zone: &str| NodeView {
        name: "a".to_owned(),
        uid: "u".to_owned(),
        resource_version: version.to_owned(),
        facts: NodeFacts {
            labels: [("zone".to_owned(), zone.to_owned())].into(),
            ready_since: Some(world.clock.now()),
            deleting: false,
        },
    };
    world.api.set_node(node("1", "1"));
    pass(40).await;
    world.api.set_node(node("2", "2"));
    pass(1).await;
    let _agent = world.start_agent("a", &ScriptedRuntime::new());
    world.api.create_fake_node("silent");
    world.api.fault("nodeimages/silent", [Fault::LoseAnswer]);
    world.api.put_secret(
        "pull",
        json!({"metadata": {"name": "pull", "namespace": "team"},
        "type": "kubernetes.io/dockerconfigjson", "data": {".dockerconfigjson": "e30="}}),
    );
    let spec = json!({"image": "nginx", "pullSecrets": ["pull"], "parallelism": 2, "completionPolicy": {"ttlSecondsAfterFinished": 5}});
    world.api.create_job("j", spec);
    until("the job is gone", Duration::from_secs(9999), || {
        world.api.job("j").is_none()
    })
    .await;
    world.api.delete_node("a");
    pass(60).await;
    // The job controller leaves the deletion of copies to the other, unless one is in its way.
    let shared = |who: &str, right: &(String, String)| {
        (who == "jobs" && right.0 == "secrets" && ["patch", "delete"].contains(&right.1.as_str()))
            || (who == "copies" && right.0 == "secrets" && ["create", "patch"].contains(&right.1.as_str()))
    };
    for (who, rules) in [
        ("jobs", [rbac::job_controller(), rbac::secret_copies()].concat()),
        ("copies", rbac::secret_copies()),
        ("nodeimages", rbac::node_image_controller()),
        ("agent", rbac::agent()),
    ] {
        let log = world.api.log();
        let used: BTreeSet<_> = log
            .iter()
            .filter(|line| line.starts_with(&format!("{who} ")))
            .map(|line| right(line))
            // The caches do so anyway.
            .filter(|(_, verb)| verb != "list")
            .collect();
        let granted: BTreeSet<_> = granted(rules)
            .into_iter()
            .filter(|right| used.contains(right) || !shared(who, right))
            .collect();
        assert_eq!(used, granted, "{who}");
    }
}
