//! Which pods the API server has to send: from the selectors of the sets to those of the webhook configuration.
//!
//! A label selector joins requirements by "and", so it cannot say "of one set or of another". What it can say of several
//! sets is what all of them ask for: if each asks for a value of `app`, then `app` is one of these values. Sets with a
//! key in common become one scope, a set that has none with others becomes one of its own.

use std::collections::{BTreeMap, BTreeSet};

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{LabelSelector, LabelSelectorRequirement};
use kruise_core::webhook::Scope;

use crate::api::names::NAMESPACE_NAME;
use crate::api::validation::fields::{is_key, is_label_value};
use crate::api::{Scope as SetScope, SidecarSetSpec};

/// With more values, a label is only asked to be there: the API server goes through all of them for every pod, and the
/// configuration has to fit into one object.
const MOST_VALUES: usize = 1000;

/// What is asked of one label.
#[derive(Clone, Debug, Default, PartialEq)]
struct Rule {
    /// It has one of these values.
    one_of: Option<BTreeSet<String>>,
    none_of: BTreeSet<String>,
    exists: bool,
    absent: bool,
}

impl Rule {
    /// Whether it must be there.
    fn is_positive(&self) -> bool {
        self.one_of.is_some() || self.exists
    }

    /// What follows from either of two positive ones.
    fn either(&self, other: &Self) -> Self {
        let both = self.one_of.as_ref().zip(other.one_of.as_ref());
        Self {
            one_of: both.map(|(one, other)| one | other),
            none_of: &self.none_of & &other.none_of,
            exists: true,
            absent: false,
        }
    }

    fn requirements(&self, key: &str) -> Vec<LabelSelectorRequirement> {
        let requirement = |operator: &str, values: Option<&BTreeSet<String>>| LabelSelectorRequirement {
            key: key.to_owned(),
            operator: operator.to_owned(),
            values: values.map(|values| values.iter().cloned().collect()),
        };
        let mut all = Vec::new();
        if let Some(values) = self.one_of.as_ref().filter(|values| values.len() <= MOST_VALUES) {
            all.push(requirement("In", Some(values)));
        } else if self.is_positive() {
            all.push(requirement("Exists", None));
        }
        if self.absent {
            all.push(requirement("DoesNotExist", None));
        }
        if !self.none_of.is_empty() {
            all.push(requirement("NotIn", Some(&self.none_of)));
        }
        all
    }
}

/// Whether a label is one of the namespace or of the pod. Pods' come first: they tell more.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Of {
    Pod,
    Namespace,
}

/// All that a set asks for.
type Rules = BTreeMap<(Of, String), Rule>;

/// The scopes of all pods that these sets select, and of as few others as can be told. `always` is asked of every
/// namespace besides. If there would be more than `most`, there is one for all pods. Unless namespaces are `labelled` with
/// their names, nothing is asked of these.
pub(super) fn scopes<'s>(
    specs: impl IntoIterator<Item = &'s SidecarSetSpec>,
    always: &[LabelSelectorRequirement],
    most: usize,
    labelled: bool,
) -> Vec<Scope> {
    let mut waiting: Vec<Rules> = specs.into_iter().filter_map(rules).collect();
    if !labelled {
        for rules in &mut waiting {
            rules.remove(&(Of::Namespace, NAMESPACE_NAME.to_owned()));
        }
    }
    let mut groups: Vec<Rules> = Vec::new();
    while let Some(key) = most_common(&waiting) {
        let (with, without) = waiting
            .into_iter()
            .partition(|rules: &Rules| rules.get(&key).is_some_and(Rule::is_positive));
        waiting = without;
        groups.extend(with.into_iter().reduce(|group, rules| both(&group, &rules)));
    }
    // These ask for no label, but for the absence of some.
    for rules in waiting {
        if !groups.contains(&rules) {
            groups.push(rules);
        }
    }
    if groups.len() > most {
        groups = vec![Rules::new()];
    }
    groups.iter().map(|rules| scope(rules, always)).collect()
}

/// `None` if no pod can satisfy it, or the set is not for any pod.
fn rules(spec: &SidecarSetSpec) -> Option<Rules> {
    let pods = spec.selector.as_ref()?;
    let names_nothing = pods.match_labels.as_ref().is_none_or(BTreeMap::is_empty)
        && pods.match_expressions.as_ref().is_none_or(Vec::is_empty);
    if names_nothing || spec.injection_strategy.paused || SetScope::compile(spec).is_err() {
        return None;
    }
    let mut rules = Rules::new();
    read(Of::Pod, pods, &mut rules);
    if let Some(namespaces) = &spec.namespace_selector {
        read(Of::Namespace, namespaces, &mut rules);
    }
    if !spec.namespace.is_empty() {
        ask(
            &mut rules,
            Of::Namespace,
            NAMESPACE_NAME,
            "In",
            std::slice::from_ref(&spec.namespace),
        );
    }
    // The API server refuses a configuration with keys and values that no label can have.
    let mut possible = true;
    rules.retain(|(_, key), rule| {
        rule.none_of.retain(|value| is_label_value(value));
        if let Some(values) = &mut rule.one_of {
            values.retain(|value| is_label_value(value));
            possible &= !values.is_empty();
        }
        let is_key = is_key(key);
        possible &= is_key || !rule.is_positive();
        is_key && *rule != Rule::default()
    });
    possible.then_some(rules)
}

fn read(of: Of, selector: &LabelSelector, rules: &mut Rules) {
    for (key, value) in selector.match_labels.iter().flatten() {
        ask(rules, of, key, "In", std::slice::from_ref(value));
    }
    for requirement in selector.match_expressions.iter().flatten() {
        let values = requirement.values.as_deref().unwrap_or_default();
        ask(rules, of, &requirement.key, &requirement.operator, values);
    }
}

fn ask(rules: &mut Rules, of: Of, key: &str, operator: &str, values: &[String]) {
    let rule = rules.entry((of, key.to_owned())).or_default();
    let values: BTreeSet<String> = values.iter().cloned().collect();
    match operator {
        "In" => {
            rule.one_of = Some(match rule.one_of.take() {
                Some(held) => &held & &values,
                None => values,
            });
        }
        "NotIn" => rule.none_of.extend(values),
        "Exists" => rule.exists = true,
        _ => rule.absent = true,
    }
}

/// The label that most sets want to be there.
fn most_common(waiting: &[Rules]) -> Option<(Of, String)> {
    let mut counts: BTreeMap<&(Of, String), usize> = BTreeMap::new();
    for (key, _) in waiting.iter().flatten().filter(|(_, rule)| rule.is_positive()) {
        *counts.entry(key).or_default() += 1;
    }
    // Of equally many the first.
    let most = counts.into_iter().rev().max_by_key(|(_, count)| *count);
    most.map(|(key, _)| key.clone())
}

/// What both ask for.
fn both(one: &Rules, other: &Rules) -> Rules {
    let shared = one.iter().filter_map(|(key, rule)| {
        let theirs = other.get(key)?;
        if rule.is_positive() && theirs.is_positive() {
            return Some((key.clone(), rule.either(theirs)));
        }
        (rule == theirs).then(|| (key.clone(), rule.clone()))
    });
    shared.collect()
}

fn scope(rules: &Rules, always: &[LabelSelectorRequirement]) -> Scope {
    let select = |of: Of, also: &[LabelSelectorRequirement]| {
        let rules = rules.iter().filter(|((held, _), _)| *held == of);
        let asked = rules.flat_map(|((_, key), rule)| rule.requirements(key));
        let expressions: Vec<_> = asked.chain(also.iter().cloned()).collect();
        LabelSelector {
            match_expressions: (!expressions.is_empty()).then_some(expressions),
            ..LabelSelector::default()
        }
    };
    Scope {
        namespaces: select(Of::Namespace, always),
        objects: select(Of::Pod, &[]),
    }
}

#[cfg(test)]
mod tests;
