use k8s_openapi::ByteString;

use super::*;

const SPACE: &str = "kruise-daemon-config";

fn source(name: &str, value: &str) -> Secret {
    Secret {
        metadata: ObjectMeta {
            name: Some(name.into()),
            namespace: Some("team".into()),
            labels: Some([("l".to_owned(), "1".to_owned())].into()),
            ..ObjectMeta::default()
        },
        type_: Some(DOCKER_CONFIG_JSON.0.into()),
        data: Some([(DOCKER_CONFIG_JSON.1.to_owned(), ByteString(value.into()))].into()),
        ..Secret::default()
    }
}

fn job(name: &str) -> ObjectKey {
    ObjectKey::new("team", name)
}

/// Where the claim leads, and what has to be written.
fn claimed(job_name: &str, source: &Secret, copies: &[Secret]) -> (String, Option<CopyWrite>) {
    match claim(&job(job_name), source, copies, SPACE) {
        Claim::Copy { reference, write } => {
            assert_eq!(reference.namespace, SPACE);
            (reference.name, write)
        }
        other => panic!("{other:?}"),
    }
}

/// What the server makes of a write.
fn written(copies: &mut Vec<Secret>, write: Option<CopyWrite>) {
    match write {
        None => {}
        Some(CopyWrite::Create(copy)) => copies.push(*copy),
        Some(CopyWrite::Patch { name, patch }) => {
            let copy = copies
                .iter_mut()
                .find(|copy| copy.metadata.name == Some(name.clone()))
                .expect("there");
            let mut value = json!(copy);
            json_patch::merge(&mut value, &patch);
            *copy = serde_json::from_value(value).expect("a secret");
        }
        Some(CopyWrite::Delete { name, .. }) => {
            copies.retain(|copy| copy.metadata.name != Some(name.clone()))
        }
    }
}

#[test]
fn a_secret_is_copied_once_for_all_jobs_and_goes_with_the_last() {
    let (mut copies, source) = (Vec::new(), source("pull", "1"));
    let (name, write) = claimed("a", &source, &copies);
    assert!(
        name.starts_with("pull-") && name.len() == "pull-".len() + 6,
        "{name}"
    );
    written(&mut copies, write);
    let (again, write) = claimed("a", &source, &copies);
    assert_eq!((again, &write), (name.clone(), &None), "nothing is left to write");
    let (second, write) = claimed("b", &source, &copies);
    assert_eq!(second, name);
    written(&mut copies, write);
    assert_eq!(users_of(&copies[0]), [job("a"), job("b")]);
    assert_eq!(copies[0].data, source.data);
    assert_eq!(
        copies[0].metadata.labels, None,
        "labels may mean something to others"
    );
    assert_eq!(release(&copies[0], |_, _| true), None);
    let write = release(&copies[0], |user, _| *user == job("b"));
    written(&mut copies, write);
    assert_eq!(users_of(&copies[0]), [job("b")]);
    let write = release(&copies[0], |_, _| false);
    written(&mut copies, write);
    assert_eq!(copies, []);
}

#[test]
fn a_changed_secret_changes_its_copy() {
    let mut copies = Vec::new();
    let (_, write) = claimed("a", &source("pull", "1"), &copies);
    written(&mut copies, write);
    let mut changed = source("pull", "2");
    changed.data = Some([("other".to_owned(), ByteString(b"x".to_vec()))].into());
    let (_, write) = claimed("a", &changed, &copies);
    assert!(write.is_some());
    written(&mut copies, write);
    assert_eq!(
        copies[0].data, changed.data,
        "what the source lost, the copy loses"
    );
}

#[test]
fn a_secret_of_another_type_replaces_its_copy() {
    let mut copies = Vec::new();
    let (_, write) = claimed("a", &source("pull", "1"), &copies);
    written(&mut copies, write);
    let mut changed = source("pull", "1");
    changed.type_ = Some(DOCKER_CFG.0.into());
    let Claim::Replace(write) = claim(&job("a"), &changed, &copies, SPACE) else {
        panic!("types of secrets can not be changed")
    };
    written(&mut copies, Some(write));
    assert!(matches!(
        claimed("a", &changed, &copies).1,
        Some(CopyWrite::Create(_))
    ));
}

#[test]
fn only_pull_secrets_are_copied() {
    let mut opaque = source("pull", "1");
    opaque.type_ = Some("Opaque".into());
    assert_eq!(claim(&job("a"), &opaque, [], SPACE), Claim::NotAPullSecret);
}

#[test]
fn kruise_2381_the_copy_that_a_job_uses_is_kept_whatever_others_there_are() {
    let mut copies = Vec::new();
    for (name, user) in [("pull-a", "team/x"), ("pull-b", "team/a")] {
        let mut copy = new_copy(&source("pull", "1"), SPACE, name, "team/pull", user);
        copy.metadata.uid = Some(name.into());
        copies.push(copy);
    }
    assert_eq!(
        claimed("a", &source("pull", "1"), &copies),
        ("pull-b".to_owned(), None)
    );
    assert_eq!(
        claimed("new", &source("pull", "1"), &copies).0,
        "pull-a",
        "else the first by name"
    );
}

#[test]
fn other_secrets_in_the_namespace_are_left_alone() {
    let mut legacy = source("pull-x", "1");
    legacy.metadata.annotations = Some([(SOURCE_SECRET_KEY.to_owned(), "team/pull".to_owned())].into());
    assert_eq!(release(&legacy, |_, _| false), None);
    assert_eq!(release(&source("mine", "1"), |_, _| false), None);
    assert!(matches!(
        claimed("a", &source("pull", "1"), &[legacy]).1,
        Some(CopyWrite::Create(_))
    ));
}

#[test]
fn names_of_copies_are_bounded_and_differ_by_namespace() {
    let long = "a".repeat(253);
    let name = copy_name(&long, "team/x");
    assert_eq!(name.len(), 253);
    assert_ne!(copy_name("pull", "team/pull"), copy_name("pull", "other/pull"));
    assert_eq!(copy_name("pull", "team/pull"), copy_name("pull", "team/pull"));
}
