//! What a workload is at one time.

use k8s_openapi::api::apps::v1::ControllerRevision;
use serde_json::Value;

/// Letters and digits of names that are made up, as Kubernetes has them: no vowels, so that no words come about.
const LETTERS: &[u8; 27] = b"bcdfghjklmnpqrstvwxz2456789";
/// The longest part of a workload's name in the name of a revision.
const MAX_PREFIX: usize = 223;

/// What a workload is at one time, as the data of a revision: a patch that brings the workload back to it.
///
/// A field that is null counts as one that is not there, so that a field that is new does not make all states new.
#[derive(Clone, Debug, PartialEq)]
pub struct Snapshot {
    data: Value,
    canonical: Value,
}

impl Snapshot {
    /// Of this data.
    pub fn new(data: Value) -> Self {
        let canonical = canonical(&data);
        Self { data, canonical }
    }

    /// The data.
    pub fn data(&self) -> &Value {
        &self.data
    }

    /// Whether a revision is of the same state.
    pub fn is_of(&self, revision: &ControllerRevision) -> bool {
        let data = revision.data.as_ref();
        data.is_some_and(|data| canonical(&data.0) == self.canonical)
    }

    /// The name of its revision: that of the workload, and a hash of the data and of how often a name was taken.
    pub fn name(&self, workload: &str, collisions: i32) -> String {
        let mut hash = Fnv::default();
        hash.add(self.canonical.to_string().as_bytes());
        if collisions > 0 {
            hash.add(collisions.to_string().as_bytes());
        }
        let letter = |digit: u8| {
            let at = usize::from(digit) % LETTERS.len();
            char::from(LETTERS.get(at).copied().unwrap_or_default())
        };
        let hash: String = hash.0.to_string().bytes().map(letter).collect();
        let prefix: String = workload.chars().take(MAX_PREFIX).collect();
        format!("{prefix}-{hash}")
    }
}

/// Without nulls in objects, keys sorted.
fn canonical(value: &Value) -> Value {
    match value {
        Value::Object(object) => {
            let mut keys: Vec<_> = object.iter().filter(|(_, value)| !value.is_null()).collect();
            keys.sort_unstable_by_key(|(key, _)| key.as_str());
            let fields = keys
                .into_iter()
                .map(|(key, value)| (key.clone(), canonical(value)));
            Value::Object(fields.collect())
        }
        Value::Array(items) => items.iter().map(canonical).collect(),
        plain => plain.clone(),
    }
}

/// FNV-1a of 32 bits, which Kubernetes takes for such names.
struct Fnv(u32);

impl Default for Fnv {
    fn default() -> Self {
        Self(0x811c_9dc5)
    }
}

impl Fnv {
    fn add(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = (self.0 ^ u32::from(*byte)).wrapping_mul(0x0100_0193);
        }
    }
}

#[cfg(test)]
mod tests {
    use k8s_openapi::apimachinery::pkg::runtime::RawExtension;
    use serde_json::json;

    use super::*;

    #[test]
    fn the_hash_is_fnv_1a() {
        let mut hash = Fnv::default();
        hash.add(b"foobar");
        assert_eq!(hash.0, 0xbf9c_f968);
    }

    #[test]
    fn a_name_depends_on_data_and_collisions_and_not_on_the_order_of_fields() {
        let name = |data, collisions| Snapshot::new(data).name("web", collisions);
        let one = name(json!({"a": 1, "b": {"c": [1, 2]}}), 0);
        assert_eq!(one, name(json!({"b": {"c": [1, 2], "d": null}, "a": 1}), 0));
        assert_ne!(one, name(json!({"a": 1, "b": {"c": [2, 1]}}), 0));
        assert_ne!(one, name(json!({"a": 1, "b": {"c": [1, 2]}}), 1));
        assert!(one.strip_prefix("web-").is_some_and(|hash| {
            (1..=10).contains(&hash.len()) && hash.bytes().all(|letter| LETTERS.contains(&letter))
        }));
    }

    #[test]
    fn a_long_name_of_a_workload_is_cut() {
        let name = Snapshot::new(json!(1)).name(&"w".repeat(253), 0);
        assert!(name.len() <= 253, "{}", name.len());
    }

    #[test]
    fn equality_is_of_data_without_nulls() {
        let snapshot = Snapshot::new(json!({"spec": {"containers": [], "volumes": null}}));
        let revision = |data: Option<Value>| ControllerRevision {
            data: data.map(RawExtension),
            ..ControllerRevision::default()
        };
        assert!(snapshot.is_of(&revision(Some(json!({"spec": {"containers": []}})))));
        assert!(!snapshot.is_of(&revision(Some(json!({"spec": {}})))));
        assert!(!snapshot.is_of(&revision(None)));
    }
}
