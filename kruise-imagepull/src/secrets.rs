//! The controller that takes back the copies of pull secrets: when a job has ended or is gone, it no longer counts as a
//! user, and a copy without users is deleted. No finalizers: jobs can be deleted while no manager runs.

use std::collections::HashSet;
use std::fmt;
use std::sync::Arc;

use k8s_openapi::api::core::v1::Secret;
use kruise_core::runtime::{
    Cache, Cached as _, ConfigError, Controller, Delta, ObjectKey, Outcome, Reconciler, RunnerConfig,
    RuntimeMetrics,
};
use kube_client::{Api, Client};
use kube_core::params::{DeleteParams, Patch, PatchParams, Preconditions};
use serde::{Deserialize, Serialize};

use crate::api::{DAEMON_CONFIG_NAMESPACE, ImagePullJob};
use crate::caches::states;
use crate::error::ApiError;
use crate::lookup::JobLookup;
use crate::plan::secrets::{CopyWrite, release, source_of, users_of};

/// Settings of the controller of copies.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase", deny_unknown_fields)]
#[non_exhaustive]
pub struct SecretConfig {
    /// Workers, queue and timeouts. Default: 1 worker.
    pub runner: RunnerConfig,
    /// Namespace of the copies. Default `kruise-daemon-config`.
    pub namespace: String,
    /// The only namespace whose jobs are known; copies for others are left alone. Default: all jobs are known.
    pub job_namespace: Option<String>,
}

impl Default for SecretConfig {
    fn default() -> Self {
        let mut runner = RunnerConfig::default();
        runner.workers = 1;
        Self {
            runner,
            namespace: DAEMON_CONFIG_NAMESPACE.to_owned(),
            job_namespace: None,
        }
    }
}

impl SecretConfig {
    /// Checks the fields.
    ///
    /// # Errors
    /// Names the field that can not be used.
    pub fn validate(&self) -> Result<(), ConfigError> {
        self.runner.validate().map_err(|error| error.inside("runner"))?;
        if self.namespace.is_empty() {
            return Err(ConfigError::new("namespace", "must not be empty"));
        }
        Ok(())
    }
}

/// What the controller of copies needs from its host.
#[derive(Clone)]
pub struct SecretDependencies {
    /// Client for the writes, with the user agent and limits of this controller.
    pub client: Client,
    /// The Secrets in the namespace of the copies, see [`secret_copy_cache`](crate::caches::secret_copy_cache).
    pub copies: Cache<Secret>,
    /// All jobs.
    pub jobs: Cache<ImagePullJob>,
    /// Metrics of queue and reconciles, if they are wanted.
    pub metrics: Option<RuntimeMetrics>,
}

impl fmt::Debug for SecretDependencies {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SecretDependencies").finish_non_exhaustive()
    }
}

/// Returns the controller of copies. It does nothing before it runs, and needs the two caches to be driven.
///
/// # Errors
/// The configuration names a value that can not be used.
pub fn secret_controller(
    dependencies: SecretDependencies,
    config: SecretConfig,
) -> Result<Controller<SecretReconciler>, ConfigError> {
    config.validate()?;
    let SecretDependencies { copies, jobs, .. } = dependencies.clone();
    let by_user = copies.index(users_of);
    let used = copies.clone();
    let runner = config.runner.clone();
    let metrics = dependencies.metrics.clone();
    let reconciler = SecretReconciler {
        lookup: JobLookup::new(dependencies.client.clone(), jobs.clone()),
        dependencies,
        config,
    };
    let mut builder = Controller::builder("imagepull-secret-controller", copies, reconciler)
        .config(runner)
        .watches(&jobs, move |delta: &Delta<ImagePullJob>, enqueue| {
            let (old, new) = states(delta);
            let needs = |job: Option<&ImagePullJob>| {
                job.filter(|job| runs(job))
                    .map(|job| job.spec.pull_secrets.clone())
            };
            if needs(old) != needs(new) {
                for copy in used.by_index(&by_user, &delta.key()) {
                    enqueue(copy.key());
                }
            }
        });
    if let Some(metrics) = &metrics {
        builder = builder.metrics(metrics);
    }
    Ok(builder.build())
}

/// Reconciles copies of pull secrets; made by [`secret_controller`].
#[derive(Debug)]
pub struct SecretReconciler {
    dependencies: SecretDependencies,
    config: SecretConfig,
    lookup: JobLookup,
}

impl Reconciler for SecretReconciler {
    type Object = Secret;
    type Error = ApiError;

    async fn reconcile(&self, key: ObjectKey, copy: Option<Arc<Secret>>) -> Result<Outcome, ApiError> {
        let Some(copy) = copy else {
            return Ok(Outcome::Done);
        };
        let mut write = release(&copy, |user, source| self.needs(user, source));
        if write.is_some() {
            let needed = self.needed(&copy).await?;
            write = release(&copy, |user, _| needed.contains(user));
        }
        let api: Api<Secret> = Api::namespaced(self.dependencies.client.clone(), key.namespace_str());
        match write {
            Some(CopyWrite::Patch { name, patch }) => {
                api.patch(&name, &PatchParams::default(), &Patch::Merge(patch))
                    .await
                    .map_err(|source| ApiError::new("releasing the copy of a pull secret", source))?;
            }
            Some(CopyWrite::Delete {
                name,
                uid,
                resource_version,
            }) => {
                delete_copy(&api, &name, &uid, &resource_version).await?;
                tracing::info!(copy = %key, "deleted the copy of a pull secret: no job uses it");
            }
            Some(CopyWrite::Create(_)) | None => {}
        }
        Ok(Outcome::Done)
    }
}

impl SecretReconciler {
    fn needs(&self, user: &ObjectKey, source: &ObjectKey) -> bool {
        let unknown = self.config.job_namespace.as_deref();
        if unknown.is_some_and(|known| known != user.namespace_str()) {
            return true;
        }
        self.dependencies
            .jobs
            .get(user)
            .is_some_and(|job| uses(&job, user, source))
    }

    /// Returns the users that need a copy, where the cache of jobs does not say so from the server: the cache may lag
    /// behind, and nodes can not pull without the copy.
    async fn needed(&self, copy: &Secret) -> Result<HashSet<ObjectKey>, ApiError> {
        let mut needed = HashSet::new();
        let Some(source) = source_of(copy) else {
            return Ok(needed);
        };
        for user in users_of(copy) {
            if self.needs(&user, &source)
                || self
                    .lookup
                    .ask(&user)
                    .await?
                    .is_some_and(|job| uses(&job, &user, &source))
            {
                needed.insert(user);
            }
        }
        Ok(needed)
    }
}

/// Returns whether the job of this key still needs a copy of this secret.
fn uses(job: &ImagePullJob, key: &ObjectKey, source: &ObjectKey) -> bool {
    let names = &job.spec.pull_secrets;
    key.namespace == source.namespace && runs(job) && names.iter().any(|name| **name == *source.name)
}

/// Returns whether nodes may still be told to pull for this job.
fn runs(job: &ImagePullJob) -> bool {
    let ended = job
        .status
        .as_ref()
        .is_some_and(|status| status.completion_time.is_some());
    !ended && job.metadata.deletion_timestamp.is_none()
}

/// Deletes a copy that has not changed since it was seen. One that is gone already is fine.
pub(crate) async fn delete_copy(
    api: &Api<Secret>,
    name: &str,
    uid: &Option<String>,
    resource_version: &Option<String>,
) -> Result<(), ApiError> {
    let params = DeleteParams {
        preconditions: Some(Preconditions {
            uid: uid.clone(),
            resource_version: resource_version.clone(),
        }),
        ..DeleteParams::background()
    };
    match api
        .delete(name, &params)
        .await
        .map_err(|source| ApiError::new("deleting the copy of a pull secret", source))
    {
        Ok(_) | Err(ApiError::Gone { .. }) => Ok(()),
        Err(error) => Err(error),
    }
}
