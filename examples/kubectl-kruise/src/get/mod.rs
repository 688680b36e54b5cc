//! `get`: objects as the server shows them, by short names too.

mod query;
mod sort;
mod table;
#[cfg(test)]
mod tests;
mod watch;

use std::io::Write;

use kruise_core::api::names::GROUP;
use serde_json::Value;

use crate::cli::{GetFlags, Kind, Objects};
use crate::connect::Connection;
use crate::failure::{Failure, Result};
use crate::output::{Columns, Format, columns, custom, list};
use query::Query;
use table::Table;

/// Prints objects.
pub(crate) async fn run(flags: &GetFlags, connection: &Connection, out: &mut impl Write) -> Result<()> {
    let asked = Objects::parse(&flags.objects)?;
    let by_name = asked.iter().any(|objects| !objects.names.is_empty());
    if by_name && (flags.selector.is_some() || flags.field_selector.is_some()) {
        return Err(Failure::new(
            "name cannot be provided when a selector is specified",
        ));
    }
    if by_name && flags.all_namespaces {
        return Err(
            Failure::new("a resource cannot be retrieved by name across all namespaces")
                .next("Name its namespace with -n."),
        );
    }
    if flags.watch {
        return match asked.as_slice() {
            [only] if only.names.len() < 2 => watch::run(flags, connection, only, out).await,
            _ => Err(Failure::new(
                "you may only specify a single resource type, and one name at most, with --watch",
            )),
        };
    }
    match flags.output {
        Format::Default | Format::Wide => tables(flags, connection, &asked, out).await,
        _ => data(flags, connection, &asked, out).await,
    }
}

/// A table for each kind.
async fn tables(
    flags: &GetFlags,
    connection: &Connection,
    asked: &[Objects],
    out: &mut impl Write,
) -> Result<()> {
    let prefixed = asked.len() > 1;
    let mut printed = 0;
    let mut missing = Vec::new();
    for objects in asked {
        let mut table = Table::default();
        let query = Query::new(flags, connection, objects.kind);
        for answer in query.fetch(&objects.names, true, &mut missing).await? {
            table.add(answer)?;
        }
        if table.is_empty() {
            continue;
        }
        if let Some(path) = &flags.sort_by {
            table.sort(path)?;
        }
        if printed > 0 {
            writeln!(out)?;
        }
        printed += 1;
        let full = objects.kind.full();
        let prefix = prefixed.then_some(full.as_str());
        let text = table.render(&shape(flags, objects.kind), prefix, &mut Columns::default());
        out.write_all(text.as_bytes())?;
    }
    if printed == 0 && missing.is_empty() {
        let place = match flags.all_namespaces || asked.iter().all(|objects| !objects.kind.namespaced) {
            true => String::new(),
            false => format!(" in {} namespace.", connection.namespace),
        };
        eprintln!("No resources found{place}");
    }
    all(missing)
}

fn shape(flags: &GetFlags, kind: &Kind) -> table::Shape {
    table::Shape {
        wide: flags.output == Format::Wide,
        namespaces: flags.all_namespaces && kind.namespaced,
        labels: flags.show_labels,
        headers: !flags.no_headers,
    }
}

/// Objects in a format of data.
async fn data(
    flags: &GetFlags,
    connection: &Connection,
    asked: &[Objects],
    out: &mut impl Write,
) -> Result<()> {
    let mut items: Vec<Value> = Vec::new();
    let mut missing = Vec::new();
    for objects in asked {
        let query = Query::new(flags, connection, objects.kind);
        for answer in query.fetch(&objects.names, false, &mut missing).await? {
            items.extend(items_of(answer));
        }
    }
    if let Some(path) = &flags.sort_by {
        sort::by(path, &mut items, |item| item)?;
    }
    let single = matches!(asked, [only] if only.names.len() == 1);
    match &flags.output {
        Format::Name => {
            for item in &items {
                writeln!(out, "{}", full_name(item))?;
            }
        }
        Format::Custom(named) => {
            let mut rows = Vec::new();
            rows.extend((!flags.no_headers).then(|| custom::headers(named)));
            for item in &items {
                rows.push(custom::row(named, item)?);
            }
            out.write_all(columns(&rows).as_bytes())?;
        }
        format => match items.pop() {
            Some(only) if single => _ = format.print(&only, out)?,
            // The only object that was asked for is not there.
            None if single => {}
            last => {
                items.extend(last);
                format.print(&list(items), out)?;
            }
        },
    }
    all(missing)
}

/// The objects of a list, or the one object.
fn items_of(mut answer: Value) -> Vec<Value> {
    match answer.get_mut("items").map(Value::take) {
        Some(Value::Array(held)) => held,
        _ => vec![answer],
    }
}

/// `imagepulljob.apps.kruise.io/warm-up`.
fn full_name(object: &Value) -> String {
    let text = |path: &str| object.pointer(path).and_then(Value::as_str).unwrap_or_default();
    format!(
        "{}.{GROUP}/{}",
        text("/kind").to_lowercase(),
        text("/metadata/name")
    )
}

/// Fails if anything failed; all but the last failure is printed here.
fn all(mut failures: Vec<Failure>) -> Result<()> {
    let Some(last) = failures.pop() else {
        return Ok(());
    };
    for failure in failures {
        eprintln!("{failure}");
    }
    Err(last)
}
