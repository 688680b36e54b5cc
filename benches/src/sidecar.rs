//! A pod of about 2 kB and SidecarSets, as they are in clusters.

use std::sync::Arc;

use kruise_core::runtime::{ConfigError, SystemClock};
use kruise_core::webhook::Router;
use kruise_sidecar::api::{HashForm, SidecarSet, default_sidecar_set};
use kruise_sidecar::webhook::{LiveConfig, LiveSets, PodHookConfig, PodInjector, register_pods};
use serde_json::{Value, json};

/// A pod of a Deployment, as the API server sends it: two containers, probes, resources, the token of its service account.
pub fn pod() -> Value {
    let token = json!({"name": "kube-api-access-x7v2p", "readOnly": true,
        "mountPath": "/var/run/secrets/kubernetes.io/serviceaccount"});
    let probe = json!({"httpGet": {"path": "/healthz", "port": 8080, "scheme": "HTTP"}, "timeoutSeconds": 1,
        "periodSeconds": 10, "successThreshold": 1, "failureThreshold": 3});
    let main = json!({
        "name": "main", "image": "registry.example.com/shop/web:1.4.2", "args": ["--listen=:8080"],
        "ports": [{"name": "http", "containerPort": 8080, "protocol": "TCP"}],
        "env": [{"name": "TZ", "value": "Europe/Berlin"}, {"name": "ZONE", "value": "z1"},
            {"name": "POD_NAME", "valueFrom": {"fieldRef": {"apiVersion": "v1", "fieldPath": "metadata.name"}}}],
        "resources": {"limits": {"cpu": "1", "memory": "1Gi"}, "requests": {"cpu": "250m", "memory": "512Mi"}},
        "volumeMounts": [{"name": "data", "mountPath": "/data"},
            {"name": "logs", "mountPath": "/var/log/web", "subPathExpr": "$(POD_NAME)"}, token],
        "livenessProbe": probe, "readinessProbe": probe, "terminationMessagePath": "/dev/termination-log",
        "terminationMessagePolicy": "File", "imagePullPolicy": "IfNotPresent",
    });
    let cache = json!({
        "name": "cache", "image": "redis:7.2", "resources": {}, "volumeMounts": [token],
        "terminationMessagePath": "/dev/termination-log", "terminationMessagePolicy": "File",
        "imagePullPolicy": "IfNotPresent",
    });
    json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {
            "generateName": "web-6d5f9c7b8-", "creationTimestamp": null,
            "labels": {"app": "web", "pod-template-hash": "6d5f9c7b8", "tier": "front"},
            "annotations": {"prometheus.io/scrape": "true", "prometheus.io/port": "8080"},
            "ownerReferences": [{"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "web-6d5f9c7b8",
                "uid": "3f1a4b64-2f0c-4d57-9c0e-0a5a3c1c7f11", "controller": true, "blockOwnerDeletion": true}],
        },
        "spec": {
            "containers": [main, cache],
            "volumes": [{"name": "data", "emptyDir": {}}, {"name": "logs", "hostPath": {"path": "/var/log/pods", "type": ""}},
                {"name": "kube-api-access-x7v2p", "projected": {"defaultMode": 420, "sources": [
                    {"serviceAccountToken": {"expirationSeconds": 3607, "path": "token"}},
                    {"configMap": {"name": "kube-root-ca.crt", "items": [{"key": "ca.crt", "path": "ca.crt"}]}}]}}],
            "restartPolicy": "Always", "terminationGracePeriodSeconds": 30, "dnsPolicy": "ClusterFirst",
            "serviceAccountName": "default", "serviceAccount": "default", "securityContext": {},
            "schedulerName": "default-scheduler", "priority": 0, "enableServiceLinks": true,
        },
        "status": {},
    })
}

/// A set that ships logs: one sidecar that shares volumes and takes a variable over, one init container, one volume.
///
/// # Errors
/// Never.
pub fn set(name: &str, app: &str) -> Result<SidecarSet, serde_json::Error> {
    let mut set = serde_json::from_value(json!({
        "apiVersion": "apps.kruise.io/v1alpha1", "kind": "SidecarSet", "metadata": {"name": name},
        "spec": {
            "selector": {"matchLabels": {"app": app}},
            "initContainers": [{"name": format!("{name}-prepare"), "image": "registry.example.com/logs/prepare:2.1",
                "command": ["sh", "-c", "mkdir -p /etc/shipper"], "volumeMounts": [{"name": "conf", "mountPath": "/etc/shipper"}]}],
            "containers": [{"name": format!("{name}-shipper"), "image": "registry.example.com/logs/shipper:2.1",
                "args": ["--config=/etc/shipper/conf.yaml"], "env": [{"name": "LEVEL", "value": "info"}],
                "resources": {"limits": {"cpu": "200m", "memory": "128Mi"}, "requests": {"cpu": "50m", "memory": "64Mi"}},
                "volumeMounts": [{"name": "conf", "mountPath": "/etc/shipper"}],
                "shareVolumePolicy": {"type": "enabled"},
                "transferEnv": [{"sourceContainerName": "main", "envName": "TZ"}]}],
            "volumes": [{"name": "conf", "configMap": {"name": "shipper"}}],
        },
    }))?;
    default_sidecar_set(&mut set, HashForm::default());
    Ok(set)
}

/// So many sets, of which the first selects the pod.
///
/// # Errors
/// Never.
pub fn sets(count: usize) -> Result<Vec<SidecarSet>, serde_json::Error> {
    let app = |at: usize| {
        if at == 0 {
            "web".to_owned()
        } else {
            format!("app-{at}")
        }
    };
    (0..count)
        .map(|at| set(&format!("logs-{at:03}"), &app(at)))
        .collect()
}

/// The router of the pod webhook with so many sets.
///
/// # Errors
/// Never.
pub fn router(count: usize) -> Result<Router, Box<dyn std::error::Error + Send + Sync>> {
    let live = LiveSets::new(LiveConfig::default());
    for set in sets(count)? {
        live.put(set.into());
    }
    let injector = PodInjector::new(live, Arc::new(SystemClock));
    let router = register_pods(Router::builder(), injector, &PodHookConfig::default(), None).build();
    router.map_err(|error: ConfigError| error.into())
}

/// The review of the creation of a pod.
pub fn review(pod: &Value) -> String {
    let request = json!({
        "uid": "705ab4f5-6393-11e8-b7cc-42010a800002", "operation": "CREATE", "namespace": "shop",
        "kind": {"group": "", "version": "v1", "kind": "Pod"},
        "resource": {"group": "", "version": "v1", "resource": "pods"},
        "requestKind": {"group": "", "version": "v1", "kind": "Pod"},
        "requestResource": {"group": "", "version": "v1", "resource": "pods"},
        "userInfo": {"username": "system:serviceaccount:kube-system:replicaset-controller",
            "uid": "a0d1c9a2-1f6c-4f0e-8c25-d6e3a3d0d3a7",
            "groups": ["system:serviceaccounts", "system:serviceaccounts:kube-system", "system:authenticated"]},
        "object": pod, "oldObject": null, "dryRun": false,
        "options": {"kind": "CreateOptions", "apiVersion": "meta.k8s.io/v1"},
    });
    json!({"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "request": request}).to_string()
}
