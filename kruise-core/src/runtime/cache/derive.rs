//! A cache that follows another one: of one watch, two views.

use std::sync::Arc;

use super::store::Written;
use super::{Cache, Delta};
use crate::runtime::Cached;

impl<T: Cached> Cache<T> {
    /// A cache of what `view` makes of each object of this one, without a watch of its own. It is as far as this one is: it holds
    /// the same keys, is synced with it, and tells the same deltas, tombstones included, before this one is found to have
    /// them by [`Cache::wait_for`]. It lives as long as this one.
    ///
    /// `view` must keep key, uid and resourceVersion, must be quick and must not panic. It costs what it makes: if that
    /// shares the `Arc` it is given, little.
    ///
    /// ```
    /// use std::sync::Arc;
    /// use kruise_core::runtime::{Cache, Cached, ObjectKey, SlimPod};
    ///
    /// struct Shouted(Arc<SlimPod>, String);
    ///
    /// impl Cached for Shouted {
    ///     fn key(&self) -> ObjectKey { self.0.key.clone() }
    ///     fn uid(&self) -> &str { &self.0.uid }
    ///     fn resource_version(&self) -> &str { &self.0.resource_version }
    /// }
    ///
    /// let pod: SlimPod = serde_json::from_str(r#"{"metadata": {"namespace": "shop", "name": "web", "uid": "u"}}"#)?;
    /// let (pods, _writer) = Cache::offline([pod]);
    /// let shouted = pods.derive("shouted", |pod: &Arc<SlimPod>| {
    ///     Shouted(pod.clone(), pod.key.name.to_uppercase())
    /// });
    /// assert_eq!(shouted.get(&ObjectKey::new("shop", "web")).map(|pod| pod.1.clone()), Some("WEB".to_owned()));
    /// # Ok::<(), serde_json::Error>(())
    /// ```
    pub fn derive<U: Cached>(
        &self,
        name: &str,
        view: impl Fn(&Arc<T>) -> U + Send + Sync + 'static,
    ) -> Cache<U> {
        let derived = Cache::under(self.0.upstream.clone(), name, None);
        let fed = derived.clone();
        self.on_delta(move |delta| match delta {
            Delta::Added { new, initial } => fed.write_view(view(new), *initial),
            Delta::Updated { new, .. } => fed.write_view(view(new), false),
            Delta::Deleted { last, tombstone } => fed.remove_view(&last.key(), *tombstone),
        });
        derived
    }

    fn write_view(&self, new: T, initial: bool) {
        let new = Arc::new(new);
        let mut feed = self.0.feed.lock();
        match self.0.store.write(&new, feed.list) {
            Written::Unchanged => {}
            // The other cache has told of the end of the old one before.
            Written::Added | Written::Replaced { .. } => {
                self.publish(&mut feed, &Delta::Added { new, initial });
            }
            Written::Updated { old } => self.publish(&mut feed, &Delta::Updated { old, new }),
        }
    }

    fn remove_view(&self, key: &crate::runtime::ObjectKey, tombstone: bool) {
        let mut feed = self.0.feed.lock();
        if let Some(last) = self.0.store.remove(key) {
            self.publish(&mut feed, &Delta::Deleted { last, tombstone });
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use futures::FutureExt;
    use parking_lot::Mutex;
    use proptest::prelude::*;

    use super::super::CacheWriter;
    use super::*;
    use crate::runtime::ObjectKey;

    #[derive(Debug)]
    struct Thing {
        name: &'static str,
        uid: String,
        version: String,
    }

    fn thing(name: &'static str, uid: u8, version: u32) -> Thing {
        Thing {
            name,
            uid: format!("{name}{uid}"),
            version: version.to_string(),
        }
    }

    struct View(Arc<Thing>);

    impl Cached for Thing {
        fn key(&self) -> ObjectKey {
            ObjectKey::cluster(self.name)
        }

        fn uid(&self) -> &str {
            &self.uid
        }

        fn resource_version(&self) -> &str {
            &self.version
        }
    }

    impl Cached for View {
        fn key(&self) -> ObjectKey {
            self.0.key()
        }

        fn uid(&self) -> &str {
            self.0.uid()
        }

        fn resource_version(&self) -> &str {
            self.0.resource_version()
        }
    }

    fn empty() -> (Cache<Thing>, CacheWriter<Thing>) {
        let cache = Cache::new("things", None);
        (cache.clone(), CacheWriter::new(cache))
    }

    fn log<T: Cached>(cache: &Cache<T>) -> Arc<Mutex<Vec<String>>> {
        let log = Arc::new(Mutex::new(Vec::new()));
        let sink = log.clone();
        cache.on_delta(move |delta| {
            let what = match delta {
                Delta::Added { initial, .. } => format!("added {initial}"),
                Delta::Updated { old, .. } => format!("updated from {}", old.resource_version()),
                Delta::Deleted { tombstone, .. } => format!("deleted {tombstone}"),
            };
            let object = delta.object();
            sink.lock()
                .push(format!("{what} {} {}", object.uid(), object.resource_version()));
        });
        log
    }

    #[test]
    fn a_view_is_synced_with_its_source_and_not_before() {
        let (cache, writer) = empty();
        let view = cache.derive("views", |thing| View(thing.clone()));
        writer.list_started();
        writer.listed(thing("a", 0, 1));
        assert!(!view.is_synced() && view.len() == 1);
        writer.list_done();
        assert!(view.is_synced());
        let late = cache.derive("late", |thing| View(thing.clone()));
        assert!(late.is_synced() && late.len() == 1);
    }

    #[tokio::test(start_paused = true)]
    async fn who_waits_for_a_version_of_the_view_finds_it_there() {
        let (cache, writer) = Cache::offline([thing("a", 0, 1)]);
        let view = cache.derive("views", |thing| View(thing.clone()));
        let minute = Duration::from_secs(60);
        assert_eq!(view.wait_for("a0", "1", minute).await, Ok(()));
        let mut waiting = Box::pin(view.wait_for("a0", "5", minute));
        assert!(waiting.as_mut().now_or_never().is_none());
        writer.apply(thing("a", 0, 5));
        assert_eq!(waiting.as_mut().now_or_never(), Some(Ok(())));
        assert_eq!(
            view.get_by_uid("a0").map(|view| view.0.version.clone()),
            Some("5".to_owned())
        );
    }

    #[test]
    fn indexes_of_a_view_follow_too() {
        let (cache, writer) = Cache::offline([thing("a", 0, 1)]);
        let view = cache.derive("views", |thing| View(thing.clone()));
        let by_version = view.index(|view: &View| [view.0.version.clone()]);
        writer.apply(thing("a", 0, 2));
        assert_eq!(view.count_by_index(&by_version, &"2".to_owned()), 1);
        writer.relist([]);
        assert_eq!(view.count_by_index(&by_version, &"2".to_owned()), 0);
    }

    #[derive(Clone, Debug)]
    enum Step {
        Apply(usize, u8),
        Delete(usize),
        Relist(Vec<(usize, u8)>),
    }

    fn step() -> impl Strategy<Value = Step> {
        prop_oneof![
            (0..3usize, 0..2u8).prop_map(|(at, uid)| Step::Apply(at, uid)),
            (0..3usize).prop_map(Step::Delete),
            proptest::collection::vec((0..3usize, 0..2u8), 0..3).prop_map(Step::Relist),
        ]
    }

    proptest! {
        #[test]
        fn a_view_tells_what_its_source_tells_and_holds_what_it_holds(
            steps in proptest::collection::vec(step(), 0..20), late in 0..20usize,
        ) {
            const NAMES: [&str; 3] = ["a", "b", "c"];
            let (cache, writer) = empty();
            let told = log(&cache);
            let view = cache.derive("views", |thing| View(thing.clone()));
            let seen = log(&view);
            let mut second = None;
            for (at, step) in steps.into_iter().enumerate() {
                let version = at as u32 + 1;
                let made = |(name, uid): (usize, u8)| thing(NAMES[name], uid, version);
                match step {
                    Step::Apply(name, uid) => writer.apply(made((name, uid))),
                    Step::Delete(name) => drop(writer.delete(&ObjectKey::cluster(NAMES[name]))),
                    Step::Relist(shown) => writer.relist(shown.into_iter().map(made)),
                }
                if at == late {
                    second = Some(cache.derive("second", |thing| View(thing.clone())));
                }
                for view in second.iter().chain([&view]) {
                    let mut held: Vec<_> = view.list().iter().map(|view| view.0.uid.clone()).collect();
                    let mut source: Vec<_> = cache.list().iter().map(|thing| thing.uid.clone()).collect();
                    held.sort();
                    source.sort();
                    prop_assert_eq!(held, source);
                }
            }
            prop_assert_eq!(&*told.lock(), &*seen.lock());
        }
    }
}
