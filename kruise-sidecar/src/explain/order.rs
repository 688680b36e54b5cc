//! Why a pod stands at its place in the order.

use std::collections::HashMap;

use kruise_core::policy::Labels as _;
use kruise_core::policy::priority::Standing;
use kruise_core::policy::scatter::ANY_VALUE;
use kruise_core::runtime::{ConditionStatus, Phase};

use super::model::ExplainOptions;
use crate::api::SidecarSet;
use crate::plan::upgrade::plan_upgrade;
use crate::plan::{SidecarPod, Target};

/// Where the pods that wait stand with some engines left out: places from 1, by position in the list of matched pods.
pub(super) struct Places {
    ranked: HashMap<u32, usize>,
    prioritised: HashMap<u32, usize>,
    scattered: HashMap<u32, usize>,
}

impl Places {
    /// Plans again without scatter, and without priorities, as far as the set has them. `order` is that of the plan.
    pub(super) fn of(
        set: &SidecarSet,
        matched: &[&SidecarPod],
        order: &[u32],
        options: &ExplainOptions,
    ) -> Self {
        let strategy = &set.spec.update_strategy;
        let places = |order: &[u32]| order.iter().copied().zip(1..).collect::<HashMap<u32, usize>>();
        let without = |priority: bool| {
            let mut plain = set.clone();
            plain.spec.update_strategy.scatter_strategy.clear();
            if priority {
                plain.spec.update_strategy.priority_strategy = None;
            }
            let target = Target::compile(&plain, options.form);
            places(&plan_upgrade(&target, matched, options.mode).rollout.order)
        };
        let scattered = places(order);
        let prioritised = match strategy.scatter_strategy.is_empty() {
            true => scattered.clone(),
            false => without(false),
        };
        let ranked = match strategy.priority_strategy.is_some() {
            false => prioritised.clone(),
            true => without(true),
        };
        Self {
            ranked,
            prioritised,
            scattered,
        }
    }

    /// Why a pod stands where it does; `None` if it is not in the order.
    pub(super) fn why(&self, at: u32, set: &SidecarSet, target: &Target, pod: &SidecarPod) -> Option<String> {
        let place = self.scattered.get(&at)?;
        let mut reasons = vec![standing(pod)];
        let ranked = self.ranked.get(&at).unwrap_or(place);
        let prioritised = self.prioritised.get(&at).unwrap_or(place);
        if let Some(words) = target
            .priority()
            .and_then(|priority| match priority.explain(pod) {
                Standing::None => None,
                Standing::Weight(weight) => Some(format!("weight {weight}")),
                Standing::NoKey => Some("has no key of orderPriority".to_owned()),
                Standing::Key { key, number } => Some(format!("{key} is {number}")),
            })
        {
            reasons.push(words + &moved(*ranked, *prioritised));
        }
        let terms = set.spec.update_strategy.scatter_strategy.iter();
        let mut own: Vec<String> = terms
            .filter_map(|term| {
                let value = pod.label(&term.key).unwrap_or_default();
                (term.value == ANY_VALUE || term.value == value).then(|| format!("{}={value}", term.key))
            })
            .collect();
        own.dedup();
        let shifted = moved(*prioritised, *place);
        if !shifted.is_empty() {
            let words = match own.is_empty() {
                true => "makes way for scattered pods".to_owned(),
                false => format!("scattered by {}", own.join(", ")),
            };
            reasons.push(words + &shifted);
        }
        Some(reasons.join("; "))
    }
}

fn moved(from: usize, to: usize) -> String {
    match from == to {
        true => String::new(),
        false => format!(" (from place {from} to {to})"),
    }
}

/// What the default order goes by.
fn standing(pod: &SidecarPod) -> String {
    let pod = pod.pod();
    let restarts = pod
        .container_statuses
        .iter()
        .map(|status| status.restart_count)
        .max();
    let restarts = match restarts.unwrap_or(0) {
        0 => String::new(),
        number => format!(", restarts {number}"),
    };
    let ready = pod
        .condition("Ready")
        .filter(|ready| ready.status == ConditionStatus::True);
    let state = match (&pod.node_name, pod.phase, ready) {
        (None, _, _) => "not assigned to a node".to_owned(),
        (_, Phase::Pending, _) => "Pending".to_owned(),
        (_, Phase::Running, None) => "not ready".to_owned(),
        (_, Phase::Running, Some(ready)) => match ready.last_transition_time {
            Some(since) => format!("ready since {since}"),
            None => "ready".to_owned(),
        },
        _ => "phase unknown".to_owned(),
    };
    state + &restarts
}
