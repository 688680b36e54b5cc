//! Makes the pull secrets of jobs readable for nodes: looks up the sources, keeps the copies up to date.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::api::core::v1::Secret;
use kruise_core::runtime::{Cache, Cached as _, Expectations, Index, ObjectKey};
use kube_client::{Api, Client};
use kube_core::params::{Patch, PatchParams, PostParams};
use parking_lot::Mutex;
use tokio::time::Instant;

use crate::api::{ImagePullJob, SecretReference};
use crate::error::ApiError;
use crate::plan::job::JobContext;
use crate::plan::secrets::{Claim, CopyWrite, claim, source_of};
use crate::secrets::delete_copy;

/// Copies by the Secret they were made of.
type BySource = Index<Secret, ObjectKey>;

/// Claims copies for jobs. Whoever releases them is [`secrets`](crate::secrets).
#[derive(Debug)]
pub(super) struct Copier {
    client: ClientBox,
    copies: Cache<Secret>,
    by_source: BySource,
    namespace: String,
    /// Sources as they were read last, so that a job of many nodes does not read them at each step of each node.
    sources: Mutex<HashMap<ObjectKey, Read>>,
    max_age: Duration,
}

/// When a source was read, and what was found.
type Read = (Instant, Option<Arc<Secret>>);

struct ClientBox(Client);

impl std::fmt::Debug for ClientBox {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Client")
    }
}

impl Copier {
    pub(super) fn new(client: Client, copies: Cache<Secret>, namespace: String, max_age: Duration) -> Self {
        let by_source = copies.index(|copy: &Secret| source_of(copy));
        Self {
            client: ClientBox(client),
            copies,
            by_source,
            namespace,
            sources: Mutex::default(),
            max_age,
        }
    }

    /// Puts into `context` how nodes get at the pull secrets of `job`, after writing what has to be written for that.
    ///
    /// # Errors
    /// The server can not be asked now. What trying again soon does not mend goes into the context instead.
    pub(super) async fn prepare(
        &self,
        job: &ImagePullJob,
        expectations: &Expectations,
        context: &mut JobContext,
    ) -> Result<(), ApiError> {
        let user = job.key();
        for name in &job.spec.pull_secrets {
            if user.namespace_str() == self.namespace {
                context.secrets.push(SecretReference {
                    namespace: self.namespace.clone(),
                    name: name.clone(),
                });
                continue;
            }
            let source = match self
                .source(ObjectKey::new(user.namespace_str(), name.as_str()))
                .await
            {
                Ok(Some(source)) => source,
                Ok(None) => {
                    context
                        .troubles
                        .push(format!("pull secret {name} does not exist"));
                    continue;
                }
                Err(ApiError::Refused { .. }) => {
                    context
                        .troubles
                        .push(format!("pull secret {name} can not be read"));
                    context.blocked = true;
                    continue;
                }
                Err(error) => return Err(error),
            };
            let copies = self.copies.by_index(&self.by_source, &source.key());
            match claim(&user, &source, copies.iter().map(AsRef::as_ref), &self.namespace) {
                Claim::NotAPullSecret => {
                    context
                        .troubles
                        .push(format!("secret {name} holds no registry credentials"));
                }
                Claim::Replace(write) => {
                    self.write(&write, job.uid(), expectations).await?;
                    context.blocked = true;
                }
                Claim::Copy { reference, write } => {
                    let done = match &write {
                        Some(write) => self.write(write, job.uid(), expectations).await,
                        None => Ok(()),
                    };
                    match done {
                        Ok(()) => context.secrets.push(reference),
                        Err(error) => {
                            context.troubles.push(self.trouble(name, error)?);
                            context.blocked = true;
                        }
                    }
                }
            }
        }
        Ok(())
    }

    /// Returns what to tell about a copy that can not be written, or the error if it may pass.
    fn trouble(&self, name: &str, error: ApiError) -> Result<String, ApiError> {
        let namespace = &self.namespace;
        match error {
            ApiError::Gone { .. } => Ok(format!(
                "pull secret {name} is not copied: is there a namespace {namespace}?"
            )),
            ApiError::Refused { .. } => Ok(format!(
                "pull secret {name} is not copied: the server refuses it in namespace {namespace}"
            )),
            error => Err(error),
        }
    }

    async fn write(
        &self,
        write: &CopyWrite,
        job_uid: &str,
        expectations: &Expectations,
    ) -> Result<(), ApiError> {
        let api: Api<Secret> = Api::namespaced(self.client.0.clone(), &self.namespace);
        let written = match write {
            CopyWrite::Create(copy) => api
                .create(&PostParams::default(), copy)
                .await
                .map_err(|source| ApiError::new("copying a pull secret", source))?,
            CopyWrite::Patch { name, patch } => api
                .patch(name, &PatchParams::default(), &Patch::Merge(patch))
                .await
                .map_err(|source| ApiError::new("changing the copy of a pull secret", source))?,
            CopyWrite::Delete {
                name,
                uid,
                resource_version,
            } => {
                if let Some(uid) = uid {
                    expectations.expect_deletion(job_uid, uid);
                }
                return delete_copy(&api, name, uid, resource_version).await;
            }
        };
        // The next plan of this job is made with a cache that knows of it.
        expectations.expect_update(job_uid, written.uid(), written.resource_version());
        Ok(())
    }

    async fn source(&self, key: ObjectKey) -> Result<Option<Arc<Secret>>, ApiError> {
        if let Some((at, source)) = self.sources.lock().get(&key)
            && at.elapsed() < self.max_age
        {
            return Ok(source.clone());
        }
        let api: Api<Secret> = Api::namespaced(self.client.0.clone(), key.namespace_str());
        let found = api
            .get_opt(&key.name)
            .await
            .map_err(|source| ApiError::new("reading a pull secret", source))?
            .map(Arc::new);
        let mut sources = self.sources.lock();
        // Secrets are not kept longer than they are used.
        sources.retain(|_, (at, _)| at.elapsed() < self.max_age);
        sources.insert(key, (Instant::now(), found.clone()));
        Ok(found)
    }
}
