//! How long the planners of image pre-pull take: a job over many nodes, the routing of one change, the upkeep of a
//! large NodeImage, the look of an agent at one.

use std::hint::black_box;

use criterion::{BatchSize, BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use k8s_openapi::api::core::v1::ObjectReference;
use k8s_openapi::jiff::Timestamp;
use kruise_core::runtime::ObjectKey;
use kruise_imagepull::api::{
    ImagePullJob, ImagePullJobSpec, ImageTagPullPolicy, ImageTagSpec, ImageTagStatus, NodeImage, PullPhase,
};
use kruise_imagepull::plan::agent::Agent;
use kruise_imagepull::plan::job::{JobContext, JobPlanConfig, plan_job};
use kruise_imagepull::plan::nodeimage::{NodeFacts, NodeImagePlanConfig, OwnerState, plan_node_image};
use kruise_imagepull::plan::route::JobRoutes;

fn now() -> Timestamp {
    Timestamp::from_second(1_800_000_000).unwrap_or(Timestamp::UNIX_EPOCH)
}

fn job(index: usize, image: &str) -> ImagePullJob {
    let spec = ImagePullJobSpec {
        image: image.to_owned(),
        ..Default::default()
    };
    let mut job = ImagePullJob::new(&format!("job{index}"), spec);
    job.metadata.namespace = Some("team".to_owned());
    job.metadata.uid = Some(format!("uid{index}"));
    job
}

/// A node that has the tasks of these jobs; every second one is done.
fn node(name: &str, jobs: &[ImagePullJob]) -> NodeImage {
    let mut node = NodeImage::new(name, Default::default());
    node.metadata.resource_version = Some("1".to_owned());
    for (index, job) in jobs.iter().enumerate() {
        let (image, tag) = job
            .spec
            .image
            .split_once(':')
            .unwrap_or((&job.spec.image, "latest"));
        let policy = ImageTagPullPolicy {
            ttl_seconds_after_finished: Some(2000),
            ..Default::default()
        };
        node.spec
            .images
            .entry(image.to_owned())
            .or_default()
            .tags
            .push(ImageTagSpec {
                tag: tag.to_owned(),
                created_at: Some(now().into()),
                pull_policy: Some(policy),
                owner_references: vec![ObjectReference {
                    api_version: Some("apps.kruise.io/v1alpha1".to_owned()),
                    kind: Some("ImagePullJob".to_owned()),
                    uid: job.metadata.uid.clone(),
                    ..Default::default()
                }],
                ..Default::default()
            });
        let status = node.status.get_or_insert_default();
        let done = index % 2 == 0;
        status
            .image_statuses
            .entry(image.to_owned())
            .or_default()
            .tags
            .push(ImageTagStatus {
                tag: tag.to_owned(),
                phase: if done {
                    PullPhase::Succeeded
                } else {
                    PullPhase::Pulling
                },
                completion_time: done.then(|| now().into()),
                ..Default::default()
            });
    }
    node
}

fn jobs(count: usize) -> Vec<ImagePullJob> {
    (0..count)
        .map(|index| {
            job(
                index,
                &format!("registry.example.com/team/app{}:{}", index / 4, index % 4),
            )
        })
        .collect()
}

fn plan(c: &mut Criterion) {
    let mut group = c.benchmark_group("imagepull/plan_job");
    for count in [1_000_usize, 10_000] {
        let job = job(0, "nginx:1");
        let nodes: Vec<NodeImage> = (0..count)
            .map(|index| {
                node(
                    &format!("node{index:05}"),
                    if index % 2 == 0 {
                        std::slice::from_ref(&job)
                    } else {
                        &[]
                    },
                )
            })
            .collect();
        group.throughput(Throughput::Elements(count as u64));
        group.bench_with_input(BenchmarkId::from_parameter(count), &nodes, |b, nodes| {
            b.iter(|| {
                plan_job(
                    black_box(&job),
                    nodes,
                    &JobContext::default(),
                    now(),
                    &JobPlanConfig::default(),
                    1,
                )
            });
        });
    }
    group.finish();
}

fn route(c: &mut Criterion) {
    // 198 jobs on every node: the size at which kruise#2483 was measured.
    let jobs = jobs(198);
    let mut routes = JobRoutes::default();
    for job in &jobs {
        routes.update(
            &ObjectKey::new("team", job.metadata.name.as_deref().unwrap_or_default()),
            job,
        );
    }
    let old = node("n", &jobs);
    let mut new = old.clone();
    let image = new
        .status
        .iter_mut()
        .flat_map(|status| status.image_statuses.values_mut())
        .next();
    if let Some(result) = image.and_then(|image| image.tags.first_mut()) {
        result.progress += 1;
    }
    c.bench_function("imagepull/route_one_change_among_198_jobs", |b| {
        b.iter(|| {
            let mut woken = 0;
            routes.route(Some(black_box(&old)), Some(black_box(&new)), |_| woken += 1);
            assert_eq!(woken, 2, "the one owner, before and after");
        });
    });
}

fn node_image(c: &mut Criterion) {
    let large = node("n", &jobs(1024));
    let facts = NodeFacts {
        ready_since: Some(Timestamp::UNIX_EPOCH),
        ..Default::default()
    };
    let config = NodeImagePlanConfig::default();
    c.bench_function("imagepull/plan_node_image_of_1024_tasks", |b| {
        b.iter(|| {
            plan_node_image(
                "n",
                Some(&facts),
                Some(black_box(&large)),
                |_| OwnerState::Settled,
                now(),
                &config,
                1,
            )
        });
    });
    c.bench_function("imagepull/agent_observes_1024_tasks", |b| {
        b.iter_batched(
            || Agent::new(Some(5)),
            |mut agent| {
                let actions = agent.observe(Some(black_box(&large)), now());
                (agent.status(&large), actions)
            },
            BatchSize::SmallInput,
        );
    });
}

criterion_group!(benches, plan, route, node_image);
criterion_main!(benches);
