//! The API server: objects as JSON, resourceVersions, JSON and merge patches, the status subresource, and a watch that
//! can be held back.

use std::collections::{BTreeMap, VecDeque};
use std::convert::Infallible;
use std::sync::Arc;

use http::{Method, Request, Response};
use http_body_util::{BodyExt as _, Full};
use k8s_openapi::api::core::v1::Secret;
use kruise_core::runtime::{Cache, CacheWriter, Cached, ObjectKey, SlimPod};
use kruise_core::testing::build::PodBuilder;
use kruise_imagepull::api::{ImageListPullJob, ImagePullJob, NodeImage};
use kruise_imagepull::caches::NodeView;
use kube_client::Client;
use kube_client::client::Body;
use parking_lot::Mutex;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

/// Where copies of pull secrets are.
pub const DAEMON_NAMESPACE: &str = "kruise-daemon-config";

/// What happens to the next write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// It is answered with this code and has no effect.
    Refuse(u16),
    /// It has its effect, and the answer is 500.
    LoseAnswer,
}

#[derive(Clone)]
pub struct FakeApi {
    server: Arc<Mutex<Server>>,
    caches: Caches,
}

#[derive(Clone)]
struct Caches {
    jobs: Cache<ImagePullJob>,
    node_images: Cache<NodeImage>,
    nodes: Cache<NodeView>,
    pods: Cache<SlimPod>,
    secrets: Cache<Secret>,
    lists: Cache<ImageListPullJob>,
}

struct Server {
    /// By path below the API group.
    objects: BTreeMap<String, Value>,
    version: u64,
    jobs: CacheWriter<ImagePullJob>,
    node_images: CacheWriter<NodeImage>,
    nodes: CacheWriter<NodeView>,
    pods: CacheWriter<SlimPod>,
    secrets: CacheWriter<Secret>,
    lists: CacheWriter<ImageListPullJob>,
    held: Option<VecDeque<(String, Option<Value>)>>,
    faults: VecDeque<(String, Fault)>,
    log: Vec<String>,
}

impl FakeApi {
    pub fn new() -> Self {
        let (jobs, jobs_writer) = Cache::offline([]);
        let (node_images, node_images_writer) = Cache::offline([]);
        let (nodes, nodes_writer) = Cache::offline([]);
        let (pods, pods_writer) = Cache::offline([]);
        let (secrets, secrets_writer) = Cache::offline([]);
        let (lists, lists_writer) = Cache::offline([]);
        let server = Server {
            objects: BTreeMap::new(),
            version: 0,
            jobs: jobs_writer,
            node_images: node_images_writer,
            nodes: nodes_writer,
            pods: pods_writer,
            secrets: secrets_writer,
            lists: lists_writer,
            held: None,
            faults: VecDeque::new(),
            log: Vec::new(),
        };
        Self {
            server: Arc::new(Mutex::new(server)),
            caches: Caches {
                jobs,
                node_images,
                nodes,
                pods,
                secrets,
                lists,
            },
        }
    }

    pub fn jobs(&self) -> Cache<ImagePullJob> {
        self.caches.jobs.clone()
    }

    pub fn node_images(&self) -> Cache<NodeImage> {
        self.caches.node_images.clone()
    }

    pub fn nodes(&self) -> Cache<NodeView> {
        self.caches.nodes.clone()
    }

    pub fn pods(&self) -> Cache<SlimPod> {
        self.caches.pods.clone()
    }

    /// The copies of pull secrets.
    pub fn secrets(&self) -> Cache<Secret> {
        self.caches.secrets.clone()
    }

    pub fn lists(&self) -> Cache<ImageListPullJob> {
        self.caches.lists.clone()
    }

    pub fn set_pod(&self, pod: PodBuilder, version: &str) {
        let mut pod = pod.namespace("team").build();
        pod.metadata.uid = pod.metadata.name.clone();
        pod.metadata.resource_version = Some(version.to_owned());
        self.server
            .lock()
            .pods
            .apply(SlimPod::from_pod(&pod).expect("a pod"));
    }

    pub fn delete_pod(&self, name: &str) {
        self.server.lock().pods.delete(&ObjectKey::new("team", name));
    }

    /// A client whose requests are logged under this name.
    pub fn client(&self, who: &'static str) -> Client {
        let server = self.server.clone();
        let service = tower::service_fn(move |request: Request<Body>| {
            let server = server.clone();
            async move {
                let (parts, body) = request.into_parts();
                let body = body.collect().await.expect("bodies are in memory").to_bytes();
                let content = parts.headers.get(http::header::CONTENT_TYPE);
                let merge =
                    content.is_some_and(|content| content.as_bytes().starts_with(b"application/merge-patch"));
                let body = serde_json::from_slice(&body).unwrap_or(Value::Null);
                let (code, answer) = server
                    .lock()
                    .handle(who, &parts.method, parts.uri.path(), merge, body);
                let answer = Full::new(bytes::Bytes::from(answer.to_string()));
                let response = Response::builder().status(code).body(answer).expect("a response");
                Ok::<_, Infallible>(response)
            }
        });
        Client::new(service, "default")
    }

    pub fn create_job(&self, name: &str, spec: Value) {
        let object = json!({
            "apiVersion": "apps.kruise.io/v1alpha1", "kind": "ImagePullJob",
            "metadata": {"name": name, "namespace": "team", "uid": format!("uid-{name}")}, "spec": spec,
        });
        self.server
            .lock()
            .put(&format!("namespaces/team/imagepulljobs/{name}"), Some(object));
    }

    pub fn delete_job(&self, name: &str) {
        self.server
            .lock()
            .put(&format!("namespaces/team/imagepulljobs/{name}"), None);
    }

    pub fn create_node_image(&self, name: &str, labels: Value, spec: Value) {
        let object = json!({
            "apiVersion": "apps.kruise.io/v1alpha1", "kind": "NodeImage",
            "metadata": {"name": name, "uid": format!("uid-{name}"), "labels": labels}, "spec": spec,
        });
        self.server
            .lock()
            .put(&format!("nodeimages/{name}"), Some(object));
    }

    /// A NodeImage that lives without a Node.
    pub fn create_fake_node(&self, name: &str) {
        self.create_node_image(name, json!({"apps.kruise.io/fake-nodeimage": "true"}), json!({}));
    }

    pub fn set_node(&self, node: NodeView) {
        self.server.lock().nodes.apply(node);
    }

    pub fn delete_node(&self, name: &str) {
        self.server.lock().nodes.delete(&ObjectKey::cluster(name));
    }

    /// Changes a NodeImage as a user would.
    pub fn edit_node_image(&self, name: &str, edit: impl FnOnce(&mut Value)) {
        let path = format!("nodeimages/{name}");
        let mut server = self.server.lock();
        let mut object = server.objects.get(&path).cloned().expect("the NodeImage exists");
        edit(&mut object);
        server.put(&path, Some(object));
    }

    /// Stores a secret in namespace `team`.
    pub fn put_secret(&self, name: &str, mut secret: Value) {
        secret["metadata"]["uid"] = json!(format!("uid-{name}"));
        self.server
            .lock()
            .put(&format!("namespaces/team/secrets/{name}"), Some(secret));
    }

    pub fn delete_secret(&self, name: &str) {
        self.server
            .lock()
            .put(&format!("namespaces/team/secrets/{name}"), None);
    }

    /// The copies of pull secrets.
    pub fn copies(&self) -> Vec<Secret> {
        let prefix = format!("namespaces/{DAEMON_NAMESPACE}/secrets/");
        let server = self.server.lock();
        let copies = server
            .objects
            .iter()
            .filter(|(path, _)| path.starts_with(&prefix));
        copies
            .map(|(_, object)| serde_json::from_value(object.clone()).expect("a secret"))
            .collect()
    }

    pub fn job(&self, name: &str) -> Option<ImagePullJob> {
        let object = self
            .server
            .lock()
            .objects
            .get(&format!("namespaces/team/imagepulljobs/{name}"))
            .cloned()?;
        Some(serde_json::from_value(object).expect("a job"))
    }

    pub fn node_image(&self, name: &str) -> Option<NodeImage> {
        let object = self
            .server
            .lock()
            .objects
            .get(&format!("nodeimages/{name}"))
            .cloned()?;
        Some(serde_json::from_value(object).expect("a NodeImage"))
    }

    pub fn all_node_images(&self) -> Vec<NodeImage> {
        let server = self.server.lock();
        let objects = server
            .objects
            .iter()
            .filter(|(path, _)| path.starts_with("nodeimages/"));
        objects
            .map(|(_, object)| serde_json::from_value(object.clone()).expect("a NodeImage"))
            .collect()
    }

    /// From now on caches see nothing, until [`FakeApi::deliver`].
    pub fn hold_watches(&self) {
        self.server.lock().held.get_or_insert_default();
    }

    /// Shows the caches all that was held back, and everything as it happens from now on.
    pub fn deliver(&self) {
        let mut server = self.server.lock();
        for (path, object) in server.held.take().into_iter().flatten() {
            server.show(&path, object);
        }
    }

    /// The next writes whose path contains `path` go wrong, one fault each.
    pub fn fault(&self, path: &str, faults: impl IntoIterator<Item = Fault>) {
        self.server
            .lock()
            .faults
            .extend(faults.into_iter().map(|fault| (path.to_owned(), fault)));
    }

    /// All requests so far: who, method, path.
    pub fn log(&self) -> Vec<String> {
        self.server.lock().log.clone()
    }

    /// How many requests contain all of `parts`.
    pub fn count(&self, parts: &[&str]) -> usize {
        self.log()
            .iter()
            .filter(|line| parts.iter().all(|part| line.contains(part)))
            .count()
    }
}

impl Server {
    fn put(&mut self, path: &str, object: Option<Value>) -> Option<Value> {
        self.version += 1;
        let object = object.map(|mut object| {
            object["metadata"]["resourceVersion"] = json!(self.version.to_string());
            object
        });
        let last = match object.clone() {
            Some(object) => self.objects.insert(path.to_owned(), object),
            None => self.objects.remove(path),
        };
        if object.is_some() || last.is_some() {
            match &mut self.held {
                Some(held) => held.push_back((path.to_owned(), object.clone())),
                None => self.show(path, object.clone()),
            }
        }
        object
    }

    fn show(&self, path: &str, object: Option<Value>) {
        let parts: Vec<&str> = path.split('/').collect();
        match parts[..] {
            ["nodeimages", name] => show(&self.node_images, ObjectKey::cluster(name), object),
            ["namespaces", space, "imagepulljobs", name] => {
                show(&self.jobs, ObjectKey::new(space, name), object);
            }
            ["namespaces", space, "imagelistpulljobs", name] => {
                show(&self.lists, ObjectKey::new(space, name), object);
            }
            ["namespaces", space @ DAEMON_NAMESPACE, "secrets", name] => {
                show(&self.secrets, ObjectKey::new(space, name), object);
            }
            _ => {}
        }
    }

    fn handle(&mut self, who: &str, method: &Method, path: &str, merge: bool, body: Value) -> (u16, Value) {
        self.log.push(format!("{who} {method} {path}"));
        let path = path
            .trim_start_matches("/apis/apps.kruise.io/v1alpha1/")
            .trim_start_matches("/api/v1/");
        let mut lose = false;
        if *method != Method::GET
            && let Some(index) = self
                .faults
                .iter()
                .position(|(part, _)| path.contains(part.as_str()))
            && let Some((_, fault)) = self.faults.remove(index)
        {
            match fault {
                Fault::Refuse(code) => return failure(code),
                Fault::LoseAnswer => lose = true,
            }
        }
        let (path, status) = match path.strip_suffix("/status") {
            Some(path) => (path, true),
            None => (path, false),
        };
        let answer = match *method {
            Method::GET if path.ends_with("/imagepulljobs") || path == "nodeimages" => self.list(path),
            Method::GET => self
                .objects
                .get(path)
                .cloned()
                .map_or_else(|| failure(404), |object| (200, object)),
            Method::POST => self.create(path, body),
            Method::DELETE => self.delete(path, &body),
            Method::PATCH => self.patch(path, status, merge, body),
            _ => failure(405),
        };
        if lose { failure(500) } else { answer }
    }

    /// All objects of a kind, in a namespace if it has one; selectors are left to the client.
    fn list(&self, path: &str) -> (u16, Value) {
        let prefix = format!("{path}/");
        let all = self.objects.iter().filter(|(path, _)| path.starts_with(&prefix));
        let items: Vec<&Value> = all.map(|(_, object)| object).collect();
        (200, json!({"metadata": {}, "items": items}))
    }

    fn create(&mut self, path: &str, mut object: Value) -> (u16, Value) {
        let name = object["metadata"]["name"].as_str().unwrap_or_default().to_owned();
        let path = format!("{path}/{name}");
        if self.objects.contains_key(&path) {
            return failure(409);
        }
        object["metadata"]["uid"] = json!(format!("uid-{name}-{}", self.version));
        let object = self.put(&path, Some(object));
        (201, object.unwrap_or_default())
    }

    fn delete(&mut self, path: &str, options: &Value) -> (u16, Value) {
        let Some(object) = self.objects.get(path) else {
            return failure(404);
        };
        let uid = &options["preconditions"]["uid"];
        let version = &options["preconditions"]["resourceVersion"];
        if (!uid.is_null() && *uid != object["metadata"]["uid"])
            || (!version.is_null() && *version != object["metadata"]["resourceVersion"])
        {
            return failure(409);
        }
        self.put(path, None);
        (
            200,
            json!({"kind": "Status", "apiVersion": "v1", "status": "Success"}),
        )
    }

    fn patch(&mut self, path: &str, status: bool, merge: bool, patch: Value) -> (u16, Value) {
        let Some(old) = self.objects.get(path).cloned() else {
            return failure(404);
        };
        let mut new = old.clone();
        if merge {
            json_patch::merge(&mut new, &patch);
            for field in ["resourceVersion", "uid"] {
                if new["metadata"][field] != old["metadata"][field] {
                    return failure(409);
                }
            }
        } else {
            let patch: json_patch::Patch = serde_json::from_value(patch).expect("a JSON patch");
            if json_patch::patch(&mut new, &patch).is_err() {
                return failure(422);
            }
        }
        // Each of the two resources leaves the part of the other alone.
        let (mut result, from) = if status {
            (old.clone(), &new)
        } else {
            (new.clone(), &old)
        };
        match from.get("status") {
            Some(status) => result["status"] = status.clone(),
            None => drop(result.as_object_mut().and_then(|object| object.remove("status"))),
        }
        if result == old {
            return (200, old);
        }
        let object = self.put(path, Some(result));
        (200, object.unwrap_or_default())
    }
}

fn show<T: Cached + DeserializeOwned>(cache: &CacheWriter<T>, key: ObjectKey, object: Option<Value>) {
    match object {
        Some(object) => cache.apply(serde_json::from_value(object).expect("an object of the kind")),
        None => drop(cache.delete(&key)),
    }
}

fn failure(code: u16) -> (u16, Value) {
    let status = json!({
        "kind": "Status", "apiVersion": "v1", "status": "Failure", "code": code, "message": "told so by the test",
        "reason": if code == 404 { "NotFound" } else { "Test" },
    });
    (code, status)
}
