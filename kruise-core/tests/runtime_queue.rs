//! The work queue as its users see it: order, time, cancellation, shut-down, metrics.

use std::time::Duration;

use futures::FutureExt;
use kruise_core::runtime::{Add, Priority, QueueConfig, RuntimeMetrics, Verdict, WorkQueue};
use prometheus_client::registry::Registry;
use tokio::time::Instant;

fn after(ms: u64) -> Add {
    Add {
        after: Some(Duration::from_millis(ms)),
        ..Add::default()
    }
}

fn queue() -> WorkQueue<&'static str> {
    WorkQueue::new(QueueConfig::default())
}

#[tokio::test(start_paused = true)]
async fn controller_runtime_2374_keys_are_handed_out_by_priority_and_then_in_the_order_of_adding() {
    let queue = queue();
    for (key, priority) in [
        ("a", Priority::LOW),
        ("b", Priority::NORMAL),
        ("c", Priority::HIGH),
        ("d", Priority::NORMAL),
    ] {
        queue.add_with(
            key,
            Add {
                priority,
                after: None,
            },
        );
    }
    queue.add_with(
        "a",
        Add {
            priority: Priority::HIGH,
            after: None,
        },
    );
    queue.add_with(
        "c",
        Add {
            priority: Priority::LOW,
            after: None,
        },
    );
    let mut order = Vec::new();
    while !queue.is_empty() {
        let lease = queue.next().await.unwrap();
        order.push((*lease.key(), lease.priority().0));
        lease.finish(Verdict::Done);
    }
    // `a` was raised and had waited longer than `c`, whose priority stays.
    assert_eq!(order, [("a", 100), ("c", 100), ("b", 0), ("d", 0)]);
}

#[tokio::test(start_paused = true)]
async fn a_delayed_key_comes_at_its_time_and_the_shortest_delay_counts() {
    let queue = queue();
    let start = Instant::now();
    queue.add_with("x", after(500));
    queue.add_with("x", after(200));
    queue.add_with("x", after(900));
    assert_eq!((queue.len(), queue.delayed()), (0, 1));
    let lease = queue.next().await.unwrap();
    assert_eq!(start.elapsed(), Duration::from_millis(200));
    lease.finish(Verdict::Done);
    assert_eq!((queue.len(), queue.delayed(), queue.running()), (0, 0, 0));
}

#[tokio::test(start_paused = true)]
async fn a_waiting_worker_is_woken_for_a_nearer_time() {
    let queue = queue();
    queue.add_with("late", after(10_000));
    let start = Instant::now();
    let waiting = async { *queue.next().await.unwrap().key() };
    let adding = async {
        tokio::time::sleep(Duration::from_millis(50)).await;
        queue.add_with("soon", after(100));
    };
    let (key, ()) = tokio::join!(waiting, adding);
    assert_eq!((key, start.elapsed()), ("soon", Duration::from_millis(150)));
}

#[tokio::test(start_paused = true)]
async fn backoff_doubles_with_each_failure_and_is_forgotten_on_success() {
    let queue = queue();
    queue.add("x");
    let mut waits = Vec::new();
    for _ in 0..5 {
        let start = Instant::now();
        let lease = queue.next().await.unwrap();
        waits.push(start.elapsed().as_millis());
        lease.finish(Verdict::Retry);
    }
    assert_eq!(waits, [0, 5, 10, 20, 40]);
    let lease = queue.next().await.unwrap();
    assert_eq!(lease.failures(), 5);
    lease.finish(Verdict::After(Duration::from_secs(1)));
    let lease = queue.next().await.unwrap();
    assert_eq!(lease.failures(), 0);
    lease.finish(Verdict::Done);
}

#[tokio::test(start_paused = true)]
async fn kube_1916_a_spurious_wake_does_not_advance_the_backoff() {
    let queue = queue();
    queue.add("x");
    queue.next().await.unwrap().finish(Verdict::Retry);
    for _ in 0..10 {
        queue.add("x");
    }
    let lease = queue.next().await.unwrap();
    assert_eq!(lease.failures(), 1);
    lease.finish(Verdict::Retry);
    let start = Instant::now();
    let lease = queue.next().await.unwrap();
    assert_eq!(
        (lease.failures(), start.elapsed()),
        (2, Duration::from_millis(10))
    );
}

#[tokio::test(start_paused = true)]
async fn a_key_added_while_it_is_worked_on_is_handed_out_after_that_and_not_beside_it() {
    let queue = queue();
    queue.add("x");
    let lease = queue.next().await.unwrap();
    queue.add("x");
    queue.add("x");
    assert!(queue.next().now_or_never().is_none());
    lease.finish(Verdict::Done);
    let lease = queue.next().await.unwrap();
    lease.finish(Verdict::Done);
    assert!(queue.next().now_or_never().is_none());
}

#[tokio::test(start_paused = true)]
async fn a_requeue_keeps_the_priority_of_its_key() {
    let queue = queue();
    queue.add_with(
        "x",
        Add {
            priority: Priority::HIGH,
            after: None,
        },
    );
    queue
        .next()
        .await
        .unwrap()
        .finish(Verdict::After(Duration::from_secs(1)));
    assert_eq!(queue.next().await.unwrap().priority(), Priority::HIGH);
}

#[tokio::test(start_paused = true)]
async fn a_dropped_lease_counts_as_a_failure() {
    let queue = queue();
    queue.add("x");
    drop(queue.next().await);
    assert_eq!((queue.running(), queue.delayed()), (0, 1));
    assert_eq!(queue.next().await.unwrap().failures(), 1);
}

#[tokio::test(start_paused = true)]
async fn shutting_down_ends_all_workers_and_forgets_all_keys() {
    let queue = queue();
    let waiting: Vec<_> = (0..3).map(|_| queue.next()).collect();
    let stop = async {
        tokio::task::yield_now().await;
        queue.shut_down();
    };
    let (ended, ()) = tokio::join!(futures::future::join_all(waiting), stop);
    assert!(ended.iter().all(Option::is_none));
    queue.add("x");
    assert!(queue.is_empty());
    assert!(queue.next().await.is_none());
}

#[tokio::test(start_paused = true)]
async fn draining_finishes_what_is_ready_and_drops_what_is_not() {
    let queue = queue();
    queue.add("running");
    let lease = queue.next().await.unwrap();
    queue.add("ready");
    queue.add_with("later", after(1000));
    let mut draining = Box::pin(queue.shut_down_and_drain());
    assert!(draining.as_mut().now_or_never().is_none());
    queue.add("too late");
    let ready = queue.next().await.unwrap();
    assert_eq!(*ready.key(), "ready");
    assert!(queue.next().await.is_none());
    ready.finish(Verdict::Retry);
    assert!(draining.as_mut().now_or_never().is_none());
    lease.finish(Verdict::After(Duration::ZERO));
    draining.await;
    assert_eq!((queue.len(), queue.delayed(), queue.running()), (0, 0, 0));
}

#[tokio::test(start_paused = true)]
async fn a_cancelled_wait_passes_its_wake_up_on() {
    let queue = queue();
    for _ in 0..100 {
        let mut one = Box::pin(queue.next());
        let mut two = Box::pin(queue.next());
        assert!(one.as_mut().now_or_never().is_none());
        assert!(two.as_mut().now_or_never().is_none());
        // Wakes the first, which goes away instead of looking.
        queue.add("x");
        drop(one);
        let lease = tokio::time::timeout(Duration::from_secs(1), two)
            .await
            .unwrap()
            .unwrap();
        lease.finish(Verdict::Done);
    }
}

#[tokio::test(start_paused = true)]
async fn a_cancelled_wait_passes_the_time_of_a_delayed_key_on() {
    let queue = queue();
    // Gets the wake-up of the add, and so the time of the key.
    let mut hasty = Box::pin(queue.next());
    assert!(hasty.as_mut().now_or_never().is_none());
    // Waits without a time, since it looked when there was nothing.
    let mut patient = Box::pin(queue.next());
    assert!(patient.as_mut().now_or_never().is_none());
    queue.add_with("x", after(100));
    assert!(hasty.as_mut().now_or_never().is_none());
    drop(hasty);
    let lease = tokio::time::timeout(Duration::from_secs(1), patient)
        .await
        .unwrap()
        .unwrap();
    assert_eq!(*lease.key(), "x");
}

#[tokio::test(start_paused = true)]
async fn the_metrics_tell_depth_age_latency_work_and_retries() {
    let mut registry = Registry::default();
    let metrics = RuntimeMetrics::register(&mut registry);
    let queue = WorkQueue::with_metrics(QueueConfig::named("pods"), &metrics);
    queue.add("a");
    queue.add("b");
    queue.add_with("c", after(60_000));
    tokio::time::advance(Duration::from_secs(3)).await;
    let text = |registry: &Registry| {
        let mut text = String::new();
        prometheus_client::encoding::text::encode(&mut text, registry).unwrap();
        text
    };
    let before = text(&registry);
    assert!(
        before.contains("kruise_workqueue_oldest_age_seconds{name=\"pods\"} 3"),
        "{before}"
    );
    let lease = queue.next().await.unwrap();
    tokio::time::advance(Duration::from_secs(2)).await;
    lease.finish(Verdict::Retry);
    let after = text(&registry);
    for line in [
        "kruise_workqueue_depth{name=\"pods\"} 1",
        "kruise_workqueue_delayed{name=\"pods\"} 2",
        "kruise_workqueue_adds_total{name=\"pods\"} 3",
        "kruise_workqueue_retries_total{name=\"pods\"} 1",
        "kruise_workqueue_queue_duration_seconds_sum{name=\"pods\"} 3",
        "kruise_workqueue_work_duration_seconds_sum{name=\"pods\"} 2",
    ] {
        assert!(after.contains(line), "{line} not in {after}");
    }
}
