//! `version`.

use std::io::Write;

use serde_json::{Value, json};

use crate::cli::{Global, VersionFlags};
use crate::connect::Connection;
use crate::failure::{Failure, Result};
use crate::output::Format;

/// Prints versions.
pub(crate) async fn run(flags: &VersionFlags, global: &Global, out: &mut impl Write) -> Result<()> {
    flags.output.refuse(&[Format::Wide, Format::Name])?;
    let mut versions = json!({ "clientVersion": env!("CARGO_PKG_VERSION") });
    // The client's version is printed even if no server answers.
    let asked = match flags.client {
        true => Ok(()),
        false => server(global, &mut versions).await,
    };
    if !flags.output.print(&versions, out)? {
        let text = |field: &str| versions.get(field).and_then(Value::as_str);
        writeln!(out, "Client Version: v{}", env!("CARGO_PKG_VERSION"))?;
        if let Some(server) = text("serverVersion") {
            writeln!(out, "Server Version: {server}")?;
        }
        if let Some(kruise) = versions.get("kruise").and_then(Value::as_array) {
            let served: Vec<&str> = kruise.iter().filter_map(Value::as_str).collect();
            let served = match served.is_empty() {
                true => "not installed".to_owned(),
                false => served.join(", "),
            };
            writeln!(out, "Kruise APIs:    {served}")?;
        }
    }
    asked
}

async fn server(global: &Global, versions: &mut Value) -> Result<()> {
    let connection = Connection::connect(global).await?;
    let server = connection.client.apiserver_version().await;
    let server = server.map_err(|error| Failure::api("asking for the version of the server", &error))?;
    versions["serverVersion"] = server.git_version.into();
    let groups = connection.client.list_api_groups().await;
    let groups = groups.map_err(|error| Failure::api("asking for the APIs of the server", &error))?;
    let kruise = groups
        .groups
        .into_iter()
        .filter(|group| group.name == kruise_core::api::names::GROUP);
    let served: Vec<String> = kruise
        .flat_map(|group| group.versions)
        .map(|version| version.group_version)
        .collect();
    versions["kruise"] = json!(served);
    Ok(())
}
