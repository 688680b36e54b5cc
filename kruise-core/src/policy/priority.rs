//! `priorityStrategy`: which objects go first.

use std::cmp::Reverse;

use super::Labels;
use super::rounding::Baseline;
use super::select::Selector;
use crate::api::strategy::PriorityStrategy;

/// A priority strategy that is ready to use.
///
/// ```
/// use std::collections::BTreeMap;
/// use kruise_core::api::strategy::{OrderTerm, PriorityStrategy};
/// use kruise_core::policy::priority::Priority;
/// use kruise_core::policy::rounding::Baseline;
///
/// let stage = OrderTerm { ordered_key: "stage".into() };
/// let strategy = PriorityStrategy { order_priority: vec![stage], ..Default::default() };
/// let objects = ["s-1", "s-10", "s-2"].map(|stage| BTreeMap::from([("stage".to_owned(), stage.to_owned())]));
/// let mut waiting = [0, 1, 2];
/// Priority::compile(&strategy).sort(&objects, &mut waiting, Baseline::Latest);
/// assert_eq!(waiting, [1, 2, 0]);
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Priority(Rule);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Rule {
    None,
    Weights(Vec<(i64, Selector)>),
    Keys(Vec<String>),
}

impl Priority {
    /// Weights are used if there are any, else the keys. A term whose selector is invalid matches nothing.
    pub fn compile(strategy: &PriorityStrategy) -> Self {
        if !strategy.weight_priority.is_empty() {
            let terms = strategy.weight_priority.iter();
            let valid = terms.filter_map(|term| {
                Some((
                    i64::from(term.weight),
                    Selector::compile(&term.match_selector).ok()?,
                ))
            });
            return Self(Rule::Weights(valid.collect()));
        }
        match strategy.order_priority.is_empty() {
            true => Self(Rule::None),
            false => Self(Rule::Keys(
                strategy
                    .order_priority
                    .iter()
                    .map(|term| term.ordered_key.clone())
                    .collect(),
            )),
        }
    }

    /// Sorts `waiting`, indices into `all`: larger sums of weights first; or objects without any of the keys, then those with
    /// the first key, the second and so on, and among those larger numbers first. That objects without a key come *first* is
    /// what every version of OpenKruise does, though its documentation says the contrary.
    ///
    /// Of equal objects the larger index goes first in 0.8; later versions keep the order. O(n log n), one allocation.
    pub fn sort<L: Labels>(&self, all: &[L], waiting: &mut [u32], baseline: Baseline) {
        if self.0 == Rule::None {
            return;
        }
        let place = |index: u32| {
            all.get(index as usize)
                .map_or((i64::MAX, 0), |object| self.0.place(object))
        };
        match baseline {
            Baseline::V0_8 => waiting.sort_by_cached_key(|index| (place(*index), Reverse(*index))),
            Baseline::Latest => waiting.sort_by_cached_key(|index| place(*index)),
        }
    }
}

impl Rule {
    /// Smaller goes first.
    fn place<L: Labels>(&self, object: &L) -> (i64, i64) {
        match self {
            Self::None => (0, 0),
            Self::Weights(terms) => {
                let matching = terms.iter().filter(|(_, selector)| selector.matches(object));
                (-matching.map(|(weight, _)| weight).sum::<i64>(), 0)
            }
            Self::Keys(keys) => {
                let mut with = (0..)
                    .zip(keys)
                    .filter_map(|(level, key)| Some((level, object.label(key)?)));
                with.next()
                    .map_or((-1, 0), |(level, value)| (level, -number_at_end(value)))
            }
        }
    }
}

/// The decimal digits at the end; 0 if there are none, or too many.
fn number_at_end(value: &str) -> i64 {
    let digits = value.bytes().rev().take_while(u8::is_ascii_digit).count();
    value
        .get(value.len() - digits..)
        .and_then(|digits| digits.parse().ok())
        .unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;
    use std::collections::BTreeMap;

    fn sorted(strategy: serde_json::Value, pods: &[&[(&str, &str)]], baseline: Baseline) -> Vec<u32> {
        let strategy: PriorityStrategy = serde_json::from_value(strategy).unwrap();
        let own = |pair: &(&str, &str)| (pair.0.to_owned(), pair.1.to_owned());
        let pods: Vec<BTreeMap<String, String>> = pods
            .iter()
            .map(|labels| labels.iter().map(own).collect())
            .collect();
        let mut waiting: Vec<u32> = (0..pods.len() as u32).collect();
        Priority::compile(&strategy).sort(&pods, &mut waiting, baseline);
        waiting
    }

    fn weights() -> serde_json::Value {
        json!({"weightPriority": [
            {"weight": 50, "matchSelector": {"matchLabels": {"k": "foo"}}},
            {"weight": 30, "matchSelector": {"matchLabels": {"z": "b"}}},
        ]})
    }

    #[test]
    fn larger_sums_of_weights_go_first() {
        let pods: &[&[(&str, &str)]] = &[
            &[("k", "foo")],
            &[("z", "b")],
            &[("k", "foo"), ("z", "b")],
            &[],
            &[("z", "b")],
        ];
        assert_eq!(sorted(weights(), pods, Baseline::V0_8), [2, 0, 4, 1, 3], "P1");
        assert_eq!(sorted(weights(), pods, Baseline::Latest), [2, 0, 1, 4, 3], "P1");
    }

    #[test]
    fn equal_objects_are_reversed_in_0_8_and_kept_later() {
        let pods: &[&[(&str, &str)]] = &[&[], &[], &[]];
        assert_eq!(sorted(weights(), pods, Baseline::V0_8), [2, 1, 0], "P2");
        assert_eq!(sorted(weights(), pods, Baseline::Latest), [0, 1, 2], "P2");
    }

    #[test]
    fn objects_are_ranked_by_the_first_key_they_have_and_its_number() {
        let keys = json!({"orderPriority": [{"orderedKey": "k1"}, {"orderedKey": "k2"}]});
        let pods: &[&[(&str, &str)]] = &[
            &[("k1", "5")],
            &[("k1", "sts-10")],
            &[("k2", "7")],
            &[],
            &[("k1", "abc")],
            &[("k1", "a9"), ("k2", "99")],
        ];
        assert_eq!(sorted(keys, pods, Baseline::V0_8), [3, 1, 5, 0, 4, 2], "P3");
    }

    #[test]
    fn the_number_is_what_stands_at_the_end() {
        let cases = [
            ("5", 5),
            ("sts-10", 10),
            ("v1.20", 20),
            ("abc", 0),
            ("", 0),
            ("007", 7),
            ("a9b", 0),
            ("99999999999999999999", 0),
        ];
        for (value, number) in cases {
            assert_eq!(number_at_end(value), number, "P4: {value}");
        }
    }

    #[test]
    fn weights_win_over_keys_and_invalid_selectors_count_nothing() {
        let strategy = json!({
            "orderPriority": [{"orderedKey": "k"}],
            "weightPriority": [{"weight": 9, "matchSelector": {"matchExpressions": [{"key": "k", "operator": "Like"}]}}],
        });
        assert_eq!(
            sorted(strategy, &[&[("k", "1")], &[("k", "2")]], Baseline::Latest),
            [0, 1]
        );
    }
}
