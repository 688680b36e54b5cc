//! Writes the patch: containers, volumes, pull secrets, annotations.

use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;

use super::annotations::Annotations;
use super::engine::InjectConfig;
use super::patch::PatchText;
use super::plan::{Accepted, Names};
use super::pod::{Container, Entry, Named, Spec};
use super::set::{Piece, Sidecar};
use super::share::{About, Seen, Shared, Variables, transferred};

/// What all sidecars of a pod are built from.
struct Sources<'a> {
    shared: Option<Shared<'a>>,
    variables: Option<Variables<'a>>,
    about: &'a dyn About,
}

pub(super) fn write(
    spec: &Spec<'_>,
    raw_spec: Option<&RawValue>,
    names: &Names<'_>,
    accepted: &[Accepted<'_>],
    annotations: &Annotations<'_>,
    config: &InjectConfig,
    warnings: &mut Vec<String>,
) -> Result<Option<String>, serde_json::Error> {
    let sidecars = || accepted.iter().flat_map(|accepted| accepted.content.sidecars());
    let own = spec.containers.as_deref().unwrap_or_default();
    let shares = sidecars().any(|sidecar| sidecar.share_mounts || sidecar.share_devices);
    let transfers = sidecars().any(|sidecar| !sidecar.transfer.is_empty());
    let sources = Sources {
        shared: shares
            .then(|| Shared::of(own, |at| names.shares(at)))
            .transpose()?,
        variables: transfers
            .then(|| Variables::of(own, |at| names.has_variables(at)))
            .transpose()?,
        about: annotations,
    };
    let bytes: usize = accepted.iter().map(|accepted| accepted.content.bytes).sum();
    let mut patch = PatchText::with_capacity(bytes + 512);

    // Sorted in any case, stably: so OpenKruise does it.
    let mut init: Vec<_> = accepted
        .iter()
        .flat_map(|accepted| &accepted.content.init_containers)
        .collect();
    init.sort_by(|a, b| a.name.cmp(&b.name));
    let list = List {
        is_init: true,
        path: "/spec/initContainers",
        held: spec.init_containers.as_deref(),
    };
    containers(&mut patch, &list, &init, names, raw_spec, &sources)?;

    let mut all: Vec<_> = accepted
        .iter()
        .flat_map(|accepted| &accepted.content.containers)
        .collect();
    if config.sort_by_name {
        all.sort_by(|a, b| a.name.cmp(&b.name));
    }
    let list = List {
        is_init: false,
        path: "/spec/containers",
        held: spec.containers.as_deref(),
    };
    containers(&mut patch, &list, &all, names, raw_spec, &sources)?;

    volumes(&mut patch, spec.volumes.as_deref(), accepted, warnings);
    pull_secrets(&mut patch, spec.image_pull_secrets.as_deref(), accepted);
    annotations.write(&mut patch);
    Ok(patch.finish())
}

struct List<'a> {
    is_init: bool,
    path: &'static str,
    held: Option<&'a [Container<'a>]>,
}

fn containers(
    patch: &mut PatchText,
    list: &List<'_>,
    sidecars: &[&Sidecar],
    names: &Names<'_>,
    raw_spec: Option<&RawValue>,
    sources: &Sources<'_>,
) -> Result<(), serde_json::Error> {
    let is_new = |sidecar: &&&Sidecar| names.replaced(list.is_init, &sidecar.name).is_none();
    let before = || sidecars.iter().filter(|sidecar| sidecar.before).filter(is_new);
    let after = || sidecars.iter().filter(|sidecar| !sidecar.before).filter(is_new);
    if list.held.is_none() {
        let mut new = before().chain(after()).peekable();
        if new.peek().is_some() {
            let out = patch.open("add", list.path, None);
            out.push(b'[');
            for (at, sidecar) in new.enumerate() {
                if at > 0 {
                    out.push(b',');
                }
                container(out, sidecar, sources);
            }
            out.push(b']');
            patch.close();
        }
        return Ok(());
    }
    let replacing = |sidecar: &&&Sidecar| names.replaced(list.is_init, &sidecar.name).is_some();
    if sidecars.iter().any(|sidecar| replacing(&sidecar)) {
        let held = raw_list(raw_spec, list.is_init)?;
        for sidecar in sidecars {
            if let Some(at) = names.replaced(list.is_init, &sidecar.name) {
                replace(patch, list.path, at, held.get(at).copied(), sidecar, sources)?;
            }
        }
    }
    for sidecar in after() {
        container(patch.open("add", list.path, Some("-")), sidecar, sources);
        patch.close();
    }
    for (at, sidecar) in before().enumerate() {
        container(
            patch.open("add", list.path, Some(&at.to_string())),
            sidecar,
            sources,
        );
        patch.close();
    }
    Ok(())
}

/// Replaces a container that was injected before, if it differs.
fn replace(
    patch: &mut PatchText,
    path: &str,
    at: usize,
    held: Option<&RawValue>,
    sidecar: &Sidecar,
    sources: &Sources<'_>,
) -> Result<(), serde_json::Error> {
    let mut text = Vec::with_capacity(sidecar.bytes());
    container(&mut text, sidecar, sources);
    let held: Option<Value> = held.map(|held| serde_json::from_str(held.get())).transpose()?;
    if held == Some(serde_json::from_slice(&text)?) {
        return Ok(());
    }
    patch
        .open("replace", path, Some(&at.to_string()))
        .extend_from_slice(&text);
    patch.close();
    Ok(())
}

/// The texts of the pod's containers. Only asked for where one is replaced.
fn raw_list(spec: Option<&RawValue>, init: bool) -> Result<Vec<&RawValue>, serde_json::Error> {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Lists<'a> {
        #[serde(default, borrow)]
        containers: Option<Vec<&'a RawValue>>,
        #[serde(default, borrow)]
        init_containers: Option<Vec<&'a RawValue>>,
    }
    let Some(spec) = spec else { return Ok(Vec::new()) };
    let lists: Lists<'_> = serde_json::from_str(spec.get())?;
    Ok(if init {
        lists.init_containers
    } else {
        lists.containers
    }
    .unwrap_or_default())
}

/// Writes one container.
fn container(out: &mut Vec<u8>, sidecar: &Sidecar, sources: &Sources<'_>) {
    out.extend_from_slice(sidecar.open.as_bytes());
    let has = |names: &[Box<str>], name: &str| names.iter().any(|held| **held == *name);
    let shared = sources.shared.as_ref();

    out.extend_from_slice(br#","env":["#);
    out.extend_from_slice(sidecar.env.as_bytes());
    let with_paths = shared.filter(|_| sidecar.share_mounts);
    let mut added = Seen::default();
    for entry in transferred(sidecar, sources.variables.as_ref(), with_paths, sources.about) {
        let name = entry.name.as_ref();
        if !has(&sidecar.env_names, name) && added.first(name) {
            out.push(b',');
            out.extend_from_slice(entry.raw.as_bytes());
        }
    }
    out.extend_from_slice(sidecar.last_env.as_bytes());
    out.push(b']');

    let mounts = shared
        .filter(|_| sidecar.share_mounts)
        .map_or(&[][..], |shared| &shared.mounts);
    let own = |path: &str| has(&sidecar.mount_paths, path) || has(&sidecar.device_paths, path);
    let mounts = mounts.iter().filter(|mount| !own(mount.path.as_ref()));
    list(
        out,
        "volumeMounts",
        &sidecar.mounts,
        mounts.clone().map(|mount| mount.raw),
    );

    let devices = shared
        .filter(|_| sidecar.share_devices)
        .map_or(&[][..], |shared| &shared.devices);
    let mounted = |path: &str| mounts.clone().any(|mount| mount.path.as_ref() == path);
    let devices = devices
        .iter()
        .filter(|device| !own(device.path.as_ref()) && !mounted(device.path.as_ref()));
    list(
        out,
        "volumeDevices",
        &sidecar.devices,
        devices.map(|device| device.raw),
    );
    out.push(b'}');
}

fn list<'t>(out: &mut Vec<u8>, field: &str, own: &str, others: impl Iterator<Item = &'t str>) {
    let mut others = others.peekable();
    if own.is_empty() && others.peek().is_none() {
        return;
    }
    for part in [",\"", field, "\":[", own] {
        out.extend_from_slice(part.as_bytes());
    }
    let mut separate = !own.is_empty();
    for other in others {
        if separate {
            out.push(b',');
        }
        separate = true;
        out.extend_from_slice(other.as_bytes());
    }
    out.push(b']');
}

/// Adds the volumes that sidecars mount themselves, unless the pod has one of the name.
fn volumes(
    patch: &mut PatchText,
    held: Option<&[Named<'_>]>,
    accepted: &[Accepted<'_>],
    warnings: &mut Vec<String>,
) {
    let mut added: Vec<&Piece> = Vec::new();
    for Accepted { set, content } in accepted {
        for (sidecar, name) in content
            .sidecars()
            .flat_map(|sidecar| sidecar.volumes.iter().map(move |name| (sidecar, name)))
        {
            let is_held = held.is_some_and(|held| held.iter().any(|volume| volume.name.as_ref() == &**name));
            if is_held || added.iter().any(|volume| volume.name == *name) {
                continue;
            }
            match content.volumes.iter().find(|volume| volume.name == *name) {
                Some(volume) => added.push(volume),
                None => warnings.push(format!(
                    "SidecarSet {:?}: container {:?} mounts the volume {name:?}, which neither set nor pod has",
                    set.name(),
                    sidecar.name,
                )),
            }
        }
    }
    append(patch, "/spec/volumes", held.is_some(), &added);
}

/// Adds pieces to a list of the pod.
fn append(patch: &mut PatchText, path: &str, exists: bool, pieces: &[&Piece]) {
    if exists {
        for piece in pieces {
            patch
                .open("add", path, Some("-"))
                .extend_from_slice(piece.text.as_bytes());
            patch.close();
        }
    } else if !pieces.is_empty() {
        let out = patch.open("add", path, None);
        joined(out, pieces.iter().map(|piece| &*piece.text));
        patch.close();
    }
}

fn joined<'t>(out: &mut Vec<u8>, texts: impl Iterator<Item = &'t str>) {
    out.push(b'[');
    for (at, text) in texts.enumerate() {
        if at > 0 {
            out.push(b',');
        }
        out.extend_from_slice(text.as_bytes());
    }
    out.push(b']');
}

/// Adds the pull secrets of the sets. If there are any, no name stays twice in the list.
fn pull_secrets(patch: &mut PatchText, held: Option<&[Entry<'_>]>, accepted: &[Accepted<'_>]) {
    let of_sets = || {
        accepted
            .iter()
            .flat_map(|accepted| &accepted.content.pull_secrets)
    };
    if of_sets().next().is_none() {
        return;
    }
    let held_list = held.unwrap_or_default();
    let mut seen = Seen::default();
    let kept: Vec<_> = held_list
        .iter()
        .filter(|secret| seen.first(secret.name.as_ref()))
        .collect();
    let added: Vec<_> = of_sets().filter(|secret| seen.first(&secret.name)).collect();
    if kept.len() == held_list.len() {
        return append(patch, "/spec/imagePullSecrets", held.is_some(), &added);
    }
    let out = patch.open("replace", "/spec/imagePullSecrets", None);
    let texts = kept
        .iter()
        .map(|kept| kept.raw)
        .chain(added.iter().map(|added| &*added.text));
    joined(out, texts);
    patch.close();
}
