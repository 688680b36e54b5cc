//! Sidecars and volumes.

use std::borrow::Cow;

use k8s_openapi::api::core::v1::ObjectFieldSelector;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::names::{HOT_UPGRADE_SUFFIX_1, HOT_UPGRADE_SUFFIX_2};
use super::object;
use super::words::{
    PodInjectPolicy, ShareVolumeType, TargetContainersMode, UpgradeType, non_empty, or_default,
};

/// The fields of a core/v1 Container, as JSON: those that this crate does not know are kept and injected too.
pub type Container = Map<String, Value>;

/// A container to inject: a core/v1 Container with a few fields more.
///
/// ```
/// use kruise_sidecar::api::SidecarContainer;
///
/// let sidecar: SidecarContainer = serde_json::from_str(
///     r#"{"name": "logs", "image": "logs:1", "futureField": 1, "podInjectPolicy": "AfterAppContainer"}"#,
/// )?;
/// assert_eq!(sidecar.name(), "logs");
/// assert!(sidecar.container.contains_key("futureField"));
/// assert!(!sidecar.container.contains_key("podInjectPolicy"));
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SidecarContainer {
    /// What the pod gets.
    #[serde(flatten)]
    pub container: Container,
    /// Where it stands among the app's containers.
    #[serde(
        default,
        deserialize_with = "non_empty",
        skip_serializing_if = "Option::is_none"
    )]
    pub pod_inject_policy: Option<PodInjectPolicy>,
    /// How it is upgraded.
    #[serde(default, deserialize_with = "or_default")]
    pub upgrade_strategy: UpgradeStrategy,
    /// Whether the volume mounts of the app's containers are its own too.
    #[serde(default, deserialize_with = "or_default")]
    pub share_volume_policy: ShareVolumePolicy,
    /// Whether the volume devices of the app's containers are its own too; absent means that they are not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub share_volume_device_policy: Option<ShareVolumePolicy>,
    /// Environment variables of the app's containers that it gets.
    #[serde(
        default,
        rename = "transferEnv",
        deserialize_with = "or_default",
        skip_serializing_if = "Vec::is_empty"
    )]
    pub transfer_env: Vec<TransferEnvVar>,
    /// Resources as a function of those of the app's containers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resources_policy: Option<ResourcesPolicy>,
}

impl SidecarContainer {
    /// The name; empty if there is none.
    pub fn name(&self) -> &str {
        self.text("name")
    }

    /// The image reference; empty if there is none.
    pub fn image(&self) -> &str {
        self.text("image")
    }

    /// Whether it is upgraded hot, and so is two containers in the pod.
    pub fn is_hot(&self) -> bool {
        self.upgrade_strategy.upgrade_type == Some(UpgradeType::HotUpgrade)
    }

    /// Whether its `restartPolicy` is `Always`: an init container that runs as long as the pod, a native sidecar.
    pub fn restarts_always(&self) -> bool {
        self.text("restartPolicy") == "Always"
    }

    /// Whether volume mounts are shared.
    pub fn shares_volumes(&self) -> bool {
        self.share_volume_policy.is_enabled()
    }

    /// Whether volume devices are shared.
    pub fn shares_volume_devices(&self) -> bool {
        let policy = self.share_volume_device_policy.as_ref();
        policy.is_some_and(ShareVolumePolicy::is_enabled)
    }

    /// The names of its containers in a pod: its own, or of a hot-upgraded one the two with suffix.
    pub fn names_in_pod(&self) -> impl Iterator<Item = Cow<'_, str>> {
        let hot = self.is_hot();
        let suffixes: &[&str] = if hot {
            &[HOT_UPGRADE_SUFFIX_1, HOT_UPGRADE_SUFFIX_2]
        } else {
            &[""]
        };
        suffixes.iter().map(move |suffix| match *suffix {
            "" => Cow::Borrowed(self.name()),
            suffix => Cow::Owned(format!("{}{suffix}", self.name())),
        })
    }

    fn text(&self, field: &str) -> &str {
        self.container
            .get(field)
            .and_then(Value::as_str)
            .unwrap_or_default()
    }
}

impl JsonSchema for SidecarContainer {
    fn schema_name() -> Cow<'static, str> {
        "SidecarContainer".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        object::schema()
    }
}

/// A core/v1 Volume, as JSON.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Volume(pub Map<String, Value>);

impl Volume {
    /// The name; empty if there is none.
    pub fn name(&self) -> &str {
        self.0.get("name").and_then(Value::as_str).unwrap_or_default()
    }
}

impl JsonSchema for Volume {
    fn schema_name() -> Cow<'static, str> {
        "Volume".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        object::schema()
    }
}

/// How a sidecar is upgraded.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct UpgradeStrategy {
    /// Cold or hot; `ColdUpgrade` when absent.
    #[serde(
        default,
        deserialize_with = "non_empty",
        skip_serializing_if = "Option::is_none"
    )]
    pub upgrade_type: Option<UpgradeType>,
    /// Image of the container that is idle, of a hot-upgraded sidecar.
    #[serde(
        default,
        deserialize_with = "or_default",
        skip_serializing_if = "String::is_empty"
    )]
    pub hot_upgrade_empty_image: String,
}

/// Whether something of the app's containers is shared.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ShareVolumePolicy {
    /// `disabled` when absent.
    #[serde(
        default,
        rename = "type",
        deserialize_with = "non_empty",
        skip_serializing_if = "Option::is_none"
    )]
    pub type_: Option<ShareVolumeType>,
}

impl ShareVolumePolicy {
    /// Whether it says `enabled`.
    pub fn is_enabled(&self) -> bool {
        self.type_ == Some(ShareVolumeType::Enabled)
    }
}

/// Environment variables that are copied from a container of the pod.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct TransferEnvVar {
    /// Name of the container.
    #[serde(
        default,
        deserialize_with = "or_default",
        skip_serializing_if = "String::is_empty"
    )]
    pub source_container_name: String,
    /// Where the name of the container stands; wins over `sourceContainerName`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source_container_name_from: Option<SourceContainerNameSource>,
    /// Name of a variable.
    #[serde(
        default,
        deserialize_with = "or_default",
        skip_serializing_if = "String::is_empty"
    )]
    pub env_name: String,
    /// Names of variables.
    #[serde(
        default,
        deserialize_with = "or_default",
        skip_serializing_if = "Vec::is_empty"
    )]
    pub env_names: Vec<String>,
}

/// Where the name of a container stands.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SourceContainerNameSource {
    /// `metadata.labels['<key>']` or `metadata.annotations['<key>']` of the pod.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub field_ref: Option<ObjectFieldSelector>,
}

/// Resources of a sidecar as a function of those of the app's containers.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ResourcesPolicy {
    /// How those of several containers become one number.
    #[serde(
        default,
        deserialize_with = "non_empty",
        skip_serializing_if = "Option::is_none"
    )]
    pub target_containers_mode: Option<TargetContainersMode>,
    /// Which containers; not anchored. `.*` when absent.
    #[serde(
        default,
        deserialize_with = "or_default",
        skip_serializing_if = "String::is_empty"
    )]
    pub target_containers_name_regex: String,
    /// The functions.
    #[serde(default, deserialize_with = "or_default")]
    pub resources_expr: ResourcesExpr,
}

/// Functions of limits and requests.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ResourcesExpr {
    /// Of the limits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limits: Option<ResourceExpressions>,
    /// Of the requests.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub requests: Option<ResourceExpressions>,
}

/// Expressions such as `max(cpu*50%, 50m)`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ResourceExpressions {
    /// Of `cpu`; not set when empty.
    #[serde(
        default,
        deserialize_with = "or_default",
        skip_serializing_if = "String::is_empty"
    )]
    pub cpu: String,
    /// Of `memory`; not set when empty.
    #[serde(
        default,
        deserialize_with = "or_default",
        skip_serializing_if = "String::is_empty"
    )]
    pub memory: String,
}
