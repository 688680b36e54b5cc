//! Controllers as their users see them: what is reconciled when, and what failure and cancellation do.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by them")]

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use futures::future::BoxFuture;
use k8s_openapi::api::core::v1::{ConfigMap, Pod};
use kruise_core::runtime::{
    Add, Cache, Controller, Delta, ObjectKey, Outcome, Priority, ReconcileError, Reconciler, Retry, RunError,
    Runnable, RunnerConfig, RuntimeMetrics, Tasks,
};
use parking_lot::Mutex;
use prometheus_client::registry::Registry;
use serde_json::json;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

#[derive(Debug, thiserror::Error)]
#[error("refused")]
struct Refused(Retry);

impl ReconcileError for Refused {
    fn retry(&self) -> Retry {
        self.0
    }
}

/// Key, whether the object was there, and when.
type Calls = Arc<Mutex<Vec<(String, bool, Instant)>>>;

type Act = Box<
    dyn Fn(usize, ObjectKey, Option<Arc<Pod>>) -> BoxFuture<'static, Result<Outcome, Refused>> + Send + Sync,
>;

/// Writes down what it is called with, then does as told; `act` is given the number of the call.
struct Recorder {
    calls: Calls,
    act: Act,
}

impl Reconciler for Recorder {
    type Object = Pod;
    type Error = Refused;

    async fn reconcile(&self, key: ObjectKey, object: Option<Arc<Pod>>) -> Result<Outcome, Refused> {
        let number = {
            let mut calls = self.calls.lock();
            calls.push((key.to_string(), object.is_some(), Instant::now()));
            calls.len()
        };
        (self.act)(number, key, object).await
    }
}

fn recorder(act: impl Fn(usize) -> Result<Outcome, Refused> + Send + Sync + 'static) -> (Recorder, Calls) {
    acting(move |number, _, _| {
        let result = act(number);
        Box::pin(async move { result })
    })
}

fn acting(
    act: impl Fn(usize, ObjectKey, Option<Arc<Pod>>) -> BoxFuture<'static, Result<Outcome, Refused>>
    + Send
    + Sync
    + 'static,
) -> (Recorder, Calls) {
    let calls = Arc::new(Mutex::new(Vec::new()));
    (
        Recorder {
            calls: calls.clone(),
            act: Box::new(act),
        },
        calls,
    )
}

fn pod(name: &str, version: &str) -> Pod {
    serde_json::from_value(json!({"metadata":
        {"namespace": "ns", "name": name, "uid": name, "resourceVersion": version}}))
    .unwrap()
}

fn one_worker() -> RunnerConfig {
    let mut config = RunnerConfig::default();
    config.workers = 1;
    config
}

fn names(calls: &Calls) -> Vec<String> {
    calls.lock().iter().map(|(key, _, _)| key.clone()).collect()
}

fn waits(calls: &Calls) -> Vec<u128> {
    let calls = calls.lock();
    calls
        .windows(2)
        .map(|pair| pair[1].2.duration_since(pair[0].2).as_millis())
        .collect()
}

#[tokio::test(start_paused = true)]
async fn the_object_is_given_when_it_is_there_and_its_deletion_is_reconciled_too() {
    let (cache, writer) = Cache::offline([pod("a", "1")]);
    let (reconciler, calls) = recorder(|_| Ok(Outcome::Done));
    let controller = Controller::builder("test", cache, reconciler).build();
    let tasks = Tasks::new();
    tasks.spawn("controller", controller.run(tasks.token()));
    tokio::time::sleep(Duration::from_millis(1)).await;
    writer.delete(&ObjectKey::new("ns", "a"));
    tokio::time::sleep(Duration::from_millis(1)).await;
    let calls: Vec<_> = calls
        .lock()
        .iter()
        .map(|(key, there, _)| (key.clone(), *there))
        .collect();
    assert_eq!(calls, [("ns/a".to_owned(), true), ("ns/a".to_owned(), false)]);
}

#[tokio::test(start_paused = true)]
async fn real_changes_overtake_the_first_list() {
    let (cache, writer) = Cache::offline((0..20).map(|n| pod(&format!("old-{n}"), "1")));
    let (reconciler, calls) = recorder(|_| Ok(Outcome::Done));
    let controller = Controller::builder("test", cache, reconciler)
        .config(one_worker())
        .build();
    writer.apply(pod("new", "30"));
    writer.apply(pod("old-7", "31"));
    let tasks = Tasks::new();
    tasks.spawn("controller", controller.run(tasks.token()));
    tokio::time::sleep(Duration::from_millis(1)).await;
    assert_eq!(names(&calls).len(), 21);
    // The second was in the queue from the first list on, and is raised by its change.
    let mut first: Vec<_> = names(&calls).into_iter().take(2).collect();
    first.sort();
    assert_eq!(first, ["ns/new", "ns/old-7"]);
}

#[tokio::test(start_paused = true)]
async fn updates_that_do_not_matter_make_no_reconcile() {
    let (cache, writer) = Cache::offline([]);
    let (reconciler, calls) = recorder(|_| Ok(Outcome::Done));
    let controller = Controller::builder("test", cache, reconciler)
        .changed(|old, new| old.metadata.labels != new.metadata.labels)
        .build();
    let tasks = Tasks::new();
    tasks.spawn("controller", controller.run(tasks.token()));
    writer.apply(pod("a", "1"));
    tokio::time::sleep(Duration::from_millis(1)).await;
    writer.apply(pod("a", "2"));
    tokio::time::sleep(Duration::from_millis(1)).await;
    let mut labelled = pod("a", "3");
    labelled.metadata.labels = Some(BTreeMap::from([("x".to_owned(), "y".to_owned())]));
    writer.apply(labelled);
    tokio::time::sleep(Duration::from_millis(1)).await;
    assert_eq!(calls.lock().len(), 2);
}

#[tokio::test(start_paused = true)]
async fn other_caches_wake_the_objects_that_their_deltas_are_mapped_to() {
    let (pods, _pods) = Cache::offline([]);
    let (maps, writer) = Cache::<ConfigMap>::offline([]);
    let (reconciler, calls) = recorder(|_| Ok(Outcome::Done));
    let controller = Controller::builder("test", pods, reconciler)
        .watches(&maps, |delta: &Delta<ConfigMap>, enqueue| {
            for owner in delta.object().data.iter().flat_map(BTreeMap::keys) {
                enqueue(ObjectKey::new("ns", owner.as_str()));
            }
        })
        .config(one_worker())
        .build();
    let tasks = Tasks::new();
    tasks.spawn("controller", controller.run(tasks.token()));
    writer.apply(
        serde_json::from_value(
            json!({"metadata": {"name": "m", "namespace": "ns"}, "data": {"p": "", "q": ""}}),
        )
        .unwrap(),
    );
    tokio::time::sleep(Duration::from_millis(1)).await;
    assert_eq!(names(&calls), ["ns/p", "ns/q"]);
}

#[tokio::test(start_paused = true)]
async fn failures_are_retried_as_their_error_says() {
    for (retry, expected) in [
        (Retry::Backoff, vec![5, 10, 20, 40]),
        (Retry::After(Duration::from_secs(3)), vec![3000, 3000, 3000, 3000]),
        // At once three times, then the backoff that four failures have earned.
        (Retry::Now, vec![0, 0, 0, 40]),
    ] {
        let (cache, _writer) = Cache::offline([pod("a", "1")]);
        let (reconciler, calls) = recorder(move |n| {
            if n < 5 {
                Err(Refused(retry))
            } else {
                Ok(Outcome::Done)
            }
        });
        let controller = Controller::builder("test", cache, reconciler).build();
        let tasks = Tasks::new();
        tasks.spawn("controller", controller.run(tasks.token()));
        tokio::time::sleep(Duration::from_secs(60)).await;
        assert_eq!(waits(&calls), expected, "{retry:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_terminal_failure_waits_for_a_change() {
    let (cache, writer) = Cache::offline([pod("a", "1")]);
    let (reconciler, calls) = recorder(|_| Err(Refused(Retry::Never)));
    let controller = Controller::builder("test", cache, reconciler).build();
    let tasks = Tasks::new();
    tasks.spawn("controller", controller.run(tasks.token()));
    tokio::time::sleep(Duration::from_secs(3600)).await;
    assert_eq!(calls.lock().len(), 1);
    writer.apply(pod("a", "2"));
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(calls.lock().len(), 2);
}

#[tokio::test(start_paused = true)]
async fn kruise_1292_a_panic_is_counted_and_backed_off_and_stops_nothing() {
    let mut registry = Registry::default();
    let metrics = RuntimeMetrics::register(&mut registry);
    let (cache, _writer) = Cache::offline([pod("a", "1")]);
    let (reconciler, calls) = acting(|number, _, _| {
        assert!(number != 1, "before the first await point");
        Box::pin(async move {
            tokio::task::yield_now().await;
            assert!(number != 2, "after it");
            Ok(Outcome::Done)
        })
    });
    let controller = Controller::builder("test", cache, reconciler)
        .config(one_worker())
        .metrics(&metrics)
        .build();
    let tasks = Tasks::new();
    tasks.spawn("controller", controller.run(tasks.token()));
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(waits(&calls), [5, 10]);
    let mut text = String::new();
    prometheus_client::encoding::text::encode(&mut text, &registry).unwrap();
    for line in [
        "kruise_controller_reconcile_total{name=\"test\",result=\"panic\"} 2",
        "kruise_controller_reconcile_total{name=\"test\",result=\"success\"} 1",
        "kruise_controller_active_workers{name=\"test\"} 0",
        "kruise_controller_max_workers{name=\"test\"} 1",
        "kruise_workqueue_retries_total{name=\"test\"} 2",
    ] {
        assert!(text.contains(line), "{line} not in {text}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_reconcile_that_takes_too_long_is_dropped_and_retried() {
    let (cache, _writer) = Cache::offline([pod("a", "1")]);
    let (reconciler, calls) = acting(|number, _, _| {
        Box::pin(async move {
            if number == 1 {
                std::future::pending::<()>().await;
            }
            Ok(Outcome::Done)
        })
    });
    let controller = Controller::builder("test", cache, reconciler).build();
    let tasks = Tasks::new();
    tasks.spawn("controller", controller.run(tasks.token()));
    tokio::time::sleep(Duration::from_secs(301)).await;
    assert_eq!(waits(&calls), [300_005]);
}

#[tokio::test(start_paused = true)]
async fn no_more_reconciles_run_at_once_than_there_are_workers() {
    let (cache, _writer) = Cache::offline((0..30).map(|n| pod(&format!("p{n}"), "1")));
    let running = Arc::new(AtomicUsize::new(0));
    let most = Arc::new(AtomicUsize::new(0));
    let (now, peak) = (running.clone(), most.clone());
    let (reconciler, calls) = acting(move |_, _, _| {
        let (now, peak) = (now.clone(), peak.clone());
        Box::pin(async move {
            peak.fetch_max(now.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
            tokio::time::sleep(Duration::from_millis(10)).await;
            now.fetch_sub(1, Ordering::SeqCst);
            Ok(Outcome::Done)
        })
    });
    let controller = Controller::builder("test", cache, reconciler).build();
    let tasks = Tasks::new();
    tasks.spawn("controller", controller.run(tasks.token()));
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!((calls.lock().len(), most.load(Ordering::SeqCst)), (30, 3));
}

#[tokio::test(start_paused = true)]
async fn cancellation_lets_running_reconciles_end_and_starts_no_others() {
    let (cache, _writer) = Cache::offline([pod("a", "1"), pod("b", "1")]);
    let ended = Arc::new(AtomicBool::new(false));
    let flag = ended.clone();
    let (reconciler, calls) = acting(move |_, _, _| {
        let flag = flag.clone();
        Box::pin(async move {
            tokio::time::sleep(Duration::from_secs(5)).await;
            flag.store(true, Ordering::SeqCst);
            Ok(Outcome::Done)
        })
    });
    let controller = Controller::builder("test", cache, reconciler)
        .config(one_worker())
        .build();
    let queue = controller.queue();
    let cancel = CancellationToken::new();
    let run = controller.run(cancel.clone());
    let stop = async {
        tokio::time::sleep(Duration::from_secs(1)).await;
        cancel.cancel();
    };
    let started = Instant::now();
    tokio::join!(run, stop);
    assert_eq!(
        (calls.lock().len(), started.elapsed()),
        (1, Duration::from_secs(5))
    );
    assert!(ended.load(Ordering::SeqCst));
    queue.add(ObjectKey::new("ns", "late"));
    assert!(queue.is_empty());
}

#[tokio::test(start_paused = true)]
async fn reconciles_that_outlast_the_drain_time_are_dropped() {
    let (cache, _writer) = Cache::offline([pod("a", "1")]);
    let (reconciler, _calls) = acting(|_, _, _| Box::pin(std::future::pending()));
    let controller = Controller::builder("test", cache, reconciler).build();
    let cancel = CancellationToken::new();
    let run = controller.run(cancel.clone());
    let stop = async {
        tokio::time::sleep(Duration::from_secs(1)).await;
        cancel.cancel();
    };
    let started = Instant::now();
    tokio::join!(run, stop);
    assert_eq!(started.elapsed(), Duration::from_secs(11));
}

#[tokio::test(start_paused = true)]
async fn keys_can_be_added_from_elsewhere_and_requeues_come_at_their_time() {
    let (cache, _writer) = Cache::offline([]);
    let (reconciler, calls) = recorder(|number| {
        Ok(if number < 3 {
            Outcome::RequeueAfter(Duration::from_secs(7))
        } else {
            Outcome::Done
        })
    });
    let controller = Controller::builder("test", cache, reconciler).build();
    let queue = controller.queue();
    let tasks = Tasks::new();
    tasks.spawn("controller", controller.run(tasks.token()));
    queue.add_with(
        ObjectKey::cluster("x"),
        Add {
            priority: Priority::HIGH,
            after: None,
        },
    );
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert_eq!(waits(&calls), [7000, 7000]);
    assert_eq!(names(&calls), ["x", "x", "x"]);
}

/// Two of the same in one process share nothing but what they are given.
#[tokio::test(start_paused = true)]
async fn two_controllers_of_one_cache_do_not_disturb_each_other() {
    let (cache, writer) = Cache::offline([pod("a", "1")]);
    let tasks = Tasks::new();
    let (first, first_calls) = recorder(|_| panic!("always"));
    let (second, second_calls) = recorder(|_| Ok(Outcome::Done));
    let doomed = CancellationToken::new();
    tasks.spawn(
        "first",
        Controller::builder("same", cache.clone(), first)
            .build()
            .run(doomed.clone()),
    );
    tasks.spawn(
        "second",
        Controller::builder("same", cache, second)
            .build()
            .run(tasks.token()),
    );
    tokio::time::sleep(Duration::from_millis(1)).await;
    doomed.cancel();
    tokio::time::sleep(Duration::from_secs(1)).await;
    let before = first_calls.lock().len();
    writer.apply(pod("a", "2"));
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!((first_calls.lock().len(), second_calls.lock().len()), (before, 2));
}

#[tokio::test(start_paused = true)]
async fn drivers_and_controllers_are_runnables_with_names() -> Result<(), RunError> {
    let (cache, _writer) = Cache::offline([]);
    let (reconciler, _calls) = recorder(|_| Ok(Outcome::Done));
    let runnable: Box<dyn Runnable> = Box::new(Controller::builder("web", cache, reconciler).build());
    assert_eq!(runnable.name(), "web");
    let cancel = CancellationToken::new();
    cancel.cancel();
    runnable.run(cancel).await
}
