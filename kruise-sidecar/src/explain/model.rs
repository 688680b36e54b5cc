//! The explanation as data.

use std::fmt;

use kruise_core::api::int_or_percent::Mode;
use serde::Serialize;

use crate::api::HashForm;

/// How a set is explained. The default is what a controller does that has the default configuration.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ExplainOptions {
    /// How percentages are rounded.
    pub mode: Mode,
    /// Which release's hashes are computed where admission wrote none.
    pub form: HashForm,
    /// Whether the set's hashes are recomputed as admission would: for what would become of a set that was edited
    /// in a file.
    pub readmit: bool,
}

/// What becomes of the pods of a set, and why.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Explanation {
    /// The name of the set.
    pub set: String,
    /// All of it in one sentence.
    pub summary: String,
    /// What the numbers of its status are computed from.
    pub totals: Totals,
    /// How its pods are upgraded.
    pub strategy: Strategy,
    /// Pods that count against `maxUnavailable` now.
    pub unavailable: Vec<Unavailable>,
    /// What is wrong with the set itself, or worth knowing of it; the worst first.
    pub problems: Vec<Problem>,
    /// The pods: first those that wait, in the order in which they are upgraded, then the other matched ones, then those
    /// that the set selects or speaks of and does not upgrade.
    pub pods: Vec<PodExplanation>,
    /// How many pods of the snapshot the set has nothing to do with; they are not in `pods`.
    pub other_pods: usize,
}

/// The numbers of matched pods.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Totals {
    /// Pods that have the containers.
    pub matched: usize,
    /// Those at the state of the set.
    pub updated: usize,
    /// Those that are ready, with containers that run what the spec says.
    pub ready: usize,
    /// Those that are both.
    pub updated_ready: usize,
    /// Those that cannot be upgraded in place.
    pub not_upgradable: usize,
    /// Those that are upgraded now.
    pub next: usize,
}

/// How running pods are upgraded, with all values resolved.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Strategy {
    /// `RollingUpdate` or `NotUpdate`.
    #[serde(rename = "type")]
    pub type_: String,
    /// Whether upgrades are stopped.
    pub paused: bool,
    /// The selector of the strategy, as `kubectl -l` takes it; `None` selects all.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub selector: Option<String>,
    /// How many pods stay as they are.
    pub partition: Amount,
    /// How many may be unavailable.
    pub max_unavailable: Amount,
    /// Which pods go first, a line for each term.
    pub priority: Vec<String>,
    /// Which pods are kept apart, `key=value`.
    pub scatter: Vec<String>,
}

/// A number or a percentage, and what it comes to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Amount {
    /// As it is written; the default if nothing is.
    pub value: String,
    /// Of how many pods.
    pub of: usize,
    /// How many pods it means; `None` if it means nothing.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub means: Option<usize>,
}

/// A pod that counts against `maxUnavailable`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Unavailable {
    /// Its namespace and name.
    pub pod: String,
    /// Why it is not available.
    pub reason: String,
}

/// Something worth knowing of a set.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Problem {
    /// How bad it is.
    pub severity: Severity,
    /// What it is.
    pub text: String,
}

/// How bad a problem is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub enum Severity {
    /// No pod is upgraded until it is fixed.
    Error,
    /// Some pods are not treated as the user may expect.
    Warning,
    /// Good to know.
    Note,
}

/// What becomes of one pod, and why.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct PodExplanation {
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// Its node; `None` until it is scheduled.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub node: Option<String>,
    /// Its place in the order of upgrades, from 1; `None` if it is not in it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub place: Option<usize>,
    /// What becomes of it.
    pub verdict: Verdict,
    /// Why.
    pub reason: String,
    /// Why it stands at its place.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub why_here: Option<String>,
    /// Whether it is Running and Ready.
    pub ready: bool,
    /// Its sidecars of this set.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub sidecars: Vec<SidecarImage>,
}

impl PodExplanation {
    /// Its namespace and name.
    pub fn key(&self) -> String {
        format!("{}/{}", self.namespace, self.name)
    }
}

/// A container of a pod that is a set's.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct SidecarImage {
    /// Its name in the pod.
    pub container: String,
    /// The image that the pod's spec has.
    pub image: String,
    /// The image that the set has, if it is another one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub wanted: Option<String>,
}

/// What becomes of a pod.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[non_exhaustive]
pub enum Verdict {
    /// It is upgraded now.
    Next,
    /// As many pods are unavailable as may be.
    WaitingForBudget,
    /// It is among those that stay as they are.
    KeptByPartition,
    /// Upgrades are stopped.
    Paused,
    /// Its previous upgrade is under way.
    InFlight,
    /// Something else comes first; the reason says what.
    Held,
    /// It has the new images, and is not available yet.
    Updating,
    /// It is at the state of the set.
    Updated,
    /// Its idle containers get the empty image now.
    Resetting,
    /// The selector of the strategy does not select it.
    NotSelected,
    /// More than images differs.
    NotUpgradable,
    /// The set upgrades no pods.
    NotUpdate,
    /// The set has an error.
    InvalidSet,
    /// The set was not injected when it was created.
    NotInjected,
    /// It lacks a container of the set.
    LacksContainer,
    /// The set was injected, and selects it no more.
    NoLongerSelected,
    /// The set is for other namespaces.
    OtherNamespace,
    /// The labels of its namespace are not known.
    NamespaceUnknown,
    /// It is being deleted.
    Terminating,
    /// It has ended.
    Finished,
}

impl Verdict {
    /// Whether the set counts the pod among its own.
    pub fn is_matched(self) -> bool {
        self <= Self::InvalidSet
    }

    /// Whether the pod will change, or has to become available, without anybody doing anything.
    pub fn is_under_way(self) -> bool {
        matches!(
            self,
            Self::Next
                | Self::WaitingForBudget
                | Self::InFlight
                | Self::Held
                | Self::Updating
                | Self::Resetting
        )
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Next => "next",
            Self::WaitingForBudget => "waits for budget",
            Self::KeptByPartition => "kept by partition",
            Self::Paused => "paused",
            Self::InFlight => "in flight",
            Self::Held => "held",
            Self::Updating => "updating",
            Self::Updated => "updated",
            Self::Resetting => "resetting",
            Self::NotSelected => "not selected",
            Self::NotUpgradable => "not upgradable",
            Self::NotUpdate => "not updated",
            Self::InvalidSet => "set is invalid",
            Self::NotInjected => "not injected",
            Self::LacksContainer => "lacks container",
            Self::NoLongerSelected => "no longer selected",
            Self::OtherNamespace => "other namespace",
            Self::NamespaceUnknown => "namespace unknown",
            Self::Terminating => "terminating",
            Self::Finished => "finished",
        })
    }
}
