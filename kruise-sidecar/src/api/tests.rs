use kruise_core::webhook::Converter;
use serde_json::{Value, json};

use super::*;

fn set(spec: Value) -> SidecarSet {
    serde_json::from_value(json!({
        "apiVersion": names::API_VERSION, "kind": names::KIND, "metadata": {"name": "s"}, "spec": spec,
    }))
    .expect("a set")
}

#[test]
fn the_definition_is_that_of_openkruise() {
    insta::assert_yaml_snapshot!("crd", crd(None));
}

#[test]
fn an_empty_spec_is_written_as_openkruise_writes_it() {
    let spec = serde_json::to_value(set(json!({})).spec).expect("serialises");
    assert_eq!(spec, json!({"updateStrategy": {}, "injectionStrategy": {}}));
    let container = serde_json::to_value(SidecarContainer::default()).expect("serialises");
    assert_eq!(container, json!({"upgradeStrategy": {}, "shareVolumePolicy": {}}));
    let status = serde_json::to_value(SidecarSetStatus::default()).expect("serialises");
    assert_eq!(
        status,
        json!({"matchedPods": 0, "updatedPods": 0, "readyPods": 0})
    );
}

#[test]
fn every_field_survives_a_round_trip() {
    let spec = json!({
        "selector": {"matchLabels": {"app": "web"}},
        "namespace": "shop",
        "namespaceSelector": {"matchLabels": {"team": "a"}},
        "initContainers": [{"name": "i", "restartPolicy": "Always", "upgradeStrategy": {}, "shareVolumePolicy": {}}],
        "containers": [{
            "name": "c", "image": "c:1", "ports": [{"containerPort": 80, "new": 1}], "unknown": {"a": [1]},
            "podInjectPolicy": "BeforeAppContainer",
            "upgradeStrategy": {"upgradeType": "HotUpgrade", "hotUpgradeEmptyImage": "e:1"},
            "shareVolumePolicy": {"type": "enabled"},
            "shareVolumeDevicePolicy": {"type": "disabled"},
            "transferEnv": [
                {"sourceContainerName": "main", "envName": "A"},
                {"sourceContainerNameFrom": {"fieldRef": {"fieldPath": "metadata.labels['x']"}}, "envNames": ["B"]},
            ],
            "resourcesPolicy": {"targetContainersMode": "sum", "targetContainersNameRegex": ".*",
                "resourcesExpr": {"limits": {"cpu": "cpu*50%"}, "requests": {"memory": "1Mi"}}},
        }],
        "volumes": [{"name": "v", "emptyDir": {"unknown": 1}}],
        "updateStrategy": {
            "type": "RollingUpdate", "paused": true, "selector": {"matchLabels": {"canary": "true"}},
            "partition": "30%", "maxUnavailable": 2,
            "priorityStrategy": {"weightPriority": [{"weight": 1, "matchSelector": {"matchLabels": {"a": "b"}}}]},
            "scatterStrategy": [{"key": "zone", "value": "*"}],
        },
        "injectionStrategy": {"paused": true, "revision":
            {"revisionName": "s-1", "customVersion": "1.0", "policy": "Partial"}},
        "imagePullSecrets": [{"name": "pull"}],
        "revisionHistoryLimit": 3,
        "patchPodMetadata": [{"annotations": {"a": "b"}, "patchPolicy": "MergePatchJson"}],
    });
    assert_eq!(
        serde_json::to_value(set(spec.clone()).spec).expect("serialises"),
        spec
    );
}

#[test]
fn null_and_empty_words_are_absent() {
    let spec = json!({
        "selector": null, "namespace": null, "containers": null, "initContainers": [{"transferEnv": null,
            "podInjectPolicy": "", "upgradeStrategy": {"upgradeType": ""}, "shareVolumePolicy": {"type": null}}],
        "updateStrategy": {"type": "", "scatterStrategy": null}, "injectionStrategy": null,
    });
    assert_eq!(
        serde_json::to_value(set(spec).spec).expect("serialises"),
        json!({"initContainers": [{"upgradeStrategy": {}, "shareVolumePolicy": {}}],
            "updateStrategy": {}, "injectionStrategy": {}})
    );
}

#[test]
fn a_word_that_is_not_known_is_kept() {
    let spec = json!({"updateStrategy": {"type": "Sometimes"}, "injectionStrategy": {}});
    let set = set(spec.clone());
    assert_eq!(
        set.spec.update_strategy.type_,
        Some(UpdateStrategyType::Other("Sometimes".into()))
    );
    assert!(set.spec.update_strategy.updates());
    assert_eq!(serde_json::to_value(set.spec).expect("serialises"), spec);
}

#[test]
fn a_hot_upgraded_sidecar_is_two_containers() {
    let sidecar: SidecarContainer =
        serde_json::from_value(json!({"name": "mesh", "upgradeStrategy": {"upgradeType": "HotUpgrade"}}))
            .expect("a sidecar");
    assert_eq!(sidecar.names_in_pod().collect::<Vec<_>>(), ["mesh-1", "mesh-2"]);
    let cold = SidecarContainer {
        upgrade_strategy: UpgradeStrategy::default(),
        ..sidecar
    };
    assert_eq!(cold.names_in_pod().collect::<Vec<_>>(), ["mesh"]);
}

fn converted(mut object: Value, to: &str) -> Value {
    SidecarSetConverter.convert(&mut object, to).expect("converts");
    object["apiVersion"] = to.into();
    object
}

#[test]
fn the_namespace_becomes_a_selector_and_the_label_a_field_and_both_come_back() {
    let old = json!({
        "apiVersion": names::API_VERSION,
        "metadata": {"name": "s", "labels": {names::SIDECARSET_CUSTOM_VERSION: "1.2"}},
        "spec": {"namespace": "shop", "namespaceSelector": {"matchLabels": {"a": "b"}}, "unknown": 1},
    });
    let new = converted(old, names::API_VERSION_V1BETA1);
    let selector = json!({"matchLabels": {names::NAMESPACE_NAME: "shop"}});
    assert_eq!(
        new,
        json!({
            "apiVersion": names::API_VERSION_V1BETA1,
            "metadata": {"name": "s", "annotations": {names::NAMESPACE_IN_V1ALPHA1: "shop"}},
            "spec": {"namespaceSelector": selector, "customVersion": "1.2", "unknown": 1},
        })
    );
    let back = converted(new, names::API_VERSION);
    assert_eq!(
        back,
        json!({
            "apiVersion": names::API_VERSION,
            "metadata": {"name": "s", "labels": {names::SIDECARSET_CUSTOM_VERSION: "1.2"}},
            "spec": {"namespace": "shop", "unknown": 1},
        })
    );
}

#[test]
fn a_selector_that_was_changed_stays_a_selector() {
    let new = |selector: Value| {
        json!({"apiVersion": names::API_VERSION_V1BETA1,
            "metadata": {"annotations": {names::NAMESPACE_IN_V1ALPHA1: "shop", "a": "b"}},
            "spec": {"namespaceSelector": selector}})
    };
    for selector in [
        json!({"matchLabels": {names::NAMESPACE_NAME: "other"}}),
        json!({"matchLabels": {names::NAMESPACE_NAME: "shop", "a": "b"}}),
        Value::Null,
    ] {
        let old = converted(new(selector.clone()), names::API_VERSION);
        assert_eq!(
            old,
            json!({"apiVersion": names::API_VERSION, "metadata": {"annotations": {"a": "b"}},
                "spec": {"namespaceSelector": selector}})
        );
    }
}

/// Also where the annotation was copied along with the rest.
#[test]
fn a_selector_that_was_written_as_one_stays_a_selector() {
    let selector = json!({"matchLabels": {names::NAMESPACE_NAME: "shop"}});
    let mut set = json!({"apiVersion": names::API_VERSION, "metadata": {"name": "s"},
        "spec": {"namespaceSelector": selector}});
    let there = converted(set.clone(), names::API_VERSION_V1BETA1);
    assert_eq!(converted(there, names::API_VERSION), set);
    let plain = set.clone();
    set["metadata"]["annotations"] = json!({names::NAMESPACE_IN_V1ALPHA1: "shop"});
    let there = converted(set, names::API_VERSION_V1BETA1);
    assert_eq!(converted(there, names::API_VERSION), plain);
}

#[test]
fn what_has_neither_is_left_alone_by_conversion() {
    for object in [
        json!({"apiVersion": names::API_VERSION, "metadata": {"labels": {"a": "b"}}, "spec": {}}),
        json!({"apiVersion": names::API_VERSION, "metadata": {"labels": null}}),
        json!({"apiVersion": names::API_VERSION}),
    ] {
        let there = converted(object.clone(), names::API_VERSION_V1BETA1);
        assert_eq!(converted(there, names::API_VERSION), object);
    }
    let mut odd = json!({"apiVersion": names::API_VERSION, "metadata": 7});
    SidecarSetConverter
        .convert(&mut odd, names::API_VERSION_V1BETA1)
        .expect_err("no object");
    SidecarSetConverter
        .convert(&mut odd, "apps.kruise.io/v2")
        .expect_err("no such version");
}
