use proptest::prelude::*;

use super::*;

const A: Gate = Gate::new("A");
const B: Gate = Gate::new("B");
const C: Gate = Gate::new("C");

fn abc() -> GateRegistry {
    GateRegistry::new()
        .gate(A, false, Stage::Alpha, "First.")
        .gate(B, true, Stage::Beta, "Second.")
        .gate(C, false, Stage::Deprecated, "Third.")
}

#[test]
fn gates_that_are_not_named_keep_their_default() {
    let gates = abc().parse("A=true").unwrap();
    assert_eq!(gates.to_string(), "A=true,B=true,C=false");
    assert_eq!(abc().defaults().unwrap().to_string(), "A=false,B=true,C=false");
}

#[test]
fn blanks_and_empty_parts_are_skipped() {
    let gates = abc().parse(" A = T ,,B=0,").unwrap();
    assert!(gates.is_enabled(A) && !gates.is_enabled(B));
}

#[test]
fn an_unknown_gate_is_refused_with_the_known_ones() {
    let error = abc().parse("D=true").unwrap_err();
    assert_eq!(
        error.to_string(),
        "unknown feature gate \"D\", known are: A, B, C"
    );
}

#[test]
fn duplicates_and_what_is_no_boolean_are_refused() {
    assert_eq!(
        abc().parse("A=true,A=true"),
        Err(GateError::Duplicate { name: "A".into() })
    );
    assert_eq!(
        abc().parse("A=yes"),
        Err(GateError::InvalidValue {
            name: "A".into(),
            value: "yes".into()
        })
    );
    assert_eq!(
        abc().parse("A"),
        Err(GateError::MissingValue { text: "A".into() })
    );
}

#[test]
fn an_off_gate_turns_off_what_requires_it_through_any_number_of_steps() {
    let gates = abc()
        .requires(A, B)
        .requires(B, C)
        .parse("A=true,C=false")
        .unwrap();
    assert_eq!(gates.to_string(), "A=false,B=false,C=false");
    let told: Vec<_> = gates.forced().iter().map(ToString::to_string).collect();
    assert_eq!(told, ["B is off because C is off", "A is off because B is off"]);
}

#[test]
fn an_on_gate_turns_on_what_it_enables() {
    let gates = abc().enables(A, C).parse("A=true,C=false").unwrap();
    assert!(gates.is_enabled(C));
    assert_eq!(gates.forced()[0].to_string(), "C is on because A is on");
    assert!(!abc().enables(A, C).parse("").unwrap().is_enabled(C));
}

#[test]
fn dependencies_that_contradict_each_other_are_refused() {
    // A needs nothing, but turns B on, which may not be on without C.
    let registry = abc().enables(A, B).requires(B, C);
    assert_eq!(
        registry.parse("A=true"),
        Err(GateError::Conflict {
            enabled: "B",
            needed: "C"
        })
    );
    assert!(registry.parse("A=true,C=true").is_ok());
}

#[test]
fn a_circle_of_dependencies_is_followed_once() {
    let registry = abc().requires(A, B).requires(B, A);
    assert_eq!(
        registry.parse("B=true").unwrap().to_string(),
        "A=false,B=false,C=false"
    );
}

#[test]
fn the_gates_of_openkruise_have_its_defaults() {
    assert_eq!(
        GateRegistry::kruise().defaults().unwrap().to_string(),
        "EnableSortSidecarContainerByName=false,KruiseDaemon=true,PodWebhook=true,\
         SidecarSetPatchPodMetadataDefaultsAllowed=false"
    );
}

#[test]
fn a_gate_that_is_no_switch_accepts_its_only_state_and_says_so() {
    let gates = GateRegistry::kruise()
        .parse("ImagePullJobGate=true,CloneSetShortHash=false,KruiseDaemon=true")
        .unwrap();
    let told: Vec<_> = gates.fixed().iter().map(ToString::to_string).collect();
    assert_eq!(
        told,
        [
            "ImagePullJobGate=true changes nothing: image pulls are always there; KruiseDaemon switches them",
            "CloneSetShortHash=false changes nothing: the workload that it is about is not part of kruise-rs",
        ]
    );
    assert!(gates.is_enabled(KRUISE_DAEMON));
}

#[test]
fn a_gate_that_is_no_switch_refuses_the_other_state_with_the_reason() {
    for (text, said) in [
        (
            "ImagePullJobGate=false",
            "feature gate ImagePullJobGate cannot be false: image pulls are always there; KruiseDaemon switches them",
        ),
        (
            "WorkloadSpread=true",
            "feature gate WorkloadSpread cannot be true: this feature is not part of kruise-rs",
        ),
    ] {
        assert_eq!(GateRegistry::kruise().parse(text).unwrap_err().to_string(), said);
    }
    assert!(matches!(
        GateRegistry::kruise().parse("ImagePullJobGate=true,ImagePullJobGate=true"),
        Err(GateError::Duplicate { .. })
    ));
}

/// All gates of OpenKruise after 1.9, see section 6.3 of the specification of image pulls.
const ALL: &str = "PodWebhook KruiseDaemon DaemonWatchingPod CloneSetShortHash KruisePodReadinessGate \
    PreDownloadImageForInPlaceUpdate CloneSetPartitionRollback ResourcesDeletionProtection WorkloadSpread \
    PodUnavailableBudgetDeleteGate PodUnavailableBudgetUpdateGate TemplateNoDefaults InPlaceUpdateEnvFromMetadata \
    StatefulSetAutoDeletePVC SidecarSetPatchPodMetadataDefaultsAllowed SidecarTerminator PodProbeMarkerGate \
    PreDownloadImageForDaemonSetUpdate CloneSetEventHandlerOptimization PreparingUpdateAsUpdate ImagePullJobGate \
    ResourceDistributionGate DeletionProtectionForCRDCascadingGate EnhancedLivenessProbe \
    RecreatePodWhenChangeVCTInCloneSetGate StatefulSetStartOrdinal PodIndexLabel EnableExternalCerts \
    StatefulSetAutoResizePVCGate ForceDeleteTimeoutExpectationGate InPlaceWorkloadVerticalScaling \
    EnablePodProbeMarkerOnServerless EnableSortSidecarContainerByName InPlacePodVerticalScaling \
    DefaultHostNetworkHostPortsInPodTemplates DaemonSetPruneIneligibleNodes";

#[test]
fn every_gate_of_openkruise_is_known_in_both_states() {
    for name in ALL.split_whitespace() {
        let states = [true, false].map(|value| GateRegistry::kruise().parse(&format!("{name}={value}")));
        assert!(states.iter().any(Result::is_ok), "{name}");
        for state in states {
            assert!(!matches!(state, Err(GateError::Unknown { .. })), "{name}");
        }
    }
}

#[test]
fn custom_resources_without_sidecarset_turn_the_default_of_the_pod_webhook_off() {
    for (kinds, flag, on) in [
        (None, "", true),
        (Some(""), "", true),
        (Some(" , "), "", true),
        (Some("CloneSet"), "", false),
        (Some("CloneSet, SidecarSet"), "", true),
        (Some("CloneSet"), "PodWebhook=true", true),
        (Some("SidecarSet"), "PodWebhook=false", false),
    ] {
        let gates = GateRegistry::kruise()
            .custom_resource_enable(kinds)
            .parse(flag)
            .unwrap();
        assert_eq!(gates.is_enabled(POD_WEBHOOK), on, "{kinds:?} {flag:?}");
    }
}

#[test]
fn help_has_a_line_for_each_gate_sorted_by_name() {
    assert_eq!(
        GateRegistry::kruise().help(),
        "EnableSortSidecarContainerByName=true|false (ALPHA - default=false) Sidecars of all sets are sorted by name, not by set.\n\
         KruiseDaemon=true|false (BETA - default=true) Image pulls ahead of time by the node agent.\n\
         PodWebhook=true|false (BETA - default=true) Webhooks for the creation of Pods, which SidecarSet needs.\n\
         SidecarSetPatchPodMetadataDefaultsAllowed=true|false (ALPHA - default=false) Without a whitelist, SidecarSets may patch any annotation of pods."
    );
}

proptest! {
    #[test]
    fn every_accepted_setting_keeps_all_dependencies_and_reads_back_as_itself(
        set in proptest::array::uniform3(any::<bool>()),
        requires in proptest::collection::vec((0usize..3, 0usize..3), 0..4),
        enables in proptest::collection::vec((0usize..3, 0usize..3), 0..4),
    ) {
        let gates = [A, B, C];
        let mut registry = abc();
        for &(a, b) in &requires { registry = registry.requires(gates[a], gates[b]); }
        for &(a, b) in &enables { registry = registry.enables(gates[a], gates[b]); }
        let text = format!("A={},B={},C={}", set[0], set[1], set[2]);
        let Ok(resolved) = registry.parse(&text) else { return Ok(()) };
        for (a, b) in requires.into_iter().chain(enables) {
            prop_assert!(!resolved.is_enabled(gates[a]) || resolved.is_enabled(gates[b]));
        }
        let again = registry.parse(&resolved.to_string()).unwrap();
        prop_assert_eq!(again.forced(), &[]);
        prop_assert_eq!(again.to_string(), resolved.to_string());
    }
}
