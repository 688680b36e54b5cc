//! Names that are taken, and containers that are replaced.
#![allow(clippy::unwrap_used, reason = "tests fail that way")]

mod inject_support;

use inject_support::*;
use kruise_sidecar::api::SidecarSet;
use kruise_sidecar::inject::{InjectConfig, Injector, Moment, Refusal};
use serde_json::{Value, json};

fn main_pod() -> Value {
    pod(json!({"containers": [{"name": "main"}]}))
}

fn skipping(sets: &[SidecarSet]) -> Injector {
    let mut config = InjectConfig::default();
    config.refusal = Refusal::Skip;
    Injector::new(sets.iter().map(ready), config)
}

#[test]
fn with_skip_a_set_whose_name_is_taken_is_left_out_whole_and_the_others_go_in() {
    let sets = [
        set(
            "a",
            json!({"containers": [{"name": "extra"}, {"name": "main"}], "patchPodMetadata": [{"annotations": {"k": "v"}}]}),
        ),
        set("b", json!({"containers": [{"name": "mesh"}]})),
    ];
    let done = skipping(&sets)
        .inject_value(&main_pod(), &Moment::new(now()))
        .unwrap();
    assert_eq!(done.sets, ["b".into()]);
    assert_eq!(done.skipped.len(), 1);
    assert_eq!(
        done.warnings,
        [r#"SidecarSet "a" is not injected: its sidecar "main" has the name of the pod's container "main""#]
    );
    let pod = patched(&main_pod(), &done);
    assert_eq!(each(&pod["spec"]["containers"], "name"), ["mesh", "main"]);
    assert_eq!(pod["metadata"]["annotations"].get("k"), None);
}

#[test]
fn names_are_taken_across_containers_and_init_containers() {
    let bad = |spec: Value, pod: &Value| {
        inject(&[set("s", spec)], pod)
            .map_err(|error| message(&error))
            .unwrap_err()
    };
    let both = pod(json!({"containers": [{"name": "main"}], "initContainers": [{"name": "prep"}]}));
    assert!(
        bad(json!({"containers": [{"name": "prep"}]}), &both).ends_with(r#"the pod's init container "prep""#)
    );
    assert!(
        bad(json!({"initContainers": [{"name": "main"}]}), &both).ends_with(r#"the pod's container "main""#)
    );
    assert!(
        bad(json!({"initContainers": [{"name": "prep"}]}), &both)
            .ends_with(r#"the pod's init container "prep""#)
    );
}

#[test]
fn two_sets_with_one_name_are_refused_with_both_sets() {
    let sets = ["a", "b"].map(|name| set(name, json!({"containers": [{"name": "same"}]})));
    assert_eq!(
        message(&inject(&sets, &main_pod()).unwrap_err()),
        r#"SidecarSet "b" cannot be injected: its sidecar "same" has the name of a sidecar of SidecarSet "a""#
    );
    let done = skipping(&sets)
        .inject_value(&main_pod(), &Moment::new(now()))
        .unwrap();
    assert_eq!(done.sets, ["a".into()]);
    let twice = set(
        "t",
        json!({"containers": [{"name": "x"}], "initContainers": [{"name": "x"}]}),
    );
    assert!(inject(&[twice], &main_pod()).is_err());
}

#[test]
fn an_injected_container_is_replaced_in_its_place() {
    let sets = [set(
        "s",
        json!({"containers": [{"name": "mesh", "image": "mesh:2"}],
        "initContainers": [{"name": "prep", "image": "prep:2", "restartPolicy": "Always"}]}),
    )];
    let injected_env = json!([{"name": "IS_INJECTED", "value": "true"}]);
    let before = pod(json!({
        "containers": [{"name": "main"}, {"name": "mesh", "image": "mesh:1", "env": injected_env}, {"name": "last"}],
        "initContainers": [{"name": "prep", "image": "prep:1", "env": injected_env}, {"name": "own"}],
    }));
    let after = injected(&sets, &before);
    assert_eq!(
        each(&after["spec"]["containers"], "name"),
        ["main", "mesh", "last"]
    );
    assert_eq!(after["spec"]["containers"][1]["image"], "mesh:2");
    assert_eq!(each(&after["spec"]["initContainers"], "name"), ["prep", "own"]);
    assert_eq!(after["spec"]["initContainers"][0]["image"], "prep:2");
}

#[test]
fn what_is_replaced_is_no_source_of_variables_but_other_injected_containers_are() {
    let sets = [set(
        "s",
        json!({"containers": [
            {"name": "a", "env": [{"name": "K", "value": "a"}]},
            {"name": "b", "transferEnv": [{"sourceContainerName": "a", "envName": "K"}, {"sourceContainerName": "old", "envName": "O"}]},
        ]}),
    )];
    let pod = pod(json!({"containers": [{"name": "main"}, {"name": "old",
        "env": [{"name": "IS_INJECTED", "value": "true"}, {"name": "O", "value": "o"}]}]}));
    let pod = injected(&sets, &pod);
    assert_eq!(env(container(&pod, "b")), ["IS_INJECTED=true", "O=o"]);
}

#[test]
fn an_annotation_alone_does_not_make_a_container_of_the_app_replaceable() {
    let mut pod = main_pod();
    // As in a template that was copied from a pod with a sidecar "main".
    let held = json!({"s": {"hash": "h", "sidecarSetName": "s", "sidecarList": ["main"]}});
    pod["metadata"]["annotations"] = json!({"kruise.io/sidecarset-hash": held.to_string()});
    let sets = [set("s", json!({"containers": [{"name": "main"}]}))];
    let told = message(&inject(&sets, &pod).unwrap_err());
    assert!(
        told.ends_with(r#"the name of the pod's container "main""#),
        "{told}"
    );
}
