//! `rollout history`.

use std::io::Write;

use k8s_openapi::api::apps::v1::ControllerRevision;
use kruise_sidecar::api::SidecarSet;
use kruise_sidecar::api::names::SIDECARSET_CUSTOM_VERSION;
use kruise_sidecar::inject::restore;
use serde_json::Value;

use super::{NO_REVISIONS, get_set, revisions};
use crate::cli::{HistoryFlags, Objects};
use crate::connect::Connection;
use crate::failure::{Failure, Result};
use crate::output::{Format, columns, list};

/// kubectl's annotation in which users note why they change something.
const CHANGE_CAUSE: &str = "kubernetes.io/change-cause";

/// Prints the revisions of a set, or one.
pub(crate) async fn run(flags: &HistoryFlags, connection: &Connection, out: &mut impl Write) -> Result<()> {
    flags.output.refuse(&[Format::Wide])?;
    let name = Objects::set(&flags.set.objects)?;
    let set = get_set(&connection.client, &name).await?;
    let mut found = revisions(&connection.client, &flags.revisions.revision_namespace, &set).await?;
    if let Some(number) = flags.revision {
        found.retain(|revision| revision.revision == number);
        if found.is_empty() {
            return Err(
                Failure::new(format!("unable to find the specified revision: {number}")).next(format!(
                    "List them with: kubectl kruise rollout history sidecarset/{name}"
                )),
            );
        }
    }
    match &flags.output {
        Format::Default | Format::Wide if found.is_empty() => {
            // As kubectl does, this is no failure.
            writeln!(out, "No rollout history found.")?;
            eprintln!("{NO_REVISIONS}");
        }
        Format::Default | Format::Wide => {
            let text = match flags.revision {
                None => table(&set, &found),
                Some(number) => one(&set, number, &found)?,
            };
            out.write_all(text.as_bytes())?;
        }
        Format::Name => {
            for revision in &found {
                let name = revision.metadata.name.as_deref().unwrap_or_default();
                writeln!(out, "controllerrevision.apps/{name}")?;
            }
        }
        format => {
            let mut items = Vec::new();
            for revision in &found {
                items.push(serde_json::to_value(revision).map_err(|error| Failure::new(error.to_string()))?);
            }
            let value = match flags.revision {
                Some(_) => items.pop().unwrap_or_default(),
                None => list(items),
            };
            format.print(&value, out)?;
        }
    }
    Ok(())
}

/// A line for each revision; that which the set is at has a star.
fn table(set: &SidecarSet, revisions: &[ControllerRevision]) -> String {
    let mut rows = vec![
        ["REVISION", "NAME", "VERSION", "IMAGES", "CHANGE-CAUSE"]
            .map(str::to_owned)
            .to_vec(),
    ];
    for revision in revisions {
        let meta = &revision.metadata;
        let held = |of: &Option<std::collections::BTreeMap<String, String>>, key: &str| {
            let value = of.as_ref().and_then(|of| of.get(key)).cloned();
            value.unwrap_or_else(|| "<none>".to_owned())
        };
        let restored = restore(set, revision).ok();
        let current = restored
            .as_ref()
            .is_some_and(|restored| restored.spec == set.spec);
        let images: Vec<&str> = restored
            .iter()
            .flat_map(|restored| {
                restored
                    .spec
                    .containers
                    .iter()
                    .chain(&restored.spec.init_containers)
            })
            .map(|container| container.image())
            .collect();
        rows.push(vec![
            format!("{}{}", revision.revision, if current { "*" } else { "" }),
            meta.name.clone().unwrap_or_default(),
            held(&meta.labels, SIDECARSET_CUSTOM_VERSION),
            match restored.is_some() {
                true => images.join(","),
                false => "<unreadable>".to_owned(),
            },
            held(&meta.annotations, CHANGE_CAUSE),
        ]);
    }
    format!("sidecarset.apps.kruise.io/{}\n{}", set.name(), columns(&rows))
}

/// What the set was, without fields that are not set.
fn one(set: &SidecarSet, number: i64, revisions: &[ControllerRevision]) -> Result<String> {
    let data = revisions.iter().find_map(|revision| revision.data.as_ref());
    let mut spec = data
        .and_then(|data| data.0.get("spec"))
        .cloned()
        .unwrap_or_default();
    if let Some(fields) = spec.as_object_mut() {
        fields.retain(|field, value| {
            field != "$patch" && !value.is_null() && *value != Value::Array(Vec::new())
        });
    }
    let text =
        serde_yaml::to_string(&spec).map_err(|error| Failure::new(format!("writing YAML: {error}")))?;
    let text = text.lines().map(|line| format!("  {line}\n")).collect::<String>();
    Ok(format!(
        "sidecarset.apps.kruise.io/{} with revision #{number}\nTemplate:\n{text}",
        set.name()
    ))
}
