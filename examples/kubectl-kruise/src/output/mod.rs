//! Formats of output.

pub(crate) mod custom;
pub(crate) mod jsonpath;
mod text;

use std::io::Write;

use serde_json::Value;

pub(crate) use text::{Columns, age, columns};

use crate::failure::{Failure, Result};

/// What `-o` asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Format {
    /// A table, or a sentence.
    Default,
    /// A table with more columns.
    Wide,
    Json,
    Yaml,
    /// `type/name` in a line.
    Name,
    /// kubectl's templates.
    JsonPath(String),
    /// A table of columns that the user names.
    Custom(Vec<custom::Column>),
}

/// All formats, for messages.
const ALL: &str = "wide, json, yaml, name, jsonpath=TEMPLATE, custom-columns=HEADER:PATH,...";

impl Format {
    /// Reads the value of the flag.
    ///
    /// # Errors
    /// Says which there are.
    pub(crate) fn parse(text: &str) -> std::result::Result<Self, String> {
        match text.split_once('=').unwrap_or((text, "")) {
            ("", "") => Ok(Self::Default),
            ("wide", "") => Ok(Self::Wide),
            ("json", "") => Ok(Self::Json),
            ("yaml", "") => Ok(Self::Yaml),
            ("name", "") => Ok(Self::Name),
            ("jsonpath", "") => Err("write the template after it: jsonpath='{.metadata.name}'".to_owned()),
            ("jsonpath", template) => jsonpath::check(template).map(|()| Self::JsonPath(template.to_owned())),
            ("custom-columns", "") => {
                Err("write the columns after it: custom-columns=NAME:.metadata.name,IMAGE:.spec.image".to_owned())
            }
            ("custom-columns", spec) => custom::parse(spec).map(Self::Custom),
            ("go-template" | "go-template-file" | "template" | "templatefile", _) => Err(
                "Go templates need Go's own template engine, which this program does not have; use jsonpath=TEMPLATE or \
                 custom-columns=HEADER:PATH,... instead"
                    .to_owned(),
            ),
            _ => Err(format!("the formats are: {ALL}")),
        }
    }

    /// Prints an object or a list as JSON, as YAML, through a template or in columns; `false` if the format is none of these.
    pub(crate) fn print(&self, value: &Value, out: &mut impl Write) -> Result<bool> {
        match self {
            Self::Default | Self::Wide | Self::Name => return Ok(false),
            Self::Json => {
                // kubectl's indentation.
                let mut text = Vec::new();
                let formatter = serde_json::ser::PrettyFormatter::with_indent(b"    ");
                let mut serializer = serde_json::Serializer::with_formatter(&mut text, formatter);
                serde::Serialize::serialize(value, &mut serializer)
                    .map_err(|error| Failure::new(format!("writing JSON: {error}")))?;
                text.push(b'\n');
                out.write_all(&text)?;
            }
            Self::Yaml => {
                let text = serde_yaml::to_string(value)
                    .map_err(|error| Failure::new(format!("writing YAML: {error}")))?;
                out.write_all(text.as_bytes())?;
            }
            Self::JsonPath(template) => {
                let text = jsonpath::render(template, value).map_err(Failure::new)?;
                out.write_all(text.as_bytes())?;
            }
            Self::Custom(named) => {
                let items = match value.get("items") {
                    Some(Value::Array(items)) => items.as_slice(),
                    _ => std::slice::from_ref(value),
                };
                let mut rows = vec![custom::headers(named)];
                for item in items {
                    rows.push(custom::row(named, item)?);
                }
                out.write_all(columns(&rows).as_bytes())?;
            }
        }
        Ok(true)
    }

    /// Fails if the format is one that the command does not have.
    pub(crate) fn refuse(&self, refused: &[Self]) -> Result<()> {
        match refused.contains(self) {
            true => Err(Failure::new("this command has no such output format")
                .next("Use json, yaml, jsonpath=TEMPLATE or custom-columns=HEADER:PATH,...")),
            false => Ok(()),
        }
    }
}

/// The list that kubectl makes of several objects.
pub(crate) fn list(items: Vec<Value>) -> Value {
    serde_json::json!({ "apiVersion": "v1", "items": items, "kind": "List", "metadata": { "resourceVersion": "" } })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn formats_are_read_and_others_refused_with_a_list() {
        assert_eq!(Format::parse(""), Ok(Format::Default));
        assert_eq!(
            Format::parse("jsonpath={.a}"),
            Ok(Format::JsonPath("{.a}".into()))
        );
        assert!(Format::parse("jsonpath={.a").unwrap_err().contains('}'));
        assert!(Format::parse("xml").unwrap_err().contains("yaml"));
        assert!(
            Format::parse("go-template={{.a}}")
                .unwrap_err()
                .contains("jsonpath=")
        );
        assert!(Format::parse("custom-columns=").unwrap_err().contains("NAME:"));
    }

    #[test]
    fn custom_columns_have_a_row_for_each_object_of_a_list() {
        let format = Format::parse("custom-columns=N:.n").unwrap();
        let mut out = Vec::new();
        format
            .print(&list(vec![json!({"n": 1}), json!({})]), &mut out)
            .unwrap();
        assert_eq!(String::from_utf8(out).unwrap(), "N\n1\n<none>\n");
    }

    #[test]
    fn json_is_indented_as_kubectl_does() {
        let mut out = Vec::new();
        assert!(Format::Json.print(&json!({"a": [1]}), &mut out).unwrap());
        assert_eq!(
            String::from_utf8(out).unwrap(),
            "{\n    \"a\": [\n        1\n    ]\n}\n"
        );
        assert!(!Format::Wide.print(&json!(1), &mut Vec::new()).unwrap());
    }
}
