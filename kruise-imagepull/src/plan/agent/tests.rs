use super::*;
use crate::fixtures::{NodeImageExt as _, at, node, result, task, time};

fn key(tag: &str) -> ImageKey {
    ImageKey::from_parts("nginx", tag)
}

/// Starts and stops in short: `+tag v` and `-`.
fn short(actions: &[AgentAction]) -> Vec<String> {
    let mut short: Vec<_> = actions
        .iter()
        .map(|action| match action {
            AgentAction::Start { task, .. } => format!("+{} v{}", task.key.tag, task.version),
            AgentAction::Stop(_) => "-".to_owned(),
        })
        .collect();
    short.sort();
    short
}

fn run(actions: &[AgentAction]) -> RunId {
    let [AgentAction::Start { run, .. }] = actions else {
        panic!("one start expected: {actions:?}")
    };
    *run
}

fn succeeded() -> PullOutcome {
    PullOutcome::Succeeded {
        image_id: "sha256:1".into(),
    }
}

fn with(tags: &[(&str, i64)]) -> NodeImage {
    tags.iter().fold(node("n"), |node, (tag, version)| {
        node.with_task("nginx", task(tag, *version, &["j"]))
    })
}

fn phase(agent: &Agent, node_image: &NodeImage, tag: &str) -> Option<(PullPhase, i64)> {
    let status = agent.status(node_image);
    let entry = status
        .image_statuses
        .get("nginx")?
        .tags
        .iter()
        .find(|entry| entry.tag == tag)?;
    Some((entry.phase.clone(), entry.version))
}

#[test]
fn a_new_task_starts_and_says_pulling_at_once() {
    let (mut agent, node_image) = (Agent::new(None), with(&[("1", 0)]));
    let actions = agent.observe(Some(&node_image), at(5));
    let [AgentAction::Start { task, .. }] = &actions[..] else {
        panic!("{actions:?}")
    };
    assert_eq!(task.reference.full(), "docker.io/library/nginx:1");
    assert!(task.accept_present);
    let status = agent.status(&node_image);
    assert_eq!((status.desired, status.pulling), (1, 1));
    assert_eq!(status.image_statuses["nginx"].tags[0].start_time, Some(time(5)));
    assert_eq!(agent.observe(Some(&node_image), at(6)), []);
}

#[test]
fn a_pull_that_was_cut_off_by_a_restart_begins_anew() {
    let node_image = with(&[("1", 0)]).with_result("nginx", result("1", 0, PullPhase::Pulling));
    let mut agent = Agent::new(None);
    assert_eq!(short(&agent.observe(Some(&node_image), at(50))), ["+1 v0"]);
    assert_eq!(
        agent.status(&node_image).image_statuses["nginx"].tags[0].start_time,
        Some(time(50))
    );
}

#[test]
fn a_final_result_is_adopted_after_a_restart_without_a_pull() {
    let node_image = with(&[("1", 2)]).with_result("nginx", result("1", 2, PullPhase::Succeeded));
    let mut agent = Agent::new(None);
    assert_eq!(agent.observe(Some(&node_image), at(50)), []);
    assert_eq!(
        Some(&agent.status(&node_image).image_statuses),
        node_image.status.as_ref().map(|s| &s.image_statuses)
    );
}

#[test]
fn a_new_version_stops_the_old_worker_and_only_its_own_result_counts() {
    let mut agent = Agent::new(None);
    let old = run(&agent.observe(Some(&with(&[("1", 2)])), at(0)));
    let newer = with(&[("1", 3)]);
    let actions = agent.observe(Some(&newer), at(1));
    assert_eq!(short(&actions), ["+1 v3", "-"]);
    assert!(actions.contains(&AgentAction::Stop(old)));
    assert_eq!(agent.finished(old, succeeded(), at(2)), []);
    assert!(!agent.progressed(old, 50, ""));
    assert_eq!(phase(&agent, &newer, "1"), Some((PullPhase::Pulling, 3)));
}

#[test]
fn an_image_that_is_no_longer_wanted_is_stopped_and_not_reported() {
    let mut agent = Agent::new(None);
    agent.observe(Some(&with(&[("1", 0)])), at(0));
    let empty = node("n").with_result("nginx", result("1", 0, PullPhase::Pulling));
    assert_eq!(short(&agent.observe(Some(&empty), at(1))), ["-"]);
    assert!(agent.status(&empty).image_statuses.is_empty());
}

#[test]
fn a_deleted_node_image_stops_everything() {
    let mut agent = Agent::new(None);
    agent.observe(Some(&with(&[("1", 0), ("2", 0)])), at(0));
    assert_eq!(short(&agent.observe(None, at(1))), ["-", "-"]);
}

#[test]
fn a_recreated_node_image_of_the_same_name_starts_afresh() {
    let (mut agent, first) = (Agent::new(None), with(&[("1", 0)]));
    let started = run(&agent.observe(Some(&first), at(0)));
    agent.finished(started, succeeded(), at(1));
    let mut second = first;
    second.metadata.uid = Some("another".into());
    assert_eq!(short(&agent.observe(Some(&second), at(2))), ["+1 v0"]);
}

#[test]
fn own_results_are_asserted_again_when_they_are_erased_or_forged() {
    let (mut agent, node_image) = (Agent::new(None), with(&[("1", 0)]));
    let started = run(&agent.observe(Some(&node_image), at(0)));
    agent.finished(started, succeeded(), at(1));
    for observed in [
        node_image.clone(),
        node_image
            .clone()
            .with_result("nginx", result("1", 0, PullPhase::Failed)),
        node_image
            .clone()
            .with_result("nginx", result("1", 0, PullPhase::Pulling)),
    ] {
        assert_eq!(
            agent.observe(Some(&observed), at(2)),
            [],
            "nothing is pulled again"
        );
        assert_eq!(phase(&agent, &observed, "1"), Some((PullPhase::Succeeded, 0)));
    }
}

#[test]
fn the_manager_may_fail_a_running_task_but_nobody_else_may_finish_it() {
    let mut agent = Agent::new(None);
    agent.observe(Some(&with(&[("1", 0)])), at(0));
    let forged = with(&[("1", 0)]).with_result("nginx", result("1", 0, PullPhase::Succeeded));
    assert_eq!(agent.observe(Some(&forged), at(1)), []);
    assert_eq!(phase(&agent, &forged, "1"), Some((PullPhase::Pulling, 0)));
    let other = with(&[("1", 0)]).with_result("nginx", result("1", 0, PullPhase::Failed));
    assert_eq!(
        agent.observe(Some(&other), at(600)),
        [],
        "no manager fails for no reason"
    );
    let silent = ImageTagStatus {
        message: crate::plan::nodeimage::MESSAGE_NO_RESPONSE.into(),
        ..result("1", 0, PullPhase::Failed)
    };
    let failed = with(&[("1", 0)]).with_result("nginx", silent);
    assert_eq!(short(&agent.observe(Some(&failed), at(600))), ["-"]);
    assert_eq!(phase(&agent, &failed, "1"), Some((PullPhase::Failed, 0)));
}

#[test]
fn a_registry_with_enough_pulls_is_passed_by_those_of_others() {
    let node_image = ["a.io/1", "a.io/2", "b.io/1"]
        .into_iter()
        .fold(node("n"), |node, image| {
            node.with_task(image, task("1", 0, &["j"]))
        });
    let mut agent = Agent::new(Some(2)).per_registry(Some(1));
    assert_eq!(agent.observe(Some(&node_image), at(0)).len(), 2);
    let status = agent.status(&node_image);
    assert_eq!((status.pulling, status.waiting), (2, 1));
    let waiting = &status.image_statuses["a.io/2"].tags[0];
    assert_eq!(waiting.message, "waits for other pulls from a.io");
}

#[test]
fn tasks_beyond_the_limit_wait_and_start_oldest_first() {
    let mut node_image = with(&[("a", 0), ("b", 0), ("c", 0)]);
    let tags = &mut node_image.spec.images.get_mut("nginx").expect("there").tags;
    tags[1].created_at = Some(time(-5));
    let mut agent = Agent::new(Some(1));
    let first = agent.observe(Some(&node_image), at(0));
    assert_eq!(short(&first), ["+b v0"]);
    let status = agent.status(&node_image);
    assert_eq!((status.waiting, status.pulling, agent.load()), (2, 1, (1, 2)));
    let second = agent.finished(run(&first), succeeded(), at(1));
    assert_eq!(short(&second), ["+a v0"]);
}

#[test]
fn a_queued_task_that_is_no_longer_wanted_never_starts() {
    let mut agent = Agent::new(Some(1));
    let first = agent.observe(Some(&with(&[("a", 0), ("b", 0)])), at(0));
    assert_eq!(agent.observe(Some(&with(&[("a", 0)])), at(1)), []);
    assert_eq!(agent.finished(run(&first), succeeded(), at(2)), []);
}

#[test]
fn one_reference_is_pulled_once_at_a_time() {
    let twice = with(&[("1", 0)]).with_task("docker.io/library/nginx", task("1", 0, &["j"]));
    let mut agent = Agent::new(None);
    let first = agent.observe(Some(&twice), at(0));
    assert_eq!(first.len(), 1);
    assert_eq!(agent.finished(run(&first), succeeded(), at(1)).len(), 1);
}

#[test]
fn results_say_what_was_pulled_and_why_not() {
    let (mut agent, node_image) = (Agent::new(None), with(&[("1", 0)]));
    let started = run(&agent.observe(Some(&node_image), at(0)));
    assert!(agent.progressed(started, 40, "attempt 2 of 4"));
    assert!(!agent.progressed(started, 40, "attempt 2 of 4"));
    agent.finished(started, succeeded(), at(9));
    let done = &agent.status(&node_image).image_statuses["nginx"].tags[0];
    assert_eq!(
        (done.progress, done.image_id.as_str(), done.message.as_str()),
        (100, "nginx@sha256:1", "")
    );
    assert_eq!(
        (done.start_time.clone(), done.completion_time.clone()),
        (Some(time(0)), Some(time(9)))
    );

    let node_image = with(&[("2", 0)]);
    let started = run(&agent.observe(Some(&node_image), at(10)));
    agent.finished(
        started,
        PullOutcome::Failed {
            message: "no such image".into(),
        },
        at(11),
    );
    let failed = &agent.status(&node_image).image_statuses["nginx"].tags[0];
    assert_eq!(
        (failed.phase.clone(), failed.message.as_str()),
        (PullPhase::Failed, "no such image")
    );
}

#[test]
fn a_name_that_is_no_reference_fails_without_a_worker() {
    let node_image = node("n").with_task("http://x/y", task("1", 0, &[]));
    let mut agent = Agent::new(None);
    assert_eq!(agent.observe(Some(&node_image), at(0)), []);
    let status = agent.status(&node_image);
    assert_eq!((status.failed, status.desired), (1, 1));
    assert!(
        status.image_statuses["http://x/y"].tags[0]
            .message
            .starts_with("the image name can not be read")
    );
    assert_eq!(key("1").name, "nginx");
}
