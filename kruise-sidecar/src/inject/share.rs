//! What sidecars get from the pod's own containers: mounts, devices, variables.

use std::collections::{HashMap, HashSet};

use kruise_core::policy::Labels;

use super::pod::{Container, Device, Entry, Mount};
use super::set::{Sidecar, Source};

/// Above this many, a list is not searched but hashed.
const FEW: usize = 24;

/// Texts that came by. Cheap for few, and not quadratic for many.
#[derive(Default)]
pub(super) struct Seen<'s> {
    few: Vec<&'s str>,
    many: HashSet<&'s str>,
}

impl<'s> Seen<'s> {
    /// Whether it comes for the first time.
    pub(super) fn first(&mut self, text: &'s str) -> bool {
        if self.few.len() < FEW {
            let new = !self.few.contains(&text);
            if new {
                self.few.push(text);
            }
            return new;
        }
        !self.few.contains(&text) && self.many.insert(text)
    }
}

/// What the pod's own containers have to share. The same for all sidecars.
#[derive(Debug, Default)]
pub(super) struct Shared<'a> {
    /// No path comes twice.
    pub(super) mounts: Vec<Mount<'a>>,
    pub(super) devices: Vec<Device<'a>>,
    /// Variables that paths of mounts are made of. No name comes twice.
    pub(super) env: Vec<Entry<'a>>,
}

impl<'a> Shared<'a> {
    /// From the containers for which `is_source` holds.
    pub(super) fn of(
        containers: &[Container<'a>],
        is_source: impl Fn(usize) -> bool,
    ) -> Result<Self, serde_json::Error> {
        let mut shared = Self::default();
        for (at, container) in containers.iter().enumerate() {
            if !is_source(at) {
                continue;
            }
            let mounts = container.mounts()?;
            if mounts.iter().any(|mount| mount.sub_path_expr.is_some()) {
                shared.env.extend(path_env(&mounts, &container.env()?));
            }
            shared.mounts.extend(mounts);
            shared.devices.extend(container.devices()?);
        }
        unique(&mut shared.mounts, |mount| mount.path.as_ref());
        unique(&mut shared.devices, |device| device.path.as_ref());
        unique(&mut shared.env, |entry| entry.name.as_ref());
        Ok(shared)
    }
}

/// Keeps the first of each key.
fn unique<T>(list: &mut Vec<T>, key: impl Fn(&T) -> &str) {
    let mut seen = Seen::default();
    let keep: Vec<bool> = list.iter().map(|entry| seen.first(key(entry))).collect();
    let mut keep = keep.into_iter();
    list.retain(|_| keep.next().unwrap_or(true));
}

/// The variables that `subPathExpr`s of these mounts name, as the container has them first.
fn path_env<'a>(mounts: &[Mount<'a>], env: &[Entry<'a>]) -> Vec<Entry<'a>> {
    let mut by_name: HashMap<&str, &Entry<'a>> = HashMap::with_capacity(env.len());
    for entry in env {
        by_name.entry(entry.name.as_ref()).or_insert(entry);
    }
    let expressions = mounts.iter().filter_map(|mount| mount.sub_path_expr.as_ref());
    expressions
        .flat_map(|expression| references(expression.as_ref()))
        .filter_map(|name| by_name.get(name).map(|entry| (*entry).clone()))
        .collect()
}

/// The names in `$(NAME)`, from left to right.
pub(super) fn references(expression: &str) -> impl Iterator<Item = &str> {
    let mut rest = expression;
    std::iter::from_fn(move || {
        loop {
            let (_, after) = rest.split_once("$(")?;
            let end = after
                .bytes()
                .enumerate()
                .position(|(at, byte)| !is_name_byte(byte, at == 0))
                .unwrap_or(after.len());
            let (name, tail) = after.split_at(end);
            // What stops a name may begin another reference.
            rest = tail;
            if !name.is_empty() && tail.starts_with(')') {
                return Some(name);
            }
        }
    })
}

fn is_name_byte(byte: u8, first: bool) -> bool {
    byte.is_ascii_alphabetic() || matches!(byte, b'-' | b'.' | b'_') || (!first && byte.is_ascii_digit())
}

/// Variables of the pod's containers, by container and name.
#[derive(Debug)]
pub(super) struct Variables<'a> {
    containers: Vec<(&'a str, Vec<Entry<'a>>)>,
}

impl<'a> Variables<'a> {
    /// Those of the containers for which `is_source` holds.
    pub(super) fn of(
        containers: &'a [Container<'a>],
        is_source: impl Fn(usize) -> bool,
    ) -> Result<Self, serde_json::Error> {
        let sources = containers.iter().enumerate().filter(|(at, _)| is_source(*at));
        let read = sources.map(|(_, container)| Ok((container.name.as_ref(), container.env()?)));
        Ok(Self {
            containers: read.collect::<Result<_, serde_json::Error>>()?,
        })
    }

    /// The last one of this name.
    fn get(&self, container: &str, name: &str) -> Option<&Entry<'a>> {
        let named = self
            .containers
            .iter()
            .rev()
            .filter(|(held, _)| *held == container);
        let mut entries = named.flat_map(|(_, env)| env.iter().rev());
        entries.find(|entry| entry.name.as_ref() == name)
    }
}

/// What a pod says of itself, besides its labels.
pub(super) trait About: Labels {
    fn annotation(&self, key: &str) -> Option<&str>;
}

/// The variables that a sidecar takes over: what `transferEnv` names, then what shared paths need. A name may come
/// again; the first counts.
pub(super) fn transferred<'v, 'a>(
    sidecar: &'v Sidecar,
    variables: Option<&'v Variables<'a>>,
    shared: Option<&'v Shared<'a>>,
    about: &'v dyn About,
) -> impl Iterator<Item = &'v Entry<'a>> {
    let named = sidecar.transfer.iter().filter_map(move |transfer| {
        let container = match &transfer.source {
            Source::Name(name) => &**name,
            Source::Label(key) => about.label(key)?,
            Source::Annotation(key) => about.annotation(key)?,
        };
        let variables = variables?;
        Some(
            transfer
                .names
                .iter()
                .filter_map(move |name| variables.get(container, name)),
        )
    });
    named
        .flatten()
        .chain(shared.into_iter().flat_map(|shared| &shared.env))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn references_are_names_in_parentheses_after_a_dollar() {
        let found = |text| references(text).collect::<Vec<_>>();
        assert_eq!(found("x/$(POD)/$(NOPE)"), ["POD", "NOPE"]);
        assert_eq!(found("$(a.b-c_9)"), ["a.b-c_9"]);
        assert_eq!(found("$(9a) $() $(a b) $(a"), [""; 0]);
        assert_eq!(found("$($(A)"), ["A"], "a broken one does not swallow the next");
        assert_eq!(found("$$(A)"), ["A"], "escapes are not known");
        assert_eq!(found("$(ä)$(B)"), ["B"]);
    }

    #[test]
    fn few_and_many_are_seen_alike() {
        let texts: Vec<String> = (0..100).map(|at| format!("/{}", at % 60)).collect();
        let mut seen = Seen::default();
        let firsts = texts.iter().filter(|text| seen.first(text)).count();
        assert_eq!(firsts, 60);
    }
}
