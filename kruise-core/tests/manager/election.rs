use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use http::Method;
use kruise_core::manager::{ElectionConfig, ElectionError, LeaderElection, ManagerMetrics};
use kruise_core::testing::clock::FakeClock;
use kube_client::Client;
use prometheus_client::registry::Registry;
use serde_json::json;
use tokio::time::{Instant, sleep, timeout};
use tokio_util::sync::CancellationToken;

use crate::lease_server::{Fault, LeaseServer};
use crate::support::encode;

const SECOND: Duration = Duration::from_secs(1);

fn candidate(client: Client) -> LeaderElection {
    LeaderElection::new(client, ElectionConfig::default(), Arc::new(FakeClock::default())).unwrap()
}

fn never() -> CancellationToken {
    CancellationToken::new()
}

#[tokio::test(start_paused = true)]
async fn the_first_candidate_leads_at_once_and_writes_the_lease_of_client_go() {
    let server = LeaseServer::default();
    let election = candidate(server.client());
    let identity = election.identity().to_owned();
    let start = Instant::now();
    let leadership = election.acquire(&never()).await.unwrap();
    assert_eq!(start.elapsed(), Duration::ZERO);
    let lease = server.lease().unwrap();
    assert_eq!(lease["metadata"]["name"], "kruise-manager");
    assert_eq!(
        lease["spec"],
        json!({
            "holderIdentity": identity,
            "leaseDurationSeconds": 15,
            "leaseTransitions": 0,
            "acquireTime": "2001-09-09T01:46:40.000000Z",
            "renewTime": "2001-09-09T01:46:40.000000Z",
        })
    );
    assert_eq!(
        server.last_uri(),
        "/apis/coordination.k8s.io/v1/namespaces/kruise-system/leases?"
    );
    drop(leadership);
}

#[tokio::test(start_paused = true)]
async fn a_leader_renews_every_two_seconds_with_one_request() {
    let server = LeaseServer::default();
    let election = candidate(server.client());
    let fence = election.fence();
    let leadership = election.acquire(&never()).await.unwrap();
    let requests = server.requests();
    let stop = never();
    let _ = timeout(
        SECOND * 61,
        leadership.hold(&stop, |stop| async move { stop.cancelled().await }),
    )
    .await;
    assert_eq!(server.requests() - requests, 30);
    assert!(!fence.is_held());
}

#[tokio::test(start_paused = true)]
async fn a_second_candidate_takes_over_only_after_the_lease_has_not_changed_for_its_duration() {
    let server = LeaseServer::default();
    let first = candidate(server.client()).acquire(&never()).await.unwrap();
    drop(first); // As if it had crashed.
    let start = Instant::now();
    // Its time of day is far ahead, which must not matter.
    let clock = FakeClock::default();
    clock.advance(SECOND * 1_000_000);
    let second = LeaderElection::new(server.client(), ElectionConfig::default(), Arc::new(clock)).unwrap();
    let _second = second.acquire(&never()).await.unwrap();
    let took = start.elapsed();
    assert!(took >= SECOND * 15 && took < SECOND * 20, "{took:?}");
    assert_eq!(server.lease().unwrap()["spec"]["leaseTransitions"], 1);
}

#[tokio::test(start_paused = true)]
async fn a_clean_stop_gives_the_lease_back_after_the_work_has_ended() {
    let server = LeaseServer::default();
    let leadership = candidate(server.client()).acquire(&never()).await.unwrap();
    let stop = never();
    stop.cancel();
    let seen = server.clone();
    let held = leadership.hold(&stop, |stop| async move {
        stop.cancelled().await;
        // Longer than the lease: it is renewed meanwhile.
        sleep(SECOND * 40).await;
        seen.lease().unwrap()["spec"]["holderIdentity"]
            .as_str()
            .unwrap()
            .to_owned()
    });
    assert_ne!(held.await.unwrap(), "");
    assert_eq!(server.lease().unwrap()["spec"]["holderIdentity"], "");
    let start = Instant::now();
    let _next = candidate(server.client()).acquire(&never()).await.unwrap();
    assert_eq!(start.elapsed(), Duration::ZERO);
}

#[tokio::test(start_paused = true)]
async fn a_leader_that_cannot_renew_stops_its_work_before_the_lease_can_pass_on() {
    let server = LeaseServer::default();
    let stop = never();
    let election = candidate(server.client());
    let fence = election.fence();
    let leadership = election.acquire(&never()).await.unwrap();
    server.set_down(true);
    let start = Instant::now();
    let told = Arc::new(parking_lot::Mutex::new(None));
    let heard = told.clone();
    let held = leadership.hold(&stop, |stop| async move {
        stop.cancelled().await;
        *heard.lock() = Some(start.elapsed());
        std::future::pending::<()>().await;
    });
    assert_eq!(held.await, Err(ElectionError::Expired));
    assert_eq!(told.lock().unwrap().as_secs(), 10);
    assert_eq!(start.elapsed().as_secs(), 14);
    assert!(!fence.is_held());
}

#[tokio::test(start_paused = true)]
async fn the_lease_counts_from_before_a_renewal_was_sent_not_from_its_late_answer() {
    let server = LeaseServer::default();
    let requests = AtomicUsize::new(0);
    // Read and create at 0 s; one renewal at 2 s whose answer comes at 6.5 s; then nothing arrives any more.
    let client = server.client_with(move || match requests.fetch_add(1, Ordering::SeqCst) {
        0 | 1 => Fault::default(),
        2 => Fault {
            after: Duration::from_millis(4500),
            ..Fault::default()
        },
        _ => Fault {
            lost: true,
            ..Fault::default()
        },
    });
    let leadership = candidate(client).acquire(&never()).await.unwrap();
    let (start, stop) = (Instant::now(), never());
    let held = leadership.hold(&stop, |_| std::future::pending::<()>()).await;
    assert_eq!(held, Err(ElectionError::Expired));
    assert_eq!(start.elapsed().as_secs(), 2 + 14);
}

#[tokio::test(start_paused = true)]
async fn a_leader_survives_failures_shorter_than_the_renew_deadline() {
    let server = LeaseServer::default();
    let stop = never();
    let leadership = candidate(server.client()).acquire(&never()).await.unwrap();
    let down = server.clone();
    let held = leadership.hold(&stop, |stop| async move {
        down.set_down(true);
        sleep(SECOND * 7).await;
        down.set_down(false);
        sleep(SECOND * 60).await;
        assert!(!stop.is_cancelled());
    });
    assert_eq!(held.await, Ok(()));
}

#[tokio::test(start_paused = true)]
async fn a_leader_whose_lease_is_edited_to_another_stops_at_once() {
    let server = LeaseServer::default();
    let stop = never();
    let leadership = candidate(server.client()).acquire(&never()).await.unwrap();
    server.edit(|lease| lease["spec"]["holderIdentity"] = json!("intruder"));
    let start = Instant::now();
    let held = leadership.hold(&stop, |_| std::future::pending::<()>()).await;
    assert_eq!(
        held,
        Err(ElectionError::Taken {
            holder: "intruder".into()
        })
    );
    assert_eq!(start.elapsed().as_secs(), 2);
}

#[tokio::test(start_paused = true)]
async fn other_writers_of_the_lease_do_not_unseat_the_leader_and_keep_what_they_wrote() {
    let server = LeaseServer::default();
    let stop = never();
    let leadership = candidate(server.client()).acquire(&never()).await.unwrap();
    server.edit(|lease| lease["metadata"]["labels"] = json!({ "theirs": "yes" }));
    let held = leadership.hold(&stop, |_| sleep(SECOND * 30)).await;
    assert_eq!(held, Ok(()));
    assert_eq!(server.lease().unwrap()["metadata"]["labels"]["theirs"], "yes");
}

#[tokio::test(start_paused = true)]
async fn a_candidate_that_saw_a_holder_waits_although_the_lease_was_deleted() {
    let server = LeaseServer::default();
    let _first = candidate(server.client()).acquire(&never()).await.unwrap();
    let start = Instant::now();
    let stop = never();
    let second = candidate(server.client());
    let waiting = second.acquire(&stop);
    tokio::pin!(waiting);
    assert!(timeout(SECOND, &mut waiting).await.is_err());
    server.delete();
    let _second = waiting.await.unwrap();
    assert!(start.elapsed() >= SECOND * 15);
}

#[tokio::test(start_paused = true)]
async fn work_of_a_process_that_was_halted_is_dropped_unpolled() {
    let server = LeaseServer::default();
    let first = candidate(server.client());
    let fence = first.fence();
    let first = first.acquire(&never()).await.unwrap();
    let woken = Arc::new(AtomicBool::new(false));
    let (flag, halted) = (woken.clone(), Arc::new(AtomicBool::new(false)));
    let asleep = halted.clone();
    let stop = never();
    let work = first.hold(&stop, |_| async move {
        loop {
            sleep(SECOND).await;
            flag.fetch_or(asleep.load(Ordering::SeqCst), Ordering::SeqCst);
        }
    });
    tokio::pin!(work);
    assert!(timeout(SECOND * 5, &mut work).await.is_err());
    assert!(fence.is_held());
    // From here on nobody polls the first.
    halted.store(true, Ordering::SeqCst);
    let _second = candidate(server.client()).acquire(&never()).await.unwrap();
    assert!(!fence.is_held());
    let result: Result<(), _> = work.await;
    assert_eq!(result, Err(ElectionError::Halted));
    assert!(!woken.load(Ordering::SeqCst));
}

#[tokio::test(start_paused = true)]
async fn a_suspended_machine_is_noticed_by_its_time_of_day() {
    let server = LeaseServer::default();
    let stop = never();
    let clock = Arc::new(FakeClock::default());
    let election = LeaderElection::new(server.client(), ElectionConfig::default(), clock.clone()).unwrap();
    let fence = election.fence();
    let leadership = election.acquire(&never()).await.unwrap();
    assert!(fence.is_held());
    clock.advance(SECOND * 60);
    assert!(!fence.is_held());
    let held = leadership.hold(&stop, |_| std::future::pending::<()>()).await;
    assert_eq!(held, Err(ElectionError::Halted));
}

#[tokio::test(start_paused = true)]
async fn a_cancelled_candidate_gives_up() {
    let server = LeaseServer::default();
    let _first = candidate(server.client()).acquire(&never()).await.unwrap();
    let stop = never();
    let cancel = stop.clone();
    let second = candidate(server.client());
    let (got, ()) = tokio::join!(second.acquire(&stop), async move {
        sleep(SECOND * 3).await;
        cancel.cancel();
    });
    assert!(got.is_none());
}

#[tokio::test(start_paused = true)]
async fn the_metrics_tell_who_leads_and_what_failed() {
    let server = LeaseServer::default();
    let stop = never();
    let mut registry = Registry::default();
    let metrics = ManagerMetrics::register(&mut registry);
    let leadership = candidate(server.client())
        .metrics(&metrics)
        .acquire(&never())
        .await
        .unwrap();
    assert!(encode(&registry).contains(r#"kruise_leader_election_is_leader{name="kruise-manager"} 1"#));
    server.set_down(true);
    let _ = leadership.hold(&stop, |_| std::future::pending::<()>()).await;
    let text = encode(&registry);
    assert!(
        text.contains(r#"kruise_leader_election_is_leader{name="kruise-manager"} 0"#),
        "{text}"
    );
    assert!(
        text.contains(r#"kruise_leader_election_failures_total{name="kruise-manager"}"#),
        "{text}"
    );
    assert!(server.methods().contains(&Method::PATCH));
}

#[test]
fn the_times_must_leave_room_to_stop() {
    let check = |change: fn(&mut ElectionConfig)| {
        let mut config = ElectionConfig::default();
        change(&mut config);
        config.validate().map_err(|error| error.field().to_owned())
    };
    assert_eq!(check(|_| {}), Ok(()));
    assert_eq!(
        check(|c| c.renew_deadline = SECOND * 14),
        Err("leaseDuration".into())
    );
    assert_eq!(
        check(|c| c.lease_duration = Duration::from_millis(15_500)),
        Err("leaseDuration".into())
    );
    assert_eq!(
        check(|c| c.retry_period = SECOND * 9),
        Err("renewDeadline".into())
    );
    assert_eq!(
        check(|c| c.retry_period = Duration::ZERO),
        Err("retryPeriod".into())
    );
    assert_eq!(check(|c| c.name.clear()), Err("name".into()));
}
