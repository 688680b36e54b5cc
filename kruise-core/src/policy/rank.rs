//! The default order of pods: those whose update costs least go first.

use std::cmp::{Ordering, Reverse};

use jiff::Timestamp;

use crate::runtime::{ConditionStatus, ObjectKey, Phase, SlimPod};

use super::Member;

/// Where a pod stands in the default order but for its name, in 24 bytes: to be made once, when a pod enters a cache.
///
/// Times count in whole seconds, as Kubernetes writes them. See [`PodRank`] for the order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PodStanding {
    /// Assigned, phase, ready, ready since.
    state: u64,
    /// Restarts of containers, of native sidecars.
    restarts: u64,
    created: u64,
}

impl PodStanding {
    /// The standing of a pod.
    pub fn of(pod: &SlimPod) -> Self {
        let ready = pod
            .condition("Ready")
            .filter(|ready| ready.status == ConditionStatus::True);
        let restarts = pod.container_statuses.iter().map(|status| status.restart_count);
        let sidecars = pod
            .init_containers
            .iter()
            .filter(|container| container.restarts_always);
        let sidecar_restarts = sidecars.filter_map(|sidecar| {
            let mut statuses = pod.init_container_statuses.iter();
            statuses
                .find(|status| status.name == sidecar.name)
                .map(|status| status.restart_count)
        });
        let assigned = pod.node_name.as_deref().is_some_and(|node| !node.is_empty());
        let phase = match pod.phase {
            Phase::Running => 2,
            Phase::Unknown => 1,
            Phase::Pending | Phase::Succeeded | Phase::Failed => 0,
        };
        let since = ready.and_then(|ready| ready.last_transition_time);
        Self {
            state: u64::from(assigned) << 62
                | phase << 60
                | u64::from(ready.is_some()) << 59
                | later_first(since),
            restarts: more_first(restarts.max()) << 32 | more_first(sidecar_restarts.max()),
            created: later_first(pod.creation_timestamp),
        }
    }
}

impl PodStanding {
    /// The most important part of the standing as one number, for [`Member::rank_prefix`]: all of it, but for restarts
    /// beyond some thousands and what comes after them.
    #[inline]
    pub fn prefix(self) -> u128 {
        // The two bits above the phase are free, so that 44 bits hold the state.
        let state = u128::from(self.state >> 59 << TIME_BITS | self.state & TIME_MASK);
        let restarts = few_bits(self.restarts >> 32);
        let sidecars = few_bits(self.restarts & u64::from(u32::MAX));
        // Behind a number that stands for several ones, nothing may count.
        let rest = match (restarts, sidecars) {
            ((restarts, false), _) => restarts << (RESTART_BITS + TIME_BITS),
            ((restarts, true), (sidecars, exact)) => {
                let created = if exact { self.created } else { 0 };
                restarts << (RESTART_BITS + TIME_BITS) | sidecars << TIME_BITS | created
            }
        };
        (state << 64 | u128::from(rest)) << PREFIX_FREE_BITS
    }
}

/// Bits of a time, see [`later_first`].
const TIME_BITS: u32 = 40;
const TIME_MASK: u64 = (1 << TIME_BITS) - 1;
/// Bits of a number of restarts in a prefix.
const RESTART_BITS: u32 = 12;

/// What [`more_first`] made, in few bits, and whether it is exact. The least and the greatest number stand for all beyond.
fn few_bits(restarts: u64) -> (u64, bool) {
    let most = (1 << RESTART_BITS) - 1;
    // One more than for no restarts stands for odd numbers below that.
    let none = u64::from(i32::MAX.unsigned_abs());
    let few = restarts.clamp(none + 1 - most, none + 1) + most - (none + 1);
    (few, few != 0 && few != most)
}

/// A number that is smaller for a later time, and 0 for none; of 40 bits.
fn later_first(time: Option<Timestamp>) -> u64 {
    let left = |time: Timestamp| (Timestamp::MAX.as_second() - time.as_second()).unsigned_abs();
    time.map_or(0, |time| 1 + left(time))
}

/// A number that is smaller for more restarts; of 32 bits.
fn more_first(restarts: Option<i32>) -> u64 {
    (i64::from(i32::MAX) - i64::from(restarts.unwrap_or(0))).unsigned_abs()
}

/// Where a pod stands in the default order; smaller goes first, to be updated or deleted.
///
/// In this order: not assigned to a node; phase Pending, Unknown, Running (any other is as Pending); not Ready; of
/// two Ready ones that which became so later; more restarts of a container; more restarts of a native sidecar; the
/// younger; by namespace and name. A missing time is later than any.
/// ```
/// use kruise_core::policy::PodRank;
/// use kruise_core::runtime::SlimPod;
///
/// let pod = |json| serde_json::from_str::<SlimPod>(json).unwrap();
/// let pending = pod(r#"{"metadata": {"name": "b"}, "status": {"phase": "Pending"}}"#);
/// let running = pod(r#"{"metadata": {"name": "a"}, "spec": {"nodeName": "n"}, "status": {"phase": "Running"}}"#);
/// assert!(PodRank::of(&pending) < PodRank::of(&running));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct PodRank<'p> {
    standing: PodStanding,
    key: &'p ObjectKey,
}

impl<'p> PodRank<'p> {
    /// The rank of a pod.
    pub fn of(pod: &'p SlimPod) -> Self {
        Self::new(PodStanding::of(pod), &pod.key)
    }

    /// The rank of a pod of which the standing is known.
    #[inline]
    pub fn new(standing: PodStanding, key: &'p ObjectKey) -> Self {
        Self { standing, key }
    }
}

/// The lowest bits of a [prefix](Member::rank_prefix), which do not count: a sort puts places there.
pub const PREFIX_FREE_BITS: u32 = 20;
const PLACES: u128 = (1 << PREFIX_FREE_BITS) - 1;
/// So few are compared by rank without keeping the ranks.
const SHORT: usize = 20;

/// Sorts positions of `members` by rank; equal ones keep their order. Positions that are not of `members` go last.
///
/// Numbers are sorted first, the [prefixes](Member::rank_prefix) of the ranks, and then members of equal prefix among
/// themselves.
pub fn sort<M: Member>(members: &[M], order: &mut [u32]) {
    if order.is_sorted_by(|one, other| compare(members, *one, *other) != Ordering::Greater) {
        return;
    }
    if order.len() > PLACES as usize {
        return order.sort_by(|one, other| compare(members, *one, *other));
    }
    let key = |(place, at): (u128, &u32)| prefix(members, *at) | place;
    let mut keys: Vec<u128> = (0..).zip(&*order).map(key).collect();
    keys.sort_unstable();
    let before = order.to_vec();
    for (to, key) in order.iter_mut().zip(&keys) {
        if let Some(at) = before.get((key & PLACES) as usize) {
            *to = *at;
        }
    }
    let mut rest = order;
    for run in keys.chunk_by(|one, other| one & !PLACES == other & !PLACES) {
        let (equal, later) = rest.split_at_mut(run.len());
        sort_run(members, equal);
        rest = later;
    }
}

/// Sorts members of equal prefix.
fn sort_run<M: Member>(members: &[M], run: &mut [u32]) {
    match run.len() {
        0 | 1 => {}
        2..=SHORT => run.sort_by(|one, other| rank(members, *one).cmp(&rank(members, *other))),
        _ => run.sort_by_cached_key(|at| rank(members, *at)),
    }
}

#[inline]
pub(super) fn compare<M: Member>(members: &[M], one: u32, other: u32) -> Ordering {
    let by_prefix = prefix(members, one).cmp(&prefix(members, other));
    by_prefix.then_with(|| rank(members, one).cmp(&rank(members, other)))
}

#[inline]
fn prefix<M: Member>(members: &[M], at: u32) -> u128 {
    let member = members.get(at as usize);
    member.map_or(u128::MAX, Member::rank_prefix) & !PLACES
}

#[inline]
fn rank<M: Member>(members: &[M], at: u32) -> Reverse<Option<Reverse<M::Rank<'_>>>> {
    // `Reverse`, since `None` is the smallest.
    Reverse(members.get(at as usize).map(|member| Reverse(member.rank())))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// A Running pod that has been ready since that minute, if any.
    fn pod(name: &str, ready_at: Option<&str>, created: &str, restarts: i32) -> SlimPod {
        let ready = match ready_at {
            Some(since) => {
                serde_json::json!({"type": "Ready", "status": "True", "lastTransitionTime": since})
            }
            None => serde_json::json!({"type": "Ready", "status": "False"}),
        };
        let json = serde_json::json!({
            "metadata": {"name": name, "namespace": "default", "creationTimestamp": created},
            "spec": {"nodeName": "n1", "containers": [{"name": "main"}]},
            "status": {
                "phase": "Running",
                "conditions": [ready],
                "containerStatuses": [
                    {"name": "main", "restartCount": restarts, "image": "", "imageID": "", "ready": true},
                ],
            },
        });
        serde_json::from_value(json).expect("a pod")
    }

    /// A pod as the engines take it.
    #[derive(Debug)]
    struct Ranked(PodStanding, ObjectKey);

    impl super::super::Labels for Ranked {
        fn label(&self, _: &str) -> Option<&str> {
            None
        }
    }

    impl Member for Ranked {
        type Rank<'a> = PodRank<'a>;
        type Obstacle = std::convert::Infallible;

        fn rank(&self) -> PodRank<'_> {
            PodRank::new(self.0, &self.1)
        }

        fn rank_prefix(&self) -> u128 {
            self.0.prefix()
        }

        fn is_updated(&self) -> bool {
            false
        }

        fn is_available(&self) -> bool {
            true
        }
    }

    fn ranked() -> impl Strategy<Value = Ranked> {
        let restarts = || prop_oneof![Just(0), 0..3_i32, 4090..4100_i32, any::<i32>()];
        let minute = || prop::option::of(0..3_u8);
        let phase = prop_oneof![Just(Phase::Running), Just(Phase::Pending), Just(Phase::Unknown)];
        (
            any::<bool>(),
            phase,
            minute(),
            minute(),
            restarts(),
            restarts(),
            0..4_u8,
        )
            .prop_map(|(assigned, phase, ready, created, restarts, sidecars, name)| {
                let time = |minute: u8| format!("2026-01-01T08:0{minute}:00Z");
                let mut pod = pod(
                    &format!("p{name}"),
                    ready.map(time).as_deref(),
                    &time(created.unwrap_or(0)),
                    restarts,
                );
                if created.is_none() {
                    pod.creation_timestamp = None;
                }
                if !assigned {
                    pod.node_name = None;
                }
                pod.phase = phase;
                let init = serde_json::json!({
                    "metadata": {"name": "i"},
                    "spec": {"initContainers": [{"name": "s", "restartPolicy": "Always"}]},
                    "status": {"initContainerStatuses": [
                        {"name": "s", "restartCount": sidecars, "image": "", "imageID": "", "ready": true},
                    ]},
                });
                let init: SlimPod = serde_json::from_value(init).expect("a pod");
                pod.init_containers = init.init_containers;
                pod.init_container_statuses = init.init_container_statuses;
                Ranked(PodStanding::of(&pod), pod.key)
            })
    }

    proptest! {
        #[test]
        fn a_smaller_prefix_is_a_smaller_rank(one in ranked(), other in ranked()) {
            prop_assert_eq!(one.rank_prefix() & PLACES, 0);
            if one.rank_prefix() < other.rank_prefix() {
                prop_assert!(one.rank() < other.rank());
            }
        }

        #[test]
        fn a_sort_is_stable_and_by_rank(members in prop::collection::vec(ranked(), 0..80)) {
            // One position is of no member.
            let mut order: Vec<u32> = (0..=members.len() as u32).rev().collect();
            let mut expected = order.clone();
            expected.sort_by(|one, other| rank(&members, *one).cmp(&rank(&members, *other)));
            sort(&members, &mut order);
            prop_assert_eq!(order, expected);
        }
    }

    fn names(mut pods: Vec<SlimPod>) -> Vec<String> {
        pods.reverse();
        pods.sort_by(|a, b| PodRank::of(a).cmp(&PodRank::of(b)));
        pods.iter().map(|pod| pod.key.name.to_string()).collect()
    }

    #[test]
    fn example_p_24() {
        let ten = Some("2026-01-01T10:00:00Z");
        let q1 = pod("q1", ten, "2026-01-01T08:00:00Z", 0);
        let q2 = pod("q2", None, "2026-01-01T08:00:00Z", 0);
        let mut q3 = pod("q3", None, "2026-01-01T08:00:00Z", 0);
        q3.phase = Phase::Pending;
        let mut q4 = pod("q4", None, "2026-01-01T08:00:00Z", 0);
        q4.phase = Phase::Pending;
        q4.node_name = None;
        let q5 = pod("q5", Some("2026-01-01T10:30:00Z"), "2026-01-01T08:00:00Z", 0);
        let q6 = pod("q6", ten, "2026-01-01T09:00:00Z", 0);
        let q7 = pod("q7", ten, "2026-01-01T08:00:00Z", 3);
        let order = names(vec![q1, q2, q3, q4, q5, q6, q7]);
        assert_eq!(order, ["q4", "q3", "q2", "q5", "q7", "q6", "q1"]);
    }

    #[test]
    fn missing_times_go_first_and_names_decide_last() {
        let at = "2026-01-01T08:00:00Z";
        let b = pod("b", Some(at), at, 0);
        let a = pod("a", Some(at), at, 0);
        let mut unborn = pod("unborn", Some(at), at, 0);
        unborn.creation_timestamp = None;
        let mut timeless = pod("timeless", Some(at), at, 0);
        timeless
            .conditions
            .iter_mut()
            .for_each(|ready| ready.last_transition_time = None);
        assert_eq!(
            names(vec![a, b, unborn, timeless]),
            ["timeless", "unborn", "a", "b"]
        );
    }

    #[test]
    fn times_at_the_ends_of_the_calendar_and_odd_restarts_keep_the_order() {
        let early = pod(
            "early",
            Some("-009999-01-03T00:00:00Z"),
            "-009999-01-03T00:00:00Z",
            0,
        );
        let late = pod("late", Some("9999-12-29T00:00:00Z"), "9999-12-29T00:00:00Z", 0);
        let many = pod(
            "many",
            Some("-009999-01-03T00:00:00Z"),
            "-009999-01-03T00:00:00Z",
            i32::MAX,
        );
        let less = pod(
            "less",
            Some("-009999-01-03T00:00:00Z"),
            "-009999-01-03T00:00:00Z",
            i32::MIN,
        );
        assert_eq!(
            names(vec![less, early, many, late]),
            ["late", "many", "early", "less"]
        );
    }

    #[test]
    fn phases_that_ended_rank_with_pending() {
        let at = "2026-01-01T08:00:00Z";
        let mut all = Vec::new();
        for (name, phase) in [
            ("running", Phase::Running),
            ("unknown", Phase::Unknown),
            ("failed", Phase::Failed),
            ("pending", Phase::Pending),
        ] {
            let mut pod = pod(name, None, at, 0);
            pod.phase = phase;
            all.push(pod);
        }
        assert_eq!(names(all), ["failed", "pending", "unknown", "running"]);
    }
}
