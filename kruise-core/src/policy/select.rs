//! Label selectors, compiled once and matched without allocation.

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;

use super::Labels;

/// A label selector that is known to be valid.
///
/// ```
/// use kruise_core::policy::select::Selector;
/// use serde_json::json;
/// use std::collections::BTreeMap;
///
/// let selector = serde_json::from_value(json!({
///     "matchLabels": {"app": "web"},
///     "matchExpressions": [{"key": "tier", "operator": "NotIn", "values": ["test"]}],
/// }))?;
/// let selector = Selector::compile(&selector)?;
/// let pod: BTreeMap<String, String> = [("app".to_owned(), "web".to_owned())].into();
/// assert!(selector.matches(&pod));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Selector(Vec<Requirement>);

#[derive(Clone, Debug, PartialEq, Eq)]
struct Requirement {
    key: String,
    test: Test,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Test {
    In(Vec<String>),
    NotIn(Vec<String>),
    Exists,
    DoesNotExist,
}

/// What is wrong with a selector, and its path below the selector.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{path}: {problem}")]
pub struct SelectorError {
    /// Path, such as `matchExpressions[0].operator`.
    pub path: String,
    /// What is wrong, in Kubernetes' words.
    pub problem: String,
}

impl Selector {
    /// Reads a selector. One without requirements matches everything.
    ///
    /// # Errors
    /// The first of: a key or value that no label can have, an unknown operator, values where there must be none, none where
    /// there must be some.
    pub fn compile(selector: &LabelSelector) -> Result<Self, SelectorError> {
        let mut requirements = Vec::new();
        for (key, value) in selector.match_labels.iter().flatten() {
            let path = || format!("matchLabels[{key}]");
            check(valid_key(key), path, || format!("Invalid value: {key:?}: {KEY}"))?;
            check(valid_value(value), path, || {
                format!("Invalid value: {value:?}: {VALUE}")
            })?;
            requirements.push(Requirement {
                key: key.clone(),
                test: Test::In(vec![value.clone()]),
            });
        }
        for (index, expression) in selector.match_expressions.iter().flatten().enumerate() {
            let key = &expression.key;
            let at = |field: &str| format!("matchExpressions[{index}].{field}");
            check(
                valid_key(key),
                || at("key"),
                || format!("Invalid value: {key:?}: {KEY}"),
            )?;
            let values = expression.values.clone().unwrap_or_default();
            for value in &values {
                check(
                    valid_value(value),
                    || at("values"),
                    || format!("Invalid value: {value:?}: {VALUE}"),
                )?;
            }
            let some = !values.is_empty();
            let test = match expression.operator.as_str() {
                "In" => Test::In(values),
                "NotIn" => Test::NotIn(values),
                "Exists" => Test::Exists,
                "DoesNotExist" => Test::DoesNotExist,
                other => {
                    let problem =
                        format!("Invalid value: {other:?}: must be In, NotIn, Exists or DoesNotExist");
                    return Err(SelectorError {
                        path: at("operator"),
                        problem,
                    });
                }
            };
            let needs = matches!(test, Test::In(_) | Test::NotIn(_));
            let why = if needs {
                "Required value: In and NotIn need values"
            } else {
                "Forbidden: Exists and DoesNotExist take no values"
            };
            check(some == needs, || at("values"), || why.to_owned())?;
            requirements.push(Requirement {
                key: key.clone(),
                test,
            });
        }
        Ok(Self(requirements))
    }

    /// Whether it has no requirements.
    pub fn is_everything(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether an object with these labels is selected.
    pub fn matches<L: Labels + ?Sized>(&self, labels: &L) -> bool {
        self.0.iter().all(|requirement| {
            let value = labels.label(&requirement.key);
            match &requirement.test {
                Test::In(values) => value.is_some_and(|value| values.iter().any(|one| one == value)),
                Test::NotIn(values) => value.is_none_or(|value| values.iter().all(|one| one != value)),
                Test::Exists => value.is_some(),
                Test::DoesNotExist => value.is_none(),
            }
        })
    }

    /// Whether some set of labels satisfies both. Exact: keys do not depend on each other, so each is decided alone.
    pub fn overlaps(&self, other: &Self) -> bool {
        let mut keys: BTreeMap<&str, Vec<&Test>> = BTreeMap::new();
        for requirement in self.0.iter().chain(&other.0) {
            keys.entry(&requirement.key).or_default().push(&requirement.test);
        }
        keys.values().all(|tests| satisfiable(tests))
    }
}

/// Whether a value, or the lack of the label, passes all tests of one key.
fn satisfiable(tests: &[&Test]) -> bool {
    let absent = tests
        .iter()
        .all(|test| matches!(test, Test::NotIn(_) | Test::DoesNotExist));
    if absent {
        return true;
    }
    if tests.iter().any(|test| matches!(test, Test::DoesNotExist)) {
        return false;
    }
    let candidates = tests.iter().find_map(|test| {
        if let Test::In(values) = test {
            Some(values)
        } else {
            None
        }
    });
    // Without a list there are endless values, of which only finitely many are forbidden.
    candidates.is_none_or(|values| {
        values.iter().any(|value| {
            tests.iter().all(|test| match test {
                Test::In(allowed) => allowed.contains(value),
                Test::NotIn(forbidden) => !forbidden.contains(value),
                Test::Exists => true,
                Test::DoesNotExist => false,
            })
        })
    })
}

fn check(good: bool, path: impl Fn() -> String, problem: impl Fn() -> String) -> Result<(), SelectorError> {
    if good {
        Ok(())
    } else {
        Err(SelectorError {
            path: path(),
            problem: problem(),
        })
    }
}

const KEY: &str = "must be a label key such as app or example.com/app";
const VALUE: &str =
    "must be a label value: at most 63 letters, digits, '-', '_' and '.', a letter or digit at both ends";

/// A name, or a DNS subdomain, a slash and a name.
fn valid_key(key: &str) -> bool {
    let (prefix, name) = match key.split_once('/') {
        Some((prefix, name)) => (Some(prefix), name),
        None => (None, key),
    };
    let subdomain = |prefix: &str| {
        prefix.len() <= 253
            && prefix.split('.').all(|part| {
                !part.is_empty()
                    && !part.starts_with('-')
                    && !part.ends_with('-')
                    && part
                        .bytes()
                        .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-')
            })
    };
    prefix.is_none_or(subdomain) && !name.is_empty() && valid_value(name)
}

fn valid_value(value: &str) -> bool {
    let inner = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
    let edge = |byte: Option<&u8>| byte.is_none_or(u8::is_ascii_alphanumeric);
    let bytes = value.as_bytes();
    bytes.len() <= 63 && bytes.iter().copied().all(inner) && edge(bytes.first()) && edge(bytes.last())
}

#[cfg(test)]
#[path = "select_tests.rs"]
mod tests;
