//! The strategies.

use std::collections::BTreeSet;

use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use kruise_core::policy::UpdatePriorityStrategy;

use super::super::strategy::{InjectionStrategy, UpdateStrategy};
use super::super::words::{InjectRevisionPolicy, UpdateStrategyType};
use super::error::{Errors, ValidationErrorKind as Kind};
use super::{ValidationContext, fields};

const PATH: &str = "spec.updateStrategy";

/// Only a strategy that updates is looked at: another one does nothing.
pub(super) fn check_update(strategy: &UpdateStrategy, errors: &mut Errors) {
    match strategy.effective_type() {
        UpdateStrategyType::NotUpdate => return,
        UpdateStrategyType::RollingUpdate => {}
        UpdateStrategyType::Other(text) => {
            errors.add(format!("{PATH}.type"), Kind::UnknownUpdateStrategy(text.clone()));
            return;
        }
    }
    if let Some(selector) = &strategy.selector {
        fields::check_selector(&format!("{PATH}.selector"), selector, errors);
    }
    let partition = strategy.partition.as_ref();
    for (field, value) in [
        ("partition", partition),
        ("maxUnavailable", strategy.max_unavailable.as_ref()),
    ] {
        if let Some(kind) = value.and_then(wrong_amount) {
            errors.add(format!("{PATH}.{field}"), kind);
        }
    }
    let keeps = partition.is_some_and(|partition| *partition != IntOrString::Int(0));
    if strategy.selector.is_some() && keeps {
        errors.add(format!("{PATH}.partition"), Kind::PartitionWithSelector);
    }
    let mut seen = BTreeSet::new();
    for (index, term) in strategy.scatter_strategy.iter().enumerate() {
        let path = format!("{PATH}.scatterStrategy[{index}]");
        if term.key.is_empty() {
            errors.add(format!("{path}.key"), Kind::Required);
        }
        if !seen.insert((&term.key, &term.value)) {
            errors.add(path, Kind::Twice);
        }
    }
    if let Some(priority) = &strategy.priority_strategy {
        check_priority(priority, errors);
    }
}

fn check_priority(priority: &UpdatePriorityStrategy, errors: &mut Errors) {
    let path = format!("{PATH}.priorityStrategy");
    if !priority.weight_priority.is_empty() && !priority.order_priority.is_empty() {
        errors.add(&path, Kind::WeightAndOrder);
    }
    for (index, term) in priority.weight_priority.iter().enumerate() {
        let path = format!("{path}.weightPriority[{index}]");
        if !(0..=100).contains(&term.weight) {
            errors.add(format!("{path}.weight"), Kind::BadWeight);
        }
        fields::check_selector(&format!("{path}.matchSelector"), &term.match_selector, errors);
    }
    for (index, term) in priority.order_priority.iter().enumerate() {
        if term.ordered_key.is_empty() {
            errors.add(
                format!("{path}.orderPriority[{index}].orderedKey"),
                Kind::Required,
            );
        }
    }
}

pub(super) fn check_injection(
    strategy: &InjectionStrategy,
    context: &ValidationContext<'_>,
    errors: &mut Errors,
) {
    let Some(revision) = &strategy.revision else {
        return;
    };
    let path = "spec.injectionStrategy.revision";
    if revision.revision_name.is_none() && revision.custom_version.is_none() {
        errors.add(path, Kind::NoRevision);
    } else if context.revision_exists == Some(false) {
        errors.add(path, Kind::RevisionNotFound);
    }
    if let Some(InjectRevisionPolicy::Other(text)) = &revision.policy {
        errors.add(
            format!("{path}.policy"),
            Kind::UnknownRevisionPolicy(text.clone()),
        );
    }
}

/// What is wrong with a number or percentage: whole ones only, as OpenKruise's rule is digits and a percent sign.
fn wrong_amount(value: &IntOrString) -> Option<Kind> {
    match value {
        IntOrString::Int(number) => (*number < 0).then_some(Kind::Negative),
        IntOrString::String(text) => {
            let digits = text.strip_suffix('%').unwrap_or_default();
            let legal = !digits.is_empty()
                && digits.bytes().all(|byte| byte.is_ascii_digit())
                && digits.parse::<u32>().is_ok();
            (!legal).then(|| Kind::NotAPercentage(text.clone()))
        }
    }
}
