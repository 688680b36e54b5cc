use super::*;
use crate::api::PullPhase;
use crate::fixtures::{NodeImageExt as _, at, node, owner, result, task, time};

const NAME: &str = "n";

fn facts(labels: &[(&str, &str)], ready_since: Option<i64>) -> NodeFacts {
    NodeFacts {
        labels: labels
            .iter()
            .map(|(k, v)| ((*k).to_owned(), (*v).to_owned()))
            .collect(),
        ready_since: ready_since.map(at),
        deleting: false,
    }
}

fn plan_with(
    node_image: &NodeImage,
    second: i64,
    owner: impl Fn(&ObjectReference) -> OwnerState,
) -> NodeImagePlan {
    let node = facts(&[], Some(0));
    let config = NodeImagePlanConfig::default();
    plan_node_image(NAME, Some(&node), Some(node_image), owner, at(second), &config, 1)
}

fn plan(node_image: &NodeImage, second: i64) -> NodeImagePlan {
    plan_with(node_image, second, |_| OwnerState::Settled)
}

/// The NodeImage after the only action of the plan, a spec patch.
fn after_spec(node_image: &NodeImage, plan: &NodeImagePlan) -> NodeImage {
    let [NodeImageAction::Spec(patch)] = &plan.actions[..] else {
        panic!("spec patch expected: {plan:?}")
    };
    node_image.patched(patch).expect("the patch applies")
}

fn after_status(node_image: &NodeImage, plan: &NodeImagePlan) -> NodeImage {
    let [NodeImageAction::Status { patch, .. }] = &plan.actions[..] else {
        panic!("status patch expected: {plan:?}")
    };
    node_image.merged(patch)
}

#[test]
fn a_silent_node_fails_after_the_response_timeout() {
    let silent = node(NAME).with_task("nginx", task("1", 2, &["j"]));
    assert_eq!(
        plan(&silent, 61),
        NodeImagePlan {
            actions: vec![],
            requeue_after: Some(Duration::from_secs(539)),
        }
    );
    let plan = plan(&silent, 600);
    let after = after_status(&silent, &plan);
    let failed = after.result("nginx", "1").expect("there");
    assert_eq!((failed.phase.clone(), failed.version), (PullPhase::Failed, 2));
    assert_eq!(failed.message, "node has not responded for a long time");
    assert_eq!(failed.completion_time, Some(time(600)));
    let status = after.status.expect("there");
    assert_eq!((status.desired, status.failed), (1, 1));
    let [NodeImageAction::Status { failed, patch }] = &plan.actions[..] else {
        panic!("{plan:?}")
    };
    assert_eq!(failed[0].owners, [owner("j")]);
    assert_eq!(
        patch["metadata"]["resourceVersion"], "1",
        "the write is refused if the agent was faster"
    );
}

#[test]
fn a_result_of_an_older_version_is_no_answer() {
    let old = node(NAME)
        .with_task("nginx", task("1", 2, &["j"]))
        .with_result("nginx", result("1", 1, PullPhase::Succeeded));
    assert!(matches!(
        plan(&old, 600).actions[..],
        [NodeImageAction::Status { .. }]
    ));
}

#[test]
fn a_task_beyond_its_deadline_fails_a_response_timeout_later() {
    let mut late = task("1", 0, &["j"]);
    late.pull_policy.as_mut().expect("set").active_deadline_seconds = Some(1800);
    let late = node(NAME)
        .with_task("nginx", late)
        .with_result("nginx", result("1", 0, PullPhase::Pulling));
    assert_eq!(plan(&late, 2399).actions, []);
    let after = after_status(&late, &plan(&late, 2400));
    let failed = after.result("nginx", "1").expect("there");
    assert_eq!(failed.message, "pulling exceeds the activeDeadlineSeconds");
    assert_eq!(failed.start_time, Some(time(1)));
}

#[test]
fn a_node_that_dies_in_the_middle_of_a_pull_does_not_keep_its_job_open() {
    let dead = node(NAME)
        .with_task("nginx", task("1", 0, &["j"]))
        .with_result("nginx", result("1", 0, PullPhase::Pulling));
    // 4 attempts of 600 s with waits of at most 66 s, from second 1, and the response timeout.
    let limit = 1 + 4 * 666 + 600;
    assert_eq!(plan(&dead, limit - 1).actions, []);
    assert!(matches!(
        plan(&dead, limit).actions[..],
        [NodeImageAction::Status { .. }]
    ));
}

#[test]
fn a_task_that_stays_queued_fails_after_a_day() {
    let queued = crate::api::ImageTagStatus {
        start_time: None,
        ..result("1", 0, PullPhase::Waiting)
    };
    let queued = node(NAME)
        .with_task("nginx", task("1", 0, &["j"]))
        .with_result("nginx", queued);
    assert_eq!(plan(&queued, 24 * 3600 - 1).actions, []);
    assert!(matches!(
        plan(&queued, 24 * 3600).actions[..],
        [NodeImageAction::Status { .. }]
    ));
}

#[test]
fn failing_a_task_keeps_other_results_and_drops_those_without_a_task() {
    let mixed = node(NAME)
        .with_task("nginx", task("1", 0, &["j"]))
        .with_task("nginx", task("2", 0, &["j"]))
        .with_result("nginx", result("2", 0, PullPhase::Pulling))
        .with_result("gone", result("1", 0, PullPhase::Succeeded));
    let after = after_status(&mixed, &plan(&mixed, 700));
    let status = after.status.clone().expect("there");
    assert_eq!(
        (status.desired, status.failed, status.pulling, status.succeeded),
        (2, 1, 1, 0)
    );
    assert_eq!(status.image_statuses.keys().collect::<Vec<_>>(), ["nginx"]);
    assert_eq!(
        after.result("nginx", "2").map(|result| result.phase.clone()),
        Some(PullPhase::Pulling)
    );
}

fn ended(version: i64) -> NodeImage {
    node(NAME)
        .with_task("nginx", task("1", 1, &["j"]))
        .with_result("nginx", result("1", version, PullPhase::Succeeded))
}

#[test]
fn a_result_is_dropped_when_its_time_is_over_and_the_image_with_its_last_tag() {
    let node_image = ended(1);
    assert_eq!(
        plan(&node_image, 100).requeue_after,
        Some(Duration::from_secs(10))
    );
    let after = after_spec(&node_image, &plan(&node_image, 111));
    assert!(after.spec.images.is_empty());
    let two = ended(1).with_task("nginx", task("2", 0, &["j"]));
    let after = after_spec(&two, &plan(&two, 111));
    assert_eq!(after.spec.images["nginx"].tags.len(), 1);
}

#[test]
fn a_result_of_an_older_version_does_not_expire() {
    assert_eq!(plan(&ended(0), 111).actions, []);
}

#[test]
fn kruise_1517_a_result_stays_while_its_job_is_running() {
    let running = plan_with(&ended(1), 100_000, |_| OwnerState::Running);
    assert_eq!(running, NodeImagePlan::default());
    let mixed = node(NAME)
        .with_task("nginx", task("1", 1, &["done", "running"]))
        .with_result("nginx", result("1", 1, PullPhase::Succeeded));
    let state = |reference: &ObjectReference| match reference.uid.as_deref() {
        Some("running") => OwnerState::Running,
        _ => OwnerState::Settled,
    };
    assert_eq!(plan_with(&mixed, 100_000, state).actions, []);
}

#[test]
fn a_lost_owner_is_taken_out_and_the_task_stays_for_the_other() {
    let state = |reference: &ObjectReference| match reference.uid.as_deref() {
        Some("alive") => OwnerState::Running,
        _ => OwnerState::Gone,
    };
    let shared = node(NAME).with_task("nginx", task("1", 0, &["dead", "alive", "dead too"]));
    let after = after_spec(&shared, &plan_with(&shared, 10, state));
    assert_eq!(
        after.task("nginx", "1").expect("kept").owner_references,
        [owner("alive")]
    );
}

#[test]
fn a_task_without_a_living_owner_is_dropped() {
    let lonely = node(NAME).with_task("nginx", task("1", 0, &["recreated under a new uid"]));
    let gone = |_: &ObjectReference| OwnerState::Gone;
    assert!(
        after_spec(&lonely, &plan_with(&lonely, 10, gone))
            .spec
            .images
            .is_empty()
    );
    let fresh = plan_with(&lonely, 4, gone);
    assert_eq!(
        fresh.actions,
        [],
        "a watch of jobs that lags behind costs no task"
    );
    assert!(fresh.requeue_after >= Some(Duration::from_secs(3)));
}

#[test]
fn owners_of_other_groups_are_kept() {
    let mut foreign = task("1", 0, &["x"]);
    foreign.owner_references[0].api_version = Some("example.com/v1".into());
    foreign.owner_references[0].kind = Some("Foo".into());
    let node_image = node(NAME).with_task("nginx", foreign);
    assert_eq!(plan_with(&node_image, 10, |_| OwnerState::Gone).actions, []);
}

#[test]
fn a_task_without_owners_is_kept_until_its_time_is_over() {
    let node_image = node(NAME)
        .with_task("nginx", task("1", 0, &[]))
        .with_result("nginx", result("1", 0, PullPhase::Failed));
    assert_eq!(plan_with(&node_image, 109, |_| OwnerState::Gone).actions, []);
    assert!(
        after_spec(&node_image, &plan_with(&node_image, 110, |_| OwnerState::Gone))
            .spec
            .images
            .is_empty()
    );
}

#[test]
fn a_task_without_creation_time_is_dropped() {
    let node_image = node(NAME).with_task(
        "nginx",
        crate::api::ImageTagSpec {
            created_at: None,
            ..task("1", 0, &[])
        },
    );
    assert!(
        after_spec(&node_image, &plan(&node_image, 0))
            .spec
            .images
            .is_empty()
    );
}

#[test]
fn a_node_image_goes_with_its_node_unless_it_is_fake() {
    let config = NodeImagePlanConfig::default();
    let plan = |node_image: &NodeImage, node: Option<&NodeFacts>| {
        plan_node_image(
            NAME,
            node,
            Some(node_image),
            |_| OwnerState::Settled,
            at(0),
            &config,
            1,
        )
        .actions
    };
    assert_eq!(plan(&node(NAME), None), [NodeImageAction::Delete]);
    let leaving = NodeFacts {
        deleting: true,
        ..facts(&[], Some(0))
    };
    assert_eq!(plan(&node(NAME), Some(&leaving)), [NodeImageAction::Delete]);
    assert_eq!(plan(&node(NAME).with_labels(&[(FAKE_NODE_IMAGE, "")]), None), []);
}

#[test]
fn kruise_791_a_node_gets_its_node_image_when_it_has_been_ready_for_a_while() {
    let config = NodeImagePlanConfig::default();
    let plan = |node: &NodeFacts, second| {
        plan_node_image(
            NAME,
            Some(node),
            None,
            |_| OwnerState::Gone,
            at(second),
            &config,
            1,
        )
    };
    assert_eq!(plan(&facts(&[], None), 0), NodeImagePlan::default());
    assert_eq!(
        plan(&facts(&[], Some(0)), 10).requeue_after,
        Some(Duration::from_secs(20))
    );
    let labels = [("zone", "1")];
    let created = plan(&facts(&labels, Some(0)), 30).actions;
    assert_eq!(
        created,
        [NodeImageAction::Create {
            labels: facts(&labels, None).labels
        }]
    );
    assert_eq!(
        plan(&facts(&[("type", "virtual-kubelet")], Some(0)), 99),
        NodeImagePlan::default()
    );
}

#[test]
fn labels_follow_the_node() {
    let config = NodeImagePlanConfig::default();
    let node = facts(&[("a", "2"), ("b", "1")], Some(0));
    let node_image = self::node(NAME).with_labels(&[("a", "1"), ("c", "1"), (FAKE_NODE_IMAGE, "")]);
    let plan = plan_node_image(
        NAME,
        Some(&node),
        Some(&node_image),
        |_| OwnerState::Settled,
        at(0),
        &config,
        1,
    );
    let expected = json!({"metadata": {"labels": {"a": "2", "b": "1", "c": null}}});
    assert_eq!(plan.actions, [NodeImageAction::Labels(expected)]);
}
