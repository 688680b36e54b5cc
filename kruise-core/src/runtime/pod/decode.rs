//! From the server's JSON to a [`SlimPod`]. What is not kept is skipped by the parser and never allocated.

use std::fmt;
use std::marker::PhantomData;

use jiff::Timestamp;
use serde::de::{self, IgnoredAny, MapAccess, Visitor};
use serde::{Deserialize, Deserializer};

use super::{Owner, Phase, SlimCondition, SlimContainer, SlimContainerStatus, SlimPod, StrMap};
use crate::runtime::ObjectKey;

#[derive(Deserialize)]
struct WirePod {
    metadata: WireMeta,
    #[serde(default, deserialize_with = "or_default")]
    spec: WireSpec,
    #[serde(default, deserialize_with = "or_default")]
    status: WireStatus,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct WireMeta {
    name: Box<str>,
    #[serde(default)]
    namespace: Option<Box<str>>,
    #[serde(default)]
    uid: Box<str>,
    #[serde(default)]
    resource_version: Box<str>,
    #[serde(default)]
    generation: i64,
    #[serde(default, deserialize_with = "timestamp")]
    creation_timestamp: Option<Timestamp>,
    #[serde(default, deserialize_with = "timestamp")]
    deletion_timestamp: Option<Timestamp>,
    #[serde(default, deserialize_with = "labels")]
    labels: StrMap,
    #[serde(default, deserialize_with = "annotations")]
    annotations: StrMap,
    #[serde(default, deserialize_with = "or_default")]
    owner_references: Box<[Owner]>,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct WireSpec {
    node_name: Option<Box<str>>,
    #[serde(deserialize_with = "or_default")]
    readiness_gates: Vec<WireGate>,
    #[serde(deserialize_with = "or_default")]
    init_containers: Box<[SlimContainer]>,
    #[serde(deserialize_with = "or_default")]
    containers: Box<[SlimContainer]>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct WireGate {
    condition_type: Box<str>,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct WireStatus {
    phase: Phase,
    #[serde(rename = "podIP")]
    pod_ip: Option<Box<str>>,
    #[serde(deserialize_with = "or_default")]
    conditions: Box<[SlimCondition]>,
    #[serde(deserialize_with = "or_default")]
    init_container_statuses: Box<[SlimContainerStatus]>,
    #[serde(deserialize_with = "or_default")]
    container_statuses: Box<[SlimContainerStatus]>,
}

impl<'de> Deserialize<'de> for SlimPod {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let WirePod {
            metadata,
            spec,
            status,
        } = WirePod::deserialize(deserializer)?;
        Ok(Self {
            key: ObjectKey {
                namespace: metadata.namespace.map(Into::into),
                name: metadata.name.into(),
            },
            uid: metadata.uid,
            resource_version: metadata.resource_version,
            generation: metadata.generation,
            creation_timestamp: metadata.creation_timestamp,
            deletion_timestamp: metadata.deletion_timestamp,
            labels: metadata.labels,
            annotations: metadata.annotations,
            owners: metadata.owner_references,
            node_name: spec.node_name.filter(|name| !name.is_empty()),
            readiness_gates: spec
                .readiness_gates
                .into_iter()
                .map(|gate| gate.condition_type)
                .collect(),
            init_containers: spec.init_containers,
            containers: spec.containers,
            phase: status.phase,
            pod_ip: status.pod_ip.filter(|ip| !ip.is_empty()),
            conditions: status.conditions,
            init_container_statuses: status.init_container_statuses,
            container_statuses: status.container_statuses,
        })
    }
}

/// `null` is the default: Go writes it for empty lists and maps.
fn or_default<'de, D: Deserializer<'de>, T: Deserialize<'de> + Default>(
    deserializer: D,
) -> Result<T, D::Error> {
    Ok(Option::deserialize(deserializer)?.unwrap_or_default())
}

/// An RFC 3339 time, or `null`.
pub(super) fn timestamp<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Timestamp>, D::Error> {
    /// Parses without keeping the text.
    struct Time(Timestamp);

    impl<'de> Deserialize<'de> for Time {
        fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
            struct Text;
            impl Visitor<'_> for Text {
                type Value = Time;
                fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                    f.write_str("an RFC 3339 time")
                }
                fn visit_str<E: de::Error>(self, text: &str) -> Result<Time, E> {
                    text.parse().map(Time).map_err(E::custom)
                }
            }
            deserializer.deserialize_str(Text)
        }
    }

    Ok(Option::<Time>::deserialize(deserializer)?.map(|time| time.0))
}

/// `state` of a container: when it began to run.
pub(super) fn running_since<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<Timestamp>, D::Error> {
    #[derive(Default, Deserialize)]
    #[serde(default)]
    struct State {
        running: Option<Running>,
    }
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Running {
        #[serde(default, deserialize_with = "timestamp")]
        started_at: Option<Timestamp>,
    }
    let state: Option<State> = Option::deserialize(deserializer)?;
    Ok(state.and_then(|state| state.running?.started_at))
}

/// Whether a restart policy is `Always`.
pub(super) fn is_always<'de, D: Deserializer<'de>>(deserializer: D) -> Result<bool, D::Error> {
    #[derive(Deserialize)]
    enum Policy {
        Always,
        #[serde(other)]
        Other,
    }
    Ok(matches!(Option::deserialize(deserializer)?, Some(Policy::Always)))
}

fn labels<'de, D: Deserializer<'de>>(deserializer: D) -> Result<StrMap, D::Error> {
    filtered(deserializer, |_| true)
}

fn annotations<'de, D: Deserializer<'de>>(deserializer: D) -> Result<StrMap, D::Error> {
    filtered(deserializer, SlimPod::keeps_annotation)
}

fn filtered<'de, D: Deserializer<'de>>(deserializer: D, keeps: fn(&str) -> bool) -> Result<StrMap, D::Error> {
    deserializer.deserialize_option(Filtered(keeps))
}

/// Reads a map of strings, or `null`, and keeps the pairs whose keys pass.
struct Filtered(fn(&str) -> bool);

impl<'de> Visitor<'de> for Filtered {
    type Value = StrMap;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a map of strings")
    }

    fn visit_none<E: de::Error>(self) -> Result<StrMap, E> {
        Ok(StrMap::default())
    }

    fn visit_unit<E: de::Error>(self) -> Result<StrMap, E> {
        Ok(StrMap::default())
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<StrMap, D::Error> {
        deserializer.deserialize_map(self)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<StrMap, A::Error> {
        let mut pairs: Vec<(Box<str>, Box<str>)> = Vec::new();
        while let Some(key) = map.next_key_seed(Key(self.0, PhantomData))? {
            match key {
                Some(key) => pairs.push((key, map.next_value()?)),
                None => {
                    map.next_value::<IgnoredAny>()?;
                }
            }
        }
        Ok(pairs.into_iter().collect())
    }
}

/// Reads a key, and keeps it if it passes.
struct Key<'de>(fn(&str) -> bool, PhantomData<&'de str>);

impl<'de> de::DeserializeSeed<'de> for Key<'de> {
    type Value = Option<Box<str>>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl<'de> Visitor<'de> for Key<'de> {
    type Value = Option<Box<str>>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a string")
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Self::Value, E> {
        Ok((self.0)(text).then(|| text.into()))
    }
}
