//! The plan.

use std::borrow::Borrow;
use std::cmp::Ordering;

use kruise_core::api::int_or_percent::{Mode, Quantity};
use kruise_core::policy::budget::Budget;
use kruise_core::policy::{Labels, Member, Plan, PodRank, Rollout};
use kruise_core::runtime::ObjectKey;

use super::decision::Obstacle;
use super::hot;
use crate::api::SidecarSetStatus;
use crate::plan::target::Strategy;
use crate::plan::{SidecarPod, Target};

/// The counts of a status.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Matched pods.
    pub matched: usize,
    /// Those at the state of the set.
    pub updated: usize,
    /// Those that are ready, with containers that run what the spec says.
    pub ready: usize,
    /// Those that are both.
    pub updated_ready: usize,
    /// Those that can not be upgraded, since more than images differs.
    pub not_upgradable: usize,
}

impl Counts {
    /// Returns the status with these counts and this generation; what else stands in `old` is kept.
    ///
    /// It is to be written if it differs from `old`.
    pub fn status(&self, old: &SidecarSetStatus, generation: i64) -> SidecarSetStatus {
        let number = |count: usize| i32::try_from(count).unwrap_or(i32::MAX);
        SidecarSetStatus {
            observed_generation: generation,
            matched_pods: number(self.matched),
            updated_pods: number(self.updated),
            ready_pods: number(self.ready),
            updated_ready_pods: number(self.updated_ready),
            ..old.clone()
        }
    }
}

/// What to do with the pods of a set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UpgradePlan {
    /// For the status.
    pub counts: Counts,
    /// Positions of pods whose idle hot-upgraded containers get the empty image. While there are any, no pod is
    /// upgraded.
    pub resets: Vec<u32>,
    /// Order, verdicts, and which pods are upgraded now.
    pub rollout: Plan<Obstacle>,
}

impl UpgradePlan {
    /// Positions of the pods that are upgraded now, in order.
    pub fn updates(&self) -> &[u32] {
        self.rollout.updates()
    }
}

impl Counts {
    pub(super) fn add(&mut self, facts: &Facts) {
        self.matched += 1;
        self.updated += usize::from(facts.updated);
        self.ready += usize::from(facts.settled);
        self.updated_ready += usize::from(facts.updated && facts.settled);
        self.not_upgradable += usize::from(facts.not_upgradable);
    }
}

/// What a plan must know of a matched pod for one set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Facts {
    pub(crate) updated: bool,
    pub(crate) available: bool,
    /// Ready, and its containers run what the spec says.
    settled: bool,
    not_upgradable: bool,
    /// Its idle hot-upgraded containers are to get the empty image.
    pub(super) wants_reset: bool,
    pub(super) obstacle: Option<Obstacle>,
}

impl Facts {
    pub(crate) fn of(target: &Target, pod: &SidecarPod) -> Self {
        let injected = pod.set(&target.name);
        let hash = injected.and_then(|injected| injected.hash);
        let without_image = injected.and_then(|injected| injected.without_image);
        let updated = hash.is_some() && hash == target.hash;
        let upgradable = without_image.is_some() && without_image == target.without_image;
        let ready = pod.is_ready() && hot::idle_are_empty(target, pod);
        let over = pod.upgrades_are_over(target);
        let obstacle = match updated {
            true => None,
            false if !target.updates => Some(Obstacle::NotUpdate),
            false if target.strategy.is_err() => Some(Obstacle::BadStrategy),
            false if !upgradable => Some(Obstacle::Immutable),
            false => pod.in_flight(target).map(|_| Obstacle::InFlight),
        };
        Self {
            updated,
            // One that is not updated is free to take as soon as it is not ready, whatever it runs.
            available: ready && (over || !updated),
            settled: ready && pod.is_consistent(target),
            not_upgradable: !updated && !upgradable,
            // What the empty image of a pod is that can not be upgraded, the set does not say.
            wants_reset: target.updates
                && !target.paused
                && (updated || upgradable)
                && hot::wants_reset(target, pod),
            obstacle,
        }
    }
}

/// A member whose facts are known.
pub(super) trait Known: Member<Obstacle = Obstacle> {
    fn facts(&self) -> &Facts;
    fn key(&self) -> Option<&ObjectKey>;
    /// Whether the API server does not take its patch.
    fn is_refused(&self) -> bool;
}

/// A matched pod, judged for one set.
struct Judged<'p> {
    facts: Facts,
    pod: &'p SidecarPod,
}

impl Known for Judged<'_> {
    fn facts(&self) -> &Facts {
        &self.facts
    }

    fn key(&self) -> Option<&ObjectKey> {
        Some(&self.pod.pod().key)
    }

    fn is_refused(&self) -> bool {
        false
    }
}

impl Labels for Judged<'_> {
    fn label(&self, key: &str) -> Option<&str> {
        self.pod.label(key)
    }

    fn label_near(&self, key: &str, hint: &mut usize) -> Option<&str> {
        self.pod.label_near(key, hint)
    }
}

impl Member for Judged<'_> {
    type Rank<'a>
        = PodRank<'a>
    where
        Self: 'a;
    type Obstacle = Obstacle;

    fn rank(&self) -> PodRank<'_> {
        PodRank::new(self.pod.standing, &self.pod.pod().key)
    }

    fn rank_prefix(&self) -> u128 {
        self.pod.standing.prefix()
    }

    fn tie_break(&self, other: &Self) -> Ordering {
        self.key().cmp(&other.key())
    }

    fn is_updated(&self) -> bool {
        self.facts.updated
    }

    fn is_available(&self) -> bool {
        self.facts.available
    }

    fn obstacle(&self) -> Option<Obstacle> {
        self.facts.obstacle
    }
}

/// Plans the upgrade of the matched pods of a set: all for which [`membership`](super::membership) holds, in any order,
/// as the plan does not depend on it. O(n log n), and nothing allocated per pod.
///
/// Pods whose previous upgrade is under way count as unavailable besides those that OpenKruise counts, so that a set
/// that is changed again and again never takes down more than it may.
///
/// For sets of many thousand pods see [`Roster`](super::Roster), which has not to look at each of them again.
pub fn plan_upgrade<P: Borrow<SidecarPod>>(target: &Target, matched: &[P], mode: Mode) -> UpgradePlan {
    let judged = matched.iter().map(|pod| {
        let pod = pod.borrow();
        let facts = Facts::of(target, pod);
        Judged { facts, pod }
    });
    let judged: Vec<_> = judged.collect();
    plan_members(target, &judged, None, mode)
}

/// Plans for members whose facts are known; `ranked` are their positions by rank, if that is known.
pub(super) fn plan_members<M: Known>(
    target: &Target,
    members: &[M],
    ranked: Option<&[u32]>,
    mode: Mode,
) -> UpgradePlan {
    let mut counts = Counts::default();
    let (mut resets, mut early) = (Vec::new(), Vec::new());
    let (mut in_flight, mut down) = (0, 0);
    for (at, member) in (0..).zip(members) {
        let facts = member.facts();
        counts.add(facts);
        in_flight += usize::from(facts.obstacle == Some(Obstacle::InFlight));
        down += usize::from(facts.updated && !facts.available);
        if facts.wants_reset && !member.is_refused() {
            let list = if facts.updated { &mut resets } else { &mut early };
            list.push(at);
        }
    }
    let rollout = match &target.strategy {
        Ok(strategy) => rollout(target, strategy, members.len(), in_flight, mode),
        // Nothing is in the order then.
        Err(_) => Rollout::default(),
    };
    // Pods that are updated count as down until they are reset. Others do not, so that resetting one takes it down.
    let key = |at: &u32| members.get(*at as usize).and_then(Known::key);
    early.sort_unstable_by(|one, other| key(one).cmp(&key(other)));
    let room = rollout.budget.limit().saturating_sub(in_flight + down);
    resets.extend(early.into_iter().take(room));
    let mut rollout = match ranked {
        Some(ranked) => rollout.plan_ranked(members, ranked),
        None => rollout.plan(members),
    };
    if !resets.is_empty() {
        rollout.hold_back(Obstacle::ResetsFirst);
    }
    UpgradePlan {
        counts,
        resets,
        rollout,
    }
}

fn rollout<'t>(
    target: &Target,
    strategy: &'t Strategy,
    matched: usize,
    in_flight: usize,
    mode: Mode,
) -> Rollout<'t> {
    let scaled = |quantity: Quantity, value| quantity.rule(mode).scale(value, matched);
    let limit = scaled(Quantity::SidecarSetMaxUnavailable, strategy.max_unavailable);
    let mut budget = Budget::new(limit);
    // They are old already, but the state that they are on their way to was this set's too.
    budget.charge(in_flight);
    Rollout {
        paused: target.paused,
        selector: strategy.selector.as_ref(),
        priority: strategy.priority.as_ref(),
        scatter: Some(&strategy.scatter),
        partition: scaled(Quantity::SidecarSetPartition, strategy.partition),
        budget,
    }
}
