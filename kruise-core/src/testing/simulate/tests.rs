use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use futures::FutureExt;
use futures::future::BoxFuture;
use k8s_openapi::api::core::v1::ConfigMap;
use kube_client::api::{Patch, PatchParams};
use kube_client::{Api, Client};
use serde_json::json;

use super::*;
use crate::testing::random::Random;

/// Counts up the data of a ConfigMap, by reading and writing.
struct Counter {
    limit: Option<u64>,
    ends: bool,
    wanted: AtomicU32,
}

fn counter() -> Counter {
    Counter {
        limit: None,
        ends: false,
        wanted: AtomicU32::new(0),
    }
}

fn count(world: &World) -> u64 {
    let map = world.server.get::<ConfigMap>("default", "count");
    let text = map.and_then(|map| map.data?.remove("n"));
    text.and_then(|text| text.parse().ok()).unwrap_or_default()
}

impl Scenario for Counter {
    fn start(&self, client: Client) -> BoxFuture<'static, ()> {
        let ends = self.ends;
        async move {
            let maps: Api<ConfigMap> = Api::default_namespaced(client);
            for n in 1_u64.. {
                if ends && n > 3 {
                    return;
                }
                let patch =
                    json!({ "apiVersion": "v1", "kind": "ConfigMap", "data": { "n": n.to_string() } });
                let params = PatchParams::apply("counter").force();
                let _ = maps.patch("count", &params, &Patch::Apply(&patch)).await;
                tokio::time::sleep(Duration::from_millis(500)).await;
            }
        }
        .boxed()
    }

    fn step<'a>(&'a self, _: &'a World, random: &'a mut Random) -> BoxFuture<'a, ()> {
        self.wanted
            .fetch_add(u32::from(random.chance(0.5)), Ordering::SeqCst);
        async {}.boxed()
    }

    fn check(&self, world: &World) -> Result<(), String> {
        match self.limit {
            Some(limit) if count(world) > limit => Err(format!("{} is above {limit}", count(world))),
            _ => Ok(()),
        }
    }

    fn settled(&self, world: &World) -> Result<(), String> {
        match count(world) >= 5 {
            true => Ok(()),
            false => Err("below 5".to_owned()),
        }
    }
}

fn config() -> SimulationConfig {
    SimulationConfig {
        seeds: 0..4,
        steps: 10,
        replay: "SEED={seed} make it".to_owned(),
        ..SimulationConfig::default()
    }
}

#[test]
fn a_process_that_keeps_the_rules_passes_and_was_tormented() {
    let report = simulate(&config(), |_| counter()).unwrap();
    assert_eq!(report.seeds, 4);
    assert!(
        report.restarts > 0 && report.faults > 0 && report.requests > 50,
        "{report:?}"
    );
}

#[test]
fn a_broken_rule_is_told_with_the_command_that_replays_it() {
    let failure = simulate(&config(), |_| Counter {
        limit: Some(6),
        ..counter()
    })
    .unwrap_err();
    let text = failure.to_string();
    assert!(
        text.contains("7 is above 6") && text.contains("SEED=0 make it"),
        "{text}"
    );
    assert!(
        text.contains("PATCH /api/v1/namespaces/default/configmaps/count"),
        "{text}"
    );
    assert_eq!(failure.seeds.len(), 3, "it gives up after three");
}

#[test]
fn a_process_that_ends_is_a_failure() {
    let failure = simulate(&config(), |_| Counter {
        ends: true,
        ..counter()
    })
    .unwrap_err();
    assert!(failure.to_string().contains("ended by itself"), "{failure}");
}

#[test]
fn a_seed_always_makes_the_same_run() {
    let run = |seeds| {
        let config = SimulationConfig { seeds, ..config() };
        let failure = simulate(&config, |_| Counter {
            limit: Some(6),
            ..counter()
        })
        .unwrap_err();
        format!("{failure}")
    };
    assert_eq!(run(1..2), run(1..2));
    assert_ne!(run(1..2), run(2..3));
}

#[test]
fn seeds_are_read_from_text() {
    assert_eq!(SimulationConfig::parse_seeds("7"), Some(7..8));
    assert_eq!(SimulationConfig::parse_seeds("0..300"), Some(0..300));
    assert_eq!(SimulationConfig::parse_seeds("a"), None);
    assert_eq!(SimulationConfig::parse_seeds(&u64::MAX.to_string()), None);
}

#[test]
fn parts_share_the_seeds_and_each_has_a_single_one() {
    let part = |seeds, part| {
        let mut config = SimulationConfig {
            seeds,
            ..SimulationConfig::default()
        };
        config.keep_part(part, 4);
        config.seeds
    };
    assert_eq!(
        [0, 1, 2, 3].map(|at| part(10..20, at)),
        [10..13, 13..16, 16..19, 19..20]
    );
    assert_eq!([0, 1, 2, 3].map(|at| part(0..2, at)), [0..1, 1..2, 2..2, 2..2]);
    assert_eq!([0, 3].map(|at| part(7..8, at)), [7..8, 7..8]);
}
