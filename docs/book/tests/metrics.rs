//! The page of operations, the dashboard and the alerts speak of the metrics that there are.
#![allow(clippy::unwrap_used, reason = "helpers of tests")]

use std::collections::BTreeSet;
use std::fs::read_to_string;

use kruise_core::manager::ManagerMetrics;
use kruise_core::runtime::RuntimeMetrics;
use kruise_core::webhook::WebhookMetrics;
use kruise_docs::repository;
use kruise_imagepull::agent::AgentMetrics;
use kruise_sidecar::controller::UpgradeMetrics;
use kruise_sidecar::webhook::InjectionMetrics;
use prometheus_client::registry::Registry;

/// Names of all metrics of both programs, without the ends that a scrape adds. An encoded registry leaves out families
/// that hold nothing yet, so the names come from its debug output.
fn metrics() -> BTreeSet<String> {
    let mut registry = Registry::default();
    ManagerMetrics::register(&mut registry);
    RuntimeMetrics::register(&mut registry);
    WebhookMetrics::register(&mut registry);
    InjectionMetrics::register(&mut registry);
    UpgradeMetrics::register(&mut registry);
    AgentMetrics::register(&mut registry);
    let text = format!("{registry:?}");
    let quoted = |text: &str| text.split('"').nth(1).map(str::to_owned);
    let mut names = BTreeSet::new();
    // A registry tells its prefix, then its own metrics, then the registries within it.
    for registry in text.split("prefix: ") {
        let prefix = match registry.starts_with("Some(") {
            true => quoted(registry).unwrap_or_default() + "_",
            false => String::new(),
        };
        for metric in registry.split("Descriptor {").skip(1) {
            let name = metric.split("name: ").nth(1).and_then(quoted).unwrap_or_default();
            names.insert(format!("{prefix}{name}"));
        }
    }
    assert!(
        names.len() > 30,
        "the debug output of the registry has another form now: {text}"
    );
    names
}

/// Words of a text that look like names of our metrics, without the ends that a scrape adds.
fn named(text: &str) -> BTreeSet<&str> {
    text.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_'))
        .filter(|word| word.starts_with("kruise_"))
        .map(|word| {
            let ends = ["_total", "_bucket", "_sum", "_count"];
            ends.iter().find_map(|end| word.strip_suffix(end)).unwrap_or(word)
        })
        .collect()
}

fn page() -> String {
    read_to_string(repository().join("docs/reference/metrics.md")).unwrap()
}

#[test]
fn every_metric_that_is_registered_is_told() {
    let page = page();
    let told = named(&page);
    let missing: Vec<_> = metrics()
        .into_iter()
        .filter(|name| !told.contains(name.as_str()))
        .collect();
    assert!(
        missing.is_empty(),
        "no module documentation tells of {missing:#?}"
    );
}

#[test]
fn dashboard_alerts_and_operations_name_only_metrics_that_are_told() {
    let page = page();
    let told = named(&page);
    for file in [
        "docs/monitoring/dashboard.json",
        "docs/monitoring/alerts.yaml",
        "docs/operations.md",
    ] {
        let text = read_to_string(repository().join(file)).unwrap();
        let strange: Vec<_> = named(&text)
            .into_iter()
            .filter(|name| !told.contains(*name))
            .collect();
        assert!(strange.is_empty(), "{file}: no such metrics: {strange:?}");
    }
}

#[test]
fn every_alert_has_a_condition_a_duration_and_says_what_to_do() {
    let alerts = read_to_string(repository().join("docs/monitoring/alerts.yaml")).unwrap();
    let alerts: serde_json::Value = serde_yaml::from_str(&alerts).unwrap();
    let rules = alerts["spec"]["groups"][0]["rules"].as_array().unwrap();
    assert!(rules.len() > 5);
    for rule in rules {
        for field in [
            "/alert",
            "/expr",
            "/for",
            "/annotations/description",
            "/labels/severity",
        ] {
            assert!(
                rule.pointer(field).is_some_and(|value| value.is_string()),
                "{rule} has no {field}"
            );
        }
    }
}

#[test]
fn every_panel_of_the_dashboard_has_a_title_and_a_query() {
    let board = read_to_string(repository().join("docs/monitoring/dashboard.json")).unwrap();
    let board: serde_json::Value = serde_json::from_str(&board).unwrap();
    let panels = board["panels"].as_array().unwrap();
    assert!(panels.len() > 10);
    for panel in panels.iter().filter(|panel| panel["type"] != "row") {
        assert!(panel["title"].is_string(), "{panel} has no title");
        assert!(panel["targets"][0]["expr"].is_string(), "{panel} has no query");
    }
}
