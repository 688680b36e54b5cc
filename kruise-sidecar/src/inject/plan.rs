//! Which names are taken, which containers of the pod are replaced, and what hot upgrades need.

use std::collections::HashMap;
use std::sync::Arc;

use super::annotations::Annotations;
use super::error::Problem;
use super::pod::{Container, Injected, Spec};
use super::set::{CompiledSet, Content, Sidecar};
use crate::api::WorkingContainers;
use crate::api::names::SIDECARSET_WORKING_HOTUPGRADE_CONTAINER;

/// A set that goes into the pod, and which of its contents.
#[derive(Clone, Copy, Debug)]
pub(super) struct Accepted<'a> {
    pub(super) set: &'a Arc<CompiledSet>,
    pub(super) content: &'a Content,
}

/// Containers of the pod, and names that sets have taken so far.
#[derive(Debug)]
pub(super) struct Names<'a> {
    containers: Vec<Held<'a>>,
    init_containers: Vec<Held<'a>>,
    taken: HashMap<&'a str, &'a Arc<str>>,
}

#[derive(Debug)]
struct Held<'a> {
    name: &'a str,
    injected: Injected,
    replaced: bool,
}

/// What one set takes.
#[derive(Debug)]
pub(super) struct Taken<'a>(Vec<Take<'a>>);

#[derive(Debug)]
struct Take<'a> {
    name: &'a str,
    set: &'a Arc<str>,
    replaces: Option<(bool, usize)>,
}

impl<'a> Names<'a> {
    pub(super) fn of(spec: &'a Spec<'_>) -> Result<Self, serde_json::Error> {
        let held = |list: &'a Option<Vec<Container<'_>>>| {
            let held = list.iter().flatten().map(|container| {
                Ok(Held {
                    name: container.name.as_ref(),
                    injected: container.injected()?,
                    replaced: false,
                })
            });
            held.collect::<Result<Vec<_>, serde_json::Error>>()
        };
        Ok(Self {
            containers: held(&spec.containers)?,
            init_containers: held(&spec.init_containers)?,
            taken: HashMap::new(),
        })
    }

    /// The names of a set, if it can have them.
    pub(super) fn take(&self, set: &'a CompiledSet, content: &'a Content) -> Result<Taken<'a>, Problem> {
        let mut taken: Vec<Take<'a>> =
            Vec::with_capacity(content.init_containers.len() + content.containers.len());
        let init = content.init_containers.iter().map(|sidecar| (true, sidecar));
        for (is_init, sidecar) in init.chain(content.containers.iter().map(|sidecar| (false, sidecar))) {
            let name = &*sidecar.name;
            let own = taken.iter().any(|take| take.name == name).then_some(&set.name);
            if let Some(other) = own.or_else(|| self.taken.get(name).copied()) {
                return Err(Problem::NameTakenBySet {
                    sidecar: name.to_owned(),
                    other: other.clone(),
                });
            }
            let replaces = self.replaces(is_init, sidecar)?;
            taken.push(Take {
                name,
                set: &set.name,
                replaces: replaces.map(|at| (is_init, at)),
            });
        }
        Ok(Taken(taken))
    }

    /// The place of the container that the sidecar replaces: one that an injection put there.
    fn replaces(&self, is_init: bool, sidecar: &Sidecar) -> Result<Option<usize>, Problem> {
        let taken = |kind| Problem::NameTaken {
            sidecar: sidecar.name.to_string(),
            kind,
        };
        let at = |list: &[Held<'_>]| list.iter().position(|held| *held.name == *sidecar.name);
        let (same, other) = if is_init {
            (
                (&self.init_containers, "init container"),
                (&self.containers, "container"),
            )
        } else {
            (
                (&self.containers, "container"),
                (&self.init_containers, "init container"),
            )
        };
        if at(other.0).is_some() {
            return Err(taken(other.1));
        }
        let Some(at) = at(same.0) else { return Ok(None) };
        // The set's own variables come first, and may have the same name.
        if same.0.get(at).is_some_and(|held| held.injected.somewhere) {
            Ok(Some(at))
        } else {
            Err(taken(same.1))
        }
    }

    /// Gives the names to the set.
    pub(super) fn keep(&mut self, taken: Taken<'a>) {
        for take in taken.0 {
            self.taken.insert(take.name, take.set);
            if let Some((is_init, at)) = take.replaces {
                let list = if is_init {
                    &mut self.init_containers
                } else {
                    &mut self.containers
                };
                if let Some(held) = list.get_mut(at) {
                    held.replaced = true;
                }
            }
        }
    }

    /// The place of the container of this name, if it is replaced.
    pub(super) fn replaced(&self, is_init: bool, name: &str) -> Option<usize> {
        let list = if is_init {
            &self.init_containers
        } else {
            &self.containers
        };
        list.iter().position(|held| held.replaced && held.name == name)
    }

    /// Whether variables may be taken from this container of the pod.
    pub(super) fn has_variables(&self, at: usize) -> bool {
        self.containers.get(at).is_some_and(|held| !held.replaced)
    }

    /// Whether this container of the pod shares its mounts and devices.
    pub(super) fn shares(&self, at: usize) -> bool {
        self.containers
            .get(at)
            .is_some_and(|held| !held.replaced && !held.injected.first)
    }
}

/// Sets the annotations of hot-upgraded sidecars: their versions, and which of the two containers works.
pub(super) fn describe_hot<'a>(annotations: &mut Annotations<'a>, accepted: &[Accepted<'a>]) {
    let mut working = accepted
        .iter()
        .flat_map(|accepted| &accepted.content.working)
        .peekable();
    if working.peek().is_none() {
        return;
    }
    let held = annotations.before(SIDECARSET_WORKING_HOTUPGRADE_CONTAINER);
    // What cannot be read says nothing of containers that are yet to be.
    let held = held.and_then(|text| WorkingContainers::parse(text).ok());
    let mut all = held.unwrap_or_default();
    for (sidecar, container) in working {
        all.0.insert(sidecar.to_string(), container.to_string());
    }
    annotations.set(SIDECARSET_WORKING_HOTUPGRADE_CONTAINER, all.to_string());
    for (key, value) in accepted.iter().flat_map(|accepted| &accepted.content.versions) {
        annotations.set(&**key, *value);
    }
}
