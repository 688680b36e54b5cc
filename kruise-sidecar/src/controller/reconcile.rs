//! Observes, plans, acts and reports for one set at a time.

use std::sync::Arc;
use std::time::Duration;

use kruise_core::runtime::{
    ApiError, Cache, Cached as _, Causes, EventSink, Expected, ObjectKey, Outcome, Reconciler,
};
use parking_lot::Mutex;
use tokio::time::Instant;

use super::confirm::goal;
use super::error::{SidecarSetError, is_passing};
use super::history::{Histories, Latest};
use super::metrics::UpgradeMetrics;
use super::rosters::{Entry, Rosters};
use super::writer::{Change, Order, Refusal, Round, Writer};
use super::{SidecarSetConfig, notes};
use crate::api::SidecarSet;
use crate::plan::upgrade::Counts;
use crate::plan::{SidecarPod, Target};

#[derive(Debug)]
pub(super) struct SidecarSetReconciler {
    pub(super) sets: Cache<SidecarSet>,
    pub(super) rosters: Arc<Rosters>,
    pub(super) writer: Arc<Writer>,
    pub(super) histories: Histories,
    pub(super) events: EventSink,
    pub(super) metrics: UpgradeMetrics,
    pub(super) config: SidecarSetConfig,
}

/// The soonest of several times to look again.
#[derive(Debug, Default)]
pub(super) struct Wait(Option<Duration>);

impl Wait {
    pub(super) fn at_most(&mut self, limit: Duration) {
        self.0 = Some(self.0.map_or(limit, |wait| wait.min(limit)));
    }

    fn outcome(self) -> Outcome {
        self.0.map_or(Outcome::Done, Outcome::RequeueAfter)
    }
}

/// What is to be done now.
pub(super) struct Planned {
    pub(super) counts: Counts,
    target: Arc<Target>,
    change: Change,
    pods: Vec<Arc<SidecarPod>>,
    /// There are more, or some that have changed in this moment.
    more: bool,
}

impl Reconciler for SidecarSetReconciler {
    type Object = SidecarSet;
    type Error = SidecarSetError;

    async fn reconcile(
        &self,
        key: ObjectKey,
        set: Option<Arc<SidecarSet>>,
    ) -> Result<Outcome, SidecarSetError> {
        // Pods keep the sidecars of a set that is deleted.
        let Some(set) = set.filter(|set| set.metadata.deletion_timestamp.is_none()) else {
            self.forget(&key);
            return Ok(Outcome::Done);
        };
        let mut wait = Wait::default();
        let (entry, gone) = self.rosters.entry(&set);
        if let Some(uid) = gone {
            // Another set had its name a moment ago.
            self.writer.forget(&uid);
        }
        let troubles = {
            let mut entry = entry.lock();
            entry.follow(&set, &self.rosters);
            if let Some(next) = entry.forgive(&self.rosters) {
                wait.at_most(next.saturating_duration_since(Instant::now()));
            }
            self.troubles(&set, &mut entry)
        };
        troubles.into_iter().for_each(|note| self.events.emit(note));
        let acted = self.act(&set, &entry, &mut wait).await;
        // After the upgrades, which would conflict with them.
        let told = self.conditions(&entry, &mut wait).await;
        acted?;
        told?;
        Ok(wait.outcome())
    }
}

impl SidecarSetReconciler {
    /// Brings the history, the status and some pods of a set to where they should be.
    async fn act(
        &self,
        set: &Arc<SidecarSet>,
        entry: &Mutex<Entry>,
        wait: &mut Wait,
    ) -> Result<(), SidecarSetError> {
        let latest = self.histories.sync(set, &self.rosters).await;
        let settled = self.writer.settle(set.uid()).await;
        let expected = self.writer.expectations.check(set.uid());
        let waiting = {
            let mut entry = entry.lock();
            entry.waiting = matches!(expected, Expected::Waiting { .. });
            // Long before it is given up.
            if matches!(expected, Expected::Waiting { oldest, .. } if oldest >= self.config.confirm_after) {
                entry.doubt();
            }
            entry.waiting
        };
        // After what is expected was looked at, so that a plan that may be carried out knows of all of it.
        let planned = self.plan(set, entry);
        let reported = self
            .report(set, entry, &planned.counts, latest.as_ref().ok(), wait)
            .await;
        settled?;
        let latest = latest.inspect_err(|error| {
            if !is_passing(error) {
                let note = notes::revision_failed(set, &Causes(error).to_string());
                self.events.emit(note);
            }
        })?;
        match waiting {
            true => wait.at_most(self.config.settle_retry),
            false => self.upgrade(set, entry, planned, latest, wait).await?,
        }
        // A status that can not be written stops no upgrade.
        Ok(reported?)
    }

    /// Carries a plan out.
    async fn upgrade(
        &self,
        set: &Arc<SidecarSet>,
        entry: &Mutex<Entry>,
        planned: Planned,
        latest: Latest,
        wait: &mut Wait,
    ) -> Result<(), SidecarSetError> {
        if planned.pods.is_empty() {
            if planned.more {
                wait.at_most(self.config.conflict_retry);
            }
            return Ok(());
        }
        let Some(planned) = self.confirmed(set, entry, planned).await? else {
            wait.at_most(self.config.settle_retry);
            return Ok(());
        };
        let order = Order {
            set: set.clone(),
            target: planned.target,
            revision: latest.name,
            change: planned.change,
        };
        entry.lock().waiting = true;
        let round = self.writer.round(order, planned.pods).await;
        let again = planned.more || round.conflicts > 0 || !round.refused.is_empty();
        wait.at_most(match again {
            true => self.config.conflict_retry,
            false => self.config.settle_retry,
        });
        self.finish(set, entry, planned.change, round)
    }

    fn forget(&self, key: &ObjectKey) {
        if let Some(uid) = self.rosters.forget(&key.name) {
            self.writer.forget(&uid);
            self.metrics.forget(&key.name);
        }
    }

    fn plan(&self, set: &SidecarSet, entry: &Mutex<Entry>) -> Planned {
        let mut entry = entry.lock();
        let began = Instant::now();
        let plan = entry.roster.plan(self.config.mode);
        self.metrics
            .planned(set.name(), &plan.counts, began.elapsed().as_secs_f64());
        let (change, at) = match plan.resets.is_empty() {
            true => (Change::Upgrade, plan.updates()),
            false => (Change::Reset, plan.resets.as_slice()),
        };
        let round = at.iter().take(self.config.writes_per_round);
        // A pod that is newer than its row wakes the set.
        let pods: Vec<_> = round
            .filter_map(|at| self.rosters.pods.get(entry.roster.key(*at)?))
            .filter(|pod| entry.roster.holds(pod))
            .collect();
        Planned {
            counts: plan.counts,
            target: entry.target.clone(),
            change,
            more: pods.len() < at.len(),
            pods,
        }
    }

    /// Returns a plan that is made with caches that have been seen to be where the server is; `None` if they are not yet.
    async fn confirmed(
        &self,
        set: &Arc<SidecarSet>,
        entry: &Mutex<Entry>,
        planned: Planned,
    ) -> Result<Option<Planned>, ApiError> {
        if entry.lock().confirmed {
            return Ok(Some(planned));
        }
        let patience = self.config.confirm_timeout;
        let asked = entry.lock().goal.clone();
        let goal = match asked {
            Some(goal) => Some(goal),
            None => goal(&self.writer.client, &self.sets, set, patience).await?,
        };
        entry.lock().goal.clone_from(&goal);
        let reached = match &goal {
            Some(goal) => goal.is_reached(&self.rosters.pods, patience).await,
            None => false,
        };
        if !reached {
            tracing::info!(
                set = set.name(),
                "the caches lag behind; no pods are upgraded yet"
            );
            return Ok(None);
        }
        entry.lock().confirmed = true;
        Ok(Some(self.plan(set, entry)))
    }

    /// Tells what came of a round.
    fn finish(
        &self,
        set: &SidecarSet,
        entry: &Mutex<Entry>,
        change: Change,
        round: Round,
    ) -> Result<(), SidecarSetError> {
        if !round.written.is_empty() {
            tracing::info!(
                set = set.name(),
                pods = round.written.len(),
                ?change,
                "wrote pods"
            );
        }
        if change == Change::Reset {
            for pod in &round.written {
                self.events.emit(notes::reset(pod.pod(), set.name()));
            }
        }
        let until = Instant::now() + self.config.refused_retry;
        for (pod, why) in &round.refused {
            entry.lock().refuse(pod.key(), until);
            let why = Causes(why).to_string();
            self.events.emit(match change {
                Change::Upgrade => notes::pod_refused(pod.pod(), set.name(), &why),
                Change::Reset => notes::reset_failed(pod.pod(), set.name(), &why),
            });
        }
        if let Some((pod, why)) = round.refused.first() {
            let why = Causes(why).to_string();
            tracing::warn!(
                set = set.name(),
                pods = round.refused.len(),
                error = why,
                "pods refused"
            );
            self.events
                .emit(notes::refused(set, round.refused.len(), pod.pod(), &why));
        }
        if let Some(error) = round.failure {
            return Err(error.into());
        }
        // When nothing but refusals comes back, it is not the pods: it gets ever longer until the next try.
        if round.written.is_empty() && round.conflicts == 0 {
            let refusals = round.refused.into_iter();
            let mut of_server = refusals.filter_map(|(_, why)| match why {
                Refusal::Api(error) => Some(error),
                Refusal::Patch(_) => None,
            });
            if let Some(error) = of_server.next() {
                return Err(error.into());
            }
        }
        Ok(())
    }
}
