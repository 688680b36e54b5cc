//! Why nodes of a job failed, grouped for people.

use std::collections::BTreeMap;

use super::{Decision, Verdict};
use crate::api::{FailedReason, ImageKey, MAX_FAILED_REASONS, NodeImage};

/// Longest message kept, in bytes.
const MAX_MESSAGE: usize = 256;

/// Returns the most frequent reasons, at most [`MAX_FAILED_REASONS`]; what does not fit is counted in the last entry.
pub(super) fn group<'a>(
    nodes: impl Iterator<Item = (&'a Decision<'a>, &'a NodeImage)>,
    key: &ImageKey,
) -> Vec<FailedReason> {
    let mut groups: BTreeMap<&str, (i32, &str)> = BTreeMap::new();
    for (decision, node) in nodes {
        let message = match decision.verdict {
            Verdict::Failed => node
                .result(&key.name, &key.tag)
                .map_or("", |result| result.message.as_str()),
            Verdict::TooLate => "the job ended before the node did",
            _ => continue,
        };
        let message = if message.is_empty() {
            "no reason given"
        } else {
            cut(message)
        };
        let group = groups.entry(message).or_insert((0, decision.node));
        group.0 += 1;
        group.1 = group.1.min(decision.node);
    }
    let mut reasons: Vec<FailedReason> = groups
        .into_iter()
        .map(|(message, (nodes, example))| FailedReason {
            message: message.to_owned(),
            nodes,
            example_node: example.to_owned(),
        })
        .collect();
    reasons.sort_by(|a, b| b.nodes.cmp(&a.nodes).then_with(|| a.message.cmp(&b.message)));
    if reasons.len() > MAX_FAILED_REASONS {
        let rest = reasons.split_off(MAX_FAILED_REASONS - 1);
        reasons.push(FailedReason {
            message: format!("{} other reasons", rest.len()),
            nodes: rest.iter().map(|reason| reason.nodes).sum(),
            example_node: rest
                .into_iter()
                .map(|reason| reason.example_node)
                .min()
                .unwrap_or_default(),
        });
    }
    reasons
}

/// Returns the longest prefix of at most [`MAX_MESSAGE`] bytes.
fn cut(message: &str) -> &str {
    let end = (0..=message.len().min(MAX_MESSAGE))
        .rev()
        .find(|end| message.is_char_boundary(*end));
    end.and_then(|end| message.get(..end)).unwrap_or_default()
}
