//! A set, compiled: what its pods are to become.

use std::collections::BTreeSet;

use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use kruise_core::api::int_or_percent::{IntOrPercent, IntOrPercentError};
use kruise_core::policy::priority::PriorityError;
use kruise_core::policy::{Priority, Scatter, Selector, SelectorError};

use super::fingerprint::Fingerprint;
use crate::api::names::{HOT_UPGRADE_SUFFIX_1, HOT_UPGRADE_SUFFIX_2};
use crate::api::{
    HashForm, PatchPodMetadata, Scope, ScopeError, SidecarContainer, SidecarSet, UpdateStrategy, hashes,
    selector_keys,
};

/// A field of a set that means nothing, so that no pod is upgraded until it is mended.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TargetError {
    /// A selector of pods or namespaces. No pod is matched.
    #[error(transparent)]
    Scope(#[from] ScopeError),
    /// `updateStrategy.selector`.
    #[error("spec.updateStrategy.selector is not valid")]
    Selector(#[source] SelectorError),
    /// `updateStrategy.priorityStrategy`.
    #[error("spec.updateStrategy.priorityStrategy is not valid")]
    Priority(#[source] PriorityError),
    /// `updateStrategy.partition` or `maxUnavailable`.
    #[error("spec.updateStrategy.{field} is not valid")]
    Amount {
        /// The field.
        field: &'static str,
        /// What is wrong with it.
        #[source]
        source: IntOrPercentError,
    },
}

/// A sidecar of a set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TargetSidecar {
    /// Its name in the set.
    pub name: Box<str>,
    /// Its image.
    pub image: Box<str>,
    /// Its two containers, if it is upgraded hot.
    pub hot: Option<HotSidecar>,
}

/// What a hot-upgraded sidecar has more.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HotSidecar {
    /// Names of the containers.
    pub containers: [Box<str>; 2],
    /// Image of the idle one.
    pub empty_image: Box<str>,
}

/// How pods that run are upgraded.
#[derive(Clone, Debug)]
pub(super) struct Strategy {
    pub(super) selector: Option<Selector>,
    pub(super) priority: Option<Priority>,
    pub(super) scatter: Scatter,
    pub(super) partition: Option<IntOrPercent>,
    pub(super) max_unavailable: Option<IntOrPercent>,
}

/// A set, compiled once per change of it.
///
/// ```
/// use kruise_sidecar::api::{HashForm, SidecarSet};
/// use kruise_sidecar::plan::Target;
///
/// let set: SidecarSet = serde_json::from_str(
///     r#"{"apiVersion": "apps.kruise.io/v1alpha1", "kind": "SidecarSet", "metadata": {"name": "logs"},
///         "spec": {"selector": {"matchLabels": {"app": "web"}}, "containers": [{"name": "logs", "image": "logs:1"}]}}"#,
/// )?;
/// let target = Target::compile(&set, HashForm::default());
/// assert!(target.error().is_none());
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Target {
    pub(super) name: Box<str>,
    /// As stored, to be written into pods.
    pub(super) hash_text: Box<str>,
    pub(super) hash: Option<Fingerprint>,
    pub(super) without_image: Option<Fingerprint>,
    pub(super) resource_version: Box<str>,
    pub(super) sidecars: Box<[TargetSidecar]>,
    pub(super) metadata: Box<[PatchPodMetadata]>,
    pub(super) paused: bool,
    pub(super) updates: bool,
    /// Keys of labels that the strategy looks at.
    pub(super) label_keys: Box<[Box<str>]>,
    pub(super) scope: Result<Scope, ScopeError>,
    pub(super) strategy: Result<Strategy, TargetError>,
}

impl Target {
    /// Compiles a set. The hashes are those of its annotations; they are worked out, in the form that is given, only
    /// if admission wrote none.
    pub fn compile(set: &SidecarSet, form: HashForm) -> Self {
        let spec = &set.spec;
        let (hash, without_image) = match (set.hash(), set.hash_without_image()) {
            (Some(hash), Some(without)) => (hash.to_owned(), without.to_owned()),
            _ => {
                let hashes = hashes(spec, form);
                (hashes.hash, hashes.without_image)
            }
        };
        Self {
            name: set.name().into(),
            hash: Fingerprint::of(&hash),
            hash_text: hash.into(),
            without_image: Fingerprint::of(&without_image),
            resource_version: set
                .metadata
                .resource_version
                .as_deref()
                .unwrap_or_default()
                .into(),
            sidecars: spec.containers.iter().map(sidecar).collect(),
            metadata: spec.patch_pod_metadata.as_slice().into(),
            paused: spec.update_strategy.paused,
            updates: spec.update_strategy.updates(),
            label_keys: label_keys(&spec.update_strategy),
            scope: Scope::compile(spec),
            strategy: strategy(set),
        }
    }

    /// The name of the set.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its sidecars.
    pub fn sidecars(&self) -> &[TargetSidecar] {
        &self.sidecars
    }

    /// Which pods it is for.
    ///
    /// # Errors
    /// One of its selectors means nothing, so that it is for none.
    pub fn scope(&self) -> Result<&Scope, &ScopeError> {
        self.scope.as_ref()
    }

    /// The first field that means nothing.
    pub fn error(&self) -> Option<TargetError> {
        let scope = self.scope.as_ref().err().cloned().map(TargetError::Scope);
        scope.or_else(|| self.strategy.as_ref().err().cloned())
    }

    /// Its priority strategy, to explain the order of pods; `None` if it has none, or one that means nothing.
    pub fn priority(&self) -> Option<&Priority> {
        self.strategy.as_ref().ok()?.priority.as_ref()
    }

    /// Whether pods that run are upgraded at all.
    pub fn updates(&self) -> bool {
        self.updates
    }

    /// Whether annotations of pods are patched too, so that all of them have to be known for an upgrade.
    pub fn patches_metadata(&self) -> bool {
        !self.metadata.is_empty()
    }

    /// Whether a container of this name in a pod is one of its.
    pub(super) fn has_container(&self, name: &str) -> bool {
        self.sidecars.iter().any(|sidecar| match &sidecar.hot {
            None => *sidecar.name == *name,
            Some(hot) => hot.containers.iter().any(|container| **container == *name),
        })
    }

    /// Its hot-upgraded sidecars.
    pub(super) fn hot(&self) -> impl Iterator<Item = (&TargetSidecar, &HotSidecar)> {
        self.sidecars
            .iter()
            .filter_map(|sidecar| Some((sidecar, sidecar.hot.as_ref()?)))
    }
}

fn sidecar(sidecar: &SidecarContainer) -> TargetSidecar {
    let hot = sidecar.is_hot().then(|| HotSidecar {
        containers: [HOT_UPGRADE_SUFFIX_1, HOT_UPGRADE_SUFFIX_2]
            .map(|suffix| format!("{}{suffix}", sidecar.name()).into()),
        empty_image: sidecar.upgrade_strategy.hot_upgrade_empty_image.as_str().into(),
    });
    TargetSidecar {
        name: sidecar.name().into(),
        image: sidecar.image().into(),
        hot,
    }
}

fn label_keys(strategy: &UpdateStrategy) -> Box<[Box<str>]> {
    let mut keys: BTreeSet<&str> = strategy
        .scatter_strategy
        .iter()
        .map(|term| term.key.as_str())
        .collect();
    keys.extend(strategy.selector.iter().flat_map(selector_keys));
    if let Some(priority) = &strategy.priority_strategy {
        keys.extend(
            priority
                .order_priority
                .iter()
                .map(|term| term.ordered_key.as_str()),
        );
        let weights = priority.weight_priority.iter();
        keys.extend(weights.flat_map(|term| selector_keys(&term.match_selector)));
    }
    keys.into_iter().map(Box::from).collect()
}

fn strategy(set: &SidecarSet) -> Result<Strategy, TargetError> {
    let strategy = &set.spec.update_strategy;
    let amount = |field, value: &Option<IntOrString>| {
        let read = value.as_ref().map(IntOrPercent::try_from).transpose();
        read.map_err(|source| TargetError::Amount { field, source })
    };
    let selector = strategy.selector.as_ref().map(Selector::compile).transpose();
    let priority = strategy
        .priority_strategy
        .as_ref()
        .map(Priority::compile)
        .transpose();
    Ok(Strategy {
        selector: selector.map_err(TargetError::Selector)?,
        priority: priority.map_err(TargetError::Priority)?,
        scatter: Scatter::compile(&strategy.scatter_strategy),
        partition: amount("partition", &strategy.partition)?,
        max_unavailable: amount("maxUnavailable", &strategy.max_unavailable)?,
    })
}
