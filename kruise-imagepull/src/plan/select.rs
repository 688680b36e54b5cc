//! Which nodes a job selects.

use std::collections::{BTreeMap, HashMap};

use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use kube_core::{ParseExpressionError, Selector, SelectorExt};

use crate::api::{ImagePullJobNodeSelector, NodeImage};

static NO_LABELS: BTreeMap<String, String> = BTreeMap::new();

/// The node selector of a job, ready to be asked.
///
/// Absent and empty selectors select every NodeImage, whichever way the question is put (kruise#2286). Conditions,
/// taints and schedulability of nodes are not looked at.
#[derive(Clone, Debug)]
pub struct NodeSelection(Kind);

#[derive(Clone, Debug)]
enum Kind {
    All,
    /// Name to position in the list of the user.
    Names(HashMap<String, usize>),
    Labels(Selector),
}

impl NodeSelection {
    /// Reads the selector of a job.
    ///
    /// # Errors
    /// A label expression with an unknown operator or without the values it needs.
    pub fn of(selector: Option<&ImagePullJobNodeSelector>) -> Result<Self, ParseExpressionError> {
        let Some(selector) = selector else {
            return Ok(Self(Kind::All));
        };
        if let Some(names) = &selector.names {
            let mut positions = HashMap::with_capacity(names.len());
            for (position, name) in names.iter().enumerate() {
                positions.entry(name.clone()).or_insert(position);
            }
            return Ok(Self(Kind::Names(positions)));
        }
        if selector.match_labels.is_empty() && selector.match_expressions.is_empty() {
            return Ok(Self(Kind::All));
        }
        let labels = LabelSelector {
            match_labels: Some(selector.match_labels.clone()),
            match_expressions: Some(selector.match_expressions.clone()),
        };
        Ok(Self(Kind::Labels(labels.try_into()?)))
    }

    /// Returns whether the node of this name and these labels is selected.
    pub fn selects(&self, name: &str, labels: Option<&BTreeMap<String, String>>) -> bool {
        match &self.0 {
            Kind::All => true,
            Kind::Names(names) => names.contains_key(name),
            Kind::Labels(selector) => selector.matches(labels.unwrap_or(&NO_LABELS)),
        }
    }

    /// Returns whether this NodeImage is selected. One that is being deleted is not.
    pub fn selects_node_image(&self, node_image: &NodeImage) -> bool {
        let metadata = &node_image.metadata;
        metadata.deletion_timestamp.is_none()
            && metadata
                .name
                .as_deref()
                .is_some_and(|name| self.selects(name, metadata.labels.as_ref()))
    }

    /// Returns where in the order of dispatch a node stands: names in the order given, everything else by name.
    pub(crate) fn position(&self, name: &str) -> usize {
        match &self.0 {
            Kind::Names(names) => names.get(name).copied().unwrap_or(usize::MAX),
            Kind::All | Kind::Labels(_) => 0,
        }
    }

    /// Returns the selected names if the selection is a list of names, so that they can be looked up one by one.
    pub fn names(&self) -> Option<impl Iterator<Item = &str>> {
        match &self.0 {
            Kind::Names(names) => Some(names.keys().map(String::as_str)),
            Kind::All | Kind::Labels(_) => None,
        }
    }
}
