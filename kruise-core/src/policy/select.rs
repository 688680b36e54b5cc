//! Label selectors, compiled once and matched without allocation.

use std::collections::{BTreeMap, BTreeSet};

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{LabelSelector, LabelSelectorRequirement};

use super::Labels;

/// Why a label selector means nothing.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SelectorError {
    /// A requirement without a key.
    #[error("matchExpressions[{index}] has no key")]
    NoKey {
        /// Position in `matchExpressions`.
        index: usize,
    },
    /// An operator that does not exist.
    #[error("matchExpressions[{index}] has the unknown operator {operator:?}")]
    UnknownOperator {
        /// Position in `matchExpressions`.
        index: usize,
        /// The operator.
        operator: String,
    },
    /// `In` or `NotIn` without values.
    #[error("matchExpressions[{index}] needs values")]
    ValuesRequired {
        /// Position in `matchExpressions`.
        index: usize,
    },
    /// `Exists` or `DoesNotExist` with values.
    #[error("matchExpressions[{index}] must not have values")]
    ValuesForbidden {
        /// Position in `matchExpressions`.
        index: usize,
    },
}

/// A compiled label selector.
///
/// What several requirements say of one key is merged, so that a match asks for each key once, and two selectors can
/// be compared exactly.
/// ```
/// use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
/// use kruise_core::policy::Selector;
/// use std::collections::BTreeMap;
///
/// let wire: LabelSelector = serde_json::from_str(
///     r#"{"matchLabels": {"app": "web"}, "matchExpressions": [{"key": "tier", "operator": "NotIn", "values": ["gold"]}]}"#,
/// ).unwrap();
/// let selector = Selector::compile(&wire)?;
/// let mut labels = BTreeMap::from([("app".to_owned(), "web".to_owned())]);
/// assert!(selector.matches(&labels));
/// labels.insert("tier".to_owned(), "gold".to_owned());
/// assert!(!selector.matches(&labels));
/// # Ok::<(), kruise_core::policy::SelectorError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Selector(Vec<(Box<str>, Rule)>);

/// What a selector says of one key.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Rule {
    /// The label has one of these values, sorted; none of them can not be satisfied.
    OneOf(Box<[Box<str>]>),
    /// The label exists, and has none of these values, sorted.
    Other(Box<[Box<str>]>),
    /// The label does not exist, or has none of these values, sorted.
    AbsentOrOther(Box<[Box<str>]>),
    /// The label does not exist.
    Absent,
}

impl Rule {
    fn allows(&self, value: Option<&str>) -> bool {
        let among = |values: &[Box<str>], value: &str| match values {
            [only] => **only == *value,
            values => values.binary_search_by(|held| (**held).cmp(value)).is_ok(),
        };
        match (self, value) {
            (Self::OneOf(values), Some(value)) => among(values, value),
            (Self::Other(values) | Self::AbsentOrOther(values), Some(value)) => !among(values, value),
            (Self::AbsentOrOther(_) | Self::Absent, None) => true,
            (Self::OneOf(_) | Self::Other(_), None) | (Self::Absent, Some(_)) => false,
        }
    }

    /// Whether some label satisfies both. Values are any text, so a finite list of forbidden ones leaves others.
    fn meets(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::OneOf(values), rule) | (rule, Self::OneOf(values)) => {
                values.iter().any(|value| rule.allows(Some(value)))
            }
            (Self::Absent, rule) | (rule, Self::Absent) => rule.allows(None),
            (Self::Other(_) | Self::AbsentOrOther(_), Self::Other(_) | Self::AbsentOrOther(_)) => true,
        }
    }
}

/// All that was said of one key.
#[derive(Default)]
struct Said<'s> {
    one_of: Option<BTreeSet<&'s str>>,
    none_of: BTreeSet<&'s str>,
    exists: bool,
    absent: bool,
}

impl<'s> Said<'s> {
    fn one_of(&mut self, values: BTreeSet<&'s str>) {
        self.one_of = Some(match self.one_of.take() {
            None => values,
            Some(held) => held.intersection(&values).copied().collect(),
        });
    }

    fn rule(self) -> Rule {
        let boxed = |values: BTreeSet<&str>| values.into_iter().map(Box::from).collect();
        match self.one_of {
            Some(_) if self.absent => Rule::OneOf(Box::default()),
            Some(values) => Rule::OneOf(boxed(values.difference(&self.none_of).copied().collect())),
            None if self.absent && self.exists => Rule::OneOf(Box::default()),
            None if self.absent => Rule::Absent,
            None if self.exists => Rule::Other(boxed(self.none_of)),
            None => Rule::AbsentOrOther(boxed(self.none_of)),
        }
    }
}

impl Selector {
    /// Compiles a selector. An empty one matches everything; for an absent one the API that has it must say what is
    /// meant, [`Selector::everything`] or [`Selector::nothing`].
    ///
    /// # Errors
    /// The first requirement that means nothing.
    pub fn compile(selector: &LabelSelector) -> Result<Self, SelectorError> {
        let mut said: BTreeMap<&str, Said<'_>> = BTreeMap::new();
        for (key, value) in selector.match_labels.iter().flatten() {
            said.entry(key).or_default().one_of([value.as_str()].into());
        }
        for (index, requirement) in selector.match_expressions.iter().flatten().enumerate() {
            let entry = said.entry(&requirement.key).or_default();
            read_requirement(index, requirement, entry)?;
        }
        Ok(Self(
            said.into_iter()
                .map(|(key, said)| (key.into(), said.rule()))
                .collect(),
        ))
    }

    /// The selector that matches everything.
    pub const fn everything() -> Self {
        Self(Vec::new())
    }

    /// The selector that matches nothing: what an invalid one amounts to.
    pub fn nothing() -> Self {
        Self(vec![(Box::default(), Rule::OneOf(Box::default()))])
    }

    /// Returns whether these labels match.
    pub fn matches(&self, labels: &(impl Labels + ?Sized)) -> bool {
        self.0.iter().all(|(key, rule)| rule.allows(labels.label(key)))
    }

    /// Returns whether it matches everything.
    pub fn is_everything(&self) -> bool {
        self.0.is_empty()
    }

    /// Returns whether some set of labels matches both. Exact: key by key, as keys do not depend on each other.
    pub fn overlaps(&self, other: &Self) -> bool {
        let satisfiable = |selector: &Self| selector.0.iter().all(|(_, rule)| rule.meets(rule));
        let shared = self.0.iter().all(|(key, rule)| {
            let at = other.0.binary_search_by(|(held, _)| held.cmp(key));
            at.ok()
                .and_then(|at| other.0.get(at))
                .is_none_or(|(_, theirs)| rule.meets(theirs))
        });
        shared && satisfiable(self) && satisfiable(other)
    }
}

fn read_requirement<'s>(
    index: usize,
    requirement: &'s LabelSelectorRequirement,
    said: &mut Said<'s>,
) -> Result<(), SelectorError> {
    if requirement.key.is_empty() {
        return Err(SelectorError::NoKey { index });
    }
    let values: BTreeSet<&str> = requirement.values.iter().flatten().map(String::as_str).collect();
    let operator = requirement.operator.as_str();
    match operator {
        "In" | "NotIn" if values.is_empty() => return Err(SelectorError::ValuesRequired { index }),
        "Exists" | "DoesNotExist" if !values.is_empty() => {
            return Err(SelectorError::ValuesForbidden { index });
        }
        "In" => said.one_of(values),
        "NotIn" => said.none_of.extend(values),
        "Exists" => said.exists = true,
        "DoesNotExist" => said.absent = true,
        _ => {
            return Err(SelectorError::UnknownOperator {
                index,
                operator: operator.to_owned(),
            });
        }
    }
    Ok(())
}
