//! Arbitrary pods and sets: what holds for all of them.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests fail that way")]

mod inject_support;

use std::collections::HashSet;

use inject_support::generate::{any_json, pod, sets};
use inject_support::model::{model, normal};
use inject_support::{each, inject, injector, now, patched, set};
use kruise_sidecar::api::{HashForm, SidecarSet};
use kruise_sidecar::inject::{InjectConfig, Injector, Moment, Refusal, compile};
use proptest::prelude::*;
use serde_json::{Value, json};

/// What the API server says of a pod: the rules that injection could break.
fn check(pod: &Value) -> Result<(), TestCaseError> {
    let unique = |names: Vec<&str>, what: &str| {
        let mut seen = HashSet::new();
        let twice = names.into_iter().find(|name| !seen.insert(*name));
        prop_assert!(twice.is_none(), "{what} {twice:?} comes twice: {pod:#}");
        Ok(())
    };
    let spec = &pod["spec"];
    let containers: Vec<&Value> = ["containers", "initContainers"]
        .iter()
        .flat_map(|field| spec[field].as_array().into_iter().flatten())
        .collect();
    // Also over both lists: no container has the name of an init container.
    let names = containers
        .iter()
        .map(|container| container["name"].as_str().unwrap());
    let names: Vec<&str> = names.collect();
    unique(names.clone(), "container")?;
    let volumes = each(&spec["volumes"], "name");
    unique(volumes.clone(), "volume")?;
    for name in names.iter().chain(&volumes) {
        prop_assert!(is_dns_label(name), "{name:?} is no DNS label");
    }
    for container in containers {
        let places = [
            each(&container["volumeMounts"], "mountPath"),
            each(&container["volumeDevices"], "devicePath"),
        ]
        .concat();
        prop_assert!(places.iter().all(|path| !path.is_empty()));
        unique(places, "mount path")?;
        for list in ["volumeMounts", "volumeDevices"] {
            for volume in each(&container[list], "name") {
                prop_assert!(volumes.contains(&volume), "no volume {volume}");
            }
        }
        for entry in container["env"].as_array().into_iter().flatten() {
            let name = entry["name"].as_str().unwrap();
            prop_assert!(!name.is_empty() && !name.contains('='), "{entry}");
            prop_assert!(
                entry.get("value").is_none() || entry.get("valueFrom").is_none(),
                "{entry}"
            );
        }
        let ports = container["ports"].as_array().into_iter().flatten();
        let ports: Vec<&Value> = ports.collect();
        for port in &ports {
            let number = port["containerPort"].as_u64().unwrap_or_default();
            prop_assert!((1..=65535).contains(&number), "{port}");
        }
        let named = ports.iter().filter_map(|port| port["name"].as_str());
        unique(named.collect(), "port")?;
    }
    for (_, value) in pod["metadata"]["annotations"].as_object().into_iter().flatten() {
        prop_assert!(value.is_string());
    }
    Ok(())
}

fn is_dns_label(name: &str) -> bool {
    let inside = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    (1..=63).contains(&name.len())
        && name.bytes().all(inside)
        && !name.starts_with('-')
        && !name.ends_with('-')
}

/// `pod` with what is below one of its nodes replaced.
fn damaged() -> impl Strategy<Value = Value> {
    (pod(), any_json(), any::<prop::sample::Index>()).prop_map(|(mut pod, damage, at)| {
        fn pointers(value: &Value, path: &str, all: &mut Vec<String>) {
            all.push(path.to_owned());
            match value {
                Value::Object(fields) => fields.iter().for_each(|(key, value)| {
                    let key = key.replace('~', "~0").replace('/', "~1");
                    pointers(value, &format!("{path}/{key}"), all);
                }),
                Value::Array(values) => {
                    let values = values.iter().enumerate();
                    values.for_each(|(at, value)| pointers(value, &format!("{path}/{at}"), all));
                }
                _ => {}
            }
        }
        let mut all = Vec::new();
        pointers(&pod, "", &mut all);
        *pod.pointer_mut(at.get::<String>(&all)).unwrap() = damage;
        pod
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(80))]

    #[test]
    fn the_engine_does_what_the_plain_model_does(pod in pod(), sets in sets()) {
        match (model(&sets, &pod), inject(&sets, &pod)) {
            (None, Err(_)) => {}
            (Some(wanted), Ok(done)) => prop_assert_eq!(normal(patched(&pod, &done)), normal(wanted)),
            (wanted, done) => panic!("the model says {wanted:#?}, the engine {done:#?}"),
        }
    }

    #[test]
    fn what_comes_out_is_a_pod_and_injected_again_it_stays(pod in pod(), sets in sets()) {
        check(&pod)?;
        let mut config = InjectConfig::default();
        config.refusal = Refusal::Skip;
        let injector = Injector::new(sets.iter().map(inject_support::ready), config);
        let once = injector.inject_value(&pod, &Moment::new(now())).unwrap();
        let after = patched(&pod, &once);
        check(&after)?;
        let later = Moment::new("2033-03-03T03:03:03Z".parse().unwrap());
        let twice = injector.inject_value(&after, &later).unwrap();
        prop_assert_eq!(&twice.patch, &None);
        prop_assert_eq!(&twice.sets, &once.sets);
        prop_assert_eq!(once.patch.is_none(), after == pod, "a patch that changes nothing is not sent");
    }

    #[test]
    fn whatever_comes_there_is_an_answer_and_its_patch_applies(pod in prop_oneof![any_json(), damaged()], sets in sets()) {
        let Ok(done) = injector(&sets).inject_value(&pod, &Moment::new(now())) else { return Ok(()) };
        patched(&pod, &done);
    }

    #[test]
    fn whatever_a_set_holds_there_is_an_answer_and_its_patch_applies(
        pod in pod(),
        held in proptest::collection::vec(any_json(), 6),
        named in any::<bool>(),
    ) {
        let mut containers = held[0].clone();
        if let (true, Some(fields)) = (named, containers.as_object_mut()) {
            fields.insert("name".to_owned(), "c1".into());
        }
        let spec = json!({
            "selector": {"matchLabels": {"app": "web"}}, "containers": [containers], "initContainers": [held[1]],
            "volumes": [held[2]], "patchPodMetadata": held[3], "imagePullSecrets": held[4], "updateStrategy": held[5],
        });
        for field in ["", "initContainers", "volumes", "patchPodMetadata", "imagePullSecrets", "updateStrategy"] {
            let mut spec = spec.clone();
            spec.as_object_mut().unwrap().remove(field);
            let set = json!({"metadata": {"name": "s"}, "spec": spec});
            let Ok(set) = serde_json::from_value::<SidecarSet>(set) else { continue };
            let Ok(compiled) = compile(&set, &[], HashForm::default()) else { continue };
            let injector = Injector::new([compiled.into()], InjectConfig::default());
            if let Ok(done) = injector.inject_value(&pod, &Moment::new(now())) {
                patched(&pod, &done);
            }
        }
    }

    #[test]
    fn json_merged_twice_is_json_merged_once(
        held in proptest::option::of(any_json()),
        patches in proptest::collection::vec((any_json(), any::<bool>()), 1..4),
    ) {
        let text = |value: &Value, pretty: bool| match pretty {
            true => serde_json::to_string_pretty(value).unwrap(),
            false => value.to_string(),
        };
        let patches: Vec<Value> = patches
            .iter()
            .map(|(value, pretty)| json!({"patchPolicy": "MergePatchJson", "annotations": {"k": text(value, *pretty)}}))
            .collect();
        let set = set("s", json!({"containers": [{"name": "c"}], "patchPodMetadata": patches}));
        let mut pod = inject_support::pod(json!({"containers": []}));
        if let Some(held) = &held {
            pod["metadata"]["annotations"] = json!({"k": text(held, true)});
        }
        let after = inject_support::injected(std::slice::from_ref(&set), &pod);
        let mut wanted = held.unwrap_or_default();
        for patch in set.spec.patch_pod_metadata.iter().flat_map(|patch| patch.annotations.values()) {
            json_patch::merge(&mut wanted, &serde_json::from_str(patch).unwrap());
        }
        let found: Value = serde_json::from_str(after["metadata"]["annotations"]["k"].as_str().unwrap_or("null")).unwrap();
        prop_assert_eq!(found, wanted);
    }

    #[test]
    fn text_that_is_no_json_is_an_error(text in "[\\[\\]{}\",:a-z0-9 ]{0,40}", sets in sets()) {
        let done = injector(&sets).inject(&text, &Moment::new(now()));
        if serde_json::from_str::<Value>(&text).is_err() {
            prop_assert!(done.is_err());
        }
    }
}
