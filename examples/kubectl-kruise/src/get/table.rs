//! `meta.k8s.io/v1` Table.

use serde::Deserialize;
use serde_json::Value;

use crate::failure::{Failure, Result};
use crate::output::columns;

/// What of a table is printed.
#[derive(Clone, Copy, Debug)]
pub(super) struct Shape {
    /// Columns of lower priority too.
    pub(super) wide: bool,
    /// A first column of namespaces.
    pub(super) namespaces: bool,
    pub(super) headers: bool,
}

/// The rows of one kind.
#[derive(Debug, Default)]
pub(super) struct Table {
    head: Vec<Column>,
    rows: Vec<Row>,
    /// The newest resourceVersion that was seen.
    pub(super) version: String,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Sent {
    kind: String,
    #[serde(default)]
    metadata: Metadata,
    #[serde(default)]
    column_definitions: Vec<Column>,
    #[serde(default)]
    rows: Vec<Row>,
}

#[derive(Clone, Debug, Deserialize)]
struct Column {
    name: String,
    #[serde(default)]
    priority: i32,
}

#[derive(Debug, Deserialize)]
struct Row {
    #[serde(default)]
    cells: Vec<Value>,
    #[serde(default)]
    object: Partial,
}

#[derive(Debug, Default, Deserialize)]
struct Partial {
    #[serde(default)]
    metadata: Metadata,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Metadata {
    namespace: String,
    resource_version: String,
}

impl Table {
    /// Adds the rows of an answer.
    ///
    /// # Errors
    /// It is no table.
    pub(super) fn add(&mut self, answer: Value) -> Result<()> {
        let sent: Sent = serde_json::from_value(answer)
            .map_err(|error| Failure::new(format!("the server sent no table: {error}")))?;
        if sent.kind != "Table" {
            return Err(Failure::new("the server prints no tables")
                .next("Ask for data: -o yaml, -o json or -o name."));
        }
        // A change tells the columns only the first time.
        if !sent.column_definitions.is_empty() {
            self.head = sent.column_definitions;
        }
        let newest = sent
            .rows
            .last()
            .map(|row| row.object.metadata.resource_version.clone());
        let version = Some(sent.metadata.resource_version).filter(|version| !version.is_empty());
        if let Some(version) = version.or(newest).filter(|version| !version.is_empty()) {
            self.version = version;
        }
        self.rows.extend(sent.rows);
        Ok(())
    }

    /// The same columns with the rows of another answer.
    pub(super) fn replace(&mut self, answer: Value) -> Result<()> {
        self.rows.clear();
        self.add(answer)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// The table as text; `prefix` is put before names.
    pub(super) fn render(&self, shape: &Shape, prefix: Option<&str>) -> String {
        if self.rows.is_empty() {
            return String::new();
        }
        let shown = |column: &Column| shape.wide || column.priority == 0;
        let mut lines = Vec::new();
        if shape.headers {
            let names = self.head.iter().filter(|column| shown(column));
            let names = names.map(|column| column.name.to_uppercase());
            let namespace = shape.namespaces.then(|| "NAMESPACE".to_owned());
            lines.push(namespace.into_iter().chain(names).collect());
        }
        for row in &self.rows {
            let namespace = shape.namespaces.then(|| row.object.metadata.namespace.clone());
            let cells = row
                .cells
                .iter()
                .zip(&self.head)
                .filter(|(_, column)| shown(column));
            let cells = cells.map(|(cell, column)| match prefix {
                Some(prefix) if column.name.eq_ignore_ascii_case("name") => {
                    format!("{prefix}/{}", text(cell))
                }
                _ => text(cell),
            });
            lines.push(namespace.into_iter().chain(cells).collect::<Vec<_>>());
        }
        columns(&lines)
    }
}

fn text(cell: &Value) -> String {
    match cell {
        Value::String(text) => text.lines().next().unwrap_or_default().to_owned(),
        Value::Null => "<none>".to_owned(),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn table() -> Table {
        let mut table = Table::default();
        let sent = json!({"kind": "Table", "apiVersion": "meta.k8s.io/v1", "metadata": {"resourceVersion": "9"},
            "columnDefinitions": [{"name": "Name", "priority": 0}, {"name": "TOTAL", "priority": 0}, {"name": "IMAGE", "priority": 1}],
            "rows": [{"cells": ["web", 3, "nginx"], "object": {"metadata": {"namespace": "shop", "resourceVersion": "5"}}},
                     {"cells": ["longer", null, "redis\nx"], "object": {"metadata": {"namespace": "bank", "resourceVersion": "7"}}}]});
        table.add(sent).unwrap();
        table
    }

    fn shape(wide: bool, namespaces: bool, headers: bool) -> Shape {
        Shape {
            wide,
            namespaces,
            headers,
        }
    }

    #[test]
    fn the_servers_table_is_printed_as_kubectl_prints_it() {
        let table = table();
        assert_eq!(
            table.render(&shape(false, false, true), None),
            "NAME     TOTAL\nweb      3\nlonger   <none>\n"
        );
        assert_eq!(
            table.render(&shape(true, true, true), None),
            "NAMESPACE   NAME     TOTAL    IMAGE\nshop        web      3        nginx\nbank        longer   <none>   redis\n"
        );
        assert!(
            table
                .render(&shape(false, false, false), Some("a.b"))
                .starts_with("a.b/web")
        );
        assert_eq!(table.version, "9");
    }

    #[test]
    fn a_change_keeps_the_columns_and_brings_its_version() {
        let mut table = table();
        let change = json!({"kind": "Table", "columnDefinitions": null, "rows": [{"cells": ["web", 4, "nginx"],
            "object": {"metadata": {"namespace": "shop", "resourceVersion": "12"}}}]});
        let change = match change {
            Value::Object(mut fields) => {
                fields.remove("columnDefinitions");
                Value::Object(fields)
            }
            other => other,
        };
        table.replace(change).unwrap();
        assert_eq!(table.render(&shape(false, false, false), None), "web   4\n");
        assert_eq!(table.version, "12");
    }

    #[test]
    fn what_is_no_table_is_told() {
        let failure = Table::default()
            .add(json!({"kind": "ImagePullJobList", "items": []}))
            .unwrap_err();
        assert!(failure.to_string().contains("-o yaml"));
    }
}
