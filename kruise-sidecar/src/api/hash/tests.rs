use serde_json::{Value, json};

use super::*;

fn spec(spec: Value) -> SidecarSetSpec {
    serde_json::from_value(spec).expect("a spec")
}

fn log_agent(image: &str) -> SidecarSetSpec {
    spec(json!({"containers": [{
        "name": "log-agent", "image": image, "args": ["--dir=/logs"], "resources": {"limits": {"cpu": "1000m"}},
        "podInjectPolicy": "AfterAppContainer", "shareVolumePolicy": {"type": "enabled"},
        "transferEnv": [{"sourceContainerName": "main", "envName": "TZ"}],
    }]}))
}

const TEXT: &str = r#"{"containers":[{"name":"log-agent","image":"reg.example/log-agent:1.4.2","args":["--dir=/logs"],"resources":{"limits":{"cpu":"1"}},"terminationMessagePath":"/dev/termination-log","terminationMessagePolicy":"File","imagePullPolicy":"IfNotPresent","podInjectPolicy":"AfterAppContainer","upgradeStrategy":{"upgradeType":"ColdUpgrade"},"shareVolumePolicy":{"type":"enabled"},"transferEnv":[{"sourceContainerName":"main","envName":"TZ"}]}],"initContainers":null}"#;

fn both(hash: &str, without_image: &str) -> Hashes {
    Hashes {
        hash: hash.into(),
        without_image: without_image.into(),
    }
}

fn one(container: Value) -> String {
    let mut set = spec(json!({ "containers": [container] }));
    let mut init = Vec::new();
    default_containers(&mut set.containers, &mut init);
    canonical(&set.containers, &init, HashForm::V0_9)
}

#[test]
fn the_text_that_is_hashed_is_that_of_the_specification() {
    let mut set = log_agent("reg.example/log-agent:1.4.2");
    let mut init = Vec::new();
    default_containers(&mut set.containers, &mut init);
    assert_eq!(canonical(&set.containers, &init, HashForm::V0_8), TEXT);
}

#[test]
fn examples_h1_to_h3_of_release_0_8() {
    let h2 = "2bbwzf4xf6v4zx994b4cwb5b2fwbf86z9zw7zv4c2cd7f64z6877fxd84d8xf988";
    assert_eq!(
        hashes(&log_agent("reg.example/log-agent:1.4.2"), HashForm::V0_8),
        both(
            "86wz4fv8z5xbbw24bzwxf5vx6zc4xz46c8w8456c46c946dbcxvw95v7vx44bxcd",
            h2
        )
    );
    assert_eq!(
        hashes(&log_agent("reg.example/log-agent:1.5.0"), HashForm::V0_8),
        both(
            "42zbw4bf8b87cwxcw7fz58zx94v928cbw28bxwbdxd8d8v58x647b54d4cdz4924",
            h2
        )
    );
}

#[test]
fn example_h4_of_later_releases() {
    for form in [HashForm::V0_9, HashForm::V1_7] {
        assert_eq!(
            hashes(&log_agent("reg.example/log-agent:1.4.2"), form),
            both(
                "2w6w78zfc9b445b87vx8cdw8bxwzczcc2d46c46cf7482b782b52xfw2595dbdxc",
                "72z7244858dw458d8c7dzw4569c95fcwbzdd9222f77bfb782cb76v7x48f8c8w4"
            )
        );
    }
}

/// Whether the hashes change, both of them, from one spec to another.
fn changes(before: Value, after: Value, form: HashForm) -> (bool, bool) {
    let (before, after) = (hashes(&spec(before), form), hashes(&spec(after), form));
    (
        before.hash != after.hash,
        before.without_image != after.without_image,
    )
}

fn with(change: Value) -> Value {
    let mut spec = json!({"containers": [
        {"name": "a", "image": "a:1", "imagePullPolicy": "IfNotPresent", "resources": {"limits": {"cpu": "1000m"}}},
        {"name": "b", "image": "b:1"},
    ], "initContainers": [{"name": "i", "image": "i:1"}]});
    json_patch::merge(&mut spec, &change);
    spec
}

#[test]
fn examples_h5_to_h13_edits_change_what_they_should_in_every_form() {
    let a = |change: Value| {
        let mut set = with(json!({}));
        json_patch::merge(&mut set["containers"][0], &change);
        set
    };
    let reordered = {
        let mut set = with(json!({}));
        set["containers"].as_array_mut().expect("a list").reverse();
        set
    };
    let fewer =
        with(json!({"containers": [{"name": "a", "image": "a:1", "resources": {"limits": {"cpu": "1"}}}]}));
    let table = [
        ("H-5", a(json!({"image": "a:2"})), (true, false)),
        (
            "H-6",
            a(json!({"image": "a:2", "env": [{"name": "X", "value": "1"}]})),
            (true, true),
        ),
        ("H-7", with(json!({"volumes": [{"name": "v"}]})), (false, false)),
        (
            "H-8",
            with(json!({"initContainers": [{"name": "i", "image": "i:2"}]})),
            (true, true),
        ),
        (
            "H-9",
            with(json!({"selector": {"matchLabels": {"a": "b"}}, "updateStrategy": {"paused": true}})),
            (false, false),
        ),
        ("H-9", with(json!({"namespace": "shop"})), (false, false)),
        (
            "H-9",
            with(json!({"namespaceSelector": {"matchLabels": {"a": "b"}}})),
            (false, false),
        ),
        (
            "H-10",
            a(json!({"podInjectPolicy": "AfterAppContainer"})),
            (true, true),
        ),
        (
            "H-10",
            a(json!({"transferEnv": [{"sourceContainerName": "m", "envName": "E"}]})),
            (true, true),
        ),
        (
            "H-10",
            a(json!({"shareVolumePolicy": {"type": "enabled"}})),
            (true, true),
        ),
        ("H-10", reordered, (true, true)),
        ("H-10", fewer, (true, true)),
        ("H-11", a(json!({"name": "c"})), (true, true)),
        (
            "H-12",
            a(json!({"resources": {"limits": {"cpu": 1}}})),
            (false, false),
        ),
        (
            "H-13",
            a(json!({"image": "a:latest", "imagePullPolicy": null})),
            (true, true),
        ),
    ];
    for form in [HashForm::V0_8, HashForm::V0_9, HashForm::V1_7] {
        for (id, after, changed) in &table {
            // Later releases do not hash init containers that end.
            let changed = if *id == "H-8" && form != HashForm::V0_8 {
                (false, false)
            } else {
                *changed
            };
            let found = changes(with(json!({})), after.clone(), form);
            assert_eq!(found, changed, "{id} of {form:?}: {after}");
        }
    }
}

#[test]
fn quantities_stand_in_the_text_as_go_writes_them() {
    let text = one(json!({"name": "c", "image": "c:1", "resources": {
        "limits": {"cpu": "1E3", "memory": "0.1Gi", "example.com/gpu": 2},
        "requests": {"cpu": "0.0001", "memory": "1024Mi", "ephemeral-storage": "1.250"},
    }}));
    let resources = concat!(
        r#""resources":{"limits":{"cpu":"1E3","example.com/gpu":"2","memory":"107374182400m"},"#,
        r#""requests":{"cpu":"1m","ephemeral-storage":"1.250","memory":"1Gi"}}"#
    );
    assert!(text.contains(resources), "{text}");
}

#[test]
fn example_h8_init_containers_count_only_beside_a_native_sidecar() {
    let init = |image: &str, policy: Option<&str>| {
        with(json!({"initContainers": [{"name": "i", "image": image, "restartPolicy": policy}]}))
    };
    for form in [HashForm::V0_9, HashForm::V1_7] {
        assert_eq!(
            changes(init("i:1", None), init("i:2", None), form),
            (false, false)
        );
    }
    let native = |image| init(image, Some("Always"));
    assert_eq!(
        changes(native("i:1"), native("i:2"), HashForm::V0_9),
        (false, false)
    );
    assert_eq!(
        changes(native("i:1"), native("i:2"), HashForm::V1_7),
        (true, false)
    );
    assert_eq!(
        changes(init("i:1", None), native("i:1"), HashForm::V1_7),
        (true, true)
    );
}

#[test]
fn release_0_8_filled_in_nothing_that_is_of_sidecars_alone_in_init_containers() {
    let mut init: Vec<SidecarContainer> =
        serde_json::from_value(json!([{"name": "i", "image": "i:1"}])).expect("init containers");
    default_containers(&mut [], &mut init);
    forget_init_defaults(&mut init);
    assert_eq!(
        canonical(&[], &init, HashForm::V0_8),
        concat!(
            r#"{"containers":null,"initContainers":[{"name":"i","image":"i:1","resources":{},"#,
            r#""terminationMessagePath":"/dev/termination-log","terminationMessagePolicy":"File","#,
            r#""imagePullPolicy":"IfNotPresent","upgradeStrategy":{},"shareVolumePolicy":{}}]}"#
        )
    );
}

#[test]
fn explicit_defaults_and_empty_fields_change_nothing() {
    let plain = json!({"name": "a", "image": "a:1", "ports": [{"containerPort": 80}],
        "livenessProbe": {"httpGet": {"port": 80}}});
    let spelled = json!({"name": "a", "image": "a:1", "imagePullPolicy": "IfNotPresent", "args": [], "env": null,
        "tty": false, "resources": {}, "terminationMessagePath": "/dev/termination-log", "workingDir": "",
        "terminationMessagePolicy": "File", "podInjectPolicy": "BeforeAppContainer",
        "ports": [{"containerPort": 80, "protocol": "TCP", "hostPort": 0}], "transferEnv": [],
        "livenessProbe": {"httpGet": {"port": 80, "path": "/", "scheme": "HTTP"}, "timeoutSeconds": 1,
            "periodSeconds": 10, "successThreshold": 1, "failureThreshold": 3, "initialDelaySeconds": 0},
        "upgradeStrategy": {"upgradeType": "ColdUpgrade"}, "shareVolumePolicy": {"type": "disabled"}});
    assert_eq!(one(plain), one(spelled));
}

#[test]
fn fields_stand_in_the_order_of_go_with_its_escapes() {
    let text = one(json!({
        "env": [
            {"valueFrom": {"resourceFieldRef": {"resource": "limits.cpu"}}, "name": "A"},
            {"value": "<a&b>\u{2028}\u{1}\n\"", "name": "B"},
            {"valueFrom": {"secretKeyRef": {"optional": false, "key": "k", "name": "s"}}, "name": "C"},
        ],
        "envFrom": [{"secretRef": {"name": "s"}, "prefix": "P_"}],
        "volumeMounts": [{"subPath": "s", "mountPath": "/m", "readOnly": true, "name": "v"}],
        "readinessProbe": {"grpc": {"port": 1}},
        "securityContext": {"runAsUser": 0, "privileged": false, "capabilities": {}},
        "name": "c", "image": "c@sha256:1", "unknown": {"b": null, "a": 1},
    }));
    assert_eq!(
        text,
        concat!(
            r#"{"containers":[{"name":"c","image":"c@sha256:1","envFrom":[{"prefix":"P_","secretRef":{"name":"s"}}],"#,
            r#""env":[{"name":"A","valueFrom":{"resourceFieldRef":{"resource":"limits.cpu","divisor":"0"}}},"#,
            r#"{"name":"B","value":"\u003ca\u0026b\u003e\u2028\u0001\n\""},"#,
            r#"{"name":"C","valueFrom":{"secretKeyRef":{"name":"s","key":"k","optional":false}}}],"resources":{},"#,
            r#""volumeMounts":[{"name":"v","readOnly":true,"mountPath":"/m","subPath":"s"}],"#,
            r#""readinessProbe":{"grpc":{"port":1,"service":null},"timeoutSeconds":1,"periodSeconds":10,"#,
            r#""successThreshold":1,"failureThreshold":3},"terminationMessagePath":"/dev/termination-log","#,
            r#""terminationMessagePolicy":"File","imagePullPolicy":"IfNotPresent","#,
            r#""securityContext":{"capabilities":{},"privileged":false,"runAsUser":0},"#,
            r#""podInjectPolicy":"BeforeAppContainer","upgradeStrategy":{"upgradeType":"ColdUpgrade"},"#,
            r#""shareVolumePolicy":{"type":"disabled"},"unknown":{"a":1,"b":null}}]}"#,
        )
    );
}
