//! The plan.

use std::borrow::Borrow;

use kruise_core::api::int_or_percent::{Mode, Quantity};
use kruise_core::policy::budget::Budget;
use kruise_core::policy::rollout::Hold;
use kruise_core::policy::{Labels, Member, Plan, PodRank, Rollout, Verdict};
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
    wants_reset: bool,
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
        let consistent = pod.is_consistent(target);
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
            available: ready && (consistent || !updated),
            settled: ready && consistent,
            not_upgradable: !updated && !upgradable,
            wants_reset: target.updates && !target.paused && hot::wants_reset(target, pod),
            obstacle,
        }
    }
}

/// A member whose facts are known.
pub(super) trait Known: Member<Obstacle = Obstacle> {
    fn facts(&self) -> &Facts;
    fn key(&self) -> &ObjectKey;
    /// Its position among those that were given.
    fn at(&self) -> u32;
}

/// A matched pod, judged for one set.
struct Judged<'p> {
    at: u32,
    facts: Facts,
    pod: &'p SidecarPod,
}

impl Known for Judged<'_> {
    fn facts(&self) -> &Facts {
        &self.facts
    }

    fn key(&self) -> &ObjectKey {
        &self.pod.pod().key
    }

    fn at(&self) -> u32 {
        self.at
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
        PodRank::new(self.pod.standing, self.key())
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
    let judged = (0..).zip(matched).map(|(at, pod)| {
        let pod = pod.borrow();
        let facts = Facts::of(target, pod);
        Judged { at, facts, pod }
    });
    plan_members(target, judged.collect(), mode)
}

/// Plans for members whose facts are known.
pub(super) fn plan_members<M: Known>(target: &Target, mut members: Vec<M>, mode: Mode) -> UpgradePlan {
    let mut counts = Counts::default();
    let mut resets = Vec::new();
    let mut in_flight = 0;
    for member in &members {
        let facts = member.facts();
        counts.add(facts);
        in_flight += usize::from(facts.obstacle == Some(Obstacle::InFlight));
        if facts.wants_reset {
            resets.push(member.at());
        }
    }
    let rollout = match &target.strategy {
        Ok(strategy) => rollout(target, strategy, members.len(), in_flight, mode),
        // Nothing is in the order then.
        Err(_) => Rollout::default(),
    };
    // Values of a label that no term names are taken as they occur, so there the order of the pods would count.
    let by_name = matches!(&target.strategy, Ok(strategy) if strategy.scatters_any);
    if by_name {
        members.sort_unstable_by(|one, other| one.key().cmp(other.key()));
    }
    let mut rollout = rollout.plan(&members);
    if by_name {
        as_given(&members, &mut rollout);
    }
    if !resets.is_empty() {
        hold(&mut rollout);
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
    (0..in_flight).for_each(|_| budget.observe(true, false));
    Rollout {
        paused: target.paused,
        selector: strategy.selector.as_ref(),
        priority: strategy.priority.as_ref(),
        scatter: Some(&strategy.scatter),
        partition: scaled(Quantity::SidecarSetPartition, strategy.partition),
        budget,
    }
}

/// Puts a plan for members in another order into terms of the order in which they were given.
fn as_given<M: Known>(members: &[M], rollout: &mut Plan<Obstacle>) {
    for at in &mut rollout.order {
        *at = members.get(*at as usize).map_or(*at, |member| member.at());
    }
    let mut verdicts = rollout.verdicts.clone();
    for (member, verdict) in members.iter().zip(&rollout.verdicts) {
        if let Some(to) = verdicts.get_mut(member.at() as usize) {
            *to = *verdict;
        }
    }
    rollout.verdicts = verdicts;
}

/// Takes back what was to be upgraded.
fn hold(rollout: &mut Plan<Obstacle>) {
    let taken = rollout.order.get(..rollout.count).unwrap_or_default();
    for at in taken {
        if let Some(verdict) = rollout.verdicts.get_mut(*at as usize) {
            *verdict = Verdict::Wait(Hold::Obstacle(Obstacle::ResetsFirst));
        }
    }
    rollout.count = 0;
}
