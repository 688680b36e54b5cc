use super::*;
use k8s_openapi::api::core::v1::Pod;
use serde_json::json;

fn pod(name: &str, uid: &str, version: &str) -> Pod {
    serde_json::from_value(json!({"metadata":
        {"namespace": "ns", "name": name, "uid": uid, "resourceVersion": version}}))
    .unwrap()
}

fn waiting(expectations: &Expectations, owner: &str) -> usize {
    match expectations.check(owner) {
        Expected::Satisfied => 0,
        Expected::Waiting { pending, .. } => pending,
    }
}

#[tokio::test(start_paused = true)]
async fn an_update_is_met_at_its_version_or_later_and_not_before() {
    let expectations = Expectations::default();
    expectations.expect_update("set", "a", "10");
    expectations.observed_version("a", "9");
    assert_eq!(waiting(&expectations, "set"), 1);
    expectations.observed_version("b", "10");
    assert_eq!(waiting(&expectations, "set"), 1);
    expectations.observed_version("a", "11");
    assert_eq!(waiting(&expectations, "set"), 0);
    assert!(expectations.is_empty());
}

#[tokio::test(start_paused = true)]
async fn an_update_whose_event_came_before_the_answer_is_met_at_once() {
    let (cache, writer) = Cache::offline([pod("a", "ua", "5")]);
    let expectations = Expectations::default();
    expectations.observe_cache(&cache);
    writer.apply(pod("a", "ua", "6"));
    expectations.expect_update("set", "ua", "6");
    assert!(expectations.check("set").is_satisfied());
    expectations.expect_update("set", "ua", "7");
    assert_eq!(waiting(&expectations, "set"), 1);
    writer.apply(pod("a", "ua", "7"));
    assert!(expectations.check("set").is_satisfied());
}

#[tokio::test(start_paused = true)]
async fn kruise_1168_pod_deleted_while_it_is_updated_does_not_block_the_set() {
    let (cache, writer) = Cache::offline([pod("a", "ua", "5"), pod("b", "ub", "5")]);
    let expectations = Expectations::default();
    expectations.observe_cache(&cache);
    expectations.expect_update("set", "ua", "9");
    expectations.expect_update("set", "ub", "10");
    writer.delete(&ObjectKey::new("ns", "a"));
    writer.apply(pod("b", "ub", "10"));
    assert!(expectations.check("set").is_satisfied());
    // Deleted before the answer to the update is there: its event will never come.
    writer.delete(&ObjectKey::new("ns", "b"));
    expectations.expect_update("set", "ub", "11");
    assert!(expectations.check("set").is_satisfied());
}

#[tokio::test(start_paused = true)]
async fn kruise_2253_deletion_seen_only_by_a_relist_clears_the_update() {
    let (cache, writer) = Cache::offline([pod("a", "ua", "5"), pod("b", "ub", "5")]);
    let expectations = Expectations::default();
    expectations.observe_cache(&cache);
    expectations.expect_update("set", "ua", "9");
    // The watch was down when the pod was deleted and made again under its name.
    writer.relist([pod("a", "new", "12"), pod("b", "ub", "5")]);
    assert!(expectations.check("set").is_satisfied());
    expectations.expect_deletion("set", "ub");
    writer.relist([pod("a", "new", "12")]);
    assert!(expectations.check("set").is_satisfied());
}

#[tokio::test(start_paused = true)]
async fn kruise_1765_lost_event_delays_by_the_maximum_age_and_no_longer() {
    let expectations = Expectations::default();
    expectations.expect_creation("set", &ObjectKey::new("ns", "a"));
    tokio::time::advance(Duration::from_secs(100)).await;
    expectations.expect_deletion("set", "ub");
    let Expected::Waiting {
        pending,
        oldest,
        retry_after,
    } = expectations.check("set")
    else {
        panic!("met")
    };
    assert_eq!(
        (pending, oldest, retry_after),
        (2, Duration::from_secs(100), Duration::from_secs(200))
    );
    assert_eq!(expectations.oldest_age(), Some(Duration::from_secs(100)));
    tokio::time::advance(Duration::from_secs(200)).await;
    assert_eq!(waiting(&expectations, "set"), 1);
    tokio::time::advance(Duration::from_secs(100)).await;
    assert!(expectations.check("set").is_satisfied());
    assert_eq!(expectations.oldest_age(), None);
}

#[tokio::test(start_paused = true)]
async fn kruise_1528_failed_calls_leave_no_expectation_behind() {
    let expectations = Expectations::default();
    let key = ObjectKey::new("ns", "a");
    expectations.expect_creation("set", &key);
    expectations.withdraw_creation("set", &key);
    expectations.expect_deletion("set", "ub");
    expectations.withdraw_deletion("set", "ub");
    assert!(expectations.check("set").is_satisfied());
    assert!(expectations.is_empty());
}

#[tokio::test(start_paused = true)]
async fn expectations_of_one_owner_do_not_hold_up_another() {
    let expectations = Expectations::default();
    expectations.expect_update("one", "a", "10");
    expectations.expect_update("two", "a", "20");
    expectations.observed_version("a", "10");
    assert!(expectations.check("one").is_satisfied());
    assert_eq!(waiting(&expectations, "two"), 1);
    expectations.forget("two");
    assert!(expectations.is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_second_update_of_an_object_takes_the_place_of_the_first() {
    let expectations = Expectations::default();
    expectations.expect_update("set", "a", "10");
    expectations.expect_update("set", "a", "12");
    assert_eq!(waiting(&expectations, "set"), 1);
    expectations.observed_version("a", "10");
    assert_eq!(waiting(&expectations, "set"), 1);
    expectations.observed_version("a", "12");
    assert!(expectations.check("set").is_satisfied());
}

#[tokio::test(start_paused = true)]
async fn a_creation_is_met_by_the_new_object_and_not_by_the_end_of_its_forerunner() {
    let (cache, writer) = Cache::offline([pod("a", "old", "3")]);
    let expectations = Expectations::default();
    expectations.observe_cache(&cache);
    let key = ObjectKey::new("ns", "a");
    expectations.expect_creation("set", &key);
    expectations.expect_creation("set", &ObjectKey::new("other", "a"));
    writer.delete(&key);
    assert_eq!(waiting(&expectations, "set"), 2);
    writer.apply(pod("a", "new", "5"));
    assert_eq!(waiting(&expectations, "set"), 1);
}

#[tokio::test(start_paused = true)]
async fn the_owners_deletion_ends_its_expectations() {
    let (owners, writer) = Cache::offline([pod("owner", "set", "1")]);
    let expectations = Expectations::default();
    expectations.observe_cache(&owners);
    expectations.expect_creation("set", &ObjectKey::new("ns", "a"));
    writer.delete(&ObjectKey::new("ns", "owner"));
    assert!(expectations.is_empty());
}

#[tokio::test(start_paused = true)]
async fn expectations_that_nobody_checks_do_not_pile_up() {
    let expectations = Expectations::default();
    for round in 0..50 {
        for n in 0..10 {
            expectations.expect_deletion(&format!("owner-{round}"), &format!("{round}-{n}"));
        }
        tokio::time::advance(Duration::from_secs(100)).await;
    }
    assert!(expectations.len() <= 30, "{}", expectations.len());
}

#[tokio::test(start_paused = true)]
async fn the_metrics_tell_the_oldest_and_those_given_up() {
    let mut registry = prometheus_client::registry::Registry::default();
    let metrics = RuntimeMetrics::register(&mut registry);
    let expectations = Expectations::with_metrics(ExpectationsConfig::default(), &metrics);
    expectations.expect_deletion("set", "a");
    tokio::time::advance(Duration::from_secs(40)).await;
    expectations.expect_deletion("set", "b");
    let mut text = String::new();
    prometheus_client::encoding::text::encode(&mut text, &registry).unwrap();
    assert!(
        text.contains("kruise_expectations_oldest_age_seconds{name=\"expectations\"} 40"),
        "{text}"
    );
    tokio::time::advance(Duration::from_secs(400)).await;
    assert!(expectations.check("set").is_satisfied());
    text.clear();
    prometheus_client::encoding::text::encode(&mut text, &registry).unwrap();
    assert!(
        text.contains("kruise_expectations_expired_total{name=\"expectations\"} 2"),
        "{text}"
    );
}
