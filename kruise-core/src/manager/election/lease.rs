//! Reading and writing the Lease.

use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::coordination::v1::{Lease, LeaseSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{MicroTime, ObjectMeta};
use kube_client::api::{Patch, PatchParams, PostParams};
use kube_client::{Api, Client, Error};
use serde_json::json;

/// What a Lease says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Record {
    /// Empty if it was given back.
    pub(super) holder: String,
    pub(super) duration: Duration,
    pub(super) acquired: Option<Timestamp>,
    pub(super) renewed: Option<Timestamp>,
    pub(super) transitions: i32,
}

/// A Lease as the server had it.
#[derive(Clone, Debug)]
pub(super) struct Seen {
    pub(super) record: Record,
    pub(super) version: String,
}

/// The one Lease that candidates fight for.
#[derive(Clone)]
pub(super) struct LeaseStore {
    api: Api<Lease>,
    name: String,
}

impl LeaseStore {
    pub(super) fn new(client: Client, namespace: &str, name: &str) -> Self {
        Self {
            api: Api::namespaced(client, namespace),
            name: name.to_owned(),
        }
    }

    pub(super) async fn get(&self) -> Result<Option<Seen>, Error> {
        Ok(self.api.get_opt(&self.name).await?.map(Seen::from))
    }

    /// Fails with code 409 if there is one.
    pub(super) async fn create(&self, record: &Record) -> Result<Seen, Error> {
        let metadata = ObjectMeta {
            name: Some(self.name.clone()),
            ..ObjectMeta::default()
        };
        #[allow(
            clippy::needless_update,
            reason = "later versions of Kubernetes may have more fields"
        )]
        let lease = Lease {
            metadata,
            spec: Some(record.spec()),
            ..Lease::default()
        };
        self.api
            .create(&PostParams::default(), &lease)
            .await
            .map(Seen::from)
    }

    /// Fails with code 409 if the Lease is no longer at `version`. A patch, so that what others keep in the Lease stays.
    pub(super) async fn replace(&self, version: &str, record: &Record) -> Result<Seen, Error> {
        let patch = json!({ "metadata": { "resourceVersion": version }, "spec": record.spec() });
        self.api
            .patch(&self.name, &PatchParams::default(), &Patch::Merge(patch))
            .await
            .map(Seen::from)
    }
}

impl Record {
    fn spec(&self) -> LeaseSpec {
        LeaseSpec {
            holder_identity: Some(self.holder.clone()),
            lease_duration_seconds: Some(i32::try_from(self.duration.as_secs()).unwrap_or(i32::MAX)),
            acquire_time: self.acquired.map(MicroTime),
            renew_time: self.renewed.map(MicroTime),
            lease_transitions: Some(self.transitions),
            ..LeaseSpec::default()
        }
    }
}

impl From<Lease> for Seen {
    fn from(lease: Lease) -> Self {
        let spec = lease.spec.unwrap_or_default();
        let seconds = spec
            .lease_duration_seconds
            .and_then(|seconds| u64::try_from(seconds).ok())
            .unwrap_or(0);
        Self {
            record: Record {
                holder: spec.holder_identity.unwrap_or_default(),
                duration: Duration::from_secs(seconds),
                acquired: spec.acquire_time.map(|time| time.0),
                renewed: spec.renew_time.map(|time| time.0),
                transitions: spec.lease_transitions.unwrap_or(0),
            },
            version: lease.metadata.resource_version.unwrap_or_default(),
        }
    }
}
