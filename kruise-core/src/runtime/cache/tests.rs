use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use futures::FutureExt;
use k8s_openapi::api::core::v1::Pod;
use serde_json::json;

use super::*;

fn pod(name: &str, uid: &str, version: &str, node: &str) -> Pod {
    serde_json::from_value(json!({
        "metadata": {"namespace": "ns", "name": name, "uid": uid, "resourceVersion": version},
        "spec": {"nodeName": node, "containers": []},
    }))
    .unwrap()
}

fn key(name: &str) -> ObjectKey {
    ObjectKey::new("ns", name)
}

/// Writes down deltas as short words.
fn record<T: Cached>(cache: &Cache<T>) -> (Arc<Mutex<Vec<String>>>, Subscription) {
    let log = Arc::new(Mutex::new(Vec::new()));
    let sink = log.clone();
    let subscription = cache.subscribe(move |delta| {
        let (what, object) = match delta {
            Delta::Added { new, initial: true } => ("initial", new),
            Delta::Added { new, .. } => ("added", new),
            Delta::Updated { new, .. } => ("updated", new),
            Delta::Deleted {
                last,
                tombstone: false,
            } => ("deleted", last),
            Delta::Deleted { last, .. } => ("tombstone", last),
        };
        sink.lock().push(format!(
            "{what} {} {}",
            object.key().name,
            object.resource_version()
        ));
    });
    (log, subscription)
}

fn taken(log: &Mutex<Vec<String>>) -> Vec<String> {
    std::mem::take(&mut *log.lock())
}

#[test]
fn a_relist_keeps_what_is_unchanged_and_tells_the_rest() {
    let (cache, writer) = Cache::offline([
        pod("a", "ua", "1", "n"),
        pod("b", "ub", "2", "n"),
        pod("c", "uc", "3", "n"),
    ]);
    let (log, _subscription) = record(&cache);
    taken(&log);
    let kept = cache.get(&key("a")).unwrap();
    writer.relist([
        pod("a", "ua", "1", "n"),
        pod("b", "ub", "7", "n"),
        pod("d", "ud", "8", "n"),
    ]);
    assert_eq!(taken(&log), ["updated b 7", "added d 8", "tombstone c 3"]);
    assert!(Arc::ptr_eq(&kept, &cache.get(&key("a")).unwrap()));
    assert_eq!(cache.len(), 3);
}

#[test]
fn another_object_of_the_same_name_is_a_tombstone_and_an_addition() {
    let (cache, writer) = Cache::offline([pod("a", "one", "1", "n")]);
    let (log, _subscription) = record(&cache);
    taken(&log);
    writer.apply(pod("a", "two", "5", "n"));
    assert_eq!(taken(&log), ["tombstone a 1", "added a 5"]);
    assert!(cache.get_by_uid("one").is_none());
    assert_eq!(cache.get_by_uid("two").unwrap().resource_version(), "5");
    // The late word of the first one's end is not about the second.
    writer.deleted(pod("a", "one", "6", "n"));
    assert!(taken(&log).is_empty());
    writer.deleted(pod("a", "two", "7", "n"));
    assert_eq!(taken(&log), ["deleted a 7"]);
    assert!(cache.is_empty());
}

#[test]
fn an_event_that_was_seen_before_changes_nothing() {
    let (cache, writer) = Cache::offline([pod("a", "ua", "1", "n")]);
    let (log, _subscription) = record(&cache);
    taken(&log);
    writer.apply(pod("a", "ua", "1", "n"));
    assert!(taken(&log).is_empty());
}

#[test]
fn an_unfinished_list_removes_nothing() {
    let (cache, writer) = Cache::offline([pod("a", "ua", "1", "n"), pod("b", "ub", "2", "n")]);
    writer.list_started();
    writer.listed(pod("a", "ua", "1", "n"));
    assert_eq!(cache.len(), 2);
    // The list broke off and begins anew: what only the first has shown is gone.
    writer.list_started();
    writer.listed(pod("b", "ub", "2", "n"));
    writer.list_done();
    assert!(cache.get(&key("a")).is_none());
    assert_eq!(cache.len(), 1);
}

#[test]
fn an_undecodable_object_in_a_list_keeps_its_last_good_state() {
    let (cache, writer) = Cache::offline([pod("a", "ua", "1", "n"), pod("b", "ub", "2", "n")]);
    writer.list_started();
    writer.listed_undecodable(&key("a"));
    writer.list_done();
    assert_eq!(cache.list().len(), 1);
    assert_eq!(cache.get(&key("a")).unwrap().resource_version(), "1");
}

#[test]
fn late_handlers_get_a_replay_and_dropped_ones_nothing_more() {
    let (cache, writer) = Cache::offline([pod("a", "ua", "1", "n")]);
    writer.apply(pod("b", "ub", "2", "n"));
    let (log, subscription) = record(&cache);
    let mut replay = taken(&log);
    replay.sort();
    assert_eq!(replay, ["initial a 1", "initial b 2"]);
    drop(subscription);
    writer.apply(pod("c", "uc", "3", "n"));
    assert!(taken(&log).is_empty());
}

#[test]
fn handlers_see_the_new_state_in_the_cache() {
    let (cache, writer) = Cache::offline([]);
    let by_node = cache.index(|pod: &Pod| pod.spec.as_ref().and_then(|spec| spec.node_name.clone()));
    let seen = Arc::new(AtomicUsize::new(0));
    let (reader, index, count) = (cache.clone(), by_node.clone(), seen.clone());
    cache.on_delta(move |delta| {
        assert!(reader.get(&delta.key()).is_some());
        count.fetch_add(reader.by_index(&index, &"n1".to_owned()).len(), Ordering::SeqCst);
    });
    writer.apply(pod("a", "ua", "1", "n1"));
    assert_eq!(seen.load(Ordering::SeqCst), 1);
}

#[test]
fn a_handler_that_panics_is_called_again_and_the_others_too() {
    let (cache, writer) = Cache::offline([]);
    cache.on_delta(|_: &Delta<Pod>| panic!("bad handler"));
    let (log, _subscription) = record(&cache);
    writer.apply(pod("a", "ua", "1", "n"));
    writer.apply(pod("a", "ua", "2", "n"));
    assert_eq!(taken(&log), ["added a 1", "updated a 2"]);
}

#[test]
fn indexes_follow_objects_from_value_to_value() {
    let (cache, writer) = Cache::offline([pod("a", "ua", "1", "n1"), pod("b", "ub", "2", "n1")]);
    let by_node = cache.index(|pod: &Pod| pod.spec.as_ref().and_then(|spec| spec.node_name.clone()));
    let on = |node: &str| {
        let mut names: Vec<_> = cache
            .by_index(&by_node, &node.to_owned())
            .iter()
            .map(|pod| pod.key().name.to_string())
            .collect();
        names.sort();
        assert_eq!(cache.count_by_index(&by_node, &node.to_owned()), names.len());
        names
    };
    assert_eq!(on("n1"), ["a", "b"]);
    writer.apply(pod("a", "ua", "3", "n2"));
    assert_eq!((on("n1"), on("n2")), (vec!["b".to_owned()], vec!["a".to_owned()]));
    writer.apply(pod("b", "ub", "4", "n1"));
    let held = cache.by_index(&by_node, &"n1".to_owned());
    assert_eq!(held[0].resource_version(), "4");
    writer.delete(&key("b"));
    assert!(on("n1").is_empty());
    writer.relist([]);
    assert!(on("n2").is_empty());
}

mod model {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

        /// Deltas, read alone, rebuild the content; so do the indexes.
        #[test]
        fn deltas_and_indexes_always_tell_the_content(
            steps in prop::collection::vec((0..3_u8, prop::collection::vec((0..8_u8, 0..3_u8, 1..4_u8, 0..3_u8), 0..6)), 0..30)
        ) {
            let (cache, writer) = Cache::offline([]);
            let by_node = cache.index(|pod: &Pod| pod.spec.as_ref().and_then(|spec| spec.node_name.clone()));
            let rebuilt = Arc::new(Mutex::new(BTreeMap::new()));
            let sink = rebuilt.clone();
            cache.on_delta(move |delta| {
                let object = delta.object();
                let mut map = sink.lock();
                match delta {
                    Delta::Added { .. } => assert!(map.insert(object.key(), object.uid().to_owned()).is_none()),
                    Delta::Updated { old, .. } => {
                        assert_eq!(old.uid(), object.uid());
                        assert!(map.insert(object.key(), object.uid().to_owned()).is_some());
                    }
                    Delta::Deleted { .. } => assert_eq!(map.remove(&object.key()).as_deref(), Some(object.uid())),
                }
            });
            for (step, objects) in steps {
                let pods = objects.iter().map(|(name, uid, version, node)| {
                    pod(&format!("p{name}"), &format!("u{name}-{uid}"), &version.to_string(), &format!("n{node}"))
                });
                match step {
                    0 => writer.relist(pods),
                    1 => pods.for_each(|pod| writer.apply(pod)),
                    _ => pods.for_each(|pod| { writer.delete(&pod.key()); }),
                }
                let held: BTreeMap<_, _> =
                    cache.list().iter().map(|pod| (pod.key(), pod.uid().to_owned())).collect();
                prop_assert_eq!(&*rebuilt.lock(), &held);
                let indexed: usize =
                    (0..3).map(|n| cache.count_by_index(&by_node, &format!("n{n}"))).sum();
                prop_assert_eq!(indexed, held.len());
                for uid in held.values() {
                    let found = cache.get_by_uid(uid).unwrap();
                    prop_assert_eq!(found.uid(), uid);
                }
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn waiting_for_a_version_ends_with_its_event() {
    let (cache, writer) = Cache::offline([pod("a", "ua", "5", "n")]);
    let minute = Duration::from_secs(60);
    assert_eq!(cache.wait_for("ua", "5", minute).await, Ok(()));
    let mut waiting = Box::pin(cache.wait_for("ua", "9", minute));
    assert!(waiting.as_mut().now_or_never().is_none());
    writer.apply(pod("a", "ua", "8", "n"));
    assert!(waiting.as_mut().now_or_never().is_none());
    writer.apply(pod("a", "ua", "9", "n"));
    assert_eq!(waiting.as_mut().now_or_never(), Some(Ok(())));
    assert_eq!(cache.0.upstream.waiters.len(), 0);
}

#[tokio::test(start_paused = true)]
async fn waiting_for_a_version_ends_with_a_later_event_of_any_object() {
    let (cache, writer) = Cache::offline([pod("a", "ua", "5", "n")]);
    let mut waiting = Box::pin(cache.wait_for("gone", "9", Duration::from_secs(60)));
    assert!(waiting.as_mut().now_or_never().is_none());
    writer.deleted(pod("a", "ua", "12", "n"));
    assert_eq!(waiting.as_mut().now_or_never(), Some(Ok(())));
    assert_eq!(cache.wait_for("other", "11", Duration::ZERO).await, Ok(()));
}

#[tokio::test(start_paused = true)]
async fn waiting_for_a_version_gives_up_in_time_and_leaves_nothing_behind() {
    let (cache, writer) = Cache::offline([pod("a", "ua", "5", "n")]);
    let second = Duration::from_secs(1);
    assert_eq!(cache.wait_for("ua", "9", second).await, Err(WaitError::Timeout));
    assert_eq!(
        cache.wait_for("ua", "word", second).await,
        Err(WaitError::Timeout)
    );
    assert_eq!(cache.0.upstream.waiters.len(), 0);
    let mut waiting = Box::pin(cache.wait_for("ua", "word", second));
    assert!(waiting.as_mut().now_or_never().is_none());
    writer.apply(pod("a", "ua", "word", "n"));
    assert_eq!(waiting.await, Ok(()));
    let mut waiting = Box::pin(cache.wait_for("ua", "99", second));
    assert!(waiting.as_mut().now_or_never().is_none());
    drop(writer);
    assert_eq!(waiting.await, Err(WaitError::Stopped));
}

#[tokio::test(start_paused = true)]
async fn a_list_under_way_does_not_pass_for_all_that_was_written() {
    let (cache, writer) = Cache::offline([pod("a", "ua", "5", "n"), pod("b", "ub", "6", "n")]);
    writer.list_started();
    let mut waiting = Box::pin(cache.wait_for("ub", "20", Duration::from_secs(60)));
    writer.listed(pod("a", "ua", "30", "n"));
    assert!(waiting.as_mut().now_or_never().is_none());
    writer.listed(pod("b", "ub", "20", "n"));
    writer.list_done();
    assert_eq!(waiting.await, Ok(()));
}
