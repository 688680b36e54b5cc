//! What a pod says of its sets: membership, consistency, patches, the timelines of the specification.

mod support;

use std::collections::BTreeMap;

use kruise_core::api::int_or_percent::Mode;
use kruise_sidecar::api::{HashForm, InPlaceStates, InjectedHashes, Mismatch, NamespaceFacts, SidecarSet};
use kruise_sidecar::plan::upgrade::{
    Counts, PatchError, PodPatch, Stamp, Unmatched, may_change_upgradable, membership, plan_upgrade,
    upgradable, upgrade_patch,
};
use kruise_sidecar::plan::{SidecarPod, Target};
use serde_json::{Value, json};
use support::{Pod, pod, set, target};

const SHOP: NamespaceFacts<'static> = NamespaceFacts {
    name: "shop",
    labels: None,
};

fn stamp() -> Stamp<'static> {
    Stamp {
        now: "2026-02-03T04:05:06.789Z".parse().expect("a time"),
        revision: "logs-abc",
    }
}

/// A pod of the plain set, changed by a merge patch.
fn changed(change: Value) -> SidecarPod {
    let mut object = Pod::old(0).of(&set(json!({})));
    json_patch::merge(&mut object, &change);
    pod(object)
}

#[test]
fn a_pod_belongs_to_a_set_or_there_is_a_reason() {
    let annotations = |key: &str, value: Value| json!({"metadata": {"annotations": {key: value}}});
    let containers = |names: &[&str]| {
        let list: Vec<Value> = names
            .iter()
            .map(|name| json!({"name": name, "image": "i"}))
            .collect();
        json!({"spec": {"containers": list}})
    };
    let list = "kruise.io/sidecarset-injected-list";
    let table = [
        (json!({}), Ok(())),
        (
            json!({"metadata": {"deletionTimestamp": "2026-01-01T00:00:00Z"}}),
            Err(Unmatched::Terminating),
        ),
        (
            json!({"status": {"phase": "Succeeded"}}),
            Err(Unmatched::Finished),
        ),
        (json!({"status": {"phase": "Failed"}}), Err(Unmatched::Finished)),
        (json!({"status": {"phase": "Pending"}}), Ok(())),
        (
            json!({"metadata": {"labels": {"app": "other"}}}),
            Err(Unmatched::Scope(Mismatch::Labels)),
        ),
        (annotations(list, json!("mesh, logs")), Ok(())),
        (annotations(list, json!("mesh")), Err(Unmatched::NotInjected)),
        (annotations(list, json!(null)), Err(Unmatched::NotInjected)),
        (containers(&["main"]), Err(Unmatched::NoContainer("agent".into()))),
    ];
    for (change, expected) in table {
        assert_eq!(
            membership(&target(json!({})), &changed(change.clone()), &SHOP),
            expected,
            "{change}"
        );
    }
    let elsewhere = target(json!({"namespace": "bank"}));
    assert_eq!(
        membership(&elsewhere, &changed(json!({})), &SHOP),
        Err(Unmatched::Scope(Mismatch::Namespace))
    );
    let bad = target(json!({"selector": {"matchExpressions": [{"key": "a", "operator": "Is"}]}}));
    let refused = membership(&bad, &changed(json!({})), &SHOP).expect_err("no selector");
    assert_eq!(refused.to_string(), "a selector of the set is not valid");
}

const STATE: &str = "kruise.io/sidecarset-inplace-update-state";

/// A pod whose state of upgrades and agent are these.
fn reported(state: Value, image: &str, status: Value) -> SidecarPod {
    let mut object = Pod::old(0).of(&set(json!({})));
    json_patch::merge(&mut object, &json!({"metadata": {"annotations": {STATE: state}}}));
    object["spec"]["containers"][1]["image"] = image.into();
    json_patch::merge(&mut object["status"]["containerStatuses"][1], &status);
    pod(object)
}

fn recorded(set: &str, image_id: &str) -> Value {
    json!({set: {"revision": "r", "updateTimestamp": "2026-01-01T10:00:00Z",
        "lastContainerStatuses": {"agent": {"imageID": image_id}}}})
    .to_string()
    .into()
}

#[test]
fn examples_c1_to_c11_of_consistency() {
    let status = |image: &str, id: &str| json!({"image": image, "imageID": id});
    let target = target(json!({}));
    let table = [
        (
            "C-1",
            reported(Value::Null, "agent:v2", status("agent:v1", "X")),
            true,
        ),
        (
            "C-2",
            reported(recorded("mesh", "X"), "agent:v2", status("agent:v1", "X")),
            true,
        ),
        (
            "C-3",
            reported(recorded("logs", "X"), "agent:v2", status("agent:v1", "X")),
            false,
        ),
        (
            "C-4",
            reported(recorded("logs", "X"), "agent:v2", status("agent:v2", "X")),
            true,
        ),
        (
            "C-5",
            reported(recorded("logs", "X"), "agent:v2", status("agent:v1", "Y")),
            true,
        ),
        (
            "C-6",
            reported(recorded("logs", "X"), "agent:v2", status("", "")),
            true,
        ),
        (
            "C-8",
            reported(
                Value::Null,
                "repo@sha256:d",
                status("x", "docker-pullable://repo@sha256:d"),
            ),
            true,
        ),
        (
            "C-9",
            reported(
                Value::Null,
                "busybox@sha256:d",
                status("x", "docker.io/library/busybox@sha256:d"),
            ),
            true,
        ),
        (
            "C-10",
            reported(json!("oops"), "agent:v2", status("agent:v2", "Y")),
            false,
        ),
    ];
    for (id, pod, consistent) in table {
        assert_eq!(pod.is_consistent(&target), consistent, "{id}");
    }
    let mut unreported = Pod::old(0).of(&set(json!({})));
    unreported["status"]["containerStatuses"]
        .as_array_mut()
        .expect("a list")
        .pop();
    assert!(!pod(unreported.clone()).is_consistent(&target), "C-7");
    let mut restarting = Pod::old(0).of(&set(json!({})));
    json_patch::merge(
        &mut restarting["status"]["containerStatuses"][0],
        &json!({"ready": false, "image": "other", "imageID": ""}),
    );
    assert!(pod(restarting).is_consistent(&target), "C-11");
}

#[test]
fn a_digest_that_the_node_reports_otherwise_is_settled_by_the_restart() {
    let target = target(json!({}));
    let state = |container: &str| -> Value {
        json!({"logs": {"lastContainerStatuses": {"agent": {"imageID": "sha256:c", "containerID": container}}}}).to_string().into()
    };
    // A node that reports ids of configurations, not of manifests.
    let pod = |state: Value| reported(state, "repo@sha256:d", json!({"imageID": "sha256:c"}));
    assert!(!pod(Value::Null).is_consistent(&target));
    assert!(!pod(state("containerd://agent-1")).is_consistent(&target));
    assert!(pod(state("containerd://agent-0")).is_consistent(&target));
}

#[test]
fn a_fresh_pod_whose_node_reports_another_digest_is_upgraded_and_stops_nobody() {
    let by_digest =
        |tag: &str| set(json!({"containers": [{"name": "agent", "image": format!("repo@sha256:{tag}")}]}));
    let (before, after) = (by_digest("d"), by_digest("e"));
    let fresh = |name: usize, set: &SidecarSet| {
        let mut object = Pod {
            updated: true,
            ..Pod::old(name)
        }
        .of(set);
        object["spec"]["containers"][1]["image"] = set.spec.containers[0].image().into();
        let status = json!({"image": "repo", "imageID": "sha256:c"});
        json_patch::merge(&mut object["status"]["containerStatuses"][1], &status);
        pod(object)
    };
    let pods = [fresh(0, &before), fresh(1, &before), fresh(2, &after)];
    let plan = plan_upgrade(
        &Target::compile(&after, HashForm::default()),
        &pods,
        Mode::Current,
    );
    assert_eq!(plan.updates(), [0], "neither in flight nor down");
    assert_eq!(plan.counts, counts(3, 1, 0, 0), "none runs what its spec says");
}

fn annotations(patch: &PodPatch) -> &BTreeMap<String, String> {
    &patch.annotations
}

#[test]
fn an_upgrade_changes_the_image_and_says_so() {
    let set = set(json!({}));
    let target = Target::compile(&set, HashForm::default());
    let pod = pod(Pod::old(0).of(&set));
    let patch = upgrade_patch(&target, &pod, &stamp(), None).expect("a patch");
    assert_eq!(patch.images, [("agent".into(), "agent:v2".into())]);
    let hashes = InjectedHashes::parse(&annotations(&patch)["kruise.io/sidecarset-hash"]).expect("hashes");
    assert_eq!(hashes.hash_of("logs"), set.hash());
    let written = serde_json::to_string(&hashes.0["logs"]).expect("serialises");
    let hash = set.hash().expect("hashed");
    assert_eq!(
        written,
        format!(
            r#"{{"updateTimestamp":"2026-02-03T04:05:06Z","hash":"{hash}","sidecarSetName":"logs","sidecarList":["agent"],"controllerRevision":"logs-abc"}}"#
        )
    );
    assert_eq!(
        annotations(&patch)[STATE],
        format!(
            r#"{{"logs":{{"revision":"{hash}","updateTimestamp":"2026-02-03T04:05:06Z","lastContainerStatuses":{{"agent":{{"imageID":"agent@sha256:1","containerID":"containerd://agent-1"}}}}}}}}"#
        )
    );
    assert_eq!(annotations(&patch).len(), 2, "the hash without images stays");
    let value = patch.to_strategic_merge();
    assert_eq!(value["metadata"]["uid"], "uid-p0000");
    assert_eq!(value["metadata"]["resourceVersion"], "5");
    assert_eq!(
        value["spec"],
        json!({"containers": [{"name": "agent", "image": "agent:v2"}]})
    );
}

#[test]
fn an_upgrade_keeps_what_other_sets_say_and_mends_the_legacy_shape() {
    let set = set(json!({}));
    let mut object = Pod::old(0).of(&set);
    let own = &mut object["metadata"]["annotations"];
    own["kruise.io/sidecarset-hash"] = r#"{"mesh":"m","logs":"old"}"#.into();
    own["kruise.io/sidecarset-hash-without-image"] = r#"{"logs":"w"}"#.into();
    own[STATE] = r#"{"mesh":{"revision":"m","future":1}}"#.into();
    let target = Target::compile(&set, HashForm::default());
    let patch = upgrade_patch(&target, &pod(object), &stamp(), None).expect("a patch");
    let hashes = InjectedHashes::parse(&annotations(&patch)["kruise.io/sidecarset-hash"]).expect("hashes");
    assert_eq!(
        (hashes.hash_of("mesh"), hashes.hash_of("logs")),
        (Some("m"), set.hash())
    );
    assert_eq!(hashes.0["mesh"].sidecar_set_name, "mesh");
    assert_eq!(
        annotations(&patch)["kruise.io/sidecarset-hash-without-image"],
        r#"{"logs":{"updateTimestamp":null,"hash":"w","sidecarSetName":"logs"}}"#
    );
    let states = InPlaceStates::parse(&annotations(&patch)[STATE]).expect("states");
    assert_eq!(states.0["mesh"].rest["future"], 1);
    assert_eq!(states.0.len(), 2);
}

#[test]
fn an_image_that_is_there_already_is_not_written() {
    let set = set(json!({}));
    let pod = pod(Pod::updated(0).of(&set));
    let patch =
        upgrade_patch(&Target::compile(&set, HashForm::default()), &pod, &stamp(), None).expect("a patch");
    assert_eq!(patch.images, []);
    assert_eq!(patch.to_strategic_merge().get("spec"), None);
    let states = InPlaceStates::parse(&annotations(&patch)[STATE]).expect("states");
    assert!(states.0["logs"].last_container_statuses.is_empty());
}

#[test]
fn annotations_of_the_set_are_patched_with_the_upgrade() {
    let set = set(
        json!({"patchPodMetadata": [{"annotations": {"k": "new", "kruise.io/sidecarset-hash": "mine"}, "patchPolicy": "Overwrite"}]}),
    );
    let target = Target::compile(&set, HashForm::default());
    let pod = pod(Pod::old(0).of(&set));
    assert!(target.patches_metadata());
    let unknown = upgrade_patch(&target, &pod, &stamp(), None);
    assert!(matches!(unknown, Err(PatchError::AnnotationsNeeded)));
    let known = BTreeMap::from([("k".to_owned(), "old".to_owned())]);
    let patch = upgrade_patch(&target, &pod, &stamp(), Some(&known)).expect("a patch");
    assert_eq!(annotations(&patch)["k"], "new");
    assert_ne!(annotations(&patch)["kruise.io/sidecarset-hash"], "mine");
}

/// A pod of a cluster in which the controller and the node take turns.
struct Cluster {
    set: SidecarSet,
    pods: Vec<Value>,
}

impl Cluster {
    fn new(set: SidecarSet, count: usize) -> Self {
        let pods = (0..count).map(|index| Pod::old(index).of(&set)).collect();
        Self { set, pods }
    }

    fn seen(&self) -> Vec<SidecarPod> {
        self.pods.iter().cloned().map(pod).collect()
    }

    /// A reconcile: the counts, and which pods it upgraded.
    fn reconcile(&mut self) -> (Counts, Vec<u32>) {
        let target = Target::compile(&self.set, HashForm::default());
        let seen = self.seen();
        let plan = plan_upgrade(&target, &seen, Mode::Current);
        for at in plan.updates() {
            let at = *at as usize;
            let patch = upgrade_patch(&target, &seen[at], &stamp(), None).expect("a patch");
            let pod = &mut self.pods[at];
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
        (plan.counts, plan.updates().to_vec())
    }

    /// The node restarts the agent of a pod; the image can be pulled, or not.
    fn report(&mut self, at: usize, runs: bool) {
        let pod = &mut self.pods[at];
        let image = pod["spec"]["containers"][1]["image"].clone();
        let status = &mut pod["status"]["containerStatuses"][1];
        let next = format!("{}+", status["containerID"].as_str().unwrap_or_default());
        *status = json!({"name": "agent", "image": image, "imageID": if runs { "agent@sha256:2" } else { "" }, "ready": runs,
            "restartCount": 0, "containerID": next});
        pod["status"]["conditions"][0]["status"] = if runs { "True" } else { "False" }.into();
    }
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
fn timeline_t1_two_then_one() {
    let mut cluster = Cluster::new(set(json!({"updateStrategy": {"maxUnavailable": 2}})), 3);
    assert_eq!(cluster.reconcile(), (counts(3, 0, 3, 0), vec![0, 1]));
    assert_eq!(cluster.reconcile(), (counts(3, 2, 1, 0), vec![]));
    cluster.report(0, true);
    assert_eq!(cluster.reconcile(), (counts(3, 2, 2, 1), vec![2]));
    assert_eq!(cluster.reconcile(), (counts(3, 3, 1, 1), vec![]));
    cluster.report(1, true);
    cluster.report(2, true);
    assert_eq!(cluster.reconcile(), (counts(3, 3, 3, 3), vec![]));
}

#[test]
fn timelines_t2_and_t3_a_bad_image_stops_and_a_good_one_goes_on() {
    let mut cluster = Cluster::new(set(json!({"updateStrategy": {"maxUnavailable": 1}})), 3);
    assert_eq!(cluster.reconcile().1, [0]);
    cluster.report(0, false);
    assert_eq!(cluster.reconcile(), (counts(3, 1, 2, 0), vec![]));
    cluster.set = set(
        json!({"updateStrategy": {"maxUnavailable": 1}, "containers": [{"name": "agent", "image": "agent:good"}]}),
    );
    assert_eq!(
        cluster.reconcile(),
        (counts(3, 0, 2, 0), vec![0, 1]),
        "the stuck one is free"
    );
    let mut half = Cluster::new(set(json!({"updateStrategy": {"maxUnavailable": "50%"}})), 6);
    assert_eq!(half.reconcile().1, [0, 1, 2]);
    (0..3).for_each(|at| half.report(at, false));
    assert_eq!(half.reconcile(), (counts(6, 3, 3, 0), vec![]));
}

#[test]
fn example_h14_a_revert_takes_back_only_those_that_moved() {
    let first = set(json!({"containers": [{"name": "agent", "image": "agent:v1"}]}));
    let mut cluster = Cluster::new(first.clone(), 3);
    for pod in &mut cluster.pods {
        let entry = json!({"logs": {"hash": first.hash()}}).to_string();
        pod["metadata"]["annotations"]["kruise.io/sidecarset-hash"] = entry.into();
    }
    assert_eq!(cluster.reconcile(), (counts(3, 3, 3, 3), vec![]));
    cluster.set = set(json!({}));
    assert_eq!(cluster.reconcile().1, [0]);
    cluster.report(0, true);
    cluster.set = first;
    assert_eq!(cluster.reconcile(), (counts(3, 2, 3, 2), vec![0]));
}

#[test]
fn kruise_2297_another_name_of_the_same_image_rolls_out_within_the_budget() {
    let alias = set(json!({"containers": [{"name": "agent", "image": "docker.io/library/agent:v1"}]}));
    let mut cluster = Cluster::new(alias, 3);
    for round in 0..3 {
        assert_eq!(cluster.reconcile().1, [round]);
        assert_eq!(cluster.reconcile().1, [0; 0], "not before the node has acted");
        cluster.report(round as usize, true);
        // The runtime goes on to call it by the short name, with the same id.
        json_patch::merge(
            &mut cluster.pods[round as usize]["status"]["containerStatuses"][1],
            &json!({"image": "agent:v1", "imageID": "agent@sha256:1"}),
        );
    }
    assert_eq!(cluster.reconcile(), (counts(3, 3, 3, 3), vec![]));
}

#[test]
fn the_condition_is_written_when_it_changes() {
    let target = target(json!({}));
    let find = |name: &str| (name == "logs").then_some(&target);
    let set = set(json!({}));
    let mut object = Pod {
        immutable: true,
        ..Pod::old(0)
    }
    .of(&set);
    let stuck = pod(object.clone());
    assert!(may_change_upgradable(&stuck, &target));
    let wanted = upgradable(&stuck, find).expect("to be written");
    assert_eq!(
        (wanted.holds, wanted.reason(), wanted.message.as_str()),
        (false, "UpdateImmutableField", r#"{"logs":false}"#)
    );
    let patch = wanted.to_strategic_merge(&stuck, stamp().now);
    assert_eq!(
        patch["status"]["conditions"][0],
        json!({"type": "SidecarSetUpgradable", "status": "False", "reason": "UpdateImmutableField", "message": r#"{"logs":false}"#,
            "lastTransitionTime": "2026-02-03T04:05:06Z"})
    );
    let condition = |status: &str| json!({"type": "SidecarSetUpgradable", "status": status});
    object["status"]["conditions"]
        .as_array_mut()
        .expect("a list")
        .push(condition("False"));
    assert_eq!(upgradable(&pod(object), find), None);
    let mut fine = Pod::old(0).of(&set);
    assert_eq!(upgradable(&pod(fine.clone()), find), None);
    fine["status"]["conditions"]
        .as_array_mut()
        .expect("a list")
        .push(condition("False"));
    let wanted = upgradable(&pod(fine), find).expect("to be written");
    assert_eq!((wanted.holds, wanted.reason()), (true, "AllSidecarsetUpgradable"));
}
