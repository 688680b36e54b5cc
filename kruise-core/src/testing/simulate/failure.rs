//! What is told of seeds.

use std::fmt;

use crate::testing::apiserver::Logged;

/// Requests of the end of a run that are told.
const SHOWN: usize = 40;

/// A run without failures.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Report {
    /// Seeds that were run.
    pub seeds: u64,
    /// Requests that the servers answered.
    pub requests: u64,
    /// Faults that were injected.
    pub faults: u64,
    /// Times the process was started again.
    pub restarts: u64,
}

/// Seeds that broke a rule.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Failure {
    /// Each with what it broke, and what led there.
    pub seeds: Vec<FailedSeed>,
    /// Seeds that were run.
    pub run: u64,
    pub(super) replay: String,
}

/// A seed that broke a rule.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct FailedSeed {
    /// The seed.
    pub seed: u64,
    /// What was broken.
    pub message: String,
    /// The faults before.
    pub injected: Vec<String>,
    /// The requests before.
    pub requests: Vec<Logged>,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{} of {} seeds failed", self.seeds.len(), self.run)?;
        for failed in &self.seeds {
            writeln!(f, "\nseed {}: {}", failed.seed, failed.message)?;
            writeln!(f, "  the last faults:")?;
            for fault in last(&failed.injected) {
                writeln!(f, "    {fault}")?;
            }
            writeln!(f, "  the last requests:")?;
            for request in last(&failed.requests) {
                writeln!(f, "    {} {} -> {}", request.method, request.uri, request.code)?;
            }
            writeln!(
                f,
                "  to replay it:\n    {}",
                self.replay.replace("{seed}", &failed.seed.to_string())
            )?;
        }
        Ok(())
    }
}

fn last<T>(all: &[T]) -> &[T] {
    all.get(all.len().saturating_sub(SHOWN)..).unwrap_or_default()
}

impl std::error::Error for Failure {}
