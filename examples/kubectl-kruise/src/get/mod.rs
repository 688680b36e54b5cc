//! `get`: objects as the server shows them, by short names too.

mod table;

use std::io::Write;

use futures::{TryStreamExt as _, pin_mut};
use http::header::{ACCEPT, HeaderValue};
use kruise_core::api::names::GROUP;
use kube_client::api::{Api, ApiResource, DynamicObject, GetParams, ListParams, WatchParams};
use kube_core::{GroupVersionKind, Request, WatchEvent};
use serde_json::Value;

use crate::cli::{GetFlags, Kind, Objects};
use crate::connect::Connection;
use crate::failure::{Failure, Result};
use crate::output::{Format, list};
use table::Table;

/// Tables, and from servers that have none the objects.
const AS_TABLE: &str = "application/json;as=Table;v=v1;g=meta.k8s.io,application/json";
const VERSION: &str = "v1alpha1";

/// Prints objects.
pub(crate) async fn run(flags: &GetFlags, connection: &Connection, out: &mut impl Write) -> Result<()> {
    let asked = Objects::parse(&flags.objects)?;
    let by_name = asked.iter().any(|objects| !objects.names.is_empty());
    if by_name && (flags.selector.is_some() || flags.field_selector.is_some()) {
        return Err(Failure::new(
            "name cannot be provided when a selector is specified",
        ));
    }
    if by_name && flags.all_namespaces {
        return Err(
            Failure::new("a resource cannot be retrieved by name across all namespaces")
                .next("Name its namespace with -n."),
        );
    }
    let prefixed = asked.len() > 1;
    if flags.watch {
        return match asked.as_slice() {
            [only] if only.names.len() < 2 => watch(flags, connection, only, out).await,
            _ => Err(Failure::new(
                "you may only specify a single resource type, and one name at most, with --watch",
            )),
        };
    }
    if !matches!(flags.output, Format::Default | Format::Wide) {
        return print(flags, connection, &asked, out).await;
    }
    let mut printed = 0;
    for objects in &asked {
        let mut table = Table::default();
        for request in requests(flags, connection, objects)? {
            table.add(fetch(connection, request, objects.kind).await?)?;
        }
        if table.is_empty() {
            continue;
        }
        if printed > 0 {
            writeln!(out)?;
        }
        printed += 1;
        let full = objects.kind.full();
        let prefix = prefixed.then_some(full.as_str());
        out.write_all(table.render(&shape(flags, objects.kind), prefix).as_bytes())?;
    }
    if printed == 0 {
        let place = match flags.all_namespaces || asked.iter().all(|objects| !objects.kind.namespaced) {
            true => String::new(),
            false => format!(" in {} namespace.", connection.namespace),
        };
        eprintln!("No resources found{place}");
    }
    Ok(())
}

fn shape(flags: &GetFlags, kind: &Kind) -> table::Shape {
    table::Shape {
        wide: flags.output == Format::Wide,
        namespaces: flags.all_namespaces && kind.namespaced,
        headers: !flags.no_headers,
    }
}

/// One request for each name, or one for all.
fn requests(
    flags: &GetFlags,
    connection: &Connection,
    objects: &Objects,
) -> Result<Vec<http::Request<Vec<u8>>>> {
    let request = Request::new(url(flags, connection, objects.kind));
    let built: Vec<_> = match objects.names.is_empty() {
        true => vec![request.list(&params(flags))],
        false => objects
            .names
            .iter()
            .map(|name| request.get(name, &GetParams::default()))
            .collect(),
    };
    built
        .into_iter()
        .collect::<std::result::Result<_, _>>()
        .map_err(|error| Failure::new(error.to_string()))
}

fn params(flags: &GetFlags) -> ListParams {
    ListParams {
        label_selector: flags.selector.clone(),
        field_selector: flags.field_selector.clone(),
        ..ListParams::default()
    }
}

fn url(flags: &GetFlags, connection: &Connection, kind: &Kind) -> String {
    let resource =
        ApiResource::from_gvk_with_plural(&GroupVersionKind::gvk(GROUP, VERSION, kind.kind), kind.plural);
    let api: Api<DynamicObject> = match kind.namespaced && !flags.all_namespaces {
        true => Api::namespaced_with(connection.client.clone(), &connection.namespace, &resource),
        false => Api::all_with(connection.client.clone(), &resource),
    };
    api.resource_url().to_owned()
}

async fn fetch(connection: &Connection, mut request: http::Request<Vec<u8>>, kind: &Kind) -> Result<Value> {
    request
        .headers_mut()
        .insert(ACCEPT, HeaderValue::from_static(AS_TABLE));
    let answer = connection.client.request::<Value>(request).await;
    answer.map_err(|error| Failure::api(&format!("getting {}", kind.plural), &error))
}

/// Objects in a format of data.
async fn print(
    flags: &GetFlags,
    connection: &Connection,
    asked: &[Objects],
    out: &mut impl Write,
) -> Result<()> {
    let mut items: Vec<Value> = Vec::new();
    let mut single = true;
    for objects in asked {
        single &= objects.names.len() == 1;
        for request in requests(flags, connection, objects)? {
            let answer = connection.client.request::<Value>(request).await;
            let mut answer =
                answer.map_err(|error| Failure::api(&format!("getting {}", objects.kind.plural), &error))?;
            match answer.get_mut("items").map(Value::take) {
                Some(Value::Array(held)) => items.extend(held),
                _ => items.push(answer),
            }
        }
    }
    if flags.output == Format::Name {
        for item in &items {
            let text = |path: &str| item.pointer(path).and_then(Value::as_str).unwrap_or_default();
            writeln!(
                out,
                "{}.{GROUP}/{}",
                text("/kind").to_lowercase(),
                text("/metadata/name")
            )?;
        }
        return Ok(());
    }
    let value = match single && asked.len() == 1 {
        true => items.pop().unwrap_or_default(),
        false => list(items),
    };
    flags.output.print(&value, out)?;
    Ok(())
}

/// Prints a table, and a line for each change, until it is interrupted or the server ends it for good.
async fn watch(
    flags: &GetFlags,
    connection: &Connection,
    objects: &Objects,
    out: &mut impl Write,
) -> Result<()> {
    if !matches!(flags.output, Format::Default | Format::Wide) {
        return Err(Failure::new("--watch prints tables only").next("Leave out -o, or use -o wide."));
    }
    let mut params = params(flags);
    if let Some(name) = objects.names.first() {
        params.field_selector = Some(format!("metadata.name={name}"));
    }
    let request = Request::new(url(flags, connection, objects.kind));
    let failed = |error: kube_core::request::Error| Failure::new(error.to_string());
    let mut table = Table::default();
    table.add(fetch(connection, request.list(&params).map_err(failed)?, objects.kind).await?)?;
    let mut shape = shape(flags, objects.kind);
    out.write_all(table.render(&shape, None).as_bytes())?;
    out.flush()?;
    let mut version = table.version.clone();
    shape.headers = false;
    loop {
        let watch = WatchParams {
            label_selector: params.label_selector.clone(),
            field_selector: params.field_selector.clone(),
            ..WatchParams::default()
        };
        let mut request = request.watch(&watch, &version).map_err(failed)?;
        request
            .headers_mut()
            .insert(ACCEPT, HeaderValue::from_static(AS_TABLE));
        let doing = |error| Failure::api(&format!("watching {}", objects.kind.plural), &error);
        let events = connection
            .client
            .request_events::<Value>(request)
            .await
            .map_err(doing)?;
        pin_mut!(events);
        while let Some(event) = events.try_next().await.map_err(doing)? {
            let change = match event {
                WatchEvent::Added(change) | WatchEvent::Modified(change) | WatchEvent::Deleted(change) => {
                    change
                }
                WatchEvent::Bookmark(_) => continue,
                WatchEvent::Error(status) => return Err(doing(kube_client::Error::Api(status))),
            };
            table.replace(change)?;
            version.clone_from(&table.version);
            out.write_all(table.render(&shape, None).as_bytes())?;
            out.flush()?;
        }
    }
}

#[cfg(test)]
mod tests;
