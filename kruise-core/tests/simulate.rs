//! Fault seeds over the runtime: a small controller on Cache, WorkQueue, Controller and Expectations, in a simulated
//! cluster, with faults between it and the server and crashes in the midst of its requests.
//!
//! 300 seeds run by default, half of them with streaming lists and half with paged ones. More, or one again:
//! `KRUISE_SEEDS=0..10000 cargo test -p kruise-core --test simulate` (about half an hour on two cores; a range is dealt out to
//! the tests), `KRUISE_SEEDS=17 cargo test -p kruise-core --test simulate` (all tests run that one seed).
#![allow(clippy::unwrap_used, clippy::panic, reason = "helpers of tests")]

#[path = "support/toy/mod.rs"]
mod toy;

use std::ops::Range;

use kruise_core::testing::simulate::{SimulationConfig, simulate};
use toy::{Toy, ToyScenario};

const COMMAND: &str = "KRUISE_SEEDS={seed} cargo test -p kruise-core --test simulate";

fn config(seeds: Range<u64>, streaming: bool) -> SimulationConfig {
    let mut config = SimulationConfig::default();
    config.seeds = match std::env::var("KRUISE_SEEDS") {
        Ok(text) => {
            SimulationConfig::parse_seeds(&text).expect("KRUISE_SEEDS is a seed or a range like 0..300")
        }
        Err(_) => seeds,
    };
    config.replay = COMMAND.to_owned();
    config.steps = 20;
    // Short enough that watches fall behind it.
    config.server.history = 100;
    config.server.streaming_lists = streaming;
    config
}

/// The number of tests that share the seeds.
const PARTS: u64 = 6;

/// A part of the seeds: parts run side by side. A single seed is run by all, so with both kinds of lists.
fn part(part: u64, streaming: bool) {
    let mut config = config(0..300, streaming);
    config.keep_part(part, PARTS);
    match simulate(&config, ToyScenario::new) {
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
    rollouts_keep_their_rules_under_faults_with_streaming_lists_1: 0, streaming: true;
    rollouts_keep_their_rules_under_faults_with_streaming_lists_2: 1, streaming: true;
    rollouts_keep_their_rules_under_faults_with_streaming_lists_3: 2, streaming: true;
    rollouts_keep_their_rules_under_faults_with_paged_lists_1: 3, streaming: false;
    rollouts_keep_their_rules_under_faults_with_paged_lists_2: 4, streaming: false;
    rollouts_keep_their_rules_under_faults_with_paged_lists_3: 5, streaming: false;
}

#[test]
fn a_seed_makes_the_same_run_twice() {
    let run = || {
        let mut config = config(0..3, true);
        config.seeds = 1000..1003;
        simulate(&config, ToyScenario::new).unwrap()
    };
    assert_eq!(run(), run());
}

/// What must be found is found: without expectations the controller acts on a cache that has not seen its own writes.
#[test]
fn kruise_1765_a_controller_without_expectations_is_caught() {
    let mut config = config(0..200, true);
    // The first that catches it today is 46.
    config.seeds = 40..200;
    config.give_up_after = 1;
    let careless = |world: &_| ToyScenario::with(world, Toy::careless());
    let failure = simulate(&config, careless).expect_err("no seed caught it");
    println!("caught by seed {}", failure.seeds[0].seed);
    assert!(
        failure.to_string().contains("are being updated at once"),
        "{failure}"
    );
}
