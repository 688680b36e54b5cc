//! Whether a job exists, asked at the server where the cache does not know it.
//!
//! Watches run apart: a manager that has just become leader may see a task on a node before it sees the job that owns it.
//! What belongs to nobody is deleted, so a missing job is not believed to be missing before the server says so.

use std::collections::HashSet;
use std::sync::Arc;

use kruise_core::runtime::{Cache, Cached as _, ObjectKey};
use kube_client::{Api, Client};
use kube_core::params::ListParams;
use parking_lot::Mutex;

use crate::api::ImagePullJob;
use crate::error::ApiError;

/// Uids of jobs that are remembered as gone, at most; then all are forgotten and asked for again.
const REMEMBERED: usize = 10_000;

/// See the [module](self).
pub(crate) struct JobLookup {
    client: Client,
    jobs: Cache<ImagePullJob>,
    /// Jobs that are gone for good, by uid: a job that leaves a thousand nodes is asked for once.
    gone: Mutex<HashSet<String>>,
}

impl std::fmt::Debug for JobLookup {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("JobLookup").finish_non_exhaustive()
    }
}

impl JobLookup {
    pub(crate) fn new(client: Client, jobs: Cache<ImagePullJob>) -> Self {
        Self {
            client,
            jobs,
            gone: Mutex::default(),
        }
    }

    /// Returns the job of this name and uid if the cache has it.
    pub(crate) fn cached(&self, key: &ObjectKey, uid: &str) -> Option<Arc<ImagePullJob>> {
        self.jobs.get(key).filter(|job| job.uid() == uid)
    }

    /// Returns whether the server has said that it has no such job.
    pub(crate) fn is_gone(&self, uid: &str) -> bool {
        self.gone.lock().contains(uid)
    }

    /// Asks the server for the job of this name and uid.
    ///
    /// # Errors
    /// The server can not be asked now; nothing may be deleted for want of this job.
    pub(crate) async fn ask_for(&self, key: &ObjectKey, uid: &str) -> Result<Option<ImagePullJob>, ApiError> {
        let found = self.ask(key).await?.filter(|job| job.uid() == uid);
        if found.is_none() {
            let mut gone = self.gone.lock();
            if gone.len() >= REMEMBERED {
                gone.clear();
            }
            gone.insert(uid.to_owned());
        }
        Ok(found)
    }

    /// Asks the server for the job of this name.
    ///
    /// # Errors
    /// As of [`JobLookup::ask_for`].
    pub(crate) async fn ask(&self, key: &ObjectKey) -> Result<Option<ImagePullJob>, ApiError> {
        let api: Api<ImagePullJob> = Api::namespaced(self.client.clone(), key.namespace_str());
        // A list of one, since the controllers that ask have the right to list jobs anyway.
        let list = api
            .list(&ListParams::default().fields(&format!("metadata.name={}", key.name)))
            .await
            .map_err(|source| ApiError::new("looking for a job", source))?;
        let found = list.items.into_iter().find(|job| job.key() == *key);
        Ok(found)
    }
}
