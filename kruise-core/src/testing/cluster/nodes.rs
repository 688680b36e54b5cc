//! Which node takes a pod, and what is told of nodes that died.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::{Value, json};

use crate::testing::apiserver::json::{items, text};

fn is_ready(node: &Value) -> bool {
    let conditions = items(node, &["status", "conditions"]);
    conditions
        .iter()
        .any(|one| text(one, &["type"]) == "Ready" && text(one, &["status"]) == "True")
}

/// The ready node with the fewest pods that the pod may run on; the first by name of several.
pub(super) fn choose(pod: &Value, nodes: &[Arc<Value>], pods: &[Arc<Value>]) -> Option<String> {
    let mut load: BTreeMap<&str, usize> = BTreeMap::new();
    for pod in pods {
        *load.entry(text(pod, &["spec", "nodeName"])).or_default() += 1;
    }
    nodes
        .iter()
        .filter(|node| is_ready(node) && fits(pod, node))
        .map(|node| text(node, &["metadata", "name"]))
        .min_by_key(|name| (load.get(name).copied().unwrap_or_default(), *name))
        .map(str::to_owned)
}

fn fits(pod: &Value, node: &Value) -> bool {
    let wanted = pod["spec"]["nodeSelector"].as_object().into_iter().flatten();
    let labels = &node["metadata"]["labels"];
    let selected = wanted
        .into_iter()
        .all(|(key, value)| labels.get(key) == Some(value));
    let tolerations = items(pod, &["spec", "tolerations"]);
    let taints = items(node, &["spec", "taints"]).iter();
    let mut repelling = taints.filter(|taint| text(taint, &["effect"]) != "PreferNoSchedule");
    selected
        && node["spec"]["unschedulable"] != json!(true)
        && repelling.all(|taint| tolerations.iter().any(|toleration| tolerates(toleration, taint)))
}

fn tolerates(toleration: &Value, taint: &Value) -> bool {
    let (key, effect) = (text(toleration, &["key"]), text(toleration, &["effect"]));
    let exists = text(toleration, &["operator"]) == "Exists";
    (effect.is_empty() || effect == text(taint, &["effect"]))
        && ((key.is_empty() && exists)
            || (key == text(taint, &["key"])
                && (exists || text(toleration, &["value"]) == text(taint, &["value"]))))
}

/// A status patch that says whether a node is ready.
pub(super) fn ready_patch(node: &Value, status: &str, time: &Value) -> Option<Value> {
    let conditions = items(node, &["status", "conditions"]);
    let ready = conditions.iter().find(|one| text(one, &["type"]) == "Ready");
    if ready.is_some_and(|ready| text(ready, &["status"]) == status) {
        return None;
    }
    let condition = json!({ "type": "Ready", "status": status, "lastTransitionTime": time });
    Some(json!({ "status": { "conditions": [condition] } }))
}
