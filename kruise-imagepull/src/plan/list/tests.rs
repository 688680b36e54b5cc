use super::*;
use crate::api::{CompletionPolicyType, FailedReason, ImagePullJobStatus};
use crate::fixtures::{at, time};

fn list(images: &[&str]) -> ImageListPullJob {
    let mut list = ImageListPullJob::default();
    list.metadata.name = Some("base".into());
    list.metadata.namespace = Some("team".into());
    list.metadata.uid = Some("u".into());
    list.spec.images = images.iter().map(|image| (*image).to_owned()).collect();
    list
}

/// Does what the plan says, as the API server would.
fn carry_out(list: &ImageListPullJob, children: &mut Vec<ImagePullJob>) -> ImageListPullJobStatus {
    let plan = plan_list(list, children.iter(), at(0));
    let gone: Vec<_> = plan.remove.iter().map(|job| job.metadata.name.clone()).collect();
    let (create, status) = (plan.create, plan.status);
    children.retain(|job| !gone.contains(&job.metadata.name));
    for job in create {
        assert!(
            children
                .iter()
                .all(|child| child.metadata.name != job.metadata.name),
            "names differ"
        );
        children.push(job);
    }
    status.expect("it is not completed")
}

fn end(job: &mut ImagePullJob, desired: i32, failed: i32) {
    job.status = Some(ImagePullJobStatus {
        start_time: Some(time(0)),
        completion_time: Some(time(5)),
        desired,
        failed,
        succeeded: desired - failed,
        failed_reasons: vec![FailedReason {
            message: "no such image".into(),
            nodes: failed,
            example_node: "a".into(),
        }],
        ..Default::default()
    });
}

fn images(children: &[ImagePullJob]) -> Vec<&str> {
    children.iter().map(|job| job.spec.image.as_str()).collect()
}

#[test]
fn each_image_gets_one_job_of_the_template() {
    let mut list = list(&["nginx", "redis:7"]);
    list.spec.pull_secrets = vec!["s".into()];
    let mut children = Vec::new();
    let status = carry_out(&list, &mut children);
    assert_eq!(images(&children), ["nginx", "redis:7"]);
    assert_eq!(
        (status.desired, status.completed, status.completion_time),
        (2, 0, None)
    );
    assert_eq!(status.start_time, Some(time(0)));
    let first = &children[0];
    let name = first.metadata.name.as_deref().expect("it has a name");
    assert!(name.starts_with("base-") && name.len() <= 63, "{name}");
    assert_eq!(first.metadata.namespace.as_deref(), Some("team"));
    assert_eq!(first.spec.pull_secrets, ["s"]);
    let owner = &first.metadata.owner_references.as_ref().expect("it has an owner")[0];
    assert_eq!(
        (owner.kind.as_str(), owner.uid.as_str(), owner.controller),
        ("ImageListPullJob", "u", Some(true))
    );
    let label = first
        .metadata
        .labels
        .as_ref()
        .expect("it has labels")
        .get(CONTROLLER_REVISION_HASH);
    assert_eq!(label, Some(&template_hash(&list)));
    // Once is enough.
    assert_eq!(plan_list(&list, children.iter(), at(1)).create, []);
}

#[test]
fn what_a_cache_has_not_seen_is_created_under_the_same_name() {
    let list = list(&["nginx", "redis"]);
    let names =
        |plan: &ListPlan<'_>| -> Vec<_> { plan.create.iter().map(|job| job.metadata.name.clone()).collect() };
    let blind = names(&plan_list(&list, [], at(0)));
    let children = plan_list(&list, [], at(0)).create;
    assert_eq!(names(&plan_list(&list, [&children[0]], at(9))), blind[1..]);
}

#[test]
fn the_hash_follows_the_template_and_not_the_images() {
    let one = list(&["a"]);
    assert_eq!(template_hash(&one), template_hash(&list(&["a", "b"])));
    let mut other = list(&["a"]);
    other.spec.parallelism = Some(k8s_openapi::apimachinery::pkg::util::intstr::IntOrString::Int(4));
    assert_ne!(template_hash(&one), template_hash(&other));
    // What admission fills in changes nothing.
    let mut stored = list(&["a"]);
    default_list_job(&mut stored);
    assert_eq!(template_hash(&one), template_hash(&stored));
}

#[test]
fn a_new_template_replaces_jobs_and_an_image_that_left_takes_its_job_with_it() {
    let mut list = list(&["nginx", "redis"]);
    let mut children = Vec::new();
    carry_out(&list, &mut children);
    let before: Vec<_> = children.iter().map(|job| job.metadata.name.clone()).collect();
    list.spec.images = vec!["redis".into(), "caddy".into()];
    carry_out(&list, &mut children);
    assert_eq!(images(&children), ["redis", "caddy"]);
    assert_eq!(
        children[0].metadata.name, before[1],
        "an image that stays keeps its job"
    );
    list.spec.selector = Some(Default::default());
    let plan = plan_list(&list, children.iter(), at(0));
    assert_eq!((plan.create.len(), plan.remove.len()), (2, 2));
    assert!(matches!(plan.decisions[0].verdict, ListVerdict::Replace(_)));
    carry_out(&list, &mut children);
    assert_eq!(images(&children), ["redis", "caddy"]);
    assert!(children.iter().all(|job| job.spec.selector.is_some()));
}

#[test]
fn jobs_that_openkruise_made_of_the_same_template_are_kept() {
    let mut list = list(&["nginx"]);
    list.spec.completion_policy.ttl_seconds_after_finished = Some(60);
    let mut children = Vec::new();
    carry_out(&list, &mut children);
    children[0].metadata.name = Some("base-x7k2p".into());
    children[0].metadata.labels = Some(BTreeMap::from([(
        CONTROLLER_REVISION_HASH.to_owned(),
        "5d59d67564".to_owned(),
    )]));
    children[0].spec.completion_policy.ttl_seconds_after_finished = Some(60);
    let plan = plan_list(&list, children.iter(), at(0));
    assert_eq!((plan.create.len(), plan.remove.len()), (0, 0));
    assert!(matches!(plan.decisions[0].verdict, ListVerdict::Running(_)));
}

#[test]
fn of_two_jobs_for_one_image_the_oldest_stays() {
    let list = list(&["nginx"]);
    let mut children = Vec::new();
    carry_out(&list, &mut children);
    let mut second = children[0].clone();
    second.metadata.name = Some("base-other".into());
    second.metadata.creation_timestamp = Some(time(5));
    children[0].metadata.creation_timestamp = Some(time(1));
    children.insert(0, second);
    let plan = plan_list(&list, children.iter(), at(0));
    let removed: Vec<_> = plan
        .remove
        .iter()
        .map(|job| job.metadata.name.as_deref())
        .collect();
    assert_eq!(removed, [Some("base-other")]);
    assert_eq!(plan.create, []);
}

#[test]
fn a_job_that_is_being_deleted_is_waited_for() {
    let list = list(&["nginx"]);
    let mut children = Vec::new();
    carry_out(&list, &mut children);
    children[0].metadata.deletion_timestamp = Some(time(1));
    let plan = plan_list(&list, children.iter(), at(0));
    assert_eq!(plan.decisions[0].verdict, ListVerdict::Leaving);
    assert_eq!((plan.create.len(), plan.remove.len()), (0, 0));
    assert_eq!(plan.status.map(|status| status.completed), Some(0));
}

#[test]
fn a_list_is_done_when_all_its_images_are() {
    let mut list = list(&["nginx", "redis"]);
    let mut children = Vec::new();
    carry_out(&list, &mut children);
    // A job that has not counted its nodes has not ended, though none of its nodes is missing.
    children[0].status = Some(ImagePullJobStatus::default());
    assert_eq!(carry_out(&list, &mut children).completed, 0);
    end(&mut children[0], 3, 0);
    children[1].status = Some(ImagePullJobStatus {
        start_time: Some(time(0)),
        desired: 3,
        active: 2,
        ..Default::default()
    });
    let status = carry_out(&list, &mut children);
    assert_eq!(
        (status.desired, status.active, status.completed, status.succeeded),
        (2, 1, 1, 1)
    );
    assert_eq!(status.completion_time, None);
    end(&mut children[1], 3, 2);
    let status = carry_out(&list, &mut children);
    assert_eq!((status.active, status.completed, status.succeeded), (0, 2, 1));
    assert_eq!(status.completion_time, Some(time(0)));
    let failed = &status.failed_image_statuses[0];
    assert_eq!(
        (failed.name.as_str(), failed.message.as_str()),
        ("redis", "2 of 3 nodes failed: no such image")
    );
    assert_eq!(Some(&failed.image_pull_job), children[1].metadata.name.as_ref());
    // What is done is left alone, until its time is over.
    list.status = Some(status);
    assert_eq!(plan_list(&list, [], at(60)), ListPlan::default());
    list.spec.completion_policy.ttl_seconds_after_finished = Some(60);
    assert_eq!(
        plan_list(&list, [], at(50)).requeue_after,
        Some(Duration::from_secs(10))
    );
    assert!(plan_list(&list, [], at(60)).delete);
}

#[test]
fn a_list_of_never_has_no_end() {
    let mut list = list(&["nginx"]);
    list.spec.completion_policy.type_ = Some(CompletionPolicyType::Never);
    let mut children = Vec::new();
    carry_out(&list, &mut children);
    end(&mut children[0], 2, 0);
    children[0].status.as_mut().expect("it has one").completion_time = None;
    let status = carry_out(&list, &mut children);
    assert_eq!(
        (status.completed, status.succeeded, status.completion_time),
        (1, 1, None)
    );
}

#[test]
fn an_image_that_is_no_reference_fails_alone() {
    let list = list(&["UPPER/a", "nginx"]);
    let mut children = Vec::new();
    let status = carry_out(&list, &mut children);
    assert_eq!(images(&children), ["nginx"]);
    assert_eq!(status.failed_image_statuses[0].name, "UPPER/a");
    end(&mut children[0], 1, 0);
    let status = carry_out(&list, &mut children);
    assert!(status.completion_time.is_some());
    assert_eq!((status.completed, status.succeeded), (2, 1));
}

#[test]
fn a_list_that_makes_no_sense_creates_nothing_and_says_why() {
    let mut list = list(&["nginx"]);
    list.spec.parallelism = Some(k8s_openapi::apimachinery::pkg::util::intstr::IntOrString::String(
        "10%".into(),
    ));
    let plan = plan_list(&list, [], at(0));
    assert_eq!((plan.create.len(), plan.invalid.len()), (0, 1));
    let message = &plan.status.expect("it says so").failed_image_statuses[0].message;
    assert!(
        message.starts_with("list is not valid: spec.parallelism: "),
        "{message}"
    );
}

#[test]
fn the_patch_of_the_status_holds_what_changed() {
    let mut list = list(&["nginx"]);
    let status = plan_list(&list, [], at(0)).status.expect("it runs");
    assert!(list_status_patch(&list, &status).is_some());
    list.status = Some(status.clone());
    assert_eq!(list_status_patch(&list, &status), None);
}

proptest::proptest! {
    /// Whatever happens to the list and its jobs, carrying plans out leads to one job of the template for each image.
    #[test]
    fn plans_settle(steps in proptest::collection::vec((0_usize..6, 0_usize..6, 0_u8..5), 1..30)) {
        let mut list = list(&[]);
        let mut children: Vec<ImagePullJob> = Vec::new();
        for (one, other, what) in steps {
            let image = format!("i{one}");
            match what {
                0 if !list.spec.images.contains(&image) => list.spec.images.push(image),
                1 => list.spec.images.retain(|listed| *listed != image),
                2 => list.spec.parallelism = Some(k8s_openapi::apimachinery::pkg::util::intstr::IntOrString::Int(other as i32)),
                3 if one < children.len() => { children.remove(one); }
                4 if one < children.len() => end(&mut children[one], 3, (other % 4) as i32),
                _ => {}
            }
            if other % 2 == 0 && !list.spec.images.is_empty() {
                carry_out(&list, &mut children);
            }
        }
        list.status = None;
        if list.spec.images.is_empty() {
            return Ok(());
        }
        carry_out(&list, &mut children);
        let mut found = images(&children);
        found.sort_unstable();
        let mut wanted: Vec<&str> = list.spec.images.iter().map(String::as_str).collect();
        wanted.sort_unstable();
        proptest::prop_assert_eq!(found, wanted);
        let plan = plan_list(&list, children.iter(), at(0));
        proptest::prop_assert!(plan.create.is_empty() && plan.remove.is_empty());
        for child in &children {
            proptest::prop_assert_eq!(&child.spec, &template(&list, &child.spec.image));
        }
    }
}
