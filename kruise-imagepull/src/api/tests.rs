use serde_json::json;

use super::*;
use crate::fixtures::{NodeImageExt as _, at, job, job_from, node, owner, result, task, time};

fn kinds(job: &ImagePullJob) -> Vec<String> {
    validate_job(job).iter().map(ToString::to_string).collect()
}

#[test]
fn the_definitions_are_those_of_openkruise() {
    insta::assert_yaml_snapshot!("crds", crds());
}

#[test]
fn printer_columns_of_jobs_end_with_the_message() {
    let crd = crds().remove(0);
    let columns = crd.spec.versions[0]
        .additional_printer_columns
        .clone()
        .expect("columns");
    let names: Vec<_> = columns.iter().map(|column| column.name.as_str()).collect();
    assert_eq!(
        names,
        [
            "TOTAL", "ACTIVE", "SUCCEED", "FAILED", "AGE", "MESSAGE", "IMAGE", "REASON"
        ]
    );
    assert!(
        columns[6..].iter().all(|column| column.priority == Some(1)),
        "only with -o wide"
    );
}

#[test]
fn a_job_needs_only_an_image() {
    let job: ImagePullJob = serde_json::from_value(json!({
        "apiVersion": "apps.kruise.io/v1alpha1", "kind": "ImagePullJob",
        "metadata": {"name": "a", "namespace": "team"}, "spec": {"image": "nginx"},
    }))
    .expect("decodes");
    assert_eq!(kinds(&job), [""; 0]);
    let spec = serde_json::to_value(&job.spec).expect("serialises");
    assert_eq!(spec, json!({"image": "nginx", "completionPolicy": {}}));
}

#[test]
fn counters_are_always_written_and_zero_versions_never() {
    let status = serde_json::to_value(ImagePullJobStatus::default()).expect("serialises");
    assert_eq!(
        status,
        json!({"desired": 0, "active": 0, "succeeded": 0, "failed": 0})
    );
    let status = serde_json::to_value(NodeImageStatus::default()).expect("serialises");
    assert_eq!(
        status,
        json!({"desired": 0, "succeeded": 0, "failed": 0, "pulling": 0})
    );
    let entry = serde_json::to_value(result("1", 0, PullPhase::Pulling)).expect("serialises");
    assert_eq!(
        entry,
        json!({"tag": "1", "phase": "Pulling", "startTime": "2027-01-15T08:00:01Z"})
    );
}

#[test]
fn a_node_image_of_openkruise_survives_a_round_trip() {
    let object = json!({
        "apiVersion": "apps.kruise.io/v1alpha1", "kind": "NodeImage", "metadata": {"name": "worker-7"},
        "spec": {"images": {"registry.example.com/team/app": {
            "pullSecrets": [{"namespace": "team", "name": "pull"}],
            "tags": [{
                "tag": "2.1", "version": 1, "createdAt": "2030-01-01T10:00:00Z", "imagePullPolicy": "IfNotPresent",
                "pullPolicy": {"timeoutSeconds": 600, "backoffLimit": 3, "ttlSecondsAfterFinished": 2222},
                "ownerReferences": [{"apiVersion": "apps.kruise.io/v1alpha1", "kind": "ImagePullJob",
                    "namespace": "team", "name": "a", "uid": "u-a"}],
            }],
        }}},
        "status": {"desired": 1, "pulling": 1, "succeeded": 0, "failed": 0, "imageStatuses": {
            "registry.example.com/team/app": {"tags": [{"tag": "2.1", "version": 1, "phase": "Succeeded",
                "progress": 100, "startTime": "2030-01-01T10:00:02Z", "completionTime": "2030-01-01T10:00:09Z",
                "imageID": "registry.example.com/team/app@sha256:1", "message": "m"}]},
        }},
    });
    let node: NodeImage = serde_json::from_value(object.clone()).expect("decodes");
    assert_eq!(serde_json::to_value(node).expect("serialises"), object);
}

#[test]
fn what_other_versions_wrote_still_decodes() {
    let job = job_from(
        "a",
        "{image: nginx, completionPolicy: {type: Sometimes}, imagePullPolicy: Never, sandboxConfig: {}}",
    );
    assert_eq!(
        kinds(&job),
        [r#"spec.completionPolicy.type: "Sometimes" is not one of Always, Never"#]
    );
    let phase: PullPhase = serde_json::from_value(json!("Verifying")).expect("decodes");
    assert_eq!(phase, PullPhase::Other("Verifying".into()));
}

#[test]
fn defaults_keep_what_the_user_set() {
    let mut set = job_from(
        "a",
        "{image: nginx, pullPolicy: {timeoutSeconds: 50, backoffLimit: 0}}",
    );
    default_job(&mut set);
    let policy = set.spec.pull_policy.clone().expect("set");
    assert_eq!(
        (policy.timeout_seconds, policy.backoff_limit),
        (Some(50), Some(0))
    );
    let mut unset = job("a", "nginx");
    default_job(&mut unset);
    let spec = serde_json::to_value(&unset.spec).expect("serialises");
    let expected = json!({
        "image": "nginx", "completionPolicy": {"type": "Always"}, "imagePullPolicy": "IfNotPresent",
        "pullPolicy": {"timeoutSeconds": 600, "backoffLimit": 3},
    });
    assert_eq!(spec, expected);
}

#[test]
fn default_node_image_stamps_and_sorts() {
    let mut unsorted = node("n")
        .with_task(
            "nginx",
            ImageTagSpec {
                created_at: None,
                pull_policy: None,
                ..task("b", 0, &[])
            },
        )
        .with_task("nginx", task("a", 0, &[]));
    default_node_image(&mut unsorted, at(5));
    let tags = &unsorted.spec.images["nginx"].tags;
    assert_eq!((tags[0].tag.as_str(), tags[1].tag.as_str()), ("a", "b"));
    assert_eq!(
        (tags[0].created_at.clone(), tags[1].created_at.clone()),
        (Some(time(0)), Some(time(5)))
    );
    assert_eq!(
        tags[1]
            .pull_policy
            .clone()
            .and_then(|policy| policy.timeout_seconds),
        Some(600)
    );
}

#[test]
fn references_become_familiar_names_and_tags() {
    let hex = "a".repeat(64);
    let pinned = format!("nginx:1.9@sha256:{hex}");
    let digest = format!("sha256:{hex}");
    for (image, name, tag, reference) in [
        (
            "nginx",
            "nginx",
            "latest",
            "docker.io/library/nginx:latest".to_owned(),
        ),
        (
            "docker.io/library/nginx:1.9",
            "nginx",
            "1.9",
            "docker.io/library/nginx:1.9".to_owned(),
        ),
        (
            "index.docker.io/foo/bar",
            "foo/bar",
            "latest",
            "docker.io/foo/bar:latest".to_owned(),
        ),
        (
            "localhost/app:1",
            "localhost/app",
            "1",
            "localhost/app:1".to_owned(),
        ),
        (
            "reg:5000/a/b",
            "reg:5000/a/b",
            "latest",
            "reg:5000/a/b:latest".to_owned(),
        ),
        (
            "docker.io/library/foo/bar:2",
            "library/foo/bar",
            "2",
            "docker.io/library/foo/bar:2".to_owned(),
        ),
        (
            pinned.as_str(),
            "nginx",
            digest.as_str(),
            format!("docker.io/library/nginx@{digest}"),
        ),
    ] {
        let key = ImageKey::parse(image).expect(image);
        assert_eq!((key.name.as_str(), key.tag.as_str()), (name, tag), "{image}");
        assert_eq!(key.reference().expect(image).full(), reference, "{image}");
    }
}

#[test]
fn bad_references_are_refused() {
    for image in ["UPPER/image", "nginx:", "http://x/y", &"a".repeat(64)] {
        assert!(
            matches!(
                validate_job(&job("a", image))[..],
                [ValidationError {
                    kind: ValidationErrorKind::Image(_),
                    ..
                }]
            ),
            "{image}"
        );
    }
    assert_eq!(
        kinds(&job("a", "")),
        ["spec.image: is required and must not be empty"]
    );
}

#[test]
fn errors_come_in_the_order_of_openkruise() {
    let job = job_from(
        "a",
        r#"
image: ""
selector: {names: [n1, n1], matchLabels: {a: b}, matchExpressions: [{key: a, operator: Near}, {key: b, operator: In}]}
completionPolicy: {type: Never, activeDeadlineSeconds: 1, ttlSecondsAfterFinished: 1}
parallelism: 50%
"#,
    );
    let fields: Vec<_> = validate_job(&job).into_iter().map(|error| error.field).collect();
    let expected = [
        "spec.selector",
        "spec.selector.names[1]",
        "spec.selector.matchExpressions[0].operator",
        "spec.selector.matchExpressions[1].values",
        "spec.image",
        "spec.completionPolicy.activeDeadlineSeconds",
        "spec.completionPolicy.ttlSecondsAfterFinished",
        "spec.parallelism",
    ];
    assert_eq!(fields, expected);
}

#[test]
fn parallelism_is_a_number_or_a_number_as_text() {
    let parse = |yaml: &str| parse_parallelism(job_from("a", yaml).spec.parallelism.as_ref());
    assert_eq!(parse("{image: a}"), Ok(1));
    assert_eq!(parse("{image: a, parallelism: 0}"), Ok(0));
    assert_eq!(parse("{image: a, parallelism: '5'}"), Ok(5));
    assert_eq!(
        parse("{image: a, parallelism: 10%}"),
        Err(ValidationErrorKind::Percentage("10%".into()))
    );
    assert_eq!(
        parse("{image: a, parallelism: ten}"),
        Err(ValidationErrorKind::NotANumber("ten".into()))
    );
    assert_eq!(
        parse("{image: a, parallelism: -1}"),
        Err(ValidationErrorKind::Negative)
    );
    assert_eq!(
        parse("{image: a, parallelism: '-1'}"),
        Err(ValidationErrorKind::Negative)
    );
}

#[test]
fn a_deadline_below_the_timeout_is_refused_but_a_stored_job_keeps_running() {
    let errors = validate_job(&job_from(
        "a",
        "{image: a, completionPolicy: {activeDeadlineSeconds: 300}}",
    ));
    assert_eq!(errors.len(), 1);
    assert!(!errors[0].kind.stops_planning());
    let fits =
        "{image: a, pullPolicy: {timeoutSeconds: 300}, completionPolicy: {activeDeadlineSeconds: 300}}";
    assert_eq!(kinds(&job_from("a", fits)), [""; 0]);
}

#[test]
fn node_images_are_checked_task_by_task() {
    let good = node("n").with_task("nginx", task("1", 0, &["j"]));
    assert_eq!(validate_node_image(&good), []);
    let bad = node("n")
        .with_task("", task("1", 0, &[]))
        .with_task(
            "nginx",
            ImageTagSpec {
                tag: String::new(),
                created_at: None,
                ..task("", -1, &[])
            },
        )
        .with_task(
            "nginx",
            ImageTagSpec {
                pull_policy: None,
                ..task("2", 0, &[])
            },
        )
        .with_task(
            "nginx",
            ImageTagSpec {
                pull_policy: Some(ImageTagPullPolicy::default()),
                ..task("2", 0, &[])
            },
        );
    let errors: Vec<_> = validate_node_image(&bad)
        .iter()
        .map(ToString::to_string)
        .collect();
    insta::assert_yaml_snapshot!("node_image_errors", errors);
}

#[test]
fn a_node_image_holds_256_images() {
    let with = |count: usize| {
        (0..count).fold(node("n"), |node, index| {
            node.with_task(&format!("image{index}"), task("1", 0, &[]))
        })
    };
    assert_eq!(validate_node_image(&with(256)), []);
    assert_eq!(
        validate_node_image(&with(257))[0].kind,
        ValidationErrorKind::TooManyImages(257)
    );
}

#[test]
fn owners_keep_every_field() {
    let reference = serde_json::to_value(owner("j")).expect("serialises");
    let expected = json!({"apiVersion": "apps.kruise.io/v1alpha1", "kind": "ImagePullJob", "name": "j",
        "namespace": "team", "uid": "j"});
    assert_eq!(reference, expected);
}
