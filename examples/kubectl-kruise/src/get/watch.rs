//! `get --watch`.

use std::io::Write;

use futures::{TryStreamExt as _, pin_mut};
use kube_core::WatchEvent;
use serde_json::Value;

use super::query::Query;
use super::table::{Shape, Table};
use super::{full_name, items_of, shape};
use crate::cli::{GetFlags, Objects};
use crate::connect::Connection;
use crate::failure::{Failure, Result};
use crate::output::{Columns, Format, custom};

/// The version that a watch asks for is not kept any more.
const GONE: u16 = 410;

/// Prints what there is, and each change, until it is interrupted or a request fails.
pub(super) async fn run(
    flags: &GetFlags,
    connection: &Connection,
    objects: &Objects,
    out: &mut impl Write,
) -> Result<()> {
    if flags.sort_by.is_some() {
        eprintln!("warning: --sort-by is ignored with --watch");
    }
    let mut query = Query::new(flags, connection, objects.kind);
    if let Some(name) = objects.names.first() {
        query.params.field_selector = Some(format!("metadata.name={name}"));
    }
    let mut printer = Printer::new(flags, shape(flags, objects.kind));
    let tables = printer.tables();
    let mut version = None;
    loop {
        let from = match version.take() {
            Some(version) => version,
            None => {
                let answer = query.list(tables).await?;
                let version = version_of(&answer).unwrap_or_default();
                printer.print(answer, out)?;
                version
            }
        };
        let mut last = from;
        let request = query.watch(&last, tables)?;
        let events = connection.client.request_events::<Value>(request).await;
        let events = events.map_err(|error| query.failure("watching", &error))?;
        pin_mut!(events);
        let mut gone = false;
        while let Some(event) = events
            .try_next()
            .await
            .map_err(|error| query.failure("watching", &error))?
        {
            let change = match event {
                WatchEvent::Added(change) | WatchEvent::Modified(change) | WatchEvent::Deleted(change) => {
                    change
                }
                WatchEvent::Bookmark(_) => continue,
                // Nobody knows what was missed: all is printed again.
                WatchEvent::Error(status) if status.code == GONE => {
                    gone = true;
                    break;
                }
                WatchEvent::Error(status) => {
                    return Err(query.failure("watching", &kube_client::Error::Api(status)));
                }
            };
            if let Some(newer) = version_of(&change) {
                last = newer;
            }
            printer.print(change, out)?;
        }
        version = (!gone).then_some(last);
    }
}

/// The resourceVersion of a list or an object, or of the last row of a table.
fn version_of(answer: &Value) -> Option<String> {
    let row = || answer.get("rows")?.as_array()?.last()?.get("object");
    let of = |value: &Value| {
        let version = value.pointer("/metadata/resourceVersion")?.as_str()?;
        (!version.is_empty()).then(|| version.to_owned())
    };
    of(answer).or_else(|| of(row()?))
}

/// Prints one answer below the other.
struct Printer<'f> {
    format: &'f Format,
    shape: Shape,
    table: Table,
    columns: Columns,
    /// Whether a YAML document has been printed.
    documents: bool,
}

impl<'f> Printer<'f> {
    fn new(flags: &'f GetFlags, shape: Shape) -> Self {
        Self {
            format: &flags.output,
            shape,
            table: Table::default(),
            columns: Columns::default(),
            documents: false,
        }
    }

    /// Whether it prints the server's tables.
    fn tables(&self) -> bool {
        matches!(self.format, Format::Default | Format::Wide)
    }

    /// Prints a list or a change.
    fn print(&mut self, answer: Value, out: &mut impl Write) -> Result<()> {
        if self.tables() {
            self.table.replace(answer)?;
            let text = self.table.render(&self.shape, None, &mut self.columns);
            // Headers stand above the first row, which may come late.
            self.shape.headers &= text.is_empty();
            out.write_all(text.as_bytes())?;
        } else {
            for object in items_of(answer) {
                self.object(&object, out)?;
            }
        }
        out.flush().map_err(Failure::from)
    }

    fn object(&mut self, object: &Value, out: &mut impl Write) -> Result<()> {
        match self.format {
            Format::Name => writeln!(out, "{}", full_name(object))?,
            Format::Custom(named) => {
                let headers = std::mem::take(&mut self.shape.headers).then(|| custom::headers(named));
                let mut rows = Vec::from_iter(headers);
                rows.push(custom::row(named, object)?);
                out.write_all(self.columns.render(&rows).as_bytes())?;
            }
            format => {
                if *format == Format::Yaml && std::mem::replace(&mut self.documents, true) {
                    writeln!(out, "---")?;
                }
                format.print(object, out)?;
            }
        }
        Ok(())
    }
}
