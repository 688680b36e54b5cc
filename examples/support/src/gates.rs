//! The feature gates of the sample programs. Manager and daemon are given the same list.

use anyhow::{Context, Result, bail};
use kruise_core::gates::{Gate, GateRegistry, Gates, Stage};

/// Lets SidecarSets patch any annotation of pods where no whitelist is given.
pub const PATCH_ANY_METADATA: Gate = Gate::new("SidecarSetPatchPodMetadataDefaultsAllowed");
/// Sorts the sidecars of all sets by name.
pub const SORT_SIDECARS: Gate = Gate::new("EnableSortSidecarContainerByName");

/// Gates of OpenKruise for features that these programs lack.
const ABSENT: &[&str] = &[
    "CloneSetEventHandlerOptimization",
    "CloneSetPartitionRollback",
    "CloneSetShortHash",
    "DaemonSetPruneIneligibleNodes",
    "DaemonWatchingPod",
    "DefaultHostNetworkHostPortsInPodTemplates",
    "DeletionProtectionForCRDCascadingGate",
    "EnableExternalCerts",
    "EnablePodProbeMarkerOnServerless",
    "EnhancedLivenessProbe",
    "ForceDeleteTimeoutExpectationGate",
    "InPlacePodVerticalScaling",
    "InPlaceUpdateEnvFromMetadata",
    "InPlaceWorkloadVerticalScaling",
    "KruisePodReadinessGate",
    "PodIndexLabel",
    "PodProbeMarkerGate",
    "PodUnavailableBudgetDeleteGate",
    "PodUnavailableBudgetUpdateGate",
    "PreDownloadImageForDaemonSetUpdate",
    "PreDownloadImageForInPlaceUpdate",
    "PreparingUpdateAsUpdate",
    "RecreatePodWhenChangeVCTInCloneSetGate",
    "ResourceDistributionGate",
    "ResourcesDeletionProtection",
    "SidecarTerminator",
    "StatefulSetAutoDeletePVC",
    "StatefulSetAutoResizePVCGate",
    "StatefulSetStartOrdinal",
    "TemplateNoDefaults",
    "WorkloadSpread",
];

/// The gate of later releases of OpenKruise that is always on here.
const IMAGE_PULL_JOBS: &str = "ImagePullJobGate";

/// Returns the gates that mean something to the programs. `kinds` is the environment variable `CUSTOM_RESOURCE_ENABLE`.
fn registry(kinds: Option<&str>) -> GateRegistry {
    GateRegistry::kruise()
        .gate(
            PATCH_ANY_METADATA,
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
        .custom_resource_enable(kinds)
}

/// Reads `--feature-gates`. Gates of OpenKruise for features that are not here may be off.
///
/// # Errors
/// Names the gate that is unknown or malformed, or that asks for a feature that is not here.
pub fn parse(text: &str, kinds: Option<&str>) -> Result<Gates> {
    let known = text
        .split(',')
        .map(|part| Ok((part, is_moot(part)?)))
        .filter_map(|part: Result<_>| match part {
            Ok((_, true)) => None,
            Ok((part, false)) => Some(Ok(part)),
            Err(error) => Some(Err(error)),
        })
        .collect::<Result<Vec<_>>>()
        .context("--feature-gates")?;
    registry(kinds).parse(&known.join(",")).context("--feature-gates")
}

/// Whether the setting is of another gate of OpenKruise and asks for nothing.
fn is_moot(part: &str) -> Result<bool> {
    let Some((name, value)) = part.split_once('=') else {
        return Ok(false);
    };
    let (name, value) = (name.trim(), value.trim());
    let on = matches!(value, "1" | "t" | "T" | "true" | "TRUE" | "True");
    if name == IMAGE_PULL_JOBS {
        if !on {
            bail!("{name} is always on here; KruiseDaemon=false switches image pulls off");
        }
        return Ok(true);
    }
    if !ABSENT.contains(&name) {
        return Ok(false);
    }
    if on {
        bail!("{name} belongs to a feature that is not part of this program. Remove it from the list.");
    }
    Ok(true)
}

#[cfg(test)]
mod tests {
    use super::*;
    use kruise_core::gates::{KRUISE_DAEMON, POD_WEBHOOK};

    #[test]
    fn the_list_of_openkruises_own_chart_is_understood() {
        let gates = parse("ImagePullJobGate=true", None).unwrap();
        assert!(gates.is_enabled(KRUISE_DAEMON) && gates.is_enabled(POD_WEBHOOK));
    }

    #[test]
    fn a_gate_of_a_feature_that_is_not_here_may_be_off_but_not_on() {
        let gates = parse("SidecarTerminator=false,PodWebhook=false", None).unwrap();
        assert!(!gates.is_enabled(POD_WEBHOOK));
        let refused = format!("{:#}", parse("WorkloadSpread=true", None).unwrap_err());
        assert!(
            refused.starts_with("--feature-gates: WorkloadSpread belongs to"),
            "{refused}"
        );
        assert!(parse("ImagePullJobGate=false", None).is_err());
        assert!(parse("NoSuchGate=false", None).is_err());
    }

    #[test]
    fn the_daemon_understands_the_gates_of_the_manager() {
        let gates = parse("EnableSortSidecarContainerByName=true", None).unwrap();
        assert!(gates.is_enabled(SORT_SIDECARS));
    }

    #[test]
    fn kinds_without_sidecar_set_switch_the_pod_webhook_off() {
        assert!(!parse("", Some("ImagePullJob")).unwrap().is_enabled(POD_WEBHOOK));
    }
}
