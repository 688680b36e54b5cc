//! `explain`.

mod load;

use std::collections::HashSet;
use std::io::Write;

use kruise_core::api::int_or_percent::Mode;
use kruise_core::policy::Selector;
use kruise_sidecar::explain::{ExplainOptions, Explanation, KnownPod, PodExplanation, Snapshot};
use serde_json::Value;

pub(crate) use load::live_set;

use crate::cli::{ExplainFlags, Objects};
use crate::connect::Connection;
use crate::failure::{Failure, Result};
use crate::output::{Format, list};

/// Explains sets of a cluster. `namespace` is what the user said.
pub(crate) async fn online(
    flags: &ExplainFlags,
    namespace: Option<&str>,
    connection: &Connection,
    out: &mut impl Write,
) -> Result<()> {
    let names = Objects::sets(&flags.objects)?;
    let snapshot = load::live(&connection.client, &names).await?;
    tell(flags, namespace, &names, &snapshot, out)
}

/// Explains sets of files.
pub(crate) fn offline(flags: &ExplainFlags, namespace: Option<&str>, out: &mut impl Write) -> Result<()> {
    let names = Objects::sets(&flags.objects)?;
    tell(flags, namespace, &names, &load::files(&flags.files)?, out)
}

fn tell(
    flags: &ExplainFlags,
    namespace: Option<&str>,
    names: &[String],
    snapshot: &Snapshot,
    out: &mut impl Write,
) -> Result<()> {
    flags.output.refuse(&[Format::Name])?;
    if flags.all_namespaces && namespace.is_some() {
        return Err(Failure::new("-A and -n cannot be used together").next("Leave one of them out."));
    }
    let selector = flags.selector.as_deref().map(select).transpose()?;
    let options = ExplainOptions {
        mode: if flags.rounding_v0_8 {
            Mode::V0_8
        } else {
            Mode::Current
        },
        readmit: flags.readmit,
        ..ExplainOptions::default()
    };
    let mut told = explain(snapshot, names, &options)?;
    let fits = |known: &&KnownPod| {
        selector
            .as_ref()
            .is_none_or(|selector| selector.matches(&*known.pod))
    };
    let fitting: HashSet<String> = snapshot
        .pods
        .iter()
        .filter(fits)
        .map(|known| known.pod.pod().key.to_string())
        .collect();
    for explanation in &mut told {
        let here = |pod: &PodExplanation| namespace.is_none_or(|namespace| namespace == pod.namespace);
        explanation
            .pods
            .retain(|pod| here(pod) && fitting.contains(&pod.key()));
    }
    print(&told, &flags.output, out)
}

/// The explanations of the sets of these names, or of all.
fn explain(snapshot: &Snapshot, names: &[String], options: &ExplainOptions) -> Result<Vec<Explanation>> {
    let mut all: Vec<&str> = snapshot.sets.iter().map(|set| set.name()).collect();
    all.sort_unstable();
    let names: Vec<&str> = match names.is_empty() {
        true => all.clone(),
        false => names.iter().map(String::as_str).collect(),
    };
    let told = names.into_iter().map(|name| {
        snapshot.explain(name, options).ok_or_else(|| {
            let next = match all.is_empty() {
                true => "There is no SidecarSet at all: add the output of `kubectl get sidecarsets -o yaml`."
                    .to_owned(),
                false => format!("There are: {}.", all.join(", ")),
            };
            Failure::new(format!("there is no SidecarSet \"{name}\"")).next(next)
        })
    });
    told.collect()
}

fn print(told: &[Explanation], format: &Format, out: &mut impl Write) -> Result<()> {
    let json = || -> Result<Value> {
        let mut items = Vec::new();
        for explanation in told {
            items.push(serde_json::to_value(explanation).map_err(|error| Failure::new(error.to_string()))?);
        }
        Ok(match (items.pop(), items.is_empty()) {
            (Some(only), true) => only,
            (last, _) => {
                items.extend(last);
                list(items)
            }
        })
    };
    if !matches!(format, Format::Default | Format::Wide) {
        format.print(&json()?, out)?;
        return Ok(());
    }
    if told.is_empty() {
        writeln!(out, "No SidecarSets found.")?;
    }
    for (number, explanation) in told.iter().enumerate() {
        if number > 0 {
            writeln!(out)?;
        }
        write!(out, "{}", explanation.table(*format == Format::Wide))?;
    }
    Ok(())
}

/// Compiles what `-l` says.
fn select(text: &str) -> Result<Selector> {
    let parsed = crate::selector::parse(text)?;
    Selector::compile(&parsed).map_err(|error| Failure::new(format!("selector \"{text}\": {error}")))
}

#[cfg(test)]
mod tests;
