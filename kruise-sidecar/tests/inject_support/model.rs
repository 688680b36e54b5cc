//! Injection once more, slow and plain, on decoded JSON: what the engine is compared with.

use kruise_sidecar::api::SidecarSet;
use serde_json::{Map, Value, json};

use super::now;

fn list(value: &Value) -> Vec<Value> {
    value.as_array().cloned().unwrap_or_default()
}

fn text<'v>(value: &'v Value, field: &str) -> &'v str {
    value[field].as_str().unwrap_or_default()
}

fn is_injected(container: &Value) -> bool {
    let env = list(&container["env"]);
    env.iter()
        .find(|entry| entry["name"] == "IS_INJECTED")
        .is_some_and(|entry| entry["value"] == "true")
}

/// The expanded containers of a set: the field, the name in the set, and the container with its policies.
fn sidecars(set: &Value) -> Vec<(&'static str, String, Value)> {
    let mut all = Vec::new();
    for init in list(&set["spec"]["initContainers"]) {
        all.push(("initContainers", text(&init, "name").to_owned(), init));
    }
    for container in list(&set["spec"]["containers"]) {
        let base = text(&container, "name").to_owned();
        if container["upgradeStrategy"]["upgradeType"] == "HotUpgrade" {
            for suffix in ["-1", "-2"] {
                let mut half = container.clone();
                half["name"] = json!(format!("{base}{suffix}"));
                if suffix == "-2" {
                    half["image"] = json!(text(&container["upgradeStrategy"], "hotUpgradeEmptyImage"));
                }
                all.push(("containers", base.clone(), half));
            }
        } else {
            all.push(("containers", base, container));
        }
    }
    all
}

fn selects(set: &Value, pod: &Value) -> bool {
    let namespace = text(&set["spec"], "namespace");
    let labels = set["spec"]["selector"]["matchLabels"].as_object().unwrap();
    (namespace.is_empty() || namespace == text(&pod["metadata"], "namespace"))
        && labels
            .iter()
            .all(|(key, value)| pod["metadata"]["labels"].get(key) == Some(value))
}

/// The pod after injection; `None` if it is refused. `Err` never: what cannot be read is not generated.
pub fn model(sets: &[SidecarSet], pod: &Value) -> Option<Value> {
    let mut sets: Vec<Value> = sets
        .iter()
        .map(|set| serde_json::to_value(set).unwrap())
        .collect();
    sets.sort_by_key(|set| text(&set["metadata"], "name").to_owned());
    sets.retain(|set| selects(set, pod) && !sidecars(set).is_empty());
    if sets.is_empty() {
        return Some(pod.clone());
    }
    let mut after = pod.clone();
    let replaced = replaced(&sets, pod)?;
    for set in &sets {
        metadata(set, &mut after);
    }
    let own: Vec<Value> = list(&pod["spec"]["containers"]);
    let not_replaced = |container: &&Value| !replaced.contains(&text(container, "name").to_owned());
    let sources: Vec<Value> = own.iter().filter(not_replaced).cloned().collect();

    let mut built: Vec<(&str, bool, Value)> = Vec::new();
    for set in &sets {
        for (field, _, sidecar) in sidecars(set) {
            let default = field == "containers";
            let before = match sidecar["podInjectPolicy"].as_str() {
                Some(policy) => policy == "BeforeAppContainer",
                None => default,
            };
            built.push((field, before, build(&sidecar, &sources)));
        }
    }
    for field in ["initContainers", "containers"] {
        let mut of: Vec<&(&str, bool, Value)> = built.iter().filter(|(held, ..)| *held == field).collect();
        if field == "initContainers" {
            of.sort_by_key(|(_, _, container)| text(container, "name").to_owned());
        }
        if of.is_empty() {
            continue;
        }
        let mut held = list(&pod["spec"][field]);
        let (mut front, mut back) = (Vec::new(), Vec::new());
        for (_, before, container) in of {
            match held.iter_mut().find(|old| old["name"] == container["name"]) {
                Some(old) => *old = container.clone(),
                None if *before => front.push(container.clone()),
                None => back.push(container.clone()),
            }
        }
        front.append(&mut held);
        front.append(&mut back);
        after["spec"][field] = front.into();
    }
    add_by_name(&mut after, "volumes", volumes(&sets));
    let secrets = sets
        .iter()
        .flat_map(|set| list(&set["spec"]["imagePullSecrets"]))
        .collect::<Vec<_>>();
    if !secrets.is_empty() {
        let mut all: Vec<Value> = Vec::new();
        for secret in list(&pod["spec"]["imagePullSecrets"]).into_iter().chain(secrets) {
            if all.iter().all(|held| held["name"] != secret["name"]) {
                all.push(secret);
            }
        }
        after["spec"]["imagePullSecrets"] = all.into();
    }
    describe(&sets, pod, &mut after);
    Some(after)
}

/// The names of containers of the pod that sidecars replace; `None` if a name is taken.
fn replaced(sets: &[Value], pod: &Value) -> Option<Vec<String>> {
    let (mut seen, mut replaced): (Vec<String>, Vec<String>) = Default::default();
    for set in sets {
        for (field, _, sidecar) in sidecars(set) {
            let name = text(&sidecar, "name").to_owned();
            if seen.contains(&name) {
                return None;
            }
            seen.push(name.clone());
            let other = if field == "containers" {
                "initContainers"
            } else {
                "containers"
            };
            if list(&pod["spec"][other])
                .iter()
                .any(|container| container["name"] == name.as_str())
            {
                return None;
            }
            let held = list(&pod["spec"][field]);
            let Some(held) = held.iter().find(|container| container["name"] == name.as_str()) else {
                continue;
            };
            let mark = json!({"name": "IS_INJECTED", "value": "true"});
            if !list(&held["env"]).contains(&mark) {
                return None;
            }
            replaced.push(name);
        }
    }
    Some(replaced)
}

fn metadata(set: &Value, after: &mut Value) {
    for patch in list(&set["spec"]["patchPodMetadata"]) {
        for (key, value) in patch["annotations"].as_object().unwrap() {
            let annotations = &mut after["metadata"]["annotations"];
            if annotations.is_null() {
                *annotations = json!({});
            }
            if patch["patchPolicy"] == "Overwrite" || annotations.get(key).is_none() {
                annotations[key] = value.clone();
            }
        }
    }
}

fn build(sidecar: &Value, sources: &[Value]) -> Value {
    let hot = sidecar["upgradeStrategy"]["upgradeType"] == "HotUpgrade";
    let sharing = sidecar["shareVolumePolicy"]["type"] == "enabled";
    let mut transfer: Vec<Value> = Vec::new();
    for wanted in list(&sidecar["transferEnv"]) {
        let mut found = None;
        for container in sources
            .iter()
            .filter(|container| container["name"] == wanted["sourceContainerName"])
        {
            for entry in list(&container["env"]) {
                if entry["name"] == wanted["envName"] {
                    found = Some(entry);
                }
            }
        }
        transfer.extend(found);
    }
    let mut shared: Vec<Value> = Vec::new();
    for container in sources
        .iter()
        .filter(|container| sharing && !is_injected(container))
    {
        for mount in list(&container["volumeMounts"]) {
            let expression = text(&mount, "subPathExpr").to_owned();
            let mut names: Vec<(usize, &str)> = Vec::new();
            for name in ["A", "B", "IS_INJECTED"] {
                names.extend(
                    expression
                        .match_indices(&format!("$({name})"))
                        .map(|(at, _)| (at, name)),
                );
            }
            names.sort_unstable();
            for (_, name) in names {
                transfer.extend(
                    list(&container["env"])
                        .into_iter()
                        .find(|entry| entry["name"] == name),
                );
            }
            shared.push(mount);
        }
    }
    let mut container: Map<String, Value> = sidecar.as_object().unwrap().clone();
    for field in [
        "podInjectPolicy",
        "upgradeStrategy",
        "shareVolumePolicy",
        "transferEnv",
    ] {
        container.remove(field);
    }
    let mut mounts = list(&sidecar["volumeMounts"]);
    for mount in shared {
        if mounts.iter().all(|held| held["mountPath"] != mount["mountPath"]) {
            mounts.push(mount);
        }
    }
    container.remove("volumeMounts");
    if !mounts.is_empty() {
        container.insert("volumeMounts".into(), mounts.into());
    }
    let mut env = list(&sidecar["env"]);
    env.push(json!({"name": "IS_INJECTED", "value": "true"}));
    for entry in transfer {
        if env.iter().all(|held| held["name"] != entry["name"]) {
            env.push(entry);
        }
    }
    if hot {
        for (name, prefix) in [
            ("SIDECARSET_VERSION", "version"),
            ("SIDECARSET_VERSION_ALT", "versionalt"),
        ] {
            let path = format!(
                "metadata.annotations['{prefix}.sidecarset.kruise.io/{}']",
                text(sidecar, "name")
            );
            let source = json!({"fieldRef": {"apiVersion": "v1", "fieldPath": path}});
            env.push(json!({"name": name, "valueFrom": source}));
        }
    }
    container.insert("env".into(), env.into());
    container.into()
}

fn volumes(sets: &[Value]) -> Vec<Value> {
    let mut added = Vec::new();
    for set in sets {
        let volumes = list(&set["spec"]["volumes"]);
        for (_, _, sidecar) in sidecars(set) {
            for mount in list(&sidecar["volumeMounts"]) {
                added.extend(
                    volumes
                        .iter()
                        .find(|volume| volume["name"] == mount["name"])
                        .cloned(),
                );
            }
        }
    }
    added
}

fn add_by_name(after: &mut Value, field: &str, added: Vec<Value>) {
    for value in added {
        let held = &mut after["spec"][field];
        if held.is_null() {
            *held = json!([]);
        }
        let held = held.as_array_mut().unwrap();
        if held.iter().all(|held| held["name"] != value["name"]) {
            held.push(value);
        }
    }
}

fn describe(sets: &[Value], pod: &Value, after: &mut Value) {
    let annotations = &mut after["metadata"]["annotations"];
    if annotations.is_null() {
        *annotations = json!({});
    }
    let time = now().to_string().split_once('.').unwrap().0.to_owned() + "Z";
    for key in [
        "kruise.io/sidecarset-hash",
        "kruise.io/sidecarset-hash-without-image",
    ] {
        let held = pod["metadata"]["annotations"][key].as_str();
        let mut all: Value = serde_json::from_str(held.unwrap_or("{}")).unwrap();
        for set in sets {
            let mut names: Vec<Value> = list(&set["spec"]["containers"]);
            names.extend(
                list(&set["spec"]["initContainers"])
                    .into_iter()
                    .filter(|init| init["restartPolicy"] == "Always"),
            );
            let mut names: Vec<&str> = names.iter().map(|container| text(container, "name")).collect();
            names.sort_unstable();
            let name = text(&set["metadata"], "name");
            let mut entry = json!({"updateTimestamp": time, "hash": set["metadata"]["annotations"][key], "sidecarSetName": name});
            if !names.is_empty() {
                entry["sidecarList"] = json!(names);
            }
            all[name] = entry;
        }
        annotations[key] = json!(all.to_string());
    }
    let held = pod["metadata"]["annotations"]["kruise.io/sidecarset-injected-list"]
        .as_str()
        .unwrap_or_default();
    let mut names: Vec<&str> = sets.iter().map(|set| text(&set["metadata"], "name")).collect();
    names.extend(held.split(',').filter(|name| !name.is_empty()));
    names.sort_unstable();
    names.dedup();
    annotations["kruise.io/sidecarset-injected-list"] = json!(names.join(","));
    let mut working = json!({});
    for (_, base, sidecar) in sets.iter().flat_map(sidecars) {
        let name = text(&sidecar, "name");
        let numbers = if name.ends_with("-1") {
            ("1", "0")
        } else {
            ("0", "1")
        };
        if sidecar["upgradeStrategy"]["upgradeType"] == "HotUpgrade" {
            annotations[format!("version.sidecarset.kruise.io/{name}")] = json!(numbers.0);
            annotations[format!("versionalt.sidecarset.kruise.io/{name}")] = json!(numbers.1);
            working[&base] = json!(format!("{base}-1"));
        }
    }
    if working != json!({}) {
        annotations["kruise.io/sidecarset-working-hotupgrade-container"] = json!(working.to_string());
    }
}

/// The pod with the hash annotations decoded, so that the order of keys in them does not matter.
pub fn normal(mut pod: Value) -> Value {
    for key in [
        "kruise.io/sidecarset-hash",
        "kruise.io/sidecarset-hash-without-image",
    ] {
        let text = pod["metadata"]["annotations"]
            .get(key)
            .and_then(Value::as_str)
            .map(str::to_owned);
        if let Some(read) = text.and_then(|text| serde_json::from_str::<Value>(&text).ok()) {
            pod["metadata"]["annotations"][key] = read;
        }
    }
    pod
}
