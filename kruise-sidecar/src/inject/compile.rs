//! From a SidecarSet to what injection works with.

use std::sync::Arc;

use k8s_openapi::api::apps::v1::ControllerRevision;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use kruise_core::api::int_or_percent::IntOrPercent;
use kruise_core::policy::Selector;
use serde_json::{Value, json};

use super::error::Problem;
use super::revision::{find, restore};
use super::set::{Choice, CompiledSet, Content, MetadataPatch, MetadataPolicy, Piece, Pinned, Sidecar};
use super::sidecar::{Form, sidecar};
use crate::api::names::{
    HOT_UPGRADE_SUFFIX_1, HOT_UPGRADE_SUFFIX_2, SIDECAR_VERSION_ALT_PREFIX, SIDECAR_VERSION_PREFIX,
};
use crate::api::{
    HashForm, InjectRevision, InjectRevisionPolicy, PatchPodMetadata, PatchPolicy, PodInjectPolicy, Scope,
    ScopeError, SidecarContainer, SidecarSet, hashes,
};

/// Makes a set ready to be injected into many pods. `revisions` are the ControllerRevisions of this set, in any order;
/// without `injectionStrategy.revision` none is looked at. `form` is that of the hashes of a set that admission has not seen.
///
/// What is wrong with the containers, or with the revision, is told when a pod comes that the set selects.
///
/// # Errors
/// A selector means nothing, so that it cannot be said which pods the set selects.
pub fn compile(
    set: &SidecarSet,
    revisions: &[Arc<ControllerRevision>],
    form: HashForm,
) -> Result<CompiledSet, Problem> {
    let spec = &set.spec;
    let latest_revision = set.status.as_ref().map(|status| status.latest_revision.as_str());
    Ok(CompiledSet {
        name: set.name().into(),
        scope: Scope::compile(spec)?,
        created: set.metadata.creation_timestamp.as_ref().map(|time| time.0),
        paused: spec.injection_strategy.paused,
        latest: content(set, latest_revision.unwrap_or_default(), form),
        pinned: match &spec.injection_strategy.revision {
            Some(revision) if revision.revision_name.is_some() || revision.custom_version.is_some() => {
                Some(pinned(set, revision, revisions, form)?)
            }
            _ => None,
        },
    })
}

fn pinned(
    set: &SidecarSet,
    wanted: &InjectRevision,
    revisions: &[Arc<ControllerRevision>],
    form: HashForm,
) -> Result<Pinned, Problem> {
    let content = find(wanted, revisions).and_then(|revision| {
        let restored = restore(set, revision)?;
        let name = revision.metadata.name.as_deref();
        content(&restored, name.unwrap_or_default(), form)
    });
    let strategy = &set.spec.update_strategy;
    let partial = wanted.policy == Some(InjectRevisionPolicy::Partial);
    let choice = if strategy.paused || !partial {
        Choice::Always
    } else {
        let selector = strategy.selector.as_ref();
        Choice::Partial {
            selector: selector.map(compiled).transpose()?,
            share: share(strategy.partition.as_ref()),
        }
    };
    Ok(Pinned { content, choice })
}

fn compiled(selector: &LabelSelector) -> Result<Selector, Problem> {
    Selector::compile(selector).map_err(|source| {
        Problem::Selector(ScopeError {
            field: "spec.updateStrategy.selector",
            source,
        })
    })
}

/// Which share of the pods gets the historical revision: that of the partition, if it is a percentage.
fn share(partition: Option<&IntOrString>) -> Result<f64, Problem> {
    /// Fine enough for every percentage that is kept.
    const WHOLE: usize = 100_000_000;
    let Some(IntOrString::String(text)) = partition else {
        return Ok(0.0);
    };
    let percent: IntOrPercent = text.parse().map_err(Problem::Partition)?;
    let parts = percent.scale(WHOLE, kruise_core::api::int_or_percent::Rounding::Down);
    Ok(parts as f64 / WHOLE as f64)
}

fn content(set: &SidecarSet, revision: &str, form: HashForm) -> Result<Content, Problem> {
    let spec = &set.spec;
    let mut content = Content::default();
    for (at, container) in spec.init_containers.iter().enumerate() {
        let path = || format!("initContainers[{at}]");
        let form = Form::plain(container.name(), before(container, false));
        content.init_containers.push(sidecar(container, &form, &path)?);
    }
    for (at, container) in spec.containers.iter().enumerate() {
        let path = || format!("containers[{at}]");
        let before = before(container, true);
        if container.is_hot() {
            let (first, second) = hot(&mut content, container, before);
            content.containers.push(sidecar(container, &first, &path)?);
            content.containers.push(sidecar(container, &second, &path)?);
        } else {
            let form = Form::plain(container.name(), before);
            content.containers.push(sidecar(container, &form, &path)?);
        }
    }
    for volume in &spec.volumes {
        let text = Value::Object(volume.0.clone()).to_string();
        content.volumes.push(Piece {
            name: volume.name().into(),
            text: text.into(),
        });
    }
    for secret in &spec.image_pull_secrets {
        let text = json!({ "name": secret.name }).to_string();
        content.pull_secrets.push(Piece {
            name: secret.name.as_str().into(),
            text: text.into(),
        });
    }
    for patch in &spec.patch_pod_metadata {
        content.metadata.push(metadata(patch)?);
    }
    // What admission wrote: the controller compares with the same.
    let (hash, hash_without_image) = match (set.hash(), set.hash_without_image()) {
        (Some(hash), Some(without_image)) => (hash.to_owned(), without_image.to_owned()),
        _ => {
            let made = hashes(spec, form);
            (made.hash, made.without_image)
        }
    };
    content.hash = hash.as_str().into();
    content.revision = revision.into();
    content.entry_rest = entry_rest(set, &hash, revision).into();
    content.entry_rest_without_image = entry_rest(set, &hash_without_image, "").into();
    let texts = content.sidecars().map(Sidecar::bytes).sum::<usize>();
    let volumes = content
        .volumes
        .iter()
        .map(|volume| volume.text.len() + 64)
        .sum::<usize>();
    content.bytes = texts + volumes + 2 * (content.entry_rest.len() + content.entry_rest_without_image.len());
    Ok(content)
}

/// An unknown or absent policy is the default one.
fn before(container: &SidecarContainer, default: bool) -> bool {
    match &container.pod_inject_policy {
        Some(PodInjectPolicy::BeforeAppContainer) => true,
        Some(PodInjectPolicy::AfterAppContainer) => false,
        _ => default,
    }
}

/// The two containers of a hot-upgraded sidecar. The first works; the second waits with the empty image.
fn hot<'c>(content: &mut Content, container: &'c SidecarContainer, before: bool) -> (Form<'c>, Form<'c>) {
    let base = container.name();
    let [first, second] =
        [HOT_UPGRADE_SUFFIX_1, HOT_UPGRADE_SUFFIX_2].map(|suffix| format!("{base}{suffix}"));
    for (name, version, other) in [(&first, "1", "0"), (&second, "0", "1")] {
        let annotations = &mut content.versions;
        annotations.push((format!("{SIDECAR_VERSION_PREFIX}{name}").into(), version));
        annotations.push((format!("{SIDECAR_VERSION_ALT_PREFIX}{name}").into(), other));
    }
    content.working.push((base.into(), first.as_str().into()));
    let empty = container.upgrade_strategy.hot_upgrade_empty_image.as_str();
    let form = |name, image| Form {
        base,
        name,
        before,
        hot_image: Some(image),
    };
    (form(first, container.image()), form(second, empty))
}

fn metadata(patch: &PatchPodMetadata) -> Result<MetadataPatch, Problem> {
    let policy = match &patch.patch_policy {
        Some(PatchPolicy::Overwrite) => MetadataPolicy::Overwrite,
        Some(PatchPolicy::MergePatchJson) => MetadataPolicy::MergePatchJson,
        _ => MetadataPolicy::Retain,
    };
    for (key, value) in &patch.annotations {
        if policy == MetadataPolicy::MergePatchJson {
            serde_json::from_str::<Value>(value).map_err(|error| Problem::NotJson {
                key: key.clone(),
                of: "set",
                reason: error.to_string(),
            })?;
        }
    }
    let annotations = patch.annotations.iter();
    let annotations = annotations.map(|(key, value)| (key.as_str().into(), value.as_str().into()));
    Ok(MetadataPatch {
        policy,
        annotations: annotations.collect(),
    })
}

/// An entry of a hash annotation behind its time.
fn entry_rest(set: &SidecarSet, hash: &str, revision: &str) -> String {
    let quoted = |text: &str| Value::from(text).to_string();
    let native = set
        .spec
        .init_containers
        .iter()
        .filter(|container| container.restarts_always());
    let mut names: Vec<&str> = native
        .chain(&set.spec.containers)
        .map(SidecarContainer::name)
        .collect();
    names.sort_unstable();
    let mut text = format!(
        r#","hash":{},"sidecarSetName":{}"#,
        quoted(hash),
        quoted(set.name())
    );
    if !names.is_empty() {
        text.push_str(&format!(r#","sidecarList":{}"#, json!(names)));
    }
    if !revision.is_empty() {
        text.push_str(&format!(r#","controllerRevision":{}"#, quoted(revision)));
    }
    text.push('}');
    text
}
