//! What a job depends on beside NodeImages, and tasks of several jobs in one patch.

use super::*;

fn plan_with<'a>(job: &ImagePullJob, nodes: &'a [NodeImage], context: &JobContext) -> JobPlan<'a> {
    plan_job(job, nodes, context, at(100), &JobPlanConfig::default(), 1)
}

#[test]
fn nodes_of_pods_are_served_in_their_order_and_unknown_ones_skipped() {
    let job = job_from("j", "{image: 'nginx:1', podSelector: {}, parallelism: 5}");
    let nodes = [node("a"), node("b"), node("c")];
    let context = JobContext {
        pod_nodes: ["c", "ghost", "a"].map(str::to_owned).to_vec(),
        ..JobContext::default()
    };
    let plan = plan_with(&job, &nodes, &context);
    assert_eq!((dispatched(&plan), status(&plan).desired), (vec!["c", "a"], 2));
}

#[test]
fn pods_that_have_ended_or_have_no_node_select_nothing() {
    use crate::plan::select::pod_nodes;
    use k8s_openapi::api::core::v1::{Pod, PodStatus};
    use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
    use kruise_core::runtime::SlimPod;
    use kruise_core::testing::build::PodBuilder;
    let slim = |pod: Pod| SlimPod::from_pod(&pod).expect("a pod");
    let on = |name: &str, node: &str| {
        PodBuilder::new(name)
            .namespace("team")
            .uid(name)
            .on_node(node)
            .build()
    };
    let phase = |mut pod: Pod, phase: &str| {
        pod.status = Some(PodStatus {
            phase: Some(phase.into()),
            ..PodStatus::default()
        });
        pod
    };
    let mut leaving = on("l", "leaving");
    leaving.metadata.deletion_timestamp = Some(time(0));
    let pods = [
        slim(on("b", "second")),
        slim(on("a", "first")),
        slim(on("c", "first")),
        slim(phase(on("d", "done"), "Succeeded")),
        slim(phase(on("e", "bad"), "Failed")),
        slim(leaving),
        slim(PodBuilder::new("unplaced").namespace("team").uid("u").build()),
        slim(
            PodBuilder::new("f")
                .namespace("other")
                .uid("f")
                .on_node("elsewhere")
                .build(),
        ),
    ];
    let nodes = pod_nodes(&LabelSelector::default(), "team", &pods).expect("the selector is good");
    assert_eq!(nodes, ["first", "second"]);
}

#[test]
fn a_blocked_job_hands_out_nothing_says_why_and_does_not_end() {
    let context = JobContext {
        blocked: true,
        troubles: vec!["something is amiss".into()],
        ..JobContext::default()
    };
    let nodes = [node("a")];
    let plan = plan_with(&job("j", "nginx:1"), &nodes, &context);
    assert_eq!(
        (dispatched(&plan), plan.decisions[0].verdict),
        (vec![""; 0], Verdict::Blocked)
    );
    assert_eq!(
        status(&plan).message,
        "job is running, progress 0.0%; something is amiss"
    );
    let nowhere = plan_with(&job("j", "nginx:1"), &[], &context);
    assert_eq!(status(&nowhere).completion_time, None);
}

#[test]
fn the_sandbox_of_the_last_job_wins() {
    let sandboxed = |uid: &str, value: &str| {
        job_from(
            uid,
            &format!("{{image: 'nginx:1', sandboxConfig: {{annotations: {{a: '{value}'}}}}}}"),
        )
    };
    let nodes = [node("a")];
    let first = after_dispatch(&plan(&sandboxed("j", "1"), &nodes));
    let nodes = [first];
    let plain = [after_dispatch(&plan(&job("k", "nginx:1"), &nodes))];
    let value = |node: &NodeImage| {
        let sandbox = node.spec.images["nginx"]
            .sandbox_config
            .clone()
            .unwrap_or_default();
        sandbox.annotations.get("a").cloned().unwrap_or_default()
    };
    assert_eq!(value(&plain[0]), "1", "a job that says nothing changes nothing");
    assert_eq!(value(&after_dispatch(&plan(&sandboxed("l", "2"), &plain))), "2");
}

mod batches {
    use super::*;
    use crate::plan::dispatch::{Added, NodeBatch};
    use proptest::collection::vec;
    use proptest::prelude::*;

    fn task_of(index: usize, image: usize, tag: usize, sandbox: bool) -> JobTask {
        let sandbox = if sandbox {
            format!(", sandboxConfig: {{labels: {{l: '{index}'}}}}")
        } else {
            String::new()
        };
        let spec = format!("{{image: 'image{image}:{tag}'{sandbox}}}");
        let secret = SecretReference {
            namespace: "team".into(),
            name: format!("s{}", index % 3),
        };
        let job = job_from(&format!("j{index}"), &spec);
        JobTask::new(
            &job,
            ImageKey::parse(&job.spec.image).expect("readable"),
            vec![secret],
            300,
        )
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 128, failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn a_batch_does_what_its_tasks_do_one_after_the_other(
            jobs in vec((0..6_usize, 0..3_usize, 0..3_usize, any::<bool>()), 1..12), before in 0..6_usize,
        ) {
            let tasks: Vec<_> = jobs.iter().map(|(index, image, tag, s)| task_of(*index, *image, *tag, *s)).collect();
            let (before, later) = tasks.split_at(before.min(tasks.len()));
            let one_by_one = |node: NodeImage, tasks: &[JobTask]| {
                tasks.iter().fold(node, |node, task| match task.dispatch(&node, at(5), 1) {
                    Dispatch::Patch(patch) => node.patched(&patch).expect("the patch applies"),
                    _ => node,
                })
            };
            let start = one_by_one(node("a"), before);
            let mut batch = NodeBatch::new(&start);
            let added = later.iter().filter(|task| batch.add(task, at(5), 1) == Added::Yes).count();
            let end = match batch.into_patch() {
                Some(patch) => start.patched(&patch).expect("the patch applies"),
                None => start.clone(),
            };
            prop_assert_eq!(added == 0, end == start);
            prop_assert_eq!(end.spec, one_by_one(start, later).spec);
        }
    }
}
