//! What is wrong with a set itself, or worth knowing of it.

use super::model::{Explanation, Problem, Severity, Verdict};
use super::snapshot::Snapshot;
use super::words::{chain, count};
use crate::api::names::SIDECARSET_HASH;
use crate::api::{
    HashForm, SidecarSet, ValidationContext, default_sidecar_set, hashes, validate_conflicts,
    validate_sidecar_set,
};
use crate::plan::Target;

/// Adds the problems that follow from the set and the explanation's numbers. `set` is as it is stored, `full` has its defaults.
pub(super) fn find(
    explanation: &mut Explanation,
    snapshot: &Snapshot,
    (set, full): (&SidecarSet, &SidecarSet),
    target: &Target,
    form: HashForm,
) {
    let mut found = Vec::new();
    let mut add = |severity, text: String| found.push(Problem { severity, text });
    if let Some(error) = target.error() {
        add(Severity::Error, chain(&error));
    }
    let context = ValidationContext {
        allow_any_metadata: true,
        ..ValidationContext::default()
    };
    for error in validate_sidecar_set(full, &context) {
        add(Severity::Warning, format!("admission would refuse it: {error}"));
    }
    let others: Vec<SidecarSet> = snapshot
        .sets
        .iter()
        .filter(|other| other.name() != set.name())
        .cloned()
        .map(|mut other| {
            default_sidecar_set(&mut other, form);
            other
        })
        .collect();
    for error in validate_conflicts(full, &others) {
        add(Severity::Warning, error.to_string());
    }
    hash(set, form, &mut add);
    strategy(explanation, set, &mut add);
    for (verdict, one, several) in [
        (
            Verdict::NotUpgradable,
            "differs in more than images and is not upgraded",
            "differ in more than images and are not upgraded",
        ),
        (
            Verdict::NotInjected,
            "was created without the sidecars",
            "were created without the sidecars",
        ),
        (
            Verdict::LacksContainer,
            "lacks a container that the set got later",
            "lack a container that the set got later",
        ),
        (
            Verdict::NamespaceUnknown,
            "is in a namespace whose labels are not known",
            "are in namespaces whose labels are not known",
        ),
    ] {
        let pods = explanation
            .pods
            .iter()
            .filter(|pod| pod.verdict == verdict)
            .count();
        if pods > 0 {
            let text = if pods == 1 { one } else { several };
            add(Severity::Warning, format!("{} {text}", count(pods, "pod")));
        }
    }
    found.sort_by_key(|problem| problem.severity);
    explanation.problems = found;
}

fn hash(set: &SidecarSet, form: HashForm, add: &mut impl FnMut(Severity, String)) {
    let own = hashes(&set.spec, form);
    match set.hash() {
        None => add(
            Severity::Warning,
            format!(
                "it has no annotation {SIDECARSET_HASH}, so it has not passed the admission webhook: the hash is computed here"
            ),
        ),
        Some(held) if held != own.hash => add(
            Severity::Warning,
            format!(
                "its annotation {SIDECARSET_HASH} is not the hash of its containers: it was written without admission, or by a \
                 release that hashes differently; the annotation is used"
            ),
        ),
        Some(_) => {}
    }
}

fn strategy(explanation: &Explanation, set: &SidecarSet, add: &mut impl FnMut(Severity, String)) {
    let strategy = &explanation.strategy;
    let old = explanation
        .totals
        .matched
        .saturating_sub(explanation.totals.updated);
    if strategy.paused {
        add(
            Severity::Note,
            format!(
                "spec.updateStrategy.paused stops upgrades; {} not updated",
                count(old, "pod")
            ),
        );
    }
    if old > 0 && strategy.max_unavailable.means == Some(0) {
        add(
            Severity::Warning,
            "maxUnavailable comes to 0, so no available pod is ever upgraded".to_owned(),
        );
    }
    if set.spec.injection_strategy.paused {
        add(
            Severity::Note,
            "spec.injectionStrategy.paused: new pods do not get the sidecars".to_owned(),
        );
    }
    if let Some(revision) = &set.spec.injection_strategy.revision {
        let which = revision
            .revision_name
            .as_ref()
            .or(revision.custom_version.as_ref());
        if let Some(which) = which {
            add(
                Severity::Note,
                format!(
                    "spec.injectionStrategy.revision: new pods get revision {which} and may need an upgrade"
                ),
            );
        }
    }
    let (observed, generation) = (
        set.status.as_ref().map_or(0, |status| status.observed_generation),
        set.metadata.generation.unwrap_or(0),
    );
    if observed < generation {
        add(
            Severity::Note,
            format!(
                "the controller has not seen the last change: generation {generation}, observed {observed}"
            ),
        );
    }
}
