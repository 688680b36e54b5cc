//! A set made ready for injection: everything that does not depend on the pod is text already.

use std::sync::Arc;

use jiff::Timestamp;
use kruise_core::policy::Selector;

use super::error::Problem;
use crate::api::Scope;

/// A SidecarSet, compiled once for many pods. Made by [`compile`](super::compile()).
#[derive(Debug)]
pub struct CompiledSet {
    pub(super) name: Arc<str>,
    pub(super) scope: Scope,
    /// When the set was created, if it was.
    pub(super) created: Option<Timestamp>,
    /// `injectionStrategy.paused`.
    pub(super) paused: bool,
    pub(super) latest: Result<Content, Problem>,
    pub(super) pinned: Option<Pinned>,
}

impl CompiledSet {
    /// The name of the set.
    pub fn name(&self) -> &Arc<str> {
        &self.name
    }

    /// Why pods that it selects cannot be injected, or not all of them.
    pub fn problem(&self) -> Option<&Problem> {
        let pinned = self.pinned.as_ref();
        let share = pinned.and_then(|pinned| match &pinned.choice {
            Choice::Partial { share, .. } => share.as_ref().err(),
            Choice::Always => None,
        });
        let content = pinned.and_then(|pinned| pinned.content.as_ref().err());
        content.or(share).or(self.latest.as_ref().err())
    }

    /// Whether new pods are to be left alone (`injectionStrategy.paused`).
    pub fn is_paused(&self) -> bool {
        self.paused
    }
}

/// `injectionStrategy.revision`: a historical revision for all pods, or for some.
#[derive(Debug)]
pub(super) struct Pinned {
    pub(super) content: Result<Content, Problem>,
    pub(super) choice: Choice,
}

#[derive(Debug)]
pub(super) enum Choice {
    /// Every pod gets the historical revision.
    Always,
    /// Pods that the update strategy does not select get it; of the others this share.
    Partial {
        selector: Option<Selector>,
        share: Result<f64, Problem>,
    },
}

/// What one revision of a set puts into pods.
#[derive(Debug, Default)]
pub(super) struct Content {
    pub(super) containers: Vec<Sidecar>,
    pub(super) init_containers: Vec<Sidecar>,
    pub(super) volumes: Vec<Piece>,
    pub(super) pull_secrets: Vec<Piece>,
    pub(super) metadata: Vec<MetadataPatch>,
    /// Annotations of hot-upgraded containers.
    pub(super) versions: Vec<(Box<str>, &'static str)>,
    /// Hot-upgraded sidecars and the container of each that works first.
    pub(super) working: Vec<(Box<str>, Box<str>)>,
    /// The hash that the pod gets, and the revision that it is told.
    pub(super) hash: Box<str>,
    pub(super) revision: Box<str>,
    /// The entries in the two hash annotations behind their time, as JSON: `,"hash":…}`.
    pub(super) entry_rest: Box<str>,
    pub(super) entry_rest_without_image: Box<str>,
    /// About how many bytes a patch takes.
    pub(super) bytes: usize,
}

impl Content {
    pub(super) fn is_empty(&self) -> bool {
        self.containers.is_empty() && self.init_containers.is_empty()
    }

    pub(super) fn sidecars(&self) -> impl Iterator<Item = &Sidecar> {
        self.init_containers.iter().chain(&self.containers)
    }
}

/// A thing with a name, and its text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Piece {
    pub(super) name: Box<str>,
    pub(super) text: Box<str>,
}

/// An entry of `patchPodMetadata`.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct MetadataPatch {
    pub(super) policy: MetadataPolicy,
    /// Sorted by key.
    pub(super) annotations: Vec<(Box<str>, Box<str>)>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum MetadataPolicy {
    Retain,
    Overwrite,
    MergePatchJson,
}

/// One container to inject.
#[derive(Clone, Debug)]
pub(super) struct Sidecar {
    /// Its name in the pod.
    pub(super) name: Box<str>,
    pub(super) before: bool,
    /// All fields but the lists below, with the opening brace: `{"name":"proxy"`.
    pub(super) open: Box<str>,
    /// Own variables and `IS_INJECTED`, with commas between them.
    pub(super) env: Box<str>,
    pub(super) env_names: Box<[Box<str>]>,
    /// Variables behind all others, each after a comma.
    pub(super) last_env: Box<str>,
    /// Own mounts, with commas between them.
    pub(super) mounts: Box<str>,
    pub(super) mount_paths: Box<[Box<str>]>,
    /// Own devices, with commas between them.
    pub(super) devices: Box<str>,
    pub(super) device_paths: Box<[Box<str>]>,
    /// Names of the volumes that its own mounts and devices refer to, in their order.
    pub(super) volumes: Box<[Box<str>]>,
    pub(super) share_mounts: bool,
    pub(super) share_devices: bool,
    pub(super) transfer: Box<[Transfer]>,
}

/// Variables to be taken from a container of the pod.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Transfer {
    pub(super) source: Source,
    /// In the order in which they are added.
    pub(super) names: Box<[Box<str>]>,
}

/// Which container variables are taken from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Source {
    Name(Box<str>),
    /// The one that this label of the pod names.
    Label(Box<str>),
    /// The one that this annotation of the pod names.
    Annotation(Box<str>),
}
