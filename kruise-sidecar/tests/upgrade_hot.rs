//! Hot upgrade: L-1 to L-5, and what happens when one comes upon another.

mod support;

use kruise_core::api::int_or_percent::Mode;
use kruise_core::policy::Verdict;
use kruise_core::policy::rollout::Hold;
use kruise_sidecar::api::{HashForm, NamespaceFacts, SidecarSet};
use kruise_sidecar::plan::upgrade::{
    Counts, Obstacle, PodPatch, Roster, Stamp, Unmatched, UpgradePlan, membership, plan_upgrade, reset_patch,
    upgrade_patch,
};
use kruise_sidecar::plan::{SidecarPod, Target};
use serde_json::{Value, json};
use support::{pod, set};

fn envoy(image: &str, more: Value) -> SidecarSet {
    let mut spec = json!({"containers": [{"name": "envoy", "image": image,
        "upgradeStrategy": {"upgradeType": "HotUpgrade", "hotUpgradeEmptyImage": "e"}}]});
    json_patch::merge(&mut spec, &more);
    set(spec)
}

fn stamp() -> Stamp<'static> {
    Stamp {
        now: "2026-02-03T04:05:06Z".parse().expect("a time"),
        revision: "",
    }
}

/// A pod as injection leaves it: envoy-1 has the image, envoy-2 the empty one.
fn injected(name: &str, set: &SidecarSet) -> Value {
    let entry = |hash: Option<&str>| json!({"logs": {"hash": hash, "sidecarSetName": "logs"}}).to_string();
    let image = set.spec.containers[0].image();
    let images = [("main", "web:1"), ("envoy-1", image), ("envoy-2", "e")];
    let status = |(name, image): (&str, &str)| json!({"name": name, "image": image, "imageID": format!("{image}@1"), "containerID": format!("{name}-a"), "ready": true, "restartCount": 0});
    json!({
        "metadata": {"name": name, "namespace": "shop", "uid": name, "resourceVersion": "1",
            "creationTimestamp": "2026-01-01T08:00:00Z", "labels": {"app": "web"}, "annotations": {
            "kruise.io/sidecarset-hash": entry(set.hash()),
            "kruise.io/sidecarset-hash-without-image": entry(set.hash_without_image()),
            "kruise.io/sidecarset-injected-list": "logs",
            "kruise.io/sidecarset-working-hotupgrade-container": r#"{"envoy":"envoy-1"}"#,
            "version.sidecarset.kruise.io/envoy-1": "1", "versionalt.sidecarset.kruise.io/envoy-1": "0",
            "version.sidecarset.kruise.io/envoy-2": "0", "versionalt.sidecarset.kruise.io/envoy-2": "1",
        }},
        "spec": {"nodeName": "n", "containers": images.map(|(name, image)| json!({"name": name, "image": image}))},
        "status": {"phase": "Running", "conditions": [{"type": "Ready", "status": "True"}],
            "containerStatuses": images.map(status)},
    })
}

fn apply(pod: &mut Value, patch: &PodPatch) {
    for (name, image) in &patch.images {
        let containers = pod["spec"]["containers"].as_array_mut().expect("containers");
        let container = containers
            .iter_mut()
            .find(|held| held["name"] == **name)
            .expect("there");
        container["image"] = image.as_ref().into();
    }
    for (key, value) in &patch.annotations {
        pod["metadata"]["annotations"][key] = value.as_str().into();
    }
}

/// The node restarts a container whose image was changed.
fn report(pod: &mut Value, at: usize) {
    let image = pod["spec"]["containers"][at]["image"]
        .as_str()
        .expect("an image")
        .to_owned();
    let status = &mut pod["status"]["containerStatuses"][at];
    status["containerID"] = format!("{}+", status["containerID"].as_str().expect("an id")).into();
    status["image"] = image.as_str().into();
    status["imageID"] = format!("{image}@1").into();
}

fn image(pod: &Value, at: usize) -> &str {
    pod["spec"]["containers"][at]["image"].as_str().expect("an image")
}

fn annotation<'p>(pod: &'p Value, key: &str) -> &'p str {
    pod["metadata"]["annotations"][key]
        .as_str()
        .expect("an annotation")
}

fn plan(set: &SidecarSet, pods: &[Value]) -> (Target, Vec<SidecarPod>, UpgradePlan) {
    let target = Target::compile(set, HashForm::default());
    let pods: Vec<SidecarPod> = pods.iter().cloned().map(pod).collect();
    let plan = plan_upgrade(&target, &pods, Mode::Current);
    (target, pods, plan)
}

fn counts(matched: usize, updated: usize, ready: usize, updated_ready: usize) -> Counts {
    Counts {
        matched,
        updated,
        ready,
        updated_ready,
        not_upgradable: 0,
    }
}

#[test]
fn examples_l1_to_l5_one_pod_after_the_other_each_with_a_reset() {
    let v1 = envoy("v1", json!({}));
    let mut pods = [injected("x", &v1), injected("y", &v1)];
    assert_eq!(plan(&v1, &pods).2.counts, counts(2, 2, 2, 2), "L-1");

    let v2 = envoy("v2", json!({}));
    let (target, seen, upgrade) = plan(&v2, &pods);
    assert_eq!(
        (upgrade.counts, upgrade.updates()),
        (counts(2, 0, 2, 0), [0].as_slice()),
        "L-2"
    );
    apply(
        &mut pods[0],
        &upgrade_patch(&target, &seen[0], &stamp(), None).expect("a patch"),
    );
    assert_eq!((image(&pods[0], 1), image(&pods[0], 2)), ("v1", "v2"));
    assert_eq!(
        annotation(&pods[0], "kruise.io/sidecarset-working-hotupgrade-container"),
        r#"{"envoy":"envoy-2"}"#
    );
    for (key, value) in [
        ("version.sidecarset.kruise.io/envoy-1", "1"),
        ("versionalt.sidecarset.kruise.io/envoy-1", "77"),
        ("version.sidecarset.kruise.io/envoy-2", "77"),
        ("versionalt.sidecarset.kruise.io/envoy-2", "1"),
    ] {
        assert_eq!(annotation(&pods[0], key), value, "{key}");
    }

    let (_, _, waiting) = plan(&v2, &pods);
    assert_eq!(
        (waiting.counts, waiting.updates(), &*waiting.resets),
        (counts(2, 1, 1, 0), [].as_slice(), [].as_slice()),
        "L-3"
    );

    report(&mut pods[0], 2);
    let (target, seen, reset) = plan(&v2, &pods);
    assert_eq!(
        (reset.counts, reset.updates(), &*reset.resets),
        (counts(2, 1, 1, 0), [].as_slice(), [0].as_slice()),
        "L-4"
    );
    let hash = annotation(&pods[0], "kruise.io/sidecarset-hash").to_owned();
    apply(&mut pods[0], &reset_patch(&target, &seen[0], &stamp()));
    assert_eq!((image(&pods[0], 1), image(&pods[0], 2)), ("e", "v2"));
    assert_eq!(annotation(&pods[0], "version.sidecarset.kruise.io/envoy-1"), "0");
    assert_eq!(
        annotation(&pods[0], "versionalt.sidecarset.kruise.io/envoy-2"),
        "0"
    );
    assert_eq!(
        annotation(&pods[0], "kruise.io/sidecarset-hash"),
        hash,
        "kruise#1054: a reset is no upgrade"
    );
    assert_eq!(
        plan(&v2, &pods).2.updates(),
        [0; 0],
        "envoy-1 has not restarted yet"
    );

    report(&mut pods[0], 1);
    let (_, _, next) = plan(&v2, &pods);
    assert_eq!(
        (next.counts, next.updates()),
        (counts(2, 1, 2, 1), [1].as_slice()),
        "L-5"
    );
}

#[test]
fn no_pod_is_upgraded_while_another_is_reset_and_none_is_reset_where_none_is_upgraded() {
    let v1 = envoy("v1", json!({}));
    let half_done = {
        let mut pod = injected("x", &v1);
        pod["spec"]["containers"][2]["image"] = "v0".into();
        pod["status"]["containerStatuses"][2]["image"] = "v0".into();
        pod
    };
    let pods = [half_done, injected("y", &v1)];
    let max = |more: Value| {
        let mut strategy = json!({"updateStrategy": {"maxUnavailable": 2}});
        json_patch::merge(&mut strategy, &json!({ "updateStrategy": more }));
        plan(&envoy("v2", strategy), &pods).2
    };
    let held = max(json!({}));
    assert_eq!((&*held.resets, held.updates()), ([0].as_slice(), [].as_slice()));
    assert_eq!(
        held.rollout.verdict(1).expect("a verdict"),
        Verdict::Wait(Hold::Obstacle(Obstacle::ResetsFirst))
    );
    assert_eq!(max(json!({"paused": true})).resets, [0; 0]);
    assert_eq!(max(json!({"type": "NotUpdate"})).resets, [0; 0]);
}

/// A pod in the midst of an upgrade from v0: both containers run an image, and no hash is that of a set of today.
fn half_done(name: &str, set: &SidecarSet) -> Value {
    let mut pod = injected(name, set);
    pod["spec"]["containers"][2]["image"] = "v0".into();
    pod["status"]["containerStatuses"][2]["image"] = "v0".into();
    pod
}

#[test]
fn pods_that_can_not_be_upgraded_are_not_reset_when_the_empty_image_changes() {
    let v1 = envoy("v1", json!({}));
    let pods = [injected("x", &v1), injected("y", &v1)];
    let mut edited = json!({"containers": [{"name": "envoy", "image": "v1",
        "upgradeStrategy": {"upgradeType": "HotUpgrade", "hotUpgradeEmptyImage": "e2"}}]});
    for paused in [false, true] {
        edited["updateStrategy"] = json!({ "paused": paused });
        let planned = plan(&set(edited.clone()), &pods).2;
        assert_eq!(
            (&*planned.resets, planned.updates()),
            ([].as_slice(), [].as_slice())
        );
        assert_eq!(planned.counts.not_upgradable, 2);
    }
}

#[test]
fn resets_of_pods_that_are_not_updated_stay_within_the_budget() {
    let v1 = envoy("v1", json!({}));
    let mut pods: Vec<Value> = ["c", "a", "b", "d"].map(|name| half_done(name, &v1)).into();
    let resets = |limit: u32, pods: &[Value]| {
        let planned = plan(
            &envoy("v2", json!({"updateStrategy": {"maxUnavailable": limit}})),
            pods,
        )
        .2;
        let names = planned
            .resets
            .iter()
            .map(|at| pods[*at as usize]["metadata"]["name"].as_str());
        names
            .map(|name| name.expect("a name").to_owned())
            .collect::<Vec<_>>()
    };
    assert_eq!(resets(2, &pods), ["a", "b"], "by name");
    assert_eq!(resets(9, &pods).len(), 4);
    assert_eq!(resets(0, &pods), [""; 0]);
    // One that is at the state of the set counts as unavailable until it is reset, whatever the budget.
    let v2 = envoy("v2", json!({}));
    pods[3] = {
        let mut pod = half_done("d", &v2);
        pod["spec"]["containers"][1]["image"] = "v2".into();
        pod
    };
    assert_eq!(resets(0, &pods), ["d"]);
    assert_eq!(resets(2, &pods), ["d", "a"]);
}

#[test]
fn a_reset_that_is_refused_holds_up_nobody_but_its_pod() {
    let v1 = envoy("v1", json!({}));
    let v2 = envoy("v2", json!({"updateStrategy": {"maxUnavailable": 2}}));
    let target = std::sync::Arc::new(Target::compile(&v2, HashForm::default()));
    let mut roster = Roster::new(target);
    let mut done = half_done("x", &v2);
    done["spec"]["containers"][1]["image"] = "v2".into();
    let done = pod(done);
    roster.put(&done);
    roster.put(&pod(injected("y", &v1)));
    roster.put(&pod(injected("z", &v1)));
    assert_eq!(roster.plan(Mode::Current).resets, [0]);
    roster.refuse(&done.pod().key);
    let planned = roster.plan(Mode::Current);
    assert_eq!(
        (&*planned.resets, planned.updates()),
        ([].as_slice(), [1].as_slice())
    );
    assert!(roster.holds(&done), "what the pod says has not changed");
    assert!(roster.put(&done), "and it is tried again once something does");
    assert_eq!(roster.plan(Mode::Current).resets, [0]);
}

#[test]
fn the_container_that_is_not_in_order_is_replaced_first() {
    let v3 = envoy("v3", json!({}));
    let target = Target::compile(&v3, HashForm::default());
    let base = {
        let mut pod = injected("x", &envoy("v1", json!({})));
        pod["spec"]["containers"][2]["image"] = "v2".into();
        pod
    };
    let replaced = |ready: [bool; 2], working: &str| {
        let mut object = base.clone();
        object["metadata"]["annotations"]["kruise.io/sidecarset-working-hotupgrade-container"] =
            json!({ "envoy": working }).to_string().into();
        for (at, ready) in [1, 2].into_iter().zip(ready) {
            object["status"]["containerStatuses"][at]["ready"] = ready.into();
        }
        let patch = upgrade_patch(&target, &pod(object), &stamp(), None).expect("a patch");
        patch.images[0].0.to_string()
    };
    assert_eq!(
        replaced([true, false], "envoy-2"),
        "envoy-2",
        "the broken one, though it works"
    );
    assert_eq!(replaced([false, true], "envoy-2"), "envoy-1");
    assert_eq!(replaced([true, true], "envoy-2"), "envoy-1", "the idle one");
    assert_eq!(replaced([false, false], "envoy-1"), "envoy-2", "the idle one");
}

/// A pod of v1 that was upgraded to v2, and whose set then went back to v1.
fn rolled_back(node: impl Fn(&mut Value)) -> (SidecarSet, Value) {
    let v1 = envoy("v1", json!({}));
    let mut object = injected("x", &v1);
    let target = Target::compile(&envoy("v2", json!({})), HashForm::default());
    let patch = upgrade_patch(&target, &pod(object.clone()), &stamp(), None).expect("a patch");
    apply(&mut object, &patch);
    assert_eq!((image(&object, 1), image(&object, 2)), ("v1", "v2"));
    node(&mut object);
    (v1, object)
}

#[test]
fn a_hot_upgrade_that_is_taken_back_before_it_is_ready_leaves_the_old_container_working() {
    let crashes = |pod: &mut Value| {
        report(pod, 2);
        pod["status"]["containerStatuses"][2]["ready"] = false.into();
        pod["status"]["conditions"][0]["status"] = "False".into();
    };
    let not_pulled = |pod: &mut Value| {
        let status = &mut pod["status"]["containerStatuses"][2];
        json_patch::merge(status, &json!({"image": "v2", "imageID": "", "ready": false}));
        pod["status"]["conditions"][0]["status"] = "False".into();
    };
    for node in [&crashes as &dyn Fn(&mut Value), &not_pulled] {
        let (v1, mut object) = rolled_back(node);
        let (target, seen, planned) = plan(&v1, &[object.clone()]);
        assert_eq!(planned.updates(), [0], "a pod that is down is free");
        apply(
            &mut object,
            &upgrade_patch(&target, &seen[0], &stamp(), None).expect("a patch"),
        );
        assert_eq!((image(&object, 1), image(&object, 2)), ("v1", "e"));
        assert_eq!(
            annotation(&object, "kruise.io/sidecarset-working-hotupgrade-container"),
            r#"{"envoy":"envoy-1"}"#
        );
        for (key, value) in [
            ("version.sidecarset.kruise.io/envoy-1", "77"),
            ("versionalt.sidecarset.kruise.io/envoy-1", "0"),
            ("version.sidecarset.kruise.io/envoy-2", "0"),
            ("versionalt.sidecarset.kruise.io/envoy-2", "77"),
        ] {
            assert_eq!(annotation(&object, key), value, "{key}");
        }
        let (_, _, waiting) = plan(&v1, &[object.clone()]);
        assert_eq!(
            waiting.counts,
            counts(1, 1, 0, 0),
            "envoy-2 has not restarted yet"
        );
        report(&mut object, 2);
        object["status"]["containerStatuses"][2]["ready"] = true.into();
        object["status"]["conditions"][0]["status"] = "True".into();
        let (_, _, done) = plan(&v1, &[object]);
        assert_eq!((done.counts, &*done.resets), (counts(1, 1, 1, 1), [].as_slice()));
    }
}

#[test]
fn a_hot_upgrade_that_is_taken_back_once_it_is_ready_ends_with_the_old_image() {
    let (v1, mut object) = rolled_back(|pod| report(pod, 2));
    let mut writes = 0;
    loop {
        let (target, seen, planned) = plan(&v1, &[object.clone()]);
        let patch = match (planned.resets.first(), planned.updates().first()) {
            (Some(_), _) => reset_patch(&target, &seen[0], &stamp()),
            (None, Some(_)) => upgrade_patch(&target, &seen[0], &stamp(), None).expect("a patch"),
            (None, None) => break,
        };
        apply(&mut object, &patch);
        for (name, _) in &patch.images {
            report(&mut object, if **name == *"envoy-1" { 1 } else { 2 });
        }
        writes += 1;
        assert!(writes < 9, "it does not end");
    }
    assert_eq!((image(&object, 1), image(&object, 2)), ("v1", "e"));
    assert_eq!(plan(&v1, &[object]).2.counts, counts(1, 1, 1, 1));
}

#[test]
fn a_sidecar_that_has_the_image_is_not_swapped() {
    let v1 = envoy("v1", json!({}));
    let target = Target::compile(&v1, HashForm::default());
    let patch = upgrade_patch(&target, &pod(injected("x", &v1)), &stamp(), None).expect("a patch");
    assert!(patch.images.is_empty());
    assert!(
        !patch
            .annotations
            .contains_key("kruise.io/sidecarset-working-hotupgrade-container")
    );
}

#[test]
fn kruise_855_a_pod_without_the_two_containers_is_not_matched() {
    let target = Target::compile(&envoy("v1", json!({})), HashForm::default());
    let shop = NamespaceFacts {
        name: "shop",
        labels: None,
    };
    let v1 = envoy("v1", json!({}));
    let mut cold = injected("x", &v1);
    assert_eq!(membership(&target, &pod(cold.clone()), &shop), Ok(()));
    cold["metadata"]["annotations"]
        .as_object_mut()
        .expect("annotations")
        .remove("kruise.io/sidecarset-working-hotupgrade-container");
    assert_eq!(
        membership(&target, &pod(cold.clone()), &shop),
        Err(Unmatched::NoWorkingContainer("envoy".into()))
    );
    cold["spec"]["containers"][1]["name"] = "envoy".into();
    assert_eq!(
        membership(&target, &pod(cold), &shop),
        Err(Unmatched::NoContainer("envoy-1".into()))
    );
}
