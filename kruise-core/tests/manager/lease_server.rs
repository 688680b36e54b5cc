//! A server with one Lease.

use std::sync::Arc;
use std::time::Duration;

use http::{Method, Request};
use kube_client::Client;
use kube_client::client::Body;
use parking_lot::Mutex;
use serde_json::{Value, json};

use crate::support::{Answer, ok, status};

/// What goes wrong with one request.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Fault {
    /// Before the server does what it is asked.
    pub(crate) before: Duration,
    /// After that.
    pub(crate) after: Duration,
    /// The server does not get the request.
    pub(crate) lost: bool,
    /// The client does not get the answer.
    pub(crate) unheard: bool,
}

#[derive(Default)]
struct State {
    lease: Option<Value>,
    version: u64,
    down: bool,
    log: Vec<(Method, String)>,
}

#[derive(Clone, Default)]
pub(crate) struct LeaseServer(Arc<Mutex<State>>);

impl LeaseServer {
    pub(crate) fn client(&self) -> Client {
        self.client_with(Fault::default)
    }

    /// A client of this server, each of whose requests meets what `fault` says. The server finishes what it has begun
    /// even if the client has given up.
    pub(crate) fn client_with(&self, fault: impl Fn() -> Fault + Send + Sync + 'static) -> Client {
        let server = self.clone();
        let service = tower::service_fn(move |request: Request<Body>| {
            let (server, fault) = (server.clone(), fault());
            let (tell, told) = tokio::sync::oneshot::channel();
            #[allow(clippy::disallowed_methods, reason = "a server outlives its clients")]
            tokio::spawn(async move {
                let (parts, body) = request.into_parts();
                let body = body.collect_bytes().await.unwrap();
                tokio::time::sleep(fault.before).await;
                if fault.lost {
                    return;
                }
                let body = serde_json::from_slice(&body).unwrap_or(Value::Null);
                let answer = server.answer(parts.method, parts.uri.to_string(), body);
                tokio::time::sleep(fault.after).await;
                if !fault.unheard {
                    let _ = tell.send(answer);
                }
            });
            async move { told.await.map_err(|_| std::io::Error::other("connection cut")) }
        });
        Client::new(service, "default")
    }

    fn answer(&self, method: Method, uri: String, body: Value) -> Answer {
        let mut state = self.0.lock();
        state.log.push((method.clone(), uri));
        if state.down {
            return status(503, "ServiceUnavailable");
        }
        match (method, state.lease.clone()) {
            (Method::GET, Some(lease)) => ok(&lease),
            (Method::GET | Method::PATCH, None) => status(404, "NotFound"),
            (Method::POST, None) => state.store(body),
            (Method::POST, Some(_)) => status(409, "AlreadyExists"),
            (Method::PATCH, Some(mut lease)) => {
                let wanted = &body["metadata"]["resourceVersion"];
                if !wanted.is_null() && *wanted != lease["metadata"]["resourceVersion"] {
                    return status(409, "Conflict");
                }
                json_patch::merge(&mut lease, &body);
                state.store(lease)
            }
            _ => status(405, "MethodNotAllowed"),
        }
    }

    pub(crate) fn lease(&self) -> Option<Value> {
        self.0.lock().lease.clone()
    }

    pub(crate) fn edit(&self, change: impl FnOnce(&mut Value)) {
        let mut state = self.0.lock();
        let mut lease = state.lease.clone().unwrap();
        change(&mut lease);
        let _ = state.store(lease);
    }

    pub(crate) fn delete(&self) {
        self.0.lock().lease = None;
    }

    pub(crate) fn set_down(&self, down: bool) {
        self.0.lock().down = down;
    }

    pub(crate) fn requests(&self) -> usize {
        self.0.lock().log.len()
    }

    pub(crate) fn methods(&self) -> Vec<Method> {
        self.0
            .lock()
            .log
            .iter()
            .map(|(method, _)| method.clone())
            .collect()
    }

    pub(crate) fn last_uri(&self) -> String {
        self.0.lock().log.last().unwrap().1.clone()
    }
}

impl State {
    fn store(&mut self, mut lease: Value) -> Answer {
        self.version += 1;
        lease["metadata"]["resourceVersion"] = json!(self.version.to_string());
        self.lease = Some(lease.clone());
        ok(&lease)
    }
}
