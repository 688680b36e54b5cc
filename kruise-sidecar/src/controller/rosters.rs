//! The matched pods of every set, kept up as pods come, change and go, so that a look at a set costs nothing for the pods of
//! others.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::Arc;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kruise_core::policy::Labels;
use kruise_core::runtime::{Cache, Cached as _, Delta, Index, ObjectKey};
use parking_lot::{Mutex, RwLock};
use tokio::time::Instant;

use super::confirm::Goal;
use crate::api::{HashForm, NamespaceFacts, SidecarSet, SidecarSetStatus};
use crate::plan::upgrade::{Roster, may_change_upgradable, membership};
use crate::plan::{SidecarPod, Target};
use crate::webhook::NamespaceView;

/// Pods by the names of the sets that they speak of.
pub(super) type BySet = Index<SidecarPod, Arc<str>>;

/// The rosters of all sets that were looked at. Handlers of deltas take the lock of one of them at a time, and hold it for
/// one pod.
pub(super) struct Rosters {
    pub(super) pods: Cache<SidecarPod>,
    by_set: BySet,
    namespaces: Option<Cache<NamespaceView>>,
    form: HashForm,
    entries: RwLock<HashMap<Arc<str>, Arc<Mutex<Entry>>>>,
}

impl std::fmt::Debug for Rosters {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Rosters").finish_non_exhaustive()
    }
}

/// One set, and what is remembered of it.
#[derive(Debug)]
pub(super) struct Entry {
    set: Arc<SidecarSet>,
    /// Of the set as it is now.
    pub(super) target: Arc<Target>,
    /// For a state of the set with the same spec and hashes.
    pub(super) roster: Roster,
    /// Nothing is known of its pods yet.
    stale: bool,
    /// Namespaces whose labels have changed since their pods were looked at.
    stale_namespaces: HashSet<Box<str>>,
    /// Pods whose condition may have to be written.
    pub(super) suspects: HashSet<ObjectKey>,
    /// Pods that the server does not let upgrade, and until when they are left alone.
    refused: HashMap<ObjectKey, Instant>,
    /// Something that was written has not been seen yet, so that every change matters.
    pub(super) waiting: bool,
    /// The caches have been seen to be where the server is, since this process looks after the set.
    pub(super) confirmed: bool,
    /// How far they have to be for that, once the server was asked.
    pub(super) goal: Option<Goal>,
    /// The status as this process wrote it last.
    pub(super) wrote: Option<SidecarSetStatus>,
    /// When the status was last written.
    pub(super) reported: Option<Instant>,
    /// The number of pods that can not be upgraded, as it was last told.
    pub(super) told: usize,
    /// What is wrong with the set, as it was last told.
    pub(super) trouble: Option<String>,
}

impl Rosters {
    pub(super) fn new(
        pods: Cache<SidecarPod>,
        namespaces: Option<Cache<NamespaceView>>,
        form: HashForm,
    ) -> Self {
        let by_set = pods.index(|pod: &SidecarPod| pod.set_names().map(Arc::from).collect::<Vec<Arc<str>>>());
        Self {
            pods,
            by_set,
            namespaces,
            form,
            entries: RwLock::default(),
        }
    }

    /// The entry of a set; an empty one for a set that has none, or whose name another set had. Of that one, the uid is
    /// returned too.
    pub(super) fn entry(&self, set: &Arc<SidecarSet>) -> (Arc<Mutex<Entry>>, Option<String>) {
        let held = self.find(set.name());
        let gone = held.as_ref().map(|entry| entry.lock().set.uid().to_owned());
        if let Some(entry) = held.filter(|_| gone.as_deref() == Some(set.uid())) {
            return (entry, None);
        }
        let entry = Arc::new(Mutex::new(Entry::new(set, self.form)));
        self.entries.write().insert(set.name().into(), entry.clone());
        (entry, gone)
    }

    /// Whether an update of a set is nothing but the status that this process wrote.
    pub(super) fn is_own_status(&self, old: &SidecarSet, new: &SidecarSet) -> bool {
        let told = |metadata: &ObjectMeta| ObjectMeta {
            resource_version: None,
            managed_fields: None,
            ..metadata.clone()
        };
        old.spec == new.spec
            && told(&old.metadata) == told(&new.metadata)
            && new.status.is_some()
            && self
                .find(new.name())
                .is_some_and(|entry| entry.lock().wrote == new.status)
    }

    fn find(&self, name: &str) -> Option<Arc<Mutex<Entry>>> {
        self.entries.read().get(name).cloned()
    }

    /// Forgets a set, and returns its uid if it was known.
    pub(super) fn forget(&self, name: &str) -> Option<String> {
        let entry = self.entries.write().remove(name)?;
        let uid = entry.lock().set.uid().to_owned();
        Some(uid)
    }

    /// All pods that speak of a set.
    pub(super) fn speaking_of(&self, name: &str) -> Vec<Arc<SidecarPod>> {
        self.pods.by_index(&self.by_set, &Arc::from(name))
    }

    /// The target of a set, compiled if it was not looked at yet.
    pub(super) fn target(&self, name: &str, sets: &Cache<SidecarSet>) -> Option<Arc<Target>> {
        if let Some(entry) = self.find(name) {
            return Some(entry.lock().target.clone());
        }
        let set = sets.get(&ObjectKey::cluster(name))?;
        Some(Arc::new(Target::compile(&set, self.form)))
    }

    /// Whether labels of namespaces are known here.
    pub(super) fn knows_namespaces(&self) -> bool {
        self.namespaces.is_some()
    }

    /// Takes a change of a pod in, and calls `wake` with the name of each set for which it matters and its number of pods.
    pub(super) fn on_pod(&self, delta: &Delta<SidecarPod>, mut wake: impl FnMut(&str, usize)) {
        let now = delta.object();
        let mut names: BTreeSet<&str> = now.set_names().collect();
        if let Delta::Updated { old, .. } = delta {
            names.extend(old.set_names());
        }
        for name in names {
            let Some(entry) = self.find(name) else { continue };
            let mut entry = entry.lock();
            let matters = match delta.is_deleted() {
                true => entry.lose(&now.key()),
                false => entry.take(now, self),
            };
            if matters || entry.waiting {
                wake(name, entry.roster.len());
            }
        }
    }

    /// Takes a change of a namespace in, and calls `wake` with the names of sets that ask for labels of namespaces.
    pub(super) fn on_namespace(&self, delta: &Delta<NamespaceView>, mut wake: impl FnMut(&str)) {
        if matches!(delta, Delta::Updated { old, new } if old.labels == new.labels) {
            return;
        }
        let entries: Vec<_> = self.entries.read().values().cloned().collect();
        for entry in entries {
            let mut entry = entry.lock();
            if entry.asks_for_namespace_labels() {
                entry
                    .stale_namespaces
                    .insert(delta.object().key().name.as_ref().into());
                wake(entry.set.name());
            }
        }
    }
}

impl Entry {
    fn new(set: &Arc<SidecarSet>, form: HashForm) -> Self {
        let target = Arc::new(Target::compile(set, form));
        Self {
            set: set.clone(),
            roster: Roster::new(target.clone()),
            target,
            stale: true,
            stale_namespaces: HashSet::new(),
            suspects: HashSet::new(),
            refused: HashMap::new(),
            waiting: false,
            confirmed: false,
            goal: None,
            wrote: None,
            reported: None,
            told: 0,
            trouble: None,
        }
    }

    pub(super) fn asks_for_namespace_labels(&self) -> bool {
        self.target
            .scope()
            .is_ok_and(|scope| scope.needs_namespace_labels())
    }

    /// Goes on to the set as it is now.
    pub(super) fn follow(&mut self, set: &Arc<SidecarSet>, rosters: &Rosters) {
        if Arc::ptr_eq(&self.set, set) && !self.stale && self.stale_namespaces.is_empty() {
            return;
        }
        let old = std::mem::replace(&mut self.set, set.clone());
        self.target = Arc::new(Target::compile(set, rosters.form));
        if !same_state(&old, set) || self.stale {
            // Under the lock of this entry, so that what changes from now on is taken in after it.
            self.stale = false;
            self.stale_namespaces.clear();
            self.refused.clear();
            let mut pods = rosters.speaking_of(set.name());
            pods.retain(|pod| self.matches(pod, rosters));
            let suspects = pods.iter().filter(|pod| may_change_upgradable(pod, &self.target));
            self.suspects = suspects.map(|pod| pod.key()).collect();
            self.roster.refill(self.target.clone(), pods);
        }
        let namespaces = std::mem::take(&mut self.stale_namespaces);
        if !namespaces.is_empty() {
            for pod in rosters.speaking_of(set.name()) {
                if namespaces.contains(pod.key().namespace_str()) {
                    self.take(&pod, rosters);
                }
            }
        }
        // Of pods that it was not for, nobody has asked.
        let (old, new) = (&old.spec, &set.spec);
        let same_pods = old.selector == new.selector
            && old.namespace == new.namespace
            && old.namespace_selector == new.namespace_selector;
        if !same_pods {
            self.doubt();
        }
    }

    /// The server has to be asked again before the next upgrade.
    pub(super) fn doubt(&mut self) {
        self.confirmed = false;
        self.goal = None;
    }

    fn matches(&self, pod: &SidecarPod, rosters: &Rosters) -> bool {
        let name = pod.pod().key.namespace_str();
        let namespaces = rosters.namespaces.as_ref();
        let view = namespaces.and_then(|cache| cache.get(&ObjectKey::cluster(name)));
        let labels = view.as_ref().map(|view| &*view.labels as &dyn Labels);
        membership(&self.target, pod, &NamespaceFacts { name, labels }).is_ok()
    }

    /// Takes in what became of a pod. Returns whether that may change a plan, or the condition of the pod.
    fn take(&mut self, pod: &SidecarPod, rosters: &Rosters) -> bool {
        let key = pod.key();
        if !self.matches(pod, rosters) {
            return self.lose(&key);
        }
        self.refused.remove(&key);
        let mut matters = self.roster.put(pod);
        if may_change_upgradable(pod, &self.target) {
            matters |= self.suspects.insert(key);
        } else {
            self.suspects.remove(&key);
        }
        matters
    }

    fn lose(&mut self, key: &ObjectKey) -> bool {
        self.suspects.remove(key);
        self.refused.remove(key);
        self.roster.remove(key)
    }

    /// Leaves a pod out of plans until then, or until it changes.
    pub(super) fn refuse(&mut self, key: ObjectKey, until: Instant) {
        self.roster.refuse(&key);
        self.refused.insert(key, until);
    }

    /// Takes pods in again that were left out long enough. Returns when the next one is to be.
    pub(super) fn forgive(&mut self, rosters: &Rosters) -> Option<Instant> {
        let now = Instant::now();
        let due = self.refused.iter().filter(|(_, until)| **until <= now);
        let due: Vec<ObjectKey> = due.map(|(key, _)| key.clone()).collect();
        for key in due {
            match rosters.pods.get(&key) {
                Some(pod) => self.take(&pod, rosters),
                None => self.lose(&key),
            };
        }
        self.refused.values().min().copied()
    }
}

/// Whether the same is to become of pods.
pub(super) fn same_state(one: &SidecarSet, other: &SidecarSet) -> bool {
    one.uid() == other.uid()
        && one.spec == other.spec
        && one.hash() == other.hash()
        && one.hash_without_image() == other.hash_without_image()
}
