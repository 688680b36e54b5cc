//! Terms that several kinds share in their `updateStrategy`.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::policy::select::Selector;

/// `scatterStrategy[]`: objects with this label are spread over the order of an update.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub struct ScatterTerm {
    /// Key of the label.
    pub key: String,
    /// Value of the label. In a SidecarSet `*` stands for every value that occurs.
    pub value: String,
}

/// `priorityStrategy`: which objects go first. At most one of the two lists.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PriorityStrategy {
    /// By labels whose values end in a number.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub order_priority: Vec<OrderTerm>,
    /// By the sum of the weights of all selectors that match.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub weight_priority: Vec<WeightTerm>,
}

/// `priorityStrategy.orderPriority[]`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct OrderTerm {
    /// Key of a label. An object is ranked by the first term whose key it has, then by the number at the end of the value,
    /// larger first.
    pub ordered_key: String,
}

/// `priorityStrategy.weightPriority[]`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct WeightTerm {
    /// 0 to 100.
    pub weight: i32,
    /// Which objects get it.
    pub match_selector: LabelSelector,
}

/// What is wrong with a field, and its path below the one that was checked.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{path}: {problem}")]
pub struct FieldError {
    /// Path, such as `priorityStrategy.weightPriority[1].weight`.
    pub path: String,
    /// What is wrong, in Kubernetes' words: `Required value`, `Invalid value: 101: must be 0 to 100`.
    pub problem: String,
}

impl FieldError {
    fn new(path: String, problem: impl Into<String>) -> Self {
        Self {
            path,
            problem: problem.into(),
        }
    }
}

impl PriorityStrategy {
    /// All that admission refuses. `path` is where the strategy is.
    pub fn validate(&self, path: &str) -> Vec<FieldError> {
        let mut errors = Vec::new();
        if !self.order_priority.is_empty() && !self.weight_priority.is_empty() {
            errors.push(FieldError::new(
                path.to_owned(),
                "Forbidden: only one of orderPriority and weightPriority",
            ));
        }
        for (index, term) in self.order_priority.iter().enumerate() {
            if term.ordered_key.is_empty() {
                errors.push(FieldError::new(
                    format!("{path}.orderPriority[{index}].orderedKey"),
                    "Required value",
                ));
            }
        }
        for (index, term) in self.weight_priority.iter().enumerate() {
            let path = format!("{path}.weightPriority[{index}]");
            if !(0..=100).contains(&term.weight) {
                let problem = format!("Invalid value: {}: must be 0 to 100", term.weight);
                errors.push(FieldError::new(format!("{path}.weight"), problem));
            }
            let path = format!("{path}.matchSelector");
            match Selector::compile(&term.match_selector) {
                Err(error) => errors.push(FieldError::new(format!("{path}.{}", error.path), error.problem)),
                Ok(selector) if selector.is_everything() => {
                    errors.push(FieldError::new(path, "Required value"))
                }
                Ok(_) => {}
            }
        }
        errors
    }
}

/// All that admission refuses in a `scatterStrategy` at `path`.
pub fn validate_scatter(terms: &[ScatterTerm], path: &str) -> Vec<FieldError> {
    let mut errors = Vec::new();
    for (index, term) in terms.iter().enumerate() {
        if term.key.is_empty() {
            errors.push(FieldError::new(format!("{path}[{index}].key"), "Required value"));
        }
        if terms.iter().take(index).any(|earlier| earlier == term) {
            let problem = format!("Duplicate value: {}={}", term.key, term.value);
            errors.push(FieldError::new(format!("{path}[{index}]"), problem));
        }
    }
    errors
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn said(errors: Vec<FieldError>) -> Vec<String> {
        errors.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn every_rule_of_priorities_is_told_with_its_path() {
        let strategy: PriorityStrategy = serde_json::from_value(json!({
            "orderPriority": [{"orderedKey": ""}],
            "weightPriority": [
                {"weight": 101, "matchSelector": {"matchLabels": {"a": "b"}}},
                {"weight": 1, "matchSelector": {}},
                {"weight": 1, "matchSelector": {"matchExpressions": [{"key": "a", "operator": "Like"}]}},
            ],
        }))
        .unwrap();
        assert_eq!(
            said(strategy.validate("p")),
            [
                "p: Forbidden: only one of orderPriority and weightPriority",
                "p.orderPriority[0].orderedKey: Required value",
                "p.weightPriority[0].weight: Invalid value: 101: must be 0 to 100",
                "p.weightPriority[1].matchSelector: Required value",
                "p.weightPriority[2].matchSelector.matchExpressions[0].operator: Invalid value: \"Like\": must be In, NotIn, Exists or DoesNotExist",
            ]
        );
    }

    #[test]
    fn every_rule_of_scatter_terms_is_told_with_its_path() {
        let term = |key: &str, value: &str| ScatterTerm {
            key: key.into(),
            value: value.into(),
        };
        let terms = [term("a", "b"), term("", "c"), term("a", "b"), term("a", "c")];
        assert_eq!(
            said(validate_scatter(&terms, "s")),
            ["s[1].key: Required value", "s[2]: Duplicate value: a=b"]
        );
    }
}
