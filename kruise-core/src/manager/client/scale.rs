//! The subresource `scale` of any kind.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use k8s_openapi::api::autoscaling::v1::Scale;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
use kube_client::api::{Patch, PatchParams};
use kube_client::{Api, Client, discovery};
use kube_core::{ApiResource, DynamicObject, GroupVersionKind};
use parking_lot::RwLock;
use serde_json::json;

use crate::runtime::ObjectKey;

/// Reads and sets the size of workloads of any kind that serves the subresource `scale`, custom resources included.
///
/// Which resource a kind is, is asked once; memory is bounded by the number of kinds. Clones share that.
/// Needs the right `get` on `RESOURCE/scale` for [`get`](Self::get), and `patch` for [`set`](Self::set).
///
/// ```no_run
/// // no_run: needs an API server
/// use kruise_core::manager::{ScaleClient, ScaleTarget};
/// use kruise_core::runtime::ObjectKey;
///
/// async fn double(client: kube_client::Client) -> Result<(), Box<dyn std::error::Error>> {
///     let scales = ScaleClient::new(client);
///     let target = ScaleTarget::new("apps.kruise.io/v1alpha1", "CloneSet", ObjectKey::new("shop", "web"));
///     if let Some(scale) = scales.get(&target).await? {
///         let wanted = scale.spec.as_ref().and_then(|spec| spec.replicas).unwrap_or(0) * 2;
///         scales.set(&target, &scale, wanted).await?; // a conflict if somebody else was faster
///     }
///     Ok(())
/// }
/// ```
#[derive(Clone)]
pub struct ScaleClient {
    client: Client,
    resources: Arc<RwLock<HashMap<GroupVersionKind, ApiResource>>>,
}

impl fmt::Debug for ScaleClient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ScaleClient")
            .field("resources", &self.resources.read().len())
            .finish_non_exhaustive()
    }
}

/// What is scaled.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ScaleTarget {
    /// Group and version: `apps/v1`.
    pub api_version: String,
    /// Kind: `Deployment`.
    pub kind: String,
    /// Namespace and name.
    pub key: ObjectKey,
}

impl ScaleTarget {
    /// Names a workload.
    pub fn new(api_version: impl Into<String>, kind: impl Into<String>, key: ObjectKey) -> Self {
        Self {
            api_version: api_version.into(),
            kind: kind.into(),
            key,
        }
    }

    /// The owner of an object in a namespace.
    pub fn owner(namespace: &str, owner: &OwnerReference) -> Self {
        Self::new(
            &owner.api_version,
            &owner.kind,
            ObjectKey::new(namespace, owner.name.as_str()),
        )
    }
}

impl fmt::Display for ScaleTarget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.kind, self.key)
    }
}

/// A size was not read or set.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ScaleError {
    /// `apiVersion` has more than one slash.
    #[error("{0}: apiVersion {1:?} is not of the form group/version")]
    ApiVersion(ScaleTarget, String),
    /// The API server does not serve the kind, or could not be asked.
    #[error("{target}: kind {} of {} is not served", target.kind, target.api_version)]
    Unknown {
        /// What was to be scaled.
        target: ScaleTarget,
        /// Why.
        #[source]
        source: kube_client::Error,
    },
    /// The kind has no subresource `scale`.
    #[error("{target}: kind {} of {} has no subresource scale", target.kind, target.api_version)]
    NotScalable {
        /// What was to be scaled.
        target: ScaleTarget,
    },
    /// The API server refused; 409 if the object has changed since it was read.
    #[error("{target}: size not {verb}")]
    Api {
        /// What was to be scaled.
        target: ScaleTarget,
        /// `read` or `set`.
        verb: &'static str,
        /// Why.
        #[source]
        source: kube_client::Error,
    },
}

impl ScaleClient {
    /// Uses this client, and with it its limits.
    pub fn new(client: Client) -> Self {
        Self {
            client,
            resources: Arc::default(),
        }
    }

    /// The present size; `None` if there is no such object. Cancel safe.
    pub async fn get(&self, target: &ScaleTarget) -> Result<Option<Scale>, ScaleError> {
        match self.api(target).await?.get_scale(&target.key.name).await {
            Ok(scale) => Ok(Some(scale)),
            Err(kube_client::Error::Api(status)) if status.code == 404 => Ok(None),
            Err(source) => Err(ScaleError::Api {
                target: target.clone(),
                verb: "read",
                source,
            }),
        }
    }

    /// Sets the size that is wanted, if the object has not changed since `read` was read.
    pub async fn set(&self, target: &ScaleTarget, read: &Scale, replicas: i32) -> Result<Scale, ScaleError> {
        let patch = json!({
            "metadata": { "resourceVersion": read.metadata.resource_version },
            "spec": { "replicas": replicas },
        });
        let api = self.api(target).await?;
        let patched = api
            .patch_scale(&target.key.name, &PatchParams::default(), &Patch::Merge(patch))
            .await;
        patched.map_err(|source| ScaleError::Api {
            target: target.clone(),
            verb: "set",
            source,
        })
    }

    async fn api(&self, target: &ScaleTarget) -> Result<Api<DynamicObject>, ScaleError> {
        let resource = self.resource(target).await?;
        Ok(match &target.key.namespace {
            Some(namespace) => Api::namespaced_with(self.client.clone(), namespace, &resource),
            None => Api::all_with(self.client.clone(), &resource),
        })
    }

    async fn resource(&self, target: &ScaleTarget) -> Result<ApiResource, ScaleError> {
        let (group, version) = target
            .api_version
            .split_once('/')
            .unwrap_or(("", &target.api_version));
        if version.contains('/') {
            return Err(ScaleError::ApiVersion(target.clone(), target.api_version.clone()));
        }
        let kind = GroupVersionKind::gvk(group, version, &target.kind);
        if let Some(known) = self.resources.read().get(&kind) {
            return Ok(known.clone());
        }
        let (resource, capabilities) =
            discovery::pinned_kind(&self.client, &kind)
                .await
                .map_err(|source| ScaleError::Unknown {
                    target: target.clone(),
                    source,
                })?;
        if !capabilities
            .subresources
            .iter()
            .any(|(sub, _)| sub.plural.ends_with("scale"))
        {
            return Err(ScaleError::NotScalable {
                target: target.clone(),
            });
        }
        self.resources.write().insert(kind, resource.clone());
        Ok(resource)
    }
}
