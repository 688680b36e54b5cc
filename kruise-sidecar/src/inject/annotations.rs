//! The annotations of a pod, with what sets change of them.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

use kruise_core::policy::Labels;
use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;

use super::error::{InjectError, Problem};
use super::patch::{PatchText, quote};
use super::pod::{Metadata, Pairs, Text};
use super::set::{MetadataPatch, MetadataPolicy};
use super::share::About;

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

/// A hash annotation of a pod, read.
#[derive(Debug, Default)]
pub(super) struct Hashes<'a>(BTreeMap<Text<'a>, &'a RawValue>);

impl<'a> Hashes<'a> {
    /// # Errors
    /// It is no object whose values are objects or, as OpenKruise once wrote, strings.
    pub(super) fn read(key: &'static str, text: Option<&'a str>) -> Result<Self, InjectError> {
        let Some(text) = text.filter(|text| !text.is_empty()) else {
            return Ok(Self::default());
        };
        let wrong = |source| InjectError::Annotation { key, source };
        let read: Option<BTreeMap<Text<'a>, &'a RawValue>> = serde_json::from_str(text).map_err(wrong)?;
        let read = read.unwrap_or_default();
        for raw in read.values() {
            if !raw.get().starts_with(['{', '"']) {
                return Err(wrong(serde::de::Error::custom(
                    "entries must be objects or strings",
                )));
            }
        }
        Ok(Self(read))
    }

    /// Whether it says that this set has injected this sidecar.
    pub(super) fn names(&self, set: &str, sidecar: &str) -> bool {
        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct Entry<'a> {
            #[serde(default, borrow)]
            sidecar_list: Option<Vec<Text<'a>>>,
        }
        let Some(raw) = self.0.get(set) else { return false };
        let list = serde_json::from_str::<Entry<'_>>(raw.get()).ok();
        let list = list.and_then(|entry| entry.sidecar_list);
        list.is_none_or(|list| list.iter().any(|name| name.as_ref() == sidecar))
    }

    /// The annotation with these entries, which are sorted by set. An entry that is there already keeps its time.
    pub(super) fn write(&self, entries: &[HashEntry<'_>], now: &str) -> String {
        let bytes = entries
            .iter()
            .map(|entry| entry.rest.len() + entry.set.len() + 60);
        let mut out = Vec::with_capacity(bytes.sum::<usize>() + 2);
        let separate = |out: &mut Vec<u8>| out.push(if out.is_empty() { b'{' } else { b',' });
        let mut others = self.0.iter().peekable();
        let mut entries = entries.iter().peekable();
        loop {
            let other_first = match (others.peek(), entries.peek()) {
                (None, None) => break,
                (Some((name, _)), Some(entry)) => name.as_ref() < entry.set,
                (other, _) => other.is_some(),
            };
            separate(&mut out);
            if other_first {
                if let Some((name, raw)) = others.next() {
                    quote(&mut out, name.as_ref());
                    out.push(b':');
                    write_other(&mut out, name.as_ref(), raw.get());
                }
            } else if let Some(entry) = entries.next() {
                let held = others.next_if(|(name, _)| name.as_ref() == entry.set);
                quote(&mut out, entry.set);
                out.push(b':');
                match held.filter(|(_, raw)| same_but_time(raw.get(), entry.rest)) {
                    Some((_, raw)) => out.extend_from_slice(raw.get().as_bytes()),
                    None => {
                        for part in [r#"{"updateTimestamp":""#, now, "\"", entry.rest] {
                            out.extend_from_slice(part.as_bytes());
                        }
                    }
                }
            }
        }
        out.push(b'}');
        String::from_utf8(out).expect("made of texts")
    }
}

/// An entry of another set stays; one of the old form gets the new one.
fn write_other(out: &mut Vec<u8>, set: &str, raw: &str) {
    if raw.starts_with('{') {
        return out.extend_from_slice(raw.as_bytes());
    }
    out.extend_from_slice(br#"{"updateTimestamp":null,"hash":"#);
    out.extend_from_slice(raw.as_bytes());
    out.extend_from_slice(br#","sidecarSetName":"#);
    quote(out, set);
    out.push(b'}');
}

fn same_but_time(raw: &str, rest: &str) -> bool {
    let held = raw.strip_suffix(rest);
    let time = held.and_then(|held| held.strip_prefix(r#"{"updateTimestamp":""#)?.strip_suffix('"'));
    time.is_some_and(|time| !time.contains('"'))
}

/// The names in a list of sets separated by commas and these, sorted.
pub(super) fn union(list: Option<&str>, names: &[&str]) -> String {
    let held = list.unwrap_or_default().split(',').map(str::trim);
    let all: BTreeSet<&str> = held
        .chain(names.iter().copied())
        .filter(|name| !name.is_empty())
        .collect();
    let mut text = String::with_capacity(all.iter().map(|name| name.len() + 1).sum());
    for name in all {
        if !text.is_empty() {
            text.push(',');
        }
        text.push_str(name);
    }
    text
}
