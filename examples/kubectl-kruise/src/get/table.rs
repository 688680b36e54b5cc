//! `meta.k8s.io/v1` Table.

use serde::Deserialize;
use serde_json::Value;

use super::sort;
use crate::failure::{Failure, Result};
use crate::output::Columns;

/// What of a table is printed.
#[derive(Clone, Copy, Debug)]
pub(super) struct Shape {
    /// Columns of lower priority too.
    pub(super) wide: bool,
    /// A first column of namespaces.
    pub(super) namespaces: bool,
    /// A last column of labels.
    pub(super) labels: bool,
    /// A line of headers above the first row.
    pub(super) headers: bool,
}

/// The rows of one kind.
#[derive(Debug, Default)]
pub(super) struct Table {
    head: Vec<Column>,
    rows: Vec<Row>,
}

/// A table as servers send it. A field may be missing, or null: events of a watch have `columnDefinitions: null` after the first.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Sent {
    kind: String,
    column_definitions: Option<Vec<Column>>,
    rows: Option<Vec<Row>>,
}

#[derive(Clone, Debug, Deserialize)]
struct Column {
    name: String,
    #[serde(default)]
    priority: i32,
}

#[derive(Debug, Deserialize)]
struct Row {
    cells: Option<Vec<Value>>,
    /// The object, or its metadata alone.
    #[serde(default)]
    object: Value,
}

impl Row {
    fn namespace(&self) -> String {
        let namespace = self.object.pointer("/metadata/namespace");
        namespace.and_then(Value::as_str).unwrap_or_default().to_owned()
    }

    /// As kubectl shows labels: `a=b,c=d`.
    fn labels(&self) -> String {
        let labels = self.object.pointer("/metadata/labels").and_then(Value::as_object);
        let labels: Vec<String> = labels
            .into_iter()
            .flatten()
            .map(|(key, value)| format!("{key}={}", value.as_str().unwrap_or_default()))
            .collect();
        match labels.is_empty() {
            true => "<none>".to_owned(),
            false => labels.join(","),
        }
    }
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
        // A watch names the columns only in its first event.
        let head = sent.column_definitions.unwrap_or_default();
        if !head.is_empty() {
            self.head = head;
        }
        self.rows.extend(sent.rows.unwrap_or_default());
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

    /// Sorts the rows by a field of their objects.
    ///
    /// # Errors
    /// No object has the field.
    pub(super) fn sort(&mut self, path: &str) -> Result<()> {
        sort::by(path, &mut self.rows, |row| &row.object)
    }

    /// The rows, below their headers if the shape has them; `prefix` is put before names. Columns are at least as wide as before.
    pub(super) fn render(&self, shape: &Shape, prefix: Option<&str>, columns: &mut Columns) -> String {
        if self.rows.is_empty() {
            return String::new();
        }
        let shown = |column: &Column| shape.wide || column.priority == 0;
        let mut lines: Vec<Vec<String>> = Vec::new();
        if shape.headers {
            let names = self.head.iter().filter(|column| shown(column));
            let names = names.map(|column| column.name.to_uppercase());
            let namespace = shape.namespaces.then(|| "NAMESPACE".to_owned());
            let labels = shape.labels.then(|| "LABELS".to_owned());
            lines.push(namespace.into_iter().chain(names).chain(labels).collect());
        }
        for row in &self.rows {
            let namespace = shape.namespaces.then(|| row.namespace());
            let labels = shape.labels.then(|| row.labels());
            let cells = row
                .cells
                .iter()
                .flatten()
                .zip(&self.head)
                .filter(|(_, column)| shown(column));
            let cells = cells.map(|(cell, column)| match prefix {
                Some(prefix) if column.name.eq_ignore_ascii_case("name") => {
                    format!("{prefix}/{}", text(cell))
                }
                _ => text(cell),
            });
            lines.push(namespace.into_iter().chain(cells).chain(labels).collect());
        }
        columns.render(&lines)
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
            "rows": [{"cells": ["web", 3, "nginx"],
                      "object": {"metadata": {"namespace": "shop", "labels": {"of": "web", "tier": "gold"}}, "spec": {"n": 10}}},
                     {"cells": ["longer", null, "redis\nx"], "object": {"metadata": {"namespace": "bank"}, "spec": {"n": 9}}}]});
        table.add(sent).unwrap();
        table
    }

    fn shape(wide: bool, namespaces: bool, headers: bool) -> Shape {
        Shape {
            wide,
            namespaces,
            labels: false,
            headers,
        }
    }

    fn rendered(table: &Table, shape: &Shape) -> String {
        table.render(shape, None, &mut Columns::default())
    }

    #[test]
    fn the_servers_table_is_printed_as_kubectl_prints_it() {
        let table = table();
        assert_eq!(
            rendered(&table, &shape(false, false, true)),
            "NAME     TOTAL\nweb      3\nlonger   <none>\n"
        );
        assert_eq!(
            rendered(&table, &shape(true, true, true)),
            "NAMESPACE   NAME     TOTAL    IMAGE\nshop        web      3        nginx\nbank        longer   <none>   redis\n"
        );
        let prefixed = table.render(&shape(false, false, false), Some("a.b"), &mut Columns::default());
        assert!(prefixed.starts_with("a.b/web"));
    }

    #[test]
    fn labels_are_the_last_column() {
        let labels = Shape {
            labels: true,
            ..shape(false, false, true)
        };
        assert_eq!(
            rendered(&table(), &labels),
            "NAME     TOTAL    LABELS\nweb      3        of=web,tier=gold\nlonger   <none>   <none>\n"
        );
    }

    #[test]
    fn rows_are_sorted_by_a_field_of_their_objects() {
        let mut table = table();
        table.sort("$['spec']['n']").unwrap();
        let text = rendered(&table, &shape(false, false, false));
        assert!(text.starts_with("longer"), "{text}");
    }

    #[test]
    fn a_change_keeps_the_columns_and_their_widths() {
        let mut table = table();
        let mut columns = Columns::default();
        table.render(&shape(false, false, true), None, &mut columns);
        // As API servers send all events of a watch but the first.
        let change = json!({"kind": "Table", "columnDefinitions": null, "metadata": {"resourceVersion": "12"},
            "rows": [{"cells": ["web", 4, "nginx"], "object": {"metadata": {"namespace": "shop"}}}]});
        table.replace(change).unwrap();
        assert_eq!(
            table.render(&shape(false, false, false), None, &mut columns),
            "web      4\n"
        );
    }

    #[test]
    fn what_is_no_table_is_refused() {
        let failure = Table::default()
            .add(json!({"kind": "ImagePullJobList", "items": []}))
            .unwrap_err();
        assert!(failure.to_string().contains("-o yaml"));
    }
}
