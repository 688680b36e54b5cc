//! Which sets match a pod, and what becomes of it.

use std::fmt;
use std::sync::Arc;

use jiff::Timestamp;
use kruise_core::policy::Labels;
use serde_json::Value;

use super::annotations::{Annotations, HashEntry, Hashes};
use super::build::write;
use super::error::{InjectError, Problem};
use super::plan::{Accepted, Names};
use super::pod::{PodText, Spec, read};
use super::set::{Choice, CompiledSet, Content};
use crate::api::names::{SIDECARSET_HASH, SIDECARSET_HASH_WITHOUT_IMAGE, SIDECARSET_INJECTED_LIST};
use crate::api::{InjectedHash, Mismatch, NamespaceFacts, format_injected_list, injected_list};

/// What becomes of a pod that a set selects but cannot be injected into, because of a name that is taken, a revision
/// that is not there, or a field of the set that makes no sense.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Refusal {
    /// The pod is refused.
    #[default]
    Deny,
    /// The pod is created without this set; its creator gets a warning.
    Skip,
}

/// Settings of an [`Injector`].
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct InjectConfig {
    /// What becomes of a pod where a set cannot be injected. Default: it is refused.
    pub refusal: Refusal,
    /// Whether containers of all sets are sorted by name, as behind OpenKruise's gate
    /// `EnableSortSidecarContainerByName`. Default: no, they come in the order of sets, then of the set.
    pub sort_by_name: bool,
}

/// What injection must know besides pod and sets.
#[derive(Clone, Copy)]
#[non_exhaustive]
pub struct Moment<'a> {
    /// The time that is written into annotations.
    pub now: Timestamp,
    /// The namespace of the request, for pods that do not name theirs.
    pub namespace: &'a str,
    /// The labels of the pod's namespace. `None`: they are not known, and sets that ask for more than the namespace's
    /// name (`kubernetes.io/metadata.name`) do not match.
    pub namespace_labels: Option<&'a (dyn Labels + Sync)>,
    /// A number of at least 0 and below 1, by which `injectionStrategy.revision` with the policy `Partial` and a
    /// percentage chooses: below the percentage the pod gets the historical revision. A pod whose annotation says that it
    /// has one of the two keeps that one. Default: 0.5.
    pub draw: f64,
}

impl fmt::Debug for Moment<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Moment")
            .field("now", &self.now)
            .field("namespace", &self.namespace)
            .field("draw", &self.draw)
            .finish_non_exhaustive()
    }
}

impl<'a> Moment<'a> {
    /// At this time.
    pub fn new(now: Timestamp) -> Self {
        Self {
            now,
            namespace: "",
            namespace_labels: None,
            draw: 0.5,
        }
    }

    /// Sets the namespace of the request.
    #[must_use]
    pub fn namespace(mut self, namespace: &'a str) -> Self {
        self.namespace = namespace;
        self
    }

    /// Sets the labels of the namespace.
    #[must_use]
    pub fn namespace_labels(mut self, labels: &'a (dyn Labels + Sync)) -> Self {
        self.namespace_labels = Some(labels);
        self
    }

    /// Sets the number by which a revision is chosen.
    #[must_use]
    pub fn draw(mut self, draw: f64) -> Self {
        self.draw = draw;
        self
    }
}

/// What is to be done to a pod.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Injection {
    /// The text of a JSON patch (RFC 6902). `None`: nothing is to be changed.
    pub patch: Option<String>,
    /// The sets that are in the pod with this patch, sorted by name.
    pub sets: Vec<Arc<str>>,
    /// The sets that select the pod and were left out, with [`Refusal::Skip`].
    pub skipped: Vec<Skipped>,
    /// What the creator of the pod should know.
    pub warnings: Vec<String>,
}

impl Injection {
    /// The patch, decoded; an empty one if nothing is to be changed.
    ///
    /// # Errors
    /// None for a patch that was made here.
    pub fn json_patch(&self) -> Result<json_patch::Patch, serde_json::Error> {
        serde_json::from_str(self.patch.as_deref().unwrap_or("[]"))
    }
}

/// A set that was left out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Skipped {
    /// The name of the set.
    pub set: Arc<str>,
    /// Why.
    pub problem: Problem,
}

/// Some compiled sets. Made anew when one of them changes; reading needs no lock.
#[derive(Debug, Default)]
pub struct Injector {
    sets: Vec<Arc<CompiledSet>>,
    config: InjectConfig,
}

impl Injector {
    /// Of two sets with one name, the first is taken.
    pub fn new(sets: impl IntoIterator<Item = Arc<CompiledSet>>, config: InjectConfig) -> Self {
        let mut sets: Vec<_> = sets.into_iter().collect();
        sets.sort_by(|a, b| a.name.cmp(&b.name));
        sets.dedup_by(|later, earlier| later.name == earlier.name);
        Self { sets, config }
    }

    /// The sets, sorted by name.
    pub fn sets(&self) -> &[Arc<CompiledSet>] {
        &self.sets
    }

    /// Whether the labels of the pod's namespace decide about a set that matches it otherwise.
    ///
    /// # Errors
    /// [`InjectError::Pod`].
    pub fn needs_namespace(&self, pod: &str, namespace: &str) -> Result<bool, InjectError> {
        if !self.sets.iter().any(|set| set.scope.needs_namespace_labels()) {
            return Ok(false);
        }
        let pod: PodText<'_> = read(pod).map_err(InjectError::Pod)?;
        let name = pod.namespace().unwrap_or(namespace);
        let namespace = NamespaceFacts { name, labels: None };
        let asks = |set: &CompiledSet| set.selects(&pod, &namespace) == Err(Some(Mismatch::NamespaceUnknown));
        Ok(!pod.is_over() && self.sets.iter().any(|set| asks(set)))
    }

    /// What is to be done to this pod, which is about to be created. `pod` is its JSON.
    ///
    /// # Errors
    /// There is no patch, and the pod should be refused. A pod that no set selects is refused only if it is no JSON of a pod.
    pub fn inject(&self, pod: &str, at: &Moment<'_>) -> Result<Injection, InjectError> {
        let pod: PodText<'_> = read(pod).map_err(InjectError::Pod)?;
        let namespace = NamespaceFacts {
            name: pod.namespace().unwrap_or(at.namespace),
            labels: at.namespace_labels.map(|labels| labels as &dyn Labels),
        };
        let matches = |set: &&Arc<CompiledSet>| set.selects(&pod, &namespace).is_ok();
        let mut matching = self.sets.iter().filter(matches).peekable();
        if matching.peek().is_none() || pod.is_over() {
            return Ok(Injection::default());
        }
        let spec = pod.spec.map_or("null", |spec| spec.get());
        let spec: Spec<'_> = read(spec).map_err(InjectError::Pod)?;

        let mut annotations = Annotations::of(pod.metadata());
        let hashes = Hashes::read(SIDECARSET_HASH, annotations.before(SIDECARSET_HASH))?;
        let mut names = Names::of(&spec).map_err(InjectError::Pod)?;
        let mut done = Injection::default();
        let mut accepted: Vec<Accepted<'_>> = Vec::new();
        for set in matching {
            let held = hashes.get(&set.name);
            let tried = set.content(&annotations, held, at.draw).and_then(|content| {
                if content.is_empty() {
                    return Ok(None);
                }
                let taken = names.take(set, content)?;
                let mut changed = None;
                for patch in &content.metadata {
                    changed.get_or_insert_with(|| annotations.clone()).apply(patch)?;
                }
                Ok(Some((content, taken, changed)))
            });
            match (tried, self.config.refusal) {
                (Ok(None), _) => {}
                (Ok(Some((content, taken, changed))), _) => {
                    annotations = changed.unwrap_or(annotations);
                    names.keep(taken);
                    accepted.push(Accepted { set, content });
                }
                (Err(problem), Refusal::Deny) => {
                    let set = set.name.clone();
                    return Err(InjectError::Set { set, problem });
                }
                (Err(problem), Refusal::Skip) => {
                    let set = set.name.clone();
                    done.warnings
                        .push(format!("SidecarSet {set:?} is not injected: {problem}"));
                    done.skipped.push(Skipped { set, problem });
                }
            }
        }
        if accepted.is_empty() {
            return Ok(done);
        }
        done.sets = accepted
            .iter()
            .map(|accepted| accepted.set.name.clone())
            .collect();
        describe(&mut annotations, &hashes, &accepted, at.now)?;
        done.patch = write(
            &spec,
            pod.spec,
            &names,
            &accepted,
            &annotations,
            &self.config,
            &mut done.warnings,
        )
        .map_err(InjectError::Pod)?;
        Ok(done)
    }

    /// The same for a pod that is decoded.
    ///
    /// # Errors
    /// As of [`Injector::inject`].
    pub fn inject_value(&self, pod: &Value, at: &Moment<'_>) -> Result<Injection, InjectError> {
        self.inject(&pod.to_string(), at)
    }
}

/// Sets the annotations that tell what was injected.
fn describe<'a>(
    annotations: &mut Annotations<'a>,
    hashes: &Hashes,
    accepted: &[Accepted<'a>],
    now: Timestamp,
) -> Result<(), InjectError> {
    let now = now.strftime("%Y-%m-%dT%H:%M:%SZ").to_string();
    let entry = |accepted: &Accepted<'a>, rest: fn(&Content) -> &str| HashEntry {
        set: &accepted.set.name,
        rest: rest(accepted.content),
    };
    let mut entries: Vec<_> = accepted
        .iter()
        .map(|accepted| entry(accepted, |content| &content.entry_rest))
        .collect();
    annotations.set(SIDECARSET_HASH, hashes.write(&entries, &now));

    let key = SIDECARSET_HASH_WITHOUT_IMAGE;
    let hashes = Hashes::read(key, annotations.before(key))?;
    entries.clear();
    entries.extend(
        accepted
            .iter()
            .map(|accepted| entry(accepted, |content| &content.entry_rest_without_image)),
    );
    annotations.set(key, hashes.write(&entries, &now));

    let held = injected_list(annotations.before(SIDECARSET_INJECTED_LIST).unwrap_or_default());
    let names = accepted.iter().map(|accepted| &*accepted.set.name);
    let list = format_injected_list(held.chain(names));
    annotations.set(SIDECARSET_INJECTED_LIST, list);
    super::plan::describe_hot(annotations, accepted);
    Ok(())
}

impl CompiledSet {
    /// Why not, if the set is not paused.
    fn selects(&self, pod: &PodText<'_>, namespace: &NamespaceFacts<'_>) -> Result<(), Option<Mismatch>> {
        if self.paused {
            return Err(None);
        }
        let labels = pod.metadata().and_then(|metadata| metadata.labels.as_ref());
        self.scope.matches(namespace, &labels).map_err(Some)
    }

    /// What this pod gets: what the set has now, or what it had at the revision that is asked for. `held` is what the pod
    /// says of the set already: where chance decides, it decides once, even if the pod is sent several times.
    fn content(
        &self,
        about: &Annotations<'_>,
        held: Option<&InjectedHash>,
        draw: f64,
    ) -> Result<&Content, Problem> {
        let Some(pinned) = &self.pinned else {
            return self.latest.as_ref().map_err(Problem::clone);
        };
        let is_pinned = match &pinned.choice {
            Choice::Always => true,
            Choice::Partial {
                selector: Some(selector),
                ..
            } if !selector.matches(about) => true,
            Choice::Partial { share, .. } => {
                let share = share.clone()?;
                self.holds_pinned(&pinned.content, held).unwrap_or(draw < share)
            }
        };
        let content = if is_pinned { &pinned.content } else { &self.latest };
        content.as_ref().map_err(Problem::clone)
    }
    /// Whether a pod that says this of the set has the historical revision; `None` if it has neither that nor the latest.
    fn holds_pinned(&self, pinned: &Result<Content, Problem>, held: Option<&InjectedHash>) -> Option<bool> {
        let held = held?;
        let has_hash = |content: &Content| *content.hash == *held.hash;
        // Two revisions that differ in volumes only have one hash.
        let is_held = |content: &Content| has_hash(content) && *content.revision == *held.controller_revision;
        let (pinned, latest) = (pinned.as_ref().ok(), self.latest.as_ref().ok());
        let of = |holds: &dyn Fn(&Content) -> bool| {
            let latest = || latest.is_some_and(holds).then_some(false);
            pinned.is_some_and(holds).then_some(true).or_else(latest)
        };
        of(&is_held).or_else(|| of(&has_hash))
    }
}
