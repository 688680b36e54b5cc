//! What pods carry of the sets that were injected into them: the values of their annotations.
//!
//! Fields that this crate does not know are kept, and so are the entries of other sets.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::{Map, Value};

use super::words::or_default;

/// A value that is not what it should be. Admission refuses a pod that has one; an upgrade replaces it.
#[derive(Debug, thiserror::Error)]
#[error("is not a JSON object from set names to what is known of them")]
pub struct AnnotationError(#[from] serde_json::Error);

/// What was injected of one set: the values of [`SIDECARSET_HASH`] and [`SIDECARSET_HASH_WITHOUT_IMAGE`] are objects
/// from set names to these.
///
/// [`SIDECARSET_HASH`]: super::names::SIDECARSET_HASH
/// [`SIDECARSET_HASH_WITHOUT_IMAGE`]: super::names::SIDECARSET_HASH_WITHOUT_IMAGE
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct InjectedHash {
    /// When the pod was injected, or last upgraded.
    #[serde(default, with = "seconds")]
    pub update_timestamp: Option<Timestamp>,
    /// The hash of the set.
    #[serde(default, deserialize_with = "or_default")]
    pub hash: String,
    /// The name of the set.
    #[serde(default, deserialize_with = "or_default")]
    pub sidecar_set_name: String,
    /// Names of the sidecars, sorted. Not written by release 0.8.
    #[serde(
        default,
        deserialize_with = "or_default",
        skip_serializing_if = "Vec::is_empty"
    )]
    pub sidecar_list: Vec<String>,
    /// Name of the ControllerRevision; only in [`SIDECARSET_HASH`](super::names::SIDECARSET_HASH).
    #[serde(
        default,
        deserialize_with = "or_default",
        skip_serializing_if = "String::is_empty"
    )]
    pub controller_revision: String,
    /// What else stands there.
    #[serde(flatten)]
    pub rest: Map<String, Value>,
}

/// The hashes of all sets of a pod, by set name.
///
/// ```
/// use kruise_sidecar::api::InjectedHashes;
///
/// // As the first releases wrote it, and as it is written today.
/// let mut hashes = InjectedHashes::parse(r#"{"a":"x","b":{"hash":"y"}}"#)?;
/// assert_eq!(hashes.0["a"].hash, "x");
/// hashes.0.remove("b");
/// assert_eq!(hashes.to_string(), r#"{"a":{"updateTimestamp":null,"hash":"x","sidecarSetName":"a"}}"#);
/// # Ok::<(), kruise_sidecar::api::AnnotationError>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[serde(transparent)]
pub struct InjectedHashes(pub BTreeMap<String, InjectedHash>);

impl InjectedHashes {
    /// Reads the value of an annotation. An empty one holds nothing.
    ///
    /// # Errors
    /// It is not such an object.
    pub fn parse(text: &str) -> Result<Self, AnnotationError> {
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Entry {
            Legacy(String),
            Known(Box<InjectedHash>),
        }
        let entries: BTreeMap<String, Entry> = object(text)?;
        let read = entries.into_iter().map(|(name, entry)| {
            let known = match entry {
                Entry::Known(known) => *known,
                Entry::Legacy(hash) => InjectedHash {
                    hash,
                    sidecar_set_name: name.clone(),
                    ..InjectedHash::default()
                },
            };
            (name, known)
        });
        Ok(Self(read.collect()))
    }

    /// The hash of a set; `None` if it was not injected.
    pub fn hash_of(&self, set: &str) -> Option<&str> {
        let hash = self.0.get(set)?.hash.as_str();
        (!hash.is_empty()).then_some(hash)
    }
}

/// An upgrade of a pod: the value of [`SIDECARSET_INPLACE_UPDATE_STATE`] is an object from set names to these.
///
/// [`SIDECARSET_INPLACE_UPDATE_STATE`]: super::names::SIDECARSET_INPLACE_UPDATE_STATE
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct InPlaceState {
    /// Hash of the set to which the pod was upgraded. OpenKruise leaves that of the first upgrade there.
    #[serde(default, deserialize_with = "or_default")]
    pub revision: String,
    /// When. OpenKruise leaves that of the first upgrade there.
    #[serde(default, with = "seconds")]
    pub update_timestamp: Option<Timestamp>,
    /// What ran before, by container.
    #[serde(default, deserialize_with = "or_default")]
    pub last_container_statuses: BTreeMap<String, LastStatus>,
    /// What else stands there.
    #[serde(flatten)]
    pub rest: Map<String, Value>,
}

/// What ran in a container before it was upgraded.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct LastStatus {
    /// Id of the image.
    #[serde(default, rename = "imageID", deserialize_with = "or_default")]
    pub image_id: String,
    /// Id of the container, empty if none ran. Not written by OpenKruise: it is what tells a container that was
    /// restarted with another name of the same image from one that was not restarted yet.
    #[serde(default, rename = "containerID", skip_serializing_if = "Option::is_none")]
    pub container_id: Option<String>,
    /// What else stands there.
    #[serde(flatten)]
    pub rest: Map<String, Value>,
}

/// The upgrades of all sets of a pod, by set name.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[serde(transparent)]
pub struct InPlaceStates(pub BTreeMap<String, InPlaceState>);

impl InPlaceStates {
    /// Reads the value of an annotation. An empty one holds nothing.
    ///
    /// # Errors
    /// It is not such an object.
    pub fn parse(text: &str) -> Result<Self, AnnotationError> {
        Ok(Self(object(text)?))
    }
}

/// Of each hot-upgraded sidecar the container that works now: the value of
/// [`SIDECARSET_WORKING_HOTUPGRADE_CONTAINER`](super::names::SIDECARSET_WORKING_HOTUPGRADE_CONTAINER).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct WorkingContainers(pub BTreeMap<String, String>);

impl WorkingContainers {
    /// Reads the value of an annotation. An empty one holds nothing.
    ///
    /// # Errors
    /// It is not such an object.
    pub fn parse(text: &str) -> Result<Self, AnnotationError> {
        Ok(Self(object(text)?))
    }
}

/// The set names in the value of
/// [`SIDECARSET_INJECTED_LIST`](super::names::SIDECARSET_INJECTED_LIST), as they stand there.
pub fn injected_list(text: &str) -> impl Iterator<Item = &str> {
    text.split(',').map(str::trim).filter(|name| !name.is_empty())
}

/// Writes set names as the value of
/// [`SIDECARSET_INJECTED_LIST`](super::names::SIDECARSET_INJECTED_LIST): sorted, each once.
pub fn format_injected_list<'n>(names: impl IntoIterator<Item = &'n str>) -> String {
    let mut names: Vec<&str> = names.into_iter().collect();
    names.sort_unstable();
    names.dedup();
    names.join(",")
}

macro_rules! shows_as_json {
    ($($name:ident),+) => { $(
        impl std::fmt::Display for $name {
            /// Writes the value of the annotation: compact, keys sorted.
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(&serde_json::to_string(self).map_err(|_| std::fmt::Error)?)
            }
        }
    )+ };
}

shows_as_json!(InjectedHashes, InPlaceStates, WorkingContainers);

fn object<T: for<'t> Deserialize<'t>>(text: &str) -> Result<BTreeMap<String, T>, AnnotationError> {
    if text.is_empty() {
        return Ok(BTreeMap::new());
    }
    // Go reads a `null` as an empty entry, which says nothing.
    let read: Option<BTreeMap<String, Option<T>>> = serde_json::from_str(text)?;
    let entries = read.into_iter().flatten();
    Ok(entries.filter_map(|(name, entry)| Some((name, entry?))).collect())
}

/// A time as Kubernetes writes it: UTC, whole seconds. One that can not be read is none, since nothing depends on it
/// that would be worth a pod.
mod seconds {
    use super::*;

    pub(super) fn serialize<S: Serializer>(
        time: &Option<Timestamp>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        match time.map(|time| Timestamp::from_second(time.as_second())) {
            Some(Ok(whole)) => serializer.collect_str(&whole),
            _ => serializer.serialize_none(),
        }
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Option<Timestamp>, D::Error> {
        let text: Option<String> = Option::deserialize(deserializer)?;
        Ok(text.and_then(|text| text.parse().ok()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HASHES: &str = r#"{"a-logs":{"updateTimestamp":"2021-03-09T07:20:11Z","hash":"h1","sidecarSetName":"a-logs"},"b-mesh":{"updateTimestamp":"2021-03-09T07:20:11Z","hash":"h2","sidecarSetName":"b-mesh","sidecarList":["mesh"],"controllerRevision":"b-1","future":1}}"#;

    #[test]
    fn hashes_are_written_as_they_were_read() {
        let hashes = InjectedHashes::parse(HASHES).expect("reads");
        assert_eq!(hashes.hash_of("a-logs"), Some("h1"));
        assert_eq!(hashes.hash_of("c"), None);
        assert_eq!(hashes.to_string(), HASHES);
    }

    #[test]
    fn the_legacy_shape_is_read_with_the_name_of_its_own_set() {
        let hashes = InjectedHashes::parse(r#"{"a":"x","b":""}"#).expect("reads");
        assert_eq!(hashes.0["a"].sidecar_set_name, "a");
        assert_eq!((hashes.hash_of("a"), hashes.hash_of("b")), (Some("x"), None));
    }

    #[test]
    fn what_is_no_object_of_sets_is_refused() {
        for text in ["oops", "[]", "7", r#"{"a":7}"#, r#"{"a":{"hash":7}}"#] {
            assert!(InjectedHashes::parse(text).is_err(), "{text}");
        }
        for text in ["", "null", "{}", r#"{"a":null}"#] {
            assert_eq!(
                InjectedHashes::parse(text).expect("empty"),
                InjectedHashes::default()
            );
        }
        assert!(InPlaceStates::parse("x").is_err());
        assert!(WorkingContainers::parse(r#"{"a":1}"#).is_err());
    }

    #[test]
    fn times_are_written_in_whole_seconds_and_odd_ones_are_none() {
        let mut hashes = InjectedHashes::parse(r#"{"a":{"updateTimestamp":"yesterday"}}"#).expect("reads");
        assert_eq!(hashes.0["a"].update_timestamp, None);
        let entry = hashes.0.get_mut("a").expect("there");
        entry.update_timestamp = "2026-01-02T03:04:05.678Z".parse().ok();
        assert_eq!(
            hashes.to_string(),
            r#"{"a":{"updateTimestamp":"2026-01-02T03:04:05Z","hash":"","sidecarSetName":""}}"#
        );
    }

    #[test]
    fn an_upgrade_is_written_as_openkruise_writes_it() {
        let text = r#"{"s":{"revision":"h","updateTimestamp":"2021-03-09T07:20:11Z","lastContainerStatuses":{"c":{"imageID":"docker-pullable://c@sha256:1"}}}}"#;
        let states = InPlaceStates::parse(text).expect("reads");
        assert_eq!(states.0["s"].last_container_statuses["c"].container_id, None);
        assert_eq!(states.to_string(), text);
    }

    #[test]
    fn the_injected_list_is_sorted_and_read_with_blanks() {
        assert_eq!(injected_list(" b, a,,").collect::<Vec<_>>(), ["b", "a"]);
        assert_eq!(format_injected_list(["b", "a", "b"]), "a,b");
        assert_eq!(format_injected_list([]), "");
    }
}
