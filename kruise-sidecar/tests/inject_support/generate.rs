//! Arbitrary pods and sets, of few names so that they meet.

use kruise_sidecar::api::SidecarSet;
use proptest::collection::vec;
use proptest::option::of;
use proptest::prelude::*;
use proptest::sample::select;
use serde_json::{Value, json};

use super::set;

fn some(fields: Vec<(&str, Option<Value>)>) -> Value {
    fields
        .into_iter()
        .filter_map(|(key, value)| Some((key.to_owned(), value?)))
        .collect()
}

fn env() -> impl Strategy<Value = Value> {
    let entry = (select(vec!["A", "B", "C"]), select(vec!["1", "2", "true"]))
        .prop_map(|(name, value)| json!({"name": name, "value": value}));
    vec(entry, 0..4).prop_map(Value::from)
}

/// `volumes` are those that may be mounted.
fn mounts(volumes: &'static [&'static str]) -> impl Strategy<Value = Value> {
    let paths = proptest::sample::subsequence(vec!["/a", "/b", "/c", "/d"], 0..3);
    let expression = of(select(vec!["x/$(A)", "$(B)/$(A)", "$(NOPE)$(C", "plain"]));
    (paths, vec((select(volumes), expression), 4)).prop_map(|(paths, rest)| {
        let mount = |(path, (volume, expression)): (&str, (&str, Option<&str>))| {
            some(vec![
                ("name", Some(json!(volume))),
                ("mountPath", Some(json!(path))),
                ("subPathExpr", expression.map(Value::from)),
            ])
        };
        paths.into_iter().zip(rest).map(mount).collect()
    })
}

fn container(name: &str, injected: bool, env: Option<Value>, mounts: Option<Value>) -> Value {
    let mut container = some(vec![("env", env), ("volumeMounts", mounts)]);
    container["name"] = json!(name);
    container["unknown"] = json!({"x": [1]});
    if injected {
        let mut all = vec![json!({"name": "IS_INJECTED", "value": "true"})];
        all.extend(container["env"].as_array().cloned().unwrap_or_default());
        container["env"] = all.into();
    }
    container
}

fn containers(names: &'static [&'static str], most: usize) -> impl Strategy<Value = Value> {
    let parts = (prop::bool::weighted(0.3), of(env()), of(mounts(&["v", "w"])));
    (proptest::sample::subsequence(names, 0..=most), vec(parts, most)).prop_map(|(names, parts)| {
        let all = names.into_iter().zip(parts);
        all.map(|(name, (injected, env, mounts))| container(name, injected, env, mounts))
            .collect()
    })
}

/// A pod that the API server would take.
pub fn pod() -> impl Strategy<Value = Value> {
    let hashes = r#"{"s1":{"updateTimestamp":"2020-01-01T00:00:00Z","hash":"old","sidecarSetName":"s1","sidecarList":["c1"]},"gone":{"updateTimestamp":null,"hash":"h","sidecarSetName":"gone"}}"#;
    let annotations = of(prop_oneof![
        Just(json!({})),
        Just(json!({"note": "old"})),
        Just(json!({"kruise.io/sidecarset-hash": hashes, "kruise.io/sidecarset-injected-list": "gone,s1"})),
    ]);
    let labels = select(vec![
        json!({"app": "web"}),
        json!({"app": "web", "tier": "x"}),
        json!({"app": "db"}),
    ]);
    let secrets = of(vec(select(vec!["k1", "k2"]), 0..3));
    let lists = (
        containers(&["main", "aux", "c1", "c2-1"], 3),
        of(containers(&["prep", "i1", "c3"], 2)),
    );
    (annotations, labels, select(vec!["shop", "bank"]), secrets, lists).prop_map(
        |(annotations, labels, namespace, secrets, (containers, init))| {
            let secrets = secrets.map(|names| names.into_iter().map(|name| json!({"name": name})).collect());
            let mut metadata = some(vec![("annotations", annotations)]);
            metadata["labels"] = labels;
            metadata["namespace"] = json!(namespace);
            let spec = some(vec![
                ("containers", Some(containers)),
                ("initContainers", init),
                (
                    "volumes",
                    Some(json!([{"name": "v", "emptyDir": {}}, {"name": "w"}])),
                ),
                ("imagePullSecrets", secrets),
                ("unknown", Some(json!([null]))),
            ]);
            json!({"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec})
        },
    )
}

fn sidecar(init: bool) -> impl Strategy<Value = Value> {
    let policies = (
        of(select(vec!["BeforeAppContainer", "AfterAppContainer"])),
        any::<bool>(),
        prop::bool::weighted(0.2),
        vec(
            (select(vec!["main", "aux", "c1"]), select(vec!["A", "B", "C"])),
            0..3,
        ),
    );
    (of(env()), of(mounts(&["v", "own"])), policies).prop_map(
        move |(env, mounts, (place, share, special, transfer))| {
            let transfer: Vec<Value> = transfer
                .into_iter()
                .map(|(container, name)| json!({"sourceContainerName": container, "envName": name}))
                .collect();
            let hot = json!({"upgradeType": "HotUpgrade", "hotUpgradeEmptyImage": "empty"});
            some(vec![
                ("image", Some(json!("image:1"))),
                (
                    "ports",
                    special.then(|| json!([{"name": "http", "containerPort": 80, "protocol": "TCP"}])),
                ),
                ("env", env),
                ("volumeMounts", mounts),
                ("podInjectPolicy", place.map(Value::from)),
                ("shareVolumePolicy", share.then(|| json!({"type": "enabled"}))),
                ("transferEnv", Some(transfer.into())),
                ("upgradeStrategy", (special && !init).then_some(hot)),
                ("restartPolicy", (special && init).then(|| json!("Always"))),
            ])
        },
    )
}

fn named(names: &'static [&'static str], init: bool) -> impl Strategy<Value = Value> {
    (proptest::sample::subsequence(names, 0..=2), vec(sidecar(init), 2)).prop_map(|(names, sidecars)| {
        let all = names.into_iter().zip(sidecars);
        all.map(|(name, mut sidecar)| {
            sidecar["name"] = json!(name);
            sidecar
        })
        .collect()
    })
}

/// One to four sets of different names, each of which the API server would take. They may be in each other's way.
pub fn sets() -> impl Strategy<Value = Vec<SidecarSet>> {
    let patch = (
        select(vec!["Retain", "Overwrite"]),
        select(vec!["note", "new/key~"]),
        select(vec!["x", "y"]),
    )
        .prop_map(|(policy, key, value)| json!({"patchPolicy": policy, "annotations": {key: value}}));
    let rest = (
        select(vec!["", "", "shop"]),
        select(vec![
            json!({"app": "web"}),
            json!({"app": "db"}),
            json!({"tier": "x"}),
        ]),
        vec(patch, 0..3),
        vec(select(vec!["k2", "k3"]), 0..3),
    );
    let one = (
        named(&["c1", "c2", "c3", "c4", "c5"], false),
        named(&["i1", "i2", "i3"], true),
        rest,
    );
    let one = one.prop_map(|(containers, init, (namespace, labels, patches, secrets))| {
        let secrets: Vec<Value> = secrets.into_iter().map(|name| json!({"name": name})).collect();
        json!({
            "selector": {"matchLabels": labels}, "namespace": namespace, "containers": containers, "initContainers": init,
            "volumes": [{"name": "v", "hostPath": {"path": "/v"}}, {"name": "own", "emptyDir": {}}, {"name": "unused"}],
            "patchPodMetadata": patches, "imagePullSecrets": secrets,
        })
    });
    vec(one, 1..4).prop_map(|specs| {
        let named = specs.into_iter().enumerate();
        named
            .map(|(at, spec)| set(&format!("s{}", at + 1), spec))
            .collect()
    })
}

/// Any JSON, with the names of fields that are looked at.
pub fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        select(vec![
            "true",
            "IS_INJECTED",
            "/a",
            "$(A)",
            "{}",
            "{\"s1\":1}",
            "\\u0000\"",
            "main"
        ])
        .prop_map(Value::from),
    ];
    let keys = select(vec![
        "metadata",
        "spec",
        "containers",
        "initContainers",
        "env",
        "name",
        "value",
        "volumeMounts",
        "mountPath",
        "subPathExpr",
        "annotations",
        "labels",
        "app",
        "volumes",
        "imagePullSecrets",
        "kruise.io/sidecarset-hash",
        "a/~b",
    ]);
    leaf.prop_recursive(5, 60, 5, move |inner| {
        let object = vec((keys.clone(), inner.clone()), 0..5);
        prop_oneof![
            vec(inner, 0..4).prop_map(Value::from),
            object.prop_map(|fields| fields
                .into_iter()
                .map(|(key, value)| (key.to_owned(), value))
                .collect()),
        ]
    })
}
