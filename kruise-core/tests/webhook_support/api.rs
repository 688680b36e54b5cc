//! An API server that knows what the webhook code asks of one.

use std::collections::BTreeMap;
use std::sync::Arc;

use http::{Method, Request, Response, StatusCode};
use http_body_util::{BodyExt, Full};
use parking_lot::Mutex;
use serde_json::{Value, json};

/// Enough of an API server for objects of version v1: get, create, merge patch with a version, JSON patch.
#[derive(Clone, Default)]
pub struct FakeApi(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    objects: BTreeMap<String, Value>,
    version: u64,
    log: Vec<String>,
    refuse: bool,
    after_read: Option<Change>,
}

type Change = Box<dyn FnOnce(&mut Value) + Send>;

impl FakeApi {
    pub fn client(&self) -> kube_client::Client {
        let api = self.clone();
        let service = tower::service_fn(move |request: Request<kube_client::client::Body>| {
            let api = api.clone();
            async move {
                let (head, body) = request.into_parts();
                let body = body.collect().await.unwrap().to_bytes();
                let path = head.uri.path().rsplit("/v1/").next().unwrap().to_owned();
                let (status, object) = api.0.lock().answer(&head.method, &path, &body);
                let mut response = Response::new(Full::new(bytes::Bytes::from(object.to_string())));
                *response.status_mut() = status;
                Ok::<_, std::io::Error>(response)
            }
        });
        kube_client::Client::new(service, "default")
    }

    pub fn writes(&self) -> usize {
        self.0
            .lock()
            .log
            .iter()
            .filter(|line| !line.starts_with("GET"))
            .count()
    }

    pub fn log(&self) -> Vec<String> {
        self.0.lock().log.clone()
    }

    /// Whether to answer everything with 403.
    pub fn refuse(&self, refuse: bool) {
        self.0.lock().refuse = refuse;
    }

    /// Changes the object that is read next, between the answer and whatever follows it.
    pub fn after_read(&self, change: impl FnOnce(&mut Value) + Send + 'static) {
        self.0.lock().after_read = Some(Box::new(change));
    }

    pub fn delete(&self, path: &str) {
        self.0.lock().objects.remove(path);
    }

    /// Stores an object, by what follows `/v1/` in its path.
    pub fn put(&self, path: &str, object: Value) {
        self.0.lock().objects.insert(path.to_owned(), object);
    }

    /// An object by what follows `/v1/` in its path.
    pub fn object(&self, path: &str) -> Value {
        self.0.lock().objects[path].clone()
    }

    pub fn change(&self, path: &str, change: impl FnOnce(&mut Value)) {
        let mut state = self.0.lock();
        state.version += 1;
        let version = state.version.to_string();
        let object = state.objects.get_mut(path).unwrap();
        change(object);
        object["metadata"]["resourceVersion"] = json!(version);
    }
}

impl State {
    fn answer(&mut self, method: &Method, path: &str, body: &[u8]) -> (StatusCode, Value) {
        self.log.push(format!("{method} {path}"));
        let failure = |code: u16, reason: &str| {
            let status = json!({"kind": "Status", "apiVersion": "v1", "status": "Failure", "code": code, "reason": reason, "message": reason, "metadata": {}});
            (StatusCode::from_u16(code).unwrap(), status)
        };
        if self.refuse {
            return failure(403, "Forbidden");
        }
        self.version += 1;
        let version = json!(self.version.to_string());
        if method == Method::GET {
            let found = self.objects.get(path).cloned();
            if let (Some(object), Some(change)) = (self.objects.get_mut(path), self.after_read.take()) {
                change(object);
                object["metadata"]["resourceVersion"] = version;
            }
            return found.map_or_else(|| failure(404, "NotFound"), |object| (StatusCode::OK, object));
        }
        let mut sent: Value = serde_json::from_slice(body).unwrap();
        if method == Method::POST {
            let path = format!("{path}/{}", sent["metadata"]["name"].as_str().unwrap());
            if self.objects.contains_key(&path) {
                return failure(409, "AlreadyExists");
            }
            sent["metadata"]["resourceVersion"] = version;
            self.objects.insert(path, sent.clone());
            return (StatusCode::CREATED, sent);
        }
        assert_eq!(method, Method::PATCH);
        let Some(object) = self.objects.get_mut(path) else {
            return failure(404, "NotFound");
        };
        if sent.is_array() {
            let patch: json_patch::Patch = serde_json::from_value(sent).unwrap();
            if json_patch::patch(object, &patch).is_err() {
                return failure(422, "Invalid");
            }
        } else if object["metadata"]["resourceVersion"] != sent["metadata"]["resourceVersion"] {
            return failure(409, "Conflict");
        } else {
            json_patch::merge(object, &sent);
        }
        object["metadata"]["resourceVersion"] = version;
        (StatusCode::OK, object.clone())
    }
}
