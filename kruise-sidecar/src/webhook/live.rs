//! The sets as they are now, ready to be injected.

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use futures::FutureExt;
use futures::future::BoxFuture;
use k8s_openapi::api::apps::v1::ControllerRevision;
use kruise_core::runtime::{Cache, Cached, Delta};
use kruise_core::webhook::{Scope, Scopes};
use parking_lot::{Mutex, MutexGuard, RwLock};
use tokio::sync::{Notify, watch};
use tokio::time::Instant;

use super::keeper::ScopeKeeper;
use crate::api::names::SIDECARSET_NAME;
use crate::api::{HashForm, SidecarSet};
use crate::inject::{CompiledSet, InjectConfig, Injector, Problem, compile};

/// Settings of [`LiveSets`].
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct LiveConfig {
    /// How pods are injected.
    pub inject: InjectConfig,
    /// Form of the hashes of sets that admission has not seen. Default: that of OpenKruise since 1.7.
    pub hash_form: HashForm,
}

/// How long a set that admission has let pass is believed to come.
const BELIEF: Duration = Duration::from_secs(30);
/// How long others may conflict with it. Shorter, since a set that another webhook has refused never comes.
const CONFLICT_BELIEF: Duration = Duration::from_secs(3);

type OnProblem = Box<dyn Fn(&SidecarSet, &Problem) + Send + Sync>;

/// All sets, each compiled when it changes. Clones see the same.
///
/// A set whose selector cannot be used selects no pod: it is left out, reported, and in nobody's way.
///
/// ```
/// use kruise_sidecar::api::SidecarSet;
/// use kruise_sidecar::webhook::{LiveConfig, LiveSets};
///
/// let sets = LiveSets::new(LiveConfig::default());
/// let set: SidecarSet = serde_json::from_value(serde_json::json!({
///     "metadata": {"name": "logs"}, "spec": {"selector": {"matchLabels": {"app": "web"}}},
/// }))?;
/// sets.put(set.into());
/// assert_eq!(&**sets.injector().sets()[0].name(), "logs");
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Clone)]
pub struct LiveSets(Arc<Inner>);

struct Inner {
    config: LiveConfig,
    state: Mutex<State>,
    /// Whether `injector` is older than `state`.
    stale: AtomicBool,
    injector: RwLock<Arc<Injector>>,
    followed: Mutex<Vec<Arc<dyn Followed>>>,
    changed: Arc<Notify>,
    keep: watch::Sender<Option<Arc<[Scope]>>>,
    scopes: Scopes,
    /// How often the sets changed, and up to which change the scopes have been made.
    changes: AtomicU64,
    kept: watch::Sender<u64>,
    on_problem: Option<OnProblem>,
}

#[derive(Default)]
struct State {
    sets: BTreeMap<Arc<str>, Held>,
    /// Sets that admission has let pass and that have not been seen yet, until when they are believed in.
    expected: HashMap<String, (Arc<SidecarSet>, Instant)>,
    /// By set, then by name.
    revisions: HashMap<String, BTreeMap<String, Arc<ControllerRevision>>>,
}

struct Held {
    set: Arc<SidecarSet>,
    compiled: Result<Arc<CompiledSet>, Problem>,
}

/// A cache of any kind.
trait Followed: Send + Sync {
    fn is_synced(&self) -> bool;
    fn synced(&self) -> BoxFuture<'_, ()>;
}

impl<T: Cached> Followed for Cache<T> {
    fn is_synced(&self) -> bool {
        Cache::is_synced(self)
    }

    fn synced(&self) -> BoxFuture<'_, ()> {
        Cache::synced(self).boxed()
    }
}

impl fmt::Debug for LiveSets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = self.0.state.lock();
        f.debug_struct("LiveSets")
            .field("sets", &state.sets.keys())
            .finish_non_exhaustive()
    }
}

impl LiveSets {
    /// None yet.
    pub fn new(config: LiveConfig) -> Self {
        Self::build(config, None)
    }

    /// None yet; `on_problem` is told of each set that cannot be injected, when it comes and whenever it changes. It must
    /// not block.
    pub fn reporting(
        config: LiveConfig,
        on_problem: impl Fn(&SidecarSet, &Problem) + Send + Sync + 'static,
    ) -> Self {
        Self::build(config, Some(Box::new(on_problem)))
    }

    fn build(config: LiveConfig, on_problem: Option<OnProblem>) -> Self {
        let keep = watch::Sender::new(None);
        Self(Arc::new(Inner {
            scopes: Scopes::new(keep.subscribe()),
            keep,
            changes: AtomicU64::new(0),
            kept: watch::Sender::new(0),
            injector: RwLock::new(Arc::new(Injector::new([], config.inject.clone()))),
            config,
            state: Mutex::default(),
            stale: AtomicBool::new(false),
            followed: Mutex::default(),
            changed: Arc::default(),
            on_problem,
        }))
    }

    /// Takes the sets of a cache from now on.
    pub fn follow(&self, cache: &Cache<SidecarSet>) {
        self.0.followed.lock().push(Arc::new(cache.clone()));
        let live = Arc::downgrade(&self.0);
        cache.on_delta(move |delta| {
            let Some(live) = live.upgrade().map(Self) else {
                return;
            };
            if delta.is_deleted() {
                live.remove(delta.object().name());
            } else {
                live.put(delta.object().clone());
            }
        });
    }

    /// Takes the ControllerRevisions of a cache from now on. Without them, a set that asks for one cannot be injected.
    pub fn follow_revisions(&self, cache: &Cache<ControllerRevision>) {
        self.0.followed.lock().push(Arc::new(cache.clone()));
        let live = Arc::downgrade(&self.0);
        cache.on_delta(move |delta| {
            if let Some(live) = live.upgrade().map(Self) {
                live.revise(delta);
            }
        });
    }

    fn revise(&self, delta: &Delta<ControllerRevision>) {
        let revision = delta.object();
        let labels = revision.metadata.labels.as_ref();
        let Some(set) = labels.and_then(|labels| labels.get(SIDECARSET_NAME)) else {
            return;
        };
        let name = revision.metadata.name.clone().unwrap_or_default();
        let mut state = self.0.state.lock();
        let held = state.revisions.entry(set.clone()).or_default();
        if delta.is_deleted() {
            held.remove(&name);
        } else {
            held.insert(name, revision.clone());
        }
        if held.is_empty() {
            state.revisions.remove(set);
        }
        // Of a set that asks for none, nothing depends on them.
        let asks = |set: &Arc<SidecarSet>| set.spec.injection_strategy.revision.is_some();
        let asking = state.sets.get(set.as_str()).map(|held| held.set.clone());
        if let Some(set) = asking.filter(asks) {
            self.compile(state, set);
        }
    }

    /// Adds a set, or takes it as it is now.
    pub fn put(&self, set: Arc<SidecarSet>) {
        self.compile(self.0.state.lock(), set);
    }

    /// Under one lock, so that of two changes the later stays.
    fn compile(&self, mut state: MutexGuard<'_, State>, set: Arc<SidecarSet>) {
        let held = state.revisions.get(set.name());
        let revisions: Vec<_> = held.into_iter().flat_map(|held| held.values().cloned()).collect();
        let compiled = compile(&set, &revisions, self.0.config.hash_form).map(Arc::new);
        let problem = problem(&compiled).cloned();
        let held = Held {
            set: set.clone(),
            compiled,
        };
        state.sets.insert(set.name().into(), held);
        let expected = state.expected.get(set.name());
        if expected.is_some_and(|(expected, _)| expected.spec == set.spec) {
            state.expected.remove(set.name());
        }
        drop(state);
        self.touch();
        if let Some(problem) = problem {
            let causes = kruise_core::runtime::Causes(&problem).to_string();
            tracing::warn!(
                set = set.name(),
                problem = causes,
                "SidecarSet cannot be injected"
            );
            if let Some(report) = &self.0.on_problem {
                report(&set, &problem);
            }
        }
    }

    /// Forgets a set.
    pub fn remove(&self, name: &str) {
        self.0.state.lock().sets.remove(name);
        self.touch();
    }

    fn touch(&self) {
        self.0.stale.store(true, Ordering::Release);
        self.0.changes.fetch_add(1, Ordering::AcqRel);
        self.0.changed.notify_one();
    }

    /// A set is about to be stored: returns when the pods that it selects are sent, so that those which are created next get
    /// it, or after `patience`. At once, if no scopes are written in this process.
    pub(super) async fn expect(&self, set: &SidecarSet, patience: Duration) {
        self.believe(set);
        if !self.0.scopes.are_announced() {
            return;
        }
        let wanted = self.0.changes.load(Ordering::Acquire);
        let sent = async {
            let _ = self.0.kept.subscribe().wait_for(|kept| *kept >= wanted).await;
            self.0.scopes.announced().await;
        };
        let _ = tokio::time::timeout(patience, sent).await;
    }

    fn believe(&self, set: &SidecarSet) {
        let now = Instant::now();
        let mut state = self.0.state.lock();
        state.expected.retain(|_, (_, until)| *until > now);
        let expected = (Arc::new(set.clone()), now + BELIEF);
        state.expected.insert(set.name().to_owned(), expected);
        drop(state);
        self.touch();
    }

    /// The sets that a new one must not conflict with: all, and of those that admission has just let pass the new state, which
    /// the cache may not have seen yet.
    pub(super) fn to_compare(&self) -> Vec<Arc<SidecarSet>> {
        let state = self.0.state.lock();
        let known_since = Instant::now() + BELIEF - CONFLICT_BELIEF;
        let fresh = state.expected.values();
        let fresh = fresh.filter(|(_, until)| *until > known_since);
        let mut all: BTreeMap<&str, &Arc<SidecarSet>> = BTreeMap::new();
        all.extend(state.sets.iter().map(|(name, held)| (&**name, &held.set)));
        all.extend(fresh.map(|(set, _)| (set.name(), set)));
        all.into_values().cloned().collect()
    }

    /// When the next set that admission has let pass is no longer believed in.
    pub(super) fn next_end(&self) -> Option<Instant> {
        let state = self.0.state.lock();
        state.expected.values().map(|(_, until)| *until).min()
    }

    /// One of the sets.
    pub(super) fn get(&self, name: &str) -> Option<Arc<SidecarSet>> {
        let state = self.0.state.lock();
        state.sets.get(name).map(|held| held.set.clone())
    }

    /// All sets that scopes are made of, and a number to hand to [`LiveSets::kept`].
    pub(super) fn to_keep(&self) -> (u64, Vec<Arc<SidecarSet>>) {
        let change = self.0.changes.load(Ordering::Acquire);
        let mut state = self.0.state.lock();
        let now = Instant::now();
        state.expected.retain(|_, (_, until)| *until > now);
        let expected = state.expected.values().map(|(set, _)| set.clone());
        let all = state.sets.values().map(|held| held.set.clone()).chain(expected);
        (change, all.collect())
    }

    /// Scopes have been made of the sets of this change.
    pub(super) fn kept(&self, change: u64) {
        self.0.kept.send_replace(change);
    }

    /// All sets that can be injected, as they are now. Made anew only after a change.
    pub fn injector(&self) -> Arc<Injector> {
        // Down before the state is read: a change that comes later raises the flag again. A caller that finds it down while
        // another makes the new injector gets the old one, as if it had asked a moment earlier.
        if self.0.stale.swap(false, Ordering::AcqRel) {
            // Under the lock of the state, so that a later change is not overwritten by an earlier one.
            let state = self.0.state.lock();
            let sets = state
                .sets
                .values()
                .filter_map(|held| held.compiled.as_ref().ok().cloned());
            *self.0.injector.write() = Arc::new(Injector::new(sets, self.0.config.inject.clone()));
        }
        self.0.injector.read().clone()
    }

    /// All sets.
    pub fn sets(&self) -> Vec<Arc<SidecarSet>> {
        self.0
            .state
            .lock()
            .sets
            .values()
            .map(|held| held.set.clone())
            .collect()
    }

    /// Whether a revision of a set has this name, or one that is given has this version.
    pub(super) fn has_revision(&self, set: &SidecarSet) -> Option<bool> {
        let wanted = set.spec.injection_strategy.revision.as_ref()?;
        let state = self.0.state.lock();
        let held = state.revisions.get(set.name());
        let held: Vec<_> = held.into_iter().flat_map(|held| held.values().cloned()).collect();
        Some(crate::inject::has_revision(wanted, &held))
    }

    /// The sets that cannot be injected, and why. Those whose selector cannot be used select no pod; the pods of others
    /// are refused or go without, as [`Refusal`](crate::inject::Refusal) says.
    pub fn problems(&self) -> Vec<(Arc<str>, Problem)> {
        let state = self.0.state.lock();
        let found = state.sets.iter();
        let found = found.filter_map(|(name, held)| Some((name.clone(), problem(&held.compiled)?.clone())));
        found.collect()
    }

    /// Whether the caches that are followed have all that there is.
    pub fn is_synced(&self) -> bool {
        self.0.followed.lock().iter().all(|cache| cache.is_synced())
    }

    /// Returns when the caches that are followed have all that there is. Cancel safe.
    pub async fn synced(&self) {
        let followed = self.0.followed.lock().clone();
        for cache in followed {
            cache.synced().await;
        }
    }

    /// The scopes that a [`ScopeKeeper`] keeps.
    pub fn scopes(&self) -> Scopes {
        self.0.scopes.clone()
    }

    /// What keeps [`LiveSets::scopes`] as the sets are, while it runs.
    pub fn scope_keeper(&self, config: super::PodHookConfig) -> ScopeKeeper {
        ScopeKeeper::new(self.clone(), self.0.keep.clone(), self.0.changed.clone(), config)
    }
}

fn problem(compiled: &Result<Arc<CompiledSet>, Problem>) -> Option<&Problem> {
    match compiled {
        Ok(compiled) => compiled.problem(),
        Err(problem) => Some(problem),
    }
}
