//! From an HTTP request to an answer.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use bytes::Bytes;
use futures::StreamExt;
use http::header::{ACCEPT, CONTENT_TYPE, RETRY_AFTER, USER_AGENT};
use http::{HeaderMap, Method, Request, Response};
use http_body::Frame;
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full, LengthLimitError, Limited, StreamBody};
use kube_client::client::Body;
use parking_lot::{Mutex, RwLock};
use serde_json::{Value, json};
use tokio::sync::watch;

use super::admission::Hook;
use super::config::ServerConfig;
use super::delete::DeleteOptions;
use super::kinds::{Kind, Kinds};
use super::list::ListRequest;
use super::route::{Query, ResourcePath, Route};
use super::status::ApiError;
use super::store::{Key, Store};
use super::view::View;
use super::watch::WatchRequest;
use super::write::{Change, Write};
use super::{discovery, patch, scale, watch as watches};
use crate::runtime::Clock;
use crate::testing::random::Random;

/// Body of an answer.
pub(crate) type AnswerBody = UnsyncBoxBody<Bytes, Box<dyn std::error::Error + Send + Sync>>;

/// One answered request.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Logged {
    /// HTTP method.
    pub method: String,
    /// Path and query.
    pub uri: String,
    /// Who asked, as its user agent says.
    pub user_agent: String,
    /// Status code of the answer.
    pub code: u16,
}

#[derive(Debug)]
pub(crate) struct State {
    pub(crate) store: Store,
    pub(crate) kinds: Kinds,
    pub(crate) random: Random,
    pub(crate) log: VecDeque<Logged>,
}

/// Told of each write, after it.
pub(crate) type Observer = Arc<dyn Fn() + Send + Sync>;

pub(crate) struct Inner {
    pub(crate) config: ServerConfig,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) state: Mutex<State>,
    pub(crate) changed: watch::Sender<u64>,
    pub(crate) hooks: RwLock<Vec<Hook>>,
    /// How many reviews webhooks were sent, which makes their uids.
    pub(crate) reviews: AtomicU64,
    pub(crate) observers: RwLock<Vec<Observer>>,
}

/// What the fault layer may ask for besides the request itself.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Twist {
    /// Lists and reads without a resourceVersion come from this many writes ago.
    pub(crate) stale_by: u64,
}

/// An answer before it is put into HTTP.
pub(crate) enum Reply {
    Json(u16, Value),
    Text(&'static str),
    Watch(WatchRequest),
}

/// The parts of a request that handlers look at.
pub(crate) struct Call {
    pub(crate) method: Method,
    pub(crate) query: Query,
    pub(crate) accept: String,
    pub(crate) content_type: String,
    pub(crate) user_agent: String,
    pub(crate) body: Bytes,
    pub(crate) twist: Twist,
}

impl Inner {
    pub(crate) fn new(config: ServerConfig, clock: Arc<dyn Clock>) -> Self {
        let state = State {
            store: Store::new(config.history),
            kinds: Kinds::built_in(),
            random: Random::new(config.seed),
            log: VecDeque::new(),
        };
        Self {
            config,
            clock,
            state: Mutex::new(state),
            changed: watch::Sender::new(0),
            hooks: RwLock::default(),
            reviews: AtomicU64::new(0),
            observers: RwLock::default(),
        }
    }

    /// Wakes watches and observers. Must not be called with the state locked.
    pub(crate) fn announce(&self, revision: u64) {
        let news = self.changed.send_if_modified(|told| {
            let news = *told < revision;
            *told = revision.max(*told);
            news
        });
        if news {
            let observers = self.observers.read().clone();
            for observer in observers {
                observer();
            }
        }
    }

    pub(crate) async fn serve(self: Arc<Self>, request: Request<Body>, twist: Twist) -> Response<AnswerBody> {
        let (head, body) = request.into_parts();
        let logged = (head.method.to_string(), head.uri.to_string());
        let user_agent = header(&head.headers, USER_AGENT.as_str());
        let reply = match Limited::new(body, self.config.max_body_bytes).collect().await {
            Ok(body) => {
                let call = Call {
                    method: head.method,
                    query: Query::parse(head.uri.query().unwrap_or_default()),
                    accept: header(&head.headers, ACCEPT.as_str()),
                    content_type: header(&head.headers, CONTENT_TYPE.as_str()),
                    user_agent: user_agent.clone(),
                    body: body.to_bytes(),
                    twist,
                };
                self.answer(head.uri.path(), call).await
            }
            Err(error) if error.is::<LengthLimitError>() => {
                let message = "Request entity too large: limit is 3145728";
                Err(ApiError::new(413, "RequestEntityTooLarge", message))
            }
            Err(_) => Err(ApiError::bad_request("body could not be read")),
        };
        let response = self.clone().respond(reply);
        let mut state = self.state.lock();
        while state.log.len() >= self.config.log.max(1) {
            state.log.pop_front();
        }
        state.log.push_back(Logged {
            method: logged.0,
            uri: logged.1,
            user_agent,
            code: response.status().as_u16(),
        });
        response
    }

    fn respond(self: Arc<Self>, reply: Result<Reply, ApiError>) -> Response<AnswerBody> {
        match reply {
            Ok(Reply::Json(code, value)) => json_response(code, &value),
            Ok(Reply::Text(text)) => Response::new(
                Full::new(Bytes::from(text))
                    .map_err(|never| match never {})
                    .boxed_unsync(),
            ),
            Ok(Reply::Watch(request)) => {
                let lines = watches::stream(self, request);
                let frames = lines.map(|line| Ok(Frame::data(line)));
                let mut response = Response::new(StreamBody::new(frames).boxed_unsync());
                response
                    .headers_mut()
                    .insert(CONTENT_TYPE, http::HeaderValue::from_static("application/json"));
                response
            }
            Err(error) => error_response(&error),
        }
    }

    async fn answer(self: &Arc<Self>, path: &str, call: Call) -> Result<Reply, ApiError> {
        let json = |value| Ok(Reply::Json(200, value));
        match Route::parse(path).ok_or_else(ApiError::no_such_resource)? {
            Route::Version => json(discovery::version()),
            Route::Health => Ok(Reply::Text("ok")),
            Route::CoreVersions => json(discovery::core_versions()),
            Route::Groups => json(discovery::groups(&self.state.lock().kinds)),
            Route::Group(group) => json(discovery::group(&self.state.lock().kinds, &group)?),
            Route::Resources { group, version } => {
                json(discovery::resources(&self.state.lock().kinds, &group, &version)?)
            }
            Route::Resource(path) => self.resource(path, call).await,
        }
    }

    async fn resource(self: &Arc<Self>, path: ResourcePath, call: Call) -> Result<Reply, ApiError> {
        let kind = self.kind(&path)?;
        if path.namespace.is_some() && !kind.namespaced {
            return Err(ApiError::no_such_resource());
        }
        let view = View::new(kind.clone(), &path.version, &call.accept)?;
        let watch_word = call.query.flag("watch");
        match (&call.method, path.name.as_deref(), path.subresource.as_deref()) {
            (&Method::GET, None, None) => self.list(&path, view, &call),
            (&Method::GET, Some(_), None) if watch_word => self.list(&path, view, &call),
            (&Method::GET, Some(name), subresource) => self.get(&path, &view, name, subresource, &call),
            (&Method::DELETE, None, None) => self.delete_collection(&path, &view, &call),
            (&Method::DELETE, Some(name), None) => {
                let options = DeleteOptions::parse(&call)?;
                self.delete(&path, &view, name, &options).await
            }
            (&Method::POST, None, None) => {
                let body = parse_body(&call.body)?;
                let write = Write::new(kind, &path, &call, Change::Create(body))?;
                let (code, object) = self.write(write).await?;
                Ok(Reply::Json(code, view.show(&object)))
            }
            (&Method::POST, Some(name), Some(subresource @ ("binding" | "eviction")))
                if kind.is("", "Pod") =>
            {
                self.pod_action(&path, &view, name, subresource, &call).await
            }
            (&Method::PUT | &Method::PATCH, Some(_), Some("scale")) => {
                let scale = scale::write(self, kind, &path, &call).await?;
                Ok(Reply::Json(200, scale))
            }
            (&Method::PUT, Some(_), None | Some("status" | "finalize" | "ephemeralcontainers")) => {
                let body = parse_body(&call.body)?;
                let write = Write::new(kind, &path, &call, Change::Update(body))?;
                let (code, object) = self.write(write).await?;
                Ok(Reply::Json(code, view.show(&object)))
            }
            (&Method::PATCH, Some(_), None | Some("status")) => {
                let patch = patch::Patch::parse(&call)?;
                let write = Write::new(kind, &path, &call, Change::Patch(patch))?;
                let (code, object) = self.write(write).await?;
                Ok(Reply::Json(code, view.show(&object)))
            }
            (_, _, Some(_)) => Err(ApiError::no_such_resource()),
            _ => Err(ApiError::method_not_allowed()),
        }
    }

    /// The kind a path names, if it is served in that version.
    pub(crate) fn kind(&self, path: &ResourcePath) -> Result<Arc<Kind>, ApiError> {
        let state = self.state.lock();
        let kind = state.kinds.get(&path.group, &path.plural);
        kind.filter(|kind| kind.version(&path.version).is_some())
            .cloned()
            .ok_or_else(ApiError::no_such_resource)
    }

    /// A core kind by its plural.
    pub(crate) fn kind_of(&self, plural: &str) -> Result<Arc<Kind>, ApiError> {
        let state = self.state.lock();
        state
            .kinds
            .get("", plural)
            .cloned()
            .ok_or_else(ApiError::no_such_resource)
    }

    fn list(self: &Arc<Self>, path: &ResourcePath, view: View, call: &Call) -> Result<Reply, ApiError> {
        let namespace = path.namespace.as_deref();
        let kind = view.kind.clone();
        let version = kind
            .version(&path.version)
            .ok_or_else(ApiError::no_such_resource)?;
        if call.query.flag("watch") {
            let mut query = call.query.clone();
            if let Some(name) = &path.name {
                query.append("fieldSelector", &format!("metadata.name={name}"));
            }
            let request = WatchRequest::parse(self, view, version, namespace, &query)?;
            return Ok(Reply::Watch(request));
        }
        let request = ListRequest::parse(&kind, version, namespace, &call.query)?;
        let state = self.state.lock();
        let stale = stale_to(&state.store, call.twist);
        let page = request.run(&kind, &state.store, stale)?;
        drop(state);
        Ok(Reply::Json(
            200,
            view.list(page.to_value(&kind, &path.version, |object| view.show(object))),
        ))
    }

    fn get(
        &self,
        path: &ResourcePath,
        view: &View,
        name: &str,
        subresource: Option<&str>,
        call: &Call,
    ) -> Result<Reply, ApiError> {
        let kind = &view.kind;
        let key = Key::new(path.namespace.as_deref().unwrap_or_default(), name);
        let state = self.state.lock();
        let object = match stale_to(&state.store, call.twist) {
            Some(revision) => {
                let objects = state.store.snapshot(&kind.resource, revision).unwrap_or_default();
                objects.get(&key).cloned()
            }
            None => state.store.get(&kind.resource, &key).cloned(),
        };
        drop(state);
        let version = kind
            .version(&path.version)
            .ok_or_else(ApiError::no_such_resource)?;
        let object = object.ok_or_else(|| ApiError::not_found(&kind.group, &kind.plural, name))?;
        match subresource {
            None => Ok(Reply::Json(200, view.show(&object))),
            Some("status") if version.status => Ok(Reply::Json(200, view.show(&object))),
            Some("scale") => {
                let paths = version.scale.as_ref().ok_or_else(ApiError::no_such_resource)?;
                Ok(Reply::Json(200, scale::show(&object, paths)))
            }
            Some("log") if kind.is("", "Pod") => Ok(Reply::Text("")),
            _ => Err(ApiError::no_such_resource()),
        }
    }
}

fn stale_to(store: &Store, twist: Twist) -> Option<u64> {
    (twist.stale_by > 0).then(|| {
        let revision = store.revision().saturating_sub(twist.stale_by);
        revision.max(store.compacted())
    })
}

pub(crate) fn parse_body(body: &[u8]) -> Result<Value, ApiError> {
    let value: Value = serde_json::from_slice(body).map_err(|error| {
        ApiError::bad_request(format!("couldn't get version/kind; json parse error: {error}"))
    })?;
    if !value.is_object() {
        return Err(ApiError::bad_request(
            "couldn't get version/kind; json parse error: not an object",
        ));
    }
    Ok(value)
}

fn header(headers: &HeaderMap, name: &str) -> String {
    let value = headers.get(name).and_then(|value| value.to_str().ok());
    value.unwrap_or_default().to_owned()
}

fn json_response(code: u16, value: &Value) -> Response<AnswerBody> {
    let body = Full::new(Bytes::from(value.to_string()));
    let mut response = Response::new(body.map_err(|never| match never {}).boxed_unsync());
    *response.status_mut() =
        http::StatusCode::from_u16(code).unwrap_or(http::StatusCode::INTERNAL_SERVER_ERROR);
    response
        .headers_mut()
        .insert(CONTENT_TYPE, http::HeaderValue::from_static("application/json"));
    response
}

pub(crate) fn error_response(error: &ApiError) -> Response<AnswerBody> {
    let mut response = json_response(error.code, &error.to_value());
    if let Some(seconds) = error.retry_after {
        response.headers_mut().insert(RETRY_AFTER, seconds.into());
    }
    response
}

/// A `Status` that says all went well.
pub(crate) fn success(kind: &Kind, object: &Value) -> Value {
    let mut details = json!({
        "name": object["metadata"]["name"],
        "kind": kind.plural,
        "uid": object["metadata"]["uid"],
    });
    if !kind.group.is_empty() {
        details["group"] = json!(kind.group);
    }
    json!({ "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "details": details })
}
