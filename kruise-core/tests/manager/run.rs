use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt;
use futures::future::BoxFuture;
use k8s_openapi::api::core::v1::ConfigMap;
use kruise_core::manager::{
    Component, ElectionConfig, ElectionError, EventConfig, EventRecorder, LeaderElection, Manager,
    ManagerConfig, ManagerError,
};
use kruise_core::runtime::{
    CacheBuilder, Controller, ObjectKey, Outcome, ReconcileError, Reconciler, RunError, Runnable,
};
use kruise_core::testing::clock::FakeClock;
use kube_client::Api;
use parking_lot::Mutex;
use serde_json::json;
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

use crate::lease_server::LeaseServer;
use crate::support::{Server, ok, silent};

const SECOND: Duration = Duration::from_secs(1);

/// What happened, in order.
#[derive(Clone, Default)]
struct Diary(Arc<Mutex<Vec<String>>>);

impl Diary {
    fn note(&self, text: impl Into<String>) {
        self.0.lock().push(text.into());
    }

    fn entries(&self) -> Vec<String> {
        self.0.lock().clone()
    }

    fn part(&self, name: &str, end: End) -> Part {
        Part {
            name: name.into(),
            diary: self.clone(),
            end,
        }
    }
}

/// How a part ends.
#[derive(Clone, Copy)]
enum End {
    AfterStop(Duration),
    Fails,
    Panics,
    Never,
}

struct Part {
    name: String,
    diary: Diary,
    end: End,
}

impl Runnable for Part {
    fn name(&self) -> &str {
        &self.name
    }

    fn run(self: Box<Self>, cancel: CancellationToken) -> BoxFuture<'static, Result<(), RunError>> {
        async move {
            self.diary.note(format!("{} starts", self.name));
            match self.end {
                End::AfterStop(time) => {
                    cancel.cancelled().await;
                    sleep(time).await;
                }
                End::Fails => {
                    sleep(SECOND).await;
                    return Err(RunError::new("broken"));
                }
                End::Panics => panic!("oh no"),
                End::Never => std::future::pending().await,
            }
            self.diary.note(format!("{} ends", self.name));
            Ok(())
        }
        .boxed()
    }
}

fn manager() -> Manager {
    Manager::new(ManagerConfig::default()).unwrap()
}

/// Runs a manager, and cancels it after a time.
async fn run_for(manager: Manager, time: Duration) -> Result<(), ManagerError> {
    let stop = CancellationToken::new();
    let cancel = stop.clone();
    let (result, ()) = tokio::join!(manager.run(stop), async move {
        sleep(time).await;
        cancel.cancel();
    });
    result
}

fn election(server: &LeaseServer) -> LeaderElection {
    LeaderElection::new(
        server.client(),
        ElectionConfig::default(),
        Arc::new(FakeClock::default()),
    )
    .unwrap()
}

/// An API server whose lists are empty and whose watches are silent.
fn empty_server() -> Server {
    Server::new(|_, _, _| {
        Ok(ok(
            &json!({ "kind": "ConfigMapList", "apiVersion": "v1", "metadata": { "resourceVersion": "1" }, "items": [] }),
        ))
    })
}

fn paged() -> kruise_core::runtime::CacheConfig {
    let mut config = kruise_core::runtime::CacheConfig::default();
    config.list = kruise_core::runtime::ListStrategy::Paged;
    config
}

#[tokio::test(start_paused = true)]
async fn controllers_start_last_and_end_before_the_rest() {
    let diary = Diary::default();
    let server = empty_server();
    let (cache, driver) = CacheBuilder::new(Api::<ConfigMap>::all(server.client.clone()))
        .config(paged())
        .build();
    let mut manager = manager();
    manager
        .cache(&cache, driver)
        .everywhere(diary.part("server", End::AfterStop(SECOND)))
        .on_leader(diary.part("controller", End::AfterStop(SECOND * 2)));
    let ready = manager.health().readiness.clone();
    assert_eq!(ready.first_failure().unwrap().name, "cache/configmaps");
    run_for(manager, SECOND * 5).await.unwrap();
    assert_eq!(
        diary.entries(),
        [
            "server starts",
            "controller starts",
            "server ends",
            "controller ends"
        ]
    );
    assert_eq!(ready.first_failure(), None);
}

#[tokio::test(start_paused = true)]
async fn a_cache_that_does_not_sync_is_named_and_no_controller_starts() {
    let diary = Diary::default();
    let (cache, driver) = CacheBuilder::new(Api::<ConfigMap>::all(silent())).build();
    let mut manager = manager();
    manager
        .cache(&cache, driver)
        .on_leader(diary.part("controller", End::Never));
    let start = Instant::now();
    let error = manager.run(CancellationToken::new()).await.unwrap_err();
    assert!(matches!(&error, ManagerError::CacheNotSynced { cache, .. } if cache == "configmaps"));
    assert_eq!(error.to_string(), "cache configmaps was not synced after 120s");
    assert_eq!(start.elapsed().as_secs(), 120);
    assert!(diary.entries().is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_component_that_fails_ends_the_manager_with_its_name() {
    let diary = Diary::default();
    let mut manager = manager();
    manager
        .on_leader(diary.part("good", End::AfterStop(SECOND)))
        .on_leader(diary.part("bad", End::Fails));
    let error = manager.run(CancellationToken::new()).await.unwrap_err();
    assert_eq!(error.to_string(), "component bad failed");
    assert_eq!(diary.entries(), ["good starts", "bad starts", "good ends"]);
}

#[tokio::test(start_paused = true)]
async fn a_component_that_panics_ends_the_manager_with_its_name() {
    let diary = Diary::default();
    let mut manager = manager();
    manager.everywhere(diary.part("bad", End::Panics));
    let error = manager.run(CancellationToken::new()).await.unwrap_err();
    assert!(matches!(error, ManagerError::Panicked { name } if name == "bad"));
}

#[tokio::test(start_paused = true)]
async fn an_optional_component_may_fail() {
    let diary = Diary::default();
    let mut manager = manager();
    manager
        .on_leader(Component::new(diary.part("bad", End::Fails)).optional())
        .everywhere(Component::new(diary.part("worse", End::Panics)).optional())
        .on_leader(diary.part("good", End::AfterStop(SECOND)));
    run_for(manager, SECOND * 10).await.unwrap();
    assert_eq!(diary.entries().last().unwrap(), "good ends");
}

#[tokio::test(start_paused = true)]
async fn what_does_not_end_is_dropped_after_its_time() {
    let diary = Diary::default();
    let mut manager = manager();
    manager
        .on_leader(diary.part("stuck", End::Never))
        .everywhere(diary.part("also stuck", End::Never));
    let start = Instant::now();
    run_for(manager, SECOND).await.unwrap();
    assert_eq!(start.elapsed().as_secs(), 21);
}

#[tokio::test(start_paused = true)]
async fn the_lease_is_given_back_after_all_else_has_ended() {
    let lease = LeaseServer::default();
    let seen = lease.clone();
    let diary = Diary::default();
    let notes = diary.clone();
    let events = Server::new(move |_, _, _| {
        let holder = seen.lease().unwrap()["spec"]["holderIdentity"].clone();
        notes.note(if holder == "" {
            "event after release"
        } else {
            "event"
        });
        Ok(ok(&json!({})))
    });
    let (recorder, writer) = EventRecorder::new(
        events.client.clone(),
        Arc::new(FakeClock::default()),
        EventConfig::default(),
    )
    .unwrap();
    /// Publishes at its end.
    struct Last(EventRecorder);
    impl Runnable for Last {
        fn name(&self) -> &str {
            "last"
        }
        fn run(self: Box<Self>, cancel: CancellationToken) -> BoxFuture<'static, Result<(), RunError>> {
            async move {
                cancel.cancelled().await;
                sleep(SECOND * 18).await;
                self.0.normal(&Default::default(), "Stopped", "stopped");
                Ok(())
            }
            .boxed()
        }
    }
    let mut manager = manager();
    manager
        .events(writer)
        .election(election(&lease))
        .on_leader(Last(recorder));
    run_for(manager, SECOND * 3).await.unwrap();
    assert_eq!(diary.entries(), ["event"]);
    assert_eq!(lease.lease().unwrap()["spec"]["holderIdentity"], "");
}

#[tokio::test(start_paused = true)]
async fn of_two_managers_in_a_process_one_leads_and_the_other_follows_it() {
    let lease = LeaseServer::default();
    let diary = Diary::default();
    let build = |name: &str| {
        let mut manager = manager();
        manager
            .election(election(&lease))
            .everywhere(diary.part(&format!("{name} server"), End::AfterStop(Duration::ZERO)))
            .on_leader(diary.part(&format!("{name} controller"), End::AfterStop(SECOND)));
        manager
    };
    let second = async {
        sleep(SECOND).await;
        run_for(build("second"), SECOND * 60).await
    };
    let (first, second) = tokio::join!(run_for(build("first"), SECOND * 30), second);
    first.unwrap();
    second.unwrap();
    assert_eq!(
        diary.entries(),
        [
            "first server starts",
            "first controller starts",
            "second server starts",
            "first server ends",
            "first controller ends",
            "second controller starts",
            "second server ends",
            "second controller ends",
        ]
    );
}

#[tokio::test(start_paused = true)]
async fn two_managers_without_election_do_not_know_of_each_other() {
    let diary = Diary::default();
    let build = |name: &str| {
        let mut manager = manager();
        manager.on_leader(diary.part(name, End::AfterStop(Duration::ZERO)));
        manager
    };
    let (first, second) = tokio::join!(run_for(build("a"), SECOND), run_for(build("b"), SECOND * 2));
    first.unwrap();
    second.unwrap();
    assert_eq!(diary.entries(), ["a starts", "b starts", "a ends", "b ends"]);
}

#[tokio::test(start_paused = true)]
async fn a_manager_that_loses_the_lease_ends_with_an_error_and_stops_controllers_first() {
    let lease = LeaseServer::default();
    let diary = Diary::default();
    let mut manager = manager();
    manager
        .election(election(&lease))
        .everywhere(diary.part("server", End::AfterStop(Duration::ZERO)))
        .on_leader(diary.part("controller", End::AfterStop(SECOND * 3)));
    let down = lease.clone();
    let (result, ()) = tokio::join!(manager.run(CancellationToken::new()), async move {
        sleep(SECOND).await;
        down.set_down(true);
    });
    assert!(matches!(
        result,
        Err(ManagerError::Leadership(ElectionError::Expired))
    ));
    assert_eq!(
        diary.entries(),
        [
            "server starts",
            "controller starts",
            "controller ends",
            "server ends"
        ]
    );
}

#[tokio::test(start_paused = true)]
async fn a_manager_that_never_leads_stops_when_told() {
    let lease = LeaseServer::default();
    let _other = election(&lease).acquire(&CancellationToken::new()).await.unwrap();
    let diary = Diary::default();
    let mut manager = manager();
    manager
        .election(election(&lease))
        .everywhere(diary.part("server", End::AfterStop(SECOND)));
    run_for(manager, SECOND * 5).await.unwrap();
    assert_eq!(diary.entries(), ["server starts", "server ends"]);
}

#[tokio::test(start_paused = true)]
async fn dropping_a_running_manager_drops_its_components() {
    struct Guarded(Arc<()>);
    impl Runnable for Guarded {
        fn name(&self) -> &str {
            "guarded"
        }
        fn run(self: Box<Self>, _: CancellationToken) -> BoxFuture<'static, Result<(), RunError>> {
            async move {
                let _held = &self.0;
                std::future::pending().await
            }
            .boxed()
        }
    }
    let held = Arc::new(());
    let mut manager = manager();
    manager.on_leader(Guarded(held.clone()));
    let _ = tokio::time::timeout(SECOND, manager.run(CancellationToken::new())).await;
    for _ in 0..10 {
        tokio::task::yield_now().await;
    }
    assert_eq!(Arc::strong_count(&held), 1);
}

/// Notes each key that it is given.
struct Noting(Diary);

#[derive(Debug, thiserror::Error)]
#[error("never")]
struct Never;

impl ReconcileError for Never {}

impl Reconciler for Noting {
    type Object = ConfigMap;
    type Error = Never;

    async fn reconcile(&self, key: ObjectKey, object: Option<Arc<ConfigMap>>) -> Result<Outcome, Never> {
        self.0.note(format!("{key} {}", object.is_some()));
        Ok(Outcome::Done)
    }
}

#[tokio::test(start_paused = true)]
async fn a_controller_with_its_cache_reconciles_what_is_there() {
    let diary = Diary::default();
    let server = Server::new(|_, _, _| {
        Ok(ok(&json!({
            "kind": "ConfigMapList", "apiVersion": "v1", "metadata": { "resourceVersion": "1" },
            "items": [{ "metadata": { "name": "a", "namespace": "ns", "uid": "u", "resourceVersion": "1" } }],
        })))
    });
    let (cache, driver) = CacheBuilder::new(Api::<ConfigMap>::all(server.client.clone()))
        .config(paged())
        .build();
    let controller = Controller::builder("maps", cache.clone(), Noting(diary.clone())).build();
    let mut manager = manager();
    manager.cache(&cache, driver).on_leader(controller);
    run_for(manager, Duration::from_millis(500)).await.unwrap();
    assert_eq!(diary.entries(), ["ns/a true"]);
}
