//! `custom-columns=HEADER:PATH,…`.

use serde_json::Value;

use super::jsonpath;
use crate::failure::{Failure, Result};

/// A column: its header, and the path of its values.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Column {
    header: String,
    path: String,
}

/// Reads the part after `custom-columns=`.
///
/// # Errors
/// Says which column is not of the form.
pub(super) fn parse(spec: &str) -> std::result::Result<Vec<Column>, String> {
    let column = |part: &str| match part.split_once(':') {
        Some((header, path)) if !header.is_empty() && !path.is_empty() => Ok(Column {
            header: header.to_owned(),
            path: jsonpath::path(path)?,
        }),
        _ => Err(format!(
            "custom-columns: \"{part}\" is not of the form HEADER:PATH, such as NAME:.metadata.name"
        )),
    };
    spec.split(',').map(column).collect()
}

/// The line of headers.
pub(crate) fn headers(columns: &[Column]) -> Vec<String> {
    columns.iter().map(|column| column.header.clone()).collect()
}

/// The line of an object.
///
/// # Errors
/// A path cannot be evaluated.
pub(crate) fn row(columns: &[Column], object: &Value) -> Result<Vec<String>> {
    let cell = |column: &Column| {
        let found = jsonpath::values(&column.path, object).map_err(Failure::new)?;
        let cells: Vec<String> = found
            .into_iter()
            .filter(|value| !value.is_null())
            .map(jsonpath::plain)
            .collect();
        Ok(match cells.is_empty() {
            true => "<none>".to_owned(),
            false => cells.join(","),
        })
    };
    columns.iter().map(cell).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_cell_is_what_its_path_leads_to() {
        let columns = parse("NAME:.metadata.name,IMAGES:{.items[*].image},N:count,NO:.x.y").unwrap();
        assert_eq!(headers(&columns), ["NAME", "IMAGES", "N", "NO"]);
        let object =
            json!({"metadata": {"name": "a"}, "items": [{"image": "x"}, {"image": "y"}], "count": 3});
        assert_eq!(row(&columns, &object).unwrap(), ["a", "x,y", "3", "<none>"]);
    }

    #[test]
    fn a_column_without_a_path_or_with_a_bad_one_is_refused() {
        for spec in ["NAME", "NAME:", ":.a", "A:.a,", "A:.a[0"] {
            assert!(parse(spec).is_err(), "{spec}");
        }
    }
}
