//! The gates of OpenKruise: those that switch something here, and those that users bring along.

use super::{Gate, GateRegistry, Stage};

/// The webhooks that change and check Pods when they are created: SidecarSet injection lives on them.
pub const POD_WEBHOOK: Gate = Gate::new("PodWebhook");

/// The agent on every node: without it nobody pulls images ahead of time.
pub const KRUISE_DAEMON: Gate = Gate::new("KruiseDaemon");

/// Lets SidecarSets patch any annotation of pods where no whitelist is given.
pub const PATCH_ANY_POD_METADATA: Gate = Gate::new("SidecarSetPatchPodMetadataDefaultsAllowed");

/// Sorts the sidecars of all sets by name.
pub const SORT_SIDECARS: Gate = Gate::new("EnableSortSidecarContainerByName");

const OF_WORKLOADS: &str = "the workload that it is about is not part of kruise-rs";
const OF_WORKLOADS_NAMES: [&str; 16] = [
    "CloneSetEventHandlerOptimization",
    "CloneSetPartitionRollback",
    "CloneSetShortHash",
    "DaemonSetPruneIneligibleNodes",
    "DefaultHostNetworkHostPortsInPodTemplates",
    "ForceDeleteTimeoutExpectationGate",
    "InPlacePodVerticalScaling",
    "InPlaceWorkloadVerticalScaling",
    "PodIndexLabel",
    "PreDownloadImageForDaemonSetUpdate",
    "PreDownloadImageForInPlaceUpdate",
    "PreparingUpdateAsUpdate",
    "RecreatePodWhenChangeVCTInCloneSetGate",
    "StatefulSetAutoDeletePVC",
    "StatefulSetAutoResizePVCGate",
    "StatefulSetStartOrdinal",
];

const OF_FEATURES: &str = "this feature is not part of kruise-rs";
const OF_FEATURES_NAMES: [&str; 13] = [
    "DaemonWatchingPod",
    "DeletionProtectionForCRDCascadingGate",
    "EnablePodProbeMarkerOnServerless",
    "EnhancedLivenessProbe",
    "InPlaceUpdateEnvFromMetadata",
    "KruisePodReadinessGate",
    "PodProbeMarkerGate",
    "PodUnavailableBudgetDeleteGate",
    "PodUnavailableBudgetUpdateGate",
    "ResourceDistributionGate",
    "ResourcesDeletionProtection",
    "SidecarTerminator",
    "WorkloadSpread",
];

impl GateRegistry {
    /// The gates of OpenKruise, up to 1.9 and what follows it. Switches are [`POD_WEBHOOK`], [`KRUISE_DAEMON`],
    /// [`PATCH_ANY_POD_METADATA`] and [`SORT_SIDECARS`]. The others are [fixed](GateRegistry::fixed).
    pub fn kruise() -> Self {
        let of_workloads = OF_WORKLOADS_NAMES.map(|name| (name, OF_WORKLOADS));
        let of_features = OF_FEATURES_NAMES.map(|name| (name, OF_FEATURES));
        of_workloads
            .into_iter()
            .chain(of_features)
            .fold(Self::switches(), |registry, (name, why)| {
                registry.fixed(Gate::new(name), false, why)
            })
            .fixed(
                Gate::new("ImagePullJobGate"),
                true,
                "image pulls are always there; KruiseDaemon switches them",
            )
            .fixed(
                Gate::new("TemplateNoDefaults"),
                false,
                "the webhook always writes defaults into containers",
            )
            .fixed(
                Gate::new("EnableExternalCerts"),
                false,
                "certificates that others make are read from a folder, see --webhook-cert-dir of the manager",
            )
    }

    fn switches() -> Self {
        Self::new()
            .gate(
                POD_WEBHOOK,
                true,
                Stage::Beta,
                "Webhooks for the creation of Pods, which SidecarSet needs.",
            )
            .gate(
                KRUISE_DAEMON,
                true,
                Stage::Beta,
                "Image pulls ahead of time by the node agent.",
            )
            .gate(
                PATCH_ANY_POD_METADATA,
                false,
                Stage::Alpha,
                "Without a whitelist, SidecarSets may patch any annotation of pods.",
            )
            .gate(
                SORT_SIDECARS,
                false,
                Stage::Alpha,
                "Sidecars of all sets are sorted by name, not by set.",
            )
    }

    /// Applies the rule of OpenKruise's environment variable `CUSTOM_RESOURCE_ENABLE`, whose text is `kinds`: a list
    /// of kinds separated by commas. If it names kinds, but not `SidecarSet`, then [`POD_WEBHOOK`] is off by default;
    /// an explicit setting still wins. `None` and empty texts change nothing.
    #[must_use]
    pub fn custom_resource_enable(self, kinds: Option<&str>) -> Self {
        let mut kinds = kinds
            .unwrap_or_default()
            .split(',')
            .map(str::trim)
            .filter(|kind| !kind.is_empty())
            .peekable();
        if kinds.peek().is_none() || kinds.any(|kind| kind == "SidecarSet") {
            self
        } else {
            self.default_of(POD_WEBHOOK, false)
        }
    }
}
