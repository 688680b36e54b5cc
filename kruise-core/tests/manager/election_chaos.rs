//! Candidates with wrong clocks, slow and broken connections, crashes and clean stops: two never act at once.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use kruise_core::manager::{ElectionConfig, Fence, LeaderElection};
use kruise_core::testing::clock::FakeClock;
use parking_lot::Mutex;
use proptest::prelude::*;
use tokio::time::{Instant, sleep, timeout};
use tokio_util::sync::CancellationToken;

use crate::lease_faults::Faults;
use crate::lease_server::LeaseServer;

const RUN: Duration = Duration::from_secs(300);

/// Counts who acts.
#[derive(Default)]
struct Stage {
    acting: AtomicUsize,
    acts: AtomicUsize,
    two: AtomicBool,
    fences: Mutex<Vec<Fence>>,
}

impl Stage {
    fn look(&self) {
        let held = self.fences.lock().iter().filter(|fence| fence.is_held()).count();
        if held > 1 || self.acting.load(Ordering::SeqCst) > 1 {
            self.two.store(true, Ordering::SeqCst);
        }
    }
}

struct Act(Arc<Stage>);

impl Act {
    fn begin(stage: &Arc<Stage>) -> Self {
        stage.acting.fetch_add(1, Ordering::SeqCst);
        stage.acts.fetch_add(1, Ordering::SeqCst);
        stage.look();
        Self(stage.clone())
    }
}

impl Drop for Act {
    fn drop(&mut self) {
        self.0.look();
        self.0.acting.fetch_sub(1, Ordering::SeqCst);
    }
}

/// One replica, started again whenever it ends.
async fn replica(server: LeaseServer, stage: Arc<Stage>, faults: Faults, end: Instant) {
    while Instant::now() < end {
        let clock = FakeClock::default();
        clock.advance(faults.up_to(1_000_000));
        let mine = faults.clone();
        let client = server.client_with(move || mine.next());
        let election = LeaderElection::new(client, ElectionConfig::default(), Arc::new(clock)).unwrap();
        stage.fences.lock().push(election.fence());
        let stop = CancellationToken::new();
        let life = async {
            let Some(leadership) = election.acquire(&stop).await else {
                return;
            };
            let (stage, drain) = (stage.clone(), faults.up_to(12));
            let _ = leadership
                .hold(&stop, |stop| async move {
                    let _act = Act::begin(&stage);
                    stop.cancelled().await;
                    sleep(drain).await;
                })
                .await;
        };
        let clean = async {
            sleep(faults.up_to(200)).await;
            stop.cancel();
            std::future::pending::<()>().await;
        };
        // The end of the time is a crash, unless the clean stop was quicker.
        let crash = timeout(faults.up_to(220), life);
        tokio::select! { _ = crash => {}, () = clean => {} }
        sleep(faults.up_to(5)).await;
    }
}

fn play(seed: u64) -> Stage {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .unwrap();
    let stage = Arc::new(Stage::default());
    runtime.block_on(async {
        let server = LeaseServer::default();
        let end = Instant::now() + RUN;
        let replicas = (0..4).map(|number| {
            replica(
                server.clone(),
                stage.clone(),
                Faults::new(seed ^ (number << 60)),
                end,
            )
        });
        let watch = async {
            while Instant::now() < end {
                sleep(Duration::from_millis(50)).await;
                stage.look();
            }
        };
        tokio::join!(futures::future::join_all(replicas), watch);
    });
    drop(runtime);
    Arc::into_inner(stage).unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 4, ..ProptestConfig::default() })]

    #[test]
    fn kube_485_two_replicas_never_act_at_once_whatever_happens_to_their_clocks_and_connections(seed in any::<u64>()) {
        let stage = play(seed);
        prop_assert!(!stage.two.load(Ordering::SeqCst));
        prop_assert!(stage.acts.load(Ordering::SeqCst) > 1, "nobody ever led");
    }
}
