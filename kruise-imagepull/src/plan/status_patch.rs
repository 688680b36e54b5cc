//! The merge patch between two states of a NodeImage status: only images that changed, only counters that changed.

use serde_json::{Map, Value, json};

use crate::api::{NodeImage, NodeImageStatus, PullPhase};

/// Returns the merge patch (`{"status": {…}}`) that turns `old` into `new`, `None` if they are equal.
pub fn status_merge_patch(old: Option<&NodeImageStatus>, new: &NodeImageStatus) -> Option<Value> {
    if old == Some(new) {
        return None;
    }
    let absent = NodeImageStatus::default();
    let before = old.unwrap_or(&absent);
    let mut status = Map::new();
    let counters = [
        ("desired", before.desired, new.desired),
        ("succeeded", before.succeeded, new.succeeded),
        ("failed", before.failed, new.failed),
        ("pulling", before.pulling, new.pulling),
    ];
    for (name, old_value, new_value) in counters {
        // A first status carries every counter, 0 included: clients rely on their presence.
        if old.is_none() || old_value != new_value {
            status.insert(name.to_owned(), json!(new_value));
        }
    }
    if before.waiting != new.waiting {
        let waiting = if new.waiting == 0 {
            Value::Null
        } else {
            json!(new.waiting)
        };
        status.insert("waiting".to_owned(), waiting);
    }
    let mut images = Map::new();
    for (name, image) in &new.image_statuses {
        if before.image_statuses.get(name) != Some(image) {
            images.insert(name.clone(), json!(image));
        }
    }
    for name in before
        .image_statuses
        .keys()
        .filter(|name| !new.image_statuses.contains_key(*name))
    {
        images.insert(name.clone(), Value::Null);
    }
    if !images.is_empty() {
        status.insert("imageStatuses".to_owned(), Value::Object(images));
    }
    Some(json!({ "status": status }))
}

/// Sets the counters of `status` from its entries and the number of tasks of `node_image`.
pub(crate) fn recount(node_image: &NodeImage, status: &mut NodeImageStatus) {
    let mut counts = [0_i32; 4];
    for result in status.image_statuses.values().flat_map(|image| &image.tags) {
        let index = match result.phase {
            PullPhase::Succeeded => 0,
            PullPhase::Failed => 1,
            PullPhase::Waiting => 2,
            PullPhase::Pulling | PullPhase::Other(_) => 3,
        };
        if let Some(count) = counts.get_mut(index) {
            *count += 1;
        }
    }
    [status.succeeded, status.failed, status.waiting, status.pulling] = counts;
    status.desired = i32::try_from(node_image.task_count()).unwrap_or(i32::MAX);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::{ImageStatus, ImageTagStatus};

    fn status(images: &[(&str, i32)]) -> NodeImageStatus {
        let entry = |progress| ImageTagStatus {
            tag: "1".into(),
            progress,
            ..ImageTagStatus::default()
        };
        NodeImageStatus {
            image_statuses: images
                .iter()
                .map(|(name, progress)| {
                    (
                        (*name).to_owned(),
                        ImageStatus {
                            tags: vec![entry(*progress)],
                        },
                    )
                })
                .collect(),
            ..NodeImageStatus::default()
        }
    }

    #[test]
    fn an_unchanged_status_is_not_written() {
        assert_eq!(
            status_merge_patch(Some(&status(&[("a", 1)])), &status(&[("a", 1)])),
            None
        );
    }

    #[test]
    fn only_changed_and_removed_images_are_written() {
        let patch = status_merge_patch(
            Some(&status(&[("a", 1), ("b", 1), ("c", 1)])),
            &status(&[("a", 1), ("b", 2)]),
        );
        let expected = json!({"status": {"imageStatuses": {
            "b": {"tags": [{"tag": "1", "phase": "Waiting", "progress": 2}]}, "c": null,
        }}});
        assert_eq!(patch, Some(expected));
    }

    #[test]
    fn a_first_status_carries_all_counters() {
        let patch = status_merge_patch(None, &NodeImageStatus::default());
        assert_eq!(
            patch,
            Some(json!({"status": {"desired": 0, "succeeded": 0, "failed": 0, "pulling": 0}}))
        );
    }
}
