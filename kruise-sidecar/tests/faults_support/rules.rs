//! What must hold at any time, and what once nothing happens any more.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use k8s_openapi::api::apps::v1::ControllerRevision;
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use kruise_core::testing::simulate::World;
use kruise_sidecar::api::SidecarSet;
use tokio::time::Instant;

use super::sets::{ANNOTATION, SETS, Set, annotation, condition, image};

/// A pod of a set as it was after the write before.
#[derive(Clone, Debug)]
struct Seen {
    hash: String,
    /// The state of the set that it came to, by its place in the history.
    state: usize,
    available: bool,
}

/// Namespace, name, resourceVersion.
type Version = (String, String, String);

/// What is remembered from one write to the next.
#[derive(Debug, Default)]
pub(crate) struct Memory {
    /// All pods, decoded when they change.
    held: BTreeMap<Version, Pod>,
    /// What was found when all was looked at last.
    found: Option<(Vec<Version>, Result<(), String>)>,
    /// By set and uid.
    pods: BTreeMap<(&'static str, String), Seen>,
    /// Pods that an upgrade took while they were available, and that are not available again, with the hash to which
    /// they came.
    down: BTreeMap<(&'static str, String), String>,
    /// All sets as they were last.
    sets: Vec<Version>,
    /// The hashes that each set had, one after another.
    states: BTreeMap<&'static str, Vec<String>>,
    /// The most that a set was ever allowed.
    limits: BTreeMap<&'static str, usize>,
    /// Since when everything is as it should be, and what it is.
    calm: Option<(Instant, Vec<Version>)>,
    quiet: bool,
    broken: Option<String>,
}

fn uid(pod: &Pod) -> String {
    pod.metadata.uid.clone().unwrap_or_default()
}

fn name(pod: &Pod) -> &str {
    pod.metadata.name.as_deref().unwrap_or_default()
}

fn of_set(pod: &Pod, set: &Set) -> bool {
    let labels = pod.metadata.labels.as_ref();
    labels
        .and_then(|labels| labels.get("app"))
        .is_some_and(|app| app == set.app)
        && pod.metadata.deletion_timestamp.is_none()
        && set.hash(pod).is_some()
}

fn limit(set: &SidecarSet) -> usize {
    match set.spec.update_strategy.max_unavailable {
        Some(IntOrString::Int(limit)) => usize::try_from(limit).unwrap(),
        _ => 1,
    }
}

impl Memory {
    /// Looks at every pod.
    ///
    /// # Errors
    /// The rule that is broken.
    pub(crate) fn check(&mut self, world: &World) -> Result<(), String> {
        self.states(world);
        let versions = world.server.versions::<Pod>();
        if self.held.len() == versions.len() && versions.iter().all(|version| self.held.contains_key(version))
        {
            return Ok(());
        }
        let mut held = std::mem::take(&mut self.held);
        for version in versions {
            let pod = held.remove(&version);
            let pod = pod.or_else(|| world.server.get::<Pod>(&version.0, &version.1));
            self.held.extend(pod.map(|pod| (version, pod)));
        }
        let held = std::mem::take(&mut self.held);
        let result = self.pods(world, &held);
        self.held = held;
        result
    }

    /// Takes in the states of sets that have changed.
    fn states(&mut self, world: &World) {
        let versions = world.server.versions::<SidecarSet>();
        if versions == self.sets {
            return;
        }
        self.sets = versions;
        for set in &SETS {
            let object = world.server.get::<SidecarSet>("", set.name);
            let Some(hash) = object.as_ref().and_then(SidecarSet::hash) else {
                continue;
            };
            let states = self.states.entry(set.name).or_default();
            if states.last().is_none_or(|last| last != hash) {
                states.push(hash.to_owned());
            }
        }
    }

    fn pods(&mut self, world: &World, held: &BTreeMap<Version, Pod>) -> Result<(), String> {
        let pods: Vec<&Pod> = held.values().collect();
        if let Some(changed) = pods.iter().find(|pod| image(pod, "main") != "web:1") {
            return Err(format!(
                "the app of {} runs {}",
                name(changed),
                image(changed, "main")
            ));
        }
        for set in &SETS {
            // Its pods are followed while it is gone, too.
            if let Some(object) = world.server.get::<SidecarSet>("", set.name) {
                let most = self.limits.entry(set.name).or_default();
                *most = limit(&object).max(*most);
            }
            let own: Vec<&Pod> = pods.iter().filter(|pod| of_set(pod, set)).copied().collect();
            self.set(set, &own)?;
        }
        Ok(())
    }

    fn set(&mut self, set: &'static Set, pods: &[&Pod]) -> Result<(), String> {
        let uids: BTreeSet<String> = pods.iter().map(|pod| uid(pod)).collect();
        self.pods
            .retain(|(of, uid), _| *of != set.name || uids.contains(uid));
        self.down
            .retain(|(of, uid), _| *of != set.name || uids.contains(uid));
        let mut came_to = None;
        for pod in pods {
            let key = (set.name, uid(pod));
            let hash = set.hash(pod).unwrap_or_default();
            let before = self.pods.get(&key);
            let state = match before.filter(|before| before.hash == hash) {
                Some(before) => before.state,
                None => self.state(set, &hash),
            };
            let now = Seen {
                state,
                hash,
                available: set.is_available(pod),
            };
            if now.available {
                self.down.remove(&key);
            }
            if let Some(before) = self.pods.get(&key).filter(|before| before.hash != now.hash) {
                if now.state <= before.state {
                    let (pod, was) = (name(pod), before.state);
                    return Err(format!(
                        "{pod} came from state {was} to {} of {}",
                        now.state, set.name
                    ));
                }
                match before.available && !now.available {
                    true => self.down.insert(key.clone(), now.hash.clone()),
                    // It was down anyway.
                    false => self.down.remove(&key),
                };
                came_to = Some(now.hash.clone());
            }
            self.pods.insert(key, now);
        }
        let Some(hash) = came_to else { return Ok(()) };
        let own = |key: &(&str, String)| key.0 == set.name;
        let down = self
            .down
            .iter()
            .filter(|(key, to)| own(key) && **to == hash)
            .count();
        let unnoticed = pods.iter().filter(|pod| {
            let to = self.down.get(&(set.name, uid(pod)));
            to.is_some_and(|to| *to != hash) && set.is_unnoticed(pod)
        });
        let (unnoticed, most) = (unnoticed.count(), self.limits[set.name]);
        if down + unnoticed > most {
            let now: Vec<_> = pods
                .iter()
                .map(|pod| (name(pod), set.version(pod), set.is_available(pod)))
                .collect();
            return Err(format!(
                "{} took {down} and {unnoticed} down, of at most {most}: {now:?}",
                set.name
            ));
        }
        let held = self.pods.iter().filter(|(key, _)| own(key));
        let old = held.filter(|(_, seen)| seen.hash != hash).count();
        if old < set.keeps(pods.len()) {
            return Err(format!("{} keeps {old} of {} pods", set.name, pods.len()));
        }
        Ok(())
    }

    /// The last state of a set with a hash.
    fn state(&self, set: &Set, hash: &str) -> usize {
        let states = self.states.get(set.name).map(Vec::as_slice).unwrap_or_default();
        states.iter().rposition(|state| state == hash).unwrap_or_default()
    }

    /// What is not as it should be once nothing happens any more.
    ///
    /// # Errors
    /// It.
    pub(crate) fn settled(&mut self, world: &World) -> Result<(), String> {
        if let Some(broken) = &self.broken {
            return Err(broken.clone());
        }
        let now = versions(world);
        let done = match self.found.take() {
            Some((then, found)) if then == now => found,
            _ => self.done(world),
        };
        self.found = Some((now.clone(), done.clone()));
        if let Err(why) = done {
            self.calm = None;
            return Err(why);
        }
        let since = match &self.calm {
            Some((since, then)) if *then == now => since.elapsed(),
            _ if self.quiet => {
                self.broken = Some("something was written when all was done".to_owned());
                return Err(String::new());
            }
            _ => {
                self.calm = Some((Instant::now(), now));
                return Err("it has been done for a moment only".to_owned());
            }
        };
        if !self.quiet && since > Duration::from_secs(30) {
            self.quiet = true;
            world.server.clear_requests();
        }
        if since < Duration::from_secs(90) {
            return Err("it has been quiet for a moment only".to_owned());
        }
        let requests = world.server.requests();
        let ours = ["pods", "sidecarsets", "controllerrevisions"];
        let wrote = requests
            .iter()
            .find(|one| one.method != "GET" && ours.iter().any(|part| one.uri.contains(part)));
        match wrote {
            Some(wrote) => Err(format!("{} {} when all was done", wrote.method, wrote.uri)),
            None => Ok(()),
        }
    }

    fn done(&self, world: &World) -> Result<(), String> {
        let pods = world.server.list::<Pod>();
        for set in &SETS {
            let object = world.server.get::<SidecarSet>("", set.name).ok_or("no set")?;
            let own: Vec<&Pod> = pods.iter().filter(|pod| of_set(pod, set)).collect();
            let wanted = object.hash().unwrap_or_default();
            let updated = own
                .iter()
                .filter(|pod| set.hash(pod).as_deref() == Some(wanted))
                .count();
            let available = own.iter().filter(|pod| set.is_available(pod)).count();
            if available != own.len() {
                return Err(format!(
                    "{available} of {} pods of {} are available",
                    own.len(),
                    set.name
                ));
            }
            let stuck: Vec<_> = own.iter().filter(|pod| !can_upgrade(set, pod, &object)).collect();
            if updated + set.keeps(own.len()) + stuck.len() < own.len() {
                return Err(format!(
                    "{updated} of {} pods of {} are updated",
                    own.len(),
                    set.name
                ));
            }
            let at_the_set = own.iter().filter(|pod| set.hash(pod).as_deref() == Some(wanted));
            for pod in at_the_set {
                if set.spec(set.version(pod))["containers"][0]["image"] != object.spec.containers[0].image() {
                    return Err(format!(
                        "{} runs v{} of {}",
                        name(pod),
                        set.version(pod),
                        set.name
                    ));
                }
                if set.annotates && annotation(pod, ANNOTATION) != format!("v{}", set.version(pod)) {
                    return Err(format!("{} has the annotation of another version", name(pod)));
                }
            }
            for pod in &own {
                let says = condition(pod, "SidecarSetUpgradable");
                let right = match can_upgrade(set, pod, &object) {
                    // The pods of two sets are never stuck.
                    true => says != Some("False"),
                    false => says == Some("False"),
                };
                if !right {
                    return Err(format!("{} says {says:?} of {}", name(pod), set.name));
                }
            }
            let status = object.status.as_ref().ok_or("no status")?;
            let counts = [
                status.matched_pods,
                status.updated_pods,
                status.ready_pods,
                status.updated_ready_pods,
            ];
            let expected =
                [own.len(), updated, own.len(), updated].map(|count| i32::try_from(count).unwrap());
            if counts != expected || Some(status.observed_generation) != object.metadata.generation {
                return Err(format!("{} says {status:?}, not {expected:?}", set.name));
            }
            let revisions = world.server.list::<ControllerRevision>();
            let own = |one: &&ControllerRevision| {
                let owners = one.metadata.owner_references.iter().flatten();
                owners
                    .into_iter()
                    .any(|owner| Some(&owner.uid) == object.metadata.uid.as_ref())
            };
            let newest = revisions.iter().filter(own).max_by_key(|one| one.revision);
            if newest.and_then(|one| one.metadata.name.as_ref()) != Some(&status.latest_revision) {
                return Err(format!("{} is not at its newest revision", set.name));
            }
        }
        Ok(())
    }
}

fn can_upgrade(set: &Set, pod: &Pod, object: &SidecarSet) -> bool {
    let text = annotation(pod, "kruise.io/sidecarset-hash-without-image");
    let hashes = kruise_sidecar::api::InjectedHashes::parse(text).unwrap();
    set.hash(pod).as_deref() == object.hash() || hashes.hash_of(set.name) == object.hash_without_image()
}

/// Everything that the controller writes, as it is.
fn versions(world: &World) -> Vec<Version> {
    let server = &world.server;
    let mut versions = server.versions::<Pod>();
    versions.extend(server.versions::<SidecarSet>());
    versions.extend(server.versions::<ControllerRevision>());
    versions
}
