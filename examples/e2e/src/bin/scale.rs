//! Measures the manager over many simulated nodes, or reports what was measured. Started by `examples/e2e/scale`.

use std::io::Write as _;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use clap::{Args, Parser};
use kruise_e2e::Cluster;
use kruise_e2e::scale::{Agents, ManagerUse, Shape};
use serde::{Deserialize, Serialize};
use tokio::time::Instant;

/// Spec writes for each node and image, at most.
const MAX_SPEC_WRITES: f64 = 1.0;
/// Status writes for each node and image, at most.
const MAX_STATUS_WRITES: f64 = 3.0;
/// CPU of the manager for a node in the largest run over that in the smallest, at most: it grows linearly.
const MAX_GROWTH: f64 = 1.5;

#[derive(Debug, Parser)]
enum Command {
    /// Run jobs over simulated nodes and add the figures to a file as one line of JSON.
    Run(Run),
    /// Read that file, check that CPU grows linearly, print a table.
    Report { results: PathBuf },
}

#[derive(Debug, Args)]
struct Run {
    #[arg(long)]
    nodes: usize,
    #[arg(long)]
    jobs: usize,
    #[arg(long, default_value_t = 100)]
    parallelism: usize,
    /// Mean time of a pull in milliseconds.
    #[arg(long, default_value_t = 2000)]
    pull_ms: u64,
    /// Pid of the manager.
    #[arg(long)]
    manager: u32,
    /// Port of its metrics.
    #[arg(long)]
    metrics_port: u16,
    /// Seconds after which the run ends though not all jobs have completed.
    #[arg(long, default_value_t = 1800)]
    limit: u64,
    #[arg(long)]
    results: PathBuf,
}

#[derive(Debug, Serialize, Deserialize)]
struct Measured {
    nodes: usize,
    jobs: usize,
    parallelism: usize,
    pull_seconds: f64,
    complete: bool,
    seconds: f64,
    tasks_ended: usize,
    spec_writes: i64,
    status_writes: u64,
    largest_kib: f64,
    manager: ManagerUse,
}

impl Measured {
    fn per_task(&self, count: f64) -> f64 {
        count / self.tasks_ended.max(1) as f64
    }

    fn reconciles(&self) -> u64 {
        self.manager.reconciles.values().sum()
    }

    fn requests(&self) -> u64 {
        self.manager.requests.values().sum()
    }
}

#[tokio::main]
async fn main() -> Result<()> {
    match Command::parse() {
        Command::Run(run) => measure(run).await,
        Command::Report { results } => report(&results),
    }
}

async fn measure(run: Run) -> Result<()> {
    let cluster = Cluster::load().await?;
    let (admin, watching) = (cluster.client().await?, cluster.watching_client().await?);
    let shape = Shape {
        name: format!("scale-{}x{}", run.nodes, run.jobs),
        nodes: run.nodes,
        jobs: run.jobs,
        parallelism: run.parallelism,
        pull_time: Duration::from_millis(run.pull_ms),
    };
    let namespace =
        serde_json::json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": shape.name}});
    let said = cluster
        .kubectl(&["apply", "-f", "-"], &namespace.to_string())
        .await?;
    ensure!(said.ok, "{}", said.err);
    shape.remove(&admin).await?;
    ManagerUse::until_it_leads(run.metrics_port).await?;
    shape.make_nodes(&admin).await?;
    let agents = Agents::start(&shape, &watching).await?;
    eprintln!("{} agents run, {} jobs begin", shape.nodes, shape.jobs);

    let before = ManagerUse::read(run.manager, run.metrics_port).await?;
    let start = Instant::now();
    let complete = shape.run_jobs(&admin, Duration::from_secs(run.limit)).await?;
    let seconds = start.elapsed().as_secs_f64();
    let manager = ManagerUse::read(run.manager, run.metrics_port)
        .await?
        .since(&before);
    let status_writes = agents.status_writes();
    let counts = shape.count(&admin).await?;
    drop(agents);
    // What this run has handed out is none of the next one's business.
    shape.remove(&admin).await?;

    let measured = Measured {
        nodes: shape.nodes,
        jobs: shape.jobs,
        parallelism: shape.parallelism,
        pull_seconds: shape.pull_time.as_secs_f64(),
        complete,
        seconds,
        tasks_ended: counts.ended,
        spec_writes: counts.spec_writes,
        status_writes,
        largest_kib: counts.largest as f64 / 1024.0,
        manager,
    };
    println!("{}", serde_json::to_string_pretty(&measured)?);
    let mut file = std::fs::OpenOptions::new()
        .create(true)
        .append(true)
        .open(&run.results)?;
    writeln!(file, "{}", serde_json::to_string(&measured)?)?;
    let (spec, status) = (
        measured.per_task(measured.spec_writes as f64),
        measured.per_task(measured.status_writes as f64),
    );
    ensure!(
        spec <= MAX_SPEC_WRITES,
        "{spec:.2} spec writes for a node and image, at most {MAX_SPEC_WRITES}"
    );
    ensure!(
        status <= MAX_STATUS_WRITES,
        "{status:.2} status writes for a node and image, at most {MAX_STATUS_WRITES}"
    );
    Ok(())
}

fn report(results: &PathBuf) -> Result<()> {
    let text = std::fs::read_to_string(results).context("reading the results")?;
    let all: Vec<Measured> = text.lines().map(serde_json::from_str).collect::<Result<_, _>>()?;
    println!(
        "| nodes × jobs | time | CPU of the manager | share of a core | peak memory | reconciles, a second | requests | writes a node and image: spec, status |"
    );
    println!("| --- | --- | --- | --- | --- | --- | --- | --- |");
    for one in &all {
        println!(
            "| {} × {}{} | {:.0} s | {:.1} s | {:.1} % | {:.1} MiB | {}, {:.1} | {} | {:.2}, {:.2} |",
            one.nodes,
            one.jobs,
            if one.complete { "" } else { " (not complete)" },
            one.seconds,
            one.manager.cpu_seconds,
            100.0 * one.manager.cpu_seconds / one.seconds,
            one.manager.peak_mib,
            one.reconciles(),
            one.reconciles() as f64 / one.seconds,
            one.requests(),
            one.per_task(one.spec_writes as f64),
            one.per_task(one.status_writes as f64),
        );
    }
    // The runs that differ in their nodes alone.
    let jobs = all.first().map_or(0, |one| one.jobs);
    let mut row: Vec<&Measured> = all
        .iter()
        .filter(|one| one.jobs == jobs && one.complete)
        .collect();
    row.sort_by_key(|one| one.nodes);
    if let [first, .., last] = &row[..] {
        let each = |one: &Measured| one.manager.cpu_seconds / one.nodes as f64;
        let growth = each(last) / each(first);
        println!(
            "\nCPU for a node: {:.2} times as much with {} nodes as with {}",
            growth, last.nodes, first.nodes
        );
        ensure!(growth <= MAX_GROWTH, "CPU grows faster than the number of nodes");
    }
    Ok(())
}
