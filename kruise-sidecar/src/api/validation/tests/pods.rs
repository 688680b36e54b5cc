//! What the API server would refuse in every pod that a set selects.

use super::*;

/// The fields of a container that are wrong, in a set that has a volume `v`.
fn wrong_in(list: &str, change: Value) -> Vec<String> {
    let mut container = json!({"name": "c", "image": "c:1"});
    json_patch::merge(&mut container, &change);
    let native = list == "initContainers";
    let others = if native { json!([]) } else { json!([container]) };
    let init = if native { json!([container]) } else { json!([]) };
    let found = wrong(json!({"containers": others, "initContainers": init,
        "updateStrategy": {"type": "NotUpdate"}, "volumes": [{"name": "v", "emptyDir": {}}]}));
    let start = format!("spec.{list}[0].");
    found
        .into_iter()
        .map(|field| field.strip_prefix(&start).map(str::to_owned).unwrap_or(field))
        .collect()
}

fn check(table: impl IntoIterator<Item = (Value, &'static [&'static str])>) {
    for (change, fields) in table {
        assert_eq!(wrong_in("containers", change.clone()), fields, "{change}");
    }
}

#[test]
fn probes_and_hooks_say_what_they_do() {
    let exec = || json!({"command": ["x"]});
    check([
        (
            json!({"livenessProbe": {"exec": exec(), "successThreshold": 2}}),
            &["livenessProbe.successThreshold"][..],
        ),
        (
            json!({"startupProbe": {"exec": exec(), "successThreshold": 3}}),
            &["startupProbe.successThreshold"],
        ),
        (
            json!({"readinessProbe": {"exec": exec(), "successThreshold": 3}}),
            &[],
        ),
        (json!({"startupProbe": {"exec": exec()}}), &[]),
        (
            json!({"readinessProbe": {"exec": {}}}),
            &["readinessProbe.exec.command"],
        ),
        (
            json!({"readinessProbe": {"httpGet": {}}}),
            &["readinessProbe.httpGet.port"],
        ),
        (
            json!({"readinessProbe": {"httpGet": {"port": 0}}}),
            &["readinessProbe.httpGet.port"],
        ),
        (
            json!({"readinessProbe": {"httpGet": {"port": "Web"}}}),
            &["readinessProbe.httpGet.port"],
        ),
        (
            json!({"readinessProbe": {"httpGet": {"port": "web", "scheme": "FTP"}}}),
            &["readinessProbe.httpGet.scheme"],
        ),
        (
            json!({"readinessProbe": {"tcpSocket": {"port": 70000}}}),
            &["readinessProbe.tcpSocket.port"],
        ),
        (
            json!({"readinessProbe": {"grpc": {"port": "web"}}}),
            &["readinessProbe.grpc.port"],
        ),
        (json!({"readinessProbe": {"kindOfTheFuture": {"x": 1}}}), &[]),
        (
            json!({"readinessProbe": {"sleep": {"seconds": 1}}}),
            &["readinessProbe"],
        ),
        (
            json!({"readinessProbe": {"grpc": {"port": 1}, "terminationGracePeriodSeconds": 5}}),
            &["readinessProbe.terminationGracePeriodSeconds"],
        ),
        (
            json!({"livenessProbe": {"grpc": {"port": 1}, "terminationGracePeriodSeconds": 0}}),
            &["livenessProbe.terminationGracePeriodSeconds"],
        ),
        (
            json!({"lifecycle": {"preStop": {"exec": {}}}}),
            &["lifecycle.preStop.exec.command"],
        ),
        (
            json!({"lifecycle": {"preStop": {"httpGet": {"path": "/"}}}}),
            &["lifecycle.preStop.httpGet.port"],
        ),
        (
            json!({"lifecycle": {"preStop": {"sleep": {"seconds": 1}}, "stopSignal": "SIGUSR1"}}),
            &[],
        ),
    ]);
}

#[test]
fn only_init_containers_say_how_they_are_restarted() {
    assert_eq!(
        wrong_in("containers", json!({"restartPolicy": "Always"})),
        ["restartPolicy"]
    );
    assert_eq!(
        wrong_in("initContainers", json!({"restartPolicy": "Always"})),
        [""; 0]
    );
    assert_eq!(
        wrong_in("initContainers", json!({"restartPolicy": "OnFailure"})),
        ["restartPolicy"]
    );
}

#[test]
fn mounts_are_propagated_in_ways_that_exist() {
    let mount = |way: &str| json!([{"name": "v", "mountPath": "/v", "mountPropagation": way}]);
    let privileged = json!({"privileged": true});
    check([
        (
            json!({"volumeMounts": mount("Both")}),
            &["volumeMounts[0].mountPropagation"][..],
        ),
        (json!({"volumeMounts": mount("HostToContainer")}), &[]),
        (
            json!({"volumeMounts": mount("Bidirectional")}),
            &["volumeMounts[0].mountPropagation"],
        ),
        (
            json!({"volumeMounts": mount("Bidirectional"), "securityContext": privileged}),
            &[],
        ),
    ]);
}

#[test]
fn ports_have_names_of_services_and_are_opened_once() {
    let port = |name: &str| json!({"ports": [{"containerPort": 1, "name": name}]});
    check([
        (port("sixteen-letters-x"), &["ports[0].name"][..]),
        (port("80"), &["ports[0].name"]),
        (port("a--b"), &["ports[0].name"]),
        (port("http-80"), &[]),
    ]);
    let opening = |protocol: &str| json!([{"containerPort": 1, "hostPort": 9000, "protocol": protocol}]);
    let two = |second: &str| {
        wrong(
            json!({"containers": [{"name": "c", "image": "c:1", "ports": opening("TCP")},
            {"name": "d", "image": "d:1", "ports": opening(second)}]}),
        )
    };
    assert_eq!(two("TCP"), ["spec.containers[1].ports[0].hostPort"]);
    assert_eq!(two("UDP"), [""; 0]);
    let hot = json!({"upgradeType": "HotUpgrade", "hotUpgradeEmptyImage": "e:1"});
    let found = wrong_in(
        "containers",
        json!({"ports": opening("TCP"), "upgradeStrategy": hot}),
    );
    assert_eq!(
        found,
        ["ports[0].hostPort"],
        "a hot-upgraded one is two containers"
    );
}

#[test]
fn variables_say_where_they_come_from() {
    let from = |source: Value| json!({"env": [{"name": "A", "valueFrom": source}]});
    check([
        (
            from(json!({"fieldRef": {}})),
            &["env[0].valueFrom.fieldRef.fieldPath"][..],
        ),
        (
            from(json!({"secretKeyRef": {"name": "s"}})),
            &["env[0].valueFrom.secretKeyRef.key"],
        ),
        (
            from(json!({"configMapKeyRef": {"key": "k"}})),
            &["env[0].valueFrom.configMapKeyRef.name"],
        ),
        (
            from(json!({"resourceFieldRef": {}})),
            &["env[0].valueFrom.resourceFieldRef.resource"],
        ),
        (from(json!({"sourceOfTheFuture": {}})), &[]),
    ]);
}

#[test]
fn devices_are_requested_as_they_are_limited() {
    let of = |limits: Value, requests: Value| json!({"resources": {"limits": limits, "requests": requests}});
    let gpu = |number: Value| json!({ "nvidia.com/gpu": number });
    check([
        (
            of(json!({}), gpu(json!(1))),
            &["resources.requests[nvidia.com/gpu]"][..],
        ),
        (
            of(gpu(json!(2)), gpu(json!(1))),
            &["resources.requests[nvidia.com/gpu]"],
        ),
        (of(gpu(json!(1)), gpu(json!("1"))), &[]),
        (of(gpu(json!(1)), json!({})), &[]),
        (
            of(gpu(json!("500m")), json!({})),
            &["resources.limits[nvidia.com/gpu]"],
        ),
        (
            of(json!({}), json!({"hugepages-2Mi": "2Mi"})),
            &["resources.requests[hugepages-2Mi]"],
        ),
        (of(json!({}), json!({"cpu": "1"})), &[]),
    ]);
}

#[test]
fn what_a_container_may_do_makes_sense() {
    let context = |context: Value| json!({ "securityContext": context });
    check([
        (
            context(json!({"privileged": true, "allowPrivilegeEscalation": false})),
            &["securityContext.allowPrivilegeEscalation"][..],
        ),
        (context(json!({"runAsUser": -1})), &["securityContext.runAsUser"]),
        (
            context(json!({"runAsUser": 0, "runAsGroup": 4294967296_u64})),
            &["securityContext.runAsGroup"],
        ),
        (
            context(json!({"seccompProfile": {"type": "Localhost"}})),
            &["securityContext.seccompProfile.localhostProfile"],
        ),
        (
            context(json!({"seccompProfile": {"type": "None"}})),
            &["securityContext.seccompProfile.type"],
        ),
        (
            context(json!({"futureField": 1, "allowPrivilegeEscalation": false})),
            &[],
        ),
    ]);
}

#[test]
fn sources_of_volumes_make_sense() {
    let table: [(Value, &[&str]); 12] = [
        (
            json!({"hostPath": {"path": "/x", "type": "Folder"}}),
            &["hostPath.type"],
        ),
        (json!({"hostPath": {"path": "/x/../y"}}), &["hostPath.path"]),
        (json!({"projected": {}}), &["projected.sources"]),
        (json!({"projected": {"sources": [{}]}}), &["projected.sources[0]"]),
        (
            json!({"projected": {"sources": [{"configMap": {}}]}}),
            &["projected.sources[0].configMap.name"],
        ),
        (
            json!({"projected": {"sources": [{"serviceAccountToken": {"path": "t", "expirationSeconds": 60}}]}}),
            &["projected.sources[0].serviceAccountToken.expirationSeconds"],
        ),
        (
            json!({"secret": {"secretName": "s", "items": [{"key": "k", "path": "../x"}]}}),
            &["secret.items[0].path"],
        ),
        (
            json!({"configMap": {"name": "m", "items": [{"path": "/x"}]}}),
            &["configMap.items[0].key", "configMap.items[0].path"],
        ),
        (
            json!({"configMap": {"name": "m", "defaultMode": 512}}),
            &["configMap.defaultMode"],
        ),
        (
            json!({"downwardAPI": {"items": [{"path": "p"}]}}),
            &["downwardAPI.items[0]"],
        ),
        (json!({"secret": {"secretName": "s", "defaultMode": 0}}), &[]),
        (json!({"sourceOfTheFuture": {"x": 1}}), &[]),
    ];
    for (source, fields) in table {
        let mut volume = source.clone();
        volume["name"] = json!("w");
        let wanted: Vec<_> = fields
            .iter()
            .map(|field| format!("spec.volumes[0].{field}"))
            .collect();
        let set = json!({"containers": [{"name": "c", "image": "c:1"}], "volumes": [volume]});
        assert_eq!(wrong(set), wanted, "{source}");
    }
}
