//! The manager dies at any moment of upgrades.

use std::time::Duration;

use anyhow::{Result, ensure};
use kruise_core::testing::random::Random;
use kruise_e2e::sidecar::{ensure_untouched, image_of, scene};
use serde_json::json;

const KILLS: usize = 20;

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
        let images: Vec<String> = (0..=KILLS / 2).map(|number| format!("side:r{number}")).collect();
        scene.push(&["app:v1"]).await?;
        scene.push(&images.iter().map(String::as_str).collect::<Vec<_>>()).await?;
        let spec = json!({"containers": [scene.container("shipper", &images[0])?], "updateStrategy": {"maxUnavailable": 2}});
        scene.create_set("logs", spec).await?;
        let before = scene.deploy(6).await?;
        let mut moments = Vec::new();
        let work = async {
            for image in &images[1..] {
                // Half of the time the upgrade before is still under way.
                scene.upgrade("logs", image).await?;
                for _ in 0..2 {
                    let moment = Duration::from_millis(random.below(1500));
                    moments.push(moment.as_millis());
                    tokio::time::sleep(moment).await;
                    scene.cluster.kruise(&["manager", "kill"]).await?;
                    scene.cluster.kruise(&["manager", "start"]).await?;
                }
            }
            scene.until_status("logs", json!({"matchedPods": 6, "updatedReadyPods": 6})).await
        };
        let done = scene.within_budget(2, work).await;
        // Whatever happened, the tests that follow need it.
        scene.cluster.kruise(&["manager", "start"]).await?;
        println!("killed after {moments:?} ms");
        done?;
        let after = scene.list().await?;
        let last = scene.image(&images[KILLS / 2])?;
        ensure!(after.values().all(|pod| image_of(pod, "shipper") == last));
        ensure_untouched(&before, &after)
    })
    .await
    }
}
