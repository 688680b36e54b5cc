//! When the status is written, and what of it. Does no IO itself.

use std::sync::Arc;
use std::time::Duration;

use kruise_core::runtime::{Cached as _, version_at_least};
use serde_json::{Value, json};

use super::AgentConfig;
use super::limiter::Limiter;
use crate::api::{NodeImage, NodeImageStatus, PullPhase};
use crate::plan::status_patch::status_merge_patch;

/// Knows the status that the server has, and holds back writes that only tell progress.
#[derive(Debug)]
pub(super) struct Reporter {
    limiter: Limiter,
    /// The last answer to a write: newer than the cache until the watch has caught up.
    answered: Option<Arc<NodeImage>>,
    /// What was asked for in the last write, and what the server made of it. A server whose definition lacks a field
    /// drops it, and asking again does not help.
    accepted: Option<(NodeImageStatus, Option<NodeImageStatus>)>,
    failures: u32,
    min_backoff: Duration,
    max_backoff: Duration,
}

/// What to do about the status now.
#[derive(Debug, PartialEq)]
pub(super) enum Report {
    /// It is as it should be.
    Nothing,
    /// Look again after this time.
    Later(Duration),
    /// Send this merge patch of the status subresource.
    Write(Value),
}

impl Reporter {
    pub(super) fn new(config: &AgentConfig) -> Self {
        Self {
            limiter: Limiter::new(config.progress_writes_per_second, config.progress_write_burst),
            answered: None,
            accepted: None,
            failures: 0,
            min_backoff: config.min_write_backoff,
            max_backoff: config.max_write_backoff,
        }
    }

    /// Returns what to do so that the server has `wanted`. `cached` is the object in the cache.
    pub(super) fn report(&mut self, cached: &Arc<NodeImage>, wanted: &NodeImageStatus) -> Report {
        let base = self.newest(cached);
        if base.status.is_none() && *wanted == NodeImageStatus::default() {
            // A node without tasks has nothing to say; saves one write per node when agents start together.
            return Report::Nothing;
        }
        let Some(mut patch) = status_merge_patch(base.status.as_ref(), wanted) else {
            return Report::Nothing;
        };
        let accepted = self.accepted.as_ref().filter(|(asked, _)| asked == wanted);
        if accepted.is_some_and(|(_, got)| *got == base.status) {
            return Report::Nothing;
        }
        // What was said before and changed by others is said again, but nobody makes us say it at any pace.
        if accepted.is_none() && is_urgent(base.status.as_ref(), wanted) {
            self.limiter.take_if_any();
        } else if let Err(wait) = self.limiter.take() {
            return Report::Later(wait);
        }
        if let (Some(object), Some(uid)) = (patch.as_object_mut(), &cached.metadata.uid) {
            // Refused by the server if the object was replaced by another of its name.
            object.insert("metadata".to_owned(), json!({ "uid": uid }));
        }
        Report::Write(patch)
    }

    /// Takes in the answer to a write of `wanted`.
    pub(super) fn wrote(&mut self, wanted: NodeImageStatus, answer: NodeImage) {
        self.failures = 0;
        self.accepted = Some((wanted, answer.status.clone()));
        self.answered = Some(Arc::new(answer));
    }

    /// Takes in that a write failed. Returns how long to wait before the next.
    pub(super) fn failed(&mut self) -> Duration {
        let factor = 1_u32.checked_shl(self.failures).unwrap_or(u32::MAX);
        self.failures = self.failures.saturating_add(1);
        self.min_backoff.saturating_mul(factor).min(self.max_backoff)
    }

    fn newest(&self, cached: &Arc<NodeImage>) -> Arc<NodeImage> {
        let answered = self.answered.as_ref().filter(|answered| {
            answered.uid() == cached.uid()
                && !version_at_least(cached.resource_version(), answered.resource_version())
        });
        answered.unwrap_or(cached).clone()
    }
}

/// Returns whether more than progress is new: a task, a round or a phase.
fn is_urgent(old: Option<&NodeImageStatus>, new: &NodeImageStatus) -> bool {
    type Fact<'a> = (&'a str, &'a str, i64, &'a PullPhase, bool);
    fn facts(status: Option<&NodeImageStatus>) -> Vec<Fact<'_>> {
        let images = status.into_iter().flat_map(|status| &status.image_statuses);
        images
            .flat_map(|(name, image)| {
                image.tags.iter().map(move |result| {
                    (
                        name.as_str(),
                        result.tag.as_str(),
                        result.version,
                        &result.phase,
                        result.is_terminal(),
                    )
                })
            })
            .collect()
    }
    facts(old) != facts(Some(new))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixtures::{NodeImageExt as _, node, result};

    fn status(node: &NodeImage) -> NodeImageStatus {
        node.status.clone().expect("there")
    }

    fn pulling(progress: i32) -> NodeImage {
        let entry = crate::api::ImageTagStatus {
            progress,
            ..result("1", 0, PullPhase::Pulling)
        };
        node("n").with_result("nginx", entry)
    }

    #[tokio::test(start_paused = true)]
    async fn twenty_changes_of_progress_in_ten_seconds_make_ten_writes_at_most() {
        let mut reporter = Reporter::new(&AgentConfig::default());
        let mut server = Arc::new(pulling(0));
        let mut writes = 0;
        for progress in 1..=20 {
            let wanted = status(&pulling(progress));
            if let Report::Write(patch) = reporter.report(&server, &wanted) {
                writes += 1;
                server = Arc::new(server.merged(&patch));
                reporter.wrote(wanted, server.as_ref().clone());
            }
            tokio::time::advance(Duration::from_millis(500)).await;
        }
        assert!((9..=10).contains(&writes), "{writes}");
    }

    #[tokio::test(start_paused = true)]
    async fn an_end_is_written_at_once_however_many_writes_were_made() {
        let mut reporter = Reporter::new(&AgentConfig::default());
        let server = Arc::new(pulling(0));
        while let Report::Write(_) = reporter.report(&server, &status(&pulling(1))) {}
        let done = status(&node("n").with_result("nginx", result("1", 0, PullPhase::Succeeded)));
        assert!(matches!(reporter.report(&server, &done), Report::Write(_)));
    }

    #[tokio::test(start_paused = true)]
    async fn whoever_erases_results_again_and_again_makes_no_more_writes_than_progress_does() {
        let mut reporter = Reporter::new(&AgentConfig::default());
        let done = status(&node("n").with_result("nginx", result("1", 0, PullPhase::Succeeded)));
        let mut writes = 0;
        for version in 0..100 {
            let mut erased = node("n");
            erased.metadata.resource_version = Some((10 * version + 10).to_string());
            let erased = Arc::new(erased);
            if let Report::Write(patch) = reporter.report(&erased, &done) {
                writes += 1;
                reporter.wrote(done.clone(), erased.merged(&patch));
            }
            tokio::time::advance(Duration::from_millis(100)).await;
        }
        assert!((9..=10).contains(&writes), "{writes}");
    }

    #[tokio::test(start_paused = true)]
    async fn what_the_server_has_is_not_written_again_even_before_the_watch_shows_it() {
        let mut reporter = Reporter::new(&AgentConfig::default());
        let cached = Arc::new(node("n"));
        let wanted = status(&pulling(0));
        let Report::Write(patch) = reporter.report(&cached, &wanted) else {
            panic!("a first status is written")
        };
        reporter.wrote(wanted.clone(), cached.merged(&patch));
        assert_eq!(reporter.report(&cached, &wanted), Report::Nothing);
    }

    #[tokio::test(start_paused = true)]
    async fn a_field_that_the_server_drops_is_not_sent_again_and_again() {
        let mut reporter = Reporter::new(&AgentConfig::default());
        let wanted = NodeImageStatus {
            waiting: 1,
            ..status(&pulling(0))
        };
        let cached = Arc::new(node("n"));
        let Report::Write(patch) = reporter.report(&cached, &wanted) else {
            panic!("a first status is written")
        };
        let mut answer = cached.merged(&patch);
        answer.status.as_mut().expect("there").waiting = 0;
        reporter.wrote(wanted.clone(), answer.clone());
        assert_eq!(
            reporter.report(&Arc::new(answer.clone()), &wanted),
            Report::Nothing
        );
        answer.metadata.resource_version = Some("9".into());
        answer.status = None;
        let erased = Arc::new(answer);
        assert!(
            matches!(reporter.report(&erased, &wanted), Report::Write(_)),
            "but erased results are"
        );
    }

    #[tokio::test(start_paused = true)]
    async fn failed_writes_wait_longer_each_time() {
        let mut reporter = Reporter::new(&AgentConfig::default());
        let waits: Vec<_> = (0..9).map(|_| reporter.failed().as_millis()).collect();
        assert_eq!(
            waits,
            [500, 1000, 2000, 4000, 8000, 16_000, 32_000, 50_000, 50_000]
        );
    }
}
