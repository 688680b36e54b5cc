use std::time::Duration;

use super::*;
use crate::api::{FailedReason, ImageTagStatus, MAX_FAILED_REASONS};
use crate::fixtures::{NodeImageExt as _, at, job, job_from, node, owner, result, task, time};

mod context;

fn plan<'a>(job: &ImagePullJob, nodes: &'a [NodeImage]) -> JobPlan<'a> {
    plan_at(job, nodes, 100)
}

fn plan_at<'a>(job: &ImagePullJob, nodes: &'a [NodeImage], second: i64) -> JobPlan<'a> {
    plan_job(
        job,
        nodes,
        &JobContext {
            secrets: own_secrets(job),
            ..JobContext::default()
        },
        at(second),
        &JobPlanConfig::default(),
        1,
    )
}

/// The secrets of a job as nodes could read them if they were not copied.
fn own_secrets(job: &ImagePullJob) -> Vec<SecretReference> {
    let names = job.spec.pull_secrets.iter();
    let reference = |name: &String| SecretReference {
        namespace: "team".into(),
        name: name.clone(),
    };
    names.map(reference).collect()
}

fn status(plan: &JobPlan<'_>) -> ImagePullJobStatus {
    plan.status.clone().expect("the plan has a status")
}

fn dispatched<'a>(plan: &JobPlan<'a>) -> Vec<&'a str> {
    plan.dispatch
        .iter()
        .filter_map(|dispatch| dispatch.node_image.metadata.name.as_deref())
        .collect()
}

/// What the node looks like after the only dispatch of the plan.
fn after_dispatch(plan: &JobPlan<'_>) -> NodeImage {
    let [dispatch] = &plan.dispatch[..] else {
        panic!("one dispatch expected: {:?}", plan.dispatch)
    };
    dispatch
        .node_image
        .patched(&dispatch.patch)
        .expect("the patch applies")
}

fn running(mut job: ImagePullJob, started: i64) -> ImagePullJob {
    job.status.get_or_insert_default().start_time = Some(time(started));
    job
}

#[test]
fn a_result_of_an_older_version_counts_as_active() {
    let nodes = [
        node("a")
            .with_task("nginx", task("1", 1, &["j"]))
            .with_result("nginx", result("1", 1, PullPhase::Succeeded)),
        node("b")
            .with_task("nginx", task("1", 1, &["j"]))
            .with_result("nginx", result("1", 0, PullPhase::Succeeded)),
        node("c"),
    ];
    let plan = plan(&job("j", "nginx:1"), &nodes);
    let status = status(&plan);
    assert_eq!(
        (status.desired, status.succeeded, status.active, status.failed),
        (3, 1, 1, 0)
    );
    assert_eq!(status.message, "job is running, progress 33.3%");
    assert_eq!(dispatched(&plan), [""; 0]);
    assert_eq!(plan.decisions[2].verdict, Verdict::NoSlot);
}

#[test]
fn kruise_1271_a_node_with_results_of_other_tags_only_is_active() {
    let node = node("a")
        .with_task("nginx", task("1", 0, &["j"]))
        .with_result("nginx", result("2", 0, PullPhase::Succeeded));
    let nodes = [node, self::node("b")];
    let plan = plan(&job("j", "nginx:1"), &nodes);
    assert_eq!((status(&plan).active, plan.dispatch.len()), (1, 0));
}

#[test]
fn a_tag_of_another_job_is_joined_with_a_new_version() {
    let nodes = [node("a")
        .with_task("nginx", task("1", 3, &["k"]))
        .with_result("nginx", result("1", 3, PullPhase::Succeeded))];
    let after = after_dispatch(&plan(&job("j", "nginx:1"), &nodes));
    let joined = after.task("nginx", "1").expect("there");
    assert_eq!(joined.version, 4);
    assert_eq!(joined.owner_references, [owner("k"), owner("j")]);
    assert_eq!(joined.created_at, Some(time(100)));
    assert_eq!(status(&plan(&job("j", "nginx:1"), &[after])).active, 1);
}

#[test]
fn an_always_job_without_nodes_completes_at_once() {
    let status = status(&plan(&job("j", "nginx"), &[]));
    assert_eq!(
        (status.desired, status.message.as_str()),
        (0, "job has completed")
    );
    assert_eq!(status.completion_time, Some(time(100)));
}

#[test]
fn a_never_job_without_nodes_does_not_complete() {
    let status = status(&plan(
        &job_from("j", "{image: nginx, completionPolicy: {type: Never}}"),
        &[],
    ));
    assert_eq!(
        (status.completion_time, status.message.as_str()),
        (None, "job is running, no progress")
    );
}

#[test]
fn a_never_job_whose_nodes_have_all_ended_does_not_complete() {
    let job = job_from("j", "{image: 'nginx:1', completionPolicy: {type: Never}}");
    let nodes = [node("a")
        .with_task("nginx", task("1", 0, &["j"]))
        .with_result("nginx", result("1", 0, PullPhase::Succeeded))];
    let status = status(&plan(&job, &nodes));
    assert_eq!(
        (status.completion_time, status.message.as_str()),
        (None, "job is running, progress 100.0%")
    );
}

#[test]
fn the_deadline_fails_whatever_has_not_ended() {
    let job = running(
        job_from(
            "j",
            "{image: 'nginx:1', completionPolicy: {activeDeadlineSeconds: 300}}",
        ),
        0,
    );
    let failed = ImageTagStatus {
        message: "no such image".into(),
        ..result("1", 0, PullPhase::Failed)
    };
    let nodes = [
        node("a")
            .with_task("nginx", task("1", 0, &["j"]))
            .with_result("nginx", failed),
        node("b")
            .with_task("nginx", task("1", 0, &["j"]))
            .with_result("nginx", result("1", 0, PullPhase::Pulling)),
        node("c"),
    ];
    let plan = plan_at(&job, &nodes, 600);
    let status = status(&plan);
    assert_eq!((status.active, status.failed, plan.dispatch.len()), (0, 3, 0));
    assert_eq!(status.failed_nodes, ["a", "b", "c"]);
    assert_eq!(status.completion_time, Some(time(600)));
    assert_eq!(status.message, "job exceeds activeDeadlineSeconds");
    assert_eq!(status.failed_reasons[0].example_node, "b");
    assert_eq!(status.failed_reasons[0].nodes, 2);
    assert_eq!(status.failed_reasons[1].message, "no such image");
}

#[test]
fn a_job_with_a_deadline_looks_again_when_it_is_over() {
    let job = running(
        job_from(
            "j",
            "{image: 'nginx:1', completionPolicy: {activeDeadlineSeconds: 300}}",
        ),
        0,
    );
    let nodes = [node("a")];
    assert_eq!(
        plan_at(&job, &nodes, 100).requeue_after,
        Some(Duration::from_secs(200))
    );
    assert_eq!(
        plan_at(&job, &nodes, 299).requeue_after,
        Some(Duration::from_secs(1))
    );
}

#[test]
fn only_free_slots_are_filled_in_the_order_of_names() {
    let job = job_from("j", "{image: 'nginx:1', parallelism: 2}");
    let nodes = [
        node("e"),
        node("d"),
        node("c").with_task("nginx", task("1", 0, &["j"])),
        node("b"),
        node("a"),
    ];
    let plan = plan(&job, &nodes);
    assert_eq!(dispatched(&plan), ["a"]);
    let verdicts: Vec<_> = plan
        .decisions
        .iter()
        .map(|decision| (decision.node, decision.verdict))
        .collect();
    let expected = [
        ("a", Verdict::Dispatch),
        ("b", Verdict::NoSlot),
        ("c", Verdict::Active),
        ("d", Verdict::NoSlot),
        ("e", Verdict::NoSlot),
    ];
    assert_eq!(verdicts, expected);
}

#[test]
fn listed_names_are_served_in_the_order_of_the_list() {
    let job = job_from(
        "j",
        "{image: nginx, parallelism: 2, selector: {names: [n3, ghost, n1, n2]}}",
    );
    let nodes = [node("n1"), node("n2"), node("n3"), node("n4")];
    let plan = plan(&job, &nodes);
    assert_eq!(dispatched(&plan), ["n3", "n1"]);
    assert_eq!(status(&plan).desired, 3);
}

#[test]
fn parallelism_zero_pauses() {
    let nodes = [node("a"), node("b")];
    let plan = plan(&job_from("j", "{image: nginx, parallelism: 0}"), &nodes);
    assert_eq!((status(&plan).active, plan.dispatch.len()), (0, 0));
    assert_eq!(status(&plan).message, "job is running, progress 0.0%");
    assert!(
        plan.decisions
            .iter()
            .all(|decision| decision.verdict == Verdict::Paused)
    );
}

#[test]
fn a_percentage_is_refused_with_a_message() {
    let nodes = [node("a")];
    let plan = plan(&job_from("j", "{image: nginx, parallelism: 50%}"), &nodes);
    assert_eq!(plan.dispatch, []);
    assert_eq!(plan.invalid.len(), 1);
    let expected =
        "job is not valid: spec.parallelism: \"50%\" is a percentage; only a number of nodes is supported";
    assert_eq!(status(&plan).message, expected);
}

#[test]
fn a_new_round_starts_above_the_version_of_the_last_result() {
    let nodes = [node("a").with_result("nginx", result("1", 4, PullPhase::Succeeded))];
    let after = after_dispatch(&plan(&job("j", "nginx:1"), &nodes));
    assert_eq!(after.task("nginx", "1").map(|task| task.version), Some(5));
}

#[test]
fn an_empty_selector_selects_every_node_and_an_empty_list_none() {
    let nodes = [node("a"), node("b")];
    let desired = |spec| status(&plan(&job_from("j", spec), &nodes)).desired;
    assert_eq!(desired("{image: nginx, selector: {}}"), 2);
    assert_eq!(desired("{image: nginx, selector: {names: []}}"), 0);
    assert_eq!(desired("{image: nginx, selector: {names: [b, ghost]}}"), 1);
}

#[test]
fn labels_of_the_node_image_decide() {
    let nodes = [
        node("a").with_labels(&[("pool", "gpu"), ("zone", "1")]),
        node("b").with_labels(&[("pool", "cpu")]),
        node("c"),
    ];
    let names = |spec: &str| {
        let spec = format!("{{image: nginx, parallelism: 9, selector: {spec}}}");
        dispatched(&plan(&job_from("j", &spec), &nodes)).join(",")
    };
    assert_eq!(names("{matchLabels: {pool: gpu}}"), "a");
    assert_eq!(
        names("{matchExpressions: [{key: pool, operator: Exists}]}"),
        "a,b"
    );
    assert_eq!(
        names("{matchExpressions: [{key: pool, operator: NotIn, values: [gpu]}]}"),
        "b,c"
    );
    assert_eq!(
        names("{matchLabels: {pool: gpu}, matchExpressions: [{key: zone, operator: DoesNotExist}]}"),
        ""
    );
}

#[test]
fn a_completed_job_is_deleted_when_its_time_is_over() {
    let mut job = job_from(
        "j",
        "{image: nginx, completionPolicy: {ttlSecondsAfterFinished: 20}}",
    );
    job.status = Some(ImagePullJobStatus {
        completion_time: Some(time(0)),
        ..Default::default()
    });
    assert_eq!(plan_at(&job, &[], 19).requeue_after, Some(Duration::from_secs(1)));
    assert!(!plan_at(&job, &[], 19).delete);
    assert!(plan_at(&job, &[], 20).delete);
    job.spec.completion_policy.ttl_seconds_after_finished = None;
    assert_eq!(plan_at(&job, &[], 9999), JobPlan::default());
}

#[test]
fn the_limits_of_the_first_job_stay() {
    let nodes = [node("a")];
    let mut first = job_from("j", "{image: 'nginx:1', pullPolicy: {timeoutSeconds: 50}}");
    first.metadata.uid = Some("first".into());
    let nodes = [after_dispatch(&plan(&first, &nodes))];
    let second = job_from("k", "{image: 'nginx:1', pullPolicy: {timeoutSeconds: 600}}");
    let after = after_dispatch(&plan(&second, &nodes));
    let policy = after
        .task("nginx", "1")
        .and_then(|task| task.pull_policy.clone())
        .expect("there");
    assert_eq!(
        (policy.timeout_seconds, policy.backoff_limit),
        (Some(50), Some(3))
    );
}

fn limits(spec: &str) -> (i32, Option<i64>) {
    let nodes = [node("a")];
    let after = after_dispatch(&plan(&job_from("j", spec), &nodes));
    let policy = after
        .spec
        .images
        .values()
        .next()
        .and_then(|image| image.tags[0].pull_policy.clone())
        .expect("there");
    (
        policy.ttl_seconds_after_finished.expect("always set"),
        policy.active_deadline_seconds,
    )
}

#[test]
fn results_live_a_little_longer_than_their_job() {
    let (ttl, deadline) = limits("{image: nginx}");
    assert!((2100..=2399).contains(&ttl) && deadline.is_none(), "{ttl}");
    let (ttl, _) = limits("{image: nginx, completionPolicy: {ttlSecondsAfterFinished: 20}}");
    assert!((320..=619).contains(&ttl), "{ttl}");
    let (ttl, deadline) = limits("{image: nginx, completionPolicy: {activeDeadlineSeconds: 900}}");
    assert!((1200..=1499).contains(&ttl) && deadline == Some(900), "{ttl}");
    let (ttl, deadline) = limits("{image: nginx, completionPolicy: {type: Never}}");
    assert!(
        (85_800..=86_999).contains(&ttl) && deadline == Some(1800),
        "{ttl}"
    );
    let (_, deadline) =
        limits("{image: nginx, pullPolicy: {timeoutSeconds: 4000}, completionPolicy: {type: Never}}");
    assert_eq!(deadline, Some(4000));
}

#[test]
fn pull_secrets_are_added_once() {
    let first = job_from("j", "{image: 'nginx:1', pullSecrets: [a, b]}");
    let nodes = [node("n")];
    let after = after_dispatch(&plan(&first, &nodes));
    let nodes = [after];
    let after = after_dispatch(&plan(
        &job_from("k", "{image: 'nginx:2', pullSecrets: [b, c]}"),
        &nodes,
    ));
    let names: Vec<_> = after.spec.images["nginx"]
        .pull_secrets
        .iter()
        .map(|s| format!("{}/{}", s.namespace, s.name))
        .collect();
    assert_eq!(names, ["team/a", "team/b", "team/c"]);
}

#[test]
fn tags_stay_sorted() {
    let nodes = [node("n")
        .with_task("nginx", task("a", 0, &[]))
        .with_task("nginx", task("c", 0, &[]))];
    let after = after_dispatch(&plan(&job("j", "nginx:b"), &nodes));
    let tags: Vec<_> = after.spec.images["nginx"]
        .tags
        .iter()
        .map(|task| task.tag.as_str())
        .collect();
    assert_eq!(tags, ["a", "b", "c"]);
}

#[test]
fn kruise_1517_a_patch_for_an_older_object_is_refused() {
    let nodes = [node("n")];
    let (j, k) = (job("j", "nginx:1"), job("k", "nginx:1"));
    let (plan_j, plan_k) = (plan(&j, &nodes), plan(&k, &nodes));
    let after = nodes[0]
        .patched(&plan_j.dispatch[0].patch)
        .expect("first writer wins");
    assert!(after.patched(&plan_k.dispatch[0].patch).is_err());
    let nodes = [after];
    let both = after_dispatch(&plan(&k, &nodes));
    assert_eq!(
        both.task("nginx", "1").map(|task| task.owner_references.len()),
        Some(2)
    );
}

#[test]
fn image_names_with_slashes_are_escaped_in_patches() {
    let nodes = [node("n").with_task("nginx", task("1", 0, &[]))];
    let after = after_dispatch(&plan(&job("j", "reg.example.com/a/b:1"), &nodes));
    let names: Vec<_> = after.spec.images.keys().cloned().collect();
    assert_eq!(names, ["nginx", "reg.example.com/a/b"]);
}

#[test]
fn a_full_node_is_passed_over_and_looked_at_again() {
    let full = (0..256).fold(node("a"), |node, index| {
        node.with_task(&format!("i{index}"), task("1", 0, &[]))
    });
    let nodes = [full, node("b")];
    let plan = plan(&job("j", "nginx"), &nodes);
    assert_eq!(dispatched(&plan), ["b"]);
    assert_eq!(plan.decisions[0].verdict, Verdict::NodeFull);
    assert_eq!(plan.requeue_after, Some(Duration::from_secs(60)));
}

#[test]
fn a_status_that_says_the_same_is_not_written() {
    let nodes = [node("a")];
    let mut job = job("j", "nginx");
    let first = status(&plan(&job, &nodes));
    assert!(status_differs(job.status.as_ref(), &first));
    job.status = Some(first);
    assert!(!status_differs(
        job.status.as_ref(),
        &status(&plan_at(&job, &nodes, 101))
    ));
}

#[test]
fn a_server_that_drops_failed_reasons_is_not_written_to_again_and_again() {
    let with = ImagePullJobStatus {
        failed: 1,
        failed_reasons: vec![FailedReason {
            message: "m".into(),
            nodes: 1,
            example_node: "a".into(),
        }],
        ..Default::default()
    };
    let without = ImagePullJobStatus {
        failed_reasons: Vec::new(),
        ..with.clone()
    };
    assert!(!status_differs(Some(&without), &with));
}

#[test]
fn failed_reasons_are_grouped_and_bounded() {
    let nodes: Vec<_> = (0..40)
        .map(|index| {
            let message = format!("reason {}", if index < 20 { 0 } else { index });
            let failed = ImageTagStatus {
                message,
                ..result("1", 0, PullPhase::Failed)
            };
            node(&format!("n{index:02}"))
                .with_task("nginx", task("1", 0, &["j"]))
                .with_result("nginx", failed)
        })
        .collect();
    let reasons = status(&plan(&job("j", "nginx:1"), &nodes)).failed_reasons;
    assert_eq!(reasons.len(), MAX_FAILED_REASONS);
    assert_eq!((reasons[0].message.as_str(), reasons[0].nodes), ("reason 0", 20));
    assert_eq!(reasons.iter().map(|reason| reason.nodes).sum::<i32>(), 40);
    assert_eq!(reasons[9].message, "12 other reasons");
}
