//! The annotations of a pod, with what sets change of them.

use std::borrow::Cow;
use std::collections::BTreeMap;

use kruise_core::policy::Labels;
use serde_json::Value;

use super::error::{InjectError, Problem};
use super::patch::{PatchText, quote};
use super::pod::{Metadata, Pairs};
use super::set::{MetadataPatch, MetadataPolicy};
use super::share::About;
use crate::api::{InjectedHash, InjectedHashes};

/// What a pod says of itself, and what will be said.
#[derive(Clone, Debug)]
pub(super) struct Annotations<'a> {
    labels: Option<&'a Pairs<'a>>,
    /// `None` if the pod has no metadata at all.
    metadata: Option<&'a Metadata<'a>>,
    changes: Vec<(Cow<'a, str>, Cow<'a, str>)>,
}

impl Labels for Annotations<'_> {
    /// The labels of the pod.
    fn label(&self, key: &str) -> Option<&str> {
        self.labels?.label(key)
    }
}

impl About for Annotations<'_> {
    fn annotation(&self, key: &str) -> Option<&str> {
        self.get(key)
    }
}

impl<'a> Annotations<'a> {
    pub(super) fn of(metadata: Option<&'a Metadata<'a>>) -> Self {
        Self {
            labels: metadata.and_then(|metadata| metadata.labels.as_ref()),
            metadata,
            changes: Vec::new(),
        }
    }

    /// As it came with the pod.
    pub(super) fn before(&self, key: &str) -> Option<&'a str> {
        self.metadata?.annotations.as_ref()?.get(key)
    }

    pub(super) fn get(&self, key: &str) -> Option<&str> {
        let change = self.changes.iter().find(|(held, _)| held == key);
        change.map_or_else(|| self.before(key), |(_, value)| Some(value))
    }

    pub(super) fn set(&mut self, key: impl Into<Cow<'a, str>>, value: impl Into<Cow<'a, str>>) {
        let (key, value) = (key.into(), value.into());
        match self.changes.iter_mut().find(|(held, _)| *held == key) {
            Some((_, held)) => *held = value,
            None => self.changes.push((key, value)),
        }
    }

    /// Applies an entry of `patchPodMetadata`. Applied again, it changes nothing.
    pub(super) fn apply(&mut self, patch: &'a MetadataPatch) -> Result<(), Problem> {
        for (key, value) in &patch.annotations {
            let held = self.get(key);
            match patch.policy {
                MetadataPolicy::Retain if held.is_some() => {}
                MetadataPolicy::Retain | MetadataPolicy::Overwrite => self.set(&**key, &**value),
                MetadataPolicy::MergePatchJson => {
                    if let Some(merged) = merge(key, held.unwrap_or_default(), value)? {
                        self.set(&**key, merged);
                    }
                }
            }
        }
        Ok(())
    }

    /// Writes what differs from the pod.
    pub(super) fn write(&self, patch: &mut PatchText) {
        let changed = |(key, value): &&(Cow<'_, str>, Cow<'_, str>)| self.before(key) != Some(value);
        let mut changes = self.changes.iter().filter(changed).peekable();
        if changes.peek().is_none() {
            return;
        }
        let held = self.metadata.map(|metadata| metadata.annotations.is_some());
        if held == Some(true) {
            for (key, value) in changes {
                quote(patch.open("add", "/metadata/annotations", Some(key)), value);
                patch.close();
            }
            return;
        }
        let path = if held.is_none() {
            "/metadata"
        } else {
            "/metadata/annotations"
        };
        let out = patch.open("add", path, None);
        if held.is_none() {
            out.extend_from_slice(br#"{"annotations":"#);
        }
        out.push(b'{');
        for (at, (key, value)) in changes.enumerate() {
            if at > 0 {
                out.push(b',');
            }
            quote(out, key);
            out.push(b':');
            quote(out, value);
        }
        out.push(b'}');
        if held.is_none() {
            out.push(b'}');
        }
        patch.close();
    }
}

/// `held` with the changes of `text`, as by RFC 7386; `None` if that is the same JSON. Where nothing is held, `text` is
/// taken as it is written, unless it has nulls to be dropped: so that the second time changes nothing.
fn merge<'a>(key: &str, held: &str, text: &'a str) -> Result<Option<Cow<'a, str>>, Problem> {
    let wrong = |of| {
        move |error: serde_json::Error| Problem::NotJson {
            key: key.to_owned(),
            of,
            reason: error.to_string(),
        }
    };
    let changes: Value = serde_json::from_str(text).map_err(wrong("set"))?;
    let before: Option<Value> = match held {
        "" => None,
        held => Some(serde_json::from_str(held).map_err(wrong("pod"))?),
    };
    let mut after = before.clone().unwrap_or_default();
    json_patch::merge(&mut after, &changes);
    if before.as_ref() == Some(&after) {
        return Ok(None);
    }
    if before.is_none() && after == changes {
        return Ok(Some(text.into()));
    }
    Ok(Some(sorted(after).to_string().into()))
}

/// The same with sorted keys, however maps are kept.
fn sorted(value: Value) -> Value {
    match value {
        Value::Object(fields) => {
            let fields: BTreeMap<_, _> = fields.into_iter().collect();
            Value::Object(
                fields
                    .into_iter()
                    .map(|(key, value)| (key, sorted(value)))
                    .collect(),
            )
        }
        Value::Array(values) => Value::Array(values.into_iter().map(sorted).collect()),
        other => other,
    }
}

/// An entry in a hash annotation: what it has behind its time.
#[derive(Debug)]
pub(super) struct HashEntry<'a> {
    pub(super) set: &'a str,
    pub(super) rest: &'a str,
}

/// A hash annotation of a pod as it came.
#[derive(Debug)]
pub(super) struct Hashes(Option<InjectedHashes>);

impl Hashes {
    /// # Errors
    /// It cannot be read.
    pub(super) fn read(key: &'static str, text: Option<&str>) -> Result<Self, InjectError> {
        let held = text.map(InjectedHashes::parse).transpose();
        let held = held.map_err(|source| InjectError::Annotation { key, source })?;
        Ok(Self(held.filter(|held| !held.0.is_empty())))
    }

    /// What it says of a set.
    pub(super) fn get(&self, set: &str) -> Option<&InjectedHash> {
        self.0.as_ref()?.0.get(set)
    }

    /// The annotation with these entries, which are sorted by set. An entry that is there already keeps its time.
    pub(super) fn write(&self, entries: &[HashEntry<'_>], now: &str) -> String {
        let bytes = entries
            .iter()
            .map(|entry| entry.rest.len() + entry.set.len() + 60);
        let mut out = Vec::with_capacity(bytes.sum::<usize>() + 2);
        for entry in entries {
            out.push(if out.is_empty() { b'{' } else { b',' });
            quote(&mut out, entry.set);
            for part in [r#":{"updateTimestamp":""#, now, "\"", entry.rest] {
                out.extend_from_slice(part.as_bytes());
            }
        }
        out.push(b'}');
        let text = String::from_utf8(out).expect("made of texts");
        match &self.0 {
            None => text,
            Some(held) => beside(held, &text),
        }
    }
}

/// The entries of other sets, and those of `text`.
fn beside(held: &InjectedHashes, text: &str) -> String {
    let new = InjectedHashes::parse(text).expect("it was written so");
    let mut all = held.clone();
    for (set, mut entry) in new.0 {
        if let Some(held) = held.0.get(&set) {
            let now = std::mem::replace(&mut entry.update_timestamp, held.update_timestamp);
            if entry != *held {
                entry.update_timestamp = now;
            }
        }
        all.0.insert(set, entry);
    }
    all.to_string()
}
