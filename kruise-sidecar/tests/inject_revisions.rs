//! Which revision of a set a new pod gets.
#![allow(clippy::unwrap_used, reason = "tests fail that way")]

mod inject_support;

use std::sync::Arc;

use inject_support::*;
use k8s_openapi::api::apps::v1::ControllerRevision;
use kruise_sidecar::inject::{Injector, Moment, compile, restore};
use serde_json::{Value, json};

/// A revision of the set `s` that injects `side:<image>`.
fn revision(name: &str, number: i64, version: &str, image: &str) -> Arc<ControllerRevision> {
    Arc::new(
        serde_json::from_value(json!({
            "metadata": {
                "name": name,
                "labels": {"kruise.io/sidecarset-name": "s", "apps.kruise.io/sidecarset-custom-version": version},
                "annotations": {
                    "kruise.io/sidecarset-hash": format!("hash-of-{name}"),
                    "kruise.io/sidecarset-hash-without-image": "plain-of-old",
                },
            },
            "revision": number,
            "data": {"spec": {"$patch": "replace", "volumes": null, "initContainers": null, "imagePullSecrets": null,
                "patchPodMetadata": null, "containers": [{"name": "side", "image": format!("side:{image}")}]}},
        }))
        .unwrap(),
    )
}

fn revisions() -> Vec<Arc<ControllerRevision>> {
    vec![
        revision("s-3", 3, "v1", "1b"),
        revision("s-1", 1, "v1", "1"),
        revision("s-2", 2, "v2", "2"),
    ]
}

/// The image that a pod gets, or why it is refused.
fn image(revision: Value, strategy: Value, labels: Value, draw: f64) -> Result<String, String> {
    let mut set = set(
        "s",
        json!({
            "containers": [{"name": "side", "image": "side:latest"}],
            "injectionStrategy": {"revision": revision}, "updateStrategy": strategy,
        }),
    );
    set.status = Some(
        serde_json::from_value(json!({"matchedPods": 0, "updatedPods": 0, "readyPods": 0,
        "latestRevision": "s-9"}))
        .unwrap(),
    );
    let compiled = compile(&set, &revisions(), Default::default()).unwrap();
    let injector = Injector::new([compiled.into()], Default::default());
    let mut pod = pod(json!({"containers": [{"name": "main"}]}));
    pod["metadata"]["labels"] = labels;
    pod["metadata"]["labels"]["app"] = json!("web");
    let done = injector.inject_value(&pod, &Moment::new(now()).draw(draw));
    let done = done.map_err(|error| message(&error))?;
    let pod = patched(&pod, &done);
    let hashes: Value = serde_json::from_str(annotation(&pod, "kruise.io/sidecarset-hash")).unwrap();
    let image = container(&pod, "side")["image"].as_str().unwrap().to_owned();
    Ok(format!(
        "{image} {}",
        hashes["s"]["controllerRevision"].as_str().unwrap()
    ))
}

fn always(revision: Value) -> Result<String, String> {
    image(revision, json!({}), json!({}), 0.5)
}

#[test]
fn a_revision_is_found_by_name_before_version_and_of_a_version_the_last() {
    assert_eq!(
        always(json!({"revisionName": "s-1", "customVersion": "v2"})).unwrap(),
        "side:1 s-1"
    );
    assert_eq!(always(json!({"customVersion": "v2"})).unwrap(), "side:2 s-2");
    assert_eq!(always(json!({"customVersion": "v1"})).unwrap(), "side:1b s-3");
    assert_eq!(always(json!({})).unwrap(), "side:latest s-9");
}

#[test]
fn a_revision_that_is_not_there_refuses_the_pod() {
    let told = always(json!({"revisionName": "gone"})).unwrap_err();
    assert_eq!(
        told,
        r#"SidecarSet "s" cannot be injected: injectionStrategy.revision: there is no revision "gone""#
    );
}

fn partial(strategy: Value, labels: Value, draw: f64) -> Result<String, String> {
    let told = image(
        json!({"customVersion": "v2", "policy": "Partial"}),
        strategy,
        labels,
        draw,
    )?;
    Ok(told.split(' ').next().unwrap().to_owned())
}

#[test]
fn l_6_pods_that_the_update_strategy_does_not_select_get_the_old_one() {
    let canary = json!({"selector": {"matchLabels": {"canary": "true"}}});
    assert_eq!(partial(canary.clone(), json!({}), 0.0).unwrap(), "side:2");
    assert_eq!(
        partial(canary, json!({"canary": "true"}), 0.0).unwrap(),
        "side:latest"
    );
}

#[test]
fn l_7_a_percentage_as_partition_is_the_share_of_the_old_one() {
    let with =
        |partition: Value| json!({"selector": {"matchLabels": {"canary": "true"}}, "partition": partition});
    let get = |partition: Value, draw: f64| partial(with(partition), json!({"canary": "true"}), draw);
    assert_eq!(get(json!(null), 0.0).unwrap(), "side:latest");
    assert_eq!(get(json!(3), 0.0).unwrap(), "side:latest");
    assert_eq!(get(json!("100%"), 0.999).unwrap(), "side:2");
    assert_eq!(get(json!("0%"), 0.0).unwrap(), "side:latest");
    assert_eq!(get(json!("30%"), 0.29).unwrap(), "side:2");
    assert_eq!(get(json!("30%"), 0.31).unwrap(), "side:latest");
    assert!(
        get(json!("abc%"), 0.0)
            .unwrap_err()
            .contains("updateStrategy.partition")
    );
}

#[test]
fn l_8_while_updates_are_paused_all_get_the_old_one() {
    let paused = json!({"paused": true, "selector": {"matchLabels": {"canary": "true"}}});
    assert_eq!(partial(paused, json!({"canary": "true"}), 0.9).unwrap(), "side:2");
}

#[test]
fn a_restored_set_has_the_hashes_of_its_time() {
    let set = set(
        "s",
        json!({"containers": [{"name": "side", "image": "side:latest"}], "volumes": [{"name": "v"}]}),
    );
    let restored = restore(&set, &revision("s-1", 1, "v1", "1")).unwrap();
    assert_eq!(restored.hash(), Some("hash-of-s-1"));
    assert_eq!(restored.hash_without_image(), Some("plain-of-old"));
    assert_eq!(restored.spec.containers[0].image(), "side:1");
    assert!(restored.spec.volumes.is_empty());
    assert_eq!(restored.spec.selector, set.spec.selector);
}

#[test]
fn a_revision_with_other_data_is_told_by_name() {
    let mut bad = (*revision("s-1", 1, "v1", "1")).clone();
    bad.data = Some(serde_json::from_value(json!({"spec": {"containers": "none"}})).unwrap());
    let set = set("s", json!({}));
    assert!(
        restore(&set, &bad)
            .unwrap_err()
            .to_string()
            .starts_with("revision \"s-1\" cannot be read")
    );
    bad.data = None;
    assert!(restore(&set, &bad).is_err());
}

#[test]
fn a_pod_that_has_one_of_the_two_revisions_keeps_it_whatever_is_drawn() {
    let set = set(
        "s",
        json!({
            "containers": [{"name": "side", "image": "side:latest"}],
            "injectionStrategy": {"revision": {"customVersion": "v2", "policy": "Partial"}},
            "updateStrategy": {"partition": "50%"},
        }),
    );
    let compiled = compile(&set, &revisions(), Default::default()).unwrap();
    let injector = Injector::new([compiled.into()], Default::default());
    let before = pod(json!({"containers": [{"name": "main"}]}));
    let inject = |pod: &Value, draw: f64| {
        let done = injector
            .inject_value(pod, &Moment::new(now()).draw(draw))
            .unwrap();
        patched(pod, &done)
    };
    for (first, second, image) in [(0.1, 0.9, "side:2"), (0.9, 0.1, "side:latest")] {
        let once = inject(&before, first);
        assert_eq!(container(&once, "side")["image"], image);
        assert_eq!(inject(&once, second), once);
    }
    let mut other = before;
    let held = json!({"s": {"hash": "of another time", "sidecarSetName": "s"}});
    other["metadata"]["annotations"] = json!({"kruise.io/sidecarset-hash": held.to_string()});
    assert_eq!(container(&inject(&other, 0.1), "side")["image"], "side:2");
    assert_eq!(container(&inject(&other, 0.9), "side")["image"], "side:latest");
}
