//! A server whose answers the test gives by hand.

use std::convert::Infallible;
use std::time::Duration;

use bytes::Bytes;
use futures::StreamExt;
use http::{Request, Response, StatusCode};
use http_body::Frame;
use http_body_util::combinators::UnsyncBoxBody as BoxBody;
use http_body_util::{BodyExt, Full, StreamBody};
use kube_client::Client;
use kube_client::client::Body;
use serde_json::{Value, json};
use tokio::sync::{mpsc, oneshot};

type Answer = Response<BoxBody<Bytes, Infallible>>;

/// A request that waits for its answer.
pub(crate) struct Asked {
    /// Path and query.
    pub(crate) uri: String,
    answer: oneshot::Sender<Answer>,
}

/// An open watch; dropping it ends the response.
pub(crate) struct Watch(mpsc::UnboundedSender<String>);

/// Receives the requests of a client in order.
pub(crate) struct Server(mpsc::UnboundedReceiver<Asked>);

pub(crate) fn server() -> (Client, Server) {
    let (tell, told) = mpsc::unbounded_channel();
    let service = tower::service_fn(move |request: Request<Body>| {
        let tell = tell.clone();
        async move {
            let (answer, answered) = oneshot::channel();
            let _ = tell.send(Asked {
                uri: request.uri().to_string(),
                answer,
            });
            match answered.await {
                Ok(answer) => Ok(answer),
                Err(_) => std::future::pending::<Result<Answer, Infallible>>().await,
            }
        }
    });
    (Client::new(service, "default"), Server(told))
}

impl Server {
    /// The next request. Fails after a minute without one.
    pub(crate) async fn next(&mut self) -> Asked {
        tokio::time::timeout(Duration::from_secs(60), self.0.recv())
            .await
            .expect("no request came")
            .unwrap()
    }

    /// The next request after any time.
    pub(crate) async fn next_whenever(&mut self) -> Asked {
        self.0.recv().await.unwrap()
    }
}

impl Asked {
    pub(crate) fn is_watch(&self) -> bool {
        self.uri.contains("watch=true")
    }

    pub(crate) fn is_streaming_list(&self) -> bool {
        self.uri.contains("sendInitialEvents=true")
    }

    fn respond(self, status: StatusCode, body: BoxBody<Bytes, Infallible>) {
        let _ = self
            .answer
            .send(Response::builder().status(status).body(body).unwrap());
    }

    pub(crate) fn json(self, value: &Value) {
        self.respond(
            StatusCode::OK,
            Full::new(Bytes::from(value.to_string())).boxed_unsync(),
        );
    }

    /// A list of these objects.
    pub(crate) fn list(self, version: &str, items: &[Value]) {
        assert!(!self.is_watch(), "{} is no list", self.uri);
        self.json(&json!({"kind": "PodList", "apiVersion": "v1",
                          "metadata": {"resourceVersion": version}, "items": items}));
    }

    /// An error of the API server.
    pub(crate) fn refuse(self, code: u16, reason: &str) {
        let body = json!({"kind": "Status", "apiVersion": "v1", "status": "Failure", "code": code,
                          "reason": reason, "message": reason});
        let status = StatusCode::from_u16(code).unwrap();
        self.respond(status, Full::new(Bytes::from(body.to_string())).boxed_unsync());
    }

    /// Opens the watch.
    pub(crate) fn open(self) -> Watch {
        assert!(self.is_watch(), "{} is no watch", self.uri);
        let (send, receive) = mpsc::unbounded_channel::<String>();
        let lines = futures::stream::unfold(receive, |mut receive| async move {
            receive.recv().await.map(|line| (line, receive))
        });
        let frames = lines.map(|line| Ok(Frame::data(Bytes::from(line))));
        self.respond(StatusCode::OK, StreamBody::new(frames).boxed_unsync());
        Watch(send)
    }
}

impl Watch {
    pub(crate) fn send(&self, kind: &str, object: &Value) {
        let _ = self
            .0
            .send(format!("{{\"type\":\"{kind}\",\"object\":{object}}}\n"));
    }

    pub(crate) fn bookmark(&self, version: &str, ends_list: bool) {
        let annotations = if ends_list {
            json!({"k8s.io/initial-events-end": "true"})
        } else {
            json!({})
        };
        self.send(
            "BOOKMARK",
            &json!({"kind": "Pod", "apiVersion": "v1", "metadata": {"resourceVersion": version, "annotations": annotations}}),
        );
    }

    pub(crate) fn gone(&self) {
        self.send(
            "ERROR",
            &json!({"kind": "Status", "apiVersion": "v1", "status": "Failure", "code": 410, "reason": "Expired",
                    "message": "too old resource version"}),
        );
    }
}

pub(crate) fn pod(name: &str, uid: &str, version: &str) -> Value {
    json!({"apiVersion": "v1", "kind": "Pod",
           "metadata": {"namespace": "ns", "name": name, "uid": uid, "resourceVersion": version}})
}
