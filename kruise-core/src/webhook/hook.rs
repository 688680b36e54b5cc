//! Where a handler is reached, and what is sent to it.

use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;

use tokio::sync::watch;

use super::review::Operation;
use crate::runtime::ConfigError;

/// Answers to `GET` with 200, for self-checks and probes.
pub const HEALTH_PATH: &str = "/healthz";

/// What happens to a request for which there is no verdict: the handler panicked, took too long, could not read the
/// object, or said so ([`Denial::no_verdict`](super::Denial::no_verdict)), or (in the webhook configuration:
/// `failurePolicy`) the server was not reached.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum OnFailure {
    /// It is refused (`Fail`).
    #[default]
    Deny,
    /// It passes, with a warning (`Ignore`).
    Allow,
}

impl OnFailure {
    /// As in a webhook configuration: `Fail` or `Ignore`.
    pub fn policy(self) -> &'static str {
        match self {
            Self::Deny => "Fail",
            Self::Allow => "Ignore",
        }
    }
}

/// Which requests are sent to a handler: all that match one of each list. `*` matches everything.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rule {
    /// API groups; the core group is the empty string.
    pub groups: Vec<String>,
    /// API versions.
    pub versions: Vec<String>,
    /// Resources in plural, with the subresource if there is one: `pods`, `pods/eviction`.
    pub resources: Vec<String>,
    /// What is being done.
    pub operations: Vec<Operation>,
}

impl Rule {
    /// One resource.
    pub fn new(group: &str, version: &str, resource: &str, operations: &[Operation]) -> Self {
        Self {
            groups: vec![group.to_owned()],
            versions: vec![version.to_owned()],
            resources: vec![resource.to_owned()],
            operations: operations.to_vec(),
        }
    }
}

/// Which objects are sent: those with these labels in namespaces with these labels. An empty selector takes all.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Scope {
    /// Labels of the namespace.
    pub namespaces: LabelSelector,
    /// Labels of the object.
    pub objects: LabelSelector,
}

/// Scopes that change while the program runs, as the objects do that they are made from.
///
/// Each becomes an entry of its own in the webhook configuration, with the same path; what is in several scopes is sent
/// several times. Without any, nothing is sent. As long as they are not known (`None`), the configuration is left as it
/// is. It follows as soon as the server's `ConfigurationWriter` has written it.
///
/// Clones share what is known of the writing.
#[derive(Clone, Debug)]
pub struct Scopes {
    now: watch::Receiver<Option<Arc<[Scope]>>>,
    announced: Arc<watch::Sender<Option<Arc<[Scope]>>>>,
}

impl Scopes {
    /// Those that `receiver` shows.
    pub fn new(receiver: watch::Receiver<Option<Arc<[Scope]>>>) -> Self {
        Self {
            now: receiver,
            announced: Arc::new(watch::Sender::new(None)),
        }
    }

    /// As they are now; `None` if that is not known yet.
    pub fn now(&self) -> Option<Arc<[Scope]>> {
        self.now.borrow().clone()
    }

    /// Whether a `ConfigurationWriter` of this process has ever written them.
    pub fn are_announced(&self) -> bool {
        self.announced.borrow().is_some()
    }

    /// Returns when the configuration is as the scopes are. Never, if nobody writes it: wait beside a timeout. Cancel safe.
    pub async fn announced(&self) {
        let (mut now, mut announced) = (self.now.clone(), self.announced.subscribe());
        loop {
            now.mark_unchanged();
            announced.mark_unchanged();
            if *now.borrow() == *announced.borrow() {
                return;
            }
            tokio::select! {
                Ok(()) = now.changed() => {}
                Ok(()) = announced.changed() => {}
                else => std::future::pending().await,
            }
        }
    }

    /// Notes what the configuration has.
    #[cfg(feature = "webhook-server")]
    pub(crate) fn set_announced(&self, scopes: Option<Arc<[Scope]>>) {
        self.announced.send_replace(scopes);
    }

    #[cfg(feature = "webhook-server")]
    pub(crate) fn watch(&self) -> watch::Receiver<Option<Arc<[Scope]>>> {
        self.now.clone()
    }
}

impl PartialEq for Scopes {
    /// Whether both follow the same source.
    fn eq(&self, other: &Self) -> bool {
        self.now.same_channel(&other.now)
    }
}

/// A handler's place: its path, and what the webhook configuration says of it.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Hook {
    /// Path of the URL: `/validate-apps-kruise-io-v1alpha1-imagepulljob`. Unlike all others, and not `/healthz`.
    pub path: String,
    /// Name in the webhook configuration; a domain name of three parts at least: `vimagepulljob.kb.io`.
    pub name: String,
    /// What is sent to it. Empty: the handler is served but not announced.
    pub rules: Vec<Rule>,
    /// What to do without a verdict. Default: deny.
    pub on_failure: OnFailure,
    /// How long the handler may take. Default: 10 s; 1 s to 28 s. The API server is told to wait two seconds longer,
    /// so that the verdict is this side's.
    pub timeout: Duration,
    /// Only objects in namespaces with these labels. Default: all.
    pub namespace_selector: LabelSelector,
    /// Only objects with these labels. Default: all.
    pub object_selector: LabelSelector,
    /// If there are any, they stand in place of the two selectors. Default: none.
    pub scopes: Option<Scopes>,
}

impl Hook {
    /// A hook with the defaults.
    pub fn new(path: impl Into<String>, name: impl Into<String>, rules: Vec<Rule>) -> Self {
        Self {
            path: path.into(),
            name: name.into(),
            rules,
            on_failure: OnFailure::Deny,
            timeout: Duration::from_secs(10),
            namespace_selector: LabelSelector::default(),
            object_selector: LabelSelector::default(),
            scopes: None,
        }
    }

    /// Sets what to do without a verdict.
    #[must_use]
    pub fn on_failure(mut self, on_failure: OnFailure) -> Self {
        self.on_failure = on_failure;
        self
    }

    /// Sets how long the handler may take.
    #[must_use]
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// Sends only objects in namespaces with these labels.
    #[must_use]
    pub fn namespaces(mut self, selector: LabelSelector) -> Self {
        self.namespace_selector = selector;
        self
    }

    /// Sends only objects with these labels.
    #[must_use]
    pub fn objects(mut self, selector: LabelSelector) -> Self {
        self.object_selector = selector;
        self
    }

    /// Sends only what is in one of these scopes, which may change.
    #[must_use]
    pub fn scopes(mut self, scopes: Scopes) -> Self {
        self.scopes = Some(scopes);
        self
    }

    /// What the API server is told to wait, in seconds.
    #[cfg_attr(
        not(feature = "webhook-server"),
        allow(dead_code, reason = "only the server announces")
    )]
    pub(crate) fn timeout_seconds(&self) -> u64 {
        self.timeout.as_millis().div_ceil(1000).min(28) as u64 + 2
    }

    pub(crate) fn validate(&self) -> Result<(), ConfigError> {
        let wrong = |field: &str, problem: &str| {
            let shown = if self.path.is_empty() { "hook" } else { &self.path };
            Err(ConfigError::new(field, problem).inside(shown))
        };
        if !self.path.starts_with('/') || self.path.contains(['?', '#']) || self.path == HEALTH_PATH {
            return wrong(
                "path",
                "must start with a slash, have no query, and not be /healthz",
            );
        }
        if self.name.split('.').filter(|part| !part.is_empty()).count() < 3 {
            return wrong("name", "must be a domain name of at least three parts");
        }
        if self.timeout < Duration::from_secs(1) || self.timeout > Duration::from_secs(28) {
            return wrong("timeout", "must be 1 s to 28 s");
        }
        for rule in &self.rules {
            let lists = [&rule.groups, &rule.versions, &rule.resources];
            if lists.iter().any(|list| list.is_empty()) || rule.operations.is_empty() {
                return wrong(
                    "rules",
                    "must each have groups, versions, resources and operations",
                );
            }
        }
        Ok(())
    }
}

/// Which of the two webhook configurations a hook belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum HookKind {
    /// Changes objects.
    Mutating,
    /// Judges objects.
    Validating,
}
