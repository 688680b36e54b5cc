//! How many bytes of heap a cached pod takes, and how far a relist goes over that.
//!
//! Prints one JSON object. Heap is what the program asked the allocator for (`size`), without the allocator's own
//! overhead. The pod is one with two containers of about 8 kB JSON; each is made from its own text, as from a server.
//! The relist goes page by page through the decoder and the cache as a driver does; the text of one page counts.

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use k8s_openapi::api::core::v1::Pod;
use kruise_core::runtime::{Cache, Cached, SlimPod};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

/// Counts live and peak bytes.
struct Counting;

static LIVE: AtomicUsize = AtomicUsize::new(0);
static PEAK: AtomicUsize = AtomicUsize::new(0);

fn grown(by: usize) {
    let live = LIVE.fetch_add(by, Ordering::Relaxed) + by;
    PEAK.fetch_max(live, Ordering::Relaxed);
}

#[allow(unsafe_code, reason = "the only way to count what is allocated")]
// SAFETY: every call is passed on unchanged to the system allocator.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        grown(layout.size());
        // SAFETY: the caller keeps the contract of `alloc`.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, at: *mut u8, layout: Layout) {
        LIVE.fetch_sub(layout.size(), Ordering::Relaxed);
        // SAFETY: the caller keeps the contract of `dealloc`.
        unsafe { System.dealloc(at, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

fn live() -> usize {
    LIVE.load(Ordering::Relaxed)
}

fn main() {
    let pods = std::env::args()
        .filter_map(|arg| arg.parse().ok())
        .next()
        .unwrap_or(50_000);
    let sample = 1_000;
    let report = json!({
        "json_bytes_per_pod": pod_text(0, 1).len(),
        "cached_bytes_per_pod": {
            "typed": bytes_per_pod(sample, decode::<Pod>),
            "typed_trimmed": bytes_per_pod(sample, |text| {
                let mut pod = decode::<Pod>(text);
                pod.metadata.managed_fields = None;
                if let Some(annotations) = &mut pod.metadata.annotations {
                    annotations.remove("kubectl.kubernetes.io/last-applied-configuration");
                }
                pod
            }),
            "slim": bytes_per_pod(sample, decode::<SlimPod>),
        },
        "relist_slim": {
            "unchanged": relist(pods, 0),
            "one_in_ten_changed": relist(pods, 10),
            "all_changed": relist(pods, 1),
        },
    });
    println!("{report:#}");
}

fn decode<T: DeserializeOwned>(text: &str) -> T {
    serde_json::from_str(text).expect("the sample is a pod")
}

/// Live bytes of an offline cache with `count` pods, by pod: object, `Arc`, and the maps by key and by uid.
fn bytes_per_pod<T: Cached>(count: usize, make: impl Fn(&str) -> T) -> usize {
    let before = live();
    let (cache, writer) = Cache::offline([]);
    for number in 0..count {
        writer.apply(make(&pod_text(number, 1)));
    }
    let used = live() - before;
    assert_eq!(cache.len(), count);
    used / count
}

/// Steady and peak bytes of a relist in pages of 500 in which every `nth` pod has changed (0: none).
fn relist(count: usize, nth: usize) -> Value {
    const PAGE: usize = 500;
    let before = live();
    let (cache, writer) = Cache::offline([]);
    writer.relist((0..count).map(|number| decode::<SlimPod>(&pod_text(number, 1))));
    let steady = live() - before;
    PEAK.store(live(), Ordering::Relaxed);
    let pages = (0..count).step_by(PAGE).flat_map(|start| {
        let end = (start + PAGE).min(count);
        let version = |number: usize| {
            if nth > 0 && number.is_multiple_of(nth) {
                2
            } else {
                1
            }
        };
        let mut text = String::with_capacity(PAGE * 9_000);
        text.push('[');
        for number in start..end {
            text.push_str(&pod_text(number, version(number)));
            text.push(if number + 1 < end { ',' } else { ']' });
        }
        text.shrink_to_fit();
        // What a client has in memory at once: the answer as bytes and as text, and the objects of the page.
        let bytes = text.clone();
        let page = decode::<Vec<SlimPod>>(&text);
        drop(bytes);
        page
    });
    writer.relist(pages);
    let peak = PEAK.load(Ordering::Relaxed) - before;
    let held: Vec<Arc<SlimPod>> = cache.list();
    assert_eq!(held.len(), count);
    json!({"pods": count, "steady_bytes": steady, "peak_bytes": peak,
           "peak_over_steady": (peak as f64 / steady as f64 * 1000.0).round() / 1000.0})
}

/// A pod with two containers, as a server sends it.
fn pod_text(number: usize, version: usize) -> String {
    let name = format!("web-7d4b9c6f5d-{number:06}");
    let env: Vec<_> = (0..20)
        .map(|n| json!({"name": format!("SETTING_{n}"), "value": format!("value of setting {n}")}))
        .collect();
    let container = |name: &str| {
        json!({
            "name": name, "image": format!("registry.example.com/team/{name}:v1.2.3"),
            "args": ["--config", "/etc/app/config.yaml", "--log-level", "info"], "env": env,
            "ports": [{"name": "http", "containerPort": 8080, "protocol": "TCP"}],
            "resources": {"limits": {"cpu": "1", "memory": "1Gi"}, "requests": {"cpu": "500m", "memory": "512Mi"}},
            "volumeMounts": [{"name": "config", "mountPath": "/etc/app"}, {"name": "token", "readOnly": true,
                "mountPath": "/var/run/secrets/kubernetes.io/serviceaccount"}],
            "readinessProbe": {"httpGet": {"path": "/ready", "port": 8080, "scheme": "HTTP"}, "periodSeconds": 10,
                "timeoutSeconds": 1, "successThreshold": 1, "failureThreshold": 3},
            "terminationMessagePath": "/dev/termination-log", "terminationMessagePolicy": "File",
            "imagePullPolicy": "IfNotPresent"})
    };
    let status = |name: &str| {
        json!({
            "name": name, "ready": true, "started": true, "restartCount": 0,
            "image": format!("registry.example.com/team/{name}:v1.2.3"),
            "imageID": format!("registry.example.com/team/{name}@sha256:{:064x}", 7),
            "containerID": format!("containerd://{number:064x}"), "lastState": {},
            "state": {"running": {"startedAt": "2024-05-01T10:00:30Z"}}})
    };
    let condition = |kind: &str| json!({"type": kind, "status": "True", "lastProbeTime": null, "lastTransitionTime": "2024-05-01T10:00:30Z"});
    let field = |path: &str| (format!("f:{path}"), json!({".": {}, "f:name": {}, "f:value": {}}));
    let fields: serde_json::Map<String, Value> = (0..14).map(|n| field(&format!("setting-{n}"))).collect();
    json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {
            "name": name, "generateName": "web-7d4b9c6f5d-", "namespace": "production",
            "uid": format!("6f1c2c1e-0b60-4b86-9b54-{number:012x}"),
            "resourceVersion": (1_000_000 * version + number).to_string(),
            "creationTimestamp": "2024-05-01T10:00:00Z",
            "labels": {"app": "web", "team": "checkout", "pod-template-hash": "7d4b9c6f5d",
                       "controller-revision-hash": "web-7d4b9c6f5d", "apps.kruise.io/cloneset-instance-id": "x7k2p"},
            "annotations": {"kruise.io/sidecarset-hash": "{\"mesh\":{\"updateTimestamp\":\"2024-05-01T10:00:00Z\",\"hash\":\"abcdef\"}}",
                            "prometheus.io/scrape": "true", "prometheus.io/port": "8080"},
            "ownerReferences": [{"apiVersion": "apps.kruise.io/v1alpha1", "kind": "CloneSet", "name": "web",
                "uid": "11111111-2222-3333-4444-555555555555", "controller": true, "blockOwnerDeletion": true}],
            "managedFields": [
                {"manager": "kruise-manager", "operation": "Update", "apiVersion": "v1", "time": "2024-05-01T10:00:00Z",
                 "fieldsType": "FieldsV1", "fieldsV1": {"f:spec": fields}},
                {"manager": "kubelet", "operation": "Update", "apiVersion": "v1", "time": "2024-05-01T10:00:30Z",
                 "fieldsType": "FieldsV1", "fieldsV1": {"f:status": {"f:conditions": {}, "f:phase": {}, "f:podIP": {}}},
                 "subresource": "status"}]},
        "spec": {
            "nodeName": format!("node-{:04}", number % 1000), "containers": [container("web"), container("mesh")],
            "readinessGates": [{"conditionType": "InPlaceUpdateReady"}],
            "volumes": [{"name": "config", "configMap": {"name": "web", "defaultMode": 420}},
                {"name": "token", "projected": {"defaultMode": 420, "sources": [{"serviceAccountToken":
                    {"expirationSeconds": 3607, "path": "token"}}]}}],
            "tolerations": [{"key": "node.kubernetes.io/not-ready", "operator": "Exists", "effect": "NoExecute",
                "tolerationSeconds": 300}],
            "restartPolicy": "Always", "terminationGracePeriodSeconds": 30, "dnsPolicy": "ClusterFirst",
            "serviceAccountName": "default", "schedulerName": "default-scheduler", "securityContext": {},
            "enableServiceLinks": true, "preemptionPolicy": "PreemptLowerPriority"},
        "status": {
            "phase": "Running", "podIP": "10.1.2.3", "hostIP": "10.0.0.1", "qosClass": "Burstable",
            "startTime": "2024-05-01T10:00:00Z",
            "conditions": [condition("InPlaceUpdateReady"), condition("Initialized"), condition("Ready"),
                           condition("ContainersReady"), condition("PodScheduled")],
            "containerStatuses": [status("web"), status("mesh")]},
    })
    .to_string()
}
