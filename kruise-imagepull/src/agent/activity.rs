//! What can honestly be told of a pull that is under way: how much the filesystem of images has grown since.
//!
//! The container runtime interface tells no progress, and one number for all images. It belongs to a pull only if no other
//! pull of this agent has run since its start; then it is told, as bytes and never as a percentage, since nobody knows of
//! how many. Pulls of the kubelet are not seen here: the number may be too high, and then it is at least true of the disk.

use std::sync::Arc;

use futures::FutureExt;
use kruise_cri::{Error as CriError, FilesystemUsage, PullRequest};
use parking_lot::Mutex;
use tokio::time::{Instant, MissedTickBehavior};

use super::worker::{Teller, WorkerContext};

/// The pulls of one agent that are under way.
#[derive(Clone, Debug, Default)]
pub(super) struct Activity(Arc<Mutex<Counts>>);

#[derive(Debug, Default)]
struct Counts {
    running: usize,
    begun: u64,
}

/// One pull under way.
struct Pulling<'a> {
    counts: &'a Mutex<Counts>,
    number: u64,
    began_alone: bool,
}

impl Pulling<'_> {
    /// Returns whether no other pull has run since this one began.
    fn is_alone(&self) -> bool {
        self.began_alone && self.counts.lock().begun == self.number
    }
}

impl Drop for Pulling<'_> {
    fn drop(&mut self) {
        self.counts.lock().running -= 1;
    }
}

impl Activity {
    fn begin(&self) -> Pulling<'_> {
        let mut counts = self.0.lock();
        counts.begun += 1;
        counts.running += 1;
        Pulling {
            counts: &self.0,
            number: counts.begun,
            began_alone: counts.running == 1,
        }
    }

    /// Pulls, and tells every [`progress_interval`](super::AgentConfig::progress_interval) how far the pull is if that can
    /// be known and has changed by a tenth.
    pub(super) async fn watched(
        &self,
        context: &WorkerContext,
        teller: &Teller,
        before: &[FilesystemUsage],
        request: PullRequest,
    ) -> Result<String, CriError> {
        let pulling = self.begin();
        let mut pull = context.images.pull_image(request).fuse();
        let interval = context.config.progress_interval;
        if interval.is_zero() || before.is_empty() || !pulling.began_alone {
            return pull.await;
        }
        let begin = Instant::now();
        let mut ticks = tokio::time::interval_at(begin + interval, interval);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut told = 0;
        let result = loop {
            let tick = async {
                ticks.tick().await;
                context.images.image_fs_info().await.ok()
            };
            let now = tokio::select! {
                result = &mut pull => break result,
                now = tick => now,
            };
            if !pulling.is_alone() {
                context.metrics.grown.set(0);
                break pull.await;
            }
            let grown = now.map_or(0, |now| used(&now).saturating_sub(used(before)));
            context
                .metrics
                .grown
                .set(i64::try_from(grown).unwrap_or(i64::MAX));
            if grown / 10 * 9 >= told && grown > told {
                told = grown;
                let seconds = begin.elapsed().as_secs();
                teller
                    .is(format!("{} on disk after {seconds} s", Bytes(grown)))
                    .await;
            }
        };
        context.metrics.grown.set(0);
        result
    }
}

fn used(filesystems: &[FilesystemUsage]) -> u64 {
    filesystems
        .iter()
        .fold(0, |sum, filesystem| sum.saturating_add(filesystem.used_bytes))
}

/// Bytes as people read them, in binary units.
pub(super) struct Bytes(pub(super) u64);

impl std::fmt::Display for Bytes {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        const MIB: u64 = 1 << 20;
        const GIB: u64 = 1 << 30;
        match self.0 {
            bytes @ GIB.. => write!(f, "{}.{} GiB", bytes / GIB, bytes % GIB * 10 / GIB),
            bytes @ MIB.. => write!(f, "{} MiB", bytes / MIB),
            bytes => write!(f, "{} KiB", bytes / 1024),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pull_is_alone_only_if_no_other_ran_since_its_start() {
        let activity = Activity::default();
        let first = activity.begin();
        assert!(first.is_alone());
        let second = activity.begin();
        assert!(!first.is_alone() && !second.is_alone());
        drop(second);
        assert!(!first.is_alone(), "what the other wrote is still there");
        drop(first);
        assert!(activity.begin().is_alone());
    }

    #[test]
    fn bytes_are_told_in_binary_units() {
        let texts = [0, 2048, 5 << 20, 3 << 29].map(|bytes| Bytes(bytes).to_string());
        assert_eq!(texts, ["0 KiB", "2 KiB", "5 MiB", "1.5 GiB"]);
    }
}
