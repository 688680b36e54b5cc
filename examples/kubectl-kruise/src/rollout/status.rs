//! `rollout status`.

use std::io::Write;
use std::time::Duration;

use futures::{Stream, StreamExt as _, pin_mut};
use kruise_sidecar::api::SidecarSet;
use kruise_sidecar::explain::{ExplainOptions, Explanation, Severity, Verdict};
use kube_client::Api;
use kube_runtime::{WatchStreamExt as _, watcher};
use tokio::time::{Instant, timeout, timeout_at};

use super::{get_set, revisions};
use crate::cli::{Objects, StatusFlags};
use crate::connect::Connection;
use crate::explain::live_set;
use crate::failure::{Failure, Result, Trouble};

/// Pods are read at most this often while the set changes.
const BUSY: Duration = Duration::from_secs(1);
/// Pods are read this often while the set does not change.
const QUIET: Duration = Duration::from_secs(5);
/// How many pods are read in a second, at most.
const PODS_A_SECOND: u32 = 500;
/// How long the server may take for one look at the pods.
const PATIENCE: Duration = Duration::from_secs(30);

/// Where a rollout is.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Progress {
    /// It continues by itself.
    UnderWay(String),
    /// It continues when somebody acts.
    Stopped(String),
    /// All pods that may be upgraded are.
    Done(String),
    /// It never ends well.
    Failed { what: String, next: String },
}

/// Prints how far a rollout is whenever that changes, until its end.
///
/// # Errors
/// It cannot finish, or not in time.
pub(crate) async fn run(flags: &StatusFlags, connection: &Connection, out: &mut impl Write) -> Result<()> {
    let name = Objects::set(&flags.set.objects)?;
    let mut said = String::new();
    let followed = follow(&name, flags, connection, &mut said, out);
    if flags.timeout.is_zero() {
        return followed.await;
    }
    match timeout(flags.timeout, followed).await {
        Ok(done) => done,
        Err(_) if said.is_empty() => {
            Err(Failure::new("timed out waiting for the condition").next("The API server has not answered."))
        }
        Err(_) => Err(Failure::new("timed out waiting for the condition").next(format!(
            "{said}\nSee why with: kubectl kruise explain sidecarset {name}"
        ))),
    }
}

/// Follows a rollout to its end. `said` is what was printed last.
async fn follow(
    name: &str,
    flags: &StatusFlags,
    connection: &Connection,
    said: &mut String,
    out: &mut impl Write,
) -> Result<()> {
    // If the first request fails, the command fails. Later requests are repeated.
    let mut set = get_set(&connection.client, name).await?;
    let changes = watcher::watch_object(Api::all(connection.client.clone()), name).default_backoff();
    pin_mut!(changes);
    let mut trouble = Trouble::default();
    loop {
        let mut pods = 0;
        match look(&set, flags, connection, &mut pods).await {
            Ok(Progress::Done(text)) => {
                writeln!(out, "{text}")?;
                return Ok(());
            }
            Ok(Progress::Failed { what, next }) => return Err(Failure::new(what).next(next)),
            Ok(Progress::UnderWay(text) | Progress::Stopped(text)) => {
                trouble = Trouble::default();
                if text != *said {
                    writeln!(out, "{text}")?;
                    out.flush()?;
                    *said = text;
                }
                if !flags.watch {
                    return Ok(());
                }
            }
            Err(failure) if flags.watch => trouble.bear(failure)?,
            Err(failure) => return Err(failure),
        }
        set = next(set, &mut changes, pods, &mut trouble).await?;
    }
}

/// Waits until the pods should be read again: soon after the set has changed, and now and then if it has not. Returns the set.
async fn next(
    mut set: SidecarSet,
    changes: &mut (impl Stream<Item = watcher::Result<Option<SidecarSet>>> + Unpin),
    pods: usize,
    trouble: &mut Trouble,
) -> Result<SidecarSet> {
    let busy = BUSY.max(Duration::from_secs(1) * u32::try_from(pods).unwrap_or(u32::MAX) / PODS_A_SECOND);
    let now = Instant::now();
    let mut until = now + QUIET.max(busy);
    loop {
        match timeout_at(until, changes.next()).await {
            Err(_) | Ok(None) => return Ok(set),
            Ok(Some(Ok(Some(seen)))) if seen.metadata.uid == set.metadata.uid => {
                if seen.metadata.resource_version != set.metadata.resource_version {
                    until = until.min(now + busy);
                }
                set = seen;
            }
            Ok(Some(Ok(_))) => {
                return Err(Failure::new(format!(
                    "sidecarset \"{}\" has been deleted",
                    set.name()
                )));
            }
            Ok(Some(Err(error))) => trouble.bear(watch_failure(&error))?,
        }
    }
}

fn watch_failure(error: &watcher::Error) -> Failure {
    const DOING: &str = "watching the sidecarset";
    match error {
        watcher::Error::InitialListFailed(error)
        | watcher::Error::WatchStartFailed(error)
        | watcher::Error::WatchFailed(error) => Failure::api(DOING, error),
        watcher::Error::WatchError(status) => Failure::api(DOING, &kube_client::Error::Api(status.clone())),
        watcher::Error::NoResourceVersion => Failure::new(format!("{DOING}: {error}")),
    }
}

/// Where the rollout of a set is now. `pods` becomes the number of pods that were read.
async fn look(
    set: &SidecarSet,
    flags: &StatusFlags,
    connection: &Connection,
    pods: &mut usize,
) -> Result<Progress> {
    if let Some(waiting) = observed(set) {
        return Ok(waiting);
    }
    let looked = async {
        if flags.revision > 0 {
            pinned(set, flags, connection).await?;
        }
        live_set(&connection.client, set.clone()).await
    };
    let snapshot = timeout(PATIENCE, looked)
        .await
        .map_err(|_| Failure::late("listing pods", PATIENCE))??;
    *pods = snapshot.pods.len();
    let told = snapshot.explain(set.name(), &ExplainOptions::default());
    Ok(told.map_or_else(
        || Progress::UnderWay(format!("Waiting for sidecarset \"{}\" to be read...", set.name())),
        |told| progress(&told),
    ))
}

/// Fails if the set is at another revision than that of `--revision`.
async fn pinned(set: &SidecarSet, flags: &StatusFlags, connection: &Connection) -> Result<()> {
    let latest = set.status.as_ref().map_or("", |status| &status.latest_revision);
    let namespace = &flags.revisions.revision_namespace;
    let found = revisions(&connection.client, namespace, set).await?;
    let running = found
        .iter()
        .find(|revision| revision.metadata.name.as_deref() == Some(latest))
        .map(|revision| revision.revision);
    match running {
        Some(running) if running == flags.revision => Ok(()),
        Some(running) => Err(Failure::new(format!(
            "desired revision ({}) is different from the running revision ({running})",
            flags.revision
        ))),
        None => Err(Failure::new(format!(
            "unable to find the running revision in namespace {namespace}"
        ))
        .next("Name the namespace where the manager keeps revisions with --revision-namespace.")),
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
            next: "Fix the field; until then no pod is upgraded.".to_owned(),
        };
    }
    if count(Verdict::NotUpdate) > 0 {
        return Progress::Failed {
            what: "rollout status is only available for RollingUpdate strategy type".to_owned(),
            next: format!(
                "{} pods keep their sidecars until they are recreated.",
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
                "sidecarset \"{name}\" cannot be rolled out to {} of {} pods: they differ in more than images and must be recreated",
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
