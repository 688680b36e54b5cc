//! Puts the explanation of a set together.

use std::collections::{HashMap, HashSet};

use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use kruise_core::api::int_or_percent::{IntOrPercent, Quantity};

use super::model::{
    Amount, ExplainOptions, Explanation, PodExplanation, Strategy, Totals, Unavailable, Verdict,
};
use super::order::Places;
use super::pods::{Judge, explanation, matched, trouble};
use super::problems;
use super::snapshot::{KnownPod, Snapshot};
use super::words::{amount_of, count, selector_text};
use crate::api::names::{SIDECARSET_HASH, SIDECARSET_HASH_WITHOUT_IMAGE};
use crate::api::{SidecarSet, default_sidecar_set};
use crate::plan::upgrade::{Facts, Obstacle, UpgradePlan, plan_upgrade};
use crate::plan::{SidecarPod, Target};

use kruise_core::policy::Verdict as Planned;
use kruise_core::policy::rollout::Hold;

impl Snapshot {
    /// Explains the set of this name; `None` if it is not in the snapshot.
    pub fn explain(&self, name: &str, options: &ExplainOptions) -> Option<Explanation> {
        let set = self.sets.iter().find(|set| set.name() == name)?;
        Some(self.explain_set(set, options))
    }

    /// Explains a set, which need not be in the snapshot, for the pods of the snapshot. O(n log n).
    pub fn explain_set(&self, set: &SidecarSet, options: &ExplainOptions) -> Explanation {
        let mut full = set.clone();
        default_sidecar_set(&mut full, options.form);
        if !options.readmit {
            keep_hashes(set, &mut full);
        }
        let target = Target::compile(&full, options.form);
        let mut own: Vec<&KnownPod> = Vec::new();
        let mut unmatched: Vec<PodExplanation> = Vec::new();
        let mut others = 0;
        for known in &self.pods {
            match matched(&target, known, &self.namespaces) {
                Ok(true) => own.push(known),
                Ok(false) => others += 1,
                Err(verdict) => unmatched.push(explanation(&target, known, verdict)),
            }
        }
        let slim: Vec<&SidecarPod> = own.iter().map(|known| &*known.pod).collect();
        let plan = plan_upgrade(&target, &slim, options.mode);
        let unavailable = unavailable(&target, &own, &plan);
        let strategy = strategy(&full, own.len(), options);
        let judge = Judge {
            set: &full,
            target: &target,
            selector: strategy.selector.as_deref().unwrap_or_default(),
            next: plan.rollout.count,
            unavailable: &unavailable,
        };
        let places = Places::of(&full, &slim, &plan.rollout.order, options);
        let mut pods = judged(&judge, &own, &plan, &places);
        unmatched.sort_by(|a, b| (a.verdict, &a.namespace, &a.name).cmp(&(b.verdict, &b.namespace, &b.name)));
        pods.extend(unmatched);
        let counts = plan.counts;
        let totals = Totals {
            matched: counts.matched,
            updated: counts.updated,
            ready: counts.ready,
            updated_ready: counts.updated_ready,
            not_upgradable: counts.not_upgradable,
            next: plan.rollout.count,
        };
        let mut explanation = Explanation {
            set: set.name().to_owned(),
            summary: summary(&totals, &pods),
            totals,
            strategy,
            unavailable,
            problems: Vec::new(),
            pods,
            other_pods: others,
        };
        let stored = if options.readmit { &full } else { set };
        problems::find(&mut explanation, self, (stored, &full), &target, options.form);
        explanation
    }
}

/// Puts back the hashes that admission wrote.
fn keep_hashes(set: &SidecarSet, full: &mut SidecarSet) {
    if let (Some(hash), Some(without)) = (set.hash(), set.hash_without_image()) {
        let annotations = full.metadata.annotations.get_or_insert_default();
        annotations.insert(SIDECARSET_HASH.to_owned(), hash.to_owned());
        annotations.insert(SIDECARSET_HASH_WITHOUT_IMAGE.to_owned(), without.to_owned());
    }
}

/// The matched pods: those in the order, then the others.
fn judged(judge: &Judge<'_>, own: &[&KnownPod], plan: &UpgradePlan, places: &Places) -> Vec<PodExplanation> {
    let order: HashMap<u32, usize> = plan.rollout.order.iter().copied().zip(1..).collect();
    let resets: HashSet<u32> = plan.resets.iter().copied().collect();
    let mut pods: Vec<PodExplanation> = Vec::with_capacity(own.len());
    for ((known, planned), at) in own.iter().zip(plan.rollout.verdicts()).zip(0_u32..) {
        let verdict = judge.judge(known, &planned, resets.contains(&at));
        let mut pod = explanation(judge.target, known, verdict);
        pod.place = order.get(&at).copied();
        pod.why_here = places.why(at, judge.set, judge.target, &known.pod);
        pods.push(pod);
    }
    pods.sort_by(|a, b| {
        let key = |pod: &PodExplanation| (pod.place.unwrap_or(usize::MAX), pod.verdict);
        (key(a), &a.namespace, &a.name).cmp(&(key(b), &b.namespace, &b.name))
    });
    pods
}

/// Pods that the budget counts as down before any is taken.
fn unavailable(target: &Target, own: &[&KnownPod], plan: &UpgradePlan) -> Vec<Unavailable> {
    let down = own
        .iter()
        .zip(plan.rollout.verdicts())
        .filter(|(known, planned)| match planned {
            Planned::Updated => !Facts::of(target, &known.pod).available,
            Planned::Wait(Hold::Obstacle(Obstacle::InFlight)) => true,
            _ => false,
        });
    let mut found: Vec<Unavailable> = down
        .map(|(known, _)| Unavailable {
            pod: known.pod.pod().key.to_string(),
            reason: trouble(target, known),
        })
        .collect();
    found.sort_by(|a, b| a.pod.cmp(&b.pod));
    found
}

fn strategy(set: &SidecarSet, matched: usize, options: &ExplainOptions) -> Strategy {
    let strategy = &set.spec.update_strategy;
    let amount = |quantity: Quantity, value: &Option<IntOrString>| Amount {
        value: value.as_ref().map_or_else(String::new, amount_of),
        of: matched,
        means: value
            .as_ref()
            .map(IntOrPercent::try_from)
            .transpose()
            .ok()
            .map(|value| quantity.rule(options.mode).scale(value, matched)),
    };
    let mut priority = Vec::new();
    if let Some(terms) = &strategy.priority_strategy {
        let weights = terms.weight_priority.iter();
        priority.extend(weights.map(|term| {
            let selector = selector_text(&term.match_selector);
            format!("weight {} for pods with {selector}", term.weight)
        }));
        if priority.is_empty() {
            let keys = terms.order_priority.iter();
            priority
                .extend(keys.map(|term| format!("the larger number in label {} first", term.ordered_key)));
        }
    }
    let terms = strategy.scatter_strategy.iter();
    Strategy {
        type_: strategy.effective_type().to_string(),
        paused: strategy.paused,
        selector: strategy.selector.as_ref().map(selector_text),
        partition: amount(Quantity::SidecarSetPartition, &strategy.partition),
        max_unavailable: amount(Quantity::SidecarSetMaxUnavailable, &strategy.max_unavailable),
        priority,
        scatter: terms.map(|term| format!("{}={}", term.key, term.value)).collect(),
    }
}

fn summary(totals: &Totals, pods: &[PodExplanation]) -> String {
    if totals.matched == 0 {
        return "it has no pods".to_owned();
    }
    let mut parts = vec![format!(
        "{} of {} updated",
        totals.updated,
        count(totals.matched, "pod")
    )];
    let mut add = |verdicts: &[Verdict], text: &str| {
        let found = pods.iter().filter(|pod| verdicts.contains(&pod.verdict)).count();
        if found > 0 {
            parts.push(format!("{found} {text}"));
        }
    };
    add(&[Verdict::Updating], "not available yet");
    add(&[Verdict::Next], "upgraded next");
    add(&[Verdict::Resetting], "reset next");
    add(&[Verdict::WaitingForBudget], "waiting for budget");
    add(&[Verdict::InFlight, Verdict::Held], "held");
    add(&[Verdict::Paused], "paused");
    add(&[Verdict::KeptByPartition], "kept by partition");
    add(&[Verdict::NotSelected], "not selected");
    add(&[Verdict::NotUpgradable], "not upgradable");
    add(&[Verdict::NotUpdate], "left as they are");
    add(&[Verdict::InvalidSet], "waiting for the set to be mended");
    parts.join(", ")
}
