use super::*;
use crate::api::{ImagePullJobStatus, PullPhase};
use crate::fixtures::{NodeImageExt as _, job, job_from, node, result, task, time};

fn key(name: &str) -> ObjectKey {
    ObjectKey::new("team", name)
}

fn routes(jobs: &[ImagePullJob]) -> JobRoutes {
    let mut routes = JobRoutes::default();
    for job in jobs {
        routes.update(&key(job.metadata.name.as_deref().unwrap_or_default()), job);
    }
    routes
}

fn woken(routes: &JobRoutes, old: Option<&NodeImage>, new: Option<&NodeImage>) -> Vec<String> {
    let mut woken = Vec::new();
    routes.route(old, new, |key| woken.push(key.name.to_string()));
    woken.sort();
    woken.dedup();
    woken
}

#[test]
fn kruise_2483_progress_of_a_task_wakes_its_owners_only() {
    let jobs = [
        job("j", "nginx:1"),
        job("k", "nginx:1"),
        job("l", "nginx:2"),
        job("m", "redis:1"),
    ];
    let routes = routes(&jobs);
    let old = node("a")
        .with_task("nginx", task("1", 0, &["j"]))
        .with_task("nginx", task("2", 0, &["l"]));
    let new = old
        .clone()
        .with_result("nginx", result("1", 0, PullPhase::Pulling));
    assert_eq!(woken(&routes, Some(&old), Some(&new)), ["j"]);
}

#[test]
fn images_in_long_form_and_digests_are_routed() {
    let digest = format!("sha256:{}", "a".repeat(64));
    let jobs = [
        job("j", "docker.io/library/nginx:1"),
        job("k", &format!("index.docker.io/library/nginx@{digest}")),
    ];
    let routes = routes(&jobs);
    let old = node("a")
        .with_task("nginx", task("1", 0, &["j"]))
        .with_task("nginx", task(&digest, 0, &["k"]));
    let new = old
        .clone()
        .with_result("nginx", result("1", 0, PullPhase::Pulling))
        .with_result("nginx", result(&digest, 0, PullPhase::Pulling));
    assert_eq!(woken(&routes, Some(&old), Some(&new)), ["j", "k"]);
}

#[test]
fn a_dropped_task_wakes_the_job_that_owned_it() {
    let routes = routes(&[job("j", "nginx:1")]);
    let old = node("a").with_task("nginx", task("1", 0, &["j"]));
    assert_eq!(woken(&routes, Some(&old), Some(&node("a"))), ["j"]);
}

#[test]
fn kruise_2286_a_new_node_wakes_jobs_with_absent_and_empty_selectors() {
    let jobs = [
        job("all", "nginx"),
        job_from("empty", "{image: nginx, selector: {}}"),
        job_from("named", "{image: nginx, selector: {names: [b]}}"),
    ];
    let routes = routes(&jobs);
    assert_eq!(woken(&routes, None, Some(&node("a"))), ["all", "empty"]);
    assert_eq!(woken(&routes, Some(&node("b")), None), ["all", "empty", "named"]);
}

#[test]
fn labels_that_come_later_wake_the_jobs_that_gain_or_lose_the_node() {
    let jobs = [
        job("all", "nginx"),
        job_from("gpu", "{image: nginx, selector: {matchLabels: {pool: gpu}}}"),
    ];
    let routes = routes(&jobs);
    let labelled = node("a").with_labels(&[("pool", "gpu")]);
    assert_eq!(woken(&routes, Some(&node("a")), Some(&labelled)), ["gpu"]);
    assert_eq!(woken(&routes, Some(&labelled), Some(&node("a"))), ["gpu"]);
}

#[test]
fn nothing_wakes_a_job_that_has_ended_or_is_gone() {
    let mut done = job("done", "nginx");
    done.status = Some(ImagePullJobStatus {
        completion_time: Some(time(0)),
        ..Default::default()
    });
    let mut routes = routes(&[done, job("gone", "nginx")]);
    routes.remove(&key("gone"));
    assert!(routes.is_empty());
    assert_eq!(woken(&routes, None, Some(&node("a"))), [""; 0]);
}

#[test]
fn a_job_whose_image_changed_is_routed_by_the_new_one() {
    let mut routes = routes(&[job("j", "nginx:1")]);
    routes.update(&key("j"), &job("j", "nginx:2"));
    assert_eq!(routes.len(), 1);
    let old = node("a")
        .with_task("nginx", task("1", 0, &["j"]))
        .with_task("nginx", task("2", 0, &["j"]));
    let one = old
        .clone()
        .with_result("nginx", result("1", 0, PullPhase::Pulling));
    assert_eq!(woken(&routes, Some(&old), Some(&one)), [""; 0]);
    let two = old
        .clone()
        .with_result("nginx", result("2", 0, PullPhase::Pulling));
    assert_eq!(woken(&routes, Some(&old), Some(&two)), ["j"]);
}

fn pod(name: &str, app: &str, node: Option<&str>) -> SlimPod {
    use kruise_core::testing::build::PodBuilder;
    let mut pod = PodBuilder::new(name).namespace("team").label("app", app);
    if let Some(node) = node {
        pod = pod.on_node(node);
    }
    SlimPod::from_pod(&pod.uid(name).build()).expect("a pod")
}

#[test]
fn a_pod_wakes_the_jobs_whose_nodes_it_changes() {
    let by_pods = |uid: &str, app: &str| {
        job_from(
            uid,
            &format!("{{image: 'nginx:1', podSelector: {{matchLabels: {{app: {app}}}}}}}"),
        )
    };
    let mut routes = routes(&[by_pods("j", "web"), by_pods("k", "db"), job("l", "nginx:1")]);
    let woken = |routes: &JobRoutes, old: Option<&SlimPod>, new: Option<&SlimPod>| {
        let mut woken = Vec::new();
        routes.route_pod(old, new, |key| woken.push(key.name.to_string()));
        woken
    };
    let (waiting, placed) = (pod("p", "web", None), pod("p", "web", Some("a")));
    assert_eq!(
        woken(&routes, None, Some(&waiting)),
        [""; 0],
        "it has no node yet"
    );
    assert_eq!(woken(&routes, Some(&waiting), Some(&placed)), ["j"]);
    assert_eq!(woken(&routes, Some(&placed), Some(&placed)), [""; 0]);
    assert_eq!(woken(&routes, Some(&placed), None), ["j"]);
    let mut relabelled = woken(&routes, Some(&placed), Some(&pod("p", "db", Some("a"))));
    relabelled.sort();
    assert_eq!(relabelled, ["j", "k"]);
    routes.remove(&key("j"));
    assert_eq!(woken(&routes, Some(&waiting), Some(&placed)), [""; 0]);
}

#[test]
fn a_new_node_image_wakes_jobs_that_select_by_pods() {
    let routes = routes(&[job_from("j", "{image: 'nginx:1', podSelector: {}}")]);
    assert_eq!(woken(&routes, None, Some(&node("a"))), ["j"]);
    assert_eq!(
        woken(
            &routes,
            Some(&node("a")),
            Some(&node("a").with_labels(&[("x", "1")]))
        ),
        [""; 0]
    );
}

#[test]
fn a_full_node_that_has_room_again_wakes_the_jobs_that_select_it() {
    let jobs = [
        job("j", "nginx"),
        job_from("k", "{image: redis, selector: {names: [b]}}"),
    ];
    let routes = routes(&jobs);
    let images = |count: usize| {
        (0..count).fold(node("a"), |node, number| {
            node.with_task(&format!("i{number}"), task("1", 0, &[]))
        })
    };
    assert_eq!(woken(&routes, Some(&images(256)), Some(&images(255))), ["j"]);
    assert!(woken(&routes, Some(&images(255)), Some(&images(254))).is_empty());
}
