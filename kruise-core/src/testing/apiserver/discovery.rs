//! What is served, as clients ask for it.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use super::kinds::{Kind, Kinds, Version};
use super::status::ApiError;

pub(crate) fn version() -> Value {
    json!({
        "major": "1",
        "minor": "33",
        "gitVersion": "v1.33.0",
        "gitCommit": "",
        "gitTreeState": "clean",
        "buildDate": "1970-01-01T00:00:00Z",
        "goVersion": "",
        "compiler": "",
        "platform": "",
    })
}

pub(crate) fn core_versions() -> Value {
    json!({ "kind": "APIVersions", "versions": ["v1"], "serverAddressByClientCIDRs": [] })
}

fn group_value(group: &str, versions: &BTreeSet<&str>) -> Value {
    let named = |version: &&str| json!({ "groupVersion": format!("{group}/{version}"), "version": version });
    // Later names are newer, near enough.
    let versions: Vec<_> = versions.iter().rev().map(named).collect();
    json!({ "name": group, "preferredVersion": versions.first(), "versions": versions })
}

fn all_groups(kinds: &Kinds) -> BTreeMap<&str, BTreeSet<&str>> {
    let mut groups: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for kind in kinds.iter().filter(|kind| !kind.group.is_empty()) {
        let served = kind.versions.iter().filter(|version| version.served);
        groups
            .entry(&kind.group)
            .or_default()
            .extend(served.map(|version| &*version.name));
    }
    groups
}

pub(crate) fn groups(kinds: &Kinds) -> Value {
    let groups: Vec<_> = all_groups(kinds)
        .iter()
        .map(|(group, versions)| group_value(group, versions))
        .collect();
    json!({ "kind": "APIGroupList", "apiVersion": "v1", "groups": groups })
}

pub(crate) fn group(kinds: &Kinds, group: &str) -> Result<Value, ApiError> {
    let groups = all_groups(kinds);
    let versions = groups.get(group).ok_or_else(ApiError::no_such_resource)?;
    let mut value = group_value(group, versions);
    value["kind"] = json!("APIGroup");
    value["apiVersion"] = json!("v1");
    Ok(value)
}

pub(crate) fn resources(kinds: &Kinds, group: &str, version: &str) -> Result<Value, ApiError> {
    let served: Vec<_> = kinds
        .iter()
        .filter(|kind| kind.group == group)
        .filter_map(|kind| Some((kind, kind.version(version)?)))
        .flat_map(|(kind, version)| resources_of(kind, version))
        .collect();
    if served.is_empty() {
        return Err(ApiError::no_such_resource());
    }
    let group_version = match group {
        "" => version.to_owned(),
        group => format!("{group}/{version}"),
    };
    Ok(json!({
        "kind": "APIResourceList",
        "apiVersion": "v1",
        "groupVersion": group_version,
        "resources": served,
    }))
}

fn resources_of(kind: &Kind, version: &Version) -> Vec<Value> {
    let mut main = json!({
        "name": kind.plural,
        "singularName": kind.singular,
        "namespaced": kind.namespaced,
        "kind": kind.kind,
        "verbs": ["create", "delete", "deletecollection", "get", "list", "patch", "update", "watch"],
    });
    if !kind.short_names.is_empty() {
        main["shortNames"] = json!(kind.short_names);
    }
    if !kind.categories.is_empty() {
        main["categories"] = json!(kind.categories);
    }
    let mut all = vec![main];
    let part = |name: &str, of: &str| {
        json!({
            "name": format!("{}/{name}", kind.plural),
            "singularName": "",
            "namespaced": kind.namespaced,
            "kind": of,
            "verbs": ["get", "patch", "update"],
        })
    };
    if version.status {
        all.push(part("status", &kind.kind));
    }
    if version.scale.is_some() {
        let mut scale = part("scale", "Scale");
        scale["group"] = json!("autoscaling");
        scale["version"] = json!("v1");
        all.push(scale);
    }
    all
}
