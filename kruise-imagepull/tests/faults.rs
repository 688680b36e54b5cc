//! Fault seeds over the controllers: two managers with a leader election, real agents on up to six nodes, lost answers,
//! conflicts, late and broken watches, crashes in the midst of requests, nodes that come, go and die. The rules are in
//! `support/faults/rules.rs` and are looked at after every write.
//!
//! Some seeds run by default. More, or one again: `KRUISE_SEEDS=0..3000 cargo test -p kruise-imagepull --test faults` (a
//! range is dealt out to the tests), `KRUISE_SEEDS=17 cargo test -p kruise-imagepull --test faults` (all run that one).
#![allow(clippy::unwrap_used, clippy::panic, reason = "helpers of tests")]

#[path = "support/faults/mod.rs"]
mod faults;
#[allow(
    dead_code,
    unreachable_pub,
    missing_docs,
    reason = "shared by test programs that use parts of it"
)]
#[path = "support/runtime.rs"]
mod runtime;

use std::ops::Range;
use std::time::Duration;

use faults::scenario::PullScenario;
use kruise_core::testing::faults::FaultConfig;
use kruise_core::testing::simulate::{SimulationConfig, simulate};

const COMMAND: &str = "KRUISE_SEEDS={seed} cargo test -p kruise-imagepull --test faults";

fn config(seeds: Range<u64>, streaming: bool) -> SimulationConfig {
    let mut config = SimulationConfig::default();
    config.seeds = match std::env::var("KRUISE_SEEDS") {
        Ok(text) => {
            SimulationConfig::parse_seeds(&text).expect("KRUISE_SEEDS is a seed or a range like 0..300")
        }
        Err(_) => seeds,
    };
    config.replay = COMMAND.to_owned();
    config.steps = 25;
    config.step_time = Duration::from_secs(20);
    config.settle_time = Duration::from_secs(2 * 3600);
    config.crash = 0.15;
    config.nodes = 4;
    config.faults = FaultConfig::all(0.02);
    if !streaming {
        // Watches that lag far behind, each by itself.
        config.faults.watch_late = 0.1;
        config.faults.slow = 0.01;
        config.faults.slowest = Duration::from_secs(40);
    }
    config.server.history = 200;
    config.server.streaming_lists = streaming;
    config
}

/// The number of tests that share the seeds.
const PARTS: u64 = 4;

/// A part of the seeds: parts run side by side. A single seed is run by all, so with both kinds of lists.
fn part(part: u64, streaming: bool) {
    let mut config = config(0..60, streaming);
    config.keep_part(part, PARTS);
    match simulate(&config, PullScenario::new) {
        Ok(report) => println!("{report:?}"),
        Err(failure) => panic!("{failure}"),
    }
}

macro_rules! parts {
    ($($name:ident: $part:literal, streaming: $streaming:literal;)+) => {
        $(#[test]
        fn $name() {
            part($part, $streaming);
        })+
    };
}

parts! {
    jobs_keep_their_rules_under_faults_with_streaming_lists_1: 0, streaming: true;
    jobs_keep_their_rules_under_faults_with_streaming_lists_2: 1, streaming: true;
    jobs_keep_their_rules_under_faults_with_paged_lists_1: 2, streaming: false;
    jobs_keep_their_rules_under_faults_with_paged_lists_2: 3, streaming: false;
}
