//! What the kinds share: completion policy, pull policy, sandbox configuration.
//!
//! Each closed vocabulary keeps a value it does not know instead of failing to decode: an object that got past admission must be shown
//! to its user with a message, not vanish from the cache.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What the container runtime is told of the pods that an image is for. Some runtimes choose policies or snapshotters
/// by it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SandboxConfig {
    /// Labels of the sandbox.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
    /// Annotations of the sandbox.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: BTreeMap<String, String>,
}

/// When a job counts as done.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct CompletionPolicy {
    /// `Always` (default): done when every selected node has ended. `Never`: keeps pulling on new nodes and daily.
    #[serde(default, rename = "type", skip_serializing_if = "Option::is_none")]
    pub type_: Option<CompletionPolicyType>,
    /// Seconds after the start at which the job ends and what has not succeeded counts as failed. Only with `Always`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub active_deadline_seconds: Option<i64>,
    /// Seconds after completion at which the job is deleted; 0 deletes it at once. Only with `Always`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ttl_seconds_after_finished: Option<i32>,
}

impl CompletionPolicy {
    /// Returns the type with the default applied.
    pub fn effective_type(&self) -> &CompletionPolicyType {
        self.type_.as_ref().unwrap_or(&CompletionPolicyType::Always)
    }

    /// Returns whether the job never ends by itself.
    pub fn is_never(&self) -> bool {
        matches!(self.effective_type(), CompletionPolicyType::Never)
    }
}

/// Type of a [`CompletionPolicy`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "String", into = "String")]
#[non_exhaustive]
pub enum CompletionPolicyType {
    /// The job ends when all selected nodes have ended, or at its deadline.
    Always,
    /// The job never ends: nodes that come later are served too, and every node pulls again about once a day.
    Never,
    /// A value that is neither; refused by validation.
    Other(String),
}

impl From<String> for CompletionPolicyType {
    fn from(text: String) -> Self {
        match text.as_str() {
            "Always" | "" => Self::Always,
            "Never" => Self::Never,
            _ => Self::Other(text),
        }
    }
}

impl From<CompletionPolicyType> for String {
    fn from(value: CompletionPolicyType) -> Self {
        match value {
            CompletionPolicyType::Always => "Always".to_owned(),
            CompletionPolicyType::Never => "Never".to_owned(),
            CompletionPolicyType::Other(text) => text,
        }
    }
}

impl JsonSchema for CompletionPolicyType {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "CompletionPolicyType".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({ "type": "string", "enum": ["Always", "Never"] })
    }
}

/// Whether an image that is on the node already is pulled again.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "String", into = "String")]
#[non_exhaustive]
pub enum ImagePullPolicy {
    /// Asks the registry every time, so a moved tag is followed.
    Always,
    /// Nothing is pulled when the reference is on the node.
    IfNotPresent,
    /// Any other value; treated like `Always`, as OpenKruise does.
    Other(String),
}

impl ImagePullPolicy {
    /// Returns whether a present image is enough. Only the exact value `IfNotPresent` says so.
    pub fn accepts_present(&self) -> bool {
        matches!(self, Self::IfNotPresent)
    }
}

impl From<String> for ImagePullPolicy {
    fn from(text: String) -> Self {
        match text.as_str() {
            "Always" => Self::Always,
            "IfNotPresent" => Self::IfNotPresent,
            _ => Self::Other(text),
        }
    }
}

impl From<ImagePullPolicy> for String {
    fn from(value: ImagePullPolicy) -> Self {
        match value {
            ImagePullPolicy::Always => "Always".to_owned(),
            ImagePullPolicy::IfNotPresent => "IfNotPresent".to_owned(),
            ImagePullPolicy::Other(text) => text,
        }
    }
}

impl JsonSchema for ImagePullPolicy {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "ImagePullPolicy".into()
    }

    fn inline_schema() -> bool {
        true
    }

    // No `enum`: OpenKruise's schema takes any text, and what it takes is not refused here.
    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({ "type": "string" })
    }
}
