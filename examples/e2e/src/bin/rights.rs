//! Compares the rights of our programs with the requests in the API server's audit log; fails if a right is missing or unused.
//!
//! Roles and bindings come on standard input: `kubectl get clusterroles,clusterrolebindings,roles,rolebindings -A -o json`, of one
//! cluster after the other.

use std::fs::File;
use std::io::{BufReader, Read};
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, Result};
use clap::Parser;
use kruise_e2e::rights::{Grants, compare, requests};

/// Compares rights with requests.
#[derive(Debug, Parser)]
struct Flags {
    /// Namespace of the service accounts.
    #[arg(long, default_value = "kruise-system")]
    namespace: String,

    /// Earlier requests do not count.
    #[arg(long, value_name = "TIME", default_value = "")]
    since: String,

    /// Files of the audit log of a cluster in which roles are taken away and given back.
    #[arg(long, value_name = "LOG")]
    roles_change: Vec<PathBuf>,

    /// Files of the audit log.
    #[arg(required = true)]
    logs: Vec<PathBuf>,
}

fn main() -> Result<ExitCode> {
    let flags = Flags::parse();
    let mut roles = String::new();
    std::io::stdin()
        .read_to_string(&mut roles)
        .context("standard input")?;
    let grants = Grants::read(&roles, &flags.namespace)?;
    let open = |path: &PathBuf| File::open(path).with_context(|| path.display().to_string());
    let of = |paths: &[PathBuf]| paths.iter().map(open).collect::<Result<Vec<File>>>();
    let logs = of(&flags.logs)?.into_iter().map(|log| (log, false));
    let changing = of(&flags.roles_change)?.into_iter().map(|log| (log, true));
    let all = logs
        .chain(changing)
        .flat_map(|(log, changing)| requests(BufReader::new(log), &flags.namespace, &flags.since, changing));
    let found = compare(&grants, all)?;
    for (what, lines) in [
        (
            "requests that were refused while the role was away, which is well",
            &found.away,
        ),
        ("requests that were refused", &found.denied),
        ("rights that were not used", &found.unused),
        ("excuses that are not needed", &found.stale),
    ] {
        if !lines.is_empty() {
            println!("{what}:");
            lines.iter().for_each(|line| println!("  {line}"));
        }
    }
    println!("{} rights, {} requests", found.granted, found.requests);
    Ok(if found.is_clean() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}
