//! Collects what the benches have said.

use std::path::Path;

use anyhow::{Context, Result, ensure};
use serde_json::{Map, Value, json};

/// Benches that print a report instead of being timed by criterion. `make bench` keeps each in `target/bench`.
pub const REPORTS: [&str; 3] = ["cache_memory", "webhook", "sidecar_inject"];

/// Returns the text of `measured.json`: the reports, and the medians of criterion in nanoseconds, by the full name of the bench.
pub fn collect(target: &Path) -> Result<String> {
    let mut all = Map::new();
    for name in REPORTS {
        let path = target.join("bench").join(name).with_extension("json");
        all.insert(name.to_owned(), read(&path)?);
    }
    let mut medians = Map::new();
    find(&target.join("criterion"), &mut medians)?;
    ensure!(
        !medians.is_empty(),
        "criterion has measured nothing: run `make bench`"
    );
    all.insert("nanoseconds".to_owned(), Value::Object(medians));
    Ok(format!("{:#}\n", Value::Object(all)))
}

fn find(folder: &Path, medians: &mut Map<String, Value>) -> Result<()> {
    let entries =
        std::fs::read_dir(folder).with_context(|| format!("{}: run `make bench`", folder.display()))?;
    for entry in entries {
        let path = entry?.path();
        if !path.is_dir() {
            continue;
        }
        let (name, estimates) = (path.join("new/benchmark.json"), path.join("new/estimates.json"));
        if !name.exists() {
            find(&path, medians)?;
            continue;
        }
        let (name, estimates) = (read(&name)?, read(&estimates)?);
        let id = name["full_id"].as_str().context("a bench without a name")?;
        let median = &estimates["median"]["point_estimate"];
        let median = median.as_f64().with_context(|| format!("{id} has no median"))?;
        // A tenth of a nanosecond is noise.
        medians.insert(id.to_owned(), json!((median * 10.0).round() / 10.0));
    }
    Ok(())
}

fn read(path: &Path) -> Result<Value> {
    let text =
        std::fs::read_to_string(path).with_context(|| format!("{}: run `make bench`", path.display()))?;
    serde_json::from_str(&text).with_context(|| path.display().to_string())
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "helpers of tests")]
mod tests {
    use super::*;

    #[test]
    fn reports_and_medians_are_found_by_name() {
        let folder = std::env::temp_dir().join(format!("kruise-docs-{}", std::process::id()));
        let bench = folder.join("criterion/queue_100k/once/new");
        std::fs::create_dir_all(&bench).unwrap();
        std::fs::create_dir_all(folder.join("bench")).unwrap();
        for name in REPORTS {
            std::fs::write(
                folder.join("bench").join(name).with_extension("json"),
                r#"{"a": 1}"#,
            )
            .unwrap();
        }
        std::fs::write(bench.join("benchmark.json"), r#"{"full_id": "queue/100k/once"}"#).unwrap();
        std::fs::write(
            bench.join("estimates.json"),
            r#"{"median": {"point_estimate": 12.34}}"#,
        )
        .unwrap();
        let read: Value = serde_json::from_str(&collect(&folder).unwrap()).unwrap();
        std::fs::remove_dir_all(&folder).unwrap();
        assert_eq!(read["nanoseconds"], json!({"queue/100k/once": 12.3}));
        assert_eq!(read["webhook"]["a"], 1);
    }
}
