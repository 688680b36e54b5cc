//! Making clients.

use std::num::NonZeroU32;
use std::sync::Arc;

use http::{HeaderValue, Request};
use kube_client::client::Body;
use kube_client::{Client, Config};

use super::ClientConfig;
use super::limiter::Limiter;
use super::send::Sender;
use crate::manager::ManagerMetrics;
use crate::manager::election::Fence;
use crate::runtime::ConfigError;

/// Turns off kube's own retries, which repeat even a POST up to 15 times. Use it for the configuration of the client
/// that is given to a [`ClientFactory`], which has retries of its own.
#[must_use]
pub fn without_retry(mut config: Config) -> Config {
    config.default_retry = false;
    config
}

/// Makes API clients that share the connections of one base client.
///
/// Each client has the user agent `<user agent>/<controller>`, which is seen in audit logs and in managedFields, and a
/// rate limit of its own, so that no controller starves another. Requests wait for the limit in the order in which
/// they came; retries count as requests.
///
/// A request is sent again, at most [`RetryConfig::max_retries`](super::RetryConfig::max_retries) times and within
/// [`RetryConfig::total_time`](super::RetryConfig::total_time):
///
/// | answer | GET, PUT, DELETE | merge, strategic merge, apply PATCH | JSON PATCH, POST |
/// | --- | --- | --- | --- |
/// | 429 | yes | yes | yes, except evictions |
/// | 500, 502, 503, 504 | yes | yes | no |
/// | connection failed | yes | yes | no |
///
/// The delay is what the server says in `Retry-After`, else it grows from try to try. When retries are used up, or the
/// server asks for more time than there is, the last answer is returned. A JSON patch is not repeated, because its
/// `test` operations would fail on what the first try has done. A repeated DELETE may answer 404, and a repeated
/// write that carries a resourceVersion 409, although the first try succeeded: callers treat both as "look again".
///
/// ```
/// use bytes::Bytes;
/// use http::{Request, Response};
/// use http_body_util::Full;
/// use k8s_openapi::api::core::v1::Node;
/// use kruise_core::manager::{ClientConfig, ClientFactory};
/// use kube_client::{Api, Client, client::Body};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// // In a program: `Client::try_from(without_retry(Config::incluster()?))?`.
/// let base = Client::new(
///     tower::service_fn(|request: Request<Body>| async move {
///         assert_eq!(request.headers()["user-agent"], "my-manager/node-controller");
///         Ok::<_, std::convert::Infallible>(Response::new(Full::new(Bytes::from(r#"{"metadata":{"name":"n"}}"#))))
///     }),
///     "default",
/// );
/// let mut config = ClientConfig::default();
/// config.user_agent = "my-manager".into();
/// let clients = ClientFactory::new(base, config)?;
///
/// let nodes: Api<Node> = Api::all(clients.client("node-controller")?);
/// assert_eq!(nodes.get("n").await?.metadata.name.as_deref(), Some("n"));
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct ClientFactory {
    base: Client,
    config: ClientConfig,
    qps: NonZeroU32,
    burst: NonZeroU32,
    metrics: Option<ManagerMetrics>,
    fence: Option<Fence>,
}

impl std::fmt::Debug for ClientFactory {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ClientFactory")
            .field("config", &self.config)
            .finish_non_exhaustive()
    }
}

impl ClientFactory {
    /// A factory of clients that send through `base`, whose own retries should be off ([`without_retry`]).
    ///
    /// # Errors
    /// Names the setting that cannot be used.
    pub fn new(base: Client, config: ClientConfig) -> Result<Self, ConfigError> {
        config.validate()?;
        let qps = NonZeroU32::new(config.qps).ok_or_else(|| ConfigError::new("qps", "must be above zero"))?;
        let burst =
            NonZeroU32::new(config.burst).ok_or_else(|| ConfigError::new("burst", "must be above zero"))?;
        Ok(Self {
            base,
            config,
            qps,
            burst,
            metrics: None,
            fence: None,
        })
    }

    /// Counts the requests of all clients that are made from now on.
    #[must_use]
    pub fn metrics(mut self, metrics: &ManagerMetrics) -> Self {
        self.metrics = Some(metrics.clone());
        self
    }

    /// Clients made from now on refuse to write ([`NotLeader`](super::NotLeader)) while the lease of this fence is not
    /// held. So a process that was paused, and does not know yet that another took over, cannot act.
    #[must_use]
    pub fn fenced(mut self, fence: &Fence) -> Self {
        self.fence = Some(fence.clone());
        self
    }

    /// A client of its own for `controller`, with its own rate limit. Must be called inside a tokio runtime.
    ///
    /// # Errors
    /// When the name cannot be part of a user agent.
    pub fn client(&self, controller: &str) -> Result<Client, ConfigError> {
        let user_agent = HeaderValue::from_str(&format!("{}/{controller}", self.config.user_agent))
            .map_err(|_| ConfigError::new("controller", "must be fit for a header"))?;
        Ok(self.with_user_agent(controller, user_agent))
    }

    /// A client with the bare user agent, for what belongs to no controller: leader election, certificates. Counted
    /// under the empty controller.
    ///
    /// # Errors
    /// As [`ClientFactory::new`].
    pub fn base_client(&self) -> Result<Client, ConfigError> {
        let user_agent = HeaderValue::from_str(&self.config.user_agent)
            .map_err(|_| ConfigError::new("userAgent", "must be a header value"))?;
        Ok(self.with_user_agent("", user_agent))
    }

    fn with_user_agent(&self, controller: &str, user_agent: HeaderValue) -> Client {
        let sender = Arc::new(Sender {
            base: self.base.clone(),
            user_agent,
            limiter: Limiter::new(self.qps, self.burst),
            retry: self.config.retry.clone(),
            metrics: self.metrics.as_ref().map(|metrics| metrics.client(controller)),
            fence: self.fence.clone(),
        });
        let valid_until = *self.base.valid_until();
        let service = tower::service_fn(move |request: Request<Body>| Arc::clone(&sender).send(request));
        Client::new(service, self.base.default_namespace()).with_valid_until(valid_until)
    }
}
