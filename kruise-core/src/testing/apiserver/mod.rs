//! An API server in memory, reached through a `kube_client::Client` without sockets.
//!
//! It serves the built-in kinds that workload controllers touch (pods, nodes, namespaces, secrets, config maps, services,
//! service accounts, events of both groups, the kinds of `apps/v1`, leases, webhook configurations,
//! CustomResourceDefinitions) and every kind that a definition adds. `default` is the one namespace at the start.
//!
//! ```
//! use kruise_core::testing::apiserver::{ApiServer, Scope};
//! use kube_client::api::{Api, DynamicObject, PostParams};
//! use kube_core::{ApiResource, GroupVersionKind};
//!
//! # #[tokio::main(flavor = "current_thread", start_paused = true)]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let server = ApiServer::default();
//! server.serve_kind("example.io", "v1", "Widget", "widgets", Scope::Namespaced);
//! let kind = ApiResource::from_gvk_with_plural(&GroupVersionKind::gvk("example.io", "v1", "Widget"), "widgets");
//! let widgets: Api<DynamicObject> = Api::default_namespaced_with(server.client(), &kind);
//! let made = widgets.create(&PostParams::default(), &DynamicObject::new("a", &kind)).await?;
//! assert!(made.metadata.uid.is_some());
//! # Ok(())
//! # }
//! ```
//!
//! # How true it is
//! The cases of `tests/support/conformance` pass here and on a real server (Kubernetes 1.20.2). What is known to differ,
//! and why:
//!
//! | here | real server | why |
//! | --- | --- | --- |
//! | owners' dependents and contents of deleted namespaces go with the write that dooms them; off: [`ServerConfig::collect_garbage`] | soon after, by the controller manager | one clear moment in tests; a test may choose it |
//! | kinds of definitions are served as soon as they are created, and gone with them | some milliseconds later | the same |
//! | patterns, formats and CEL rules of schemas are not checked; conversion only changes `apiVersion` | checked; by webhook | test them where they are made |
//! | of built-in kinds are validated: names, labels, owners, containers, selectors, what may change of a pod; defaulted: pods, templates, replicas, the type of secrets | all fields | what controllers run into |
//! | unknown fields of built-in kinds are dropped by the types of `k8s-openapi` | by the server's own types | the same with near versions |
//! | managedFields name the subresource (since 1.22), streaming lists are served (1.32), namespaces are labelled with their name (1.21), applying to what is not there with a resourceVersion conflicts | 1.20 does none of these | newer servers are what users have |
//! | managedFields have a `.` for elements of lists only | for maps and elements | it decides nothing |
//! | elements that are applied anew come after those that are there | may be sorted in between | order of keyed lists means nothing |
//! | a page is known to be the last also with selectors | may be followed by an empty one | |
//! | each wrong field is told once | sometimes twice | |
//! | `$patch: replace` for a map that is missing sets it | stores the directive, and then refuses it | a bug that nobody wants |
//! | kinds without generation drop one that is sent | keep it | the same |
//! | no authentication, authorization, quotas, priority levels; webhooks by [`ApiServer::webhooks`] only | | not what controllers are tested for |
//! | no apply to `scale`, no tables, no protobuf (501, 406) | all three | kube-rs asks for none of them |

mod admission;
mod config;
mod defaults;
mod delete;
mod discovery;
mod gc;
pub(crate) mod json;
mod kinds;
mod list;
mod meta;
mod patch;
mod route;
mod rules;
mod scale;
mod schema;
mod select;
mod server;
mod status;
mod store;
mod validate;
mod view;
mod watch;
mod write;

use std::convert::Infallible;
use std::fmt;
use std::sync::Arc;
use std::task::{Context, Poll};

use futures::FutureExt;
use futures::future::BoxFuture;
use http::{Request, Response};
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube_client::Client;
use kube_client::client::Body;
use kube_core::Resource;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

pub use admission::{Operation, Review};
pub use config::ServerConfig;
pub use server::Logged;
pub use status::{ApiError, Cause, Subject};

pub(crate) use delete::delete_pod;
pub(crate) use patch::merge_strategically;
use server::Inner;
pub(crate) use server::{AnswerBody, Twist, error_response};
pub(crate) use store::Key;
pub(crate) use write::{Change, Write};

use crate::runtime::Clock;
use crate::testing::clock::FakeClock;
use crate::webhook::Router;

/// Whether objects of a kind live in namespaces.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// They do.
    Namespaced,
    /// They do not.
    Cluster,
}

/// The server: a tower service over HTTP requests. Clones share everything.
#[derive(Clone)]
pub struct ApiServer(pub(crate) Arc<Inner>);

impl fmt::Debug for ApiServer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ApiServer")
            .field("config", &self.0.config)
            .field("revision", &self.revision())
            .finish_non_exhaustive()
    }
}

impl Default for ApiServer {
    /// A server with the default settings and a [`FakeClock`] that nobody moves.
    fn default() -> Self {
        Self::new(ServerConfig::default(), Arc::new(FakeClock::default()))
    }
}

impl ApiServer {
    /// A server that holds nothing but the namespace `default`. `clock` is for timestamps in objects.
    pub fn new(config: ServerConfig, clock: Arc<dyn Clock>) -> Self {
        let server = Self(Arc::new(Inner::new(config, clock)));
        server.seed_namespace("default");
        server
    }

    fn seed_namespace(&self, name: &str) {
        let namespace = json!({ "metadata": { "name": name } });
        self.seed("", "namespaces", namespace);
    }

    /// Puts an object into the store, past admission and validation, as a restore from a backup would: kind and
    /// apiVersion, uid and creationTimestamp are filled in where they are missing, the status is kept, an object of the
    /// same name is replaced. False if the kind is not served.
    pub fn seed_value(&self, object: Value) -> bool {
        let api_version = object["apiVersion"].as_str().unwrap_or_default();
        let group = api_version
            .split_once('/')
            .map_or("", |(group, _)| group)
            .to_owned();
        let kind = object["kind"].as_str().unwrap_or_default().to_owned();
        let plural = {
            let state = self.0.state.lock();
            state.kinds.by_kind(&group, &kind).map(|kind| kind.plural.clone())
        };
        plural.is_some_and(|plural| self.seed(&group, &plural, object))
    }

    fn seed(&self, group: &str, plural: &str, mut object: Value) -> bool {
        let now = json::time(self.0.clock.now());
        let mut state = self.0.state.lock();
        let Some(kind) = state.kinds.get(group, plural).cloned() else {
            return false;
        };
        let status = object.get("status").cloned();
        let given = object["metadata"].clone();
        meta::begin(&mut state.random, &mut object, &now);
        let version = kind.versions.first().map_or("v1", |version| &*version.name);
        defaults::reset_status(&kind, version, &mut object);
        defaults::set(&kind, &mut object);
        if let Some(status) = status {
            object["status"] = status;
        }
        for key in [
            "uid",
            "creationTimestamp",
            "deletionTimestamp",
            "deletionGracePeriodSeconds",
        ] {
            if !given[key].is_null() {
                object["metadata"][key] = given[key].clone();
            }
        }
        if let Some(generation) = meta::generation(&kind, version, None, &object) {
            object["metadata"]["generation"] = json!(generation);
        }
        object["kind"] = json!(kind.kind);
        let key = Key::new(
            json::text(&object, &["metadata", "namespace"]),
            json::text(&object, &["metadata", "name"]),
        );
        self.0.commit(&mut state, &kind, key, kind.stored(object));
        let revision = state.store.revision();
        drop(state);
        self.0.announce(revision);
        true
    }

    /// Like [`ApiServer::seed_value`]. False if the kind is not served or the object cannot be written as JSON.
    pub fn seed_object<K: Resource<DynamicType = ()> + Serialize>(&self, object: &K) -> bool {
        let Ok(mut value) = serde_json::to_value(object) else {
            return false;
        };
        value["apiVersion"] = json!(K::api_version(&()));
        value["kind"] = json!(K::kind(&()));
        self.seed_value(value)
    }

    /// A client, for objects of namespace `default` where none is named. Each call gives one with a buffer of its own.
    ///
    /// Must be called inside a tokio runtime.
    pub fn client(&self) -> Client {
        Client::new(self.clone(), "default")
    }

    /// Serves the kind that a definition describes, as creating the definition does. False if it is not acceptable.
    pub fn serve_definition(&self, definition: &CustomResourceDefinition) -> bool {
        let Ok(mut value) = serde_json::to_value(definition) else {
            return false;
        };
        let now = json::time(self.0.clock.now());
        let accepted = defaults::accept_definition(&self.0.state.lock().kinds, &mut value, &now);
        accepted.is_ok() && self.seed("apiextensions.k8s.io", "customresourcedefinitions", value)
    }

    /// Serves a kind whose objects may hold anything, with `status` and without `scale`. For more, see
    /// [`ApiServer::serve_definition`]. False if the names make no acceptable definition.
    pub fn serve_kind(&self, group: &str, version: &str, kind: &str, plural: &str, scope: Scope) -> bool {
        let definition = json!({
            "metadata": { "name": format!("{plural}.{group}") },
            "spec": {
                "group": group,
                "scope": match scope { Scope::Namespaced => "Namespaced", Scope::Cluster => "Cluster" },
                "names": { "kind": kind, "plural": plural },
                "versions": [{
                    "name": version, "served": true, "storage": true,
                    "schema": { "openAPIV3Schema": { "type": "object", "x-kubernetes-preserve-unknown-fields": true } },
                    "subresources": { "status": {} },
                }],
            },
        });
        let mut definition = definition;
        let now = json::time(self.0.clock.now());
        let accepted = defaults::accept_definition(&self.0.state.lock().kinds, &mut definition, &now);
        accepted.is_ok() && self.seed("apiextensions.k8s.io", "customresourcedefinitions", definition)
    }

    /// Calls `hook` for each creation, update and deletion before it is stored; it may change the object or refuse.
    /// Hooks are called in the order in which they were added, and more than once if others write between. It must not
    /// call the server.
    pub fn mutate(&self, hook: impl Fn(&mut Review) -> Result<(), ApiError> + Send + Sync + 'static) {
        self.0.hooks.write().push(admission::Hook::Mutate(Arc::new(hook)));
    }

    /// Calls `hook` after all that mutate; it may refuse. Otherwise as [`ApiServer::mutate`].
    pub fn validate(&self, hook: impl Fn(&Review) -> Result<(), ApiError> + Send + Sync + 'static) {
        self.0
            .hooks
            .write()
            .push(admission::Hook::Validate(Arc::new(hook)));
    }

    /// Asks the hooks of a router whose rules and selectors match, as a real server asks the webhooks of a
    /// configuration: all that mutate in order, each once, then all that validate.
    pub fn webhooks(&self, router: Router) {
        self.0.hooks.write().push(admission::Hook::Router(router));
    }

    /// Calls `observer` after each write, in the writer's task, while no lock is held.
    pub fn observe(&self, observer: impl Fn() + Send + Sync + 'static) {
        self.0.observers.write().push(Arc::new(observer));
    }

    /// Drops all observers, and what they hold.
    pub fn forget_observers(&self) {
        self.0.observers.write().clear();
    }

    /// The requests that were answered, oldest first, up to [`ServerConfig::log`].
    pub fn requests(&self) -> Vec<Logged> {
        self.0.state.lock().log.iter().cloned().collect()
    }

    /// Forgets the requests so far.
    pub fn clear_requests(&self) {
        self.0.state.lock().log.clear();
    }

    /// Number of the last write; every object's resourceVersion is one of these.
    pub fn revision(&self) -> u64 {
        self.0.state.lock().store.revision()
    }

    /// Forgets all older states, as etcd does every five minutes: watches that are behind get 410, and so do lists that
    /// go on.
    pub fn compact(&self) {
        self.0.state.lock().store.compact();
    }

    /// Does what the garbage collector and the namespace controller have to do now. Needed only without
    /// [`ServerConfig::collect_garbage`].
    pub fn collect_garbage(&self) {
        let mut state = self.0.state.lock();
        gc::collect(&mut state, self.0.clock.now());
        let revision = state.store.revision();
        drop(state);
        self.0.announce(revision);
    }

    /// The object as it is stored now, read past client and faults. `None` if it is not there, is of a kind that is not
    /// served, or cannot be decoded. `namespace` is empty for cluster-scoped kinds.
    pub fn get<K>(&self, namespace: &str, name: &str) -> Option<K>
    where
        K: Resource<DynamicType = ()> + DeserializeOwned,
    {
        let state = self.0.state.lock();
        let kind = state.kinds.get(&K::group(&()), &K::plural(&()))?;
        let object = state.store.get(&kind.resource, &Key::new(namespace, name))?;
        kind.decode(object, &K::version(&()))
    }

    /// An object as it is stored.
    pub(crate) fn value(&self, resource: &str, key: &Key) -> Option<Arc<Value>> {
        self.0.state.lock().store.get(resource, key).cloned()
    }

    /// All objects of a resource as they are stored.
    pub(crate) fn values(&self, resource: &str) -> Vec<Arc<Value>> {
        let state = self.0.state.lock();
        state
            .store
            .list(resource)
            .map(|(_, object)| object.clone())
            .collect()
    }

    /// All objects of a kind as they are stored now, in order of namespace and name, read past client and faults.
    /// Those that cannot be decoded are left out.
    pub fn list<K>(&self) -> Vec<K>
    where
        K: Resource<DynamicType = ()> + DeserializeOwned,
    {
        let state = self.0.state.lock();
        let Some(kind) = state.kinds.get(&K::group(&()), &K::plural(&())) else {
            return Vec::new();
        };
        let version = K::version(&());
        let objects = state.store.list(&kind.resource);
        objects
            .filter_map(|(_, object)| kind.decode(object, &version))
            .collect()
    }
}

impl ApiServer {
    /// Namespace, name and resourceVersion of all objects of a kind, in order, without decoding any: to see cheaply whether
    /// something has changed.
    pub fn versions<K: Resource<DynamicType = ()>>(&self) -> Vec<(String, String, String)> {
        let state = self.0.state.lock();
        let Some(kind) = state.kinds.get(&K::group(&()), &K::plural(&())) else {
            return Vec::new();
        };
        let objects = state.store.list(&kind.resource);
        objects
            .map(|(key, object)| {
                let version = json::text(object, &["metadata", "resourceVersion"]).to_owned();
                (key.namespace.clone(), key.name.clone(), version)
            })
            .collect()
    }
}

impl tower::Service<Request<Body>> for ApiServer {
    type Response = Response<AnswerBody>;
    type Error = Infallible;
    type Future = BoxFuture<'static, Result<Self::Response, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        self.0.clone().serve(request, Twist::default()).map(Ok).boxed()
    }
}
