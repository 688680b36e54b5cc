//! The order in which pods are given up: the least useful first.

use std::borrow::Borrow;
use std::cmp::Reverse;

use jiff::Timestamp;

use crate::runtime::{ConditionStatus, ObjectKey, Phase, SlimPod};

/// How useful a pod is; smaller goes first. The first difference decides:
///
/// 1. not scheduled before scheduled;
/// 2. Pending before Unknown before Running, any other phase with Pending;
/// 3. not ready before ready;
/// 4. of ready ones, ready for a shorter time first (an unknown time before all);
/// 5. more restarts of one container first;
/// 6. younger first (an unknown age before all).
///
/// Ties are broken by namespace and name where pods are [sorted](sort), so that the order is always the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Rank {
    scheduled: bool,
    phase: u8,
    ready: bool,
    /// Known, and since when; the same for all that are not ready.
    ready_since: (bool, Reverse<Timestamp>),
    restarts: Reverse<i32>,
    created: (bool, Reverse<Timestamp>),
}

impl Rank {
    /// The rank of a pod.
    pub fn of(pod: &SlimPod) -> Self {
        let ready = pod
            .condition("Ready")
            .filter(|ready| ready.status == ConditionStatus::True);
        let known = |time: Option<Timestamp>| (time.is_some(), Reverse(time.unwrap_or_default()));
        Self {
            scheduled: pod.node_name.as_ref().is_some_and(|node| !node.is_empty()),
            phase: match pod.phase {
                Phase::Unknown => 1,
                Phase::Running => 2,
                _ => 0,
            },
            ready: ready.is_some(),
            ready_since: known(ready.and_then(|ready| ready.last_transition_time)),
            restarts: Reverse(
                pod.container_statuses
                    .iter()
                    .map(|status| status.restart_count)
                    .max()
                    .unwrap_or(0),
            ),
            created: known(pod.creation_timestamp),
        }
    }
}

/// Sorts `waiting`, indices into `pods`, by rank, then namespace and name. Indices out of range go to the end.
/// O(n log n), one allocation.
pub fn sort<P: Borrow<SlimPod>>(pods: &[P], waiting: &mut [u32]) {
    let pod = |index: u32| pods.get(index as usize).map(Borrow::borrow);
    // The key is only borrowed: most pods are told apart before it is needed.
    let mut ranked: Vec<(Option<Rank>, Option<&ObjectKey>, u32)> = waiting
        .iter()
        .map(|index| (pod(*index).map(Rank::of), pod(*index).map(|pod| &pod.key), *index))
        .collect();
    ranked.sort_unstable_by_key(|(rank, key, index)| (rank.is_none(), *rank, *key, *index));
    for (place, (_, _, index)) in waiting.iter_mut().zip(ranked) {
        *place = index;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};
    use std::sync::Arc;

    fn pod(
        name: &str,
        created: &str,
        node: Option<&str>,
        phase: &str,
        ready: Option<&str>,
        restarts: &[i32],
    ) -> Arc<SlimPod> {
        let time = |hour: &str| format!("2030-01-01T{hour}:00Z");
        let condition = match ready {
            Some(since) => json!({"type": "Ready", "status": "True", "lastTransitionTime": time(since)}),
            None => json!({"type": "Ready", "status": "False", "lastTransitionTime": time("11:00")}),
        };
        let statuses: Vec<Value> = restarts
            .iter()
            .map(|count| json!({"name": count.to_string(), "restartCount": count}))
            .collect();
        Arc::new(
            serde_json::from_value(json!({
                "metadata": {"name": name, "namespace": "shop", "uid": name, "resourceVersion": "1", "creationTimestamp": time(created)},
                "spec": {"nodeName": node, "containers": []},
                "status": {"phase": phase, "conditions": [condition], "containerStatuses": statuses},
            }))
            .unwrap(),
        )
    }

    #[test]
    fn the_worked_example_p_24() {
        let pods = [
            pod("q1", "08:00", Some("n"), "Running", Some("10:00"), &[0]),
            pod("q2", "08:00", Some("n"), "Running", None, &[0]),
            pod("q3", "08:00", Some("n"), "Pending", None, &[]),
            pod("q4", "08:00", None, "Pending", None, &[]),
            pod("q5", "08:00", Some("n"), "Running", Some("10:30"), &[0]),
            pod("q6", "09:00", Some("n"), "Running", Some("10:00"), &[0]),
            pod("q7", "08:00", Some("n"), "Running", Some("10:00"), &[1, 3]),
        ];
        let mut waiting: Vec<u32> = (0..7).collect();
        sort(&pods, &mut waiting);
        assert_eq!(waiting, [3, 2, 1, 4, 6, 5, 0]);
    }

    #[test]
    fn unknown_is_between_pending_and_running_and_ended_pods_rank_with_pending() {
        let one = |name: &str, phase: &str| pod(name, "08:00", Some("n"), phase, None, &[]);
        let pods = [
            one("r", "Running"),
            one("u", "Unknown"),
            one("s", "Succeeded"),
            one("p", "Pending"),
        ];
        let mut waiting: Vec<u32> = (0..4).collect();
        sort(&pods, &mut waiting);
        assert_eq!(waiting, [3, 2, 1, 0]);
    }

    #[test]
    fn equal_pods_are_ordered_by_name_whatever_the_order_before() {
        let pods = ["c", "a", "b"].map(|name| pod(name, "08:00", Some("n"), "Running", Some("10:00"), &[0]));
        let mut waiting = [0, 2, 1];
        sort(&pods, &mut waiting);
        assert_eq!(waiting, [1, 2, 0]);
    }
}
