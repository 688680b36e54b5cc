//! The manager dies at any moment of upgrades.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Result, ensure};
use kruise_core::testing::random::Random;
use kruise_e2e::sidecar::{Pods, Scene, ensure_untouched, image_of, is_down, scene};
use serde_json::json;

const KILLS: usize = 20;

/// Without an election a new process works at once. With one it would wait for the lease of the process that was killed, and only
/// the first kill would hit a manager at work.
const ACTS_AT_ONCE: &str = "KRUISE_MANAGER_ARGS=--enable-leader-election=false";

/// The image of the sidecar in each pod.
fn images(pods: &Pods) -> BTreeMap<String, String> {
    let image = |(name, pod): (&String, _)| (name.clone(), image_of(pod, "shipper").to_owned());
    pods.iter().map(image).collect()
}

/// What the kills hit.
#[derive(Debug, Default)]
struct Hits {
    /// How long each process lived once it was healthy, in milliseconds.
    moments: Vec<u128>,
    /// Kills while pods had still to be upgraded or to come back.
    in_the_middle: usize,
    /// Processes that had upgraded a pod before they were killed.
    at_work: usize,
}

impl Hits {
    /// Kills the manager after a moment of up to one and a half seconds, and starts it anew.
    async fn kill(&mut self, scene: &Scene, random: &mut Random, goal: &str) -> Result<()> {
        let before = images(&scene.list().await?);
        let moment = Duration::from_millis(random.below(1500));
        self.moments.push(moment.as_millis());
        tokio::time::sleep(moment).await;
        scene.cluster.kruise(&["manager", "kill"]).await?;
        let pods = scene.list().await?;
        self.at_work += usize::from(images(&pods) != before);
        let unfinished = |pod| image_of(pod, "shipper") != goal || is_down(pod);
        self.in_the_middle += usize::from(pods.values().any(unfinished));
        start(scene).await
    }
}

async fn start(scene: &Scene) -> Result<()> {
    let start = ["manager", "start"];
    scene.cluster.kruise_with(ACTS_AT_ONCE, &start).await.map(drop)
}

async fn story(scene: &Scene, random: &mut Random) -> Result<()> {
    let tags: Vec<String> = (0..=KILLS / 2).map(|number| format!("side:r{number}")).collect();
    scene.push(&["app:v1"]).await?;
    scene
        .push(&tags.iter().map(String::as_str).collect::<Vec<_>>())
        .await?;
    let spec = json!({"containers": [scene.container("shipper", &tags[0])?], "updateStrategy": {"maxUnavailable": 2}});
    scene.create_set("logs", spec).await?;
    let before = scene.deploy(6).await?;
    let mut hits = Hits::default();
    let work = async {
        scene.cluster.kruise(&["manager", "stop"]).await?;
        start(scene).await?;
        for tag in &tags[1..] {
            // Half of the time the upgrade before is still under way.
            scene.upgrade("logs", tag).await?;
            for _ in 0..2 {
                hits.kill(scene, random, &scene.image(tag)?).await?;
            }
        }
        scene
            .until_status("logs", json!({"matchedPods": 6, "updatedReadyPods": 6}))
            .await
    };
    let done = scene.within_budget(2, work).await;
    println!("{hits:?}");
    done?;
    ensure!(
        hits.in_the_middle >= KILLS / 2 && hits.at_work >= KILLS / 4,
        "the kills missed the upgrades: {hits:?}"
    );
    let after = scene.list().await?;
    let last = scene.image(&tags[KILLS / 2])?;
    ensure!(after.values().all(|pod| image_of(pod, "shipper") == last));
    ensure_untouched(&before, &after)
}

mod alone {
    use super::*;

    #[tokio::test]
    async fn a_manager_that_is_killed_twenty_times_never_takes_down_more_than_it_may() -> Result<()> {
        let seed: u64 = match std::env::var("E2E_SEED") {
            Ok(seed) => seed.parse()?,
            Err(_) => u64::from(std::process::id()),
        };
        println!("seed {seed}; again with E2E_SEED={seed}");
        let mut random = Random::new(seed);
        scene(async |scene| {
            let told = story(scene, &mut random).await;
            // Whatever happened, the tests that follow need it as it was.
            scene.cluster.kruise(&["manager", "stop"]).await?;
            scene.cluster.kruise(&["manager", "start"]).await?;
            told
        })
        .await
    }
}
