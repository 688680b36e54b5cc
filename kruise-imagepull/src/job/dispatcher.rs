//! Hands tasks to nodes, several at a time, and remembers what it can not be sure of.

use std::collections::{BTreeSet, HashMap};

use futures::{StreamExt, stream};
use kruise_core::runtime::{Cached as _, Expectations};
use kube_client::Api;
use kube_core::params::{Patch, PatchParams};
use parking_lot::Mutex;

use crate::api::NodeImage;
use crate::error::ApiError;
use crate::plan::job::NodeDispatch;

/// How a batch of writes ended.
#[derive(Debug, Default)]
pub(super) struct Dispatched {
    /// Nodes that have the task now.
    pub(super) written: usize,
    /// Nodes that changed in the same moment, or are gone: look again.
    pub(super) conflicts: usize,
    /// The first other failure, and how many there were.
    pub(super) failure: Option<ApiError>,
    pub(super) failures: usize,
}

/// Writes NodeImages for jobs.
#[derive(Debug)]
pub(super) struct Dispatcher {
    api: Api<NodeImage>,
    expectations: Expectations,
    /// By uid of the job: nodes that were written to without an answer that says whether it took effect. A name is put
    /// here before its request is made, so that a reconcile that is dropped in the middle forgets nothing.
    in_doubt: Mutex<HashMap<String, BTreeSet<String>>>,
}

impl Dispatcher {
    pub(super) fn new(api: Api<NodeImage>, expectations: Expectations) -> Self {
        Self {
            api,
            expectations,
            in_doubt: Mutex::default(),
        }
    }

    /// Finds out about every write of which nobody knows whether it took effect: reads the object, and expects the
    /// cache to catch up with it.
    ///
    /// # Errors
    /// The server can not be asked now; nothing may be decided for this job.
    pub(super) async fn settle(&self, job_uid: &str) -> Result<(), ApiError> {
        let nodes: Vec<String> = self
            .in_doubt
            .lock()
            .get(job_uid)
            .into_iter()
            .flatten()
            .cloned()
            .collect();
        for node in nodes {
            let found = self
                .api
                .get_opt(&node)
                .await
                .map_err(|source| ApiError::new("reading a NodeImage", source))?;
            if let Some(found) = found {
                self.expectations
                    .expect_update(job_uid, found.uid(), found.resource_version());
            }
            self.no_doubt(job_uid, &node);
        }
        Ok(())
    }

    /// Forgets a job.
    pub(super) fn forget(&self, job_uid: &str) {
        self.in_doubt.lock().remove(job_uid);
        self.expectations.forget(job_uid);
    }

    /// Writes to every node of `batch`, at most `concurrent` at a time. One node that fails keeps no other from its
    /// turn.
    pub(super) async fn dispatch(
        &self,
        job_uid: &str,
        batch: &[NodeDispatch<'_>],
        concurrent: usize,
    ) -> Dispatched {
        let mut outcome = Dispatched::default();
        // Owned requests: a stream that borrows from the plan can not be sent between threads.
        let requests: Vec<_> = batch
            .iter()
            .filter_map(|dispatch| {
                let name = dispatch.node_image.metadata.name.clone()?;
                Some((name, dispatch.patch.clone()))
            })
            .collect();
        let mut results = stream::iter(requests)
            .map(|(name, patch)| async move {
                let result = self.write(job_uid, &name, patch).await;
                (name, result)
            })
            .buffer_unordered(concurrent.max(1));
        while let Some((name, result)) = results.next().await {
            match result {
                Ok(()) => outcome.written += 1,
                Err(ApiError::Conflict { .. } | ApiError::Gone { .. }) => outcome.conflicts += 1,
                Err(error) => {
                    tracing::debug!(node = %name, error = %kruise_core::runtime::Causes(&error), "dispatch failed");
                    outcome.failures += 1;
                    outcome.failure.get_or_insert(error);
                }
            }
        }
        outcome
    }

    async fn write(&self, job_uid: &str, node: &str, patch: json_patch::Patch) -> Result<(), ApiError> {
        self.in_doubt
            .lock()
            .entry(job_uid.to_owned())
            .or_default()
            .insert(node.to_owned());
        let patch = Patch::Json::<()>(patch);
        let result = self.api.patch(node, &PatchParams::default(), &patch).await;
        match result {
            Ok(written) => {
                self.expectations
                    .expect_update(job_uid, written.uid(), written.resource_version());
                self.no_doubt(job_uid, node);
                Ok(())
            }
            Err(source) => {
                let error = ApiError::new("handing a task to a node", source);
                if !matches!(error, ApiError::Unknown { .. }) {
                    self.no_doubt(job_uid, node);
                }
                Err(error)
            }
        }
    }

    fn no_doubt(&self, job_uid: &str, node: &str) {
        let mut in_doubt = self.in_doubt.lock();
        if let Some(nodes) = in_doubt.get_mut(job_uid) {
            nodes.remove(node);
            if nodes.is_empty() {
                in_doubt.remove(job_uid);
            }
        }
    }
}
