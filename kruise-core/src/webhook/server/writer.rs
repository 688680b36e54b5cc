//! Keeps the webhook configurations of the cluster as the router has them.

use std::fmt::Debug;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use futures::future::BoxFuture;
use futures::stream::FuturesUnordered;
use futures::{FutureExt, StreamExt};
use k8s_openapi::api::admissionregistration::v1::{
    MutatingWebhookConfiguration, ValidatingWebhookConfiguration,
};
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube_client::api::{Patch, PatchParams, PostParams};
use kube_client::{Api, Client};
use kube_core::Resource;
use parking_lot::Mutex;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use tokio::sync::watch;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::announce;
use super::certificates::Certificates;
use super::check::self_check;
use super::config::WriterConfig;
use super::definitions;
use super::error::WriteError;
use super::others::Others;
use crate::runtime::{ConfigError, RunError, Runnable};
use crate::webhook::metrics::{Name, WebhookMetrics};
use crate::webhook::{Hook, HookKind, Router, Scope};

/// Tells whether the server answers and the cluster knows of it. Clones see the same.
#[derive(Clone, Debug)]
pub struct WebhookReady(watch::Receiver<bool>);

impl WebhookReady {
    /// Whether the configurations were brought up to date once, and the last self-check was answered.
    pub fn is_ready(&self) -> bool {
        *self.0.borrow()
    }

    /// Waits until it is so. Never returns if the writer is dropped before.
    pub async fn wait(&mut self) {
        if self.0.wait_for(|ready| *ready).await.is_err() {
            std::future::pending().await
        }
    }
}

/// Writes the two webhook configurations from the hooks of a router, and `spec.conversion` of the definitions that it has
/// converters for (with the versions that are served only then), each with the authority of the certificates.
///
/// Nothing is written before the server has answered a self-check under that authority, and nothing is written if the
/// configuration is as it should be. Converters do not wait for scopes: those may be made of objects that need converting.
/// Only the list of webhooks is touched. A configuration for which the router has no hooks is left alone. Scopes that
/// another replica has announced stay for 30 s even if this one does not know what for.
///
/// Needs the rights `create` on both kinds, `get` and `patch` on the two names and on the names of the definitions. Every
/// replica may run one. When the program is removed for good, [`withdraw_converter`](super::withdraw_converter) takes a
/// converter out again.
#[derive(Debug)]
pub struct ConfigurationWriter {
    mutating: Api<MutatingWebhookConfiguration>,
    validating: Api<ValidatingWebhookConfiguration>,
    definitions: Api<CustomResourceDefinition>,
    router: Router,
    certificates: Certificates,
    server: SocketAddr,
    config: WriterConfig,
    metrics: WebhookMetrics,
    ready: watch::Sender<bool>,
    others: Mutex<Others>,
}

/// How often a configuration is tried at once while other replicas write it too.
const ATTEMPTS: u32 = 5;

impl ConfigurationWriter {
    /// For the server that listens at `server` ([`Server::local_addr`](super::Server::local_addr)). Fails if a setting
    /// cannot be used.
    pub fn new(
        client: Client,
        router: &Router,
        certificates: &Certificates,
        server: SocketAddr,
        config: WriterConfig,
    ) -> Result<Self, ConfigError> {
        config.validate()?;
        Ok(Self {
            mutating: Api::all(client.clone()),
            validating: Api::all(client.clone()),
            definitions: Api::all(client),
            metrics: router.metrics().clone(),
            router: router.clone(),
            certificates: certificates.clone(),
            server,
            config,
            ready: watch::Sender::new(false),
            others: Mutex::default(),
        })
    }

    /// For readiness probes.
    pub fn ready(&self) -> WebhookReady {
        WebhookReady(self.ready.subscribe())
    }

    /// One round: self-check, then the converters, then the two configurations. Done by the run loop.
    ///
    /// Cancellation safe.
    pub async fn write(&self) -> Result<(), WriteError> {
        let result = self.round().await;
        match &result {
            Ok(()) => drop(self.ready.send_replace(true)),
            // The server is well; what the API server refuses now does not make the webhooks unreachable.
            Err(WriteError::Api { .. } | WriteError::NoScopes { .. }) => {}
            Err(_) => drop(self.ready.send_replace(false)),
        }
        result
    }

    async fn round(&self) -> Result<(), WriteError> {
        let authority = self.certificates.authority().ok_or(WriteError::NoAuthority)?;
        let config = &self.config;
        let provider = self.certificates.provider();
        for target in config.targets() {
            let host = target.host();
            self_check(self.server, &host, &authority, provider, config.check_timeout).await?;
        }
        // First of all: scopes may be made of objects that the API server cannot read before it knows the converter.
        let converted = self.bring_conversions(&authority).await;
        for (_, hook) in self.router.hooks() {
            if hook.scopes.as_ref().is_some_and(|scopes| scopes.now().is_none()) {
                let hook = hook.name.clone();
                return Err(WriteError::NoScopes { hook });
            }
        }
        // Before they are read for the configuration, which so is never older.
        let scopes: Vec<_> = (self.router.hooks())
            .filter_map(|(_, hook)| hook.scopes.as_ref())
            .map(|scopes| (scopes, scopes.now()))
            .collect();
        let has = |kind| {
            let announced = |(of, hook): (HookKind, &Hook)| of == kind && !hook.rules.is_empty();
            self.router.hooks().any(announced)
        };
        if has(HookKind::Mutating) {
            let entries = |found: &[Value]| self.entries(HookKind::Mutating, &authority, found);
            self.bring(&self.mutating, &config.mutating_name, entries).await?;
        }
        if has(HookKind::Validating) {
            let entries = |found: &[Value]| self.entries(HookKind::Validating, &authority, found);
            self.bring(&self.validating, &config.validating_name, entries)
                .await?;
        }
        for (scopes, announced) in scopes {
            scopes.set_announced(announced);
        }
        converted
    }

    async fn bring_conversions(&self, authority: &str) -> Result<(), WriteError> {
        let target = self.config.converter();
        for conversion in self.router.conversions() {
            if definitions::enter(&self.definitions, conversion, target, authority).await? {
                self.written(&conversion.definition)?;
            }
        }
        Ok(())
    }

    /// The list that a configuration should have, where `found` is there.
    fn entries(&self, kind: HookKind, authority: &str, found: &[Value]) -> Vec<Value> {
        let now = Instant::now();
        announce::webhooks(
            &self.router,
            kind,
            &self.config.target,
            authority,
            |hook, scopes| {
                let (wanted, found) = (scopes.now(), announce::scopes_of(hook, found));
                let wanted = wanted.as_deref().unwrap_or_default();
                self.others.lock().merge(&hook.name, wanted, found, now)
            },
        )
    }

    async fn bring<K>(
        &self,
        api: &Api<K>,
        name: &str,
        entries: impl Fn(&[Value]) -> Vec<Value>,
    ) -> Result<(), WriteError>
    where
        K: Resource<DynamicType = ()> + Serialize + DeserializeOwned + Clone + Debug,
    {
        let mut left = ATTEMPTS;
        loop {
            left -= 1;
            match self.try_bring(api, name, &entries).await {
                // Another replica was faster: what it wrote is looked at.
                Err(error) if left > 0 && error.code() == Some(409) => {}
                Ok(true) => return self.written(name),
                done => return done.map(drop),
            }
        }
    }

    /// Whether anything had to be written.
    async fn try_bring<K>(
        &self,
        api: &Api<K>,
        name: &str,
        entries: &impl Fn(&[Value]) -> Vec<Value>,
    ) -> Result<bool, WriteError>
    where
        K: Resource<DynamicType = ()> + Serialize + DeserializeOwned + Clone + Debug,
    {
        let encode = |source| WriteError::Encode {
            name: name.to_owned(),
            source,
        };
        let failed = |verb| {
            move |source| WriteError::Api {
                name: name.to_owned(),
                verb,
                source,
            }
        };
        let typed = |webhooks: Vec<Value>| {
            serde_json::from_value::<K>(json!({
                "apiVersion": K::api_version(&()),
                "kind": K::kind(&()),
                "metadata": { "name": name },
                "webhooks": webhooks,
            }))
        };
        let Some(actual) = api.get_opt(name).await.map_err(failed("read"))? else {
            let object = typed(entries(&[])).map_err(encode)?;
            api.create(&PostParams::default(), &object)
                .await
                .map_err(failed("created"))?;
            return Ok(true);
        };
        // Both go through the same type, so that order and omitted fields are no difference. An empty list is not stored.
        let webhooks = |object: &K| {
            let mut object = serde_json::to_value(object)?;
            Ok(object["webhooks"]
                .as_array_mut()
                .map(std::mem::take)
                .unwrap_or_default())
        };
        let found: Vec<Value> = webhooks(&actual).map_err(encode)?;
        let wanted = typed(entries(&found)).and_then(|object| webhooks(&object));
        let wanted = wanted.map_err(encode)?;
        if wanted == found {
            return Ok(false);
        }
        // With the version: what somebody else wrote in between is looked at first.
        let patch = json!({
            "metadata": { "resourceVersion": actual.meta().resource_version },
            "webhooks": wanted,
        });
        let params = PatchParams::default();
        api.patch(name, &params, &Patch::Merge(patch))
            .await
            .map_err(failed("patched"))?;
        Ok(true)
    }

    fn written(&self, name: &str) -> Result<(), WriteError> {
        tracing::info!(name, "webhooks entered");
        self.metrics
            .writes
            .get_or_create(&Name {
                name: name.to_owned(),
            })
            .inc();
        Ok(())
    }

    /// Until what only others know may go, at most the interval.
    fn until_next_look(&self) -> Duration {
        let now = Instant::now();
        let end = self.others.lock().next_end(now);
        end.map_or(self.config.interval, |end| (end - now).min(self.config.interval))
    }

    async fn run_until(self, cancel: CancellationToken) {
        let mut authority = self.certificates.watch_authority();
        let hooks = self.router.hooks();
        let mut scopes: Vec<_> = hooks
            .filter_map(|(_, hook)| Some(hook.scopes.as_ref()?.watch()))
            .collect();
        let mut failures = 0u32;
        loop {
            authority.mark_unchanged();
            scopes.iter_mut().for_each(|scopes| scopes.mark_unchanged());
            let wait = match cancel.run_until_cancelled(self.write()).await {
                None => return,
                Some(Ok(())) => {
                    failures = 0;
                    self.until_next_look()
                }
                // At the start the certificate is still on its way, and so may be what scopes are made from.
                Some(Err(WriteError::NoAuthority | WriteError::NoScopes { .. })) if failures == 0 => {
                    failures = 1;
                    super::back_off(failures, self.config.interval)
                }
                Some(Err(error)) => {
                    failures += 1;
                    tracing::warn!(error = %crate::runtime::Causes(&error), "webhook configurations not brought up to date");
                    super::back_off(failures, self.config.interval)
                }
            };
            // Earlier if the authority changes. The sender lives as long as the certificates held here.
            let changed = async {
                tokio::select! {
                    _ = authority.changed() => {}
                    () = any_changes(&mut scopes) => {}
                }
            };
            let next = tokio::time::timeout(wait, changed);
            if cancel.run_until_cancelled(next).await.is_none() {
                return;
            }
        }
    }
}

/// Returns when one of them changes; never for those whose source is gone.
async fn any_changes(scopes: &mut [watch::Receiver<Option<Arc<[Scope]>>>]) {
    let mut changes: FuturesUnordered<_> = scopes.iter_mut().map(|scopes| scopes.changed()).collect();
    while let Some(change) = changes.next().await {
        if change.is_ok() {
            return;
        }
    }
    std::future::pending().await
}

impl Runnable for ConfigurationWriter {
    fn name(&self) -> &str {
        "webhook configurations"
    }

    fn run(self: Box<Self>, cancel: CancellationToken) -> BoxFuture<'static, Result<(), RunError>> {
        self.run_until(cancel).map(Ok).boxed()
    }
}
