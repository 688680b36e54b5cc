//! `patchPodMetadata`: annotations that pods get.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::api::{PatchPodMetadata, PatchPolicy};

/// Two values that were to be merged as JSON, of which one is none.
#[derive(Debug, thiserror::Error)]
#[error("annotation {key:?} can not be merged: {which} value is not JSON")]
pub struct MetadataError {
    /// The annotation.
    pub key: String,
    /// Whose value: `the pod's` or `the set's`.
    pub which: &'static str,
    /// What is wrong with it.
    #[source]
    pub source: serde_json::Error,
}

/// Returns the annotations of a pod that change, with their new values.
///
/// # Errors
/// A value that is to be merged is not JSON.
///
/// ```
/// use kruise_sidecar::plan::upgrade::patch_metadata;
/// use std::collections::BTreeMap;
///
/// let patches = serde_json::from_str::<Vec<_>>(
///     r#"[{"annotations": {"k": "{\"b\": 2}"}, "patchPolicy": "MergePatchJson"}, {"annotations": {"x": "new"}}]"#,
/// ).unwrap();
/// let pod = BTreeMap::from([("k".to_owned(), r#"{"a": 1}"#.to_owned()), ("x".to_owned(), "old".to_owned())]);
/// assert_eq!(patch_metadata(&patches, &pod)?, BTreeMap::from([("k".to_owned(), r#"{"a":1,"b":2}"#.to_owned())]));
/// # Ok::<(), kruise_sidecar::plan::upgrade::MetadataError>(())
/// ```
pub fn patch_metadata(
    patches: &[PatchPodMetadata],
    annotations: &BTreeMap<String, String>,
) -> Result<BTreeMap<String, String>, MetadataError> {
    let mut changed: BTreeMap<String, String> = BTreeMap::new();
    for patch in patches {
        for (key, value) in &patch.annotations {
            let now = changed.get(key).or_else(|| annotations.get(key));
            let wanted = match (&patch.patch_policy, now) {
                (_, None) | (Some(PatchPolicy::Overwrite), _) => value.clone(),
                (Some(PatchPolicy::MergePatchJson), Some(now)) if now.is_empty() => value.clone(),
                (Some(PatchPolicy::MergePatchJson), Some(now)) => merged(key, now, value)?,
                // A policy that is not known changes nothing that is there.
                (None | Some(PatchPolicy::Retain | PatchPolicy::Other(_)), Some(_)) => continue,
            };
            if now != Some(&wanted) {
                changed.insert(key.clone(), wanted);
            }
        }
    }
    Ok(changed)
}

fn merged(key: &str, now: &str, patch: &str) -> Result<String, MetadataError> {
    let read = |text: &str, which| -> Result<Value, MetadataError> {
        serde_json::from_str(text).map_err(|source| MetadataError {
            key: key.to_owned(),
            which,
            source,
        })
    };
    let mut value = read(now, "the pod's")?;
    json_patch::merge(&mut value, &read(patch, "the set's")?);
    value.sort_all_objects();
    Ok(value.to_string())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn patched(policy: Value, value: &str, now: Option<&str>) -> Result<Option<String>, MetadataError> {
        let patches = json!([{"annotations": {"k": value}, "patchPolicy": policy}]);
        let patches: Vec<PatchPodMetadata> = serde_json::from_value(patches).expect("patches");
        let annotations = now
            .into_iter()
            .map(|now| ("k".to_owned(), now.to_owned()))
            .collect();
        Ok(patch_metadata(&patches, &annotations)?.remove("k"))
    }

    #[test]
    fn examples_l9_and_l10_of_policies() {
        for (policy, value, now, changed) in [
            (json!("Retain"), "new", Some("old"), None),
            (json!("Retain"), "new", None, Some("new")),
            (json!(null), "new", Some("old"), None),
            (json!("Later"), "new", Some("old"), None),
            (json!("Overwrite"), "new", Some("old"), Some("new")),
            (json!("Overwrite"), "new", Some("new"), None),
            (
                json!("MergePatchJson"),
                r#"{"b":2}"#,
                Some(r#"{"a":1}"#),
                Some(r#"{"a":1,"b":2}"#),
            ),
            (
                json!("MergePatchJson"),
                r#"{"a":null}"#,
                Some(r#"{"a":1, "b": 2}"#),
                Some(r#"{"b":2}"#),
            ),
            (json!("MergePatchJson"), "oops", None, Some("oops")),
            (
                json!("MergePatchJson"),
                r#"{"a":1}"#,
                Some(""),
                Some(r#"{"a":1}"#),
            ),
        ] {
            let expected = changed.map(str::to_owned);
            assert_eq!(
                patched(policy.clone(), value, now).expect("merges"),
                expected,
                "{policy} {value} {now:?}"
            );
        }
    }

    #[test]
    fn what_is_not_json_is_not_merged() {
        let error = patched(json!("MergePatchJson"), "{}", Some("oops")).expect_err("no JSON");
        assert_eq!(
            error.to_string(),
            r#"annotation "k" can not be merged: the pod's value is not JSON"#
        );
        let error = patched(json!("MergePatchJson"), "oops", Some("{}")).expect_err("no JSON");
        assert_eq!(error.which, "the set's");
    }
}
