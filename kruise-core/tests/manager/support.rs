//! A server that answers what the test says, and remembers what it was asked.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::request::Parts;
use http::{Method, Request, Response, StatusCode};
use http_body_util::Full;
use kube_client::Client;
use kube_client::client::Body;
use parking_lot::Mutex;
use prometheus_client::registry::Registry;
use serde_json::{Value, json};
use tokio::time::Instant;

pub(crate) type Answer = Response<Full<Bytes>>;

/// One request, as the server saw it.
#[derive(Clone, Debug)]
pub(crate) struct Asked {
    pub(crate) at: Duration,
    pub(crate) method: Method,
    pub(crate) uri: String,
    pub(crate) user_agent: String,
    pub(crate) body: Value,
}

#[derive(Clone)]
pub(crate) struct Server {
    pub(crate) client: Client,
    log: Arc<Mutex<Vec<Asked>>>,
}

impl Server {
    /// Answers with `answer(number of the request, request, its body)`. An error is a failed connection.
    pub(crate) fn new(
        answer: impl Fn(usize, &Parts, &Value) -> Result<Answer, std::io::Error> + Send + Sync + 'static,
    ) -> Self {
        let log: Arc<Mutex<Vec<Asked>>> = Arc::default();
        let start = Instant::now();
        let answer = Arc::new(answer);
        let seen = log.clone();
        let service = tower::service_fn(move |request: Request<Body>| {
            let (answer, seen) = (answer.clone(), seen.clone());
            async move {
                let (parts, body) = request.into_parts();
                let body = body.collect_bytes().await.unwrap();
                let body = serde_json::from_slice(&body).unwrap_or(Value::Null);
                let number = {
                    let mut seen = seen.lock();
                    seen.push(Asked {
                        at: start.elapsed(),
                        method: parts.method.clone(),
                        uri: parts.uri.to_string(),
                        user_agent: parts
                            .headers
                            .get("user-agent")
                            .map(|value| value.to_str().unwrap().to_owned())
                            .unwrap_or_default(),
                        body: body.clone(),
                    });
                    seen.len() - 1
                };
                answer(number, &parts, &body)
            }
        });
        Self {
            client: Client::new(service, "default"),
            log,
        }
    }

    pub(crate) fn log(&self) -> Vec<Asked> {
        self.log.lock().clone()
    }

    pub(crate) fn methods(&self) -> Vec<Method> {
        self.log().into_iter().map(|asked| asked.method).collect()
    }
}

pub(crate) fn ok(body: &Value) -> Answer {
    Response::new(Full::new(Bytes::from(body.to_string())))
}

/// A failure as the API server tells it.
pub(crate) fn status(code: u16, reason: &str) -> Answer {
    let body =
        json!({ "kind": "Status", "status": "Failure", "code": code, "reason": reason, "message": reason });
    let mut answer = ok(&body);
    *answer.status_mut() = StatusCode::from_u16(code).unwrap();
    answer
}

/// An object, or a Status, with this code.
pub(crate) fn json_answer(code: u16, body: &Value) -> Answer {
    let mut answer = ok(body);
    *answer.status_mut() = StatusCode::from_u16(code).unwrap();
    answer
}

/// A client whose server never answers.
pub(crate) fn silent() -> Client {
    let service = tower::service_fn(|_: Request<Body>| std::future::pending::<Result<Answer, Infallible>>());
    Client::new(service, "default")
}

pub(crate) fn encode(registry: &Registry) -> String {
    let mut text = String::new();
    prometheus_client::encoding::text::encode(&mut text, registry).unwrap();
    text
}
