//! The work queue under many producers and workers, and with waits that are dropped all the time.

use std::future::poll_fn;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::task::Poll;
use std::time::Duration;

use futures::FutureExt;
use kruise_core::runtime::{Add, Priority, QueueConfig, Tasks, Verdict, WorkQueue};

/// Every second waiter that is woken goes away without looking.
#[tokio::test(start_paused = true)]
async fn no_key_is_lost_when_every_second_wake_is_dropped() {
    const KEYS: u64 = 2000;
    let queue: WorkQueue<u64> = WorkQueue::new(QueueConfig::default());
    let done = Arc::new(AtomicU64::new(0));
    let tasks = Tasks::new();
    for worker in 0..4_usize {
        let (queue, done) = (queue.clone(), done.clone());
        tasks.spawn("worker", async move {
            let mut wakes = worker;
            loop {
                let mut next = Box::pin(queue.next());
                let mut registered = false;
                // The first poll registers; each later one is a wake, and every second of those is not used.
                let got = poll_fn(|cx| {
                    if std::mem::replace(&mut registered, true) {
                        wakes += 1;
                        if wakes % 2 == 0 {
                            return Poll::Ready(None);
                        }
                    }
                    next.poll_unpin(cx).map(Some)
                })
                .await;
                match got {
                    Some(Some(lease)) => {
                        done.fetch_add(1, Ordering::Relaxed);
                        lease.finish(Verdict::Done);
                    }
                    Some(None) => return,
                    None => {}
                }
            }
        });
    }
    for key in 0..KEYS {
        queue.add_with(
            key,
            Add {
                after: Some(Duration::from_millis(key % 7)),
                ..Add::default()
            },
        );
        if key % 3 == 0 {
            tokio::task::yield_now().await;
        }
    }
    tokio::time::timeout(Duration::from_secs(5), async {
        while done.load(Ordering::Relaxed) < KEYS {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    })
    .await
    .unwrap();
    queue.shut_down();
    tasks.shutdown(Duration::from_secs(1)).await;
}

struct Key {
    wanted: AtomicU64,
    seen: AtomicU64,
    busy: AtomicBool,
}

async fn work(queue: WorkQueue<usize>, keys: Arc<Vec<Key>>, overlaps: Arc<AtomicUsize>) {
    let mut turn = 0_usize;
    while let Some(lease) = queue.next().await {
        let key = &keys[*lease.key()];
        if key.busy.swap(true, Ordering::SeqCst) {
            overlaps.fetch_add(1, Ordering::SeqCst);
        }
        let wanted = key.wanted.load(Ordering::SeqCst);
        tokio::task::yield_now().await;
        key.seen.fetch_max(wanted, Ordering::SeqCst);
        key.busy.store(false, Ordering::SeqCst);
        turn += 1;
        match turn % 16 {
            0 => lease.finish(Verdict::Retry),
            1 => lease.finish(Verdict::After(Duration::from_micros(100))),
            2 => drop(lease),
            _ => lease.finish(Verdict::Done),
        }
    }
}

async fn produce(queue: WorkQueue<usize>, keys: Arc<Vec<Key>>, producer: usize) {
    for n in 0..2000 {
        let key = (n * 31 + producer * 7) % keys.len();
        keys[key].wanted.fetch_add(1, Ordering::SeqCst);
        let priority = [Priority::LOW, Priority::NORMAL, Priority::HIGH][n % 3];
        let after = (n % 5 == 0).then(|| Duration::from_micros(200));
        queue.add_with(key, Add { priority, after });
        if n % 64 == 0 {
            tokio::task::yield_now().await;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn under_load_no_change_is_missed_and_no_key_runs_twice_at_once() {
    let key = || Key {
        wanted: AtomicU64::new(0),
        seen: AtomicU64::new(0),
        busy: AtomicBool::new(false),
    };
    let keys: Arc<Vec<Key>> = Arc::new((0..64).map(|_| key()).collect());
    let queue: WorkQueue<usize> = WorkQueue::new(QueueConfig::named("stress"));
    let overlaps = Arc::new(AtomicUsize::new(0));
    let workers = Tasks::new();
    let producers = Tasks::new();
    for _ in 0..8 {
        workers.spawn("worker", work(queue.clone(), keys.clone(), overlaps.clone()));
    }
    for producer in 0..4 {
        producers.spawn("producer", produce(queue.clone(), keys.clone(), producer));
    }
    assert!(producers.shutdown(Duration::from_secs(20)).await);
    let settled = tokio::time::timeout(Duration::from_secs(20), async {
        while keys
            .iter()
            .any(|key| key.seen.load(Ordering::SeqCst) != key.wanted.load(Ordering::SeqCst))
        {
            tokio::task::yield_now().await;
        }
    });
    assert!(settled.await.is_ok(), "a change was missed");
    queue.shut_down();
    assert!(workers.shutdown(Duration::from_secs(20)).await);
    assert_eq!(overlaps.load(Ordering::SeqCst), 0);
}
