//! Bridges to programs that are built from kube-rs parts.

use futures::{Stream, StreamExt};
use kube_core::Resource;
use kube_runtime::reflector::ObjectRef;
use kube_runtime::watcher::Event;

use super::{Cache, CacheDriver, CacheWriter};
use crate::runtime::{Add, Cached, ObjectKey, Priority, QueueConfig, Verdict, WorkQueue};

impl<T: Cached> Cache<T> {
    /// The keys of all objects held now and of all that change from now on, deletions and tombstones included.
    ///
    /// A key that changes again before it is taken from the stream comes once, so memory is bounded by the number of
    /// objects. For a kube-rs `Controller`, feed `touched().map(|key| key.to_ref::<K>())` to `reconcile_on`.
    /// Dropping the stream ends its registration.
    pub fn touched(&self) -> impl Stream<Item = ObjectKey> + Send + use<T> {
        let queue = WorkQueue::new(QueueConfig::named(self.name()));
        let target = queue.clone();
        let subscription = self.subscribe(move |delta| {
            let priority = if delta.is_initial() {
                Priority::LOW
            } else {
                Priority::NORMAL
            };
            target.add_with(
                delta.key(),
                Add {
                    priority,
                    after: None,
                },
            );
        });
        futures::stream::unfold((queue, subscription), |(queue, subscription)| async move {
            let lease = queue.next().await?;
            let key = lease.key().clone();
            lease.finish(Verdict::Done);
            Some((key, (queue, subscription)))
        })
    }

    /// A cache that is fed by any stream of watch events: one of `kube_runtime::watcher` with combinators on it, a
    /// shared one, a recorded one. The stream does its own retries; errors are logged. The driver ends with the stream.
    pub fn fed_by<E>(
        name: &str,
        events: impl Stream<Item = Result<Event<T>, E>> + Send + 'static,
    ) -> (Self, CacheDriver)
    where
        E: std::error::Error + Send + 'static,
    {
        let cache = Self::new(name, None);
        let writer = CacheWriter::new(cache.clone());
        let fed = cache.clone();
        let driver = CacheDriver::new(name.to_owned(), |cancel| {
            Box::pin(async move {
                let feed = events.for_each(|event| {
                    match event {
                        Ok(event) => {
                            fed.heard();
                            write(&writer, event);
                        }
                        Err(error) => {
                            let error = crate::runtime::Causes(&error);
                            tracing::warn!(cache = fed.name(), %error, "watch failed");
                        }
                    }
                    std::future::ready(())
                });
                cancel.run_until_cancelled(feed).await;
            })
        });
        (cache, driver)
    }
}

fn write<T: Cached>(writer: &CacheWriter<T>, event: Event<T>) {
    match event {
        Event::Init => writer.list_started(),
        Event::InitApply(object) => writer.listed(object),
        Event::InitDone => writer.list_done(),
        Event::Apply(object) => writer.apply(object),
        Event::Delete(object) => writer.deleted(object),
    }
}

impl ObjectKey {
    /// The same key as kube-rs writes it.
    pub fn to_ref<K: Resource<DynamicType = ()>>(&self) -> ObjectRef<K> {
        let reference = ObjectRef::new(&self.name);
        match &self.namespace {
            Some(namespace) => reference.within(namespace),
            None => reference,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures::FutureExt;
    use k8s_openapi::api::core::v1::Pod;
    use serde_json::json;
    use tokio_util::sync::CancellationToken;

    fn pod(name: &str, version: &str) -> Pod {
        serde_json::from_value(json!({"metadata":
            {"namespace": "ns", "name": name, "uid": name, "resourceVersion": version}}))
        .unwrap()
    }

    #[test]
    fn touched_keys_come_once_however_often_they_change_and_deletions_too() {
        let (cache, writer) = Cache::offline([pod("a", "1")]);
        let mut touched = Box::pin(cache.touched());
        writer.apply(pod("b", "2"));
        writer.apply(pod("b", "3"));
        writer.relist([pod("b", "3")]);
        let mut keys: Vec<String> = Vec::new();
        while let Some(Some(key)) = touched.next().now_or_never() {
            keys.push(key.to_ref::<Pod>().to_string());
        }
        assert_eq!(keys.len(), 2, "{keys:?}");
        assert!(keys[0].contains("a") && keys[1].contains("b"), "{keys:?}");
    }

    #[tokio::test]
    async fn any_stream_of_watch_events_feeds_a_cache() {
        let events = [
            Ok(Event::Init),
            Ok(Event::InitApply(pod("a", "1"))),
            Ok(Event::InitApply(pod("b", "2"))),
            Ok(Event::InitDone),
            Err(std::io::Error::other("cut")),
            Ok(Event::Apply(pod("a", "3"))),
            Ok(Event::Delete(pod("b", "4"))),
        ];
        let (cache, driver) = Cache::fed_by("pods", futures::stream::iter(events));
        driver.run(CancellationToken::new()).await;
        assert!(cache.is_synced());
        let held = cache.list();
        assert_eq!((held.len(), held[0].resource_version()), (1, "3"));
    }
}
