//! Settings of the pod webhook.

use std::time::Duration;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{LabelSelector, LabelSelectorRequirement};
use kruise_core::runtime::ConfigError;
use kruise_core::webhook::{Hook, OnFailure, Operation, Rule, Scopes};

use crate::api::names::NAMESPACE_NAME;

/// Path of the pod webhook.
pub const POD_PATH: &str = "/mutate-pod";

/// Settings of the pod webhook.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct PodHookConfig {
    /// What becomes of a pod when there is no answer: the server is down, or the handler panicked. Default: it is refused
    /// (`Fail`), so that no pod runs without its sidecar. With `Allow` (`Ignore`) no pod is held up, and those that came
    /// through without their sidecar are found by an [`Audit`](super::Audit).
    pub on_failure: OnFailure,
    /// How long an answer may take. Default: 5 s; 1 s to 28 s.
    pub timeout: Duration,
    /// Namespaces whose pods are not sent, by name: the one that the webhook runs in must be among them, so that it can
    /// be started. Default: `kube-system` and `kruise-system`.
    pub excluded_namespaces: Vec<String>,
    /// How many entries the configuration may have for pods. Sets whose selectors have no key in common need one each; if
    /// they would be more, one entry stands for all pods. Default: 8; at least 1.
    pub max_scopes: usize,
}

impl Default for PodHookConfig {
    fn default() -> Self {
        Self {
            on_failure: OnFailure::Deny,
            timeout: Duration::from_secs(5),
            excluded_namespaces: vec!["kube-system".to_owned(), "kruise-system".to_owned()],
            max_scopes: 8,
        }
    }
}

impl PodHookConfig {
    /// Checks that every setting can be used; the error names the one that cannot.
    pub fn validate(&self) -> Result<(), ConfigError> {
        if self.max_scopes == 0 {
            return Err(ConfigError::new("max_scopes", "must be at least 1"));
        }
        if self.timeout < Duration::from_secs(1) || self.timeout > Duration::from_secs(28) {
            return Err(ConfigError::new("timeout", "must be 1 s to 28 s"));
        }
        let bad = |name: &&String| name.is_empty() || !crate::api::validation::fields::is_label_value(name);
        if self.excluded_namespaces.iter().any(|name| bad(&name)) {
            return Err(ConfigError::new(
                "excluded_namespaces",
                "must be names of namespaces",
            ));
        }
        Ok(())
    }

    /// What is asked of every namespace.
    pub(super) fn namespace_requirements(&self) -> Vec<LabelSelectorRequirement> {
        let not_in = |key: &str, values: Vec<String>| LabelSelectorRequirement {
            key: key.to_owned(),
            operator: "NotIn".to_owned(),
            values: Some(values),
        };
        // OpenKruise's charts mark the namespace of its manager this way.
        let mut all = vec![not_in("control-plane", vec!["openkruise".to_owned()])];
        if !self.excluded_namespaces.is_empty() {
            all.push(not_in(NAMESPACE_NAME, self.excluded_namespaces.clone()));
        }
        all
    }

    /// The hook, for all pods but those of the excluded namespaces, or for those in `scopes`.
    pub fn hook(&self, scopes: Option<Scopes>) -> Hook {
        let rule = Rule::new("", "v1", "pods", &[Operation::Create]);
        let mut hook = Hook::new(POD_PATH, "mpod.kb.io", vec![rule])
            .on_failure(self.on_failure)
            .timeout(self.timeout);
        hook.scopes = scopes;
        hook.namespaces(LabelSelector {
            match_expressions: Some(self.namespace_requirements()),
            ..LabelSelector::default()
        })
    }
}
