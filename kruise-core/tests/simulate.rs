//! Fault seeds over the runtime: a small controller on Cache, WorkQueue, Controller and Expectations, in a simulated
//! cluster, with faults between it and the server and crashes in the midst of its requests.
//!
//! 300 seeds run by default, 150 with streaming lists and 150 with paged ones. More, or one again:
//! `KRUISE_SEEDS=0..10000 cargo nextest run -p kruise-core --test simulate`, `KRUISE_SEEDS=17 ...`.

#[path = "support/toy/mod.rs"]
mod toy;

use std::ops::Range;

use kruise_core::testing::simulate::{SimulationConfig, simulate};
use toy::{Toy, ToyScenario};

const COMMAND: &str = "KRUISE_SEEDS={seed} cargo nextest run -p kruise-core --test simulate";

fn config(seeds: Range<u64>, streaming: bool) -> SimulationConfig {
    let mut config = SimulationConfig::default();
    config.seeds = match std::env::var("KRUISE_SEEDS") {
        Ok(text) => SimulationConfig::parse_seeds(&text).expect("KRUISE_SEEDS is a seed or a range like 0..300"),
        Err(_) => seeds,
    };
    config.replay = COMMAND.to_owned();
    // Short enough that watches fall behind it.
    config.server.history = 100;
    config.server.streaming_lists = streaming;
    config
}

#[test]
fn rollouts_keep_their_rules_under_faults_with_streaming_lists() {
    match simulate(&config(0..150, true), ToyScenario::new) {
        Ok(report) => println!("{report:?}"),
        Err(failure) => panic!("{failure}"),
    }
}

#[test]
fn rollouts_keep_their_rules_under_faults_with_paged_lists() {
    match simulate(&config(150..300, false), ToyScenario::new) {
        Ok(report) => println!("{report:?}"),
        Err(failure) => panic!("{failure}"),
    }
}

/// What must be found is found: without expectations the controller acts on a cache that has not seen its own writes.
#[test]
fn kruise_1765_a_controller_without_expectations_is_caught() {
    let mut config = config(0..200, true);
    config.seeds = 0..200;
    config.give_up_after = 1;
    let careless = |world: &_| ToyScenario::with(world, Toy::careless());
    let failure = simulate(&config, careless).expect_err("no seed of 200 caught it");
    assert!(failure.to_string().contains("are being updated at once"), "{failure}");
}
