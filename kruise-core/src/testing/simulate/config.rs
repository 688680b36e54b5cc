//! How many runs, and how hard.

use std::ops::Range;
use std::time::Duration;

use crate::testing::apiserver::ServerConfig;
use crate::testing::cluster::ClusterConfig;
use crate::testing::faults::FaultConfig;

/// Settings of [`simulate`](super::simulate).
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct SimulationConfig {
    /// Seeds to run, one after another. Default 0 to 99.
    pub seeds: Range<u64>,
    /// Steps of one run. Default 30.
    pub steps: u32,
    /// The longest that is waited after a step. Default 10 s.
    pub step_time: Duration,
    /// How long calm may take to come after the last step. Default 15 minutes.
    pub settle_time: Duration,
    /// Share of steps in which the process dies. Default 0.2.
    pub crash: f64,
    /// What goes wrong between the process and the server.
    pub faults: FaultConfig,
    /// The server. Its seed is replaced by one that follows from the run's. Garbage is collected at once.
    pub server: ServerConfig,
    /// The cluster.
    pub cluster: ClusterConfig,
    /// Nodes of the cluster at the start, named `node-0` and so on. Default 3.
    pub nodes: usize,
    /// The command that replays one seed, printed with each failure; `{seed}` stands for it. Default: only the seed.
    pub replay: String,
    /// After this many failures no more seeds are run. Default 3.
    pub give_up_after: usize,
}

impl Default for SimulationConfig {
    fn default() -> Self {
        Self {
            seeds: 0..100,
            steps: 30,
            step_time: Duration::from_secs(10),
            settle_time: Duration::from_secs(15 * 60),
            crash: 0.2,
            faults: FaultConfig::default(),
            server: ServerConfig::default(),
            cluster: ClusterConfig::default(),
            nodes: 3,
            replay: "seed {seed}".to_owned(),
            give_up_after: 3,
        }
    }
}

impl SimulationConfig {
    /// Seeds as they are written in a command: `7`, or `0..300` without its end. `None` if it is neither.
    pub fn parse_seeds(text: &str) -> Option<Range<u64>> {
        match text.split_once("..") {
            Some((from, to)) => Some(from.trim().parse().ok()?..to.trim().parse().ok()?),
            None => {
                let seed: u64 = text.trim().parse().ok()?;
                Some(seed..seed.checked_add(1)?)
            }
        }
    }

    /// Keeps the seeds of one part of several, which run side by side: part `part`, from 0, of `parts`. A single seed
    /// belongs to every part.
    pub fn keep_part(&mut self, part: u64, parts: u64) {
        let Range { start, end } = self.seeds;
        if end.saturating_sub(start) > 1 {
            let each = (end - start).div_ceil(parts.max(1));
            let from = start.saturating_add(part.saturating_mul(each)).min(end);
            self.seeds = from..from.saturating_add(each).min(end);
        }
    }
}
