//! The controller of lists under seeded faults: lists come, change and go, jobs of images end, requests fail, watches lag, the
//! manager dies in the midst of a request.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt as _;
use futures::future::BoxFuture;
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kruise_core::runtime::{CacheBuilder, Clock, ObjectKey};
use kruise_core::testing::apiserver::{ApiServer, Logged};
use kruise_core::testing::clock::TokioClock;
use kruise_core::testing::random::Random;
use kruise_core::testing::simulate::{Scenario, SimulationConfig, World, simulate};
use kruise_imagepull::api::{ImageListPullJob, ImagePullJob, crds};
use kruise_imagepull::events::EventSink;
use kruise_imagepull::list::{ListConfig, ListDependencies, list_controller};
use kube_client::{Api, Client};
use kube_core::ResourceExt as _;
use kube_core::params::{DeleteParams, Patch, PatchParams, PostParams};
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

const LISTS: [&str; 2] = ["base", "apps"];
const IMAGES: [&str; 4] = ["nginx", "redis:7", "ghcr.io/a/b:1", "busybox"];
const TTL: i64 = 120;

struct Lists {
    clock: Arc<dyn Clock>,
}

async fn manage(client: Client, clock: Arc<dyn Clock>) {
    let (lists, drive_lists) = CacheBuilder::<ImageListPullJob>::new(Api::all(client.clone())).build();
    let (jobs, drive_jobs) = CacheBuilder::<ImagePullJob>::new(Api::all(client.clone())).build();
    let dependencies = ListDependencies {
        client,
        lists,
        jobs,
        clock,
        events: EventSink::none(),
        metrics: None,
    };
    let controller =
        list_controller(dependencies, ListConfig::default()).expect("the configuration is valid");
    let stop = CancellationToken::new();
    let _ = tokio::join!(
        drive_lists.run(stop.clone()),
        drive_jobs.run(stop.clone()),
        controller.run(stop)
    );
}

fn owner(job: &ImagePullJob) -> &str {
    job.owner_references().first().map_or("", |owner| &owner.uid)
}

/// The jobs of a list by image.
fn children(world: &World, list: &ImageListPullJob) -> BTreeMap<String, Vec<ImagePullJob>> {
    let mut children: BTreeMap<String, Vec<ImagePullJob>> = BTreeMap::new();
    let jobs = world.server.list::<ImagePullJob>();
    for job in jobs
        .into_iter()
        .filter(|job| Some(owner(job)) == list.metadata.uid.as_deref())
    {
        children.entry(job.spec.image.clone()).or_default().push(job);
    }
    children
}

fn ended(now: Timestamp, failed: i64) -> Value {
    json!({"status": {"startTime": Time(now), "completionTime": Time(now),
        "desired": 3, "active": 0, "succeeded": 3 - failed, "failed": failed, "message": "job has completed"}})
}

impl Scenario for Lists {
    fn start(&self, client: Client) -> BoxFuture<'static, ()> {
        manage(client, self.clock.clone()).boxed()
    }

    fn step<'a>(&'a self, world: &'a World, random: &'a mut Random) -> BoxFuture<'a, ()> {
        async move {
            let lists: Api<ImageListPullJob> = Api::default_namespaced(world.client());
            let jobs: Api<ImagePullJob> = Api::default_namespaced(world.client());
            let name = random.pick(&LISTS).copied().unwrap_or_default();
            let existing = world.server.list::<ImagePullJob>();
            let job = random.pick(&existing).map(|job| job.name_any());
            match (random.below(8), job) {
                (0, _) => drop(lists.delete(name, &DeleteParams::background()).await),
                (1, Some(job)) => drop(jobs.delete(&job, &DeleteParams::background()).await),
                (2 | 3, Some(job)) => {
                    let patch = Patch::Merge(ended(world.clock.now(), random.below(2) as i64));
                    drop(jobs.patch_status(&job, &PatchParams::default(), &patch).await);
                }
                _ => {
                    let images: Vec<_> = IMAGES.iter().filter(|_| random.chance(0.6)).collect();
                    let images = if images.is_empty() { vec![&IMAGES[0]] } else { images };
                    let list = json!({"apiVersion": "apps.kruise.io/v1alpha1", "kind": "ImageListPullJob", "spec": {
                        "images": images, "parallelism": 1 + random.below(2),
                        "completionPolicy": {"type": "Always", "ttlSecondsAfterFinished": TTL},
                    }});
                    drop(lists.patch(name, &PatchParams::apply("user").force(), &Patch::Apply(list)).await);
                }
            }
        }
        .boxed()
    }

    fn check(&self, world: &World) -> Result<(), String> {
        for list in world.server.list::<ImageListPullJob>() {
            for (image, jobs) in children(world, &list) {
                let mut parallelism: Vec<_> = jobs
                    .iter()
                    .map(|job| format!("{:?}", job.spec.parallelism))
                    .collect();
                parallelism.sort_unstable();
                parallelism.dedup();
                if parallelism.len() < jobs.len() {
                    return Err(format!(
                        "{} has {} jobs of one template for {image}",
                        list.name_any(),
                        jobs.len()
                    ));
                }
            }
        }
        Ok(())
    }

    fn settled(&self, world: &World) -> Result<(), String> {
        let now = world.clock.now();
        for list in world.server.list::<ImageListPullJob>() {
            let name = list.name_any();
            let status = list.status.clone().unwrap_or_default();
            if let Some(completed) = &status.completion_time {
                if now.duration_since(completed.0) > SignedDuration::from_secs(TTL + 60) {
                    return Err(format!("{name} should be gone"));
                }
                continue;
            }
            let children = children(world, &list);
            let found: Vec<&String> = children.keys().collect();
            let mut wanted: Vec<&String> = list.spec.images.iter().collect();
            wanted.sort_unstable();
            if found != wanted || children.values().any(|jobs| jobs.len() != 1) {
                return Err(format!("{name} wants {wanted:?} and has {found:?}"));
            }
            let children: Vec<_> = children.into_values().flatten().collect();
            if children
                .iter()
                .any(|job| job.spec.parallelism != list.spec.parallelism)
            {
                return Err(format!("{name} has jobs of an old template"));
            }
            let done = children
                .iter()
                .filter_map(|job| job.status.as_ref())
                .filter(|status| status.desired > 0);
            let completed = done.count();
            if (status.desired, status.completed) != (children.len() as i32, completed as i32) {
                return Err(format!("{name} says {status:?}, and {completed} jobs have ended"));
            }
            if completed == children.len() {
                return Err(format!("{name} should have completed"));
            }
        }
        let lists = world.server.list::<ImageListPullJob>();
        let known: Vec<_> = lists
            .iter()
            .filter_map(|list| list.metadata.uid.as_deref())
            .collect();
        match world
            .server
            .list::<ImagePullJob>()
            .iter()
            .find(|job| !known.contains(&owner(job)))
        {
            Some(job) => Err(format!("{} was left behind", ObjectKey::cluster(job.name_any()))),
            None => Ok(()),
        }
    }
}

#[test]
fn each_image_has_one_job_and_each_list_its_count_whatever_fails() {
    let mut config = SimulationConfig::default();
    config.seeds = 0..60;
    config.nodes = 0;
    config.settle_time = Duration::from_secs(30 * 60);
    if let Ok(seeds) = std::env::var("KRUISE_SEEDS") {
        config.seeds = SimulationConfig::parse_seeds(&seeds).expect("KRUISE_SEEDS is a number or a range");
    }
    config.replay = "KRUISE_SEEDS={seed} cargo test -p kruise-imagepull --test lists".into();
    let run = simulate(&config, |world: &World| {
        for definition in crds() {
            assert!(world.server.serve_definition(&definition));
        }
        Lists {
            clock: world.clock.clone(),
        }
    });
    if let Err(failure) = run {
        panic!("{failure}");
    }
}

/// Resource and verb of a request.
fn right(request: &Logged) -> (String, String) {
    let (path, query) = request.uri.split_once('?').unwrap_or((&request.uri, ""));
    let path = path.trim_start_matches("/apis/apps.kruise.io/v1alpha1/");
    let parts: Vec<&str> = path.split('/').collect();
    let parts = parts.strip_prefix(&["namespaces", "default"]).unwrap_or(&parts);
    let resource = match parts {
        [resource, _, subresource] => format!("{resource}/{subresource}"),
        [resource, ..] => (*resource).to_owned(),
        [] => String::new(),
    };
    let verb = match request.method.as_str() {
        "GET" if query.contains("watch=") => "watch",
        "GET" if parts.len() == 1 => "list",
        "GET" => "get",
        "POST" => "create",
        "PATCH" => "patch",
        "DELETE" => "delete",
        other => other,
    };
    (resource, verb.to_owned())
}

#[tokio::test(start_paused = true)]
async fn every_right_is_used_and_every_use_has_a_right() {
    let server = ApiServer::default();
    for definition in crds() {
        assert!(server.serve_definition(&definition));
    }
    let clock = Arc::new(TokioClock::new("2030-01-01T00:00:00Z".parse().expect("a time")));
    let (lists, jobs) = (
        Api::default_namespaced(server.client()),
        Api::default_namespaced(server.client()),
    );
    let manager = manage(server.client(), clock.clone());
    let user = async {
        let rest = || tokio::time::sleep(Duration::from_secs(30));
        let mut list = ImageListPullJob::default();
        list.metadata.name = Some("base".into());
        list.spec.images = vec!["a".into(), "b".into()];
        list.spec.completion_policy.ttl_seconds_after_finished = Some(5);
        lists
            .create(&PostParams::default(), &list)
            .await
            .expect("created");
        rest().await;
        let fewer = Patch::Merge(json!({"spec": {"images": ["a"]}}));
        lists
            .patch("base", &PatchParams::default(), &fewer)
            .await
            .expect("changed");
        rest().await;
        for job in server.list::<ImagePullJob>() {
            let patch = Patch::Merge(ended(clock.now(), 0));
            let written = jobs
                .patch_status(&job.name_any(), &PatchParams::default(), &patch)
                .await;
            let _: ImagePullJob = written.expect("changed");
        }
        rest().await;
        assert_eq!(server.list::<ImageListPullJob>(), []);
    };
    server.clear_requests();
    tokio::select! {
        () = manager => panic!("the manager ended"),
        () = user => {}
    }
    // What the user did is among the requests, by another name of the same client: it changed specs and read nothing.
    let used: BTreeSet<_> = server.requests().iter().map(right).collect();
    let rules = kruise_imagepull::rbac::list_controller().into_iter();
    let granted: BTreeSet<_> = rules
        .flat_map(|rule| {
            let resource = rule.resources.unwrap_or_default().remove(0);
            rule.verbs.into_iter().map(move |verb| (resource.clone(), verb))
        })
        // Checked by the API server when an owner is named, and never asked for; and what servers need that do not stream lists.
        .filter(|(resource, verb)| resource != "imagelistpulljobs/finalizers" && verb != "list")
        .collect();
    let by_user = [("imagelistpulljobs", "create"), ("imagepulljobs/status", "patch")];
    let by_user: BTreeSet<_> = by_user
        .map(|(resource, verb)| (resource.to_owned(), verb.to_owned()))
        .into();
    assert_eq!(used, granted.union(&by_user).cloned().collect());
}
