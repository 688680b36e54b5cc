//! Which charts there are, and what they show.

use std::path::Path;

use anyhow::{Context, Result};
use serde_json::Value;

use super::{Bar, Line, Panel, svg};

/// A chart and the name of its file in `docs/charts`.
#[derive(Clone, Debug)]
pub struct Chart {
    /// Name of the file.
    pub file: &'static str,
    /// The SVG.
    pub text: String,
}

const OURS: usize = 0;
const OTHER: usize = 1;

/// Draws all charts from the data in a folder.
pub fn charts(folder: &Path) -> Result<Vec<Chart>> {
    let read = |name: &str| std::fs::read_to_string(folder.join(name)).with_context(|| name.to_owned());
    let json =
        |name: &str| -> Result<Value> { serde_json::from_str(&read(name)?).with_context(|| name.to_owned()) };
    let data = Data {
        measured: json("measured.json")?,
        openkruise: json("openkruise.json")?,
    };
    let runs: Result<Vec<Value>, _> = read("scale.jsonl")?.lines().map(serde_json::from_str).collect();
    let drawn = [
        ("cache.svg", data.cache()?),
        ("queue.svg", data.queue()?),
        ("webhook.svg", data.webhook()?),
        ("injection.svg", data.injection()?),
        ("policy.svg", data.policy()?),
        ("plan.svg", data.plan()?),
        ("scale.svg", scale(&runs.context("scale.jsonl")?)?),
    ];
    Ok(drawn
        .into_iter()
        .map(|(file, panels)| Chart {
            file,
            text: svg(&panels),
        })
        .collect())
}

struct Data {
    measured: Value,
    openkruise: Value,
}

/// A number of a document, by its path.
fn number(document: &Value, path: &str) -> Result<f64> {
    let found = document.pointer(path).and_then(Value::as_f64);
    found.with_context(|| format!("the data has no number at {path}"))
}

fn bar(label: impl Into<String>, kind: usize, value: f64) -> Bar {
    Bar {
        label: label.into(),
        kind,
        value,
    }
}

fn bars(title: &str, unit: &str, bars: Vec<Bar>) -> Panel {
    Panel::Bars {
        title: title.to_owned(),
        unit: unit.to_owned(),
        bars,
    }
}

impl Data {
    /// Milliseconds of a bench that criterion has timed.
    fn milliseconds(&self, bench: &str) -> Result<f64> {
        let nanoseconds = self.measured["nanoseconds"][bench].as_f64();
        let nanoseconds = nanoseconds.with_context(|| format!("the data has no bench {bench}"))?;
        Ok(nanoseconds / 1e6)
    }

    fn cache(&self) -> Result<Vec<Panel>> {
        let bytes = |name: &str| {
            number(
                &self.measured,
                &format!("/cache_memory/cached_bytes_per_pod/{name}"),
            )
        };
        let all = vec![
            bar("SlimPod", OURS, bytes("slim")?),
            bar("typed, without managedFields", OTHER, bytes("typed_trimmed")?),
            bar("typed Pod", OTHER, bytes("typed")?),
        ];
        Ok(vec![bars("Memory of a cached pod", "bytes", all)])
    }

    fn queue(&self) -> Result<Vec<Panel>> {
        let mut all = Vec::new();
        for (name, times) in [("once", "added once"), ("each_three_times", "added three times")] {
            for (who, label, kind) in [
                ("WorkQueue", "WorkQueue", OURS),
                ("kube_runtime_scheduler", "kube-runtime", OTHER),
            ] {
                let time = self.milliseconds(&format!("queue/100k_keys/{who}/{name}"))?;
                all.push(bar(format!("{label}, {times}"), kind, time));
            }
        }
        Ok(vec![bars("100,000 keys through a work queue", "ms", all)])
    }

    fn webhook(&self) -> Result<Vec<Panel>> {
        let panel = |title: &str, unit: &str, field: &str| -> Result<Panel> {
            let mut all = Vec::new();
            for connections in ["1", "16"] {
                for (who, label, kind) in [
                    ("webhook_server", "webhook server", OURS),
                    ("bare_hyper", "bare hyper", OTHER),
                ] {
                    let path = format!("/webhook/{who}/{connections}_connections/{field}");
                    let plural = if connections == "1" {
                        "connection"
                    } else {
                        "connections"
                    };
                    let label = format!("{label}, {connections} {plural}");
                    all.push(bar(label, kind, number(&self.measured, &path)?));
                }
            }
            Ok(bars(title, unit, all))
        };
        Ok(vec![
            panel("Reviews over HTTPS", "reviews a second", "requests_per_second")?,
            panel("Their 99th percentile", "µs", "p99_microseconds")?,
        ])
    }

    fn injection(&self) -> Result<Vec<Panel>> {
        let mut all = Vec::new();
        for sets in ["1", "10", "100"] {
            let plural = if sets == "1" { "set" } else { "sets" };
            let path = format!("/sidecar_inject/engine_microseconds/{sets}_sets");
            let ours = number(&self.measured, &path)?;
            all.push(bar(format!("kruise-rs, {sets} {plural}"), OURS, ours));
            if let Ok(theirs) = number(&self.openkruise, &format!("/injection_microseconds/{sets}_sets")) {
                all.push(bar(format!("OpenKruise, {sets} {plural}"), OTHER, theirs));
            }
        }
        Ok(vec![bars("Injection into a pod", "µs", all)])
    }

    fn policy(&self) -> Result<Vec<Panel>> {
        let panel = |title: &str, count: usize, terms: &str, theirs: &str| -> Result<Panel> {
            let ours =
                |members: &str| self.milliseconds(&format!("policy/scatter/{members}/{terms}/{count}"));
            let theirs = number(&self.openkruise, theirs)?;
            let all = vec![
                bar("kruise-rs, own type", OURS, ours("own")?),
                bar("kruise-rs, cached pods", OURS, ours("cached")?),
                bar("OpenKruise", OTHER, theirs),
            ];
            Ok(bars(title, "ms", all))
        };
        let mut plan = Vec::new();
        for step in ["select", "rank", "priority", "whole_plan"] {
            let time = self.milliseconds(&format!("policy/{step}/100000"))?;
            plan.push(bar(step.replace('_', " "), OURS, time));
        }
        Ok(vec![
            panel(
                "Scatter of 10,000 pods by two terms",
                10_000,
                "two_terms_two_keys",
                "/scatter_milliseconds/10000",
            )?,
            panel(
                "Scatter of 100,000 pods by five terms",
                100_000,
                "five_terms_two_keys",
                "/scatter_milliseconds/100000",
            )?,
            bars("A plan for 100,000 cached pods, and its steps alone", "ms", plan),
        ])
    }

    fn plan(&self) -> Result<Vec<Panel>> {
        let sizes = [100, 1_000, 10_000, 100_000];
        let line = |name: &str, of: &dyn Fn(usize) -> Result<f64>| -> Result<Line> {
            let points: Result<Vec<_>> = sizes.iter().map(|size| Ok((*size as f64, of(*size)?))).collect();
            Ok(Line {
                name: name.to_owned(),
                points: points?,
            })
        };
        let ours = line("kruise-rs", &|size| {
            self.milliseconds(&format!("sidecar/roster/{size}"))
        })?;
        let theirs = |size| number(&self.openkruise, &format!("/plan_milliseconds/{size}"));
        Ok(vec![Panel::Lines {
            title: "One plan of a SidecarSet".to_owned(),
            unit: "ms, both axes by powers of ten".to_owned(),
            x: "pods".to_owned(),
            log: true,
            lines: vec![ours, line("OpenKruise", &theirs)?],
        }])
    }
}

/// CPU, memory and time of complete runs with 20 jobs, each with a scale of its own.
fn scale(runs: &[Value]) -> Result<Vec<Panel>> {
    let panel = |title: &str, unit: &str, path: &str| -> Result<Panel> {
        let complete = runs
            .iter()
            .filter(|run| run["complete"] == true && run["jobs"] == 20);
        let points: Result<Vec<_>> = complete
            .map(|run| Ok((number(run, "/nodes")?, number(run, path)?)))
            .collect();
        Ok(Panel::Lines {
            title: title.to_owned(),
            unit: unit.to_owned(),
            x: "nodes".to_owned(),
            log: false,
            lines: vec![Line {
                name: "20 jobs".to_owned(),
                points: points?,
            }],
        })
    };
    Ok(vec![
        panel("CPU of the manager", "s", "/manager/cpu_seconds")?,
        panel("Peak memory of the manager", "MiB", "/manager/peak_mib")?,
        panel("Time until all jobs are complete", "s", "/seconds")?,
    ])
}
