//! `priorityStrategy`: which members go first because of their labels.

use std::cmp::Reverse;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Labels;
use super::select::{Selector, SelectorError};

/// The field `priorityStrategy` as it is written. With both lists, only the weights count.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct UpdatePriorityStrategy {
    /// Order terms: members are ordered by the number at the end of a label's value, larger first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub order_priority: Vec<UpdatePriorityOrderTerm>,
    /// Weight terms: members are ordered by the sum of the weights of the terms they match, larger first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub weight_priority: Vec<UpdatePriorityWeightTerm>,
}

/// One order term.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct UpdatePriorityOrderTerm {
    /// Key of the label whose value ends with a number.
    pub ordered_key: String,
}

/// One weight term.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct UpdatePriorityWeightTerm {
    /// Weight of the term, 0 to 100.
    pub weight: i32,
    /// The members that it is given to.
    pub match_selector: LabelSelector,
}

/// A weight term whose selector means nothing.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("weightPriority[{index}].matchSelector is not valid")]
pub struct PriorityError {
    /// Position in `weightPriority`.
    pub index: usize,
    /// What is wrong with it.
    #[source]
    pub source: SelectorError,
}

/// A compiled `priorityStrategy`.
///
/// Members of equal priority keep the order that they had. As in OpenKruise (and against its documentation), a
/// member that has none of the ordered keys goes before those that have one.
/// ```
/// use kruise_core::policy::{Priority, UpdatePriorityStrategy};
/// use std::collections::BTreeMap;
///
/// let wire: UpdatePriorityStrategy = serde_json::from_str(r#"{"orderPriority": [{"orderedKey": "shard"}]}"#).unwrap();
/// let priority = Priority::compile(&wire)?;
/// let members = ["s-3", "s-12"].map(|shard| BTreeMap::from([("shard".to_owned(), shard.to_owned())]));
/// let mut order = [0, 1];
/// priority.sort(&members, &mut order);
/// assert_eq!(order, [1, 0]);
/// # Ok::<(), kruise_core::policy::priority::PriorityError>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Priority(Terms);

#[derive(Clone, Debug, Default, PartialEq, Eq)]
enum Terms {
    #[default]
    None,
    Weights(Vec<(i64, Selector)>),
    Keys(Vec<Box<str>>),
}

impl Priority {
    /// Compiles a strategy.
    ///
    /// # Errors
    /// The first weight term whose selector means nothing. OpenKruise lets such a term match nothing.
    pub fn compile(strategy: &UpdatePriorityStrategy) -> Result<Self, PriorityError> {
        if !strategy.weight_priority.is_empty() {
            let terms = strategy.weight_priority.iter().enumerate();
            let weights = terms.map(|(index, term)| {
                let selector = Selector::compile(&term.match_selector)
                    .map_err(|source| PriorityError { index, source })?;
                Ok((i64::from(term.weight), selector))
            });
            return Ok(Self(Terms::Weights(weights.collect::<Result<_, _>>()?)));
        }
        if strategy.order_priority.is_empty() {
            return Ok(Self(Terms::None));
        }
        let keys = strategy.order_priority.iter();
        Ok(Self(Terms::Keys(
            keys.map(|term| term.ordered_key.as_str().into()).collect(),
        )))
    }

    /// Sorts positions of `members`, stably: O(n) looks at labels, O(n log n) comparisons of numbers.
    ///
    /// Positions that are not of `members` count as members without labels.
    pub fn sort<M: Labels>(&self, members: &[M], order: &mut [u32]) {
        let member = |at: u32| usize::try_from(at).ok().and_then(|at| members.get(at));
        match &self.0 {
            Terms::None => {}
            Terms::Weights(weights) => order.sort_by_cached_key(|&at| Reverse(weight(weights, &member(at)))),
            Terms::Keys(keys) => order.sort_by_cached_key(|&at| level(keys, &member(at))),
        }
    }

    /// Returns what the order goes by for one member, to explain it: the sum of its weights, or the key that counts
    /// and its number.
    pub fn explain(&self, member: &impl Labels) -> Standing<'_> {
        match &self.0 {
            Terms::None => Standing::None,
            Terms::Weights(weights) => Standing::Weight(weight(weights, member)),
            Terms::Keys(keys) => match keyed(keys, member) {
                None => Standing::NoKey,
                Some((level, number)) => Standing::Key {
                    key: keys.get(level).map_or("", |key| key),
                    number,
                },
            },
        }
    }
}

/// What the order of a member goes by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing<'k> {
    /// There are no terms.
    None,
    /// The sum of the weights of the terms that it matches.
    Weight(i64),
    /// It has none of the ordered keys.
    NoKey,
    /// It has this key, the first of those listed.
    Key {
        /// The key.
        key: &'k str,
        /// The number at the end of its value.
        number: i64,
    },
}

fn weight(terms: &[(i64, Selector)], member: &impl Labels) -> i64 {
    let matching = terms.iter().filter(|(_, selector)| selector.matches(member));
    matching
        .map(|(weight, _)| weight)
        .fold(0, |sum, weight| sum.saturating_add(*weight))
}

/// `None` is smaller than any level: no key goes first.
fn level(keys: &[Box<str>], member: &impl Labels) -> Option<(usize, Reverse<i64>)> {
    keyed(keys, member).map(|(level, number)| (level, Reverse(number)))
}

fn keyed(keys: &[Box<str>], member: &impl Labels) -> Option<(usize, i64)> {
    keys.iter()
        .enumerate()
        .find_map(|(level, key)| Some((level, trailing_number(member.label(key)?))))
}

/// The decimal digits at the end of a value as a number; 0 if there are none or too many.
fn trailing_number(value: &str) -> i64 {
    let digits = value.len() - value.bytes().rev().take_while(u8::is_ascii_digit).count();
    value
        .get(digits..)
        .and_then(|digits| digits.parse().ok())
        .unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    type Member = BTreeMap<String, String>;

    fn members(labels: &[&[(&str, &str)]]) -> Vec<Member> {
        let own = |(key, value): &(&str, &str)| ((*key).to_owned(), (*value).to_owned());
        labels.iter().map(|of| of.iter().map(own).collect()).collect()
    }

    fn sorted(strategy: serde_json::Value, members: &[Member]) -> Vec<u32> {
        let strategy: UpdatePriorityStrategy = serde_json::from_value(strategy).expect("a strategy");
        let mut order: Vec<u32> = (0..members.len() as u32).collect();
        Priority::compile(&strategy)
            .expect("valid")
            .sort(members, &mut order);
        order
    }

    fn weights() -> serde_json::Value {
        serde_json::json!({"weightPriority": [
            {"weight": 50, "matchSelector": {"matchLabels": {"k": "foo"}}},
            {"weight": 30, "matchSelector": {"matchLabels": {"z": "b"}}},
        ]})
    }

    #[test]
    fn example_p1_larger_sums_of_weights_go_first() {
        let pods = members(&[
            &[("k", "foo")],
            &[("z", "b")],
            &[("k", "foo"), ("z", "b")],
            &[],
            &[("z", "b")],
        ]);
        assert_eq!(sorted(weights(), &pods), [2, 0, 1, 4, 3]);
    }

    #[test]
    fn example_p2_equal_priorities_keep_their_order() {
        assert_eq!(sorted(weights(), &members(&[&[], &[], &[]])), [0, 1, 2]);
    }

    #[test]
    fn example_p3_levels_then_numbers_and_no_key_first() {
        let pods = members(&[
            &[("k1", "5")],
            &[("k1", "sts-10")],
            &[("k2", "7")],
            &[],
            &[("k1", "abc")],
            &[("k1", "a9"), ("k2", "99")],
        ]);
        let strategy = serde_json::json!({"orderPriority": [{"orderedKey": "k1"}, {"orderedKey": "k2"}]});
        assert_eq!(sorted(strategy, &pods), [3, 1, 5, 0, 4, 2]);
    }

    #[test]
    fn example_p4_digits_at_the_end() {
        let numbers = [
            "5",
            "sts-10",
            "v1.20",
            "abc",
            "",
            "007",
            "a9b",
            "99999999999999999999",
            "é7",
        ];
        let read: Vec<i64> = numbers.iter().map(|value| trailing_number(value)).collect();
        assert_eq!(read, [5, 10, 20, 0, 0, 7, 0, 0, 7]);
    }

    #[test]
    fn examples_l12_and_l13() {
        let tiers = members(&[&[], &[("tier", "silver")], &[("tier", "gold")], &[]]);
        let strategy = serde_json::json!({"weightPriority": [
            {"weight": 40, "matchSelector": {"matchLabels": {"tier": "gold"}}},
            {"weight": 25, "matchSelector": {"matchLabels": {"tier": "silver"}}},
        ]});
        assert_eq!(sorted(strategy, &tiers), [2, 1, 0, 3]);
        let shards = members(&[&[("shard", "s-3")], &[("shard", "s-12")], &[("shard", "x")], &[]]);
        let strategy = serde_json::json!({"orderPriority": [{"orderedKey": "shard"}]});
        assert_eq!(sorted(strategy, &shards), [3, 1, 0, 2]);
    }

    #[test]
    fn weights_win_over_keys_and_no_terms_change_nothing() {
        let pods = members(&[&[("n", "1")], &[("k", "foo")], &[("n", "2")]]);
        let mut both = weights();
        both["orderPriority"] = serde_json::json!([{"orderedKey": "n"}]);
        assert_eq!(sorted(both, &pods), [1, 0, 2]);
        assert_eq!(sorted(serde_json::json!({}), &pods), [0, 1, 2]);
    }

    #[test]
    fn a_bad_selector_is_told_with_its_position() {
        let mut strategy = weights();
        strategy["weightPriority"][1]["matchSelector"] =
            serde_json::json!({"matchExpressions": [{"key": "a", "operator": "Is"}]});
        let strategy: UpdatePriorityStrategy = serde_json::from_value(strategy).expect("a strategy");
        let error = Priority::compile(&strategy).expect_err("an unknown operator");
        assert_eq!(error.to_string(), "weightPriority[1].matchSelector is not valid");
    }

    #[test]
    fn the_standing_of_a_member_is_explained() {
        let strategy = serde_json::json!({"orderPriority": [{"orderedKey": "shard"}]});
        let priority =
            Priority::compile(&serde_json::from_value(strategy).expect("a strategy")).expect("valid");
        let pods = members(&[&[("shard", "s-3")], &[]]);
        assert_eq!(
            priority.explain(&pods[0]),
            Standing::Key {
                key: "shard",
                number: 3
            }
        );
        assert_eq!(priority.explain(&pods[1]), Standing::NoKey);
    }
}
