//! Which nodes a job selects.

use std::collections::{BTreeMap, HashMap, HashSet};

use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use kruise_core::policy::{Selector, SelectorError};
use kruise_core::runtime::{Phase, SlimPod};

use crate::api::{ImagePullJobNodeSelector, ImagePullJobSpec, NodeImage};

static NO_LABELS: BTreeMap<String, String> = BTreeMap::new();

/// The nodes of a job, ready to be asked.
///
/// Absent and empty selectors select every NodeImage, whichever way the question is put (kruise#2286). Conditions,
/// taints and schedulability of nodes are not looked at.
#[derive(Clone, Debug)]
pub struct NodeSelection(Kind);

#[derive(Clone, Debug)]
enum Kind {
    All,
    /// Name to position in the list of the user, or of the pods.
    Names(HashMap<String, usize>),
    Labels(Selector),
}

impl NodeSelection {
    /// Reads the selectors of a job. `pod_nodes` are the nodes of the pods that its `podSelector` selects, see
    /// [`pod_nodes`]; not looked at if it has none.
    ///
    /// # Errors
    /// A label expression with an unknown operator or without the values it needs.
    pub fn of(spec: &ImagePullJobSpec, pod_nodes: &[String]) -> Result<Self, SelectorError> {
        if spec.pod_selector.is_some() {
            return Ok(Self::names_in_order(pod_nodes));
        }
        Self::of_nodes(spec.selector.as_ref())
    }

    /// Reads a selector of nodes.
    pub(crate) fn of_nodes(selector: Option<&ImagePullJobNodeSelector>) -> Result<Self, SelectorError> {
        let Some(selector) = selector else {
            return Ok(Self(Kind::All));
        };
        if let Some(names) = &selector.names {
            return Ok(Self::names_in_order(names));
        }
        if selector.match_labels.is_empty() && selector.match_expressions.is_empty() {
            return Ok(Self(Kind::All));
        }
        Selector::compile(&LabelSelector {
            match_labels: Some(selector.match_labels.clone()),
            match_expressions: Some(selector.match_expressions.clone()),
        })
        .map(|labels| Self(Kind::Labels(labels)))
    }

    fn names_in_order(names: &[String]) -> Self {
        let mut positions = HashMap::with_capacity(names.len());
        for (position, name) in names.iter().enumerate() {
            positions.entry(name.clone()).or_insert(position);
        }
        Self(Kind::Names(positions))
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

/// Returns the nodes of the pods in `namespace` that `selector` selects, each once, in the order of the pods' names. Pods
/// that have ended, are being deleted, or have no node do not count.
pub fn pod_nodes<'a>(
    selector: &LabelSelector,
    namespace: &str,
    pods: impl IntoIterator<Item = &'a SlimPod>,
) -> Result<Vec<String>, SelectorError> {
    let selector = Selector::compile(selector)?;
    let mut found: Vec<(&str, &str)> = pods
        .into_iter()
        .filter(|pod| pod.key.namespace_str() == namespace && selector.matches(&pod.labels))
        .filter_map(|pod| Some((&*pod.key.name, working_node(pod)?)))
        .collect();
    found.sort_unstable();
    let mut seen = HashSet::new();
    Ok(found
        .into_iter()
        .filter(|(_, node)| seen.insert(*node))
        .map(|(_, node)| node.to_owned())
        .collect())
}

/// Returns the node of a pod that has not ended and is not about to.
pub(crate) fn working_node(pod: &SlimPod) -> Option<&str> {
    let ended = matches!(pod.phase, Phase::Succeeded | Phase::Failed);
    pod.node_name
        .as_deref()
        .filter(|_| !ended && pod.deletion_timestamp.is_none())
}
