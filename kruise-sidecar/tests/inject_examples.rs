//! The worked examples of injection.
#![allow(clippy::unwrap_used, reason = "tests fail that way")]

mod inject_support;

use inject_support::*;
use kruise_sidecar::api::SidecarSet;
use serde_json::{Value, json};

fn a_logs() -> SidecarSet {
    set(
        "a-logs",
        yaml(
            r#"
initContainers: [{name: z-prep}, {name: b-prep}]
containers:
- name: collector
  shareVolumePolicy: {type: enabled}
  volumeMounts: [{name: cfg, mountPath: /etc/c}]
  env: [{name: TZ, value: UTC}]
  transferEnv:
  - {sourceContainerName: main, envName: TZ}
  - {sourceContainerName: main, envName: ZONE}
  - {sourceContainerName: ghost, envName: X}
- name: shipper
  podInjectPolicy: AfterAppContainer
volumes: [{name: cfg, configMap: {name: c}}, {name: spare, emptyDir: {}}]
"#,
        ),
    )
}

fn b_mesh() -> SidecarSet {
    set(
        "b-mesh",
        yaml(
            r#"
initContainers: [{name: m-iptables}]
containers:
- {name: proxy, podInjectPolicy: BeforeAppContainer}
- {name: probe, podInjectPolicy: AfterAppContainer}
"#,
        ),
    )
}

fn web() -> Value {
    pod(yaml(
        r#"
initContainers: [{name: migrate}]
containers:
- name: main
  env: [{name: TZ, value: Asia/Tokyo}, {name: ZONE, value: z1}, {name: POD, value: p7}]
  volumeMounts:
  - {name: data, mountPath: /data}
  - {name: logs, mountPath: /logs, subPathExpr: "x/$(POD)/$(NOPE)"}
  - {name: data, mountPath: /etc/c}
- name: aux
  volumeMounts: [{name: tmp, mountPath: /data}, {name: tmp, mountPath: /aux}]
volumes: [{name: data}, {name: logs}, {name: tmp}]
"#,
    ))
}

fn both() -> [SidecarSet; 2] {
    // The order in which sets are given does not matter.
    [b_mesh(), a_logs()]
}

#[test]
fn i_1_containers_stand_in_the_order_of_sets_before_and_behind_the_apps() {
    let pod = injected(&both(), &web());
    let names = each(&pod["spec"]["containers"], "name");
    assert_eq!(names, ["collector", "proxy", "main", "aux", "shipper", "probe"]);
}

#[test]
fn i_2_init_containers_are_sorted_by_name_behind_the_pods_unless_they_say_before() {
    let pod = injected(&both(), &web());
    assert_eq!(
        each(&pod["spec"]["initContainers"], "name"),
        ["migrate", "b-prep", "m-iptables", "z-prep"]
    );
    let mut mesh = b_mesh();
    mesh.spec.init_containers[0].pod_inject_policy = Some("BeforeAppContainer".to_owned().into());
    let pod = injected(&[mesh, a_logs()], &web());
    assert_eq!(
        each(&pod["spec"]["initContainers"], "name"),
        ["m-iptables", "migrate", "b-prep", "z-prep"]
    );
}

#[test]
fn i_3_own_mounts_win_over_shared_ones_and_the_first_of_a_path_counts() {
    let pod = injected(&both(), &web());
    let collector = container(&pod, "collector");
    assert_eq!(
        mounts(collector),
        ["/etc/c→cfg", "/data→data", "/logs→logs", "/aux→tmp"]
    );
    assert_eq!(collector["volumeMounts"][2]["subPathExpr"], "x/$(POD)/$(NOPE)");
}

#[test]
fn i_4_own_variables_win_over_transferred_ones_and_missing_ones_are_skipped() {
    let pod = injected(&both(), &web());
    assert_eq!(
        env(container(&pod, "collector")),
        ["TZ=UTC", "IS_INJECTED=true", "ZONE=z1", "POD=p7"]
    );
}

#[test]
fn i_5_only_volumes_that_a_sidecar_mounts_itself_are_added() {
    let pod = injected(&both(), &web());
    assert_eq!(
        each(&pod["spec"]["volumes"], "name"),
        ["data", "logs", "tmp", "cfg"]
    );
    assert_eq!(
        pod["spec"]["volumes"][3],
        json!({"name": "cfg", "configMap": {"name": "c"}})
    );
}

#[test]
fn i_6_without_sharing_a_sidecar_gets_one_variable_and_no_mounts() {
    let pod = injected(&both(), &web());
    for name in ["shipper", "proxy", "z-prep"] {
        let wanted = json!({"name": name, "env": [{"name": "IS_INJECTED", "value": "true"}]});
        assert_eq!(*container(&pod, name), wanted);
    }
}

#[test]
fn i_7_the_annotations_tell_sets_hashes_and_names_sorted() {
    let pod = injected(&both(), &web());
    assert_eq!(
        annotation(&pod, "kruise.io/sidecarset-injected-list"),
        "a-logs,b-mesh"
    );
    let entry = |set: &str, hash: &str, list: &str| {
        format!(
            r#""{set}":{{"updateTimestamp":"2021-03-09T07:20:11Z","hash":"{hash}-{set}","sidecarSetName":"{set}","sidecarList":{list}}}"#
        )
    };
    for (key, hash) in [
        ("kruise.io/sidecarset-hash", "hash"),
        ("kruise.io/sidecarset-hash-without-image", "plain"),
    ] {
        let logs = entry("a-logs", hash, r#"["collector","shipper"]"#);
        let mesh = entry("b-mesh", hash, r#"["probe","proxy"]"#);
        assert_eq!(annotation(&pod, key), format!("{{{logs},{mesh}}}"));
    }
}

#[test]
fn i_8_a_sidecar_named_like_an_app_container_is_refused_with_both_names() {
    let mut pod = web();
    pod["spec"]["containers"][1]["name"] = json!("proxy");
    let error = inject(&both(), &pod).unwrap_err();
    assert_eq!(
        message(&error),
        r#"SidecarSet "b-mesh" cannot be injected: its sidecar "proxy" has the name of the pod's container "proxy""#
    );
}

#[test]
fn i_9_what_an_injection_brought_shares_nothing_and_stays() {
    let mut pod = web();
    let old = json!({"name": "old", "env": [{"name": "IS_INJECTED", "value": "true"}],
        "volumeMounts": [{"name": "tmp", "mountPath": "/old"}]});
    pod["spec"]["containers"]
        .as_array_mut()
        .unwrap()
        .push(old.clone());
    let pod = injected(&both(), &pod);
    assert!(!mounts(container(&pod, "collector")).contains(&"/old→tmp".to_owned()));
    assert_eq!(*container(&pod, "old"), old);
}

#[test]
fn i_10_a_pod_of_kube_system_that_reaches_us_is_injected() {
    let mut pod = web();
    pod["metadata"]["namespace"] = json!("kube-system");
    assert_eq!(inject(&both(), &pod).unwrap().sets.len(), 2);
}

#[test]
fn i_11_a_set_of_another_namespace_is_left_out() {
    let mut logs = a_logs();
    logs.spec.namespace = "shop2".into();
    let pod = injected(&[logs, b_mesh()], &web());
    assert_eq!(annotation(&pod, "kruise.io/sidecarset-injected-list"), "b-mesh");
    assert_eq!(
        each(&pod["spec"]["containers"], "name"),
        ["proxy", "main", "aux", "probe"]
    );
}

#[test]
fn i_12_a_hash_annotation_that_cannot_be_read_refuses_the_pod() {
    for key in [
        "kruise.io/sidecarset-hash",
        "kruise.io/sidecarset-hash-without-image",
    ] {
        for text in ["oops", "[]", "1", r#"{"a":1}"#] {
            let mut pod = web();
            pod["metadata"]["annotations"] = json!({key: text});
            let error = inject(&both(), &pod).unwrap_err();
            assert!(
                message(&error).starts_with(&format!("the pod's annotation {key} cannot be read")),
                "{error}"
            );
        }
    }
}

#[test]
fn i_13_entries_of_other_sets_are_kept_in_either_form() {
    let mut pod = web();
    let held = r#"{"gone":{"hash":"q","sidecarSetName":"gone","future":1},"old":"h"}"#;
    pod["metadata"]["annotations"] = json!({"kruise.io/sidecarset-hash": held, "other": "stays"});
    let pod = injected(&both(), &pod);
    let hashes: Value = serde_json::from_str(annotation(&pod, "kruise.io/sidecarset-hash")).unwrap();
    let names: Vec<&String> = hashes.as_object().unwrap().keys().collect();
    assert_eq!(names, ["a-logs", "b-mesh", "gone", "old"]);
    assert_eq!(hashes["gone"]["hash"], "q");
    assert_eq!(hashes["gone"]["future"], 1);
    assert_eq!(hashes["old"]["hash"], "h");
    assert_eq!(
        annotation(&pod, "kruise.io/sidecarset-injected-list"),
        "a-logs,b-mesh"
    );
    assert_eq!(annotation(&pod, "other"), "stays");
}

#[test]
fn the_injected_list_is_joined_with_the_one_that_is_there() {
    let mut pod = web();
    pod["metadata"]["annotations"] = json!({"kruise.io/sidecarset-injected-list": "z,b-mesh, c"});
    let pod = injected(&both(), &pod);
    assert_eq!(
        annotation(&pod, "kruise.io/sidecarset-injected-list"),
        "a-logs,b-mesh,c,z"
    );
}

#[test]
fn i_14_a_volume_of_the_pod_wins_over_one_of_a_set() {
    let set = set(
        "s",
        yaml(
            "containers: [{name: c, volumeMounts: [{name: data, mountPath: /d}]}]
volumes: [{name: data, hostPath: {path: /x}}]",
        ),
    );
    let pod = injected(&[set], &web());
    assert_eq!(pod["spec"]["volumes"], web()["spec"]["volumes"]);
    assert_eq!(mounts(container(&pod, "c")), ["/d→data"]);
}

#[test]
fn i_15_transfer_takes_the_last_of_a_name_and_paths_the_first() {
    let sets = [set(
        "s",
        yaml(
            r#"
containers:
- name: both
  shareVolumePolicy: {type: enabled}
  transferEnv: [{sourceContainerName: main, envName: A}]
- name: paths
  shareVolumePolicy: {type: enabled}
"#,
        ),
    )];
    let pod = pod(yaml(
        r#"
containers:
- name: main
  env: [{name: A, value: "1"}, {name: A, value: "2"}]
  volumeMounts: [{name: v, mountPath: /v, subPathExpr: $(A)}]
volumes: [{name: v}]
"#,
    ));
    let pod = injected(&sets, &pod);
    assert_eq!(env(container(&pod, "both")), ["IS_INJECTED=true", "A=2"]);
    assert_eq!(env(container(&pod, "paths")), ["IS_INJECTED=true", "A=1"]);
}

#[test]
fn i_16_of_one_name_from_several_containers_the_first_listed_counts() {
    let sets = [set(
        "s",
        yaml(
            r#"
containers:
- name: c
  transferEnv: [{sourceContainerName: main, envName: K}, {sourceContainerName: aux, envName: K}]
"#,
        ),
    )];
    let pod = pod(yaml(
        "containers: [{name: aux, env: [{name: K, value: a}]}, {name: main, env: [{name: K, value: m}]}]",
    ));
    assert_eq!(
        env(container(&injected(&sets, &pod), "c")),
        ["IS_INJECTED=true", "K=m"]
    );
}

#[test]
fn i_17_several_names_of_one_entry_are_sorted() {
    let sets = [set(
        "s",
        yaml(
            "containers: [{name: s, transferEnv: [{sourceContainerName: main, envNames: [c, a], envName: b}]}]",
        ),
    )];
    let pod = pod(yaml(
        "containers: [{name: main, env: [{name: a, value: '1'}, {name: b, value: '2'}, {name: c, value: '3'}]}]",
    ));
    assert_eq!(
        env(container(&injected(&sets, &pod), "s")),
        ["IS_INJECTED=true", "a=1", "b=2", "c=3"]
    );
}

#[test]
fn i_18_a_sidecars_own_is_injected_stays_first() {
    let sets = [set(
        "s",
        yaml(
            r#"
containers:
- {name: c, env: [{name: IS_INJECTED, value: 'false'}], volumeMounts: [{name: v, mountPath: /never-shared}]}
- {name: d, shareVolumePolicy: {type: enabled}}
volumes: [{name: v, emptyDir: {}}]
"#,
        ),
    )];
    // Injected again it is known by the second one.
    let pod = injected(&sets, &web());
    assert_eq!(
        env(container(&pod, "c")),
        ["IS_INJECTED=false", "IS_INJECTED=true"]
    );
}

#[test]
fn i_19_a_set_of_init_containers_alone_writes_all_annotations() {
    let sets = [set("s", yaml("initContainers: [{name: i}]"))];
    let pod = injected(&sets, &web());
    assert_eq!(each(&pod["spec"]["initContainers"], "name"), ["migrate", "i"]);
    let keys: Vec<&String> = pod["metadata"]["annotations"]
        .as_object()
        .unwrap()
        .keys()
        .collect();
    assert_eq!(
        keys,
        [
            "kruise.io/sidecarset-hash",
            "kruise.io/sidecarset-hash-without-image",
            "kruise.io/sidecarset-injected-list"
        ]
    );
}

#[test]
fn i_20_a_pod_that_no_set_selects_is_left_alone() {
    let mut pod = web();
    pod["metadata"]["labels"] = json!({"app": "db"});
    assert_eq!(inject(&both(), &pod).unwrap(), Default::default());
}

#[test]
fn i_21_pull_secrets_come_behind_the_pods_each_name_once() {
    let sets = [
        set(
            "a",
            json!({"containers": [{"name": "a"}], "imagePullSecrets": [{"name": "k0"}, {"name": "k2"}]}),
        ),
        set(
            "b",
            json!({"containers": [{"name": "b"}], "imagePullSecrets": [{"name": "k0"}, {"name": "k3"}]}),
        ),
    ];
    let mut pod = web();
    pod["spec"]["imagePullSecrets"] = json!([{"name": "k1"}, {"name": "k1"}, {"name": "k2"}]);
    let pod = injected(&sets, &pod);
    assert_eq!(
        each(&pod["spec"]["imagePullSecrets"], "name"),
        ["k1", "k2", "k0", "k3"]
    );
    let pod = injected(&sets, &web());
    assert_eq!(each(&pod["spec"]["imagePullSecrets"], "name"), ["k0", "k2", "k3"]);
}
