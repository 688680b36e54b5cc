//! `rollout status`.

use std::io::Write;
use std::time::Duration;

use kruise_sidecar::api::SidecarSet;
use kruise_sidecar::explain::{ExplainOptions, Explanation, Severity, Verdict};
use tokio::time::{Instant, sleep};

use super::get_set;
use crate::cli::{Objects, StatusFlags};
use crate::connect::Connection;
use crate::explain::live;
use crate::failure::{Failure, Result};

/// How often the set is looked at.
const INTERVAL: Duration = Duration::from_secs(1);

/// Where a rollout is.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Progress {
    /// It goes on by itself.
    UnderWay(String),
    /// It goes on when somebody does something.
    Stopped(String),
    /// All pods that may be upgraded are.
    Done(String),
    /// It never ends well.
    Failed { what: String, next: String },
}

/// Prints how far a rollout is whenever that changes, until its end.
///
/// # Errors
/// It can not come to an end, or not in time.
pub(crate) async fn run(flags: &StatusFlags, connection: &Connection, out: &mut impl Write) -> Result<()> {
    let name = Objects::set(&flags.set.objects)?;
    let began = Instant::now();
    let uid = get_set(&connection.client, &name).await?.metadata.uid;
    let mut said = String::new();
    loop {
        let set = get_set(&connection.client, &name).await?;
        if set.metadata.uid != uid {
            return Err(Failure::new(format!("sidecarset \"{name}\" has been deleted")));
        }
        let progress = match observed(&set) {
            Some(waiting) => waiting,
            None => {
                let snapshot = live(&connection.client, std::slice::from_ref(&name)).await?;
                let told = snapshot.explain(&name, &ExplainOptions::default());
                told.map_or_else(
                    || Progress::UnderWay(format!("Waiting for sidecarset \"{name}\" to be read...")),
                    |told| progress(&told),
                )
            }
        };
        let text = match progress {
            Progress::Done(text) => {
                writeln!(out, "{text}")?;
                return Ok(());
            }
            Progress::Failed { what, next } => return Err(Failure::new(what).next(next)),
            Progress::UnderWay(text) | Progress::Stopped(text) => text,
        };
        if text != said {
            writeln!(out, "{text}")?;
            out.flush()?;
            said = text;
        }
        if !flags.watch {
            return Ok(());
        }
        if !flags.timeout.is_zero() && began.elapsed() + INTERVAL > flags.timeout {
            return Err(Failure::new("timed out waiting for the condition").next(format!(
                "{said}\nSee why with: kubectl kruise explain sidecarset {name}"
            )));
        }
        sleep(INTERVAL).await;
    }
}

/// What there is to wait for before pods are looked at.
fn observed(set: &SidecarSet) -> Option<Progress> {
    let observed = set.status.as_ref().map_or(0, |status| status.observed_generation);
    (observed < set.metadata.generation.unwrap_or(0))
        .then(|| Progress::UnderWay("Waiting for sidecarset spec update to be observed...".to_owned()))
}

/// Where a rollout is, from what becomes of its pods.
pub(super) fn progress(told: &Explanation) -> Progress {
    let name = &told.set;
    let count = |verdict: Verdict| told.pods.iter().filter(|pod| pod.verdict == verdict).count();
    let totals = told.totals;
    let explain = format!("See why with: kubectl kruise explain sidecarset {name}");
    if let Some(error) = told
        .problems
        .iter()
        .find(|problem| problem.severity == Severity::Error)
    {
        return Progress::Failed {
            what: format!("sidecarset \"{name}\" cannot be rolled out: {}", error.text),
            next: "Mend the field; until then no pod is upgraded.".to_owned(),
        };
    }
    if count(Verdict::NotUpdate) > 0 {
        return Progress::Failed {
            what: "rollout status is only available for RollingUpdate strategy type".to_owned(),
            next: format!(
                "{} pods keep what they have until they are made anew.",
                count(Verdict::NotUpdate)
            ),
        };
    }
    let waiting = |text: String| format!("Waiting for sidecarset \"{name}\" rollout to finish: {text}...");
    let far = format!("{} of {} pods have been updated", totals.updated, totals.matched);
    if told.pods.iter().any(|pod| pod.verdict.is_under_way()) {
        let down = match told.unavailable.as_slice() {
            [] => String::new(),
            [one] => format!(", {} is not available ({})", one.pod, one.reason),
            [one, rest @ ..] => format!(
                ", {} and {} more are not available ({})",
                one.pod,
                rest.len(),
                one.reason
            ),
        };
        return Progress::UnderWay(waiting(far + &down));
    }
    if count(Verdict::Paused) > 0 {
        return Progress::Stopped(waiting(format!(
            "{far}, and it is paused; go on with: kubectl kruise rollout resume sidecarset/{name}"
        )));
    }
    if count(Verdict::NotUpgradable) > 0 {
        return Progress::Failed {
            what: format!(
                "sidecarset \"{name}\" cannot be rolled out to {} of {} pods: more than images differs, and they have to be made anew",
                count(Verdict::NotUpgradable),
                totals.matched
            ),
            next: explain,
        };
    }
    let mut left = Vec::new();
    for (verdict, text) in [
        (Verdict::KeptByPartition, "kept by the partition"),
        (Verdict::NotSelected, "not selected"),
    ] {
        if count(verdict) > 0 {
            left.push(format!("{} {text}", count(verdict)));
        }
    }
    Progress::Done(match left.is_empty() {
        true => format!("sidecarset \"{name}\" successfully rolled out"),
        false => format!("partitioned roll out complete: {far}, {}", left.join(", ")),
    })
}
