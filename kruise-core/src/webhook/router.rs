//! From an HTTP request to a handler and back.

use std::collections::HashMap;
use std::convert::Infallible;
use std::error::Error;
use std::fmt;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::task::{Context as TaskContext, Poll};
use std::time::Duration;

use bytes::Bytes;
use futures::FutureExt;
use futures::future::BoxFuture;
use http::header::{ALLOW, CONTENT_TYPE};
use http::{Method, Request, Response, StatusCode};
use http_body_util::{BodyExt, Full, LengthLimitError, Limited};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::conversion::{self, Conversion, Converter};
use super::handler::{Failure, Handle, Mutating, Mutator, Patcher, Patching, Validating, Validator};
use super::hook::{HEALTH_PATH, Hook, HookKind, OnFailure};
use super::metrics::{Path, PathResult, WebhookMetrics};
use super::review::{self, Answer, Denial, Review};
use crate::runtime::ConfigError;

/// Limits of a [`Router`].
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct RouterConfig {
    /// Longest body that is read, in bytes; longer ones are answered with 413. Default: 3 MiB, which holds the old and
    /// the new form of an object of etcd's limit of 1.5 MiB. At least 1.
    pub max_body_bytes: usize,
    /// How long a body may take to arrive; then the answer is 408. Default: 10 s. At least 1 ms.
    pub body_timeout: Duration,
}

impl Default for RouterConfig {
    fn default() -> Self {
        Self {
            max_body_bytes: 3 * 1024 * 1024,
            body_timeout: Duration::from_secs(10),
        }
    }
}

impl RouterConfig {
    /// Checks that every setting can be used; the error names the one that cannot.
    pub fn validate(&self) -> Result<(), ConfigError> {
        if self.max_body_bytes == 0 {
            return Err(ConfigError::new("max_body_bytes", "must be above zero"));
        }
        if self.body_timeout < Duration::from_millis(1) {
            return Err(ConfigError::new("body_timeout", "must be at least 1 ms"));
        }
        Ok(())
    }
}

struct Route {
    kind: HookKind,
    hook: Hook,
    handler: Box<dyn Handle>,
}

type Conversions = Vec<(Conversion, Box<dyn Converter>)>;

/// Collects handlers.
pub struct RouterBuilder {
    config: RouterConfig,
    metrics: WebhookMetrics,
    routes: Vec<Route>,
    conversions: Conversions,
}

impl RouterBuilder {
    /// Sets the limits.
    #[must_use]
    pub fn config(mut self, config: RouterConfig) -> Self {
        self.config = config;
        self
    }

    /// Counts there.
    #[must_use]
    pub fn metrics(mut self, metrics: &WebhookMetrics) -> Self {
        self.metrics = metrics.clone();
        self
    }

    /// Serves a mutator of objects of type `T`.
    #[must_use]
    pub fn mutate<T>(mut self, hook: Hook, mutator: impl Mutator<T>) -> Self
    where
        T: Serialize + DeserializeOwned + Send + Sync + 'static,
    {
        self.routes.push(Route {
            kind: HookKind::Mutating,
            hook,
            handler: Box::new(Mutating::<_, T>::new(mutator)),
        });
        self
    }

    /// Serves a mutator that writes its patches itself.
    #[must_use]
    pub fn patch(mut self, hook: Hook, patcher: impl Patcher) -> Self {
        self.routes.push(Route {
            kind: HookKind::Mutating,
            hook,
            handler: Box::new(Patching(patcher)),
        });
        self
    }

    /// Serves a validator of objects of type `T`.
    #[must_use]
    pub fn validate<T>(mut self, hook: Hook, validator: impl Validator<T>) -> Self
    where
        T: DeserializeOwned + Send + Sync + 'static,
    {
        self.routes.push(Route {
            kind: HookKind::Validating,
            hook,
            handler: Box::new(Validating::<_, T>::new(validator)),
        });
        self
    }

    /// Serves a converter of a custom resource's versions.
    #[must_use]
    pub fn convert(mut self, conversion: Conversion, converter: impl Converter) -> Self {
        self.conversions.push((conversion, Box::new(converter)));
        self
    }

    /// Sets how long each handler that was added so far may take, whatever its hook says.
    #[must_use]
    pub fn timeout(mut self, timeout: Duration) -> Self {
        for route in &mut self.routes {
            route.hook.timeout = timeout;
        }
        self
    }

    /// The router. Fails if a setting or hook cannot be used, or a path or name is taken twice.
    pub fn build(self) -> Result<Router, ConfigError> {
        self.config.validate()?;
        let mut routes = HashMap::new();
        let mut names = std::collections::HashSet::new();
        let mut order = Vec::new();
        for route in self.routes {
            route.hook.validate()?;
            let path = route.hook.path.clone();
            if !names.insert((route.kind, route.hook.name.clone())) {
                return Err(ConfigError::new("name", "is taken by another hook").inside(&path));
            }
            order.push(path.clone());
            if routes.insert(path.clone(), route).is_some() {
                return Err(ConfigError::new("path", "is taken by another hook").inside(&path));
            }
        }
        for (position, (conversion, _)) in self.conversions.iter().enumerate() {
            conversion.validate()?;
            let earlier = self.conversions.iter().take(position);
            if routes.contains_key(&conversion.path)
                || earlier.clone().any(|(other, _)| other.path == conversion.path)
            {
                return Err(ConfigError::new("path", "is taken by another hook").inside(&conversion.path));
            }
        }
        Ok(Router(Arc::new(Inner {
            config: self.config,
            metrics: self.metrics,
            routes,
            order,
            conversions: self.conversions,
        })))
    }
}

struct Inner {
    config: RouterConfig,
    metrics: WebhookMetrics,
    routes: HashMap<String, Route>,
    order: Vec<String>,
    conversions: Conversions,
}

impl Inner {
    fn conversion(&self, path: &str) -> Option<&(Conversion, Box<dyn Converter>)> {
        self.conversions
            .iter()
            .find(|(conversion, _)| conversion.path == path)
    }
}

/// Answers admission and conversion reviews: a `tower::Service` over HTTP requests, to be put into any server. Clones are cheap.
///
/// | request | answer |
/// | --- | --- |
/// | `GET /healthz` | 200 |
/// | unknown path | 404 |
/// | not `POST` | 405 |
/// | content type other than `application/json` | 415 |
/// | body too long | 413 |
/// | body late | 408 |
/// | not an AdmissionReview of `admission.k8s.io/v1`, or not a ConversionReview of `apiextensions.k8s.io/v1` | 400 |
/// | handler failed | 200 with a verdict by [`OnFailure`] |
///
/// It is always ready, and holds no more than `max_body_bytes` of a request; how many requests run at a time is for
/// the server to limit.
#[derive(Clone)]
pub struct Router(Arc<Inner>);

impl fmt::Debug for Router {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Router").field(&self.0.order).finish()
    }
}

impl fmt::Debug for RouterBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let paths = self.routes.iter().map(|route| &route.hook.path);
        f.debug_tuple("RouterBuilder")
            .field(&paths.collect::<Vec<_>>())
            .finish()
    }
}

impl Router {
    /// A builder without handlers.
    pub fn builder() -> RouterBuilder {
        RouterBuilder {
            config: RouterConfig::default(),
            metrics: WebhookMetrics::default(),
            routes: Vec::new(),
            conversions: Vec::new(),
        }
    }

    /// The hooks in the order in which they were added.
    pub fn hooks(&self) -> impl Iterator<Item = (HookKind, &Hook)> {
        let routes = self.0.order.iter().filter_map(|path| self.0.routes.get(path));
        routes.map(|route| (route.kind, &route.hook))
    }

    /// The converters in the order in which they were added.
    pub fn conversions(&self) -> impl Iterator<Item = &Conversion> {
        self.0.conversions.iter().map(|(conversion, _)| conversion)
    }

    #[cfg(feature = "webhook-server")]
    pub(crate) fn metrics(&self) -> &WebhookMetrics {
        &self.0.metrics
    }

    async fn answer<B>(self, request: Request<B>) -> Response<Full<Bytes>>
    where
        B: http_body::Body + Send,
        B::Data: Send,
        B::Error: Into<Box<dyn Error + Send + Sync>>,
    {
        let (head, body) = request.into_parts();
        if head.uri.path() == HEALTH_PATH && (head.method == Method::GET || head.method == Method::HEAD) {
            return text(StatusCode::OK, "ok");
        }
        let path = head.uri.path();
        let (route, conversion) = (self.0.routes.get(path), self.0.conversion(path));
        if route.is_none() && conversion.is_none() {
            return text(StatusCode::NOT_FOUND, "no webhook at this path");
        }
        if head.method != Method::POST {
            let mut response = text(StatusCode::METHOD_NOT_ALLOWED, "reviews are posted");
            response
                .headers_mut()
                .insert(ALLOW, http::HeaderValue::from_static("POST"));
            return response;
        }
        if !is_json(&head.headers) {
            return text(
                StatusCode::UNSUPPORTED_MEDIA_TYPE,
                "content type must be application/json",
            );
        }
        // Told beforehand in the head: then not a byte is waited for.
        if body.size_hint().lower() > self.0.config.max_body_bytes as u64 {
            return too_long();
        }
        let read = Limited::new(body, self.0.config.max_body_bytes).collect();
        let body = match tokio::time::timeout(self.0.config.body_timeout, read).await {
            Err(_) => return text(StatusCode::REQUEST_TIMEOUT, "body did not arrive in time"),
            Ok(Err(error)) if error.is::<LengthLimitError>() => {
                return too_long();
            }
            Ok(Err(_)) => return text(StatusCode::BAD_REQUEST, "body could not be read"),
            Ok(Ok(body)) => body.to_bytes(),
        };
        let answer = match (route, conversion) {
            (Some(route), _) => match parse(&body) {
                Ok(review) => Ok(json(&Answer::from(self.review(route, review).await))),
                Err(problem) => Err(problem),
            },
            (None, Some((_, converter))) => {
                let start = tokio::time::Instant::now();
                let done = conversion::review(converter.as_ref(), &body);
                self.observe(path, start);
                done.map(|(answer, result)| {
                    self.count(path, result);
                    json(&answer)
                })
            }
            (None, None) => Err("no webhook at this path".to_owned()),
        };
        answer.unwrap_or_else(|problem| {
            self.count(path, "malformed");
            text(StatusCode::BAD_REQUEST, problem)
        })
    }

    /// The verdict of the handler, or the one that the policy gives in its place.
    async fn review(&self, route: &Route, review: Review<'_>) -> review::Response {
        let uid = review.request.uid.clone();
        let start = tokio::time::Instant::now();
        // The handler's own borrow of the object ends with its future, so nothing half changed is seen afterwards.
        let call = AssertUnwindSafe(async { route.handler.handle(review.request).await }).catch_unwind();
        let result = match tokio::time::timeout(route.hook.timeout, call).await {
            Err(_) => Err(Failure::Timeout(route.hook.timeout)),
            Ok(Err(panic)) => {
                let panic = crate::runtime::panic_message(&*panic);
                tracing::error!(path = %route.hook.path, %uid, panic, "webhook handler panicked");
                Err(Failure::Panic)
            }
            Ok(Ok(result)) => result,
        };
        self.observe(&route.hook.path, start);
        let failure = match result {
            Ok(response) => {
                self.count(
                    &route.hook.path,
                    if response.allowed { "allowed" } else { "denied" },
                );
                return response;
            }
            Err(failure) => failure,
        };
        self.count(&route.hook.path, failure.result());
        tracing::warn!(path = %route.hook.path, %uid, %failure, policy = route.hook.on_failure.policy(), "webhook gave no verdict");
        let message = format!("{}: {failure}", route.hook.name);
        match route.hook.on_failure {
            OnFailure::Deny => review::Response::deny(&uid, Denial::new(failure.code(), message)),
            OnFailure::Allow => review::Response::allow(&uid, vec![message]),
        }
    }

    fn observe(&self, path: &str, start: tokio::time::Instant) {
        let path = Path {
            path: path.to_owned(),
        };
        self.0
            .metrics
            .duration
            .get_or_create(&path)
            .observe(start.elapsed().as_secs_f64());
    }

    fn count(&self, path: &str, result: &'static str) {
        let path = path.to_owned();
        self.0
            .metrics
            .requests
            .get_or_create(&PathResult { path, result })
            .inc();
    }
}

impl<B> tower::Service<Request<B>> for Router
where
    B: http_body::Body + Send + 'static,
    B::Data: Send,
    B::Error: Into<Box<dyn Error + Send + Sync>>,
{
    type Response = Response<Full<Bytes>>;
    type Error = Infallible;
    type Future = BoxFuture<'static, Result<Self::Response, Infallible>>;

    fn poll_ready(&mut self, _: &mut TaskContext<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        self.clone().answer(request).map(Ok).boxed()
    }
}

fn parse(body: &[u8]) -> Result<Review<'_>, String> {
    let review: Review<'_> =
        serde_json::from_slice(body).map_err(|error| format!("malformed review: {error}"))?;
    if review.api_version != review::API_VERSION || review.kind != review::KIND {
        return Err(format!(
            "only {} of {} is understood, not {} of {}",
            review::KIND,
            review::API_VERSION,
            review.kind,
            review.api_version
        ));
    }
    Ok(review)
}

/// Parameters such as the character set do not matter: JSON is always UTF-8.
fn is_json(headers: &http::HeaderMap) -> bool {
    let value = headers
        .get(CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .unwrap_or("");
    let essence = value.split(';').next().unwrap_or("").trim();
    essence.eq_ignore_ascii_case("application/json")
}

fn json(answer: &impl Serialize) -> Response<Full<Bytes>> {
    match serde_json::to_vec(answer) {
        Ok(bytes) => reply(StatusCode::OK, "application/json", bytes.into()),
        Err(_) => text(StatusCode::INTERNAL_SERVER_ERROR, "answer could not be written"),
    }
}

fn too_long() -> Response<Full<Bytes>> {
    text(StatusCode::PAYLOAD_TOO_LARGE, "body is too long")
}

fn text(status: StatusCode, text: impl Into<String>) -> Response<Full<Bytes>> {
    reply(status, "text/plain; charset=utf-8", Bytes::from(text.into()))
}

fn reply(status: StatusCode, content_type: &'static str, body: Bytes) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(body));
    *response.status_mut() = status;
    response
        .headers_mut()
        .insert(CONTENT_TYPE, http::HeaderValue::from_static(content_type));
    response
}
