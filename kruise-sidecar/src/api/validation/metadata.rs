//! Which annotations sets may give to pods.

use std::collections::BTreeSet;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use kruise_core::policy::{Selector, SelectorError};
use regex::Regex;
use serde::Deserialize;
use serde::de::IgnoredAny;

use super::super::sidecarset::SidecarSet;
use super::super::words::{PatchPolicy, or_default};
use super::error::{Errors, ValidationErrorKind as Kind};
use super::{ValidationContext, Whitelist, fields, seen_before};

/// Why a whitelist can not be read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum WhitelistError {
    /// It is not JSON of this form.
    #[error("whitelist is not an object with rules")]
    Form(#[source] serde_json::Error),
    /// A selector of a rule means nothing.
    #[error("selector of rule {rule} is not valid")]
    Selector {
        /// Position of the rule.
        rule: usize,
        /// What is wrong with it.
        #[source]
        source: SelectorError,
    },
    /// A key expression of a rule is no regular expression.
    #[error("rule {rule} has a key expression that is not valid")]
    Expression {
        /// Position of the rule.
        rule: usize,
        /// What is wrong with it.
        #[source]
        source: regex::Error,
    },
}

/// Which annotations sets may patch: the value of the key
/// [`PATCH_POD_METADATA_WHITELIST_KEY`](crate::api::names::PATCH_POD_METADATA_WHITELIST_KEY) of a ConfigMap.
///
/// ```
/// use kruise_sidecar::api::PatchWhitelist;
/// let whitelist = PatchWhitelist::parse(r#"{"rules": [{"allowedAnnotationKeyExprs": ["^example.com/"]}]}"#)?;
/// # Ok::<(), kruise_sidecar::api::WhitelistError>(())
/// ```
#[derive(Clone, Debug, Default)]
pub struct PatchWhitelist(Vec<(Selector, Vec<Regex>)>);

impl PatchWhitelist {
    /// Reads a whitelist.
    ///
    /// # Errors
    /// It is not JSON of this form, or a selector or expression in it means nothing.
    pub fn parse(text: &str) -> Result<Self, WhitelistError> {
        #[derive(Deserialize)]
        struct Wire {
            #[serde(default, deserialize_with = "or_default")]
            rules: Vec<WireRule>,
        }
        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct WireRule {
            #[serde(default)]
            selector: Option<LabelSelector>,
            #[serde(default, deserialize_with = "or_default")]
            allowed_annotation_key_exprs: Vec<String>,
        }
        let wire: Wire = serde_json::from_str(text).map_err(WhitelistError::Form)?;
        let rules = wire.rules.into_iter().enumerate().map(|(rule, wire)| {
            let selector = wire.selector.unwrap_or_default();
            let selector =
                Selector::compile(&selector).map_err(|source| WhitelistError::Selector { rule, source })?;
            let expressions = wire.allowed_annotation_key_exprs.iter();
            let expressions = expressions
                .map(|text| Regex::new(text).map_err(|source| WhitelistError::Expression { rule, source }));
            Ok((selector, expressions.collect::<Result<_, _>>()?))
        });
        Ok(Self(rules.collect::<Result<_, _>>()?))
    }

    /// Whether a set may patch this key; `None` if no expression is for this set.
    fn allows(&self, set: &SidecarSet, key: &str) -> Option<bool> {
        let rules = self
            .0
            .iter()
            .filter(|(selector, _)| selector.matches(&set.metadata));
        let mut expressions = rules.flat_map(|(_, expressions)| expressions).peekable();
        expressions.peek()?;
        Some(expressions.any(|expression| expression.is_match(key)))
    }
}

pub(super) fn check(set: &SidecarSet, context: &ValidationContext<'_>, errors: &mut Errors) {
    let mut seen = BTreeSet::new();
    for (index, patch) in set.spec.patch_pod_metadata.iter().enumerate() {
        let path = format!("spec.patchPodMetadata[{index}]");
        match &patch.patch_policy {
            None => errors.add(format!("{path}.patchPolicy"), Kind::Required),
            Some(PatchPolicy::Other(text)) => {
                errors.add(
                    format!("{path}.patchPolicy"),
                    Kind::UnknownPatchPolicy(text.clone()),
                );
            }
            Some(_) => {}
        }
        let path = format!("{path}.annotations");
        if patch.annotations.is_empty() {
            errors.add(&path, Kind::Required);
        }
        for (key, value) in &patch.annotations {
            let path = format!("{path}[{key}]");
            if !fields::is_key(&key.to_lowercase()) {
                errors.add(&path, Kind::NotAKey(key.clone()));
            }
            if seen_before(&mut seen, key) {
                errors.add(&path, Kind::Twice);
            }
            if patch.patch_policy == Some(PatchPolicy::MergePatchJson)
                && let Err(error) = serde_json::from_str::<IgnoredAny>(value)
            {
                errors.add(&path, Kind::NotJson(error.to_string()));
            }
            let allowed = match context.whitelist {
                Whitelist::Is(whitelist) => whitelist.allows(set, key),
                Whitelist::Absent => None,
                Whitelist::Unreadable => {
                    errors.add(path, Kind::WhitelistUnreadable(key.clone()));
                    continue;
                }
            };
            if !allowed.unwrap_or(context.allow_any_metadata) {
                errors.add(path, Kind::NotWhitelisted(key.clone()));
            }
        }
    }
}
